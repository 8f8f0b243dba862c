#include "hv/vcpu_reset.h"

#include "arch/cpu.h"
#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "arch/fpu.h"
#include "arch/memory.h"
#include "arch/vmx.h"
#include "hv/panic.h"
#include "hv/policy/cpuid_policy.h"
#include "hv/vcpu_apic.h"
#include "hv/vcpu_apicv.h"
#include "hv/vcpu_cpuid.h"
#include "hv/vcpu_cr.h"
#include "hv/vcpu_segment.h"
#include "hv/vm.h"

/* PAUSEs no further apart than the gap are one loop; a loop longer than the window exits. A lock that is held by a vCPU
 * that runs is free sooner. */
#define PLE_GAP_TSC    128
#define PLE_WINDOW_TSC 4096

#define LIMIT_4G  0xffffffffu
#define LIMIT_64K 0xffffu
#define PAT_RESET 0x0007040600070406ull /* SDM vol. 3A, "Page Attribute Table (PAT)" */
#define NO_LINK   UINT64_MAX

static void write_controls(const struct percpu *cpu, struct vcpu *vcpu)
{
	const struct vmx_config *config = &cpu->vmx_config;
	const struct vm *vm = vcpu->vm;

	vmwrite(VMCS_PIN_BASED_CONTROLS, config->pin);
	vmwrite(VMCS_PROCESSOR_CONTROLS, config->processor);
	vmwrite(VMCS_SECONDARY_CONTROLS, config->secondary);
	vmwrite(VMCS_EXIT_CONTROLS, config->exit);
	vmwrite(VMCS_ENTRY_CONTROLS, config->entry);
	/* #AC and #DB can be raised without end while one is delivered, out of reach of the preemption timer; #MC is
	 * the host's affair. */
	vmwrite(VMCS_EXCEPTION_BITMAP, 1u << EXC_DB | 1u << EXC_AC | 1u << EXC_MC);
	vmwrite(VMCS_PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmwrite(VMCS_PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmwrite(VMCS_CR3_TARGET_COUNT, 0);
	vmwrite(VMCS_EXIT_MSR_STORE_COUNT, 0);
	vmwrite(VMCS_EXIT_MSR_LOAD_COUNT, 0);
	vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, 0);
	if (config->pause_loop) {
		vmwrite(VMCS_PLE_GAP, PLE_GAP_TSC);
		vmwrite(VMCS_PLE_WINDOW, PLE_WINDOW_TSC);
	}
	vmwrite(VMCS_VPID, vcpu->vpid);
	vmwrite(VMCS_EPT_POINTER, ept_pointer(&vm->ept));
	vmwrite(VMCS_MSR_BITMAP, vm->msr_bitmap.v);
	vmwrite(VMCS_VMCS_LINK_POINTER, NO_LINK);
	/* IA32_XSS is 0, so that nothing comes of it. */
	if (config->xsaves)
		vmwrite(VMCS_XSS_EXITING_BITMAP, UINT64_MAX);
	vcpu_apicv_reset(cpu, vcpu);

	/* Bits that the guest may not change under us read as the guest wrote them. */
	vmwrite(VMCS_CR0_MASK, vcpu_cr0_mask(cpu));
	vmwrite(VMCS_CR4_MASK, vcpu_cr4_mask(cpu, vm));
}

/* What is the same on every pCPU; the rest comes with vcpu_load(). */
static void write_host_state(void)
{
	vmwrite(VMCS_HOST_CS_SELECTOR, SELECTOR_CODE);
	vmwrite(VMCS_HOST_SS_SELECTOR, SELECTOR_DATA);
	vmwrite(VMCS_HOST_DS_SELECTOR, SELECTOR_DATA);
	vmwrite(VMCS_HOST_ES_SELECTOR, SELECTOR_DATA);
	vmwrite(VMCS_HOST_FS_SELECTOR, 0);
	vmwrite(VMCS_HOST_GS_SELECTOR, 0);
	vmwrite(VMCS_HOST_TR_SELECTOR, SELECTOR_TSS);
	vmwrite(VMCS_HOST_FS_BASE, 0);
	vmwrite(VMCS_HOST_SYSENTER_CS, 0);
	vmwrite(VMCS_HOST_SYSENTER_ESP, 0);
	vmwrite(VMCS_HOST_SYSENTER_EIP, 0);
	vmwrite(VMCS_HOST_EFER, rdmsr(MSR_IA32_EFER));
	vmwrite(VMCS_HOST_RIP, (uint64_t)(uintptr_t)vmx_exit);
}

/* What is the same after INIT and for a kernel. */
static void write_common_state(const struct percpu *cpu)
{
	vcpu_segment_set(SEGMENT_LDTR, 0, 0, LIMIT_64K, AR_LDT);
	vcpu_segment_set(SEGMENT_TR, 0, 0, LIMIT_64K, AR_TSS32_BUSY);
	vmwrite(VMCS_GUEST_GDTR_BASE, 0);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, LIMIT_64K);
	vmwrite(VMCS_GUEST_IDTR_BASE, 0);
	vmwrite(VMCS_GUEST_IDTR_LIMIT, LIMIT_64K);
	vcpu_cr4_write(cpu, 0);
	vmwrite(VMCS_GUEST_CR3, 0);
	vmwrite(VMCS_GUEST_EFER, 0);
	vmwrite(VMCS_ENTRY_CONTROLS, cpu->vmx_config.entry);
	/* An entry that an NMI ended may have left an event here. */
	vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, 0);
	vmwrite(VMCS_GUEST_DR7, DR7_INIT);
	vmwrite(VMCS_GUEST_RSP, 0);
	vmwrite(VMCS_GUEST_RFLAGS, RFLAGS_FIXED1);
	vmwrite(VMCS_GUEST_DEBUGCTL, 0);
	vmwrite(VMCS_GUEST_SYSENTER_CS, 0);
	vmwrite(VMCS_GUEST_SYSENTER_ESP, 0);
	vmwrite(VMCS_GUEST_SYSENTER_EIP, 0);
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, 0);
	vmwrite(VMCS_GUEST_ACTIVITY_STATE, ACTIVITY_ACTIVE);
	vmwrite(VMCS_GUEST_PENDING_DEBUG, 0);
}

