#include "hv/vcpu_apic.h"

#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "arch/vmx.h"
#include "hv/sched.h"
#include "hv/vcpu_reset.h"
#include "hv/vm.h"

/* The timer's input clock: 100 MHz where the TSC has 2 GHz. */
#define LAPIC_TSC_PER_COUNT 20

#define WINDOWS (CPU_INTERRUPT_WINDOW_EXITING | CPU_NMI_WINDOW_EXITING)

void vcpu_apic_reset(struct vcpu *vcpu)
{
	lapic_reset(&vcpu->lapic, vcpu->index, vcpu->index == 0, LAPIC_TSC_PER_COUNT);
	atomic_store_explicit(&vcpu->wait, vcpu->index == 0 ? VCPU_RUNS : VCPU_WAITS_FOR_SIPI, memory_order_relaxed);
}

/* Under the lock from here to unlocked functions: "wake" collects who must be told once it is released. */

static void note_event(struct vcpu *vcpu)
{
	atomic_fetch_or_explicit(&vcpu->attention, ATTENTION_EVENT, memory_order_release);
}

static bool ends_halt(const struct vcpu *vcpu)
{
	const uint8_t signals = vcpu->halt_nmis ? vcpu->signals : vcpu->signals & (uint8_t)~SIGNAL_NMI;

	return signals != 0 || (vcpu->halt_interrupts && lapic_pending(&vcpu->lapic) >= 0);
}

/* Something has come for the vCPU. True: its pCPU, or one that looks for work, must be told. */
static bool arrived(struct vcpu *vcpu)
{
	note_event(vcpu);
	if (atomic_load_explicit(&vcpu->wait, memory_order_relaxed) == VCPU_HALTED && ends_halt(vcpu))
		atomic_store_explicit(&vcpu->wait, VCPU_RUNS, memory_order_release);
	return atomic_load_explicit(&vcpu->wait, memory_order_relaxed) == VCPU_RUNS;
}

static bool waits_for_sipi(const struct vcpu *vcpu)
{
	return atomic_load_explicit(&vcpu->wait, memory_order_relaxed) == VCPU_WAITS_FOR_SIPI;
}

/* INIT takes the place of all that came before it; one that waits for SIPI goes on waiting. */
static bool init(struct vcpu *vcpu)
{
	vcpu->signals = waits_for_sipi(vcpu) ? 0 : SIGNAL_INIT;
	return vcpu->signals != 0 && arrived(vcpu);
}

/* SIPI counts for one that waits for it, or will as soon as it has looked at its INIT. */
static bool start_up(struct vcpu *vcpu, uint8_t vector)
{
	if (!waits_for_sipi(vcpu) && !(vcpu->signals & SIGNAL_INIT))
		return false;
	vcpu->sipi_vector = vector;
	vcpu->signals |= SIGNAL_SIPI;
	if (waits_for_sipi(vcpu))
		atomic_store_explicit(&vcpu->wait, VCPU_RUNS, memory_order_release);
	return arrived(vcpu);
}

static bool nmi(struct vcpu *vcpu)
{
	if (waits_for_sipi(vcpu))
		return false;
	vcpu->signals |= SIGNAL_NMI;
	return arrived(vcpu);
}

static bool receive(struct vcpu *vcpu, const struct lapic_ipi *ipi)
{
	switch (ipi->delivery) {
	case LAPIC_FIXED:
	case LAPIC_LOWEST:
		return lapic_accept(&vcpu->lapic, ipi->vector, false) && arrived(vcpu);
	case LAPIC_NMI:
		return nmi(vcpu);
	case LAPIC_INIT:
		return init(vcpu);
	case LAPIC_SIPI:
		return start_up(vcpu, ipi->vector);
	default:
		return false;
	}
}

/* Delivers to all targets, or to the one of least priority; the mask of vCPUs to be told. */
static uint32_t deliver_ipi(struct vm *vm, const struct lapic_ipi *ipi, uint32_t sender)
{
	struct vcpu *least = NULL;
	uint32_t wake = 0;

	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		struct vcpu *target = vm->vcpus[i];

		if (!lapic_is_target(&target->lapic, ipi, sender))
			continue;
		if (ipi->delivery != LAPIC_LOWEST)
			wake |= (uint32_t)receive(target, ipi) << i;
		else if (least == NULL || lapic_ppr(&target->lapic) < lapic_ppr(&least->lapic))
			least = target;
	}
	if (least != NULL)
		wake |= (uint32_t)receive(least, ipi) << least->index;
	return wake;
}

