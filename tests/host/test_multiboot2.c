/* The parser of what the loader hands over: real structures, then every truncation and every flipped byte of one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/acpi.h"
#include "arch/defs/multiboot2.h"
#include "boot/multiboot2.h"

#define PAGE 4096u

struct builder {
	uint8_t bytes[16384];
	uint32_t size;
};

static void put(struct builder *b, const void *bytes, size_t length)
{
	assert_true(b->size + length <= sizeof(b->bytes));
	memcpy(b->bytes + b->size, bytes, length);
	b->size += (uint32_t)length;
}

static void put32(struct builder *b, uint32_t value)
{
	put(b, &value, sizeof(value));
}

static void tag(struct builder *b, uint32_t type, const void *body, uint32_t length)
{
	put32(b, type);
	put32(b, length + 8);
	put(b, body, length);
	while (b->size % 8 != 0)
		put(b, "\xee", 1);
}

static void begin(struct builder *b)
{
	memset(b, 0, sizeof(*b));
	b->size = 8;
}

static void end(struct builder *b)
{
	tag(b, MULTIBOOT2_TAG_END, "", 0);
	memcpy(b->bytes, &b->size, 4);
}

static void module(struct builder *b, uint32_t start, uint32_t stop, const char *name)
{
	uint8_t body[256];

	memcpy(body, &start, 4);
	memcpy(body + 4, &stop, 4);
	memcpy(body + 8, name, strlen(name) + 1);
	tag(b, MULTIBOOT2_TAG_MODULE, body, (uint32_t)(8 + strlen(name) + 1));
}

static void mmap_sized(struct builder *b, const struct multiboot2_mmap_entry *entries, uint32_t count, uint32_t stride)
{
	uint8_t body[8192] = {0};

	memcpy(body, &stride, 4);
	for (uint32_t i = 0; i < count; i++)
		memcpy(body + 8 + i * stride, &entries[i], sizeof(entries[i]));
	tag(b, MULTIBOOT2_TAG_MMAP, body, 8 + count * stride);
}

static void mmap_tag(struct builder *b, const struct multiboot2_mmap_entry *entries, uint32_t count)
{
	mmap_sized(b, entries, count, sizeof(entries[0]));
}

static const struct multiboot2_mmap_entry PC[] = {
	{0, 0x9fc00, 1, 0},
	{0x9fc00, 0x400, 2, 0},
	{0xf0000, 0x10000, 2, 0},
	{0x100000, 0x1fef0000, 1, 0},
	{0x1fff0000, 0x10000, 3, 0},
	{0xfffc0000, 0x40000, 2, 0},
	{0x100000000, 0x40000000, 1, 0},
};

static void real_layout(struct builder *b)
{
	uint8_t old_rsdp[ACPI_RSDP_V1_BYTES] = "old", new_rsdp[ACPI_RSDP_V2_BYTES] = "new";

	begin(b);
	tag(b, MULTIBOOT2_TAG_CMDLINE, "verw=on maxcpus=2", 18);
	tag(b, 2, "GRUB 2.06", 10);
	module(b, 0x200000, 0x200123, "probe0.cfg");
	tag(b, MULTIBOOT2_TAG_ACPI_NEW, new_rsdp, sizeof(new_rsdp));
	mmap_tag(b, PC, sizeof(PC) / sizeof(PC[0]));
	module(b, 0x201000, 0x20a000, "probe");
	tag(b, MULTIBOOT2_TAG_ACPI_OLD, old_rsdp, sizeof(old_rsdp));
	end(b);
}

static void check_string(const struct boot_info *info, const char *s)
{
	uint64_t at = (uintptr_t)s;

	if (s[0] == 0 && (at < info->start || at >= info->end))
		return; /* the empty command line of a loader that gave none */
	assert_in_range(at, info->start, info->end - 1);
	assert_in_range(at + strlen(s), info->start, info->end - 1);
}

