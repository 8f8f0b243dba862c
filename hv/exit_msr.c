/* RDMSR and WRMSR of a guest, by the table of hv/policy/msr_policy.h. */
#include "arch/cpu.h"
#include "arch/defs/cr.h"
#include "arch/vmx.h"
#include "hv/exit.h"
#include "hv/policy/cr_policy.h"
#include "hv/policy/msr_policy.h"
#include "hv/regime.h"
#include "hv/vcpu_apic.h"
#include "hv/vcpu_cpuid.h"
#include "hv/vm.h"
#include "hv/vm_promise.h"

static const struct msr_rule *rule_of(const struct vcpu *vcpu)
{
	const struct msr_rule *rule = msr_policy_find((uint32_t)vcpu->regs.gpr[GPR_RCX]);

	return rule != NULL && msr_policy_has(rule, &vcpu->vm->model, vcpu_cpuid_msr_instructions()) ? rule : NULL;
}

static enum exit_action refuse(struct vcpu *vcpu)
{
	vcpu_inject_gp(vcpu);
	return EXIT_RESUME;
}

static enum exit_action done(struct vcpu *vcpu)
{
	vcpu_skip_instruction(vcpu);
	return EXIT_RESUME;
}

static enum exit_action read_apic(struct vcpu *vcpu, uint32_t msr)
{
	uint64_t value;

	if (!vcpu_apic_rdmsr(vcpu, msr, &value))
		return refuse(vcpu);
	vcpu_edx_eax_set(vcpu, value);
	return done(vcpu);
}

/* Out of line, as the next: so the way that matters needs no stack. */
__attribute__((noinline)) static enum exit_action read_other(struct vcpu *vcpu, uint32_t msr)
{
	uint64_t value;

	if (vcpu_apic_has_msr(msr))
		return read_apic(vcpu, msr);

	const struct msr_rule *rule = rule_of(vcpu);

	switch (rule == NULL ? MSR_GP : rule->read) {
	case MSR_CONSTANT:
		value = rule->value;
		break;
	case MSR_SPEC_CTRL:
		value = vcpu->spec_ctrl;
		break;
	case MSR_TSX_CTRL:
		value = vcpu->tsx_ctrl;
		break;
	case MSR_EFER:
		value = vmread(VMCS_GUEST_EFER);
		break;
	case MSR_PAT:
		value = vcpu->pat;
		break;
	case MSR_TSC:
		value = vm_tsc(vcpu->vm);
		break;
	default:
		return refuse(vcpu);
	}
	vcpu_edx_eax_set(vcpu, value);
	return done(vcpu);
}

__attribute__((noinline)) static enum exit_action read_caps(struct percpu *cpu, struct vcpu *vcpu)
{
	vcpu_edx_eax_set(vcpu, vm_caps_read(cpu, vcpu->vm, vcpu->index));
	return done(vcpu);
}

enum exit_action exit_rdmsr(struct percpu *cpu, struct vcpu *vcpu)
{
	const uint32_t msr = (uint32_t)vcpu->regs.gpr[GPR_RCX];

	uint64_t value;

	/* Every guest has this one, and some look at it again and again. */
	if (msr != MSR_IA32_ARCH_CAPABILITIES)
		return read_other(vcpu, msr);
	if (!vm_caps_read_again(cpu, vcpu->vm, vcpu->index, &value))
		return read_caps(cpu, vcpu);
	vcpu_edx_eax_set(vcpu, value);
	return done(vcpu);
}

static bool write_efer(struct vcpu *vcpu, uint64_t value)
{
	const uint64_t old = vmread(VMCS_GUEST_EFER);

	if (!cr_policy_efer_valid(value, old, vmread(VMCS_GUEST_CR0), vcpu->vm->efer_allowed))
		return false;
	vmwrite(VMCS_GUEST_EFER, cr_policy_efer_kept(value, old));
	return true;
}

enum exit_action exit_wrmsr(struct percpu *cpu, struct vcpu *vcpu)
{
	const uint64_t value = vcpu_edx_eax(vcpu);
	const uint32_t msr = (uint32_t)vcpu->regs.gpr[GPR_RCX];

	if (vcpu_apic_has_msr(msr))
		return vcpu_apic_wrmsr(vcpu, msr, value) ? done(vcpu) : refuse(vcpu);

	const struct msr_rule *rule = rule_of(vcpu);

	if (rule == NULL || !msr_policy_write_valid(rule, &vcpu->vm->model, value))
		return refuse(vcpu);
	switch (rule->write) {
	case MSR_IGNORE:
		break;
	case MSR_SPEC_CTRL:
		vcpu->spec_ctrl = value;
		percpu_plan_anew(cpu);
		break;
	case MSR_PRED_CMD:
		if (value & PRED_CMD_IBPB)
			wrmsr(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
		break;
	case MSR_FLUSH_CMD:
		if (value & FLUSH_CMD_L1D_FLUSH)
			wrmsr(MSR_IA32_FLUSH_CMD, FLUSH_CMD_L1D_FLUSH);
		break;
	case MSR_TSX_CTRL:
		vcpu->tsx_ctrl = value;
		vcpu_cpuid_changed(vcpu);
		if (cpu->has_tsx_ctrl)
			wrmsr(MSR_IA32_TSX_CTRL, value);
		break;
	case MSR_EFER:
		if (!write_efer(vcpu, value))
			return refuse(vcpu);
		break;
	case MSR_PAT:
		vcpu->pat = value;
		break;
	case MSR_TSC:
		vcpu_apic_set_tsc(vcpu->vm, value);
		percpu_plan_anew(cpu); /* whoever makes one looks at the VM's time, too */
		break;
	default:
		return refuse(vcpu);
	}
	return done(vcpu);
}
