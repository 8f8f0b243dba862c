/* The MSR-load areas of VM entry and exit: what the CPU itself writes after VERW and before the guest's first
 * instruction, and before the host's first one (SDM vol. 3C, "Loading MSRs"). A pCPU has one of each; the vCPU's VMCS
 * points at them while it is loaded there. */
#ifndef HV_MSR_LISTS_H
#define HV_MSR_LISTS_H

#include "arch/abi/entry_plan.h"
#include "hv/percpu.h"
#include "hv/policy/cpu_caps.h"
#include "hv/vcpu.h"

/* With vcpu_load(): the VMCS points at this pCPU's areas, and they are empty. */
void msr_lists_load(struct percpu *cpu, struct vcpu *vcpu);

/* Before each entry: the areas hold what the plan's PLAN_LIST_ steps say. */
void msr_lists_prepare(struct percpu *cpu, struct vcpu *vcpu, const struct entry_plan *plan);

/* Which of the MSRs that the lists are meant for this pCPU takes in its VM-entry area (enum cpu_msr, of those in
 * wanted): each is tried with an entry that ends before the guest's first instruction. The exit area is never tried: a
 * refusal there is a VMX abort, so it is used for what the entry area takes. VMX is on, no vCPU is loaded. */
uint32_t msr_lists_probe(struct percpu *cpu, const struct cpu_caps *caps);

#endif
