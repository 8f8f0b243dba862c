/* Writes of CR0 and CR4 that touch what the host holds, CR8, and XSETBV. */
#include "arch/cpu.h"
#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "arch/vmx.h"
#include "hv/exit.h"
#include "hv/policy/cr_policy.h"
#include "hv/vcpu_apic.h"
#include "hv/vcpu_cpuid.h"
#include "hv/vcpu_cr.h"
#include "hv/vm.h"

#define CR8_MAX 15

static bool guest_writes_cr0(struct percpu *cpu, struct vcpu *vcpu, uint64_t value)
{
	const uint64_t old = vcpu_cr0_read(cpu);
	const uint64_t efer = vmread(VMCS_GUEST_EFER);
	const bool cs_l = (vmread(VMCS_GUEST_CS_ACCESS_RIGHTS) & AR_CS_L) != 0;

	if (!cr_policy_cr0_valid(value, old, vcpu_cr4_read(cpu, vcpu->vm), efer, cs_l))
		return false;

	const uint64_t new_efer = cr_policy_efer_after_cr0(efer, value);

	vcpu_cr0_write(cpu, cr_policy_cr0_kept(value));
	vmwrite(VMCS_GUEST_EFER, new_efer);
	exit_note_host(cpu);
	if (!vcpu_cr_load_pdptes(cpu, vcpu)) {
		vcpu_cr0_write(cpu, old);
		vmwrite(VMCS_GUEST_EFER, efer);
		return false;
	}
	vmwrite(VMCS_ENTRY_CONTROLS, (vmread(VMCS_ENTRY_CONTROLS) & ~(uint64_t)ENTRYCTL_GUEST_64) |
					     (new_efer & EFER_LMA ? ENTRYCTL_GUEST_64 : 0));
	/* What a MOV to CR0 would have dropped of the TLB. */
	invvpid(INVVPID_SINGLE, vcpu->vpid);
	return true;
}

static bool guest_writes_cr4(struct percpu *cpu, struct vcpu *vcpu, uint64_t value)
{
	const uint64_t old = vcpu_cr4_read(cpu, vcpu->vm);

	if (!cr_policy_cr4_valid(value, old, vmread(VMCS_GUEST_CR3), vmread(VMCS_GUEST_EFER), vcpu->vm->cr4_allowed))
		return false;
	vcpu_cr4_write(cpu, value);
	exit_note_host(cpu);
	if (!vcpu_cr_load_pdptes(cpu, vcpu)) {
		vcpu_cr4_write(cpu, old);
		return false;
	}
	/* What a MOV to CR4 would have dropped of the TLB. */
	invvpid(INVVPID_SINGLE, vcpu->vpid);
	return true;
}

static bool guest_writes_cr8(struct vcpu *vcpu, uint64_t value)
{
	if (value > CR8_MAX)
		return false;
	vcpu_apic_set_cr8(vcpu, (uint32_t)value);
	return true;
}

enum exit_action exit_cr_access(struct percpu *cpu, struct vcpu *vcpu)
{
	const uint64_t qualification = vmread(VMCS_EXIT_QUALIFICATION);
	const unsigned number = qualification & CR_NUMBER_MASK;
	const unsigned type = (qualification >> CR_TYPE_SHIFT) & CR_TYPE_MASK;
	const unsigned reg = (qualification >> CR_REGISTER_SHIFT) & CR_REGISTER_MASK;
	uint64_t value = vcpu_gpr(vcpu, reg);
	bool taken;

	if (number == 8 && type == CR_TYPE_MOV_FROM) {
		vcpu_gpr_set(vcpu, reg, vcpu_apic_cr8(vcpu));
		taken = true;
	} else if (number == 8 && type == CR_TYPE_MOV_TO) {
		taken = guest_writes_cr8(vcpu, value);
	} else if (type == CR_TYPE_MOV_TO) {
		if (!(vmread(VMCS_GUEST_CS_ACCESS_RIGHTS) & AR_CS_L))
			value = (uint32_t)value;
		taken = number == 0 ? guest_writes_cr0(cpu, vcpu, value) : guest_writes_cr4(cpu, vcpu, value);
	} else {
		/* CLTS and LMSW touch none of the bits that we hold, reads of CR0, CR3 and CR4 never exit. */
		vm_crash(vcpu, "unhandled control-register access");
		return EXIT_LEAVE;
	}
	if (taken)
		vcpu_skip_instruction(vcpu);
	else
		vcpu_inject_gp(vcpu);
	return EXIT_RESUME;
}

enum exit_action exit_xsetbv(struct vcpu *vcpu)
{
	const uint64_t value = vcpu_edx_eax(vcpu);

	if (vcpu_cpl() != 0 || (uint32_t)vcpu->regs.gpr[GPR_RCX] != 0 ||
	    !cr_policy_xcr0_valid(value, vcpu_cpuid_xcr0_allowed())) {
		vcpu_inject_gp(vcpu);
		return EXIT_RESUME;
	}
	vcpu->xcr0 = value;
	vcpu_cpuid_changed(vcpu);
	xsetbv0(value);
	vcpu_skip_instruction(vcpu);
	return EXIT_RESUME;
}
