#include "hv/vcpu_apic.h"

#include "arch/defs/apic.h"
#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "arch/tsc.h"
#include "arch/vmx.h"
#include "hv/platform.h"
#include "hv/sched.h"
#include "hv/vcpu_apicv.h"
#include "hv/vcpu_cpuid.h"
#include "hv/vcpu_reset.h"
#include "hv/vm.h"

#define WINDOWS (CPU_INTERRUPT_WINDOW_EXITING | CPU_NMI_WINDOW_EXITING)

/* No vector of the 8259s is held for the vCPU. */
#define NO_VECTOR (-1)

static void note_event(struct vcpu *vcpu)
{
	atomic_fetch_or_explicit(&vcpu->attention, ATTENTION_EVENT, memory_order_release);
}

void vcpu_apic_lock(struct vm *vm)
{
	lock_acquire(&vm->apic_lock);
}

void vcpu_apic_unlock(struct vm *vm)
{
	const struct vcpu *here = atomic_load_explicit(&percpu_this()->current, memory_order_relaxed);
	const uint32_t wake = vm->wake;

	vm->wake = 0;
	lock_release(&vm->apic_lock);
	for (uint32_t left = wake; left != 0; left &= left - 1) {
		const struct vcpu *vcpu = vm->vcpus[__builtin_ctz(left)];

		/* The vCPU that is loaded here looks before its next entry anyway. */
		if (vcpu != here)
			sched_kick(vcpu);
	}
}

void vcpu_apic_reset(struct vcpu *vcpu)
{
	lapic_reset(&vcpu->lapic, vcpu->index, vcpu->index == 0, LAPIC_TSC_PER_COUNT);
	vcpu->extint_vector = NO_VECTOR;
	atomic_store_explicit(&vcpu->timer_tsc, VCPU_TIMER_NEVER, memory_order_relaxed);
	atomic_store_explicit(&vcpu->wait, vcpu->index == 0 ? VCPU_RUNS : VCPU_WAITS_FOR_SIPI, memory_order_relaxed);
	note_event(vcpu);
}

/* ---- what comes for a vCPU; under the lock ---- */

/* The 8259s' interrupts reach vCPU 0 past its local APIC, if that is off or lets them through (SDM vol. 3A, "Local
 * Vector Table", "Local APIC Status and Location"). Others get them where the I/O APIC says so. */
static bool takes_extint(const struct vcpu *vcpu)
{
	const uint32_t lint0 = lapic_lvt(&vcpu->lapic, LAPIC_LVT_LINT0);

	if (vcpu->signals & SIGNAL_EXTINT)
		return true;
	return vcpu->index == 0 && (!(vcpu->lapic.base & APIC_BASE_ENABLE) ||
				    (lint0 & (APIC_LVT_MASKED | APIC_LVT_DELIVERY)) == APIC_LVT_DELIVERY_EXTINT);
}

static bool extint_pending(const struct vcpu *vcpu)
{
	return vcpu->extint_vector != NO_VECTOR || (platform_extint(vcpu->vm) && takes_extint(vcpu));
}

static bool ends_halt(const struct vcpu *vcpu)
{
	const uint8_t signals = vcpu->halt_nmis ? vcpu->signals : vcpu->signals & (uint8_t)~SIGNAL_NMI;

	if (signals & (uint8_t)~SIGNAL_EXTINT)
		return true;
	return vcpu->halt_interrupts && (lapic_pending(&vcpu->lapic) >= 0 || extint_pending(vcpu));
}

/* Something has come for the vCPU: its pCPU, or one that looks for work, is told when the lock is released. */
static void arrived(struct vcpu *vcpu)
{
	note_event(vcpu);
	if (atomic_load_explicit(&vcpu->wait, memory_order_relaxed) == VCPU_HALTED && ends_halt(vcpu))
		atomic_store_explicit(&vcpu->wait, VCPU_RUNS, memory_order_release);
	if (atomic_load_explicit(&vcpu->wait, memory_order_relaxed) == VCPU_RUNS)
		vcpu->vm->wake |= 1u << vcpu->index;
}

