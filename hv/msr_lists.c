#include "hv/msr_lists.h"

#include "arch/cpu.h"
#include "arch/defs/msr.h"
#include "arch/vmx.h"
#include "hv/log.h"
#include "hv/vcpu_switch.h"
#include "hv/vm_trial.h"

#define LIST_STEPS (PLAN_LIST_L1D | PLAN_LIST_MCU)

void msr_lists_load(struct percpu *cpu, struct vcpu *vcpu)
{
	vmwrite(VMCS_ENTRY_MSR_LOAD_ADDRESS, hpa_of(cpu->entry_list).v);
	vmwrite(VMCS_EXIT_MSR_LOAD_ADDRESS, hpa_of(cpu->exit_list).v);
	vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	vmwrite(VMCS_EXIT_MSR_LOAD_COUNT, 0);
	vcpu->list_steps = 0;
}

void msr_lists_prepare(struct percpu *cpu, struct vcpu *vcpu, const struct entry_plan *plan)
{
	const uint32_t steps = plan->steps & LIST_STEPS;
	uint32_t entry_count = 0, exit_count = 0;

	if (steps == 0 && vcpu->list_steps == 0)
		return;
	if (steps & PLAN_LIST_L1D)
		cpu->entry_list[entry_count++] =
			(struct vmx_msr_entry){.msr = MSR_IA32_FLUSH_CMD, .value = FLUSH_CMD_L1D_FLUSH};
	if (steps & PLAN_LIST_MCU) {
		cpu->entry_list[entry_count++] = (struct vmx_msr_entry){
			.msr = MSR_IA32_MCU_OPT_CTRL, .value = plan->mcu_opt_ctrl | MCU_OPT_CTRL_FB_CLEAR_DIS};
		cpu->exit_list[exit_count++] =
			(struct vmx_msr_entry){.msr = MSR_IA32_MCU_OPT_CTRL, .value = plan->mcu_opt_ctrl_root};
	}
	if (steps != vcpu->list_steps) {
		vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, entry_count);
		vmwrite(VMCS_EXIT_MSR_LOAD_COUNT, exit_count);
		vcpu->list_steps = steps;
	}
}

/* One entry with one MSR in the area, with the value that the lists are for. */
static bool takes(struct percpu *cpu, struct vcpu *vcpu, uint32_t msr, uint64_t value)
{
	static const struct entry_plan plan = {.steps = PLAN_LAUNCH};
	enum vmx_enter_status status;

	vcpu_load(cpu, vcpu);
	cpu->entry_list[0] = (struct vmx_msr_entry){.msr = msr, .value = value};
	vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, 1);
	vmwrite(VMCS_PREEMPTION_TIMER, 0);
	do {
		cpu->arch.nmi_pending = 0;
		status = vmx_enter(&plan, &vcpu->regs);
	} while (status == VMX_ENTER_NMI);

	const bool taken = status == VMX_ENTER_EXITED && vmread(VMCS_EXIT_REASON) == EXIT_PREEMPTION_TIMER;

	vcpu_put(cpu);
	if (!taken)
		log_line(LOG_NOTICE,
			 "cpu%u: the vm-entry msr-load area does not take msr 0x%x: msrlist is not used for it",
			 cpu->arch.index, msr);
	return taken;
}

uint32_t msr_lists_probe(struct percpu *cpu, const struct cpu_caps *caps)
{
	const uint32_t wanted = cpu_caps_msrs(caps);
	const uint64_t fb_clear_dis = caps->arch_capabilities & ARCH_CAP(FB_CLEAR_CTRL) ? MCU_OPT_CTRL_FB_CLEAR_DIS : 0;
	struct vcpu *vcpu = vm_trial_make(cpu);
	uint32_t taken = 0;

	if (vcpu == NULL) {
		log_line(LOG_NOTICE, "cpu%u: no memory to try the vm-entry msr-load area: it is not used",
			 cpu->arch.index);
		return 0;
	}
	if ((wanted & CPU_MSR_FLUSH_CMD) && takes(cpu, vcpu, MSR_IA32_FLUSH_CMD, FLUSH_CMD_L1D_FLUSH))
		taken |= CPU_MSR_FLUSH_CMD;
	if (wanted & CPU_MSR_MCU_OPT_CTRL) {
		if (takes(cpu, vcpu, MSR_IA32_MCU_OPT_CTRL, cpu->mcu_opt_ctrl | fb_clear_dis))
			taken |= CPU_MSR_MCU_OPT_CTRL;
		wrmsr(MSR_IA32_MCU_OPT_CTRL, cpu->mcu_opt_ctrl);
	}
	vm_trial_unmake(vcpu);
	cpu->last_vcpu = NULL;
	cpu->last_vm = 0;
	return taken;
}