static void check_properties(const struct boot_info *info)
{
	assert_in_range(info->range_count, 1, BOOT_RANGES_MAX);
	assert_in_range(info->module_count, 0, BOOT_MODULES_MAX);
	for (uint32_t i = 0; i < info->range_count; i++) {
		assert_int_equal(info->ranges[i].start % PAGE, 0);
		assert_int_equal(info->ranges[i].end % PAGE, 0);
		assert_true(info->ranges[i].start < info->ranges[i].end);
		if (i > 0)
			assert_true(info->ranges[i - 1].end < info->ranges[i].start);
	}
	for (uint32_t i = 0; i < info->module_count; i++) {
		assert_true(info->modules[i].start <= info->modules[i].end);
		check_string(info, info->modules[i].name);
	}
	check_string(info, info->cmdline);
	if (info->rsdp != 0) {
		assert_in_range(info->rsdp, info->start, info->end - ACPI_RSDP_V1_BYTES);
	}
}

/* Parses a copy that has exactly size bytes, so that ASan sees the first byte beyond. The caller frees *copy. */
static const char *parse(struct boot_info *out, const uint8_t *bytes, size_t size, uint8_t **copy)
{
	struct boot_info before;
	const char *reason;

	*copy = malloc(size != 0 ? size : 1);
	memcpy(*copy, bytes, size);
	memset(out, 0xa5, sizeof(*out));
	before = *out;
	reason = multiboot2_parse(out, *copy, size);
	if (reason != NULL) {
		assert_memory_equal(out, &before, sizeof(before));
		assert_true(strlen(reason) > 10);
	} else {
		assert_int_equal(out->start, (uintptr_t)*copy);
		check_properties(out);
	}
	return reason;
}

/* Parses and throws the copy away; strings of *out must not be looked at. */
static const char *parse_only(struct boot_info *out, const struct builder *b)
{
	uint8_t *copy;
	const char *reason = parse(out, b->bytes, b->size, &copy);

	free(copy);
	return reason;
}

static void test_real_layout(void **state)
{
	struct builder b;
	struct boot_info info;
	uint8_t *copy;

	(void)state;
	real_layout(&b);
	assert_null(parse(&info, b.bytes, b.size, &copy));
	assert_string_equal(info.cmdline, "verw=on maxcpus=2");
	assert_int_equal(info.end - info.start, b.size);
	assert_int_equal(info.module_count, 2);
	assert_string_equal(info.modules[0].name, "probe0.cfg");
	assert_int_equal(info.modules[0].start, 0x200000);
	assert_int_equal(info.modules[0].end, 0x200123);
	assert_string_equal(info.modules[1].name, "probe");
	assert_string_equal((const char *)(uintptr_t)info.rsdp, "new");
	assert_int_equal(info.range_count, 3);
	assert_int_equal(info.ranges[0].start, 0);
	assert_int_equal(info.ranges[0].end, 0x9f000);
	assert_int_equal(info.ranges[1].start, 0x100000);
	assert_int_equal(info.ranges[1].end, 0x1fff0000);
	assert_int_equal(info.ranges[2].start, 0x100000000);
	assert_int_equal(info.ranges[2].end, 0x140000000);
	free(copy);
}

static void test_truncated(void **state)
{
	struct builder b;
	struct boot_info info;
	uint8_t *copy;

	(void)state;
	real_layout(&b);
	for (uint32_t size = 0; size < b.size; size++) {
		/* what can be read ends early; then the structure itself says that it does */
		assert_non_null(parse(&info, b.bytes, size, &copy));
		free(copy);
		if (size >= 4)
			memcpy(b.bytes, &size, 4);
		assert_non_null(parse(&info, b.bytes, size, &copy));
		free(copy);
		memcpy(b.bytes, &b.size, 4);
	}
	assert_null(parse_only(&info, &b));
}

static void test_flipped(void **state)
{
	static const uint8_t flips[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff};
	struct builder b;
	struct boot_info info;

	(void)state;
	real_layout(&b);
	for (uint32_t at = 0; at < b.size; at++)
		for (size_t i = 0; i < sizeof(flips); i++) {
			b.bytes[at] ^= flips[i];
			parse_only(&info, &b);
			b.bytes[at] ^= flips[i];
		}
	assert_null(parse_only(&info, &b));
}

