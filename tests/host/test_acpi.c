/* ACPI tables built in a fake physical memory, well-formed and then damaged in every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/acpi.h"
#include "arch/defs/acpi.h"

/* Odd on purpose: nothing in ACPI promises alignment. */
#define MEMORY_START 0x7fe0001u
#define MEMORY_BYTES 4096u

static struct {
	uint8_t bytes[MEMORY_BYTES];
	uint32_t used;
	uint8_t *copies[256];
	unsigned copy_count;
} memory;

/* Each read is a copy of its own of exactly that length, so that ASan sees the first byte beyond. */
static const uint8_t *read_memory(uint64_t address, size_t length)
{
	uint8_t *copy;

	if (address < MEMORY_START || address - MEMORY_START > memory.used ||
	    length > memory.used - (address - MEMORY_START))
		return NULL;
	assert_true(memory.copy_count < sizeof(memory.copies) / sizeof(memory.copies[0]));
	copy = malloc(length != 0 ? length : 1);
	memcpy(copy, memory.bytes + (address - MEMORY_START), length);
	memory.copies[memory.copy_count++] = copy;
	return copy;
}

static void forget_copies(void)
{
	while (memory.copy_count > 0)
		free(memory.copies[--memory.copy_count]);
}

struct tables {
	uint32_t rsdp, root, madt, fadt, dsdt, other; /* addresses */
};

static uint8_t *at(uint32_t address)
{
	return memory.bytes + (address - MEMORY_START);
}

static void set32(uint32_t address, uint32_t value)
{
	memcpy(at(address), &value, sizeof(value));
}

static uint32_t get32(uint32_t address)
{
	uint32_t value;

	memcpy(&value, at(address), sizeof(value));
	return value;
}

static void fix_checksum(uint32_t address, uint32_t length, uint32_t checksum_offset)
{
	uint8_t sum = 0;

	*at(address + checksum_offset) = 0;
	for (uint32_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + *at(address + i));
	*at(address + checksum_offset) = (uint8_t)-sum;
}

static void fix_table(uint32_t address)
{
	uint32_t length = get32(address + ACPI_TABLE_LENGTH);

	if (length > MEMORY_START + memory.used - address)
		length = MEMORY_START + memory.used - address;
	fix_checksum(address, length, 9);
}

static void fix_rsdp(uint32_t address)
{
	fix_checksum(address, ACPI_RSDP_V1_BYTES, 8);
	if (*at(address + ACPI_RSDP_REVISION) >= 2)
		fix_checksum(address, ACPI_RSDP_V2_BYTES, 32);
}

static uint32_t put(const void *bytes, uint32_t length)
{
	uint32_t address = MEMORY_START + memory.used;

	assert_true(memory.used + length <= MEMORY_BYTES);
	memcpy(memory.bytes + memory.used, bytes, length);
	memory.used += length;
	return address;
}

static uint32_t put_table(const char *signature, const void *body, uint32_t length)
{
	uint8_t header[ACPI_TABLE_HEADER_BYTES] = {0};
	uint32_t address, whole = length + ACPI_TABLE_HEADER_BYTES;

	memcpy(header, signature, 4);
	memcpy(header + ACPI_TABLE_LENGTH, &whole, 4);
	memcpy(header + 10, "SLUICETESTTABLE", 14);
	address = put(header, sizeof(header));
	put(body, length);
	fix_table(address);
	return address;
}