static bool waits_for_sipi(const struct vcpu *vcpu)
{
	return atomic_load_explicit(&vcpu->wait, memory_order_relaxed) == VCPU_WAITS_FOR_SIPI;
}

/* INIT takes the place of all that came before it; one that waits for SIPI goes on waiting. */
static void init(struct vcpu *vcpu)
{
	vcpu->signals = waits_for_sipi(vcpu) ? 0 : SIGNAL_INIT;
	if (vcpu->signals != 0)
		arrived(vcpu);
}

/* SIPI counts for one that waits for it, or will as soon as it has looked at its INIT. */
static void start_up(struct vcpu *vcpu, uint8_t vector)
{
	if (!waits_for_sipi(vcpu) && !(vcpu->signals & SIGNAL_INIT))
		return;
	vcpu->sipi_vector = vector;
	vcpu->signals |= SIGNAL_SIPI;
	note_event(vcpu); /* before it may be picked */
	if (waits_for_sipi(vcpu))
		atomic_store_explicit(&vcpu->wait, VCPU_RUNS, memory_order_release);
	arrived(vcpu);
}

static void signal(struct vcpu *vcpu, enum vcpu_signal which)
{
	if (waits_for_sipi(vcpu))
		return;
	vcpu->signals |= (uint8_t)which;
	arrived(vcpu);
}

static void receive(struct vcpu *vcpu, const struct lapic_ipi *ipi, bool level)
{
	switch (ipi->delivery) {
	case LAPIC_FIXED:
	case LAPIC_LOWEST:
		/* Refused, it may be an error, and that is an interrupt too. */
		lapic_accept(&vcpu->lapic, ipi->vector, level);
		arrived(vcpu);
		break;
	case LAPIC_NMI:
		signal(vcpu, SIGNAL_NMI);
		break;
	case LAPIC_INIT:
		init(vcpu);
		break;
	case LAPIC_SIPI:
		start_up(vcpu, ipi->vector);
		break;
	case LAPIC_EXTINT:
		signal(vcpu, SIGNAL_EXTINT);
		break;
	case LAPIC_SMI: /* guests have no SMM */
		break;
	}
}

/* To all targets, or to the one of least priority. */
static void deliver_message(struct vm *vm, const struct lapic_ipi *ipi, uint32_t sender, bool level)
{
	struct vcpu *least = NULL;

	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		struct vcpu *target = vm->vcpus[i];

		if (!lapic_is_target(&target->lapic, ipi, sender))
			continue;
		if (ipi->delivery != LAPIC_LOWEST)
			receive(target, ipi, level);
		else if (least == NULL || lapic_ppr(&target->lapic) < lapic_ppr(&least->lapic))
			least = target;
	}
	if (least != NULL)
		receive(least, ipi, level);
}

void vcpu_apic_message(struct vm *vm, const struct lapic_ipi *ipi, bool level)
{
	deliver_message(vm, ipi, LAPIC_NO_SENDER, level);
}

void vcpu_apic_extint(struct vm *vm)
{
	arrived(vm->vcpus[0]);
}

/* ---- timers; under the lock ---- */

/* A timer that fires again and again leaves the guest this long to get on, as it would not find it itself. */
#define TIMER_PAUSE_US 50

/* The host's TSC when the next timer of the vCPU is due. The machine's timers count as vCPU 0's. */
static uint64_t next_timer_tsc(const struct vcpu *vcpu)
{
	const uint64_t now_tsc = rdtsc();
	const uint64_t guest_tsc = now_tsc + vm_tsc_offset(vcpu->vm);
	uint64_t left = lapic_timer_left(&vcpu->lapic, guest_tsc);

	if (vcpu->index == 0) {
		const uint64_t platform = platform_left(vcpu->vm, guest_tsc);

		left = platform < left ? platform : left;
	}
	return left < VCPU_TIMER_NEVER - now_tsc ? now_tsc + left : VCPU_TIMER_NEVER;
}

