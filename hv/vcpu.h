/* One virtual CPU. It belongs to the pCPU that it is loaded on: nobody else touches it, but for the fields marked
 * otherwise; when it is loaded nowhere, it belongs to the holder of the scheduler's lock or to the console while its VM
 * is stopped. */
#ifndef HV_VCPU_H
#define HV_VCPU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/abi/regs.h"
#include "arch/address.h"
#include "arch/defs/cr.h"
#include "arch/defs/vmx.h"
#include "arch/vmx.h"
#include "hv/policy/apicv.h"
#include "hv/policy/cpuid_cache.h"
#include "hv/policy/lapic.h"
#include "hv/vcpu_blank.h"

#define VCPU_NOWHERE     UINT32_MAX
#define VCPU_TIMER_NEVER UINT64_MAX

/* Why the entry path must look closer; set by any pCPU. */
enum vcpu_attention {
	ATTENTION_PROVOKED = 1u << 0, /* hv/provoke.h */
	ATTENTION_EVENT = 1u << 1,    /* an interrupt, NMI, INIT or SIPI may have come: hv/vcpu_apic.h */
};

struct vm;

/* Entries are counted once each, by what became of the L1D (enum plan_l1d) and whether VERW ran. */
enum entry_kind { ENTRY_VERW = 1u << 2, ENTRY_KINDS = 2 * ENTRY_VERW };

/* Counted since the VM's start; read by the console without a lock, so a row may be one entry old. */
struct vcpu_stats {
	uint64_t entered[ENTRY_KINDS]; /* by enum entry_kind */
	uint64_t mcu_opt_ctrl_reads, mcu_opt_ctrl_writes;
	uint64_t ibpb;
	uint64_t unanswered;              /* accesses to ports and addresses that nothing answers */
	uint64_t guest_ticks, root_ticks; /* TSC ticks in the guest, and from its exits to the entries after them */
	uint64_t exit[EXIT_REASON_COUNT];
	uint64_t exit_unknown; /* reasons beyond these */
};

/* Registers that no VM entry or exit switches: they hold the guest's values while the vCPU is on a pCPU, and are kept
 * here while it is not (hv/vcpu_switch.c). */
struct vcpu_switched {
	uint64_t star, lstar, cstar, fmask, kernel_gs_base, tsc_aux;
	uint64_t dr0, dr1, dr2, dr3, dr6;
	uint64_t cr2;
	void *fpu; /* one page: XSAVE area, or FXSAVE area where there is no XSAVE */
};

/* An event to deliver with the next entry: the fields of the VMCS. */
struct vcpu_event {
	uint32_t info; /* INTR_INFO_VALID: there is one */
	uint32_t error_code;
	uint32_t instruction_length;
};

/* What the VMCS holds for hv/vcpu_apicv.h. */
struct vcpu_apicv {
	enum apicv_mode mode;
	uint32_t tpr_threshold;
	uint64_t eoi_exits[APICV_EOI_EXIT_WORDS];
};

/* What `vm show` and a crash print of a vCPU. */
struct vcpu_snapshot {
	uint64_t rip, rsp, rflags, cr0, cr3, cr4, efer;
};

enum vcpu_wait { VCPU_RUNS, VCPU_HALTED, VCPU_WAITS_FOR_SIPI };

/* What has come for a vCPU besides interrupts. */
enum vcpu_signal {
	SIGNAL_NMI = 1u << 0,
	SIGNAL_INIT = 1u << 1,
	SIGNAL_SIPI = 1u << 2,
	SIGNAL_EXTINT = 1u << 3, /* the I/O APIC says: take the 8259s' interrupt */
};

struct vcpu {
	struct guest_regs regs;
	struct vm *vm;
	uint32_t index;
	uint16_t vpid; /* its own as long as the VM is on */
	hpa_t vmcs;
	bool launched;              /* VMLAUNCH has succeeded since the last VMCLEAR */
	_Atomic uint32_t attention; /* enum vcpu_attention; set by anybody, cleared by the owner */
	_Atomic uint8_t provoked;   /* enum provoked */
	_Atomic uint8_t wait;       /* enum vcpu_wait; read by the scheduler on any pCPU */
	_Atomic uint64_t
		timer_tsc;   /* the host's TSC when a timer of it is due; under the VM's apic_lock, read anywhere */
	uint32_t cpu;        /* the pCPU that has it, VCPU_NOWHERE; under the scheduler's lock */
	uint32_t last_cpu;   /* where it ran last; VCPU_NOWHERE: never */
	uint64_t scheduled;  /* when it was picked last, in picks; under the scheduler's lock */
	uint64_t tsc_offset; /* what the VMCS holds of the VM's */
	uint32_t list_steps; /* enum plan_step: what the counts of its MSR-load areas stand for */
	struct vcpu_event event;
	bool event_is_extint; /* the last interrupt injected came from the 8259s */
	struct vcpu_switched switched;
	uint64_t spec_ctrl, tsx_ctrl, pat, xcr0;
	struct cpuid_cache cpuid; /* vcpu_cpuid_changed() says after which changes */
	struct vcpu_apicv apicv;
	struct vcpu_blank blank;
	uint16_t silent_port;         /* one that nothing answers: the last such (0 is one, too) */
	_Atomic uint8_t event_vector; /* of caps_event; 0: none; read by the console */

