/* CPUID of a guest. */
#include "hv/exit.h"
#include "hv/vcpu_cpuid.h"

enum exit_action exit_cpuid(struct vcpu *vcpu)
{
	const struct cpuid_words words =
		vcpu_cpuid(vcpu, (uint32_t)vcpu->regs.gpr[GPR_RAX], (uint32_t)vcpu->regs.gpr[GPR_RCX]);

	vcpu->regs.gpr[GPR_RAX] = words.eax;
	vcpu->regs.gpr[GPR_RBX] = words.ebx;
	vcpu->regs.gpr[GPR_RCX] = words.ecx;
	vcpu->regs.gpr[GPR_RDX] = words.edx;
	vcpu_skip_instruction(vcpu);
	return EXIT_RESUME;
}