/* A write of the vCPU's own: an IPI goes out, and its own priorities may have changed. */
static uint32_t apply(struct vcpu *vcpu, const struct lapic_effect *effect)
{
	note_event(vcpu);
	return effect->kind == LAPIC_SEND ? deliver_ipi(vcpu->vm, &effect->ipi, vcpu->index) : 0;
}

/* Unlocked. The vCPU that is loaded here looks before its next entry anyway. */
static void tell(struct vm *vm, uint32_t wake)
{
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		if (wake >> i & 1)
			sched_kick(vm->vcpus[i]);
}

bool vcpu_apic_has_msr(uint32_t msr)
{
	return msr == MSR_IA32_APIC_BASE || (msr >= MSR_IA32_X2APIC_FIRST && msr <= MSR_IA32_X2APIC_LAST);
}

bool vcpu_apic_rdmsr(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	struct vm *vm = vcpu->vm;
	bool ok = true;

	lock_acquire(&vm->apic_lock);
	if (msr == MSR_IA32_APIC_BASE)
		*value = vcpu->lapic.base;
	else
		ok = lapic_rdmsr(&vcpu->lapic, msr, vm_tsc(vm), value);
	lock_release(&vm->apic_lock);
	return ok;
}

bool vcpu_apic_wrmsr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	struct vm *vm = vcpu->vm;
	struct lapic_effect effect = {.kind = LAPIC_NOTHING};
	uint32_t wake = 0;
	bool ok;

	lock_acquire(&vm->apic_lock);
	if (msr == MSR_IA32_APIC_BASE)
		ok = lapic_base_write(&vcpu->lapic, value);
	else
		ok = lapic_wrmsr(&vcpu->lapic, msr, value, vm_tsc(vm), &effect);
	if (ok)
		wake = apply(vcpu, &effect);
	lock_release(&vm->apic_lock);
	tell(vm, wake);
	return ok;
}

bool vcpu_apic_has_page(struct vcpu *vcpu)
{
	return lapic_has_page(&vcpu->lapic);
}

uint32_t vcpu_apic_page_read(struct vcpu *vcpu, uint32_t offset)
{
	struct vm *vm = vcpu->vm;
	uint32_t value;

	lock_acquire(&vm->apic_lock);
	value = lapic_read(&vcpu->lapic, offset, vm_tsc(vm));
	lock_release(&vm->apic_lock);
	return value;
}

void vcpu_apic_page_write(struct vcpu *vcpu, uint32_t offset, uint32_t value)
{
	struct vm *vm = vcpu->vm;
	struct lapic_effect effect;
	uint32_t wake;

	lock_acquire(&vm->apic_lock);
	effect = lapic_write(&vcpu->lapic, offset, value, vm_tsc(vm));
	wake = apply(vcpu, &effect);
	lock_release(&vm->apic_lock);
	tell(vm, wake);
}

uint32_t vcpu_apic_cr8(struct vcpu *vcpu)
{
	return lapic_cr8(&vcpu->lapic);
}

void vcpu_apic_set_cr8(struct vcpu *vcpu, uint32_t cr8)
{
	lock_acquire(&vcpu->vm->apic_lock);
	lapic_set_cr8(&vcpu->lapic, cr8);
	note_event(vcpu);
	lock_release(&vcpu->vm->apic_lock);
}

void vcpu_apic_post(struct vcpu *vcpu, uint8_t vector)
{
	struct vm *vm = vcpu->vm;
	bool wake;

	lock_acquire(&vm->apic_lock);
	wake = lapic_accept(&vcpu->lapic, vector, false) && arrived(vcpu);
	lock_release(&vm->apic_lock);
	if (wake)
		sched_kick(vcpu);
}

