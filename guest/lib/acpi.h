/* The machine's ACPI tables. Source: ACPI Specification 6.4, "ACPI Software Programming Model". */
#ifndef GUEST_LIB_ACPI_H
#define GUEST_LIB_ACPI_H

#include <stdbool.h>
#include <stdint.h>

/* The RSDP below 1 MiB; NULL: none. */
const uint8_t *acpi_rsdp(void);

/* Of the tables that the XSDT names, or the RSDT where there is none: the first with this signature (arch/defs/acpi.h),
 * and the index-th. NULL: none. */
const uint8_t *acpi_table(uint32_t signature);
const uint8_t *acpi_table_at(unsigned index);

/* The index-th entry of a type in the MADT; NULL: none. */
const uint8_t *acpi_madt_entry(uint8_t type, unsigned index);

/* The bytes add up to 0. */
bool acpi_sum_is_right(const uint8_t *table, uint32_t bytes);

uint32_t acpi_read32(const uint8_t *table, uint32_t offset);

/* The PM timer's port as the FADT says; 0: none. */
uint16_t acpi_pm_timer_port(void);

/* The I/O APIC input that ISA interrupt irq comes in at. */
uint32_t acpi_gsi_of(uint8_t irq);

#endif
