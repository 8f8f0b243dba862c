/* Interrupt virtualisation by the CPU: which of it serves a local APIC now, and what the CPU must be told for that.
 * Pure. SDM vol. 3C, "APIC Virtualization and Virtual Interrupts". */
#ifndef HV_POLICY_APICV_H
#define HV_POLICY_APICV_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/policy/lapic.h"

/* How much of it is used, at most: what the CPU has and the boot option allows. */
enum apicv_level {
	APICV_OFF,  /* none: software does all */
	APICV_TPR,  /* TPR shadow: CR8 is accessed without an exit */
	APICV_FULL, /* also APIC-register virtualisation and virtual-interrupt delivery, for the page and for the MSRs
		     */
};

/* "off", "tpr", "full". */
const char *apicv_level_name(enum apicv_level level);

/* The highest level up to `limit` for which the CPU may set all controls. */
enum apicv_level apicv_level_of(uint32_t processor_allowed, uint32_t secondary_allowed, enum apicv_level limit);

/* Who serves the registers of one local APIC, and who delivers its interrupts. */
enum apicv_mode {
	APICV_BY_SOFTWARE,
	APICV_BY_PAGE, /* xAPIC mode: the CPU, at LAPIC_PAGE_GPA */
	APICV_BY_MSRS, /* x2APIC mode: the CPU */
};

/* The CPU would deliver interrupts of an APIC that is switched off: that one is left to software. */
enum apicv_mode apicv_mode(enum apicv_level level, const struct lapic *l);

/* The secondary controls that a mode adds. */
uint32_t apicv_controls(enum apicv_mode mode);

/* The guest interrupt status: the highest vector requested, and the highest in service. After lapic_merge(). */
uint16_t apicv_interrupt_status(const struct lapic *l);

/* The TPR threshold: the exit comes when the guest lowers TPR so far that what it holds back may be delivered; 0: it
 * holds nothing back. Never above TPR's class, as the entry checks ask. For APICV_BY_SOFTWARE under APICV_TPR or above.
 */
uint32_t apicv_tpr_threshold(const struct lapic *l);

/* The EOI-exit bitmap: level-triggered vectors, for others wait for their EOI. */
#define APICV_EOI_EXIT_WORDS 4
void apicv_eoi_exits(const struct lapic *l, uint64_t words[APICV_EOI_EXIT_WORDS]);

/* Takes out of an MSR bitmap (hv/policy/msr_policy.h) what the CPU serves in APICV_BY_MSRS as software would. */
void apicv_bitmap_open(uint8_t *bitmap);

#endif