static const enum vcpu_segment data_segments[] = {SEGMENT_SS, SEGMENT_DS, SEGMENT_ES, SEGMENT_FS, SEGMENT_GS};

#define DATA_SEGMENTS (sizeof(data_segments) / sizeof(data_segments[0]))

static void write_kernel_state(const struct percpu *cpu, const struct vcpu_entry *entry)
{
	write_common_state(cpu);
	vcpu_segment_set(SEGMENT_CS, entry->cs, 0, LIMIT_4G, entry->is_64bit ? AR_CODE64 : AR_CODE32);
	for (unsigned i = 0; i < DATA_SEGMENTS; i++)
		vcpu_segment_set(data_segments[i], entry->ds, 0, LIMIT_4G, AR_DATA32);
	vmwrite(VMCS_GUEST_GDTR_BASE, entry->gdt_gpa);
	vmwrite(VMCS_GUEST_GDTR_LIMIT, entry->gdt_limit);
	vcpu_cr0_write(cpu, CR0_PE | CR0_ET | (entry->is_64bit ? CR0_PG : 0));
	if (entry->is_64bit) {
		vmwrite(VMCS_GUEST_CR3, entry->cr3);
		vcpu_cr4_write(cpu, CR4_PAE);
		vmwrite(VMCS_GUEST_EFER, EFER_LME | EFER_LMA);
		vmwrite(VMCS_ENTRY_CONTROLS, cpu->vmx_config.entry | ENTRYCTL_GUEST_64);
	}
	vmwrite(VMCS_GUEST_RIP, entry->rip);
}

