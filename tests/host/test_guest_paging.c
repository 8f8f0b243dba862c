/* Guest page tables of every format, built by hand: where each linear address leads, and which faults it raises. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "arch/guest_paging.h"

#define ENTRIES_MAX 4
#define LENGTH(a)   (sizeof(a) / sizeof((a)[0]))

/* Bits of an entry and of an error code, from the SDM and not from the code under test. */
#define P  1u
#define RW 2u
#define US 4u
#define PS 0x80u

/* ---- memory: a few 64-bit words at chosen addresses, and nothing elsewhere ---- */

struct word {
	uint64_t at, value;
};

struct memory {
	struct word words[8];
	unsigned count;
	unsigned entry_bytes; /* the only width of read that fits the format */
	unsigned reads;
};

static struct word *word_at(struct memory *m, uint64_t at)
{
	for (unsigned i = 0; i < m->count; i++) {
		if (m->words[i].at == at)
			return &m->words[i];
	}
	return NULL;
}

/* A neighbour in the same word, if nobody sets it, is present and leads nowhere. */
static void put(struct memory *m, uint64_t at, uint64_t value)
{
	struct word *w = word_at(m, at & ~7ull);

	if (w == NULL) {
		assert_true(m->count < LENGTH(m->words));
		w = &m->words[m->count++];
		*w = (struct word){at & ~7ull, 0x5a5a50075a5a5007};
	}
	if (m->entry_bytes == 8)
		w->value = value;
	else if (at & 4)
		w->value = (uint32_t)w->value | value << 32;
	else
		w->value = (w->value >> 32 << 32) | (uint32_t)value;
}

static bool read_memory(void *context, gpa_t at, unsigned bytes, uint64_t *value)
{
	struct memory *m = context;
	const struct word *w = word_at(m, at.v & ~7ull);

	assert_int_equal(bytes, m->entry_bytes);
	assert_int_equal(at.v % bytes, 0);
	m->reads++;
	*value = UINT64_MAX;
	if (w == NULL)
		return false;
	*value = bytes == 8 ? w->value : at.v & 4 ? w->value >> 32 : (uint32_t)w->value;
	return true;
}

/* ---- the formats ---- */

/* One kind of page in one format. The entries of a walk are numbered from the top; the last one maps the page. */
struct shape {
	const char *name;
	uint64_t cr4, efer;
	unsigned entry_bytes;
	unsigned entries;
	unsigned shift[ENTRIES_MAX];
	unsigned table_length[ENTRIES_MAX];
	uint64_t table[ENTRIES_MAX];   /* as high as the format reaches */
	uint64_t frame_mask;           /* addresses a page may have */
	uint64_t ignored[ENTRIES_MAX]; /* bits of the entries that change nothing */
	uint64_t cr3_ignored;
	bool large;
	bool top_has_rights;
};

/* Ignored: caching, accessed, dirty, global, software's; PAT of a page; execute-disable. */
#define ANY_32    0xe38u
#define TABLE_32  (ANY_32 | 0x140)
#define PAGE_32   (ANY_32 | 0x1e0)
#define LARGE_32  (ANY_32 | 0x1160)
#define TABLE_PAE (TABLE_32 | 1ull << 63)
#define PAGE_PAE  (PAGE_32 | 1ull << 63)
#define LARGE_PAE (LARGE_32 | 1ull << 63)
#define TOP_PAE   0xe18u
#define TABLE_64  (TABLE_32 | 0xfffull << 52)
#define PAGE_64   (PAGE_32 | 0xfffull << 52)
#define LARGE_64  (LARGE_32 | 0xfffull << 52)

#define HIGH_32 0xfffff000u
#define HIGH_64 0xffffffffff000u

#define SHAPE_32_4K(cr4_bits, first_ignored)                                                                 \
	.cr4 = (cr4_bits), .entry_bytes = 4, .entries = 2, .shift = {22, 12}, .table_length = {1024, 1024},  \
	.table = {HIGH_32, HIGH_32 - 0x1000}, .frame_mask = 0xfffff000, .ignored = {first_ignored, PAGE_32}, \
	.cr3_ignored = 0xffffffff00000fff, .top_has_rights = true

