#include "hv/vcpu.h"

#include "arch/defs/cr.h"
#include "arch/vmx.h"
#include "hv/vm.h"

/* A vCPU is one page, and so found, taken and given back as one. */
_Static_assert(sizeof(struct vcpu) <= PAGE_BYTES, "struct vcpu must fit a page");

uint64_t vcpu_entries(const struct vcpu_stats *stats, unsigned mask, unsigned wanted)
{
	uint64_t sum = 0;

	for (unsigned kind = 0; kind < ENTRY_KINDS; kind++)
		if ((kind & mask) == wanted)
			sum += stats->entered[kind];
	return sum;
}

uint64_t vcpu_exits(const struct vcpu_stats *stats)
{
	uint64_t sum = stats->exit_unknown;

	for (unsigned reason = 0; reason < EXIT_REASON_COUNT; reason++)
		sum += stats->exit[reason];
	return sum;
}

uint64_t vcpu_gpr(const struct vcpu *vcpu, unsigned number)
{
	return number == GPR_RSP ? vmread(VMCS_GUEST_RSP) : vcpu->regs.gpr[number];
}

void vcpu_gpr_set(struct vcpu *vcpu, unsigned number, uint64_t value)
{
	if (number == GPR_RSP)
		vmwrite(VMCS_GUEST_RSP, value);
	else
		vcpu->regs.gpr[number] = value;
}

void vcpu_end_shadow(void)
{
	const uint64_t interruptibility = vmread(VMCS_GUEST_INTERRUPTIBILITY);

	if (interruptibility & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS))
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
			interruptibility & ~(uint64_t)(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
	if (vmread(VMCS_GUEST_RFLAGS) & RFLAGS_TF)
		vmwrite(VMCS_GUEST_PENDING_DEBUG, vmread(VMCS_GUEST_PENDING_DEBUG) | PENDING_DEBUG_BS);
}

void vcpu_inject_exception(struct vcpu *vcpu, unsigned vector)
{
	vcpu->event = (struct vcpu_event){.info = INTR_INFO_VALID | INTR_INFO_TYPE_HARDWARE | vector};
}

void vcpu_inject_exception_error(struct vcpu *vcpu, unsigned vector, uint32_t error_code)
{
	/* Without protected mode there are no error codes (SDM vol. 3C, "VM-Entry Controls for Event Injection"). */
	if (!(vmread(VMCS_GUEST_CR0) & CR0_PE)) {
		vcpu_inject_exception(vcpu, vector);
		return;
	}
	vcpu->event = (struct vcpu_event){
		.info = INTR_INFO_VALID | INTR_INFO_TYPE_HARDWARE | INTR_INFO_ERROR_CODE | vector,
		.error_code = error_code,
	};
}

void vcpu_inject_gp(struct vcpu *vcpu)
{
	vcpu_inject_exception_error(vcpu, EXC_GP, 0);
}

void vcpu_snapshot_take(struct vcpu_snapshot *out)
{
	*out = (struct vcpu_snapshot){
		.rip = vmread(VMCS_GUEST_RIP),
		.rsp = vmread(VMCS_GUEST_RSP),
		.rflags = vmread(VMCS_GUEST_RFLAGS),
		.cr0 = vmread(VMCS_GUEST_CR0),
		.cr3 = vmread(VMCS_GUEST_CR3),
		.cr4 = vmread(VMCS_GUEST_CR4),
		.efer = vmread(VMCS_GUEST_EFER),
	};
}
