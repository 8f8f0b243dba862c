/* From caps, bugs and knobs to what is in force. Pure; runs at boot and at each `set`. */
#ifndef HV_POLICY_MITIGATION_H
#define HV_POLICY_MITIGATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hv/policy/bugs.h"
#include "hv/policy/cpu_caps.h"
#include "hv/policy/knob.h"

enum l1d_mode { L1D_NEVER, L1D_COND, L1D_ALWAYS, L1D_NOT_REQUIRED };

/* What stays as it is after boot: the machine. */
struct machine {
	struct cpu_caps caps;            /* common to all pCPUs, after the MSR probes */
	uint32_t bugs;                   /* enum bug */
	uint64_t host_arch_capabilities; /* caps.arch_capabilities, kept for reports */
	uint32_t entry_list_msrs;        /* enum cpu_msr: every pCPU took them in the VM-entry MSR-load area */
	uint64_t supported_caps;         /* bugs_supported_caps() */
};

struct mitigation {
	uint8_t l1d_mode;     /* enum l1d_mode */
	bool l1d_needed;      /* L1TF needs flushing here (facts.md 3): promises matter */
	bool l1d_by_msr;      /* else by software */
	bool l1d_by_list;     /* with l1d_by_msr: in the VM-entry MSR-load area instead of by WRMSR */
	bool verw;            /* on every entry */
	bool verw_idle;       /* before the pCPU idles */
	uint8_t fb_clear_dis; /* enum fb_clear_dis; FB_CLEAR_DIS_OFF where the MSR or FB_CLEAR_CTRL is missing */
	bool mcu_opt_ctrl;    /* IA32_MCU_OPT_CTRL exists */
	bool spec_ctrl;       /* IA32_SPEC_CTRL exists and is switched: also with the knob off, for a guest's value must
				 reach neither the host nor another guest */
	bool spec_ctrl_always;   /* write the host's value after every exit, changed or not (no IBRS_ALL; trap 37) */
	uint64_t spec_ctrl_host; /* the host's own value; 0 with the knob off */
	uint8_t rsb_calls;       /* 0, 1 or 32 */
	bool bhb_clear;          /* the software loop */
	bool ibpb;               /* when a vCPU of another VM comes to the pCPU */
};

/* True where an L1D flush on VM entry is needed at all: affected by L1TF, and no outer hypervisor does it. */
bool mitigation_l1d_needed(const struct machine *machine);

/* What is in force under these knobs. Every combination of knob values has an answer. */
struct mitigation mitigation_select(const struct machine *machine, const struct knobs *knobs);

/* The mode itself flushes the L1D, on every entry or when it is due. */
static inline bool mitigation_flushes(const struct mitigation *m)
{
	return m->l1d_mode == L1D_COND || m->l1d_mode == L1D_ALWAYS;
}

/* The dynamic bit: IA32_ARCH_CAPABILITIES.SKIP_L1DFL_VMENTRY is shown under this mitigation (interface.md 5). */
bool mitigation_skip_l1dfl(const struct mitigation *m);

/* The effective value of a knob for `get` ("cond", "not-required", "on"...), and why in words a person can read: lower
 * case, no quotes, at most 120 characters, e.g. "cpu is affected by l1tf", "asked for". */
const char *mitigation_effective(const struct mitigation *m, const struct knobs *knobs, enum knob knob);
const char *mitigation_reason(const struct machine *machine, const struct knobs *knobs, enum knob knob);

/* The `state` of a row of `bugs`: the mitigation in force and what it leaves open (SMT, missing microcode), in the
 * words of Linux's sysfs files where they fit. Terminated, cut off at size. */
void mitigation_bug_state(char *out, size_t size, const struct machine *machine, const struct mitigation *m,
			  enum bug bug);

#endif