static uint64_t timer_tsc_of(const struct vcpu *vcpu)
{
	return atomic_load_explicit(&vcpu->timer_tsc, memory_order_relaxed);
}

static void set_timer_tsc(struct vcpu *vcpu, uint64_t tsc)
{
	atomic_store_explicit(&vcpu->timer_tsc, tsc, memory_order_release);
}

/* One that is due sooner concerns whoever has it in a guest, is about to enter it, or sleeps until its timer; one that
 * is due later ends a guest's run or a sleep in vain, once. */
static void timers_moved(struct vcpu *vcpu)
{
	const uint64_t next_tsc = next_timer_tsc(vcpu);

	if (next_tsc < timer_tsc_of(vcpu)) {
		note_event(vcpu);
		vcpu->vm->wake |= 1u << vcpu->index;
	}
	set_timer_tsc(vcpu, next_tsc);
}

/* Before an entry of the vCPU, on its own pCPU. */
static void fire_timers(struct vcpu *vcpu)
{
	const uint64_t now_tsc = rdtsc();

	if (now_tsc < timer_tsc_of(vcpu))
		return;

	const uint64_t guest_tsc = vm_tsc(vcpu->vm);
	const uint64_t soonest_tsc = now_tsc + tsc_hz() / 1000000 * TIMER_PAUSE_US;

	lapic_timer_fire(&vcpu->lapic, guest_tsc);
	arrived(vcpu);
	if (vcpu->index == 0)
		platform_fire(vcpu->vm, guest_tsc);

	const uint64_t next_tsc = next_timer_tsc(vcpu);

	set_timer_tsc(vcpu, next_tsc > soonest_tsc ? next_tsc : soonest_tsc);
}

void vcpu_apic_platform_timers(struct vm *vm)
{
	timers_moved(vm->vcpus[0]);
}

/* ---- accesses of the vCPU's own ---- */

/* An IPI goes out, an interrupt has ended, the timer is another; and its own priorities may have changed. */
static void apply(struct vcpu *vcpu, const struct lapic_effect *effect)
{
	note_event(vcpu);
	switch (effect->kind) {
	case LAPIC_SEND:
		deliver_message(vcpu->vm, &effect->ipi, vcpu->index, false);
		break;
	case LAPIC_EOI:
		if (effect->eoi_level)
			platform_eoi(vcpu->vm, effect->eoi_vector);
		break;
	case LAPIC_TIMER:
		timers_moved(vcpu);
		break;
	case LAPIC_NOTHING:
		break;
	}
}

bool vcpu_apic_has_msr(uint32_t msr)
{
	return msr == MSR_IA32_APIC_BASE || msr == MSR_IA32_TSC_DEADLINE ||
	       (msr >= MSR_IA32_X2APIC_FIRST && msr <= MSR_IA32_X2APIC_LAST);
}

bool vcpu_apic_rdmsr(struct vcpu *vcpu, uint32_t msr, uint64_t *value)
{
	struct vm *vm = vcpu->vm;
	bool ok = true;

	vcpu_apic_lock(vm);
	if (msr == MSR_IA32_APIC_BASE)
		*value = vcpu->lapic.base;
	else if (msr == MSR_IA32_TSC_DEADLINE)
		*value = lapic_deadline_read(&vcpu->lapic, vm_tsc(vm));
	else
		ok = lapic_rdmsr(&vcpu->lapic, msr, vm_tsc(vm), value);
	vcpu_apic_unlock(vm);
	return ok;
}

