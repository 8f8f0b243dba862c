#include "hv/policy/apicv.h"

#include "arch/defs/apic.h"
#include "arch/defs/msr.h"
#include "arch/defs/vmx.h"
#include "hv/policy/msr_policy.h"

#define CONTROLS_FULL (CPU2_APIC_REGISTER_VIRTUALIZATION | CPU2_VIRTUAL_INTERRUPT_DELIVERY)
#define CONTROLS_PAGE (CONTROLS_FULL | CPU2_VIRTUALIZE_APIC_ACCESSES)
#define CONTROLS_MSRS (CONTROLS_FULL | CPU2_VIRTUALIZE_X2APIC)

#define STATUS_IN_SERVICE_SHIFT 8

static bool has_all(uint32_t allowed, uint32_t wanted)
{
	return (allowed & wanted) == wanted;
}

const char *apicv_level_name(enum apicv_level level)
{
	static const char *const names[] = {[APICV_OFF] = "off", [APICV_TPR] = "tpr", [APICV_FULL] = "full"};

	return names[level];
}

enum apicv_level apicv_level_of(uint32_t processor_allowed, uint32_t secondary_allowed, enum apicv_level limit)
{
	if (limit == APICV_OFF || !has_all(processor_allowed, CPU_USE_TPR_SHADOW))
		return APICV_OFF;
	if (limit == APICV_TPR || !has_all(secondary_allowed, CONTROLS_PAGE | CONTROLS_MSRS))
		return APICV_TPR;
	return APICV_FULL;
}

enum apicv_mode apicv_mode(enum apicv_level level, const struct lapic *l)
{
	if (level != APICV_FULL || !lapic_takes_interrupts(l))
		return APICV_BY_SOFTWARE;
	return lapic_is_x2apic(l) ? APICV_BY_MSRS : APICV_BY_PAGE;
}

uint32_t apicv_controls(enum apicv_mode mode)
{
	static const uint32_t controls[] = {
		[APICV_BY_SOFTWARE] = 0, [APICV_BY_PAGE] = CONTROLS_PAGE, [APICV_BY_MSRS] = CONTROLS_MSRS};

	return controls[mode];
}

/* Vector 0 stands for none: it is no legal one. */
static uint16_t vector_or_none(int vector)
{
	return vector < 0 ? 0 : (uint16_t)vector;
}

uint16_t apicv_interrupt_status(const struct lapic *l)
{
	return (uint16_t)(vector_or_none(lapic_requested(l)) | vector_or_none(lapic_in_service(l))
								       << STATUS_IN_SERVICE_SHIFT);
}

uint32_t apicv_tpr_threshold(const struct lapic *l)
{
	const int vector = lapic_requested(l);

	if (vector < 0 || !lapic_takes_interrupts(l) || (uint32_t)vector >> 4 > lapic_cr8(l))
		return 0;
	return (uint32_t)vector >> 4;
}

void apicv_eoi_exits(const struct lapic *l, uint64_t words[APICV_EOI_EXIT_WORDS])
{
	for (unsigned i = 0; i < APICV_EOI_EXIT_WORDS; i++)
		words[i] = lapic_level_triggered(l, 2 * i) | (uint64_t)lapic_level_triggered(l, 2 * i + 1) << 32;
}

void apicv_bitmap_open(uint8_t *bitmap)
{
	for (uint32_t msr = MSR_IA32_X2APIC_FIRST; msr <= MSR_IA32_X2APIC_LAST; msr++) {
		const uint32_t offset = (msr - MSR_IA32_X2APIC_FIRST) * APIC_REGISTER_STRIDE;

		/* The timer's count is in no memory: it is computed. */
		if (lapic_msr_is_readable(msr) && offset != APIC_TIMER_CURRENT)
			msr_policy_bitmap_open(bitmap, msr, false);
		if (offset == APIC_TPR || offset == APIC_EOI || offset == APIC_SELF_IPI)
			msr_policy_bitmap_open(bitmap, msr, true);
	}
}
