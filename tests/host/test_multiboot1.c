/* Multiboot 1 kernels of each kind, damaged in every way; the layout and the info block as properties. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/elf.h"
#include "arch/defs/multiboot1.h"
#include "hv/policy/multiboot1.h"

#define MIB    (1ull << 20)
#define GIB    (1ull << 30)
#define MEMORY (64 * MIB)
#define PAGE   4096u

struct kernel {
	uint8_t bytes[16384];
	size_t size;
};

static void put(struct kernel *k, size_t offset, const void *bytes, size_t length)
{
	assert_true(offset + length <= sizeof(k->bytes));
	memcpy(k->bytes + offset, bytes, length);
	if (k->size < offset + length)
		k->size = offset + length;
}

static void put_header(struct kernel *k, size_t offset, uint32_t flags)
{
	struct multiboot1_header h = {MULTIBOOT1_HEADER_MAGIC, flags, 0u - MULTIBOOT1_HEADER_MAGIC - flags};

	put(k, offset, &h, sizeof(h));
}

#define HEADER_AT 0x100
#define TEXT_AT   0x200

static struct kernel kernel_begin(size_t size)
{
	struct kernel k = {.size = size};

	memset(k.bytes, 0xcc, size);
	return k;
}

static struct kernel elf32(void)
{
	struct kernel k = kernel_begin(0x1000);
	struct elf32_header h = {
		.ident = {ELF_MAGIC, ELF_CLASS_32, ELF_DATA_LSB, 1, 0, {0}},
		.type = 2,
		.machine = ELF_EM_386,
		.entry = 0x100020,
		.phoff = sizeof(h),
		.phentsize = sizeof(struct elf32_program_header),
		.phnum = 3,
	};
	const struct elf32_program_header p[3] = {
		{ELF_PT_LOAD, TEXT_AT, 0x100000, 0x100000, 0x300, 0x300, 5, 4096},
		{0x6474e551, 0, 0, 0, 0, 0, 6, 16},
		{ELF_PT_LOAD, 0x800, 0x101000, 0x101000, 0x80, 0x4000, 6, 4096},
	};

	put(&k, 0, &h, sizeof(h));
	put(&k, sizeof(h), p, sizeof(p));
	put_header(&k, HEADER_AT, MULTIBOOT1_PAGE_ALIGN | MULTIBOOT1_MEMORY_INFO);
	return k;
}

/* Linked for high addresses, as a kernel with 64-bit code is, and with the entry given there. */
static struct kernel elf64(uint64_t vaddr, uint64_t entry)
{
	struct kernel k = kernel_begin(0x1000);
	struct elf64_header h = {
		.ident = {ELF_MAGIC, ELF_CLASS_64, ELF_DATA_LSB, 1, 0, {0}},
		.type = 2,
		.machine = ELF_EM_X86_64,
		.entry = entry,
		.phoff = sizeof(h),
		.phentsize = sizeof(struct elf64_program_header),
		.phnum = 1,
	};
	const struct elf64_program_header p = {ELF_PT_LOAD, 5, TEXT_AT, vaddr, 0x200000, 0x300, 0x1000, 4096};

	put(&k, 0, &h, sizeof(h));
	put(&k, sizeof(h), &p, sizeof(p));
	put_header(&k, HEADER_AT, 0);
	return k;
}

static struct multiboot1_addresses plain_addresses(void)
{
	return (struct multiboot1_addresses){
		.header_addr = 0x100000 + HEADER_AT - 0x40,
		.load_addr = 0x100000, /* the file is loaded from 0x40 on */
		.load_end_addr = 0x100800,
		.bss_end_addr = 0x102000,
		.entry_addr = 0x100010,
	};
}

static struct kernel a_out(struct multiboot1_addresses a)
{
	struct kernel k = kernel_begin(0x1000);

	put_header(&k, HEADER_AT, MULTIBOOT1_ADDRESSES | MULTIBOOT1_MEMORY_INFO);
	put(&k, HEADER_AT + sizeof(struct multiboot1_header), &a, sizeof(a));
	return k;
}

