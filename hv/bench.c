#include "hv/bench.h"

#include "arch/bench_step.h"
#include "arch/cpu.h"
#include "arch/defs/cpuid.h"
#include "arch/defs/msr.h"
#include "hv/bench_measure.h"
#include "hv/bench_scenario.h"
#include "hv/exit.h"
#include "hv/knobs.h"
#include "hv/log.h"
#include "hv/percpu.h"
#include "hv/policy/text.h"
#include "hv/regime.h"
#include "hv/sched.h"
#include "hv/vm.h"

#define PAUSED_BYTES 256

/* ---- what the machine may lack: NULL, or what it is ---- */

static const char *no_rdtscp(void)
{
	if (cpuid(CPUID_EXT_MAX, 0).eax < CPUID_EXT_FEATURES ||
	    !(cpuid(CPUID_EXT_FEATURES, 0).edx & CPUID_EXT1_EDX_RDTSCP))
		return "cpu has no rdtscp";
	return NULL;
}

static const char *no_guest(void)
{
	if (percpus[0].vmx_missing != NULL)
		return percpus[0].vmx_missing;
	return percpus[0].vmx_config.rdtscp ? no_rdtscp() : "vmx cannot give rdtscp to guests";
}

static const char *no_flush_cmd(void)
{
	if (!(cpu_caps_msrs(&regime_machine()->caps) & CPU_MSR_FLUSH_CMD))
		return "cpu has no l1d_flush";
	return no_rdtscp();
}

static const char *no_mcu_opt_ctrl(void)
{
	if (!(cpu_caps_msrs(&regime_machine()->caps) & CPU_MSR_MCU_OPT_CTRL))
		return "cpu has no ia32_mcu_opt_ctrl";
	return no_rdtscp();
}

static bool has_fb_clear_ctrl(void)
{
	return no_mcu_opt_ctrl() == NULL && (regime_machine()->caps.arch_capabilities & ARCH_CAP(FB_CLEAR_CTRL)) != 0;
}

static const char *no_fb_clear_dis(void)
{
	const char *why = no_guest();

	if (why == NULL)
		why = no_mcu_opt_ctrl();
	return why != NULL || has_fb_clear_ctrl() ? why : "cpu has no fb_clear_ctrl";
}

struct bench {
	const char *name, *summary;
	const char *(*missing)(void);
	const char *(*measure)(const struct bench *bench);
	/* What measure() is about: one of these. */
	enum bench_guest_op op;
	uint32_t (*step)(uint64_t value);
	const char *(*scenario)(const char *name);
};

/* ---- round trips seen from a guest ---- */

static const char *measure_exit(const struct bench *bench)
{
	const struct bench_guest_order timed = {.op = bench->op};
	const struct bench_guest_order empty = {.op = bench->op, .empty = 1};
	struct bench_result result;
	uint32_t overhead;
	const char *why = bench_vm_start(0, BENCH_WISH_HOST);

	if (why != NULL)
		return why;
	why = bench_measure_median(&overhead, bench_measure_sample_guest, &empty, BENCH_OVERHEAD_OF);
	if (why == NULL)
		why = bench_measure(&result, bench_measure_sample_guest, &timed, BENCH_PER_REPEAT, BENCH_REPEATS,
				    overhead);
	if (why == NULL)
		bench_measure_row(bench->name, "", &result, "");
	bench_vm_stop(0);
	return why;
}

/* ---- single steps ---- */

struct step {
	uint32_t (*run)(uint64_t value);
	uint64_t value; /* for a step that writes one */
	uint64_t flip;  /* bits that every second value has the other way round */
};

static const char *sample_step(const void *context, uint32_t *out, uint32_t count)
{
	const struct step *step = context;

	for (uint32_t i = 0; i < count; i++)
		out[i] = step->run(i % 2 == 0 ? step->value ^ step->flip : step->value);
	return bench_measure_pause();
}

static const char *measure_step_of(const struct bench *bench, const struct step *step, const char *more)
{
	const struct step nothing = {.run = bench_step_nothing};
	struct bench_result result;
	uint32_t overhead;
	const char *why = bench_measure_median(&overhead, sample_step, &nothing, BENCH_OVERHEAD_OF);

	if (why == NULL)
		why = bench_measure(&result, sample_step, step, BENCH_PER_REPEAT, BENCH_REPEATS, overhead);
	if (why == NULL)
		bench_measure_row(bench->name, "", &result, more);
	return why;
}

static const char *measure_step(const struct bench *bench)
{
	return measure_step_of(bench, &(struct step){.run = bench->step}, "");
}

/* FB_CLEAR_DIS is there to make VERW fast, and a guest may have left it either way: where the CPU has it, VERW is
 * measured with the bit 0 and with 1. Afterwards the register holds what it held (G4). */
static const char *measure_verw(const struct bench *bench)
{
	const struct step step = {.run = bench->step};
	const uint64_t held = percpu_this()->mcu_opt_ctrl;
	const uint64_t others = held & ~(uint64_t)MCU_OPT_CTRL_FB_CLEAR_DIS;
	const char *why;

	if (!has_fb_clear_ctrl())
		return measure_step(bench);
	wrmsr(MSR_IA32_MCU_OPT_CTRL, others);
	why = measure_step_of(bench, &step, " fb_clear_dis=0");
	wrmsr(MSR_IA32_MCU_OPT_CTRL, others | MCU_OPT_CTRL_FB_CLEAR_DIS);
	if (why == NULL)
		why = measure_step_of(bench, &step, " fb_clear_dis=1");
	wrmsr(MSR_IA32_MCU_OPT_CTRL, held);
	return why;
}