#define SHAPE_PAE(cr4_bits)                                              \
	.cr4 = CR4_PAE | (cr4_bits), .efer = EFER_NXE, .entry_bytes = 8, \
	.table = {0xffffffe0, HIGH_64, HIGH_64 - 0x1000}, .cr3_ignored = 0xffffffff0000001f, .top_has_rights = false

#define SHAPE_64(cr4_bits)                                                                                           \
	.cr4 = CR4_PAE | (cr4_bits), .efer = EFER_LME | EFER_LMA | EFER_NXE, .entry_bytes = 8,                       \
	.table = {HIGH_64, HIGH_64 - 0x1000, HIGH_64 - 0x2000, HIGH_64 - 0x3000}, .cr3_ignored = 0xfff0000000000fff, \
	.top_has_rights = true

/* clang-format off */
static const struct shape shapes[] = {
	{.name = "32-bit, 4 KiB, no PSE", SHAPE_32_4K(0, TABLE_32 | PS)},
	{.name = "32-bit, 4 KiB", SHAPE_32_4K(CR4_PSE, TABLE_32)},
	{.name = "32-bit, 4 MiB", .cr4 = CR4_PSE, .entry_bytes = 4, .entries = 1, .shift = {22}, .table_length = {1024},
	 .table = {HIGH_32}, .frame_mask = 0xffffc00000, .ignored = {LARGE_32}, .cr3_ignored = 0xffffffff00000fff,
	 .large = true, .top_has_rights = true},
	{.name = "PAE, 4 KiB", SHAPE_PAE(0), .entries = 3, .shift = {30, 21, 12}, .table_length = {4, 512, 512},
	 .frame_mask = 0xffffffffff000, .ignored = {TOP_PAE, TABLE_PAE, PAGE_PAE}},
	{.name = "PAE, 2 MiB", SHAPE_PAE(0), .entries = 2, .shift = {30, 21}, .table_length = {4, 512},
	 .frame_mask = 0xfffffffe00000, .ignored = {TOP_PAE, LARGE_PAE}, .large = true},
	{.name = "PAE, 2 MiB, with PSE", SHAPE_PAE(CR4_PSE), .entries = 2, .shift = {30, 21}, .table_length = {4, 512},
	 .frame_mask = 0xfffffffe00000, .ignored = {TOP_PAE, LARGE_PAE}, .large = true},
	{.name = "4-level, 4 KiB", SHAPE_64(CR4_PSE), .entries = 4, .shift = {39, 30, 21, 12},
	 .table_length = {512, 512, 512, 512}, .frame_mask = 0xffffffffff000,
	 .ignored = {TABLE_64, TABLE_64, TABLE_64, PAGE_64}},
	{.name = "4-level, 2 MiB", SHAPE_64(0), .entries = 3, .shift = {39, 30, 21}, .table_length = {512, 512, 512},
	 .frame_mask = 0xfffffffe00000, .ignored = {TABLE_64, TABLE_64, LARGE_64}, .large = true},
	{.name = "4-level, 1 GiB", SHAPE_64(0), .entries = 2, .shift = {39, 30}, .table_length = {512, 512},
	 .frame_mask = 0xfffffc0000000, .ignored = {TABLE_64, LARGE_64}, .large = true},
};
/* clang-format on */

static bool is_long(const struct shape *s)
{
	return s->efer & EFER_LMA;
}

static uint64_t page_bytes(const struct shape *s)
{
	return 1ull << s->shift[s->entries - 1];
}

/* ---- the builder ---- */

struct build {
	unsigned index[ENTRIES_MAX];
	unsigned flags[ENTRIES_MAX]; /* of P, RW, US */
	uint64_t frame;
	bool low;         /* tables at the bottom of memory instead of its top */
	bool ignored;     /* all ignored bits are set instead of none */
	unsigned missing; /* the table with this number is beyond RAM; ENTRIES_MAX: none */
};

static struct build plain_build(const struct shape *s)
{
	struct build b = {.frame = 0xa5a5a5a5a5a5a5a5 & s->frame_mask, .missing = ENTRIES_MAX};

