/* arch/ept.c: what is mapped is found again where it belongs, nothing else is, and every page comes back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/vmx.h"
#include "arch/ept.h"

static unsigned pages_out, pages_limit;

static hpa_t take(void)
{
	void *page;

	if (pages_out == pages_limit)
		return hpa(0);
	page = aligned_alloc(PAGE_BYTES, PAGE_BYTES);
	assert_non_null(page);
	memset(page, 0, PAGE_BYTES);
	pages_out++;
	return hpa_of(page);
}

static void give(hpa_t page)
{
	free(hpa_ptr(page));
	pages_out--;
}

static const struct ept_pages PAGES = {take, give};

/* Walks as the CPU does (SDM vol. 3C, "EPT Translation Mechanism"): the HPA, and how large the page is; 0: absent. */
static uint64_t walk(const struct ept *ept, uint64_t at, uint64_t *page_bytes)
{
	const uint64_t *table = hpa_ptr(ept->root);

	for (unsigned level = 4; level > 0; level--) {
		const unsigned shift = 12 + 9 * (level - 1);
		const uint64_t entry = table[at >> shift & 511];

		if (entry == 0)
			return 0;
		assert_int_equal(entry & 7, EPT_READ | EPT_WRITE | EPT_EXECUTE);
		if (level == 1 || (entry & EPT_LARGE)) {
			assert_int_equal(entry & (7 << 3), EPT_MEMORY_TYPE_WB);
			assert_true(entry & EPT_IGNORE_PAT);
			*page_bytes = 1ull << shift;
			return (entry & EPT_ADDRESS_MASK & ~(*page_bytes - 1)) | (at & (*page_bytes - 1));
		}
		table = hpa_ptr(hpa(entry & EPT_ADDRESS_MASK));
	}
	return 0;
}

struct region {
	uint64_t gpa, hpa, bytes;
};

static void check_region(struct region r, bool use_2m, bool use_1g)
{
	const uint64_t largest = use_1g ? PAGE_1G_BYTES : use_2m ? PAGE_2M_BYTES : PAGE_BYTES;
	struct ept ept = {.use_2m = use_2m, .use_1g = use_1g};
	uint64_t page_bytes = 0;

	assert_true(ept_map(&ept, gpa(r.gpa), hpa(r.hpa), r.bytes, &PAGES));
	for (uint64_t at = 0; at < r.bytes;) {
		assert_true(walk(&ept, r.gpa + at, &page_bytes) == r.hpa + at);
		assert_true(page_bytes <= largest);
		assert_true((r.gpa + at) % page_bytes == 0 && at + page_bytes <= r.bytes);
		/* The next larger page would not have fitted. */
		if (page_bytes < largest && (use_2m || page_bytes >= PAGE_2M_BYTES)) {
			const uint64_t larger = page_bytes == PAGE_BYTES ? PAGE_2M_BYTES : PAGE_1G_BYTES;

			assert_true(((r.gpa + at) | (r.hpa + at)) % larger != 0 || r.bytes - at < larger);
		}
		at += page_bytes;
	}
	assert_true(walk(&ept, r.gpa + r.bytes, &page_bytes) == 0);
	if (r.gpa > 0)
		assert_true(walk(&ept, r.gpa - 1, &page_bytes) == 0);
	assert_true(ept_pointer(&ept) == (ept.root.v | EPTP_WB | EPTP_WALK_4));
	ept_destroy(&ept, &PAGES);
	assert_true(ept.root.v == 0);
	assert_int_equal(pages_out, 0);
}

static const struct region REGIONS[] = {
	{0, 0x200000, 16 << 20},
	{0, 0x201000, 4 << 20}, /* never fits a large page */
	{0x1000, 0x201000, 6 << 20},
	{0, PAGE_1G_BYTES, 3ull << 30},
	{4ull << 30, 7ull << 30, (1ull << 30) + 0x3000},
	{0x7fffffff000, 0x5000, PAGE_BYTES},
};

#define REGION_COUNT (sizeof(REGIONS) / sizeof(REGIONS[0]))

static void every_byte_is_mapped_once_with_the_largest_page_that_fits(void **state)
{
	(void)state;
	pages_limit = UINT32_MAX;
	for (unsigned i = 0; i < REGION_COUNT; i++) {
		if (REGIONS[i].bytes <= 16 << 20)
			check_region(REGIONS[i], false, false);
		check_region(REGIONS[i], true, false);
		check_region(REGIONS[i], true, true);
	}
}

/* Whichever page is the last, what was taken comes back. */
static void without_memory_nothing_is_lost(void **state)
{
	(void)state;
	for (pages_limit = 0; pages_limit < 12; pages_limit++) {
		struct ept ept = {.root = hpa(0)};

		assert_int_equal(ept_map(&ept, gpa(0), hpa(0x201000), 16 << 20, &PAGES), pages_limit >= 11);
		ept_destroy(&ept, &PAGES);
		assert_int_equal(pages_out, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_is_mapped_once_with_the_largest_page_that_fits),
		cmocka_unit_test(without_memory_nothing_is_lost),
	};

	return cmocka_run_group_tests_name("ept", tests, NULL, NULL);
}
