/* hv/policy/apicv.c: what the CPU is told of a local APIC that it serves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/apic.h"
#include "arch/defs/msr.h"
#include "arch/defs/vmx.h"
#include "hv/policy/apicv.h"
#include "hv/policy/msr_policy.h"

#define SECONDARY_WANTED                                                                              \
	(CPU2_VIRTUALIZE_APIC_ACCESSES | CPU2_VIRTUALIZE_X2APIC | CPU2_APIC_REGISTER_VIRTUALIZATION | \
	 CPU2_VIRTUAL_INTERRUPT_DELIVERY)

static struct lapic make(void)
{
	static _Atomic uint32_t page[LAPIC_PAGE_BYTES / sizeof(uint32_t)];
	struct lapic l = {.page = page};

	lapic_reset(&l, 0, true, 1);
	lapic_write(&l, APIC_SVR, APIC_SVR_ENABLE, 0);
	return l;
}

/* Every control alone is missed: only all of them make the full level, and without TPR shadow there is none. */
static void level_is_what_cpu_and_option_allow(void **state)
{
	(void)state;
	for (unsigned limit = APICV_OFF; limit <= APICV_FULL; limit++) {
		assert_int_equal(apicv_level_of(~0u, ~0u, limit), limit);
		assert_int_equal(apicv_level_of(CPU_USE_TPR_SHADOW, SECONDARY_WANTED, limit), limit);
		assert_int_equal(apicv_level_of(~CPU_USE_TPR_SHADOW, ~0u, limit), APICV_OFF);
		for (uint32_t bit = 1; bit != 0; bit <<= 1) {
			const unsigned most = SECONDARY_WANTED & bit ? APICV_TPR : APICV_FULL;

			assert_int_equal(apicv_level_of(~0u, ~bit, limit), limit < most ? limit : most);
		}
	}
}

/* One that is off by either switch is software's: the CPU would deliver its interrupts. */
static void mode_follows_the_switches(void **state)
{
	(void)state;
	for (unsigned level = APICV_OFF; level <= APICV_FULL; level++) {
		struct lapic l = make();

		assert_int_equal(apicv_mode(level, &l), level == APICV_FULL ? APICV_BY_PAGE : APICV_BY_SOFTWARE);
		lapic_write(&l, APIC_SVR, 0, 0);
		assert_int_equal(apicv_mode(level, &l), APICV_BY_SOFTWARE);
		lapic_write(&l, APIC_SVR, APIC_SVR_ENABLE, 0);
		assert_true(lapic_base_write(&l, l.base | APIC_BASE_X2APIC_ENABLE));
		assert_int_equal(apicv_mode(level, &l), level == APICV_FULL ? APICV_BY_MSRS : APICV_BY_SOFTWARE);
		assert_true(lapic_base_write(&l, LAPIC_PAGE_GPA));
		assert_int_equal(apicv_mode(level, &l), APICV_BY_SOFTWARE);
	}
}

/* The entry checks refuse "virtualize x2APIC mode" beside "virtualize APIC accesses". */
static void controls_fit_together(void **state)
{
	const uint32_t page = apicv_controls(APICV_BY_PAGE), msrs = apicv_controls(APICV_BY_MSRS);

	(void)state;
	assert_int_equal(apicv_controls(APICV_BY_SOFTWARE), 0);
	assert_int_equal(page, SECONDARY_WANTED & ~CPU2_VIRTUALIZE_X2APIC);
	assert_int_equal(msrs, SECONDARY_WANTED & ~CPU2_VIRTUALIZE_APIC_ACCESSES);
}

static void status_has_the_highest_of_both(void **state)
{
	struct lapic l = make();

	(void)state;
	assert_int_equal(apicv_interrupt_status(&l), 0);
	lapic_accept(&l, 0x31, false);
	assert_int_equal(apicv_interrupt_status(&l), 0x31);
	lapic_take(&l, 0x31);
	assert_int_equal(apicv_interrupt_status(&l), 0x3100);
	lapic_accept(&l, 0xff, false);
	lapic_accept(&l, 0x22, false);
	assert_int_equal(apicv_interrupt_status(&l), 0x31ff);
	lapic_take(&l, 0xff);
	assert_int_equal(apicv_interrupt_status(&l), 0xff22);
	lapic_put_back(&l);
	assert_int_equal(apicv_interrupt_status(&l), 0x31ff);
}

