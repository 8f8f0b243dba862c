/* Which MSRs a guest has, and what reading and writing them does: a table. An MSR that is not in it, or that the
 * guest's model lacks, is #GP both ways. IA32_MCU_OPT_CTRL is never in it. Pure. */
#ifndef HV_POLICY_MSR_POLICY_H
#define HV_POLICY_MSR_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/policy/vcpu_model.h"

enum msr_action {
	MSR_GP,            /* #GP(0) */
	MSR_CONSTANT,      /* read: rule->value */
	MSR_IGNORE,        /* write: taken (if msr_policy_write_valid) and without effect */
	MSR_ARCH_CAPS,     /* read: the VM's value with the dynamic bit, and the promise is recorded */
	MSR_SPEC_CTRL,     /* kept for each vCPU, loaded at its entries */
	MSR_PRED_CMD,      /* write of IBPB: carried out on this pCPU */
	MSR_FLUSH_CMD,     /* write of L1D_FLUSH: carried out on this pCPU */
	MSR_TSX_CTRL,      /* kept for each vCPU; struct cpuid_view wants it */
	MSR_EFER,          /* kept for each vCPU; a write also wants cr_policy_efer_valid() */
	MSR_PAT,           /* kept for each vCPU */
	MSR_TSC,           /* the VM's time */
	MSR_PASS_VMCS,     /* no exit: the VMCS holds the guest's value */
	MSR_PASS_SWITCHED, /* no exit: the guest's value is in the MSR while the vCPU is on the pCPU; software switches
			      it */
};

/* Instructions that bring an MSR with them. */
enum msr_instruction { MSR_WITH_RDTSCP = 1u << 0, MSR_WITH_XSAVES = 1u << 1 };

struct msr_rule {
	uint32_t msr;
	uint8_t read, write;        /* enum msr_action */
	uint64_t value;             /* of MSR_CONSTANT; and what a write must leave in the bits that are not writable */
	uint64_t writable;          /* bits that a write may give any value */
	uint32_t needs_features;    /* any of these (enum cpu_feature) in the model; 0: none needed */
	uint64_t needs_caps;        /* all of these in the model's IA32_ARCH_CAPABILITIES */
	uint8_t needs_instructions; /* all of these (enum msr_instruction) */
};

/* The rule for an MSR; NULL: there is no such MSR for any guest. */
const struct msr_rule *msr_policy_find(uint32_t msr);

/* The i-th rule, NULL past the last; ascending by number. */
const struct msr_rule *msr_policy_rule(unsigned i);

/* A guest of this model, which sees these instructions (enum msr_instruction), has the MSR. */
bool msr_policy_has(const struct msr_rule *rule, const struct vcpu_model *model, uint32_t instructions);

/* A write of value to an MSR that the guest has is taken: the rule has a write action, reserved bits are left alone,
 * the PAT's types exist. For MSR_EFER this says nothing yet: see cr_policy_efer_valid(). */
bool msr_policy_write_valid(const struct msr_rule *rule, const struct vcpu_model *model, uint64_t value);

/* The bits of IA32_SPEC_CTRL that this model has. */
uint64_t msr_policy_spec_ctrl_mask(const struct vcpu_model *model);

/* Fills the MSR bitmap of a VMCS (SDM vol. 3C, "MSR-Bitmap Address"): everything exits, both ways, but the MSR_PASS_...
 * ones that this guest has. */
#define MSR_POLICY_BITMAP_BYTES 4096
void msr_policy_bitmap_make(uint8_t *bitmap, const struct vcpu_model *model, uint32_t instructions);

/* Reads, or writes, of msr no longer exit under it. msr: 0-0x1fff or 0xc0000000-0xc0001fff. */
void msr_policy_bitmap_open(uint8_t *bitmap, uint32_t msr, bool write);

/* An access to a bitmap of that form exits: for tests and for dumps. */
bool msr_policy_bitmap_exits(const uint8_t *bitmap, uint32_t msr, bool write);

#endif