static void test_new_rsdp_is_preferred(void **state)
{
	uint8_t old_rsdp[ACPI_RSDP_V1_BYTES] = "old", new_rsdp[ACPI_RSDP_V2_BYTES] = "new";
	struct boot_info info;
	uint8_t *copy;

	(void)state;
	for (unsigned which = 0; which < 4; which++) {
		struct builder b;

		begin(&b);
		mmap_tag(&b, PC, 1);
		if (which != 1)
			tag(&b, MULTIBOOT2_TAG_ACPI_OLD, old_rsdp, sizeof(old_rsdp));
		if (which != 0)
			tag(&b, MULTIBOOT2_TAG_ACPI_NEW, new_rsdp, sizeof(new_rsdp));
		if (which == 3)
			tag(&b, MULTIBOOT2_TAG_ACPI_OLD, old_rsdp, sizeof(old_rsdp));
		end(&b);
		assert_null(parse(&info, b.bytes, b.size, &copy));
		assert_string_equal((const char *)(uintptr_t)info.rsdp, which == 0 ? "old" : "new");
		free(copy);
	}
}

static void test_nothing_but_a_map(void **state)
{
	struct builder b;
	struct boot_info info;

	(void)state;
	begin(&b);
	mmap_tag(&b, PC, 1);
	end(&b);
	assert_null(parse_only(&info, &b));
	assert_string_equal(info.cmdline, "");
	assert_int_equal(info.module_count, 0);
	assert_int_equal(info.rsdp, 0);
}

