/* Offsets in ACPI tables, and the AML that \_S5 is written in (ACPI Specification 6.4, "ACPI Software Programming
 * Model" and "ACPI Machine Language"). All numbers are little-endian and may be unaligned. */
#ifndef ARCH_DEFS_ACPI_H
#define ARCH_DEFS_ACPI_H

#define ACPI_SIGNATURE(a, b, c, d) ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/* Root System Description Pointer */
#define ACPI_RSDP_SIGNATURE_LO ACPI_SIGNATURE('R', 'S', 'D', ' ')
#define ACPI_RSDP_SIGNATURE_HI ACPI_SIGNATURE('P', 'T', 'R', ' ')
#define ACPI_RSDP_REVISION     15
#define ACPI_RSDP_RSDT         16
#define ACPI_RSDP_V1_BYTES     20
#define ACPI_RSDP_LENGTH       20 /* from here on: revision 2 or later */
#define ACPI_RSDP_XSDT         24
#define ACPI_RSDP_V2_BYTES     36

/* System Description Table Header */
#define ACPI_TABLE_LENGTH       4
#define ACPI_TABLE_HEADER_BYTES 36

#define ACPI_RSDT ACPI_SIGNATURE('R', 'S', 'D', 'T')
#define ACPI_XSDT ACPI_SIGNATURE('X', 'S', 'D', 'T')
#define ACPI_MADT ACPI_SIGNATURE('A', 'P', 'I', 'C')
#define ACPI_FADT ACPI_SIGNATURE('F', 'A', 'C', 'P')
#define ACPI_DSDT ACPI_SIGNATURE('D', 'S', 'D', 'T')

/* Multiple APIC Description Table: entries of type, length, body */
#define ACPI_MADT_ENTRIES            44
#define ACPI_MADT_LOCAL_APIC         0
#define ACPI_MADT_LOCAL_APIC_ID      3
#define ACPI_MADT_LOCAL_APIC_FLAGS   4
#define ACPI_MADT_LOCAL_APIC_BYTES   8
#define ACPI_MADT_LOCAL_APIC_NO_ID   0xffu
#define ACPI_MADT_LOCAL_X2APIC       9
#define ACPI_MADT_LOCAL_X2APIC_ID    4
#define ACPI_MADT_LOCAL_X2APIC_FLAGS 8
#define ACPI_MADT_LOCAL_X2APIC_BYTES 16
#define ACPI_MADT_LOCAL_X2APIC_NO_ID 0xffffffffu
#define ACPI_MADT_ENABLED            (1u << 0)

/* Fixed ACPI Description Table; old revisions end early */
#define ACPI_FADT_DSDT          40
#define ACPI_FADT_PM1A_CNT      64
#define ACPI_FADT_PM1B_CNT      68
#define ACPI_FADT_FLAGS         112
#define ACPI_FADT_RESET_REG     116
#define ACPI_FADT_RESET_VALUE   128
#define ACPI_FADT_X_DSDT        140
#define ACPI_FADT_X_PM1A_CNT    172
#define ACPI_FADT_X_PM1B_CNT    184
#define ACPI_FADT_RESET_REG_SUP (1u << 10)

/* Generic Address Structure */
#define ACPI_GAS_SPACE     0
#define ACPI_GAS_ADDRESS   4
#define ACPI_GAS_SYSTEM_IO 1

/* PM1 Control Registers: SLP_TYPx, bits 10-12 */
#define ACPI_SLP_TYP_SHIFT 10
#define ACPI_SLP_TYP_MASK  7

/* ACPI Machine Language */
#define AML_ZERO_OP      0x00
#define AML_ONE_OP       0x01
#define AML_NAME_OP      0x08
#define AML_BYTE_PREFIX  0x0a
#define AML_WORD_PREFIX  0x0b
#define AML_DWORD_PREFIX 0x0c
#define AML_QWORD_PREFIX 0x0e
#define AML_PACKAGE_OP   0x12
#define AML_ROOT_CHAR    0x5c
#define AML_ONES_OP      0xff
#define AML_S5           ACPI_SIGNATURE('_', 'S', '5', '_')

#endif
