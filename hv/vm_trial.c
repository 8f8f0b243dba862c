#include "hv/vm_trial.h"

#include "hv/pages.h"
#include "hv/vcpu_reset.h"
#include "hv/vm.h"

#define VPID_TRIAL UINT16_MAX /* no vCPU of a VM has it */

/* Memory of a trial: the VM's own structure is larger than a page. */
#define VM_PAGES ((sizeof(struct vm) + PAGE_BYTES - 1) / PAGE_BYTES)

void vm_trial_unmake(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	pages_give_one(vm->ept.root);
	pages_give_one(vm->msr_bitmap);
	pages_give_one(vcpu->vmcs);
	pages_give_one(hpa_of(vcpu->switched.fpu));
	pages_give_one(hpa_of(vcpu->lapic.page));
	pages_give_one(hpa_of(vcpu));
	pages_give(hpa_of(vm), VM_PAGES);
}

struct vcpu *vm_trial_make(struct percpu *cpu)
{
	/* Boot has plenty, or nothing else would work either: all or none. */
	if (pages_free_count() < VM_PAGES + 8)
		return NULL;

	struct vm *vm = hpa_ptr(pages_take(VM_PAGES, 1));
	struct vcpu *vcpu = hpa_ptr(pages_take_one());

	vm->ept.root = pages_take_one();
	vm->msr_bitmap = pages_take_one();
	vcpu->vm = vm;
	vcpu->vpid = VPID_TRIAL;
	vcpu->vmcs = pages_take_one();
	vcpu->switched.fpu = hpa_ptr(pages_take_one());
	vcpu->lapic.page = hpa_ptr(pages_take_one());
	vcpu_reset(cpu, vcpu, &(struct vcpu_entry){0});
	return vcpu;
}