static const uint8_t MADT_BODY[] = {
	0,    0,  0xe0, 0xfe, 1,    0,    0,    0,                            /* local APIC address, flags */
	0,    8,  0,    0,    1,    0,    0,    0,                            /* enabled: 0 */
	1,    12, 2,    0,    0,    0,    0xc0, 0xfe, 0, 0, 0, 0,             /* an IOAPIC */
	0,    8,  1,    2,    1,    0,    0,    0,                            /* enabled: 2 */
	0,    8,  2,    4,    0,    0,    0,    0,                            /* disabled: 4 */
	0,    8,  3,    6,    2,    0,    0,    0,                            /* online capable, not enabled: 6 */
	0,    8,  4,    0xff, 1,    0,    0,    0,                            /* no id */
	9,    16, 0,    0,    0,    1,    0,    0,    1, 0, 0, 0, 5, 0, 0, 0, /* enabled: 256 */
	9,    16, 0,    0,    2,    0,    0,    0,    1, 0, 0, 0, 1, 0, 0, 0, /* 2 again */
	9,    16, 0,    0,    1,    1,    0,    0,    0, 0, 0, 0, 6, 0, 0, 0, /* disabled: 257 */
	9,    16, 0,    0,    0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0, /* no id */
	0x80, 3,  0xaa,                                                       /* an OEM's */
};

static const uint8_t DSDT_BODY[] = {
	0x10,
	0x20,
	'_',
	'S',
	'B',
	'_',
	'_',
	'S',
	'5',
	'_', /* a scope, and the name not being given */
	AML_NAME_OP,
	'_',
	'S',
	'5',
	'_',
	AML_PACKAGE_OP,
	3,
	2,
	0x0a, /* a package that ends in its first element */
	AML_NAME_OP,
	AML_ROOT_CHAR,
	'_',
	'S',
	'5',
	'_',
	AML_PACKAGE_OP,
	8,
	4,
	0x0a,
	5,
	0x0a,
	6,
	0,
	0,
	0xa3,
};

#define FADT_REVISION_1_BYTES 116
#define FADT_REVISION_3_BYTES 244

static struct tables build(unsigned revision, uint32_t fadt_bytes)
{
	uint8_t rsdp[ACPI_RSDP_V2_BYTES] = "RSD PTR ";
	uint8_t fadt[FADT_REVISION_3_BYTES] = {0};
	uint8_t root[5 * 8] = {0};
	struct tables t;
	uint32_t entries[4], width = revision >= 2 ? 8 : 4;

	memset(&memory, 0, sizeof(memory));
	rsdp[ACPI_RSDP_REVISION] = (uint8_t)revision;
	rsdp[ACPI_RSDP_LENGTH] = ACPI_RSDP_V2_BYTES;
	t.rsdp = put(rsdp, revision >= 2 ? ACPI_RSDP_V2_BYTES : ACPI_RSDP_V1_BYTES);
	t.other = put_table("HPET", "whatever", 9);
	t.madt = put_table("APIC", MADT_BODY, sizeof(MADT_BODY));
	t.dsdt = put_table("DSDT", DSDT_BODY, sizeof(DSDT_BODY));
	memcpy(fadt + ACPI_FADT_DSDT, &t.dsdt, 4);
	memcpy(fadt + ACPI_FADT_PM1A_CNT, "\x04\xb0\0\0", 4);
	memcpy(fadt + ACPI_FADT_PM1B_CNT, "\x08\xb0\0\0", 4);
	memcpy(fadt + ACPI_FADT_FLAGS, "\0\4\0\0", 4);
	memcpy(fadt + ACPI_FADT_RESET_REG, "\1\x8\0\0\xf9\xc\0\0\0\0\0\0", 12);
	fadt[ACPI_FADT_RESET_VALUE] = 6;
	t.fadt = put_table("FACP", fadt + ACPI_TABLE_HEADER_BYTES, fadt_bytes - ACPI_TABLE_HEADER_BYTES);
	entries[0] = 0; /* nothing there */
	entries[1] = t.other;
	entries[2] = t.fadt;
	entries[3] = t.madt;
	for (unsigned i = 0; i < 4; i++)
		memcpy(root + i * width, &entries[i], 4);
	t.root = put_table(revision >= 2 ? "XSDT" : "RSDT", root, 4 * width);
	set32(t.rsdp + (revision >= 2 ? ACPI_RSDP_XSDT : ACPI_RSDP_RSDT), t.root);
	fix_rsdp(t.rsdp);
	return t;
}

