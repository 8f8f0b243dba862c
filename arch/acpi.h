/* ACPI: the processors of the MADT, and power-off and reset. Pure but for reading the tables where they lie (all
 * physical memory is mapped). */
#ifndef ARCH_ACPI_H
#define ARCH_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACPI_CPUS_MAX 64

struct acpi_madt {
	uint32_t cpu_count;
	uint32_t cpus_left_out;           /* enabled processors for which apic_ids has no room */
	uint32_t apic_ids[ACPI_CPUS_MAX]; /* enabled processors, in the table's order, each once */
};

/* What power-off and reset need of the FADT and the DSDT's \_S5; zero: not there. */
struct acpi_power {
	uint16_t pm1a_cnt_port, pm1b_cnt_port;
	uint16_t slp_typ_a, slp_typ_b; /* of _S5, already shifted into place (bits 10-12) */
	bool has_s5;
	bool has_reset; /* FADT reset register, I/O space only */
	uint16_t reset_port;
	uint8_t reset_value;
};

/* Makes the bytes [address, address + length) readable and returns where they are, for as long as the caller runs; NULL
 * if they cannot be read. */
typedef const uint8_t *(*acpi_read_fn)(uint64_t address, size_t length);

/* Walks RSDP -> XSDT or RSDT -> MADT. Checksums and lengths are checked. Returns NULL or the reason why not; *out is
 * untouched then. */
const char *acpi_madt_find(struct acpi_madt *out, uint64_t rsdp, acpi_read_fn read);

/* FADT and DSDT. Returns NULL or the reason why not; *out is untouched then. A DSDT that is missing, broken or without
 * \_S5 is no failure: has_s5 is false. */
const char *acpi_power_find(struct acpi_power *out, uint64_t rsdp, acpi_read_fn read);

#endif
