/* The ACPI hardware of a guest: where its registers are and what is wired where. The tables (acpi_build.c) say it, the
 * model (acpi_pm.c) and the port dispatch do it. The same as on QEMU's pc, so that programs written for that find it.
 */
#ifndef HV_POLICY_ACPI_PORTS_H
#define HV_POLICY_ACPI_PORTS_H

#define ACPI_PORTS_START   0x600u /* the block of the next three */
#define ACPI_PORT_PM1A_EVT 0x600u /* status, then enable: 2 bytes each */
#define ACPI_PORT_PM1A_CNT 0x604u /* 2 bytes */
#define ACPI_PORT_PM_TMR   0x608u /* 4 bytes, 32 bits count */
#define ACPI_PORTS_END     0x60cu
#define ACPI_PORT_RESET    0xcf9u /* 1 byte */

#define ACPI_RESET_VALUE 0x06u
#define ACPI_S5_SLP_TYP  0u
#define ACPI_SCI_IRQ     9u /* level, active high */

/* The only I/O APIC: pins 0-23 are the global interrupts 0-23, ISA interrupt 0 arrives at 2. */
#define ACPI_IOAPIC_ID 0u /* ids of I/O APICs and local APICs are apart, as on QEMU */
#define ACPI_IRQ0_GSI  2u

#endif
