/* arch/ept_overlay.c: a page of ones at each address that was asked for, all else as in the tables below, which stay as
 * they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/vmx.h"
#include "arch/ept.h"
#include "arch/ept_overlay.h"

static hpa_t take(void)
{
	void *page = aligned_alloc(PAGE_BYTES, PAGE_BYTES);

	assert_non_null(page);
	memset(page, 0, PAGE_BYTES);
	return hpa_of(page);
}

static void give(hpa_t page)
{
	free(hpa_ptr(page));
}

static const struct ept_pages PAGES = {take, give};

/* The entry that maps the address, 0 if it is absent. */
static uint64_t entry_at(hpa_t root, uint64_t at)
{
	const uint64_t *table = hpa_ptr(root);

	for (unsigned level = 4;; level--) {
		const uint64_t entry = table[at >> (12 + 9 * (level - 1)) & 511];

		if (entry == 0 || level == 1 || (entry & EPT_LARGE))
			return entry;
		table = hpa_ptr(hpa(entry & EPT_ADDRESS_MASK));
	}
}

/* RAM below, a page at the local APIC's address, and addresses that share all, some or none of the tables. */
#define RAM_BYTES (4ull << 20)
#define APIC_AT   0xfee00000ull
static const uint64_t ABSENT[EPT_OVERLAY_ADDRESSES] = {
	0xfee01000, 0xfed80000, 0xd0000000, 0xd0000000 + PAGE_BYTES, 0x7fffffff000, 0xfffffffff000,
};

static void blank_pages_come_over_the_tables_below(void **state)
{
	struct ept ept = {.use_2m = true};
	struct ept_overlay overlay = {.pages = hpa_of(aligned_alloc(PAGE_BYTES, EPT_OVERLAY_PAGES * PAGE_BYTES))};
	gpa_t at[EPT_OVERLAY_ADDRESSES];

	(void)state;
	assert_true(ept_map(&ept, gpa(0), hpa(0x40000000), RAM_BYTES, &PAGES));
	assert_true(ept_map(&ept, gpa(APIC_AT), hpa(0x5000), PAGE_BYTES, &PAGES));
	for (unsigned count = 1; count <= EPT_OVERLAY_ADDRESSES; count++) {
		hpa_t root;

		for (unsigned i = 0; i < count; i++)
			at[i] = gpa(ABSENT[i]);
		/* What was written to the blank page last time is gone. */
		memset(hpa_ptr(overlay.pages), 0, PAGE_BYTES);
		root = ept_overlay_make(&overlay, ept.root, at, count);
		assert_true(overlay.used <= EPT_OVERLAY_PAGES);
		for (unsigned i = 0; i < EPT_OVERLAY_ADDRESSES; i++) {
			const uint64_t entry = entry_at(root, ABSENT[i]);

			assert_true(entry_at(ept.root, ABSENT[i]) == 0);
			if (i >= count) {
				assert_true(entry == 0);
				continue;
			}
			assert_int_equal(entry & 0xfff,
					 EPT_READ | EPT_WRITE | EPT_EXECUTE | EPT_MEMORY_TYPE_WB | EPT_IGNORE_PAT);
			for (unsigned b = 0; b < PAGE_BYTES; b++)
				assert_int_equal(((const uint8_t *)hpa_ptr(hpa(entry & EPT_ADDRESS_MASK)))[b], 0xff);
		}
		assert_true(entry_at(root, APIC_AT) == entry_at(ept.root, APIC_AT));
		for (uint64_t a = 0; a <= RAM_BYTES; a += PAGE_BYTES)
			assert_true(entry_at(root, a) == entry_at(ept.root, a));
	}
	free(hpa_ptr(overlay.pages));
	ept_destroy(&ept, &PAGES);
}

static void what_is_mapped_stays_mapped(void **state)
{
	struct ept ept = {.use_2m = true};
	struct ept_overlay overlay = {.pages = hpa_of(aligned_alloc(PAGE_BYTES, EPT_OVERLAY_PAGES * PAGE_BYTES))};
	const gpa_t at[] = {gpa(0x1000), gpa(APIC_AT)};
	hpa_t root;

	(void)state;
	assert_true(ept_map(&ept, gpa(0), hpa(0x40000000), RAM_BYTES, &PAGES));
	assert_true(ept_map(&ept, gpa(APIC_AT), hpa(0x5000), PAGE_BYTES, &PAGES));
	root = ept_overlay_make(&overlay, ept.root, at, 2);
	for (unsigned i = 0; i < 2; i++)
		assert_true(entry_at(root, at[i].v) == entry_at(ept.root, at[i].v));
	free(hpa_ptr(overlay.pages));
	ept_destroy(&ept, &PAGES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blank_pages_come_over_the_tables_below),
		cmocka_unit_test(what_is_mapped_stays_mapped),
	};

	return cmocka_run_group_tests_name("ept_overlay", tests, NULL, NULL);
}