static void check_layout(const struct multiboot1_image *image, uint64_t memory_bytes, size_t cmdline_bytes,
			 size_t module_bytes);

/* Parses a copy of exactly size bytes, so that ASan sees the first byte beyond, and checks what must always hold. */
static const char *parse_bytes(struct multiboot1_image *out, const uint8_t *bytes, size_t size, uint64_t memory_bytes)
{
	uint8_t *copy = malloc(size != 0 ? size : 1);
	struct multiboot1_image before;
	const char *reason;
	bool entry_inside = false;

	memcpy(copy, bytes, size);
	memset(out, 0xa5, sizeof(*out));
	memcpy(&before, out, sizeof(before));
	reason = multiboot1_parse(out, copy, size, memory_bytes);
	free(copy);
	if (reason != NULL) {
		assert_memory_equal(out, &before, sizeof(before));
		return reason;
	}
	assert_in_range(out->segment_count, 1, MULTIBOOT1_SEGMENTS_MAX);
	for (uint32_t i = 0; i < out->segment_count; i++) {
		const struct multiboot1_segment *s = &out->segments[i];

		assert_true(s->offset <= size && s->file_bytes <= size - s->offset);
		assert_true(s->file_bytes <= s->memory_bytes);
		assert_true(s->gpa <= memory_bytes && s->memory_bytes <= memory_bytes - s->gpa);
		assert_true(s->gpa + s->memory_bytes <= 3 * GIB);
		entry_inside = entry_inside || (out->entry >= s->gpa && out->entry < s->gpa + s->memory_bytes);
	}
	assert_true(entry_inside);
	check_layout(out, memory_bytes, 20, 5000);
	return NULL;
}

static const char *parse(struct multiboot1_image *out, const struct kernel *k)
{
	return parse_bytes(out, k->bytes, k->size, MEMORY);
}

