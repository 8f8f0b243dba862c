/* Hypercalls (interface.md 4, "Paravirtual interface"; docs/guests.md). */
#include "arch/defs/cr.h"
#include "hv/exit.h"
#include "hv/policy/hypercall.h"
#include "hv/vm.h"

#define EVENT_VECTOR_FIRST 16
#define EVENT_VECTOR_LAST  255

/* From now on each change of the VM's value interrupts this vCPU with the vector; 0 ends it. */
static enum hypercall_result caps_event(struct vcpu *vcpu, uint32_t vector)
{
	if (vector != 0 && (vector < EVENT_VECTOR_FIRST || vector > EVENT_VECTOR_LAST))
		return HYPERCALL_BAD_ARGUMENT;
	atomic_store_explicit(&vcpu->event_vector, (uint8_t)vector, memory_order_release);
	return HYPERCALL_OK;
}

static enum exit_action done(struct vcpu *vcpu, enum hypercall_result result)
{
	vcpu->regs.gpr[GPR_RAX] = (uint64_t)(int64_t)result;
	vcpu_skip_instruction(vcpu);
	return EXIT_RESUME;
}

/* Out of line, so that the others need no stack. */
__attribute__((noinline)) static enum exit_action caps_ack(struct percpu *cpu, struct vcpu *vcpu)
{
	vm_caps_ack(cpu, vcpu->vm);
	return done(vcpu, HYPERCALL_OK);
}

__attribute__((noinline)) static enum exit_action undefined(struct vcpu *vcpu)
{
	vcpu_inject_exception(vcpu, EXC_UD);
	return EXIT_RESUME;
}

enum exit_action exit_vmcall(struct percpu *cpu, struct vcpu *vcpu)
{
	if (vcpu_cpl() != 0)
		return undefined(vcpu);
	switch ((uint32_t)vcpu->regs.gpr[GPR_RAX]) {
	case HYPERCALL_CAPS_ACK:
		return caps_ack(cpu, vcpu);
	case HYPERCALL_CAPS_EVENT:
		return done(vcpu, caps_event(vcpu, (uint32_t)vcpu->regs.gpr[GPR_RBX]));
	default:
		return done(vcpu, HYPERCALL_UNKNOWN);
	}
}