/* For each TPR and vector: below the threshold, and only there, the vector would be delivered; and TPR is not below it
 * now. */
static void threshold_lets_nothing_slip(void **state)
{
	(void)state;
	for (unsigned vector = 16; vector < 256; vector++)
		for (unsigned tpr = 0; tpr < 16; tpr++) {
			struct lapic l = make();
			uint32_t threshold;

			lapic_set_cr8(&l, tpr);
			lapic_accept(&l, (uint8_t)vector, false);
			threshold = apicv_tpr_threshold(&l);
			assert_true(threshold <= tpr);
			if (lapic_pending(&l) >= 0)
				assert_int_equal(threshold, 0);
			for (unsigned lower = 0; lower < tpr; lower++) {
				lapic_set_cr8(&l, lower);
				if (lapic_pending(&l) >= 0 && vector / 16 <= tpr)
					assert_true(lower < threshold);
				else if (lapic_pending(&l) < 0)
					assert_true(lower >= threshold);
			}
			lapic_set_cr8(&l, tpr);
			lapic_write(&l, APIC_SVR, 0, 0);
			assert_int_equal(apicv_tpr_threshold(&l), 0);
		}
}

static void level_triggered_vectors_exit_at_their_end(void **state)
{
	uint64_t words[APICV_EOI_EXIT_WORDS];

	(void)state;
	for (unsigned vector = 16; vector < 256; vector++) {
		struct lapic l = make();

		lapic_accept(&l, (uint8_t)vector, true);
		lapic_accept(&l, (uint8_t)(vector ^ 1), false);
		apicv_eoi_exits(&l, words);
		for (unsigned i = 0; i < APICV_EOI_EXIT_WORDS; i++)
			assert_true(words[i] == (vector / 64 == i ? 1ull << vector % 64 : 0));
		lapic_accept(&l, (uint8_t)vector, false);
		apicv_eoi_exits(&l, words);
		assert_true(words[vector / 64] == 0);
	}
}

/* No other MSR is touched, and of these no write but three, no read that software would refuse, and not the count. */
static void bitmap_opens_what_the_cpu_serves(void **state)
{
	uint8_t bitmap[MSR_POLICY_BITMAP_BYTES];
	struct lapic l = make();
	uint64_t value;

	(void)state;
	assert_true(lapic_base_write(&l, l.base | APIC_BASE_X2APIC_ENABLE));
	memset(bitmap, 0xff, sizeof(bitmap));
	apicv_bitmap_open(bitmap);
	for (uint32_t msr = 0; msr < 0x2000; msr++) {
		const bool writes = msr == 0x808 || msr == 0x80b || msr == 0x83f;
		const bool reads = lapic_rdmsr(&l, msr, 0, &value) && msr != 0x839;

		assert_int_equal(!msr_policy_bitmap_exits(bitmap, msr, false), reads);
		assert_int_equal(!msr_policy_bitmap_exits(bitmap, msr, true), writes);
		assert_true(msr_policy_bitmap_exits(bitmap, msr + 0xc0000000, false));
		assert_true(msr_policy_bitmap_exits(bitmap, msr + 0xc0000000, true));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(level_is_what_cpu_and_option_allow),
		cmocka_unit_test(mode_follows_the_switches),
		cmocka_unit_test(controls_fit_together),
		cmocka_unit_test(status_has_the_highest_of_both),
		cmocka_unit_test(threshold_lets_nothing_slip),
		cmocka_unit_test(level_triggered_vectors_exit_at_their_end),
		cmocka_unit_test(bitmap_opens_what_the_cpu_serves),
	};

	return cmocka_run_group_tests_name("apicv", tests, NULL, NULL);
}
