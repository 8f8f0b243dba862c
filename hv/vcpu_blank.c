#include "hv/vcpu_blank.h"

#include "arch/ept.h"
#include "arch/vmx.h"
#include "hv/panic.h"
#include "hv/percpu.h"
#include "hv/vcpu.h"

bool vcpu_blank_want(struct percpu *cpu, struct vcpu *vcpu, uint64_t at)
{
	struct vcpu_blank *blank = &vcpu->blank;

	if (blank->count == EPT_OVERLAY_ADDRESSES || at >> EPT_ADDRESS_BITS != 0)
		return false;
	blank->at[blank->count++] = gpa(at & ~(PAGE_BYTES - 1));
	vcpu->stats.unanswered++;
	percpu_plan_anew(cpu);
	return true;
}

/* One instruction: by the monitor trap flag or, where there is none, by a preemption timer of one count. That may end
 * the guest's run before the instruction, which is then tried again. */
static void step_once(struct percpu *cpu)
{
	if (cpu->vmx_config.monitor_trap) {
		vmwrite(VMCS_PROCESSOR_CONTROLS, vmread(VMCS_PROCESSOR_CONTROLS) | CPU_MONITOR_TRAP);
		return;
	}
	vmwrite(VMCS_PREEMPTION_TIMER, 1);
	cpu->timer_armed_tsc = 0;
}

void vcpu_blank_begin(struct percpu *cpu, struct vcpu *vcpu)
{
	struct vcpu_blank *blank = &vcpu->blank;
	struct ept tables = {0};

	blank->ept_pointer = vmread(VMCS_EPT_POINTER);
	tables.root =
		ept_overlay_make(&cpu->overlay, hpa(blank->ept_pointer & EPT_ADDRESS_MASK), blank->at, blank->count);
	vmwrite(VMCS_EPT_POINTER, ept_pointer(&tables));
	step_once(cpu);
}

void vcpu_blank_end(struct percpu *cpu, struct vcpu *vcpu, bool done)
{
	struct vcpu_blank *blank = &vcpu->blank;

	/* The tables are written over before they are used again. */
	if (!invept(INVEPT_SINGLE, vmread(VMCS_EPT_POINTER)))
		panic("invept failed");
	vmwrite(VMCS_EPT_POINTER, blank->ept_pointer);
	if (cpu->vmx_config.monitor_trap)
		vmwrite(VMCS_PROCESSOR_CONTROLS, vmread(VMCS_PROCESSOR_CONTROLS) & ~(uint64_t)CPU_MONITOR_TRAP);
	if (done)
		blank->count = 0;
}
