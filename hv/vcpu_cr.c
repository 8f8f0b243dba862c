#include "hv/vcpu_cr.h"

#include "arch/defs/cr.h"
#include "arch/vmx.h"

/* Caching stays on whatever the guest says; PE and PG are the guest's own under unrestricted guest. */
uint64_t vcpu_cr0_mask(const struct percpu *cpu)
{
	return (cpu->vmx_config.cr0_fixed0 & ~(uint64_t)(CR0_PE | CR0_PG)) | CR0_CD | CR0_NW;
}

/* Machine checks stay on: they are the host's. */
static uint64_t cr4_held(const struct percpu *cpu)
{
	return cpu->vmx_config.cr4_fixed0 | CR4_MCE;
}

uint64_t vcpu_cr4_mask(const struct percpu *cpu, const struct vm *vm)
{
	return cr4_held(cpu) | ~vm->cr4_allowed;
}

uint64_t vcpu_cr0_read(const struct percpu *cpu)
{
	const uint64_t mask = vcpu_cr0_mask(cpu);

	return (vmread(VMCS_GUEST_CR0) & ~mask) | (vmread(VMCS_CR0_READ_SHADOW) & mask);
}

uint64_t vcpu_cr4_read(const struct percpu *cpu, const struct vm *vm)
{
	const uint64_t mask = vcpu_cr4_mask(cpu, vm);

	return (vmread(VMCS_GUEST_CR4) & ~mask) | (vmread(VMCS_CR4_READ_SHADOW) & mask);
}

void vcpu_cr0_write(const struct percpu *cpu, uint64_t value)
{
	const uint64_t fixed = cpu->vmx_config.cr0_fixed0 & ~(uint64_t)(CR0_PE | CR0_PG);

	vmwrite(VMCS_CR0_READ_SHADOW, value);
	vmwrite(VMCS_GUEST_CR0, (value & ~(uint64_t)(CR0_CD | CR0_NW)) | fixed);
}

void vcpu_cr4_write(const struct percpu *cpu, uint64_t value)
{
	vmwrite(VMCS_CR4_READ_SHADOW, value);
	vmwrite(VMCS_GUEST_CR4, value | cr4_held(cpu));
}