static void expect_refused(const struct kernel *k, const char *word)
{
	struct multiboot1_image image;
	const char *reason = parse(&image, k);

	if (reason == NULL || strstr(reason, word) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", reason != NULL ? reason : "(accepted)", word);
}

static void test_elf32(void **state)
{
	struct kernel k = elf32();
	struct multiboot1_image image;

	(void)state;
	assert_null(parse(&image, &k));
	assert_int_equal(image.flags, 3);
	assert_int_equal(image.entry, 0x100020);
	assert_int_equal(image.segment_count, 2);
	assert_int_equal(image.segments[0].offset, TEXT_AT);
	assert_int_equal(image.segments[0].file_bytes, 0x300);
	assert_int_equal(image.segments[0].gpa, 0x100000);
	assert_int_equal(image.segments[0].memory_bytes, 0x300);
	assert_int_equal(image.segments[1].offset, 0x800);
	assert_int_equal(image.segments[1].file_bytes, 0x80);
	assert_int_equal(image.segments[1].gpa, 0x101000);
	assert_int_equal(image.segments[1].memory_bytes, 0x4000);
}

static void test_elf64(void **state)
{
	const uint64_t high = 0xffffffff80000000;
	struct kernel k = elf64(0x200000, 0x200030);
	struct multiboot1_image image;

	(void)state;
	assert_null(parse(&image, &k));
	assert_int_equal(image.entry, 0x200030);
	assert_int_equal(image.segments[0].gpa, 0x200000);
	assert_int_equal(image.segments[0].memory_bytes, 0x1000);
	k = elf64(high, 0x200030); /* high addresses, physical entry */
	assert_null(parse(&image, &k));
	assert_int_equal(image.entry, 0x200030);
	k = elf64(high, high + 0x30); /* virtual entry */
	assert_null(parse(&image, &k));
	assert_int_equal(image.entry, 0x200030);
	k = elf64(high, 0x100200030); /* more than 32 bits */
	expect_refused(&k, "entry");
}

static void test_elf_refused(void **state)
{
	struct elf32_program_header p;
	struct kernel k;
	const size_t first = sizeof(struct elf32_header);

	(void)state;
	k = elf32();
	k.bytes[4] = 3; /* class */
	expect_refused(&k, "ELF");
	k = elf32();
	k.bytes[5] = 2; /* big-endian */
	expect_refused(&k, "ELF");
	k = elf32();
	k.bytes[offsetof(struct elf32_header, machine)] = 40; /* ARM */
	expect_refused(&k, "ELF");
	k = elf32();
	k.bytes[offsetof(struct elf32_header, phentsize)] = 31;
	expect_refused(&k, "ELF");
	k = elf32();
	put(&k, offsetof(struct elf32_header, phoff), "\xf0\xff\xff\xff", 4);
	expect_refused(&k, "program headers");
	k = elf32();
	k.bytes[offsetof(struct elf32_header, phnum)] = 0;
	expect_refused(&k, "nothing to load");
	k = elf32();
	put(&k, offsetof(struct elf32_header, entry), "\0\0\x20\0", 4);
	expect_refused(&k, "entry");

	memcpy(&p, elf32().bytes + first, sizeof(p));
	k = elf32();
	p.filesz = p.memsz + 1;
	put(&k, first, &p, sizeof(p));
	expect_refused(&k, "larger in the file");
	k = elf32();
	p.filesz = p.memsz = 0x1000 - TEXT_AT + 1;
	put(&k, first, &p, sizeof(p));
	expect_refused(&k, "end of the file");
	k = elf32();
	p.filesz = 0x300;
	p.paddr = MEMORY - 0x2ff;
	p.memsz = 0x300;
	put(&k, first, &p, sizeof(p));
	expect_refused(&k, "guest's memory");
	k = elf32();
	p.memsz = 0xffffffff;
	p.paddr = 0x100000;
	put(&k, first, &p, sizeof(p));
	expect_refused(&k, "guest's memory");
}

static void test_too_many_segments(void **state)
{
	struct elf32_program_header p = {ELF_PT_LOAD, 0, 0x100000, 0x100000, 0x10, 0x1000, 5, 4096};
	struct multiboot1_image image;
	struct kernel k = elf32();
	uint16_t count = MULTIBOOT1_SEGMENTS_MAX;
	uint32_t table = 0x1000;

	(void)state;
	put(&k, offsetof(struct elf32_header, phoff), &table, 4);
	for (unsigned i = 0; i <= count; i++, p.paddr += 0x1000, p.vaddr += 0x1000)
		put(&k, table + i * sizeof(p), &p, sizeof(p));
	put(&k, offsetof(struct elf32_header, phnum), &count, 2);
	assert_null(parse(&image, &k));
	assert_int_equal(image.segment_count, MULTIBOOT1_SEGMENTS_MAX);
	count++;
	put(&k, offsetof(struct elf32_header, phnum), &count, 2);
	expect_refused(&k, "too many segments");
}

static void test_a_out(void **state)
{
	struct multiboot1_addresses a = plain_addresses();
	struct multiboot1_image image;
	struct kernel k = a_out(a);

	(void)state;
	assert_null(parse(&image, &k));
	assert_int_equal(image.entry, 0x100010);
	assert_int_equal(image.segment_count, 1);
	assert_int_equal(image.segments[0].offset, 0x40);
	assert_int_equal(image.segments[0].gpa, 0x100000);
	assert_int_equal(image.segments[0].file_bytes, 0x800);
	assert_int_equal(image.segments[0].memory_bytes, 0x2000);

	a.load_end_addr = 0; /* all of the file */
	k = a_out(a);
	assert_null(parse(&image, &k));
	assert_int_equal(image.segments[0].file_bytes, 0x1000 - 0x40);
	assert_int_equal(image.segments[0].memory_bytes, 0x2000);

	a.bss_end_addr = 0; /* and no bss */
	k = a_out(a);
	assert_null(parse(&image, &k));
	assert_int_equal(image.segments[0].file_bytes, 0x1000 - 0x40);
	assert_int_equal(image.segments[0].memory_bytes, 0x1000 - 0x40);

	a.load_end_addr = 0x100400;
	k = a_out(a);
	assert_null(parse(&image, &k));
	assert_int_equal(image.segments[0].memory_bytes, 0x400);
}

static void test_a_out_wins_over_elf(void **state)
{
	struct multiboot1_addresses a = plain_addresses();
	struct multiboot1_image image;
	struct kernel k = elf32();

	(void)state;
	put_header(&k, HEADER_AT, MULTIBOOT1_ADDRESSES);
	put(&k, HEADER_AT + sizeof(struct multiboot1_header), &a, sizeof(a));
	assert_null(parse(&image, &k));
	assert_int_equal(image.segment_count, 1);
	assert_int_equal(image.entry, a.entry_addr);
}

static void test_a_out_refused(void **state)
{
	static const struct {
		struct multiboot1_addresses a;
		const char *word;
	} rows[] = {
		{{0x100000, 0x100001, 0x100800, 0, 0x100010}, "load_addr"}, /* after the header */
		{{0x100101, 0x100000, 0x100800, 0, 0x100010}, "load_addr"}, /* before the file */
		{{0x1000c0, 0x100000, 0x0fffff, 0, 0x100010}, "load_end_addr"},
		{{0x1000c0, 0x100000, 0x100fc1, 0, 0x100010}, "end of the file"},
		{{0x1000c0, 0x100000, 0x100800, 0x1007ff, 0x100010}, "bss_end_addr"},
		{{0x1000c0, 0x100000, 0, 0x100fbf, 0x100010}, "bss_end_addr"},
		{{0x1000c0, 0x100000, 0x100800, 0x4000001, 0x100010}, "guest's memory"},
		{{0xfffff0c0, 0xfffff000, 0, 0, 0xfffff010}, "guest's memory"},
		{{0x1000c0, 0x100000, 0x100800, 0, 0x100800}, "entry"},
		{{0x1000c0, 0x100000, 0x100800, 0, 0x0fffff}, "entry"},
		{{0x1000c0, 0x100000, 0x100000, 0, 0x100000}, "entry"}, /* nothing loaded */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kernel k = a_out(rows[i].a);

		expect_refused(&k, rows[i].word);
	}
}

static void test_header_position(void **state)
{
	struct multiboot1_addresses a = plain_addresses();
	struct multiboot1_image image;
	struct kernel k;

	(void)state;
	for (size_t at = 0x200; at < 0x210; at++) {
		k = elf32();
		memset(k.bytes + HEADER_AT, 0, sizeof(struct multiboot1_header));
		put_header(&k, at, 0);
		if (at % 4 == 0)
			assert_null(parse(&image, &k));
		else
			expect_refused(&k, "no multiboot header");
	}
	/* the last place where it lies in the first 8192 bytes, and the one after */
	for (size_t at = 8192 - 12; at <= 8192 - 8; at += 4) {
		k = elf32();
		memset(k.bytes + HEADER_AT, 0, sizeof(struct multiboot1_header));
		put_header(&k, at, 0);
		if (at == 8192 - 12)
			assert_null(parse(&image, &k));
		else
			expect_refused(&k, "no multiboot header");
	}
	/* so for a header with addresses */
	for (size_t at = 8192 - 32; at <= 8192 - 28; at += 4) {
		k = kernel_begin(12288);
		put_header(&k, at, MULTIBOOT1_ADDRESSES);
		a.header_addr = (uint32_t)(a.load_addr + at);
		put(&k, at + sizeof(struct multiboot1_header), &a, sizeof(a));
		if (at == 8192 - 32)
			assert_null(parse(&image, &k));
		else
			expect_refused(&k, "cut off");
	}
}

static void test_bad_checksum(void **state)
{
	struct multiboot1_image image;
	struct kernel k = elf32();

	(void)state;
	k.bytes[HEADER_AT + 8] ^= 1;
	expect_refused(&k, "checksum");
	put_header(&k, HEADER_AT + 64, 0); /* the search goes on */
	assert_null(parse(&image, &k));
	assert_int_equal(image.flags, 0);
}

static void test_flags(void **state)
{
	struct multiboot1_image image;

	(void)state;
	for (unsigned bit = 0; bit < 32; bit++) {
		struct kernel k = elf32();

		put_header(&k, HEADER_AT, 1u << bit);
		if (bit >= 3 && bit < 16)
			expect_refused(&k, "requires a feature");
		else if (bit != 16)
			assert_null(parse(&image, &k));
	}
}

static void test_truncated_and_flipped(void **state)
{
	static const uint8_t flips[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff};
	const struct kernel kernels[] = {elf32(), elf64(0x200000, 0x200030), a_out(plain_addresses())};

	(void)state;
	for (size_t n = 0; n < sizeof(kernels) / sizeof(kernels[0]); n++) {
		struct kernel k = kernels[n];
		struct multiboot1_image image;

		for (size_t size = 0; size <= k.size; size++)
			parse_bytes(&image, k.bytes, size, MEMORY);
		assert_non_null(parse_bytes(&image, k.bytes, TEXT_AT, MEMORY));
		for (size_t at = 0; at < TEXT_AT; at++)
			for (size_t i = 0; i < sizeof(flips); i++) {
				k.bytes[at] ^= flips[i];
				parse(&image, &k);
				k.bytes[at] ^= flips[i];
			}
		assert_null(parse(&image, &k));
	}
}

static void test_kernel_between_3_and_4_gib_is_refused(void **state)
{
	struct multiboot1_addresses a = plain_addresses();
	struct multiboot1_image image;
	struct kernel k;

	(void)state;
	a.header_addr += 0xc0000000 - a.load_addr;
	a.load_addr = 0xc0000000;
	a.load_end_addr = a.bss_end_addr = 0;
	a.entry_addr = a.load_addr;
	k = a_out(a);
	assert_non_null(parse_bytes(&image, k.bytes, k.size, 8 * GIB));
}

static uint32_t read32(const uint8_t *block, uint64_t offset)
{
	uint32_t value;

	memcpy(&value, block + offset, sizeof(value));
	return value;
}

static const char *string_at(const uint8_t *block, const struct multiboot1_layout *l, uint32_t gpa)
{
	assert_in_range(gpa, l->info_gpa, l->info_gpa + l->info_bytes - 1);
	assert_non_null(memchr(block + (gpa - l->info_gpa), 0, l->info_bytes - (gpa - l->info_gpa)));
	return (const char *)block + (gpa - l->info_gpa);
}

/* The map: what is of type 1, against what a guest with this memory may use. */
static void check_map(const uint8_t *block, const struct multiboot1_layout *l, uint64_t memory_bytes)
{
	uint32_t length = read32(block, offsetof(struct multiboot1_info, mmap_length));
	uint32_t gpa = read32(block, offsetof(struct multiboot1_info, mmap_addr));
	uint64_t last_end = 0, described = 0, usable = 0;

	assert_in_range(gpa, l->info_gpa + sizeof(struct multiboot1_info), l->info_gpa + l->info_bytes - length);
	for (uint32_t at = 0; at < length;) {
		struct multiboot1_mmap_entry e;

		memcpy(&e, block + (gpa - l->info_gpa) + at, sizeof(e));
		assert_int_equal(e.size, 20);
		assert_true(e.length > 0);
		assert_true(e.base_addr == last_end || e.base_addr == 4 * GIB);
		assert_true(e.base_addr >= last_end);
		last_end = e.base_addr + e.length;
		described += e.length;
		if (e.type == MULTIBOOT1_MEMORY_AVAILABLE) {
			usable += e.length;
			assert_true(last_end <= l->available_end || e.base_addr == 4 * GIB);
			assert_true(last_end <= 0x9fc00 || e.base_addr >= MIB);
		} else {
			assert_int_equal(e.type, MULTIBOOT1_MEMORY_RESERVED);
		}
		at += e.size + 4;
	}
	assert_int_equal(described, memory_bytes / PAGE * PAGE);
	assert_int_equal(described - usable, MIB - 0x9fc00 + l->low_end - l->available_end);
}

static void check_info(const struct multiboot1_layout *l, uint64_t memory_bytes, const char *cmdline,
		       size_t module_bytes, const char *module_name)
{
	uint8_t *block = malloc(l->info_bytes);
	uint32_t mods;

	memset(block, 0xee, l->info_bytes);
	multiboot1_info_write(block, l, cmdline, module_bytes, module_name);
	assert_int_equal(read32(block, 0), 1u << 0 | 1u << 2 | 1u << 3 | 1u << 6 | 1u << 9);
	assert_int_equal(read32(block, 4), 639);
	assert_int_equal(read32(block, 8), (l->available_end - MIB) / 1024);
	assert_string_equal(string_at(block, l, read32(block, 16)), cmdline);
	assert_string_equal(string_at(block, l, read32(block, 64)), "sluice");
	assert_int_equal(read32(block, 20), module_bytes != 0);
	if (module_bytes != 0) {
		mods = read32(block, 24);
		assert_in_range(mods, l->info_gpa, l->info_gpa + l->info_bytes - 16);
		assert_int_equal(read32(block, mods - l->info_gpa), l->module_gpa);
		assert_int_equal(read32(block, mods - l->info_gpa + 4), l->module_gpa + module_bytes);
		assert_string_equal(string_at(block, l, read32(block, mods - l->info_gpa + 8)), module_name);
	}
	check_map(block, l, memory_bytes);
	free(block);
}

static void check_layout(const struct multiboot1_image *image, uint64_t memory_bytes, size_t cmdline_bytes,
			 size_t module_bytes)
{
	struct multiboot1_layout l, before;
	char *cmdline;

	memset(&l, 0xa5, sizeof(l));
	before = l;
	if (!multiboot1_layout_make(&l, image, memory_bytes, cmdline_bytes, module_bytes)) {
		assert_memory_equal(&l, &before, sizeof(l));
		return;
	}
	assert_true(l.low_end <= memory_bytes && l.low_end <= 3 * GIB);
	assert_int_equal(l.low_end + l.high_bytes, memory_bytes / PAGE * PAGE);
	assert_int_equal(l.info_gpa % PAGE, 0);
	assert_int_equal(l.module_gpa % PAGE, 0);
	assert_true(l.info_gpa >= l.available_end && l.info_gpa + l.info_bytes <= l.low_end);
	assert_true(l.available_end > MIB);
	if (module_bytes != 0) {
		assert_true(l.module_gpa >= l.available_end && l.module_gpa + module_bytes <= l.info_gpa);
		assert_true(l.module_gpa + module_bytes > l.info_gpa - PAGE); /* nothing is wasted */
	} else {
		assert_int_equal(l.module_gpa, 0);
		assert_int_equal(l.available_end, l.info_gpa);
	}
	for (uint32_t i = 0; i < image->segment_count; i++)
		assert_true(image->segments[i].gpa + image->segments[i].memory_bytes <= l.available_end);
	cmdline = malloc(cmdline_bytes + 1);
	memset(cmdline, 'x', cmdline_bytes);
	cmdline[cmdline_bytes] = 0;
	check_info(&l, memory_bytes, cmdline, module_bytes, module_bytes != 0 ? "initrd" : NULL);
	free(cmdline);
}

static void test_layout(void **state)
{
	static const uint64_t memories[] = {
		2 * MIB, 16 * MIB, 64 * MIB, 3 * GIB - MIB, 3 * GIB, 3 * GIB + MIB, 4 * GIB, 5 * GIB, 64 * GIB,
	};
	static const size_t cmdlines[] = {0, 1, 100, 1151, 3000, 4096, 8191};
	static const size_t modules[] = {0, 1, 4095, 4096, 4097, 300000};
	struct kernel k = elf32();
	struct multiboot1_image image;

	(void)state;
	for (size_t m = 0; m < sizeof(memories) / sizeof(memories[0]); m++) {
		struct multiboot1_layout l;

		assert_null(parse_bytes(&image, k.bytes, k.size, memories[m]));
		assert_true(multiboot1_layout_make(&l, &image, memories[m], 100, 4097));
		for (size_t c = 0; c < sizeof(cmdlines) / sizeof(cmdlines[0]); c++)
			for (size_t n = 0; n < sizeof(modules) / sizeof(modules[0]); n++)
				check_layout(&image, memories[m], cmdlines[c], modules[n]);
	}
}

static void test_layout_that_does_not_fit(void **state)
{
	struct kernel k = elf32();
	struct multiboot1_image image;
	struct multiboot1_layout l;
	uint64_t kernel_end, room;

	(void)state;
	assert_null(parse(&image, &k));
	kernel_end = image.segments[1].gpa + image.segments[1].memory_bytes;
	assert_false(multiboot1_layout_make(&l, &image, MEMORY, SIZE_MAX, 0));
	assert_false(multiboot1_layout_make(&l, &image, MEMORY, MEMORY, 0));
	assert_false(multiboot1_layout_make(&l, &image, MEMORY, 0, SIZE_MAX));
	assert_false(multiboot1_layout_make(&l, &image, MIB, 0, 0));
	assert_false(multiboot1_layout_make(&l, &image, 0, 0, 0));
	/* to the byte: the module may begin where the kernel ends, no earlier */
	assert_true(multiboot1_layout_make(&l, &image, MEMORY, 0, 0));
	room = l.available_end - kernel_end;
	assert_true(multiboot1_layout_make(&l, &image, MEMORY, 0, room));
	assert_int_equal(l.module_gpa, kernel_end);
	assert_false(multiboot1_layout_make(&l, &image, MEMORY, 0, room + 1));
	image.segments[1].memory_bytes++;
	assert_false(multiboot1_layout_make(&l, &image, MEMORY, 0, room));
}

static void test_long_strings_are_cut_off(void **state)
{
	struct kernel k = elf32();
	struct multiboot1_image image;
	struct multiboot1_layout l;
	char longer[6000], name[MULTIBOOT1_MODULE_NAME_BYTES];
	uint8_t *block;
	uint32_t mods;

	(void)state;
	memset(longer, 'y', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	memset(name, 'y', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_null(parse(&image, &k));
	assert_true(multiboot1_layout_make(&l, &image, MEMORY, 10, 10));
	block = malloc(l.info_bytes);
	multiboot1_info_write(block, &l, longer, 10, longer);
	mods = read32(block, 24);
	assert_string_equal(string_at(block, &l, read32(block, 16)), "yyyyyyyyyy");
	assert_string_equal(string_at(block, &l, read32(block, mods - l.info_gpa + 8)), name);
	free(block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elf32),
		cmocka_unit_test(test_elf64),
		cmocka_unit_test(test_elf_refused),
		cmocka_unit_test(test_too_many_segments),
		cmocka_unit_test(test_a_out),
		cmocka_unit_test(test_a_out_wins_over_elf),
		cmocka_unit_test(test_a_out_refused),
		cmocka_unit_test(test_header_position),
		cmocka_unit_test(test_bad_checksum),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_truncated_and_flipped),
		cmocka_unit_test(test_kernel_between_3_and_4_gib_is_refused),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_layout_that_does_not_fit),
		cmocka_unit_test(test_long_strings_are_cut_off),
	};

	return cmocka_run_group_tests_name("multiboot1", tests, NULL, NULL);
}
