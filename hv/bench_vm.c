#include "hv/bench_vm.h"

#include "arch/bench_guest.h"
#include "arch/cpu.h"
#include "arch/defs/msr.h"
#include "arch/tsc.h"
#include "hv/exit.h"
#include "hv/policy/text.h"
#include "hv/vcpu_run.h"
#include "hv/vcpu_switch.h"
#include "hv/vm.h"
#include "hv/vm_build.h"

#define ORDER_SECONDS_MAX 10
#define MEMORY_MIB        2
#define RING_PARTS        8 /* an order fills at most so much of the ring: a row or two for each sample */

/* No cfg can have these names. */
static const char *const NAMES[VMS_BUILT_IN] = {"@bench1", "@bench2"};

static struct boot_module kernel = {.name = "bench"};

/* Claims that the machine may not bear out are nobody's harm: this guest asks for nothing because of them. */
static void set_wish(struct vm_cfg *cfg, enum bench_wish wish)
{
	cfg->caps_add = 0;
	cfg->caps_remove = 0;
	switch (wish) {
	case BENCH_WISH_HOST:
		break;
	case BENCH_WISH_FAST:
		/* Neither said nor implied (MDS_NO), and not immune (FBSDP_NO). */
		cfg->caps_add = ARCH_CAP(MDS_NO);
		cfg->caps_remove = ARCH_CAP(FB_CLEAR) | ARCH_CAP(FBSDP_NO);
		break;
	case BENCH_WISH_CLEAR:
		cfg->caps_add = ARCH_CAP(FB_CLEAR);
		break;
	}
}

static struct vm *prepare(unsigned number, enum bench_wish wish)
{
	struct vm *vm = vm_built_in(number);

	kernel.start = (uint64_t)(uintptr_t)bench_guest_start;
	kernel.end = (uint64_t)(uintptr_t)bench_guest_end;
	vm->id = (uint32_t)(vm - vms);
	vm->kernel = &kernel;
	vm->cfg = (struct vm_cfg){.memory_mib = MEMORY_MIB, .vcpus = 1, .cpus = 1, .unsafe = true};
	text_copy(vm->cfg.name, sizeof(vm->cfg.name), NAMES[number], text_length(NAMES[number]));
	text_copy(vm->cfg.kernel, sizeof(vm->cfg.kernel), kernel.name, text_length(kernel.name));
	text_copy(vm->cfg.cpu, sizeof(vm->cfg.cpu), "host", sizeof("host") - 1);
	set_wish(&vm->cfg, wish);
	return vm;
}

static struct vcpu *vcpu_of(unsigned number)
{
	return vm_built_in(number)->vcpus[0];
}

static void load(struct percpu *cpu, struct vcpu *vcpu)
{
	const struct vcpu *current = atomic_load_explicit(&cpu->current, memory_order_relaxed);

	if (current == vcpu)
		return;
	if (current != NULL)
		vcpu_put(cpu);
	vcpu_load(cpu, vcpu);
}

static uint8_t wait_of(const struct vcpu *vcpu)
{
	return atomic_load_explicit(&vcpu->wait, memory_order_relaxed);
}

/* To the guest's next HLT. An NMI or the end of a slice takes it out before: then it goes on. */
static bool run_to_halt(struct vcpu *vcpu)
{
	struct percpu *cpu = percpu_this();
	const uint64_t end_tsc = rdtsc() + ORDER_SECONDS_MAX * tsc_hz();

	load(cpu, vcpu);
	atomic_store_explicit(&vcpu->wait, VCPU_RUNS, memory_order_relaxed);
	for (uint64_t now_tsc = rdtsc(); wait_of(vcpu) == VCPU_RUNS && now_tsc < end_tsc; now_tsc = rdtsc()) {
		if (atomic_load_explicit(&vcpu->vm->state, memory_order_relaxed) != VM_RUNNING)
			return false;
		vcpu_run(cpu, vcpu, now_tsc + tsc_hz());
	}
	return wait_of(vcpu) == VCPU_HALTED;
}

const char *bench_vm_start(unsigned number, enum bench_wish wish)
{
	struct vm *vm = prepare(number, wish);
	const char *why = vm_build(vm);

	if (why == NULL) {
		atomic_store_explicit(&vm->state, VM_RUNNING, memory_order_release);
		if (run_to_halt(vcpu_of(number)))
			return NULL;
		why = "the guest of bench does not start";
	}
	bench_vm_stop(number);
	return why;
}

void bench_vm_stop(unsigned number)
{
	struct vm *vm = vm_built_in(number);

	vm_stop(vm);
	vm_console_unmake(vm);
}

uint32_t bench_vm_samples_max(void)
{
	const uint64_t rows = percpu_this()->trace.capacity / RING_PARTS;

	if (rows > BENCH_GUEST_SAMPLES_MAX)
		return BENCH_GUEST_SAMPLES_MAX;
	return rows == 0 ? 1 : (uint32_t)rows;
}

bool bench_vm_run(unsigned number, const struct bench_guest_order *order)
{
	struct bench_guest_order *to = vm_memory(vm_built_in(number), gpa(BENCH_GUEST_ORDER), sizeof(*to));

	*to = *order;
	exit_note_host(percpu_this());
	return run_to_halt(vcpu_of(number));
}

bool bench_vm_run_again(unsigned number)
{
	return run_to_halt(vcpu_of(number));
}

const uint32_t *bench_vm_samples(unsigned number)
{
	return vm_memory(vm_built_in(number), gpa(BENCH_GUEST_SAMPLES), BENCH_GUEST_SAMPLES_MAX * sizeof(uint32_t));
}

const struct vcpu_stats *bench_vm_stats(unsigned number)
{
	return &vcpu_of(number)->stats;
}
