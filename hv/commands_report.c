/* info, bugs, caps, cpus, stats. */
#include "arch/cpu.h"
#include "arch/defs/cpuid.h"
#include "arch/tsc.h"
#include "hv/commands.h"
#include "hv/console.h"
#include "hv/exit.h"
#include "hv/pages.h"
#include "hv/percpu.h"
#include "hv/regime.h"
#include "hv/state.h"
#include "hv/vm.h"
#include "hv/vm_build.h"
#include "version.h"

#define BUG_STATE_BYTES 256
#define STATS_TRIES     100
#define VCPU_NAME_BYTES (CFG_NAME_MAX + sizeof(".4294967295"))

static enum vm_state state_of(const struct vm *vm)
{
	return (enum vm_state)atomic_load_explicit(&vm->state, memory_order_acquire);
}

/* ---- info ---- */

static void cpu_row(void)
{
	const struct cpu_caps *caps = &regime_machine()->caps;
	const struct cpuid_regs r = cpuid(CPUID_VENDOR, 0);
	const uint32_t vendor[] = {r.ebx, r.edx, r.ecx};

	console_line("cpu family=%u model=0x%02x stepping=%u vendor=%.*s pcpus=%u smt=%s tsc_mhz=%lu hypervisor=%s",
		     caps->family, caps->model, caps->stepping, (int)sizeof(vendor), (const char *)vendor, percpu_count,
		     caps->threads_per_core > 1 ? "on" : "off", tsc_mhz(),
		     caps->features & CPU_HYPERVISOR ? "yes" : "no");
}

static void vmx_row(void)
{
	const struct percpu *cpu = &percpus[0];
	const struct vmx_config *c = &cpu->vmx_config;

	if (cpu->vmx_missing != NULL) {
		console_line("vmx absent reason=\"%s\"", cpu->vmx_missing);
		return;
	}
	console_line("vmx ept=4k%s%s vpid=yes unrestricted_guest=yes preemption_timer_shift=%u rdtscp=%s invpcid=%s "
		     "pin=0x%x processor=0x%x secondary=0x%x exit=0x%x entry=0x%x xsaves=%s apicv=%s",
		     c->ept_2m ? ",2m" : "", c->ept_1g ? ",1g" : "", c->timer_shift, c->rdtscp ? "yes" : "no",
		     c->invpcid ? "yes" : "no", c->pin, c->processor, c->secondary, c->exit, c->entry,
		     c->xsaves ? "yes" : "no", apicv_level_name(c->apicv));
}

static void assumed_features(const char *option, uint32_t features)
{
	char names[CPU_CAPS_NAMES_SIZE] = "";

	for (unsigned bit = 0; bit < 32; bit++)
		if (features & 1u << bit)
			command_list_add(names, sizeof(names), cpu_feature_name(1u << bit), ",");
	if (features != 0)
		console_line("assumed: %s=%s", option, names);
}

void command_assumed_lines(void)
{
	const struct cpu_assumed *assumed = &state_options()->assumed;

	if (assumed->has_arch_capabilities)
		console_line("assumed: arch_capabilities=0x%lx", assumed->arch_capabilities);
	assumed_features("setcpuid", assumed->set);
	assumed_features("clearcpuid", assumed->clear);
}

static uint64_t mib(uint64_t page_count)
{
	return page_count * PAGE_BYTES >> 20;
}

/* pages is the sum of the four that follow, or some were lost. */
static void memory_row(void)
{
	uint64_t logs = 0, held = 0;

	for (uint32_t i = 0; i < vm_count; i++) {
		held += vms[i].page_count;
		if (vms[i].console.log != NULL)
			logs += VM_CONSOLE_LOG_BYTES / PAGE_BYTES;
	}
	console_line("memory total=%luM free=%luM pages=%lu free_pages=%lu boot_pages=%lu log_pages=%lu vm_pages=%lu",
		     mib(pages_total_count()), mib(pages_free_count()), pages_total_count(), pages_free_count(),
		     pages_boot_count(), logs, held);
}

enum command_status command_info(const struct command_line *line)
{
	(void)line;
	console_line("sluice %s", SLUICE_VERSION);
	cpu_row();
	memory_row();
	vmx_row();
	console_line("uptime seconds=%lu", (rdtsc() - state_boot_tsc()) / tsc_hz());
	command_assumed_lines();
	return COMMAND_OK;
}

/* ---- bugs ---- */

enum command_status command_bugs(const struct command_line *line)
{
	const struct machine *machine = regime_machine();
	const struct mitigation *m = &regime_now()->mitigation;

	(void)line;
	for (unsigned row = 0; row < BUG_ROW_COUNT; row++) {
		const enum bug bug = (enum bug)(1u << row);
		char state[BUG_STATE_BYTES];

		mitigation_bug_state(state, sizeof(state), machine, m, bug);
		console_line("bug %s affected=%s state=\"%s\"", bug_name(bug), machine->bugs & bug ? "yes" : "no",
			     state);
	}
	return COMMAND_OK;
}

/* ---- caps ---- */

/* told: NULL where nobody is told anything. */
static void caps_row(const char *whose, uint64_t value, const char *told)
{
	char names[CPU_CAPS_NAMES_SIZE];

	cpu_caps_names(names, sizeof(names), value);
	console_line("caps %s value=0x%lx names=%s%s%s", whose, value, names, told != NULL ? " told=" : "",
		     told != NULL ? told : "");
}

/* What a guest that starts now may see: with the dynamic bit where the mode stands for it. */
static uint64_t supported_now(void)
{
	const bool skip = mitigation_skip_l1dfl(&regime_now()->mitigation);

	return regime_machine()->supported_caps | (skip ? ARCH_CAP(SKIP_L1DFL_VMENTRY) : 0);
}