bool vcpu_apic_wrmsr(struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	struct vm *vm = vcpu->vm;
	struct lapic_effect effect = {.kind = LAPIC_NOTHING};
	bool ok = true;

	vcpu_apic_lock(vm);
	if (msr == MSR_IA32_APIC_BASE) {
		ok = lapic_base_write(&vcpu->lapic, value);
		vcpu_cpuid_changed(vcpu);
		effect.kind = LAPIC_TIMER;
	} else if (msr == MSR_IA32_TSC_DEADLINE) {
		effect = lapic_deadline_write(&vcpu->lapic, value, vm_tsc(vm));
	} else {
		ok = lapic_wrmsr(&vcpu->lapic, msr, value, vm_tsc(vm), &effect);
	}
	if (ok)
		apply(vcpu, &effect);
	vcpu_apic_unlock(vm);
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

	vcpu_apic_lock(vm);
	value = lapic_read(&vcpu->lapic, offset, vm_tsc(vm));
	vcpu_apic_unlock(vm);
	return value;
}

void vcpu_apic_page_write(struct vcpu *vcpu, uint32_t offset, uint32_t value)
{
	struct vm *vm = vcpu->vm;
	struct lapic_effect effect;

	vcpu_apic_lock(vm);
	effect = lapic_write(&vcpu->lapic, offset, value, vm_tsc(vm));
	apply(vcpu, &effect);
	vcpu_apic_unlock(vm);
}

void vcpu_apic_written(struct vcpu *vcpu, uint32_t offset)
{
	/* A part of the register may have been written. */
	const uint32_t first = offset & ~(APIC_REGISTER_STRIDE - 1);
	const uint32_t value = lapic_written(&vcpu->lapic, first);

	if (lapic_is_x2apic(&vcpu->lapic))
		vcpu_apic_wrmsr(vcpu, MSR_IA32_X2APIC_FIRST + first / APIC_REGISTER_STRIDE, value);
	else
		vcpu_apic_page_write(vcpu, first, value);
}

void vcpu_apic_ended(struct vcpu *vcpu, uint8_t vector)
{
	vcpu_apic_lock(vcpu->vm);
	platform_eoi(vcpu->vm, vector);
	vcpu_apic_unlock(vcpu->vm);
}

uint32_t vcpu_apic_cr8(struct vcpu *vcpu)
{
	return lapic_cr8(&vcpu->lapic);
}

void vcpu_apic_set_cr8(struct vcpu *vcpu, uint32_t cr8)
{
	vcpu_apic_lock(vcpu->vm);
	lapic_set_cr8(&vcpu->lapic, cr8);
	note_event(vcpu);
	vcpu_apic_unlock(vcpu->vm);
}

void vcpu_apic_post(struct vcpu *vcpu, uint8_t vector)
{
	vcpu_apic_lock(vcpu->vm);
	if (lapic_accept(&vcpu->lapic, vector, false))
		arrived(vcpu);
	vcpu_apic_unlock(vcpu->vm);
}

void vcpu_apic_timer_due(struct vcpu *vcpu)
{
	note_event(vcpu);
}

void vcpu_apic_halt(struct vcpu *vcpu)
{
	vcpu_apic_lock(vcpu->vm);
	vcpu->halt_interrupts = (vmread(VMCS_GUEST_RFLAGS) & RFLAGS_IF) != 0;
	vcpu->halt_nmis = !(vmread(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI);
	if (!ends_halt(vcpu))
		atomic_store_explicit(&vcpu->wait, VCPU_HALTED, memory_order_release);
	vcpu_apic_unlock(vcpu->vm);
}

/* ---- delivery ---- */

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

/* The vector that the 8259s want taken. */
static uint8_t take_extint(struct vcpu *vcpu)
{
	const uint8_t vector =
		vcpu->extint_vector != NO_VECTOR ? (uint8_t)vcpu->extint_vector : platform_extint_take(vcpu->vm);

	vcpu->extint_vector = NO_VECTOR;
	vcpu->signals &= (uint8_t)~SIGNAL_EXTINT;
	return vector;
}

static void inject_interrupt(struct vcpu *vcpu, uint8_t vector, bool is_extint)
{
	vcpu->event.info = INTR_INFO_VALID | INTR_INFO_TYPE_EXTERNAL | vector;
	vcpu->event.instruction_length = 0;
	vcpu->event_is_extint = is_extint;
}

/* Puts in what can be, and says for what an exit is to be asked. by_cpu: the CPU delivers the local APIC's interrupts.
 */
static uint64_t inject(struct vcpu *vcpu, bool by_cpu)
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

	if (extint_pending(vcpu)) {
		if (interrupts_are_blocked(vcpu))
			return windows | CPU_INTERRUPT_WINDOW_EXITING;
		inject_interrupt(vcpu, take_extint(vcpu), true);
		if (extint_pending(vcpu))
			windows |= CPU_INTERRUPT_WINDOW_EXITING;
	}

	const int vector = by_cpu ? -1 : lapic_pending(&vcpu->lapic);

	if (vector >= 0 && interrupts_are_blocked(vcpu)) {
		windows |= CPU_INTERRUPT_WINDOW_EXITING;
	} else if (vector >= 0) {
		lapic_take(&vcpu->lapic, (uint8_t)vector);
		inject_interrupt(vcpu, (uint8_t)vector, false);
		if (lapic_pending(&vcpu->lapic) >= 0)
			windows |= CPU_INTERRUPT_WINDOW_EXITING;
	}
	return windows;
}

