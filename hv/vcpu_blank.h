/* Accesses that nothing answers, by whatever a decoder does not carry out: other instructions, the walk of a page
 * table, the delivery of an event. The guest makes the access itself, on a page of ones, under page tables of the
 * pCPU's own that are in force for one instruction. What it writes there is gone with them. */
#ifndef HV_VCPU_BLANK_H
#define HV_VCPU_BLANK_H

#include <stdbool.h>

#include "arch/ept_overlay.h"

struct percpu;
struct vcpu;

/* What the instruction at RIP has met so far. */
struct vcpu_blank {
	gpa_t at[EPT_OVERLAY_ADDRESSES];
	unsigned count;       /* 0: the next entry is like any other */
	uint64_t ept_pointer; /* the VM's, while the overlay is in force */
};

/* The next entry has a blank page at this address too. False: no instruction touches so many, or there is no such
 * address. */
bool vcpu_blank_want(struct percpu *cpu, struct vcpu *vcpu, uint64_t at);

/* Around that entry: before the plan is made, after it is over. done: the guest ran, and met no further such address.
 */
void vcpu_blank_begin(struct percpu *cpu, struct vcpu *vcpu);
void vcpu_blank_end(struct percpu *cpu, struct vcpu *vcpu, bool done);

#endif
