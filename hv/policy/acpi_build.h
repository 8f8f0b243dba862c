/* A guest's ACPI tables: RSDP, XSDT, FADT, FACS, MADT, DSDT in one block. Pure. */
#ifndef HV_POLICY_ACPI_BUILD_H
#define HV_POLICY_ACPI_BUILD_H

#include <stdint.h>

/* Where the block goes: guests that are not told search for the RSDP in [0xe0000, 1 MiB), as on a PC. The RSDP is its
 * beginning. */
#define ACPI_BUILD_GPA      0xe0000ull
#define ACPI_BUILD_BYTES    4096u
#define ACPI_BUILD_CPUS_MAX 255u /* APIC ids 0 to 254 */

/* Writes the block of ACPI_BUILD_BYTES for address gpa (64-byte aligned, below 4 GiB). vCPU i has local APIC id i. */
void acpi_build_write(uint8_t *block, uint64_t gpa, uint32_t vcpu_count);

#endif