	for (unsigned i = 0; i < s->entries; i++) {
		b.index[i] = s->table_length[i] * (i + 2) / 7;
		b.flags[i] = P | RW | US;
	}
	return b;
}

static uint64_t linear_of(const struct shape *s, const struct build *b)
{
	uint64_t linear = 0;

	for (unsigned i = 0; i < s->entries; i++)
		linear += (uint64_t)b->index[i] << s->shift[i];
	return is_long(s) && b->index[0] >= 256 ? linear + 0xffff000000000000 : linear;
}

static uint64_t table_of(const struct shape *s, const struct build *b, unsigned i)
{
	return b->low ? 0x1000 * i : s->table[i];
}

static uint64_t page_entry(const struct shape *s, uint64_t frame)
{
	if (s->entry_bytes == 4 && s->large)
		return frame % (1ull << 32) + frame / (1ull << 32) * 0x2000 + PS;
	return s->large ? frame + PS : frame;
}

static struct guest_paging construct(const struct shape *s, const struct build *b, struct memory *m)
{
	*m = (struct memory){.entry_bytes = s->entry_bytes};
	for (unsigned i = 0; i < s->entries; i++) {
		uint64_t entry = i + 1 == s->entries ? page_entry(s, b->frame) : table_of(s, b, i + 1);

		assert_int_equal(entry & (b->flags[i] | s->ignored[i]) & ~(uint64_t)PS, 0);
		entry |= b->flags[i] | (b->ignored ? s->ignored[i] : 0);
		if (i != b->missing)
			put(m, table_of(s, b, i) + b->index[i] * s->entry_bytes, entry);
	}
	return (struct guest_paging){
		.cr0 = CR0_PG | CR0_PE,
		.cr3 = table_of(s, b, 0) | (b->ignored ? s->cr3_ignored : 0),
		.cr4 = s->cr4,
		.efer = s->efer,
	};
}

/* ---- what must come out ---- */

#define NO_FAULT UINT32_MAX

struct outcome {
	uint64_t gpa;   /* counts without a fault */
	uint32_t fault; /* error code, or NO_FAULT */
	unsigned reads;
};

static void check(const char *name, const struct guest_paging *p, uint64_t linear, struct memory *m,
		  struct outcome expected)
{
	gpa_t out = gpa(0x1111);
	uint32_t code = 0x2222;
	bool ok;

	m->reads = 0;
	ok = guest_paging_walk(p, linear, read_memory, m, &out, &code);
	if (ok != (expected.fault == NO_FAULT) || (ok ? out.v != expected.gpa : code != expected.fault) ||
	    m->reads != expected.reads)
		fail_msg("%s: %#llx, user %d, write %d, cr0 %#llx: %s %#llx after %u reads; expected %s %#llx after %u",
			 name, (unsigned long long)linear, p->user, p->write, (unsigned long long)p->cr0,
			 ok ? "GPA" : "fault", (unsigned long long)(ok ? out.v : code), m->reads,
			 expected.fault == NO_FAULT ? "GPA" : "fault",
			 (unsigned long long)(expected.fault == NO_FAULT ? expected.gpa : expected.fault),
			 expected.reads);
}

static void check_all_accesses(const struct shape *s, const struct build *b, uint64_t linear, uint64_t gpa_expected)
{
	struct memory m;
	struct guest_paging p = construct(s, b, &m);
	unsigned absent = 0;
	bool all_writable = true, all_user = true;

	while (absent < s->entries && absent != b->missing && (b->flags[absent] & P))
		absent++;
	for (unsigned i = s->top_has_rights ? 0 : 1; i < s->entries; i++) {
		all_writable = all_writable && (b->flags[i] & RW);
		all_user = all_user && (b->flags[i] & US);
	}
	for (unsigned access = 0; access < 8; access++) {
		const bool wp = access & 1, write = access & RW, user = access & US;
		struct outcome expected = {.gpa = gpa_expected, .fault = NO_FAULT, .reads = s->entries};

		if (absent < s->entries) {
			expected.reads = absent + 1;
			expected.fault = access & (RW | US);
		} else if ((user && (!all_user || (write && !all_writable))) ||
			   (!user && write && wp && !all_writable)) {
			expected.fault = (access & (RW | US)) | P;
		}
		p.cr0 = CR0_PG | CR0_PE | (wp ? CR0_WP : 0);
		p.user = user;
		p.write = write;
		check(s->name, &p, linear, &m, expected);
	}
}