static const char *madt_find(struct acpi_madt *out, uint32_t rsdp)
{
	struct acpi_madt before;
	const char *reason;

	memset(out, 0xa5, sizeof(*out));
	before = *out;
	reason = acpi_madt_find(out, rsdp, read_memory);
	forget_copies();
	if (reason != NULL) {
		assert_memory_equal(out, &before, sizeof(before));
		return reason;
	}
	assert_in_range(out->cpu_count, 1, ACPI_CPUS_MAX);
	assert_true(out->cpus_left_out == 0 || out->cpu_count == ACPI_CPUS_MAX);
	for (uint32_t i = 0; i < out->cpu_count; i++)
		for (uint32_t j = 0; j < i; j++)
			assert_int_not_equal(out->apic_ids[i], out->apic_ids[j]);
	return NULL;
}

static const char *power_find(struct acpi_power *out, uint32_t rsdp)
{
	struct acpi_power before;
	const char *reason;

	memset(out, 0xa5, sizeof(*out));
	memcpy(&before, out, sizeof(before));
	reason = acpi_power_find(out, rsdp, read_memory);
	forget_copies();
	if (reason != NULL) {
		assert_memory_equal(out, &before, sizeof(before));
		return reason;
	}
	assert_int_equal(out->slp_typ_a & ~0x1c00, 0);
	assert_int_equal(out->slp_typ_b & ~0x1c00, 0);
	assert_true(out->has_s5 || (out->slp_typ_a == 0 && out->slp_typ_b == 0));
	assert_true(out->has_reset == (out->reset_port != 0));
	return NULL;
}

static void test_real_layout(void **state)
{
	(void)state;
	for (unsigned revision = 0; revision <= 2; revision += 2) {
		struct tables t = build(revision, FADT_REVISION_3_BYTES);
		struct acpi_madt madt;
		struct acpi_power power;

		assert_null(madt_find(&madt, t.rsdp));
		assert_int_equal(madt.cpu_count, 3);
		assert_int_equal(madt.cpus_left_out, 0);
		assert_int_equal(madt.apic_ids[0], 0);
		assert_int_equal(madt.apic_ids[1], 2);
		assert_int_equal(madt.apic_ids[2], 256);

		assert_null(power_find(&power, t.rsdp));
		assert_int_equal(power.pm1a_cnt_port, 0xb004);
		assert_int_equal(power.pm1b_cnt_port, 0xb008);
		assert_true(power.has_s5);
		assert_int_equal(power.slp_typ_a, 5 << 10);
		assert_int_equal(power.slp_typ_b, 6 << 10);
		assert_true(power.has_reset);
		assert_int_equal(power.reset_port, 0xcf9);
		assert_int_equal(power.reset_value, 6);
	}
}

static void test_old_fadt_ends_before_the_reset_register(void **state)
{
	struct tables t = build(0, FADT_REVISION_1_BYTES);
	struct acpi_power power;

	(void)state;
	assert_null(power_find(&power, t.rsdp));
	assert_false(power.has_reset);
	assert_true(power.has_s5);
	assert_int_equal(power.pm1a_cnt_port, 0xb004);
}

static void test_reset_register_that_cannot_be_used(void **state)
{
	struct tables t = build(2, FADT_REVISION_3_BYTES);
	struct acpi_power power;

	(void)state;
	*at(t.fadt + ACPI_FADT_RESET_REG) = 0; /* in memory */
	fix_table(t.fadt);
	assert_null(power_find(&power, t.rsdp));
	assert_false(power.has_reset);
	*at(t.fadt + ACPI_FADT_RESET_REG) = ACPI_GAS_SYSTEM_IO;
	set32(t.fadt + ACPI_FADT_FLAGS, 0); /* not supported */
	fix_table(t.fadt);
	assert_null(power_find(&power, t.rsdp));
	assert_false(power.has_reset);
	set32(t.fadt + ACPI_FADT_FLAGS, ACPI_FADT_RESET_REG_SUP);
	set32(t.fadt + ACPI_FADT_RESET_REG + ACPI_GAS_ADDRESS, 0x10cf9); /* not a port */
	fix_table(t.fadt);
	assert_null(power_find(&power, t.rsdp));
	assert_false(power.has_reset);
}

