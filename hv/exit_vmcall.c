/* Hypercalls (interface.md 4, "Paravirtual interface"; docs/guests.md). */
#include "arch/defs/cr.h"
#include "hv/exit.h"
#include "hv/vm.h"

enum hypercall { HYPERCALL_CAPS_ACK = 1 };

#define HYPERCALL_UNKNOWN (-1)

enum exit_action exit_vmcall(struct vcpu *vcpu)
{
	int32_t result = 0;

	if (vcpu_cpl() != 0) {
		vcpu_inject_exception(vcpu, EXC_UD);
		return EXIT_RESUME;
	}
	switch ((uint32_t)vcpu->regs.gpr[GPR_RAX]) {
	case HYPERCALL_CAPS_ACK:
		vm_caps_ack(vcpu->vm);
		break;
	default:
		result = HYPERCALL_UNKNOWN;
	}
	vcpu->regs.gpr[GPR_RAX] = (uint64_t)(int64_t)result;
	vcpu_skip_instruction(vcpu);
	return EXIT_RESUME;
}