/* ---- properties ---- */

/* Every combination of present, writable and user at every level. A PAE top entry has no rights to give or take. */
static void test_rights(void **state)
{
	(void)state;
	for (const struct shape *s = shapes; s < shapes + LENGTH(shapes); s++) {
		for (unsigned flags = 0; flags < 1u << 3 * s->entries; flags++) {
			struct build b = plain_build(s);

			for (unsigned i = 0; i < s->entries; i++)
				b.flags[i] = flags >> 3 * i & 7;
			for (unsigned ignored = 0; ignored < 2; ignored++) {
				b.ignored = ignored;
				check_all_accesses(s, &b, linear_of(s, &b) + 0x123, b.frame + 0x123);
			}
		}
	}
}

static unsigned end_of_table(unsigned which, unsigned length)
{
	const unsigned ends[] = {0, 1, length / 2, length - 1};

	return ends[which];
}

/* The ends of every table with those of every other; tables and pages at both ends of memory; offsets are kept. */
static void test_positions(void **state)
{
	(void)state;
	for (const struct shape *s = shapes; s < shapes + LENGTH(shapes); s++) {
		const uint64_t frames[] = {0, s->frame_mask, 0xa5a5a5a5a5a5a5a5 & s->frame_mask,
					   0x5a5a5a5a5a5a5a5a & s->frame_mask};
		const uint64_t offsets[] = {0, 1, page_bytes(s) / 2 + 0x678, page_bytes(s) - 1};

		for (unsigned ends = 0; ends < 1u << 2 * s->entries; ends++) {
			for (unsigned variant = 0; variant < 64; variant++) {
				const uint64_t offset = offsets[variant / 4 % 4];
				struct build b = plain_build(s);

				for (unsigned i = 0; i < s->entries; i++)
					b.index[i] = end_of_table(ends >> 2 * i & 3, s->table_length[i]);
				b.low = variant & 1;
				b.ignored = variant & 2;
				b.frame = frames[variant / 16];
				check_all_accesses(s, &b, linear_of(s, &b) + offset, b.frame + offset);
			}
		}
	}
}

/* Outside long mode there is nothing above 4 GiB: an address carried over is its low half. */
static void test_linear_addresses_wrap(void **state)
{
	const uint64_t carried[] = {1ull << 32, 0xffffffff00000000, 0x8000000000000000, 0x7fff00000000};

	(void)state;
	for (const struct shape *s = shapes; s < shapes + LENGTH(shapes); s++) {
		if (is_long(s))
			continue;
		for (unsigned end = 0; end < 4; end++) {
			struct build b = plain_build(s);

			for (unsigned i = 0; i < s->entries; i++)
				b.index[i] = end_of_table(end, s->table_length[i]);
			for (unsigned i = 0; i < LENGTH(carried); i++)
				check_all_accesses(s, &b, carried[i] + linear_of(s, &b) + 7, b.frame + 7);
		}
	}
}

/* In long mode all 48 bits count: an address differs from its low half. */
static void test_long_addresses_do_not_wrap(void **state)
{
	(void)state;
	for (const struct shape *s = shapes; s < shapes + LENGTH(shapes); s++) {
		struct build b = plain_build(s);
		struct memory m;
		struct guest_paging p;

		if (!is_long(s))
			continue;
		p = construct(s, &b, &m);
		check(s->name, &p, (uint32_t)linear_of(s, &b), &m, (struct outcome){.fault = 0, .reads = 1});
	}
}

/* A table beyond RAM, whatever the entry above it grants, is as good as empty. */
static void test_tables_beyond_ram(void **state)
{
	(void)state;
	for (const struct shape *s = shapes; s < shapes + LENGTH(shapes); s++) {
		for (unsigned missing = 0; missing < s->entries; missing++) {
			for (unsigned flags = 0; flags < 8; flags++) {
				struct build b = plain_build(s);

				b.missing = missing;
				b.flags[0] = flags;
				check_all_accesses(s, &b, linear_of(s, &b), 0);
			}
		}
	}
}

