/* VMX controls: what we want, what the CPU allows, what comes out; and the list of all that Sluice requires of VMX,
 * each with its reason. Pure. */
#ifndef HV_POLICY_VMX_CTL_H
#define HV_POLICY_VMX_CTL_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/policy/apicv.h"

/* The raw capability MSRs of one pCPU (SDM vol. 3D, "VMX Capability Reporting Facility"). */
struct vmx_raw {
	uint64_t basic, misc, ept_vpid;
	uint64_t pin, processor, secondary, exit, entry; /* the TRUE ones where there are such */
	uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
};

/* What Sluice runs with on this machine. */
struct vmx_config {
	uint32_t revision;
	uint32_t pin, processor, secondary, exit, entry;
	uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	unsigned timer_shift; /* the preemption timer counts TSC >> timer_shift */
	bool ept_2m, ept_1g;
	bool rdtscp, invpcid, xsaves; /* offered to guests */
	bool monitor_trap;
	bool pause_loop;        /* exits where a guest spins with PAUSE */
	enum apicv_level apicv; /* the controls of its modes: apicv_controls() */
};

/* Decides all controls; of interrupt virtualisation no more than apicv_limit. NULL, or what is missing and why it is
 * needed, in words; *out is untouched then. */
const char *vmx_ctl_make(struct vmx_config *out, const struct vmx_raw *raw, enum apicv_level apicv_limit);

/* The same configuration for two pCPUs: what both can do. */
bool vmx_ctl_equal(const struct vmx_config *a, const struct vmx_config *b);

#endif
