/* The ACPI tables that guests get: read with our own reader, and disassembled and assembled again by iasl where that is
 * installed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/acpi.h"
#include "arch/defs/acpi.h"
#include "arch/defs/acpi_tables.h"
#include "hv/policy/acpi_build.h"
#include "hv/policy/acpi_ports.h"

static uint8_t block[ACPI_BUILD_BYTES + 1] __attribute__((aligned(64)));

static const uint8_t *read_block(uint64_t address, size_t length)
{
	if (address < ACPI_BUILD_GPA || address - ACPI_BUILD_GPA > ACPI_BUILD_BYTES ||
	    length > ACPI_BUILD_BYTES - (address - ACPI_BUILD_GPA))
		return NULL;
	return block + (address - ACPI_BUILD_GPA);
}

static void build(uint32_t vcpus)
{
	memset(block, 0xee, sizeof(block));
	acpi_build_write(block, ACPI_BUILD_GPA, vcpus);
	assert_int_equal(block[ACPI_BUILD_BYTES], 0xee);
}

static uint64_t number(uint64_t address, size_t width)
{
	const uint8_t *at = read_block(address, width);
	uint64_t value = 0;

	assert_non_null(at);
	memcpy(&value, at, width);
	return value;
}

/* The address of the table with this signature; of FACS and DSDT as the FADT has it. */
static uint64_t table(const char *signature)
{
	uint64_t xsdt = number(ACPI_BUILD_GPA + ACPI_RSDP_XSDT, 8), fadt;

	if (strcmp(signature, "XSDT") == 0)
		return xsdt;
	if (strcmp(signature, "RSDT") == 0)
		return number(ACPI_BUILD_GPA + ACPI_RSDP_RSDT, 4);
	if (strcmp(signature, "FACS") == 0 || strcmp(signature, "DSDT") == 0) {
		fadt = table("FACP");
		return number(fadt + (signature[0] == 'F' ? 36 : ACPI_FADT_DSDT), 4);
	}
	for (uint64_t at = xsdt + 36; at < xsdt + number(xsdt + 4, 4); at += 8)
		if (memcmp(read_block(number(at, 8), 4), signature, 4) == 0)
			return number(at, 8);
	fail_msg("no %s", signature);
	return 0;
}

static uint8_t sum(const uint8_t *bytes, size_t length)
{
	uint8_t total = 0;

	while (length-- > 0)
		total = (uint8_t)(total + *bytes++);
	return total;
}

static const char *const TABLES[] = {"XSDT", "RSDT", "FACP", "DSDT", "APIC", "FACS"};

static void test_well_formed(void **state)
{
	(void)state;
	for (uint32_t vcpus = 1; vcpus <= ACPI_BUILD_CPUS_MAX; vcpus++) {
		build(vcpus);
		assert_memory_equal(block, "RSD PTR ", 8);
		assert_int_equal(block[ACPI_RSDP_REVISION], 2);
		assert_int_equal(sum(block, ACPI_RSDP_V1_BYTES), 0);
		assert_int_equal(sum(block, ACPI_RSDP_V2_BYTES), 0);
		for (size_t i = 0; i < sizeof(TABLES) / sizeof(TABLES[0]); i++) {
			uint64_t at = table(TABLES[i]);
			size_t length = (size_t)number(at + 4, 4);

			assert_memory_equal(read_block(at, 4), TABLES[i], 4);
			assert_non_null(read_block(at, length));
			if (strcmp(TABLES[i], "FACS") == 0)
				assert_true(length == 64 && at % 64 == 0);
			else
				assert_int_equal(sum(read_block(at, length), length), 0);
		}
	}
}

/* A program that knows ACPI 1.0 only finds what others find. */
static void test_lists(void **state)
{
	const uint64_t first = 36;
	uint64_t count;

	(void)state;
	build(1);
	count = (number(table("XSDT") + 4, 4) - first) / 8;
	assert_true(count >= 2);
	assert_int_equal((number(table("RSDT") + 4, 4) - first) / 4, count);
	for (uint64_t i = 0; i < count; i++)
		assert_true(number(table("RSDT") + first + i * 4, 4) == number(table("XSDT") + first + i * 8, 8));
}

static void test_processors(void **state)
{
	struct acpi_madt madt;

	(void)state;
	for (uint32_t vcpus = 1; vcpus <= ACPI_BUILD_CPUS_MAX; vcpus++) {
		build(vcpus);
		assert_null(acpi_madt_find(&madt, ACPI_BUILD_GPA, read_block));
		assert_int_equal(madt.cpu_count + madt.cpus_left_out, vcpus);
		for (uint32_t i = 0; i < madt.cpu_count; i++)
			assert_int_equal(madt.apic_ids[i], i);
	}
	build(1000); /* more than there are ids for */
	assert_null(acpi_madt_find(&madt, ACPI_BUILD_GPA, read_block));
	assert_int_equal(madt.cpu_count + madt.cpus_left_out, ACPI_BUILD_CPUS_MAX);
}

