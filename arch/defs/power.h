/* Ways to switch a PC off or reset it. Facts only.
 * Sources: ACPI Specification 6.4, "PM1 Control Registers"; Bochs and QEMU documentation; ICH10 data sheet, "Reset
 * Control Register"; the 8042's command list. */
#ifndef ARCH_DEFS_POWER_H
#define ARCH_DEFS_POWER_H

#define ACPI_PM1_SLP_EN (1u << 13)

#define BOCHS_SHUTDOWN_PORT  0x8900 /* takes the letters one by one */
#define BOCHS_SHUTDOWN_TEXT  "Shutdown"
#define QEMU_DEBUG_EXIT_PORT 0xf4 /* isa-debug-exit: a write of v ends QEMU with status 2v + 1 */

#define RESET_CONTROL_PORT   0xcf9
#define RESET_CONTROL_SYSTEM (1u << 1) /* hard rather than soft */
#define RESET_CONTROL_CPU    (1u << 2) /* 0 to 1: now */

#define I8042_COMMAND_PORT 0x64
#define I8042_PULSE_RESET  0xfe

/* Read at the same port: there is something to read at port 0x60; the controller has not taken the last byte yet. */
#define I8042_STATUS_OUTPUT   (1u << 0)
#define I8042_STATUS_BUSY     (1u << 1)
#define I8042_STATUS_SYSTEM   (1u << 2) /* its self-test has passed */
#define I8042_STATUS_UNLOCKED (1u << 4)

#endif
