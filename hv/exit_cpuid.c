/* CPUID of a guest. */
#include "arch/vmx.h"
#include "hv/exit.h"
#include "hv/vcpu_cpuid.h"

/* The answer is not kept yet. Out of line, so that the usual way needs no stack. */
__attribute__((noinline)) static enum exit_action fill(struct vcpu *vcpu, struct cpuid_cached *slot)
{
	vcpu_cpuid_fill(slot, vcpu, (uint32_t)vcpu->regs.gpr[GPR_RAX], (uint32_t)vcpu->regs.gpr[GPR_RCX]);
	return exit_cpuid(vcpu);
}

enum exit_action exit_cpuid(struct vcpu *vcpu)
{
	uint64_t *gpr = vcpu->regs.gpr;
	const uint32_t leaf = (uint32_t)gpr[GPR_RAX], subleaf = (uint32_t)gpr[GPR_RCX];
	struct cpuid_cached *slot = cpuid_cache_slot(&vcpu->cpuid, leaf, subleaf);

	if (!cpuid_cache_has(slot, leaf, subleaf))
		return fill(vcpu, slot);
	gpr[GPR_RAX] = slot->words.eax;
	gpr[GPR_RBX] = slot->words.ebx;
	/* The bits of CR4 that count here are the guest's own: those that it may not set are 0 in the register, too. */
	gpr[GPR_RCX] = slot->cr4_bit.cr4 == 0 ? slot->words.ecx : cpuid_cache_ecx(slot, vmread(VMCS_GUEST_CR4));
	gpr[GPR_RDX] = slot->words.edx;
	vcpu_skip_instruction(vcpu);
	return EXIT_RESUME;
}