void vcpu_apic_halt(struct vcpu *vcpu)
{
	lock_acquire(&vcpu->vm->apic_lock);
	vcpu->halt_interrupts = (vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF) != 0;
	vcpu->halt_nmis = !(vmread(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI);
	if (!ends_halt(vcpu))
		atomic_store_explicit(&vcpu->wait, VCPU_HALTED, memory_order_release);
	lock_release(&vcpu->vm->apic_lock);
}

static void set_windows(uint64_t windows)
{
	const uint64_t now = vmread(VMCS_PROCESSOR_CONTROLS);
	const uint64_t wanted = (now & ~(uint64_t)WINDOWS) | windows;

	if (wanted != now)
		vmwrite(VMCS_PROCESSOR_CONTROLS, wanted);
}

/* An NMI cannot come while one is handled, in the shadow of MOV SS or STI, or beside another event. */
static bool nmi_is_blocked(const struct vcpu *vcpu)
{
	return (vcpu->event.info & INTR_INFO_VALID) ||
	       (vmread(VMCS_GUEST_INTERRUPTIBILITY) &
		(INTERRUPTIBILITY_NMI | INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
}

static bool interrupts_are_blocked(const struct vcpu *vcpu)
{
	return (vcpu->event.info & INTR_INFO_VALID) || !(vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF) ||
	       (vmread(VMCS_GUEST_INTERRUPTIBILITY) & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
}

/* Puts in what can be, and says for what an exit is to be asked. */
static uint64_t inject(struct vcpu *vcpu)
{
	uint64_t windows = 0;

	if (vcpu->signals & SIGNAL_NMI) {
		if (nmi_is_blocked(vcpu)) {
			/* In the shadow of STI a CPU may exit for an NMI window at once, for ever: interrupts are on
			 * there, so their window serves. */
			windows |= vmread(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_STI
					   ? CPU_INTERRUPT_WINDOW_EXITING
					   : CPU_NMI_WINDOW_EXITING;
		} else {
			vcpu->signals &= (uint8_t)~SIGNAL_NMI;
			vcpu->event.info = INTR_INFO_VALID | INTR_INFO_TYPE_NMI | EXC_NMI;
			vcpu->event.instruction_length = 0;
		}
	}

	const int vector = lapic_pending(&vcpu->lapic);

	if (vector >= 0 && interrupts_are_blocked(vcpu)) {
		windows |= CPU_INTERRUPT_WINDOW_EXITING;
	} else if (vector >= 0) {
		lapic_take(&vcpu->lapic, (uint8_t)vector);
		vcpu->event.info = INTR_INFO_VALID | INTR_INFO_TYPE_EXTERNAL | (uint32_t)vector;
		vcpu->event.instruction_length = 0;
		if (lapic_pending(&vcpu->lapic) >= 0)
			windows |= CPU_INTERRUPT_WINDOW_EXITING;
	}
	return windows;
}

enum exit_action vcpu_apic_deliver(struct percpu *cpu, struct vcpu *vcpu)
{
	enum exit_action action = EXIT_RESUME;
	uint64_t windows = 0;

	lock_acquire(&vcpu->vm->apic_lock);

	const bool waits_after_init = (vcpu->signals & (SIGNAL_INIT | SIGNAL_SIPI)) == SIGNAL_INIT;

	/* What comes from here on sets it again, and kicks this pCPU. */
	atomic_fetch_and_explicit(&vcpu->attention, ~(uint32_t)ATTENTION_EVENT, memory_order_acquire);
	if (vcpu->signals & SIGNAL_INIT) {
		vcpu->signals &= SIGNAL_SIPI;
		lapic_init(&vcpu->lapic);
		vcpu_reset_init(cpu, vcpu);
	}
	if (waits_after_init) {
		atomic_store_explicit(&vcpu->wait, VCPU_WAITS_FOR_SIPI, memory_order_release);
		action = EXIT_LEAVE;
	} else {
		if (vcpu->signals & SIGNAL_SIPI) {
			vcpu->signals &= (uint8_t)~SIGNAL_SIPI;
			vcpu_reset_start_up(vcpu->sipi_vector);
		}
		windows = inject(vcpu);
	}
	lock_release(&vcpu->vm->apic_lock);
	set_windows(windows);
	return action;
}

enum exit_action vcpu_apic_window(struct vcpu *vcpu)
{
	note_event(vcpu);
	return EXIT_RESUME;
}

void vcpu_apic_put_back(struct vcpu *vcpu)
{
	const uint32_t type = vcpu->event.info & INTR_INFO_TYPE_MASK;

	if (!(vcpu->event.info & INTR_INFO_VALID))
		return;
	lock_acquire(&vcpu->vm->apic_lock);
	if (type == INTR_INFO_TYPE_EXTERNAL)
		lapic_put_back(&vcpu->lapic, (uint8_t)(vcpu->event.info & INTR_INFO_VECTOR_MASK));
	if (type == INTR_INFO_TYPE_NMI)
		vcpu->signals |= SIGNAL_NMI;
	vcpu->event.info = 0;
	note_event(vcpu);
	lock_release(&vcpu->vm->apic_lock);
}

void vcpu_apic_set_tsc(struct vm *vm, uint64_t value)
{
	lock_acquire(&vm->apic_lock);

	const uint64_t delta = value - vm_tsc(vm);

	atomic_fetch_add_explicit(&vm->tsc_offset, delta, memory_order_relaxed);
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		lapic_tsc_moved(&vm->vcpus[i]->lapic, delta);
	lock_release(&vm->apic_lock);
	tell(vm, (uint32_t)((1ull << vm->vcpu_count) - 1));
}