/* Nothing else in an entry counts if it is not present: neither its address, nor PS, nor its rights. */
static void test_not_present(void **state)
{
	(void)state;
	for (const struct shape *s = shapes; s < shapes + LENGTH(shapes); s++) {
		for (unsigned absent = 0; absent < s->entries; absent++) {
			struct build b = plain_build(s);
			struct memory m;
			struct guest_paging p = construct(s, &b, &m);

			put(&m, s->table[absent] + b.index[absent] * s->entry_bytes, ~(uint64_t)P);
			p.cr0 |= CR0_WP;
			for (unsigned access = 0; access < 8; access += 2) {
				p.write = access & RW;
				p.user = access & US;
				check(s->name, &p, linear_of(s, &b), &m,
				      (struct outcome){.fault = access, .reads = absent + 1});
			}
		}
	}
}

/* A table that is its own last entry maps itself at the top of the address space. */
static void test_table_that_maps_itself(void **state)
{
	struct memory m = {.entry_bytes = 4};
	struct guest_paging p = {.cr0 = CR0_PG | CR0_PE | CR0_WP, .cr3 = 0x7000, .cr4 = CR4_PSE, .write = true};

	(void)state;
	put(&m, 0x7ffc, 0x7000 | P | RW);
	check("32-bit", &p, 0xfffffabc, &m, (struct outcome){0x7abc, NO_FAULT, 2});

	m = (struct memory){.entry_bytes = 8};
	p.cr4 = CR4_PAE;
	p.efer = EFER_LME | EFER_LMA;
	put(&m, 0x7ff8, 0x7000 | P | RW);
	check("4-level", &p, 0xfffffffffffffabc, &m, (struct outcome){0x7abc, NO_FAULT, 4});
}

/* Without paging a linear address is a physical one, of 32 bits, and no table is looked at, however the rest is set. */
static void test_no_paging(void **state)
{
	const uint64_t linear[] = {0, 0xfff, 0x12345678, 0xffffffff, 1ull << 32, 0xfffffffffedcba98};
	const uint64_t cr4[] = {0, CR4_PSE, CR4_PAE, CR4_PSE | CR4_PAE};

	(void)state;
	for (unsigned i = 0; i < LENGTH(linear) * LENGTH(cr4) * 16; i++) {
		const uint64_t at = linear[i / 64];
		struct memory m = {.entry_bytes = 8};
		const struct guest_paging p = {
			.cr0 = CR0_PE | (i & 1 ? CR0_WP : 0),
			.cr3 = 0x3000,
			.cr4 = cr4[i / 16 % 4],
			.efer = i & 2 ? EFER_LME | EFER_NXE : 0,
			.user = i & 4,
			.write = i & 8,
		};

		check("no paging", &p, at, &m, (struct outcome){at & 0xffffffff, NO_FAULT, 0});
	}
}

/* SDM vol. 3A, "Accessed and Dirty Flags": accessed on the way, dirty in the last entry by a write; a PAE top entry has
 * neither. */
static void test_marks(void **state)
{
	(void)state;
	for (const struct shape *s = shapes; s < shapes + LENGTH(shapes); s++) {
		for (unsigned write = 0; write < 2; write++) {
			struct build b = plain_build(s);
			struct memory m;
			struct guest_paging p = construct(s, &b, &m);

			p.write = write;
			for (unsigned i = 0; i < s->entries; i++) {
				const uint8_t last = i + 1 == s->entries && write ? 0x40 : 0;
				const bool pae_top = i == 0 && !s->top_has_rights;

				assert_int_equal(guest_paging_marks(&p, i, s->entries), pae_top ? 0 : 0x20 | last);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_linear_addresses_wrap),
		cmocka_unit_test(test_long_addresses_do_not_wrap),
		cmocka_unit_test(test_tables_beyond_ram),
		cmocka_unit_test(test_not_present),
		cmocka_unit_test(test_table_that_maps_itself),
		cmocka_unit_test(test_no_paging),
	};

	return cmocka_run_group_tests_name("guest_paging", tests, NULL, NULL);
}
