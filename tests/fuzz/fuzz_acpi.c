/* fuzz: max_len=512 runs=100000 */
/* ACPI: the input as physical memory, and as the bodies of tables whose headers and checksums are right. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/acpi.h"
#include "arch/defs/acpi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

#define MEMORY_START 1u
#define MEMORY_BYTES 4096u

static struct {
	uint8_t bytes[MEMORY_BYTES];
	uint32_t used;
	uint8_t *copies[4096];
	unsigned copy_count;
} memory;

/* Each read is a copy of its own of exactly that length, so that ASan sees the first byte beyond. */
static const uint8_t *read_memory(uint64_t address, size_t length)
{
	uint8_t *copy;

	if (address < MEMORY_START || address - MEMORY_START > memory.used ||
	    length > memory.used - (address - MEMORY_START))
		return NULL;
	CHECK(memory.copy_count < sizeof(memory.copies) / sizeof(memory.copies[0]));
	copy = malloc(length + (length == 0));
	memcpy(copy, memory.bytes + (address - MEMORY_START), length);
	memory.copies[memory.copy_count++] = copy;
	return copy;
}

static void forget_copies(void)
{
	while (memory.copy_count > 0)
		free(memory.copies[--memory.copy_count]);
}

static void find_all(void)
{
	struct acpi_madt madt, madt_before;
	struct acpi_power power, power_before;

	memset(&madt, 0x5a, sizeof(madt));
	memcpy(&madt_before, &madt, sizeof(madt));
	memset(&power, 0, sizeof(power));
	memcpy(&power_before, &power, sizeof(power));
	if (acpi_madt_find(&madt, MEMORY_START, read_memory) != NULL) {
		CHECK(memcmp(&madt, &madt_before, sizeof(madt)) == 0);
	} else {
		CHECK(madt.cpu_count >= 1 && madt.cpu_count <= ACPI_CPUS_MAX);
		for (uint32_t i = 0; i < madt.cpu_count; i++)
			for (uint32_t j = 0; j < i; j++)
				CHECK(madt.apic_ids[i] != madt.apic_ids[j]);
	}
	forget_copies();
	if (acpi_power_find(&power, MEMORY_START, read_memory) != NULL) {
		CHECK(memcmp(&power, &power_before, sizeof(power)) == 0);
	} else {
		CHECK((power.slp_typ_a & ~0x1c00) == 0 && (power.slp_typ_b & ~0x1c00) == 0);
		CHECK(power.has_reset == (power.reset_port != 0));
	}
	forget_copies();
}

static uint32_t put(const void *bytes, size_t length)
{
	uint32_t address = MEMORY_START + memory.used;

	CHECK(memory.used + length <= MEMORY_BYTES);
	if (length != 0)
		memcpy(memory.bytes + memory.used, bytes, length);
	memory.used += (uint32_t)length;
	return address;
}

static uint8_t missing_to_zero(const uint8_t *bytes, size_t length)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return (uint8_t)-sum;
}

static uint32_t put_table(const char *signature, const uint8_t *body, size_t length)
{
	uint8_t header[ACPI_TABLE_HEADER_BYTES] = {0};
	uint32_t address, whole = (uint32_t)(sizeof(header) + length);
	uint8_t *table;

	memcpy(header, signature, 4);
	memcpy(header + ACPI_TABLE_LENGTH, &whole, 4);
	address = put(header, sizeof(header));
	put(body, length);
	table = memory.bytes + (address - MEMORY_START);
	table[9] = missing_to_zero(table, whole);
	return address;
}

/* A MADT body: each byte of the input is an entry, enabled but for one in sixteen. */
static uint32_t put_madt(const uint8_t *data, size_t size)
{
	uint8_t body[8 + 100 * ACPI_MADT_LOCAL_X2APIC_BYTES] = {0};
	size_t used = 8;

	for (size_t i = 0; i < size && i < 100; i++) {
		bool x2apic = data[i] & 1;
		uint8_t *entry = body + used;

		entry[0] = x2apic ? ACPI_MADT_LOCAL_X2APIC : ACPI_MADT_LOCAL_APIC;
		entry[1] = x2apic ? ACPI_MADT_LOCAL_X2APIC_BYTES : ACPI_MADT_LOCAL_APIC_BYTES;
		entry[x2apic ? ACPI_MADT_LOCAL_X2APIC_ID : ACPI_MADT_LOCAL_APIC_ID] = data[i] >> 1;
		entry[x2apic ? ACPI_MADT_LOCAL_X2APIC_FLAGS : ACPI_MADT_LOCAL_APIC_FLAGS] = data[i] % 16 != 0;
		used += entry[1];
	}
	return put_table("APIC", body, used);
}

/* The first two bytes choose the RSDP's revision and where the bodies of MADT and DSDT part. In the end they damage one
 * byte of the whole. */
static void tables_of(const uint8_t *data, size_t size)
{
	uint8_t rsdp[ACPI_RSDP_V2_BYTES] = "RSD PTR ", root[3 * 8] = {0};
	uint8_t fadt[208] = {0};
	uint32_t tables[3], root_address, width;
	size_t part = size / 4 + data[1] % (size / 4 + 1), fadt_bytes;

	rsdp[ACPI_RSDP_REVISION] = data[0] % 3;
	rsdp[ACPI_RSDP_LENGTH] = ACPI_RSDP_V2_BYTES;
	width = rsdp[ACPI_RSDP_REVISION] >= 2 ? 8 : 4;
	memset(&memory, 0, sizeof(memory));
	put(rsdp, sizeof(rsdp));
	tables[0] = data[0] & 0x40 ? put_madt(data, part) : put_table("APIC", data, part);
	tables[1] = put_table("DSDT", data + part, size - part);
	if (data[0] & 0x20 && size - part > 12) { /* the name, so that the package is parsed */
		uint8_t *table = memory.bytes + (tables[1] - MEMORY_START);

		memcpy(table + ACPI_TABLE_HEADER_BYTES, "\x08_S5_\x12", 6);
		table[ACPI_TABLE_HEADER_BYTES + 6] %= 32;
		table[9] = (uint8_t)(table[9] + missing_to_zero(table, ACPI_TABLE_HEADER_BYTES + size - part));
	}
	fadt_bytes = size < sizeof(fadt) ? size : sizeof(fadt);
	memcpy(fadt, data, fadt_bytes);
	if (data[0] & 0x80) /* else wherever the input says */
		memset(fadt + ACPI_FADT_X_DSDT - ACPI_TABLE_HEADER_BYTES, 0, 8);
	memcpy(fadt + ACPI_FADT_DSDT - ACPI_TABLE_HEADER_BYTES, &tables[1], 4);
	tables[2] = put_table("FACP", fadt, fadt_bytes);
	for (unsigned i = 0; i < 3; i++)
		memcpy(root + i * width, &tables[i], 4);
	root_address = put_table(width == 8 ? "XSDT" : "RSDT", root, 3 * width);
	memcpy(memory.bytes + (width == 8 ? ACPI_RSDP_XSDT : ACPI_RSDP_RSDT), &root_address, 4);
	memory.bytes[8] = missing_to_zero(memory.bytes, ACPI_RSDP_V1_BYTES);
	memory.bytes[32] = missing_to_zero(memory.bytes, ACPI_RSDP_V2_BYTES);
	find_all();
	memory.bytes[(data[0] * 256u + data[1]) % memory.used] ^= (uint8_t)(1u << data[1] % 8);
	find_all();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	memset(&memory, 0, sizeof(memory));
	put(data, size);
	find_all();
	if (size >= 2)
		tables_of(data, size);
	return 0;
}