static void test_new_fields_are_preferred(void **state)
{
	struct tables t = build(2, FADT_REVISION_3_BYTES);
	struct acpi_power power;

	(void)state;
	memcpy(at(t.fadt + ACPI_FADT_X_PM1A_CNT), "\1\x10\0\0\x04\x06\0\0\0\0\0\0", 12);
	memcpy(at(t.fadt + ACPI_FADT_X_PM1B_CNT), "\0\x10\0\0\x04\x07\0\0\0\0\0\0", 12); /* in memory */
	set32(t.fadt + ACPI_FADT_X_DSDT, t.dsdt);
	set32(t.fadt + ACPI_FADT_DSDT, 0);
	fix_table(t.fadt);
	assert_null(power_find(&power, t.rsdp));
	assert_int_equal(power.pm1a_cnt_port, 0x604);
	assert_int_equal(power.pm1b_cnt_port, 0xb008);
	assert_true(power.has_s5);
}

#define AML(bytes) bytes, sizeof(bytes) - 1

static void test_s5_encodings(void **state)
{
	static const struct {
		const char *aml;
		uint32_t length;
		int a, b; /* -1: not an _S5 */
	} rows[] = {
		{AML("\x08_S5_\x12\x06\x04\x00\x01\x00\x00"), 0, 1},
		{AML("\x08_S5_\x12\x06\x02\x0a\x07\x0a\x03"), 7, 3},
		{AML("\x08\\_S5_\x12\x0a\x02\x0b\x05\x00\x0c\x02\x00\x00\x00"), 5, 2},
		{AML("\x08_S5_\x12\x0c\x02\x0e\x01\x00\x00\x00\x00\x00\x00\x00\xff"), 1, 7},
		{AML("\x08_S5_\x12\x46\x00\x02\x0a\x05\x01"), 5, 1}, /* two bytes of PkgLength */
		{AML("\x08_S5_\x12\x88\x00\x00\x02\x0a\x05\x0a\x02"), 5, 2},
		{AML("\x08_S5_\x12\x06\x01\x0a\x05\x0a\x05"), -1, 0}, /* one element */
		{AML("\x08_S5_\x12\x04\x02\x0a\x05\x0a\x05"), -1, 0}, /* the package ends before */
		{AML("\x08_S5_\x12\x3f\x02\x0a\x05\x0a\x05"), -1, 0}, /* passes the end of the table */
		{AML("\x08_S5_\x11\x06\x02\x0a\x05\x0a\x05"), -1, 0}, /* not a package */
		{AML("\x08_S5_\x12\x06\x02\x0d\x35\x00\x35"), -1, 0}, /* a string */
		{AML("\x08_S5_\x12\x04\x02\x00\x0a"), -1, 0},         /* a number that is cut off */
		{AML("\x14_S5_\x12\x06\x02\x0a\x05\x0a\x05"), -1, 0}, /* not a name being given */
		{AML("\x08_S4_\x12\x06\x02\x0a\x05\x0a\x05"), -1, 0},
		{AML("_S5_\x12\x06\x02\x0a\x05\x0a\x05"), -1, 0},
		{AML("\\_S5_\x12\x06\x02\x0a\x05\x0a\x05"), -1, 0},
		{AML("\x08_S5"), -1, 0},
		{AML("\x08_S5_"), -1, 0},
		{AML("\x08_S5_\x12"), -1, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tables t = build(0, FADT_REVISION_1_BYTES);
		struct acpi_power power;

		t.dsdt = put_table("DSDT", rows[i].aml, rows[i].length);
		set32(t.fadt + ACPI_FADT_DSDT, t.dsdt);
		fix_table(t.fadt);
		assert_null(power_find(&power, t.rsdp));
		assert_int_equal(power.has_s5, rows[i].a >= 0);
		if (power.has_s5) {
			assert_int_equal(power.slp_typ_a, rows[i].a << 10);
			assert_int_equal(power.slp_typ_b, rows[i].b << 10);
		}
	}
}

static void test_broken_dsdt_is_no_s5(void **state)
{
	struct tables t = build(0, FADT_REVISION_3_BYTES);
	struct acpi_power power;

	(void)state;
	*at(t.dsdt + 40) ^= 1;
	assert_null(power_find(&power, t.rsdp));
	assert_false(power.has_s5);
	assert_true(power.has_reset);
}

static void expect_madt_refused(const struct tables *t, const char *word)
{
	struct acpi_madt madt;
	const char *reason = madt_find(&madt, t->rsdp);

	assert_non_null(reason);
	if (strstr(reason, word) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", reason, word);
}

static void test_refused(void **state)
{
	struct acpi_madt madt;
	struct acpi_power power;
	struct tables t;

	(void)state;
	assert_non_null(madt_find(&madt, 0));
	t = build(0, FADT_REVISION_1_BYTES);
	memcpy(at(t.madt), "HPET", 4);
	expect_madt_refused(&t, "no MADT");
	t = build(0, FADT_REVISION_1_BYTES);
	memcpy(at(t.fadt), "HPET", 4);
	assert_string_equal(power_find(&power, t.rsdp), "acpi: there is no FADT");
	t = build(0, FADT_REVISION_1_BYTES);
	set32(t.madt + ACPI_TABLE_LENGTH, 35);
	expect_madt_refused(&t, "MADT is broken");
	t = build(0, FADT_REVISION_1_BYTES);
	set32(t.madt + ACPI_TABLE_LENGTH, ACPI_MADT_ENTRIES);
	fix_table(t.madt);
	expect_madt_refused(&t, "no enabled processor");
	t = build(0, FADT_REVISION_1_BYTES);
	*at(t.madt + ACPI_MADT_ENTRIES + 1) = 0; /* an entry without length: no endless loop */
	fix_table(t.madt);
	expect_madt_refused(&t, "cut off");
	t = build(0, FADT_REVISION_1_BYTES);
	*at(t.madt + ACPI_MADT_ENTRIES + 1) = 7; /* too short for its type */
	fix_table(t.madt);
	expect_madt_refused(&t, "cut off");
	t = build(2, FADT_REVISION_1_BYTES);
	*at(t.rsdp + ACPI_RSDP_XSDT) ^= 1; /* only the extended checksum covers it */
	expect_madt_refused(&t, "extended checksum");
	t = build(2, FADT_REVISION_1_BYTES);
	set32(t.rsdp + ACPI_RSDP_LENGTH, 20);
	fix_rsdp(t.rsdp);
	expect_madt_refused(&t, "length");
}

static void test_xsdt_addresses_have_64_bits(void **state)
{
	struct tables t = build(2, FADT_REVISION_3_BYTES);

	(void)state;
	set32(t.root + ACPI_TABLE_HEADER_BYTES + 3 * 8 + 4, 1); /* the MADT, 4 GiB further on */
	fix_table(t.root);
	expect_madt_refused(&t, "no MADT");
}

static void test_more_processors_than_fit(void **state)
{
	uint8_t body[8 + (ACPI_CPUS_MAX + 3) * 8] = {0};
	struct tables t = build(0, FADT_REVISION_1_BYTES);
	struct acpi_madt madt;

	(void)state;
	for (unsigned i = 0; i < ACPI_CPUS_MAX + 3; i++) {
		body[8 + i * 8 + 1] = 8;
		body[8 + i * 8 + 3] = (uint8_t)(i * 2);
		body[8 + i * 8 + 4] = 1;
	}
	t.madt = put_table("APIC", body, sizeof(body));
	set32(t.root + ACPI_TABLE_HEADER_BYTES + 3 * 4, t.madt);
	fix_table(t.root);
	assert_null(madt_find(&madt, t.rsdp));
	assert_int_equal(madt.cpu_count, ACPI_CPUS_MAX);
	assert_int_equal(madt.cpus_left_out, 3);
}

/* The reason depends on what is cut off: but nothing is read that is not there. */
static void test_memory_ends_anywhere(void **state)
{
	(void)state;
	for (unsigned revision = 0; revision <= 2; revision += 2) {
		struct tables t = build(revision, FADT_REVISION_3_BYTES);
		uint32_t whole = memory.used;
		struct acpi_madt madt;
		struct acpi_power power;

		for (memory.used = 0; memory.used < whole; memory.used++) {
			assert_non_null(madt_find(&madt, t.rsdp));
			assert_non_null(power_find(&power, t.rsdp));
		}
		assert_null(madt_find(&madt, t.rsdp));
	}
}

static void test_tables_end_anywhere(void **state)
{
	struct tables t = build(2, FADT_REVISION_3_BYTES);
	const uint32_t tables[] = {t.root, t.madt, t.fadt, t.dsdt};

	(void)state;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		uint32_t length = get32(tables[i] + ACPI_TABLE_LENGTH);

		for (uint32_t cut = 0; cut < length; cut++) {
			struct acpi_madt madt;
			struct acpi_power power;

			t = build(2, FADT_REVISION_3_BYTES);
			set32(tables[i] + ACPI_TABLE_LENGTH, cut);
			fix_table(tables[i]);
			madt_find(&madt, t.rsdp);
			if (power_find(&power, t.rsdp) == NULL && tables[i] == t.dsdt && power.has_s5)
				assert_true(cut >= ACPI_TABLE_HEADER_BYTES + sizeof(DSDT_BODY) - 1);
		}
	}
}

/* Every byte flipped: as it is, a checksum must find it; with the checksum made right, the result must keep its
 * properties. */
static void test_flipped(void **state)
{
	static const uint8_t flips[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff};

	(void)state;
	for (unsigned revision = 0; revision <= 2; revision += 2) {
		struct tables t = build(revision, FADT_REVISION_3_BYTES);
		const uint32_t tables[] = {t.root, t.madt, t.fadt, t.dsdt};
		uint8_t whole[MEMORY_BYTES];

		memcpy(whole, memory.bytes, sizeof(whole));
		for (uint32_t offset = 0; offset < memory.used; offset++) {
			uint32_t address = MEMORY_START + offset;
			bool in_other = address >= t.other && address < t.madt;

			for (size_t i = 0; i < sizeof(flips); i++) {
				struct acpi_madt madt;
				struct acpi_power power;
				const char *madt_reason, *power_reason;

				memory.bytes[offset] ^= flips[i];
				madt_reason = madt_find(&madt, t.rsdp);
				power_reason = power_find(&power, t.rsdp);
				if (!in_other)
					assert_true(madt_reason != NULL || power_reason != NULL || !power.has_s5);
				for (size_t j = 0; j < sizeof(tables) / sizeof(tables[0]); j++)
					fix_table(tables[j]);
				fix_rsdp(t.rsdp);
				madt_find(&madt, t.rsdp);
				power_find(&power, t.rsdp);
				memcpy(memory.bytes, whole, sizeof(whole));
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real_layout),
		cmocka_unit_test(test_old_fadt_ends_before_the_reset_register),
		cmocka_unit_test(test_reset_register_that_cannot_be_used),
		cmocka_unit_test(test_new_fields_are_preferred),
		cmocka_unit_test(test_s5_encodings),
		cmocka_unit_test(test_broken_dsdt_is_no_s5),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_xsdt_addresses_have_64_bits),
		cmocka_unit_test(test_more_processors_than_fit),
		cmocka_unit_test(test_memory_ends_anywhere),
		cmocka_unit_test(test_tables_end_anywhere),
		cmocka_unit_test(test_flipped),
	};

	return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}