static void write_init_state(const struct percpu *cpu)
{
	write_common_state(cpu);
	vcpu_segment_set(SEGMENT_CS, 0, 0, LIMIT_64K, AR_CODE16);
	for (unsigned i = 0; i < DATA_SEGMENTS; i++)
		vcpu_segment_set(data_segments[i], 0, 0, LIMIT_64K, AR_DATA16);
	vcpu_cr0_write(cpu, CR0_CD | CR0_NW | CR0_ET);
	vmwrite(VMCS_GUEST_RIP, 0);
}

/* What EDX holds after power-up and INIT. */
static void set_version(struct vcpu *vcpu)
{
	vcpu->regs.gpr[GPR_RDX] = cpuid_policy_version(&vcpu->vm->model);
}

/* INIT leaves the FPU, XCR0 and the other MSRs as they are. */
void vcpu_reset_init(struct percpu *cpu, struct vcpu *vcpu)
{
	write_init_state(cpu);
	memset(&vcpu->regs, 0, sizeof(vcpu->regs));
	set_version(vcpu);
	vcpu->event.info = 0;
	write_dr0(0);
	write_dr1(0);
	write_dr2(0);
	write_dr3(0);
	write_dr6(DR6_INIT);
	write_cr2(0);
	/* Its translations were made under other control registers. */
	invvpid(INVVPID_SINGLE, vcpu->vpid);
}

void vcpu_reset_start_up(uint8_t vector)
{
	vmwrite(VMCS_GUEST_CS_SELECTOR, (uint64_t)vector << 8);
	vmwrite(VMCS_GUEST_CS_BASE, (uint64_t)vector << 12);
	vmwrite(VMCS_GUEST_RIP, 0);
}

void vcpu_reset(struct percpu *cpu, struct vcpu *vcpu, const struct vcpu_entry *entry)
{
	*(uint32_t *)hpa_ptr(vcpu->vmcs) = cpu->vmx_config.revision;
	if (!vmclear(vcpu->vmcs) || !vmptrld(vcpu->vmcs))
		panic("no vmcs can be made: address=0x%lx", vcpu->vmcs.v);
	write_controls(cpu, vcpu);
	vmwrite(VMCS_TSC_OFFSET, vm_tsc_offset(vcpu->vm));
	write_host_state();
	if (vcpu->index == 0)
		write_kernel_state(cpu, entry);
	else
		write_init_state(cpu);
	vcpu_snapshot_take(&vcpu->snapshot);
	if (!vmclear(vcpu->vmcs))
		panic("vmclear failed: vmcs=0x%lx", vcpu->vmcs.v);

	/* This pCPU may be between two entries of another vCPU. */
	const struct vcpu *current = atomic_load_explicit(&cpu->current, memory_order_relaxed);

	if (current != NULL && !vmptrld(current->vmcs))
		panic("vmptrld failed: vmcs=0x%lx", current->vmcs.v);

	vcpu_apic_reset(vcpu);
	vcpu->tsc_offset = vm_tsc_offset(vcpu->vm);
	set_version(vcpu);
	if (vcpu->index == 0) {
		vcpu->regs.gpr[GPR_RAX] = entry->rax;
		vcpu->regs.gpr[GPR_RBX] = entry->rbx;
		vcpu->regs.gpr[GPR_RSI] = entry->rsi;
	}
	vcpu->switched.dr6 = DR6_INIT;
	fpu_area_init(vcpu->switched.fpu);
	vcpu->pat = PAT_RESET;
	vcpu->xcr0 = XCR0_X87;
	vcpu_cpuid_changed(vcpu);
	vcpu->exit_reason = TRACE_AFTER_START;
	vcpu->cpu = VCPU_NOWHERE;
	vcpu->last_cpu = VCPU_NOWHERE;
}
