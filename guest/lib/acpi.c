#include "guest/lib/acpi.h"

#include <stddef.h>

#include "arch/defs/acpi.h"

#define RSDP_SEARCH_FROM        0xe0000u
#define RSDP_SEARCH_TO          0x100000u
#define RSDP_ALIGN              16
#define FADT_PM_TMR_BLK         76
#define MADT_INTERRUPT_OVERRIDE 2
#define MADT_OVERRIDE_SOURCE    3
#define MADT_OVERRIDE_GSI       4

uint32_t acpi_read32(const uint8_t *table, uint32_t offset)
{
	const uint8_t *at = table + offset;

	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static const uint8_t *table_at(uint32_t address)
{
	return (const uint8_t *)(uintptr_t)address;
}

bool acpi_sum_is_right(const uint8_t *table, uint32_t bytes)
{
	uint8_t sum = 0;

	for (uint32_t i = 0; i < bytes; i++)
		sum = (uint8_t)(sum + table[i]);
	return bytes && sum == 0;
}

const uint8_t *acpi_rsdp(void)
{
	for (uint32_t at = RSDP_SEARCH_FROM; at < RSDP_SEARCH_TO; at += RSDP_ALIGN)
		if (acpi_read32(table_at(at), 0) == ACPI_RSDP_SIGNATURE_LO &&
		    acpi_read32(table_at(at), 4) == ACPI_RSDP_SIGNATURE_HI &&
		    acpi_sum_is_right(table_at(at), ACPI_RSDP_V1_BYTES))
			return table_at(at);
	return NULL;
}

const uint8_t *acpi_table_at(unsigned index)
{
	const uint8_t *rsdp = acpi_rsdp(), *list;
	bool wide;

	if (!rsdp)
		return NULL;
	wide = rsdp[ACPI_RSDP_REVISION] >= 2 && acpi_read32(rsdp, ACPI_RSDP_XSDT);
	list = table_at(acpi_read32(rsdp, wide ? ACPI_RSDP_XSDT : ACPI_RSDP_RSDT));
	if (ACPI_TABLE_HEADER_BYTES + (index + 1) * (wide ? 8u : 4u) > acpi_read32(list, ACPI_TABLE_LENGTH))
		return NULL;
	return table_at(acpi_read32(list, ACPI_TABLE_HEADER_BYTES + index * (wide ? 8 : 4)));
}

const uint8_t *acpi_table(uint32_t signature)
{
	const uint8_t *table;

	for (unsigned i = 0; (table = acpi_table_at(i)) != NULL; i++)
		if (acpi_read32(table, 0) == signature)
			return table;
	return NULL;
}

const uint8_t *acpi_madt_entry(uint8_t type, unsigned index)
{
	const uint8_t *madt = acpi_table(ACPI_MADT);
	const uint32_t end = madt ? acpi_read32(madt, ACPI_TABLE_LENGTH) : 0;

	for (uint32_t at = ACPI_MADT_ENTRIES; at + 1 < end && madt[at + 1]; at += madt[at + 1])
		if (madt[at] == type && index-- == 0)
			return madt + at;
	return NULL;
}

uint16_t acpi_pm_timer_port(void)
{
	const uint8_t *fadt = acpi_table(ACPI_FADT);

	return fadt ? (uint16_t)acpi_read32(fadt, FADT_PM_TMR_BLK) : 0;
}

uint32_t acpi_gsi_of(uint8_t irq)
{
	const uint8_t *entry;

	for (unsigned i = 0; (entry = acpi_madt_entry(MADT_INTERRUPT_OVERRIDE, i)) != NULL; i++)
		if (entry[MADT_OVERRIDE_SOURCE] == irq)
			return acpi_read32(entry, MADT_OVERRIDE_GSI);
	return irq;
}
