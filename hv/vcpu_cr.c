#include "hv/vcpu_cr.h"

#include "arch/cpu.h"
#include "arch/defs/cpuid.h"
#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "arch/defs/pte.h"
#include "arch/memory.h"
#include "arch/vmx.h"

#define PDPTE_COUNT    4
#define PAE_CR3_MASK   0xffffffe0u
/* Bits of a PAE page-directory-pointer-table entry that must be 0 (SDM vol. 3A, "PAE Paging"). */
#define PDPTE_RESERVED 0x1e6ull

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

/* The bits that a physical address has here. */
static uint64_t physical_mask(void)
{
	return (1ull << (cpuid(CPUID_EXT_ADDRESS_SIZES, 0).eax & 0xff)) - 1;
}

bool vcpu_cr_load_pdptes(const struct percpu *cpu, const struct vcpu *vcpu)
{
	static const enum vmcs_field fields[PDPTE_COUNT] = {VMCS_GUEST_PDPTE0, VMCS_GUEST_PDPTE1, VMCS_GUEST_PDPTE2,
							    VMCS_GUEST_PDPTE3};
	uint64_t kept[PDPTE_COUNT];
	const uint64_t *entries;

	if (!(vcpu_cr0_read(cpu) & CR0_PG) || !(vcpu_cr4_read(cpu, vcpu->vm) & CR4_PAE) ||
	    (vmread(VMCS_GUEST_EFER) & EFER_LMA))
		return true;
	entries = vm_memory(vcpu->vm, gpa(vmread(VMCS_GUEST_CR3) & PAE_CR3_MASK), PDPTE_COUNT * sizeof(*entries));
	if (entries == NULL)
		return false;
	memcpy(kept, entries, sizeof(kept)); /* other vCPUs may write there */
	for (unsigned i = 0; i < PDPTE_COUNT; i++)
		if ((kept[i] & PTE_PRESENT) && (kept[i] & (PDPTE_RESERVED | ~physical_mask())))
			return false;
	for (unsigned i = 0; i < PDPTE_COUNT; i++)
		vmwrite(fields[i], kept[i]);
	return true;
}
