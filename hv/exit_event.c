/* Exits for events: NMIs and interrupts of the host, and the exceptions of guests that are not left to the guest. */
#include "arch/apic.h"
#include "arch/cpu.h"
#include "arch/defs/apic.h"
#include "arch/defs/cr.h"
#include "arch/trap.h"
#include "arch/vmx.h"
#include "hv/exit.h"
#include "hv/log.h"
#include "hv/panic.h"
#include "hv/vcpu_apic.h"
#include "hv/vm.h"

/* The exit left DR6 as it was: what the exception would have set stands in the qualification (SDM vol. 3C, "Exit
 * Qualification for Debug Exceptions"). */
static void deliver_debug(struct vcpu *vcpu, uint32_t info)
{
	const uint64_t shadow = vmread(VMCS_GUEST_INTERRUPTIBILITY) & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS);

	if ((info & INTR_INFO_TYPE_MASK) == INTR_INFO_TYPE_PRIVILEGED) {
		/* INT1: a trap, so that the return address lies behind it. */
		vcpu->event = (struct vcpu_event){
			.info = INTR_INFO_VALID | INTR_INFO_TYPE_PRIVILEGED | EXC_DB,
			.instruction_length = (uint32_t)vmread(VMCS_EXIT_INSTRUCTION_LENGTH),
		};
		return;
	}
	/* The entry checks want BS where TF meets a shadow (SDM vol. 3C, "Checks on Guest Non-Register State"). */
	if (shadow != 0 && (vmread(VMCS_GUEST_RFLAGS) & RFLAGS_TF))
		vmwrite(VMCS_GUEST_PENDING_DEBUG, vmread(VMCS_GUEST_PENDING_DEBUG) | PENDING_DEBUG_BS);
	write_dr6(read_dr6() | vmread(VMCS_EXIT_QUALIFICATION));
	vmwrite(VMCS_GUEST_DR7, vmread(VMCS_GUEST_DR7) & ~(uint64_t)DR7_GD);
	vcpu_inject_exception(vcpu, EXC_DB);
}

static enum exit_action exit_exception(struct vcpu *vcpu, uint32_t info)
{
	const unsigned vector = info & INTR_INFO_VECTOR_MASK;

	vcpu_apic_put_back(vcpu);
	switch (vector) {
	case EXC_DB:
		deliver_debug(vcpu, info);
		return EXIT_RESUME;
	case EXC_AC:
		vcpu_inject_exception_error(vcpu, vector, (uint32_t)vmread(VMCS_EXIT_INTERRUPTION_ERROR_CODE));
		return EXIT_RESUME;
	default:
		panic("machine check, or an exception that was not asked for, in a guest: vector=%u", vector);
	}
}

enum exit_action exit_event(struct percpu *cpu, struct vcpu *vcpu)
{
	const uint32_t info = (uint32_t)vmread(VMCS_EXIT_INTERRUPTION_INFO);

	if ((vcpu->exit_reason & EXIT_REASON_BASIC_MASK) == EXIT_EXTERNAL_INTERRUPT) {
		/* Nothing of the host interrupts a guest, but for a timer that came too late to end a sleep: a stray
		 * one is acknowledged and told. */
		percpu_request_flush(cpu, WHY_IRQ);
		apic_eoi();
		if ((info & INTR_INFO_VECTOR_MASK) != APIC_TIMER_VECTOR)
			log_line(LOG_NOTICE, "cpu%u: stray interrupt: vector=%u", cpu->arch.index,
				 info & INTR_INFO_VECTOR_MASK);
		return EXIT_LEAVE;
	}
	if ((info & INTR_INFO_TYPE_MASK) == INTR_INFO_TYPE_NMI) {
		percpu_request_flush(cpu, WHY_IRQ);
		trap_nmi_unblock();
		return EXIT_LEAVE;
	}
	return exit_exception(vcpu, info);
}
