#include "hv/vcpu_apicv.h"

#include "arch/vmx.h"
#include "hv/vm.h"

static const enum vmcs_field eoi_exit_fields[APICV_EOI_EXIT_WORDS] = {VMCS_EOI_EXIT_BITMAP0, VMCS_EOI_EXIT_BITMAP1,
								      VMCS_EOI_EXIT_BITMAP2, VMCS_EOI_EXIT_BITMAP3};

void vcpu_apicv_reset(const struct percpu *cpu, struct vcpu *vcpu)
{
	const enum apicv_level level = cpu->vmx_config.apicv;

	vcpu->apicv = (struct vcpu_apicv){.mode = APICV_BY_SOFTWARE};
	if (level == APICV_OFF)
		return;
	vmwrite(VMCS_VIRTUAL_APIC_ADDRESS, hpa_of(vcpu->lapic.page).v);
	vmwrite(VMCS_TPR_THRESHOLD, 0);
	if (level != APICV_FULL)
		return;
	vmwrite(VMCS_APIC_ACCESS_ADDRESS, vcpu->vm->apic_access.v);
	vmwrite(VMCS_GUEST_INTERRUPT_STATUS, 0);
	for (unsigned i = 0; i < APICV_EOI_EXIT_WORDS; i++)
		vmwrite(eoi_exit_fields[i], 0);
}

/* Which translations are cached with the APIC-access page in them follows from the page tables' address, so a change of
 * mode needs no invalidation. */
static void set_mode(const struct percpu *cpu, struct vcpu *vcpu, enum apicv_mode mode)
{
	const struct vm *vm = vcpu->vm;

	if (vcpu->apicv.mode == mode)
		return;
	vcpu->apicv.mode = mode;
	vmwrite(VMCS_SECONDARY_CONTROLS, cpu->vmx_config.secondary | apicv_controls(mode));
	vmwrite(VMCS_EPT_POINTER, ept_pointer(mode == APICV_BY_PAGE ? &vm->ept_apic : &vm->ept));
	vmwrite(VMCS_MSR_BITMAP, (mode == APICV_BY_MSRS ? vm->msr_bitmap_x2apic : vm->msr_bitmap).v);
}

static void set_tpr_threshold(struct vcpu *vcpu)
{
	const uint32_t threshold = apicv_tpr_threshold(&vcpu->lapic);

	if (vcpu->apicv.tpr_threshold == threshold)
		return;
	vcpu->apicv.tpr_threshold = threshold;
	vmwrite(VMCS_TPR_THRESHOLD, threshold);
}

static void set_eoi_exits(struct vcpu *vcpu)
{
	uint64_t words[APICV_EOI_EXIT_WORDS];

	apicv_eoi_exits(&vcpu->lapic, words);
	for (unsigned i = 0; i < APICV_EOI_EXIT_WORDS; i++) {
		if (vcpu->apicv.eoi_exits[i] == words[i])
			continue;
		vcpu->apicv.eoi_exits[i] = words[i];
		vmwrite(eoi_exit_fields[i], words[i]);
	}
}

bool vcpu_apicv_update(const struct percpu *cpu, struct vcpu *vcpu)
{
	const enum apicv_level level = cpu->vmx_config.apicv;

	if (level == APICV_OFF)
		return false;
	set_mode(cpu, vcpu, apicv_mode(level, &vcpu->lapic));
	if (vcpu->apicv.mode == APICV_BY_SOFTWARE) {
		set_tpr_threshold(vcpu);
		return false;
	}
	lapic_merge(&vcpu->lapic);
	vmwrite(VMCS_GUEST_INTERRUPT_STATUS, apicv_interrupt_status(&vcpu->lapic));
	set_eoi_exits(vcpu);
	return true;
}

/* The CPU puts a vector in service before it delivers it, and keeps no other account. */
bool vcpu_apicv_took(const struct vcpu *vcpu, uint8_t vector)
{
	return vcpu->apicv.mode != APICV_BY_SOFTWARE && lapic_in_service(&vcpu->lapic) == vector;
}
