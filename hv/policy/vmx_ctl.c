#include "hv/policy/vmx_ctl.h"

#include <stddef.h>

#include "arch/defs/vmx.h"

enum control_word { WORD_PIN, WORD_PROCESSOR, WORD_SECONDARY, WORD_EXIT, WORD_ENTRY, WORD_EPT_VPID, WORD_COUNT };

/* One ability that Sluice cannot do without. */
struct requirement {
	enum control_word word;
	uint64_t bits;
	const char *missing;
};

static const struct requirement requirements[] = {
	/* Require external-interrupt exiting because the host's interrupts must never be delivered by a guest's IDT. */
	{WORD_PIN, PIN_EXTERNAL_INTERRUPT_EXITING, "pin control: external-interrupt exiting"},
	{WORD_EXIT, EXITCTL_ACK_INTERRUPT, "exit control: acknowledge interrupt on exit"},

	/* Require NMI exiting with virtual NMIs because an NMI is how one pCPU takes another out of a guest, and
	 * because a guest that blocks NMIs must only block its own. */
	{WORD_PIN, PIN_NMI_EXITING, "pin control: NMI exiting"},
	{WORD_PIN, PIN_VIRTUAL_NMIS, "pin control: virtual NMIs"},

	/* Require the preemption timer because a guest that never exits must give its pCPU back, interrupts off or not;
	 * and that its rest is saved on exit, so that it is written once a slice and not once an entry. */
	{WORD_PIN, PIN_PREEMPTION_TIMER, "pin control: VMX-preemption timer"},
	{WORD_EXIT, EXITCTL_SAVE_PREEMPTION_TIMER, "exit control: save VMX-preemption timer value"},

	/* Require TSC offsetting because a VM's time is its own, the same on whatever pCPU its vCPUs run. */
	{WORD_PROCESSOR, CPU_USE_TSC_OFFSETTING, "processor control: use TSC offsetting"},

	/* Require HLT, MWAIT and MONITOR exiting because a guest that waits must not sleep on a pCPU that others need.
	 */
	{WORD_PROCESSOR, CPU_HLT_EXITING, "processor control: HLT exiting"},
	{WORD_PROCESSOR, CPU_MWAIT_EXITING, "processor control: MWAIT exiting"},
	{WORD_PROCESSOR, CPU_MONITOR_EXITING, "processor control: MONITOR exiting"},

	/* Require RDPMC exiting because the performance counters are the host's. */
	{WORD_PROCESSOR, CPU_RDPMC_EXITING, "processor control: RDPMC exiting"},

	/* Require unconditional I/O exiting because no guest may reach a port of the host. */
	{WORD_PROCESSOR, CPU_UNCONDITIONAL_IO_EXITING, "processor control: unconditional I/O exiting"},

	/* Require CR8 exiting because without it a guest's CR8 is the host's task priority. */
	{WORD_PROCESSOR, CPU_CR8_LOAD_EXITING, "processor control: CR8-load exiting"},
	{WORD_PROCESSOR, CPU_CR8_STORE_EXITING, "processor control: CR8-store exiting"},

	/* Require MSR bitmaps because a few registers that the CPU switches for us anyway are worth no exit. */
	{WORD_PROCESSOR, CPU_USE_MSR_BITMAPS, "processor control: use MSR bitmaps"},

	/* Require EPT because guest memory must be out of the guest's own reach, and unrestricted guest because guests
	 * start without paging. Both live in the secondary controls. */
	{WORD_PROCESSOR, CPU_SECONDARY_CONTROLS, "processor control: activate secondary controls"},
	{WORD_SECONDARY, CPU2_ENABLE_EPT, "secondary control 1: enable EPT"},
	{WORD_SECONDARY, CPU2_UNRESTRICTED_GUEST, "secondary control 7: unrestricted guest"},

	/* Require VPID because a guest's translations should survive its exits, and no other vCPU's may be used. */
	{WORD_SECONDARY, CPU2_ENABLE_VPID, "secondary control 5: enable VPID"},

	/* Require WBINVD exiting because one guest must not write back and empty the caches of all. */
	{WORD_SECONDARY, CPU2_WBINVD_EXITING, "secondary control 6: WBINVD exiting"},

	/* Require that EFER and the debug controls are switched by entry and exit themselves, because between them and
	 * the guest no instruction of ours can run. */
	{WORD_EXIT, EXITCTL_SAVE_EFER | EXITCTL_LOAD_EFER, "exit control: save and load IA32_EFER"},
	{WORD_ENTRY, ENTRYCTL_LOAD_EFER, "entry control: load IA32_EFER"},
	{WORD_EXIT, EXITCTL_SAVE_DEBUG_CONTROLS, "exit control: save debug controls"},
	{WORD_ENTRY, ENTRYCTL_LOAD_DEBUG_CONTROLS, "entry control: load debug controls"},

	/* Require a 64-bit host because that is what Sluice is. */
	{WORD_EXIT, EXITCTL_HOST_64, "exit control: host address-space size"},
	{WORD_ENTRY, ENTRYCTL_GUEST_64, "entry control: IA-32e mode guest"},

	/* Require four-level EPT in write-back memory, the only kind that we build; and the invalidations of single
	 * contexts, because a vCPU that moves or a number that is used again must not meet old translations. */
	{WORD_EPT_VPID, EPT_VPID_WALK_4, "EPT with four levels"},
	{WORD_EPT_VPID, EPT_VPID_EPT_WB, "EPT in write-back memory"},
	{WORD_EPT_VPID, EPT_VPID_INVEPT | EPT_VPID_INVEPT_SINGLE, "INVEPT of a single context"},
	{WORD_EPT_VPID, EPT_VPID_INVVPID | EPT_VPID_INVVPID_SINGLE, "INVVPID of a single context"},
};