/* The I/O APIC and what is wired to it, as on QEMU's pc. */
static void test_interrupts(void **state)
{
	static const uint8_t expected[] = {
		1, 12, 0,    0, 0x00, 0x00, 0xc0, 0xfe, 0,    0, 0, 0, /* I/O APIC 0 from interrupt 0 */
		2, 10, 0,    0, 2,    0,    0,    0,    0,    0,       /* ISA 0: 2 */
		2, 10, 0,    9, 9,    0,    0,    0,    0x0d, 0,       /* ISA 9: level, active high */
		4, 6,  0xff, 0, 0,    1,                               /* NMI: LINT1 of all */
	};
	uint64_t madt;

	(void)state;
	build(2);
	madt = table("APIC");
	assert_int_equal(number(madt + 36, 4), 0xfee00000);
	assert_int_equal(number(madt + 40, 4), 1);
	assert_memory_equal(read_block(madt + ACPI_MADT_ENTRIES, sizeof(expected)), expected, sizeof(expected));
	assert_int_equal(number(madt + 4, 4), ACPI_MADT_ENTRIES + sizeof(expected) + 2 * ACPI_MADT_LOCAL_APIC_BYTES);
}

static void test_power(void **state)
{
	struct acpi_power power;
	uint64_t fadt;

	(void)state;
	build(4);
	assert_null(acpi_power_find(&power, ACPI_BUILD_GPA, read_block));
	assert_int_equal(power.pm1a_cnt_port, 0x604);
	assert_int_equal(power.pm1b_cnt_port, 0);
	assert_true(power.has_s5);
	assert_int_equal(power.slp_typ_a, 0);
	assert_int_equal(power.slp_typ_b, 0);
	assert_true(power.has_reset);
	assert_int_equal(power.reset_port, 0xcf9);
	assert_int_equal(power.reset_value, 6);

	fadt = table("FACP");
	assert_int_equal(number(fadt + 46, 2), 9);     /* SCI_INT */
	assert_int_equal(number(fadt + 48, 4), 0);     /* SMI_CMD */
	assert_int_equal(number(fadt + 56, 4), 0x600); /* PM1a_EVT_BLK */
	assert_int_equal(number(fadt + 76, 4), 0x608); /* PM_TMR_BLK */
	assert_int_equal(number(fadt + 88, 4), 0x04000204);
	assert_int_equal(number(fadt + 152, 8), 0x600);
	assert_int_equal(number(fadt + 212, 8), 0x608);
	assert_int_equal(number(fadt + ACPI_FADT_X_DSDT, 8), table("DSDT"));
}

static void run(const char *format, const char *word)
{
	char command[128];

	assert_true(snprintf(command, sizeof(command), format, word) < (int)sizeof(command));
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

/* iasl's exit status counts errors; a warning is a word in what it prints. Of an XSDT it makes nothing. */
static void test_iasl(void **state)
{
	char folder[] = "/tmp/test_acpi_build.XXXXXX";

	(void)state;
	if (system("command -v iasl >/dev/null") != 0)
		skip();
	build(3);
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	for (size_t i = 1; i < sizeof(TABLES) / sizeof(TABLES[0]); i++) {
		uint64_t at = table(TABLES[i]);
		size_t length = (size_t)number(at + 4, 4);
		FILE *file = fopen("table.dat", "wb");

		assert_non_null(file);
		assert_int_equal(fwrite(read_block(at, length), 1, length, file), length);
		assert_int_equal(fclose(file), 0);
		run("cp table.dat %s", TABLES[i]);
		run("iasl -d %s >log 2>&1 && ! grep -iE 'warning|error|invalid' log *.dsl", TABLES[i]);
		run("iasl -oa -p again %s.dsl >log 2>&1 && grep -q ' 0 Errors, 0 Warnings' log", TABLES[i]);
		/* the compiler writes itself into the header, and so another checksum */
		run("tail -c +37 %s >a && tail -c +37 again.aml >b && cmp a b && rm -f *.dsl", TABLES[i]);
	}
	assert_int_equal(chdir("/"), 0);
	run("rm -r %s", folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_well_formed), cmocka_unit_test(test_lists), cmocka_unit_test(test_processors),
		cmocka_unit_test(test_interrupts),  cmocka_unit_test(test_power), cmocka_unit_test(test_iasl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