static void expect_refused(struct builder *b, const char *word)
{
	struct boot_info info;
	const char *reason;

	end(b);
	reason = parse_only(&info, b);
	assert_non_null(reason);
	if (strstr(reason, word) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", reason, word);
}

static void test_refused(void **state)
{
	static const struct multiboot2_mmap_entry reserved[] = {{0x100000, 0x100000, 2, 0}};
	static const struct multiboot2_mmap_entry covered[] = {{0x100000, 0x100000, 1, 0}, {0, 0x1ff001, 2, 0}};
	static const struct multiboot2_mmap_entry wrapping[] = {{0x100000, UINT64_MAX, 1, 0}};
	struct multiboot2_mmap_entry many[BOOT_RANGES_MAX + 1];
	struct builder b;

	(void)state;
	begin(&b);
	expect_refused(&b, "no memory map");
	begin(&b);
	mmap_tag(&b, reserved, 1);
	expect_refused(&b, "no available memory");
	begin(&b);
	mmap_tag(&b, covered, 2);
	expect_refused(&b, "no available memory");
	begin(&b);
	mmap_tag(&b, wrapping, 1);
	expect_refused(&b, "end of the address space");
	begin(&b);
	mmap_tag(&b, PC, 1);
	mmap_tag(&b, PC, 1);
	expect_refused(&b, "more than one memory map");
	begin(&b);
	mmap_sized(&b, PC, 1, 16);
	expect_refused(&b, "entries");
	begin(&b);
	mmap_sized(&b, PC, 1, 0);
	expect_refused(&b, "entries");
	begin(&b);
	tag(&b, MULTIBOOT2_TAG_MMAP, "\x18\0\0", 4);
	expect_refused(&b, "cut off");
	begin(&b);
	mmap_tag(&b, PC, 1);
	tag(&b, MULTIBOOT2_TAG_CMDLINE, "abcdefgh", 8);
	expect_refused(&b, "command line does not end");
	begin(&b);
	mmap_tag(&b, PC, 1);
	tag(&b, MULTIBOOT2_TAG_MODULE, "\0\0\0\0\1\0\0\0name", 12);
	expect_refused(&b, "command line does not end");
	begin(&b);
	mmap_tag(&b, PC, 1);
	tag(&b, MULTIBOOT2_TAG_MODULE, "\0\0\0", 4);
	expect_refused(&b, "command line does not end");
	begin(&b);
	mmap_tag(&b, PC, 1);
	module(&b, 2, 1, "backwards");
	expect_refused(&b, "ends before it starts");
	begin(&b);
	mmap_tag(&b, PC, 1);
	tag(&b, MULTIBOOT2_TAG_ACPI_OLD, "RSD PTR ", 8);
	expect_refused(&b, "RSDP");
	begin(&b);
	mmap_tag(&b, PC, 1);
	for (unsigned i = 0; i <= BOOT_MODULES_MAX; i++)
		module(&b, 0, 1, "m");
	expect_refused(&b, "too many modules");
	for (unsigned i = 0; i <= BOOT_RANGES_MAX; i++)
		many[i] = (struct multiboot2_mmap_entry){i * 2 * PAGE, PAGE, 1, 0};
	begin(&b);
	mmap_tag(&b, many, BOOT_RANGES_MAX + 1);
	expect_refused(&b, "too many separate ranges");
}

static void test_limits_can_be_reached(void **state)
{
	struct multiboot2_mmap_entry many[BOOT_RANGES_MAX];
	struct builder b;
	struct boot_info info;

	(void)state;
	begin(&b);
	for (unsigned i = 0; i < BOOT_MODULES_MAX; i++)
		module(&b, i, i, "");
	for (unsigned i = 0; i < BOOT_RANGES_MAX; i++)
		many[i] = (struct multiboot2_mmap_entry){i * 2 * PAGE, PAGE, 1, 0};
	mmap_tag(&b, many, BOOT_RANGES_MAX);
	end(&b);
	assert_null(parse_only(&info, &b));
	assert_int_equal(info.module_count, BOOT_MODULES_MAX);
	assert_int_equal(info.range_count, BOOT_RANGES_MAX);
}

static void test_entries_may_be_larger(void **state)
{
	struct builder b;
	struct boot_info info;

	(void)state;
	begin(&b);
	mmap_sized(&b, PC, sizeof(PC) / sizeof(PC[0]), 40);
	end(&b);
	assert_null(parse_only(&info, &b));
	assert_int_equal(info.range_count, 3);
}

static void test_reserved_to_the_end_of_all(void **state)
{
	static const struct multiboot2_mmap_entry map[] = {{0x100000, 0x300000, 1, 0}, {0x200800, UINT64_MAX, 2, 0}};
	struct builder b;
	struct boot_info info;

	(void)state;
	begin(&b);
	mmap_tag(&b, map, 2);
	end(&b);
	assert_null(parse_only(&info, &b));
	assert_int_equal(info.range_count, 1);
	assert_int_equal(info.ranges[0].end, 0x200000);
}

/* Random maps against a model that knows of each eighth of a page who claims it. */
static void test_map_against_model(void **state)
{
	enum { PAGES = 48, EIGHTH = PAGE / 8, ENTRIES = 12 };
	uint32_t random = 1;

	(void)state;
	for (unsigned round = 0; round < 5000; round++) {
		struct multiboot2_mmap_entry map[ENTRIES];
		bool available[PAGES * 8] = {false}, other[PAGES * 8] = {false};
		unsigned expected_pages = 0, found_pages = 0;
		struct builder b;
		struct boot_info info;
		const char *reason;

		for (unsigned i = 0; i < ENTRIES; i++) {
			unsigned start, length;

			random = random * 1664525 + 1013904223;
			start = (random >> 8) % (PAGES * 8);
			random = random * 1664525 + 1013904223;
			length = (random >> 8) % 100;
			if (length > PAGES * 8 - start)
				length = PAGES * 8 - start;
			if (random >> 30 == 0)
				length = length / 8 * 8;
			map[i] = (struct multiboot2_mmap_entry){start * EIGHTH, length * EIGHTH, 1 + (random >> 28) % 3,
								0};
			for (unsigned e = start; e < start + length; e++)
				*(map[i].type == 1 ? &available[e] : &other[e]) = true;
		}
		begin(&b);
		mmap_tag(&b, map, ENTRIES);
		end(&b);
		reason = parse_only(&info, &b);
		for (unsigned page = 0; page < PAGES; page++) {
			bool expected = true, found = false;

			for (unsigned e = page * 8; e < page * 8 + 8; e++)
				expected = expected && available[e] && !other[e];
			for (uint32_t i = 0; reason == NULL && i < info.range_count; i++)
				found = found || (info.ranges[i].start <= (uint64_t)page * PAGE &&
						  (uint64_t)(page + 1) * PAGE <= info.ranges[i].end);
			assert_int_equal(found, expected);
			expected_pages += expected;
			found_pages += found;
		}
		assert_int_equal(found_pages, expected_pages);
		if (reason != NULL)
			assert_int_equal(expected_pages, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real_layout),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_new_rsdp_is_preferred),
		cmocka_unit_test(test_nothing_but_a_map),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_limits_can_be_reached),
		cmocka_unit_test(test_entries_may_be_larger),
		cmocka_unit_test(test_reserved_to_the_end_of_all),
		cmocka_unit_test(test_map_against_model),
	};

	return cmocka_run_group_tests_name("multiboot2", tests, NULL, NULL);
}
