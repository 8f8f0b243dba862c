#include "hv/vcpu_switch.h"

#include "arch/cpu.h"
#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "arch/fpu.h"
#include "arch/vmx.h"
#include "hv/msr_lists.h"
#include "hv/panic.h"
#include "hv/vm.h"

/* Which pCPU this is: base addresses and stacks differ from one to the next. */
static void load_host_state(const struct percpu *cpu)
{
	vmwrite(VMCS_HOST_TR_BASE, (uint64_t)(uintptr_t)&cpu->arch.tss);
	vmwrite(VMCS_HOST_GDTR_BASE, (uint64_t)(uintptr_t)cpu->arch.gdt);
	vmwrite(VMCS_HOST_IDTR_BASE, arch_idt_base());
	vmwrite(VMCS_HOST_GS_BASE, (uint64_t)(uintptr_t)&cpu->arch);
	vmwrite(VMCS_HOST_CR0, read_cr0());
	vmwrite(VMCS_HOST_CR3, read_cr3());
	vmwrite(VMCS_HOST_CR4, read_cr4());
	/* vmx_exit fetches the real stack pointer; until then it need only be an address. */
	vmwrite(VMCS_HOST_RSP, cpu->arch.stack_top);
}

static void drop_translations_of(const struct ept *ept)
{
	if (ept->root.v != 0 && !invept(INVEPT_SINGLE, ept_pointer(ept)))
		panic("invept failed");
}

/* Translations that must not be used here: this vCPU's own from before it went elsewhere, or another's that had its
 * VPID; and those of an EPT that stood at the same address before (facts.md, trap 35). */
static void drop_stale_translations(const struct percpu *cpu, struct vcpu *vcpu)
{
	const uint64_t bit = 1ull << cpu->arch.index;

	if (vcpu->last_cpu != cpu->arch.index && !invvpid(INVVPID_SINGLE, vcpu->vpid))
		panic("invvpid failed");
	if (atomic_load_explicit(&vcpu->vm->ept_fresh, memory_order_relaxed) & bit)
		return;
	drop_translations_of(&vcpu->vm->ept);
	drop_translations_of(&vcpu->vm->ept_apic);
	atomic_fetch_or_explicit(&vcpu->vm->ept_fresh, bit, memory_order_relaxed);
}

/* A guest's IA32_TSX_CTRL is the real one where it has one; the others run with what boot found. Where the machine has
 * none, a guest's is a number without effect. */
static uint64_t tsx_ctrl_of(const struct percpu *cpu, const struct vcpu *vcpu)
{
	return vcpu->vm->model.arch_capabilities & ARCH_CAP(TSX_CTRL) ? vcpu->tsx_ctrl : cpu->tsx_ctrl;
}

static void load_switched(const struct percpu *cpu, struct vcpu *vcpu)
{
	const struct vcpu_switched *s = &vcpu->switched;

	wrmsr(MSR_IA32_STAR, s->star);
	wrmsr(MSR_IA32_LSTAR, s->lstar);
	wrmsr(MSR_IA32_CSTAR, s->cstar);
	wrmsr(MSR_IA32_FMASK, s->fmask);
	wrmsr(MSR_IA32_KERNEL_GS_BASE, s->kernel_gs_base);
	if (cpu->vmx_config.rdtscp)
		wrmsr(MSR_IA32_TSC_AUX, s->tsc_aux);
	if (cpu->has_tsx_ctrl)
		wrmsr(MSR_IA32_TSX_CTRL, tsx_ctrl_of(cpu, vcpu));
	write_dr0(s->dr0);
	write_dr1(s->dr1);
	write_dr2(s->dr2);
	write_dr3(s->dr3);
	write_dr6(s->dr6);
	write_cr2(s->cr2);
	fpu_load(s->fpu);
	if (fpu_components() != 0)
		xsetbv0(vcpu->xcr0);
}

static void save_switched(const struct percpu *cpu, struct vcpu *vcpu)
{
	struct vcpu_switched *s = &vcpu->switched;

	s->star = rdmsr(MSR_IA32_STAR);
	s->lstar = rdmsr(MSR_IA32_LSTAR);
	s->cstar = rdmsr(MSR_IA32_CSTAR);
	s->fmask = rdmsr(MSR_IA32_FMASK);
	s->kernel_gs_base = rdmsr(MSR_IA32_KERNEL_GS_BASE);
	if (cpu->vmx_config.rdtscp)
		s->tsc_aux = rdmsr(MSR_IA32_TSC_AUX);
	s->dr0 = read_dr0();
	s->dr1 = read_dr1();
	s->dr2 = read_dr2();
	s->dr3 = read_dr3();
	s->dr6 = read_dr6();
	s->cr2 = read_cr2();
	fpu_save(s->fpu);
}

void vcpu_load(struct percpu *cpu, struct vcpu *vcpu)
{
	if (!vmptrld(vcpu->vmcs))
		panic("vmptrld failed: vmcs=0x%lx", vcpu->vmcs.v);
	load_host_state(cpu);
	msr_lists_load(cpu, vcpu);
	drop_stale_translations(cpu, vcpu);
	load_switched(cpu, vcpu);
	if (cpu->last_vcpu != vcpu || vcpu->last_cpu != cpu->arch.index)
		percpu_request_flush(cpu, WHY_SWITCH);
	percpu_plan_anew(cpu);
	vcpu->last_cpu = cpu->arch.index;
	atomic_store_explicit(&cpu->current, vcpu, memory_order_release);
}

void vcpu_put(struct percpu *cpu)
{
	struct vcpu *vcpu = atomic_load_explicit(&cpu->current, memory_order_relaxed);

	vcpu_snapshot_take(&vcpu->snapshot);
	save_switched(cpu, vcpu);
	if (!vmclear(vcpu->vmcs))
		panic("vmclear failed: vmcs=0x%lx", vcpu->vmcs.v);
	vcpu->launched = false;
	cpu->last_vcpu = vcpu;
	atomic_store_explicit(&cpu->current, NULL, memory_order_release);
}
