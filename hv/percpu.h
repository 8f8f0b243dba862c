/* What the hypervisor keeps for each pCPU. Written by that pCPU alone, but for the fields marked otherwise. */
#ifndef HV_PERCPU_H
#define HV_PERCPU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/address.h"
#include "arch/defs/vmx.h"
#include "arch/ept_overlay.h"
#include "arch/percpu.h"
#include "hv/handshake.h"
#include "hv/policy/promise.h"
#include "hv/policy/vmx_ctl.h"
#include "hv/trace.h"

struct vcpu;

/* The plan of the last entry, and what it was made from. It stands, and is carried out again, until one of these
 * changes; hv/vcpu_run.c. */
struct standing_plan {
	struct entry_plan plan;
	uint64_t gen;        /* of the policy that it was made under */
	uint64_t stands_gen; /* the same; 0: the next entry wants a new plan, or toggles is set */
	bool toggles;        /* it stands if IA32_MCU_OPT_CTRL still reads as the exit left it */
	promise_t promise;   /* the VM's */
	uint8_t kind;        /* what is counted: enum entry_kind */
	uint8_t provoked;    /* enum provoked: how the entry is to fail */
	bool again;          /* entry_plan_stands(), and nothing else was done for this entry alone */
};

struct percpu {
	struct arch_percpu arch; /* first: the GS base points here */

	struct handshake_cpu handshake; /* which policy this pCPU has taken up */

	/* The vCPU whose VMCS is current here; NULL: none. Stored by this pCPU, read by others (`cpus`). */
	struct vcpu *_Atomic current;

	uint64_t nmi_handled;   /* NMIs of arch.nmi_count that the flush requests already know of */
	uint8_t abandoned;      /* enum trace_flag: what the next row tells of sequences that an NMI ended */
	uint8_t flush_requests; /* enum plan_why */
	uint8_t l1d_mode_seen;  /* the mode of the last plan: a change asks for a flush (trap 25) */
	bool idle;              /* looked for work in vain; under the scheduler's lock */
	bool vmx_on;
	bool started;                 /* set by the pCPU that started it */
	const struct vcpu *last_vcpu; /* ran here last: only compared, never followed */
	uint32_t last_vm;             /* its VM's incarnation; 0: none */
	struct standing_plan standing;
	uint64_t mcu_opt_ctrl; /* what IA32_MCU_OPT_CTRL holds (G4) */
	uint64_t spec_ctrl;    /* what IA32_SPEC_CTRL holds in root mode, where there is such */
	uint64_t tsx_ctrl;     /* what boot found in IA32_TSX_CTRL, if has_tsx_ctrl */
	bool has_tsx_ctrl;
	uint64_t quantum_end_tsc; /* of the current vCPU */
	uint64_t sleep_until_tsc; /* nobody's timer that this pCPU could see to is due before */
	uint64_t timer_armed_tsc; /* what the preemption timer of the current vCPU stands for; 0: nothing */

	/* Where the time went, in TSC ticks since sched_loop(); all before account_tsc is in one of the three. Root
	 * mode is what is neither guest nor sleep. */
	uint64_t account_tsc;
	uint64_t guest_ticks, root_ticks, idle_ticks;
	uint64_t run_until_tsc;   /* when this run ends */
	uint64_t run_guest_ticks; /* of this run: each entry's tsc is taken off, each exit's added */

	struct vmx_msr_entry entry_list[2] __attribute__((aligned(16))); /* hv/msr_lists.h */
	struct vmx_msr_entry exit_list[1] __attribute__((aligned(16)));
	uint32_t entry_list_msrs; /* enum cpu_msr: what the VM-entry area takes here */
	struct vmx_config vmx_config;
	const char *vmx_missing; /* why VMX is not used here; NULL: it is */
	hpa_t vmxon_region;
	struct ept_overlay overlay; /* hv/vcpu_blank.h */
	struct trace_ring trace;
};

extern struct percpu percpus[CPUS_MAX];
extern uint32_t percpu_count; /* those that run; 0 is the console's */

static inline struct percpu *percpu_this(void)
{
	return (struct percpu *)arch_percpu_this();
}

/* Something that the plan is made from has changed, by this pCPU itself: its flush requests, or the vCPU that is loaded
 * here. */
static inline void percpu_plan_anew(struct percpu *cpu)
{
	cpu->standing.stands_gen = 0;
	cpu->standing.toggles = false;
}

/* The next entry on this pCPU that may flush does (enum plan_why). */
static inline void percpu_request_flush(struct percpu *cpu, enum plan_why why)
{
	if (cpu->flush_requests & why)
		return;
	cpu->flush_requests |= (uint8_t)why;
	percpu_plan_anew(cpu);
}

static inline bool percpu_is_console(const struct percpu *cpu)
{
	return cpu->arch.index == 0;
}

#endif