/* Controls that are 1 in every configuration, from the table, less those that are set later (IA-32e mode guest follows
 * the guest; external-interrupt exiting and so on are constant). */
static uint32_t required_bits(enum control_word word)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < sizeof(requirements) / sizeof(requirements[0]); i++)
		if (requirements[i].word == word)
			bits |= requirements[i].bits;
	return (uint32_t)bits;
}

/* A capability MSR: its low half says which bits must be 1, its high half which may be. */
static uint32_t fixed_ones(uint64_t raw)
{
	return (uint32_t)raw;
}

static uint32_t may_be_one(uint64_t raw)
{
	return (uint32_t)(raw >> 32);
}

const char *vmx_ctl_make(struct vmx_config *out, const struct vmx_raw *raw, enum apicv_level apicv_limit)
{
	const uint64_t allowed[WORD_COUNT] = {
		[WORD_PIN] = may_be_one(raw->pin),
		[WORD_PROCESSOR] = may_be_one(raw->processor),
		[WORD_SECONDARY] = may_be_one(raw->secondary),
		[WORD_EXIT] = may_be_one(raw->exit),
		[WORD_ENTRY] = may_be_one(raw->entry),
		[WORD_EPT_VPID] = raw->ept_vpid,
	};
	const uint32_t secondary_optional =
		(CPU2_ENABLE_RDTSCP | CPU2_ENABLE_INVPCID | CPU2_PAUSE_LOOP_EXITING | CPU2_ENABLE_XSAVES) &
		may_be_one(raw->secondary);
	struct vmx_config config;

	for (unsigned i = 0; i < sizeof(requirements) / sizeof(requirements[0]); i++)
		if (requirements[i].bits & ~allowed[requirements[i].word])
			return requirements[i].missing;

	/* CR3 accesses of guests should not exit: on a CPU without the TRUE controls these bits are stuck at 1. */
	if (fixed_ones(raw->processor) & (CPU_CR3_LOAD_EXITING | CPU_CR3_STORE_EXITING | CPU_INVLPG_EXITING))
		return "processor controls that let CR3 accesses and INVLPG of guests run (the TRUE controls)";

	config.revision = (uint32_t)(raw->basic & VMX_BASIC_REVISION_MASK);
	config.pin = fixed_ones(raw->pin) | required_bits(WORD_PIN);
	config.processor = fixed_ones(raw->processor) | required_bits(WORD_PROCESSOR);
	config.apicv = apicv_level_of(may_be_one(raw->processor), may_be_one(raw->secondary), apicv_limit);
	if (config.apicv != APICV_OFF)
		config.processor = fixed_ones(raw->processor) | CPU_USE_TPR_SHADOW |
				   (config.processor & ~(CPU_CR8_LOAD_EXITING | CPU_CR8_STORE_EXITING));
	config.secondary = fixed_ones(raw->secondary) | required_bits(WORD_SECONDARY) | secondary_optional;
	config.exit = fixed_ones(raw->exit) | required_bits(WORD_EXIT);
	config.entry = (fixed_ones(raw->entry) | required_bits(WORD_ENTRY)) & ~ENTRYCTL_GUEST_64;
	config.cr0_fixed0 = raw->cr0_fixed0;
	config.cr0_fixed1 = raw->cr0_fixed1;
	config.cr4_fixed0 = raw->cr4_fixed0;
	config.cr4_fixed1 = raw->cr4_fixed1;
	config.timer_shift = (unsigned)(raw->misc & VMX_MISC_TIMER_SHIFT_MASK);
	config.ept_2m = (raw->ept_vpid & EPT_VPID_PAGE_2M) != 0;
	config.ept_1g = (raw->ept_vpid & EPT_VPID_PAGE_1G) != 0;
	config.rdtscp = (secondary_optional & CPU2_ENABLE_RDTSCP) != 0;
	config.invpcid = (secondary_optional & CPU2_ENABLE_INVPCID) != 0;
	config.pause_loop = (secondary_optional & CPU2_PAUSE_LOOP_EXITING) != 0;
	config.monitor_trap = (may_be_one(raw->processor) & CPU_MONITOR_TRAP) != 0;
	config.xsaves = (secondary_optional & CPU2_ENABLE_XSAVES) != 0;
	*out = config;
	return NULL;
}

bool vmx_ctl_equal(const struct vmx_config *a, const struct vmx_config *b)
{
	return a->revision == b->revision && a->pin == b->pin && a->processor == b->processor &&
	       a->secondary == b->secondary && a->exit == b->exit && a->entry == b->entry &&
	       a->cr0_fixed0 == b->cr0_fixed0 && a->cr0_fixed1 == b->cr0_fixed1 && a->cr4_fixed0 == b->cr4_fixed0 &&
	       a->cr4_fixed1 == b->cr4_fixed1 && a->timer_shift == b->timer_shift && a->ept_2m == b->ept_2m &&
	       a->ept_1g == b->ept_1g && a->rdtscp == b->rdtscp && a->invpcid == b->invpcid &&
	       a->pause_loop == b->pause_loop && a->xsaves == b->xsaves && a->monitor_trap == b->monitor_trap &&
	       a->apicv == b->apicv;
}
