#include "hv/exit.h"

#include "arch/defs/cr.h"
#include "arch/vmx.h"
#include "hv/policy/text.h"
#include "hv/sched.h"
#include "hv/vcpu_apic.h"
#include "hv/vm.h"

const char *exit_reason_name(unsigned reason, char *buffer, unsigned size)
{
	switch (reason) {
#define EXIT_REASON_DEF(number, NAME, name) \
	case number:                        \
		return #name;
#include "arch/defs/exit_reason.def"
#undef EXIT_REASON_DEF
	}
	text_format(buffer, size, "reason%u", reason);
	return buffer;
}

void exit_note_host(struct percpu *cpu)
{
	percpu_request_flush(cpu, WHY_HOST);
}

/* HLT: the pCPU goes to another vCPU. */
static enum exit_action exit_hlt(struct vcpu *vcpu)
{
	vcpu_skip_instruction(vcpu);
	vcpu_apic_halt(vcpu);
	return EXIT_LEAVE;
}

/* Instructions that this guest's CPU does not have. */
static enum exit_action exit_undefined(struct vcpu *vcpu)
{
	vcpu_inject_exception(vcpu, EXC_UD);
	return EXIT_RESUME;
}

static enum exit_action exit_privileged_refused(struct vcpu *vcpu)
{
	vcpu_inject_gp(vcpu);
	return EXIT_RESUME;
}

/* INVD would throw other guests' lines away, WBINVD write back all: coherent memory needs neither. */
static enum exit_action exit_ignored(struct vcpu *vcpu)
{
	vcpu_skip_instruction(vcpu);
	return EXIT_RESUME;
}

static enum exit_action exit_unhandled(struct vcpu *vcpu, unsigned reason)
{
	char buffer[16], text[64];

	text_format(text, sizeof(text), "unhandled exit: reason=%s qualification=0x%lx",
		    exit_reason_name(reason, buffer, sizeof(buffer)), vmread(VMCS_EXIT_QUALIFICATION));
	vm_crash(vcpu, text);
	return EXIT_LEAVE;
}

/* An event that was on its way when the guest exited comes again with the next entry (trap 34). */
static void keep_event(struct vcpu *vcpu)
{
	const uint32_t vectoring = (uint32_t)vmread(VMCS_IDT_VECTORING_INFO);

	if ((vectoring & INTR_INFO_VALID) && (vectoring & INTR_INFO_TYPE_MASK) == INTR_INFO_TYPE_NMI)
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
			vmread(VMCS_GUEST_INTERRUPTIBILITY) & ~(uint64_t)INTERRUPTIBILITY_NMI);
	if (vectoring & INTR_INFO_VALID)
		vcpu->event = (struct vcpu_event){
			.info = vectoring & INTR_INFO_INJECT_MASK,
			.error_code = (uint32_t)vmread(VMCS_IDT_VECTORING_ERROR_CODE),
			.instruction_length = (uint32_t)vmread(VMCS_EXIT_INSTRUCTION_LENGTH),
		};
}

enum exit_action exit_handle_rarer(struct percpu *cpu, struct vcpu *vcpu)
{
	const unsigned reason = vcpu->exit_reason;

	keep_event(vcpu);
	switch (reason) {
	case EXIT_EXCEPTION_NMI:
	case EXIT_EXTERNAL_INTERRUPT:
		return exit_event(cpu, vcpu);
	case EXIT_INTERRUPT_WINDOW:
	case EXIT_NMI_WINDOW:
	case EXIT_TPR_BELOW_THRESHOLD:
		return vcpu_apic_window(vcpu);
	case EXIT_PREEMPTION_TIMER:
		/* vcpu_run() looks whether it was for the slice or for a timer of the guest. */
		cpu->timer_armed_tsc = 0;
		return EXIT_RESUME;
	case EXIT_MONITOR_TRAP: /* hv/vcpu_blank.h */
		return EXIT_RESUME;
	case EXIT_PAUSE:
		sched_yield(cpu);
		return EXIT_LEAVE;
	case EXIT_TASK_SWITCH:
		return exit_task_switch(cpu, vcpu);
	case EXIT_CR_ACCESS:
		return exit_cr_access(cpu, vcpu);
	case EXIT_XSETBV:
		return exit_xsetbv(vcpu);
	case EXIT_HLT:
		return exit_hlt(vcpu);
	case EXIT_INVD:
	case EXIT_WBINVD:
		return exit_ignored(vcpu);
	case EXIT_RDPMC:
		return exit_privileged_refused(vcpu);
	case EXIT_MWAIT:
	case EXIT_MONITOR:
	case EXIT_GETSEC:
	case EXIT_VMCLEAR:
	case EXIT_VMLAUNCH:
	case EXIT_VMPTRLD:
	case EXIT_VMPTRST:
	case EXIT_VMREAD:
	case EXIT_VMRESUME:
	case EXIT_VMWRITE:
	case EXIT_VMXOFF:
	case EXIT_VMXON:
	case EXIT_INVEPT:
	case EXIT_INVVPID:
	case EXIT_VMFUNC:
	case EXIT_ENCLS:
		return exit_undefined(vcpu);
	case EXIT_EPT_VIOLATION:
		return exit_ept_violation(cpu, vcpu);
	case EXIT_APIC_ACCESS:
		return exit_apic_access(cpu, vcpu);
	case EXIT_APIC_WRITE:
		vcpu_apic_written(vcpu, (uint32_t)vmread(VMCS_EXIT_QUALIFICATION));
		return EXIT_RESUME;
	case EXIT_VIRTUALIZED_EOI:
		vcpu_apic_ended(vcpu, (uint8_t)vmread(VMCS_EXIT_QUALIFICATION));
		return EXIT_RESUME;
	case EXIT_TRIPLE_FAULT:
		vm_crash(vcpu, "triple fault");
		return EXIT_LEAVE;
	default:
		return exit_unhandled(vcpu, reason);
	}
}
