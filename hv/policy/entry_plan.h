/* The decision before every VM entry: policy, pCPU and vCPU state in, one struct entry_plan out. Pure; cannot fail. */
#ifndef HV_POLICY_ENTRY_PLAN_H
#define HV_POLICY_ENTRY_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/abi/entry_plan.h"
#include "hv/policy/mitigation.h"

struct entry_plan_input {
	uint8_t requests;         /* flush requests of this pCPU: enum plan_why, without WHY_ALWAYS and WHY_OWED */
	bool owed;                /* the VM was told skip_l1dfl_vmentry=1 and has not acknowledged its end */
	bool launch;              /* the VMCS is clear: VMLAUNCH */
	bool other_vm;            /* the vCPU that ran here last belongs to another VM (or none did) */
	bool wants_fb_clear_dis;  /* struct vcpu_model */
	uint64_t mcu_opt_ctrl;    /* the value last written to, or read from, this pCPU's IA32_MCU_OPT_CTRL */
	uint64_t spec_ctrl_guest; /* the vCPU's value; its writes exit, so this is also what the next exit finds (trap
				     23) */
};

/* Under `toggle` IA32_MCU_OPT_CTRL is read before each entry of a vCPU that wants FB_CLEAR_DIS (and gets it): the
 * caller does so and hands the value in. */
bool entry_plan_reads_mcu(const struct mitigation *m, bool wants_fb_clear_dis);

/* The plan of this entry. */
void entry_plan_make(struct entry_plan *out, const struct mitigation *m, const struct entry_plan_input *in);

/* The plan may be carried out once more: after an entry made by it, and with nothing changed from outside, making it
 * anew would give the same. Not so where the entry itself changes what the plan was made from: it launches, writes
 * IA32_MCU_OPT_CTRL for good, serves flush requests, or is the first after another VM. One with PLAN_MCU_RESTORE was
 * made from a reading of that register: it stands as long as it reads as mcu_opt_ctrl_root. */
bool entry_plan_stands(const struct entry_plan *plan);

/* The plan of a pCPU that goes to sleep: VERW with FB_CLEAR_DIS 0 before HLT where facts.md 4 wants it. mcu_opt_ctrl:
 * as in the input above. */
void entry_plan_idle(struct entry_plan *out, const struct mitigation *m, uint64_t mcu_opt_ctrl);

/* The pCPU's flush requests after an entry made by this plan: those that it served are gone, unless the mode is
 * `always` (so that a change to `cond` starts flushed) or nothing was flushed. */
uint8_t entry_plan_requests_left(const struct entry_plan *plan, uint8_t requests);

#endif