enum command_status command_caps(const struct command_line *line)
{
	(void)line;
	caps_row("host", regime_machine()->host_arch_capabilities, NULL);
	caps_row("supported", supported_now(), NULL);
	for (uint32_t i = 0; i < vm_count; i++) {
		const struct vm *vm = &vms[i];
		const bool on = state_of(vm) != VM_OFF;
		const bool told = on && promise_told(promise_word_get(&vm->promise));

		caps_row(vm->cfg.name, on ? vm_caps_value(vm) : vm_build_caps(vm), told ? "skip_l1dfl_vmentry" : "-");
	}
	return COMMAND_OK;
}

/* ---- cpus ---- */

/* The idle one may still have a vCPU loaded, for when it wakes. */
static void pcpu_row(const struct percpu *cpu)
{
	const struct vcpu *vcpu = cpu->idle ? NULL : atomic_load_explicit(&cpu->current, memory_order_acquire);
	const bool failed = !cpu->started && !percpu_is_console(cpu);
	char name[VCPU_NAME_BYTES] = "-", mcu[sizeof("0x0123456789abcdef")] = "absent";

	if (vcpu != NULL)
		text_format(name, sizeof(name), "%s.%u", vcpu->vm->cfg.name, vcpu->index);
	if (regime_now()->mitigation.mcu_opt_ctrl)
		text_format(mcu, sizeof(mcu), "0x%lx", cpu->mcu_opt_ctrl);
	console_line("cpu %u apic=%u state=%s vcpu=%s mcu_opt_ctrl=%s guest_ticks=%lu root_ticks=%lu idle_ticks=%lu",
		     cpu->arch.index, cpu->arch.apic_id,
		     failed         ? "failed"
		     : vcpu != NULL ? "running"
				    : "idle",
		     name, mcu, cpu->guest_ticks, cpu->root_ticks, cpu->idle_ticks);
}

static uint64_t used_ticks(const struct vcpu_stats *stats)
{
	return stats->guest_ticks + stats->root_ticks;
}

/* Of one pCPU's time since the VM's start; in thousandths. */
static uint64_t share_of(const struct vm *vm, uint64_t used)
{
	const uint64_t elapsed = rdtsc() - vm->began_tsc;

	return elapsed < 1000 ? 0 : used / (elapsed / 1000);
}

static void share_row(const struct vm *vm)
{
	uint64_t used = 0;

	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		used += used_ticks(&vm->vcpus[i]->stats);
	console_line("share %s permille=%lu", vm->cfg.name, share_of(vm, used));
}

enum command_status command_cpus(const struct command_line *line)
{
	(void)line;
	for (uint32_t i = 0; i < percpu_count; i++)
		pcpu_row(&percpus[i]);
	for (uint32_t i = 0; i < vm_count; i++)
		if (state_of(&vms[i]) != VM_OFF)
			share_row(&vms[i]);
	return COMMAND_OK;
}

/* ---- stats ---- */

/* The vCPU may be running: a copy that no exit fell into, unless exits come so fast that there is none. In any case its
 * rows add up. */
static void stats_copy(struct vcpu_stats *out, const struct vcpu *vcpu)
{
	uint64_t entries;

	for (unsigned tries = 0; tries < STATS_TRIES; tries++) {
		entries = vcpu_all_entries(&vcpu->stats);
		atomic_thread_fence(memory_order_acquire);
		*out = vcpu->stats;
		atomic_thread_fence(memory_order_acquire);
		if (vcpu_all_entries(&vcpu->stats) == entries)
			break;
	}
}

static void stats_rows(const struct vcpu *vcpu)
{
	static struct vcpu_stats copy;
	const struct vcpu_stats *s = &copy;
	const char *name = vcpu->vm->cfg.name;
	char buffer[32];

	stats_copy(&copy, vcpu);

	console_line(
		"vcpu %s.%u entries=%lu exits=%lu l1d_flush_msr=%lu l1d_flush_soft=%lu l1d_flush_skipped=%lu verw=%lu "
		"mcu_opt_ctrl_reads=%lu mcu_opt_ctrl_writes=%lu ibpb=%lu unanswered=%lu guest_ticks=%lu "
		"root_ticks=%lu share_permille=%lu",
		name, vcpu->index, vcpu_all_entries(s), vcpu_exits(s), vcpu_flushes(s, PLAN_L1D_DID_MSR),
		vcpu_flushes(s, PLAN_L1D_DID_SOFT), vcpu_flushes(s, PLAN_L1D_SKIPPED), vcpu_verws(s),
		s->mcu_opt_ctrl_reads, s->mcu_opt_ctrl_writes, s->ibpb, s->unanswered, s->guest_ticks, s->root_ticks,
		share_of(vcpu->vm, used_ticks(s)));
	for (unsigned reason = 0; reason < EXIT_REASON_COUNT; reason++)
		if (s->exit[reason] != 0)
			console_line("exit %s.%u reason=%s count=%lu", name, vcpu->index,
				     exit_reason_name(reason, buffer, sizeof(buffer)), s->exit[reason]);
}

static void vm_stats(const struct vm *vm)
{
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		stats_rows(vm->vcpus[i]);
}

enum command_status command_stats(const struct command_line *line)
{
	if (line->count == 1) {
		const struct vm *vm = command_vm_named(&line->words[0]);

		if (vm == NULL)
			return COMMAND_FAILED;
		if (state_of(vm) == VM_OFF)
			return command_fail("%s is off; try vm start %s", vm->cfg.name, vm->cfg.name);
		vm_stats(vm);
		return COMMAND_OK;
	}
	for (uint32_t i = 0; i < vm_count; i++)
		if (state_of(&vms[i]) != VM_OFF)
			vm_stats(&vms[i]);
	return COMMAND_OK;
}