enum exit_action vcpu_apic_deliver(struct percpu *cpu, struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	enum exit_action action = EXIT_RESUME;
	uint64_t windows = 0;

	vcpu_apic_lock(vm);

	const bool waits_after_init = (vcpu->signals & (SIGNAL_INIT | SIGNAL_SIPI)) == SIGNAL_INIT;

	/* What comes from here on sets it again, and kicks this pCPU. */
	atomic_fetch_and_explicit(&vcpu->attention, ~(uint32_t)ATTENTION_EVENT, memory_order_acquire);
	if (vcpu->signals & SIGNAL_INIT) {
		vcpu->signals &= SIGNAL_SIPI;
		lapic_init(&vcpu->lapic);
		vcpu->extint_vector = NO_VECTOR;
		vcpu_reset_init(cpu, vcpu);
		timers_moved(vcpu);
	}
	if (waits_after_init)
		atomic_store_explicit(&vcpu->wait, VCPU_WAITS_FOR_SIPI, memory_order_release);
	fire_timers(vcpu);
	if (atomic_load_explicit(&vcpu->wait, memory_order_relaxed) != VCPU_RUNS) {
		action = EXIT_LEAVE;
	} else {
		if (vcpu->signals & SIGNAL_SIPI) {
			vcpu->signals &= (uint8_t)~SIGNAL_SIPI;
			vcpu_reset_start_up(vcpu->sipi_vector);
		}
		windows = inject(vcpu, vcpu_apicv_update(cpu, vcpu));
	}
	vcpu_apic_unlock(vm);
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
	const uint8_t vector = (uint8_t)(vcpu->event.info & INTR_INFO_VECTOR_MASK);

	if (!(vcpu->event.info & INTR_INFO_VALID))
		return;
	vcpu_apic_lock(vcpu->vm);
	if (type == INTR_INFO_TYPE_EXTERNAL && vcpu->event_is_extint && !vcpu_apicv_took(vcpu, vector))
		vcpu->extint_vector = vector;
	else if (type == INTR_INFO_TYPE_EXTERNAL)
		lapic_put_back(&vcpu->lapic);
	if (type == INTR_INFO_TYPE_NMI)
		vcpu->signals |= SIGNAL_NMI;
	vcpu->event.info = 0;
	note_event(vcpu);
	vcpu_apic_unlock(vcpu->vm);
}

void vcpu_apic_set_tsc(struct vm *vm, uint64_t value)
{
	vcpu_apic_lock(vm);

	const uint64_t delta = value - vm_tsc(vm);

	atomic_fetch_add_explicit(&vm->tsc_offset, delta, memory_order_relaxed);
	platform_tsc_moved(vm, delta);
	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		lapic_tsc_moved(&vm->vcpus[i]->lapic, delta);
		timers_moved(vm->vcpus[i]);
		arrived(vm->vcpus[i]); /* it takes the offset up */
	}
	vcpu_apic_unlock(vm);
}