	/* Under the VM's apic_lock. */
	struct lapic lapic;
	uint8_t signals; /* enum vcpu_signal */
	uint8_t sipi_vector;
	int16_t extint_vector; /* acknowledged at the 8259s and not yet delivered; -1: none */
	bool halt_interrupts;  /* in HLT with RFLAGS.IF set */
	bool halt_nmis;        /* in HLT, and no NMI is being handled */

	uint32_t exit_reason; /* of the last exit; TRACE_AFTER_START: there was none */
	struct vcpu_stats stats;
	struct vcpu_snapshot snapshot; /* as of its reset, of the last end of a slice, or when it left a pCPU */
};

/* Entries of all kinds for which (kind & mask) == wanted. */
uint64_t vcpu_entries(const struct vcpu_stats *stats, unsigned mask, unsigned wanted);

static inline uint64_t vcpu_all_entries(const struct vcpu_stats *stats)
{
	return vcpu_entries(stats, 0, 0);
}

/* l1d: enum plan_l1d. */
static inline uint64_t vcpu_flushes(const struct vcpu_stats *stats, unsigned l1d)
{
	return vcpu_entries(stats, ENTRY_VERW - 1, l1d);
}

static inline uint64_t vcpu_verws(const struct vcpu_stats *stats)
{
	return vcpu_entries(stats, ENTRY_VERW, ENTRY_VERW);
}

/* All exits. */
uint64_t vcpu_exits(const struct vcpu_stats *stats);

/* General-purpose register number `number` as an instruction names it; RSP comes from the VMCS. The vCPU is loaded. */
uint64_t vcpu_gpr(const struct vcpu *vcpu, unsigned number);
void vcpu_gpr_set(struct vcpu *vcpu, unsigned number, uint64_t value);

/* EDX:EAX of RDMSR, WRMSR and XSETBV. */
static inline uint64_t vcpu_edx_eax(const struct vcpu *vcpu)
{
	return vcpu->regs.gpr[GPR_RDX] << 32 | (uint32_t)vcpu->regs.gpr[GPR_RAX];
}

static inline void vcpu_edx_eax_set(struct vcpu *vcpu, uint64_t value)
{
	vcpu->regs.gpr[GPR_RAX] = (uint32_t)value;
	vcpu->regs.gpr[GPR_RDX] = value >> 32;
}

/* After an instruction: the STI or MOV-SS shadow ends, a single-step trap is due where TF is set (facts.md, trap 36).
 */
void vcpu_end_shadow(void);

/* The instruction that exited is done: RIP goes past it. For those where the CPU does not say how long they are. */
static inline void vcpu_skip_bytes(struct vcpu *vcpu, uint64_t length)
{
	uint64_t rip = vmread(VMCS_GUEST_RIP) + length;

	(void)vcpu;

	/* Outside 64-bit mode RIP has 32 bits: one too many is set if it has gone round. */
	if ((rip & 1ull << 32) && !(vmread(VMCS_GUEST_CS_ACCESS_RIGHTS) & AR_CS_L))
		rip = (uint32_t)rip;
	vmwrite(VMCS_GUEST_RIP, rip);
	if ((vmread(VMCS_GUEST_INTERRUPTIBILITY) & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)) |
	    (vmread(VMCS_GUEST_RFLAGS) & RFLAGS_TF))
		vcpu_end_shadow();
}

/* For all others. */
static inline void vcpu_skip_instruction(struct vcpu *vcpu)
{
	vcpu_skip_bytes(vcpu, vmread(VMCS_EXIT_INSTRUCTION_LENGTH));
}

/* The exception comes with the next entry. */
void vcpu_inject_exception(struct vcpu *vcpu, unsigned vector);
void vcpu_inject_exception_error(struct vcpu *vcpu, unsigned vector, uint32_t error_code);
void vcpu_inject_gp(struct vcpu *vcpu);

/* Privilege level of the code that runs on the vCPU loaded here. */
static inline unsigned vcpu_cpl(void)
{
	return (unsigned)(vmread(VMCS_GUEST_SS_ACCESS_RIGHTS) >> AR_DPL_SHIFT) & AR_DPL_MASK;
}

/* Takes it from the VMCS, which must be loaded here. vcpu_put() does so too, into vcpu->snapshot. */
void vcpu_snapshot_take(struct vcpu_snapshot *out);

#endif