/* Writes what an entry would: FB_CLEAR_DIS the other way round each time, if there is such a bit. Afterwards the
 * register holds what it held, as the entry path's cache says (G4). */
static const char *measure_mcu_write(const struct bench *bench)
{
	const uint64_t held = percpu_this()->mcu_opt_ctrl;
	const struct step step = {
		.run = bench->step, .value = held, .flip = has_fb_clear_ctrl() ? MCU_OPT_CTRL_FB_CLEAR_DIS : 0};
	const char *why = measure_step_of(bench, &step, "");

	wrmsr(MSR_IA32_MCU_OPT_CTRL, held);
	return why;
}

/* ---- the list ---- */

static const char *measure_scenario(const struct bench *bench)
{
	return bench->scenario(bench->name);
}

static const struct bench BENCHES[] = {
	{"exit-cpuid", "round trip seen from a guest: CPUID", no_guest, measure_exit, .op = BENCH_GUEST_CPUID},
	{"exit-rdmsr", "round trip: RDMSR of IA32_ARCH_CAPABILITIES", no_guest, measure_exit, .op = BENCH_GUEST_RDMSR},
	{"exit-wrmsr", "round trip: WRMSR of IA32_BIOS_SIGN_ID, which is ignored", no_guest, measure_exit,
	 .op = BENCH_GUEST_WRMSR},
	{"exit-vmcall", "round trip: a hypercall that there is not", no_guest, measure_exit, .op = BENCH_GUEST_VMCALL},
	{"exit-io", "round trip: one byte to a port that nothing answers", no_guest, measure_exit,
	 .op = BENCH_GUEST_IO},
	{"exit-mmio", "round trip: 4 bytes from an address that nothing answers", no_guest, measure_exit,
	 .op = BENCH_GUEST_MMIO},
	{"l1d-msr", "step in root mode: L1D flush by IA32_FLUSH_CMD", no_flush_cmd, measure_step,
	 .step = bench_step_l1d_msr},
	{"l1d-soft", "step in root mode: L1D flush by software", no_rdtscp, measure_step, .step = bench_step_l1d_soft},
	{"verw", "step in root mode: VERW", no_rdtscp, measure_verw, .step = bench_step_verw},
	{"rdmsr-mcu", "step in root mode: RDMSR of IA32_MCU_OPT_CTRL", no_mcu_opt_ctrl, measure_step,
	 .step = bench_step_rdmsr_mcu},
	{"wrmsr-mcu", "step in root mode: WRMSR of IA32_MCU_OPT_CTRL", no_mcu_opt_ctrl, measure_mcu_write,
	 .step = bench_step_wrmsr_mcu},
	{"strategy", "round trip (CPUID) under each combination of knobs, and what 1000 entries did", no_guest,
	 measure_scenario, .scenario = bench_scenario_strategy},
	{"rate", "a guest that computes k instructions between two exits", no_guest, measure_scenario,
	 .scenario = bench_scenario_rate},
	{"switch", "two vcpus of different wishes for FB_CLEAR_DIS take turns on a pcpu", no_fb_clear_dis,
	 measure_scenario, .scenario = bench_scenario_switch},
	{"alone", "the same turns, all of one vcpu that wants FB_CLEAR_DIS", no_fb_clear_dis, measure_scenario,
	 .scenario = bench_scenario_alone},
};

#define BENCH_COUNT (sizeof(BENCHES) / sizeof(BENCHES[0]))

const char *bench_name(unsigned i)
{
	return i < BENCH_COUNT ? BENCHES[i].name : NULL;
}

const char *bench_summary(unsigned i)
{
	return i < BENCH_COUNT ? BENCHES[i].summary : NULL;
}

unsigned bench_find(const char *name, size_t length)
{
	unsigned i = 0;

	while (i < BENCH_COUNT && !text_is(BENCHES[i].name, name, length))
		i++;
	return i;
}

/* ---- a run ---- */

/* The VMs that run (bit v: VM v): they would be noise, and would see the knobs move. */
static uint32_t pause_all(void)
{
	char names[PAUSED_BYTES] = "";
	uint32_t paused = 0;

	for (uint32_t v = 0; v < vm_count; v++) {
		if (vm_pause(&vms[v]) != NULL)
			continue;
		paused |= 1u << v;

		const size_t length = text_length(names);

		text_format(names + length, sizeof(names) - length, "%s%s", length != 0 ? "," : "", vms[v].cfg.name);
	}
	if (paused != 0)
		log_line(LOG_INFO, "bench: paused for as long as it runs: %s", names);
	return paused;
}

static void resume(uint32_t paused)
{
	for (uint32_t v = 0; v < vm_count; v++)
		if (paused >> v & 1)
			vm_resume(&vms[v]);
}

/* A vCPU of a VM that has come to its end may still be loaded here. */
static void free_this_pcpu(void)
{
	const struct vcpu *current = atomic_load_explicit(&percpu_this()->current, memory_order_relaxed);

	if (current != NULL)
		sched_quiesce(current->vm);
}

static const char *run_one(const struct bench *bench)
{
	const char *why = bench->missing();

	if (why != NULL) {
		bench_measure_unsupported(bench->name, why);
		return NULL;
	}
	return bench->measure(bench);
}

const char *bench_run(unsigned first, unsigned count)
{
	const struct knobs knobs = regime_now()->knobs;
	const char *why = NULL;
	uint32_t paused;

	vm_reap(true); /* one that has reset itself starts again: before, not in between */
	paused = pause_all();
	free_this_pcpu();
	for (unsigned i = first; i < first + count && i < BENCH_COUNT && why == NULL; i++) {
		why = run_one(&BENCHES[i]);
		knobs_set_all(&knobs);
	}
	resume(paused);
	exit_note_host(percpu_this());
	return why;
}
