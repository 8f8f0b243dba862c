/* vCPU models (facts.md 8): what a VM's CPU says of itself. Pure. */
#ifndef HV_POLICY_VCPU_MODEL_H
#define HV_POLICY_VCPU_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/policy/mitigation.h"

/* What a cfg asks for. */
struct vcpu_model_request {
	const char *cpu;   /* "host", "skylake-server", ... */
	uint64_t caps_add; /* bits of IA32_ARCH_CAPABILITIES, never SKIP_L1DFL_VMENTRY */
	uint64_t caps_remove;
	bool unsafe; /* may claim an immunity that the machine lacks */
};

/* What comes out. */
struct vcpu_model {
	const char *name;
	uint32_t model, stepping; /* family is 6, or the host's for "host" */
	uint32_t family;
	uint32_t features;          /* enum cpu_feature of the mitigation bits and RTM that the guest sees; always has
				       CPU_ARCH_CAPABILITIES */
	uint64_t arch_capabilities; /* without the dynamic bit */
	bool fb_clear;              /* its value has or implies FB_CLEAR */
	bool wants_fb_clear_dis;    /* neither FB_CLEAR nor immune: it wants VERW fast (interface.md 6) */
};

enum vcpu_model_status {
	VCPU_MODEL_OK,
	VCPU_MODEL_UNKNOWN,     /* no model of that name */
	VCPU_MODEL_IMMUNITY,    /* claims *_no bits that this machine lacks: they are in *bits. It has those of its
				   supported_caps, and TAA_NO where the CPU says so (supported_caps hides it without RTM)
				 */
	VCPU_MODEL_UNSUPPORTED, /* asks by caps for bits whose MSR is not virtualised or that are no immunity and not
				   supported here: they are in *bits */
};

/* Makes the model. Features that this machine cannot give are left out of out->features and put into *masked
 * (enum cpu_feature). On failure *out is untouched and *bits holds the offending bits of the capability value. */
enum vcpu_model_status vcpu_model_make(struct vcpu_model *out, const struct vcpu_model_request *request,
				       const struct machine *machine, uint32_t *masked, uint64_t *bits);

/* The bits of IA32_ARCH_CAPABILITIES that claim an immunity: all *_NO (IF_PSCHANGE_MC_NO is synthesised for all and so
 * not among them). */
uint64_t vcpu_model_immunities(void);

/* The i-th model's name, NULL past the last; for error messages. */
const char *vcpu_model_name(unsigned i);

#endif
