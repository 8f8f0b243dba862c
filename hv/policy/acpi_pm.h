/* A guest's ACPI registers (acpi_ports.h) as a model: PM1a event and control, PM timer, reset register. Pure: time
 * comes in as the guest's TSC, and what a write asks for goes out as an effect.
 * Nothing here ever has an event to report (no buttons, no wake-up; TMR_STS stays 0), so the SCI is never asserted.
 * Source: ACPI Specification 6.4, "ACPI Hardware Specification". */
#ifndef HV_POLICY_ACPI_PM_H
#define HV_POLICY_ACPI_PM_H

#include <stdbool.h>
#include <stdint.h>

#define ACPI_PM_TIMER_HZ 3579545u

/* All zero is the state at power-up and after a reset. */
struct acpi_pm {
	uint16_t enable;       /* PM1 enable */
	uint16_t control;      /* PM1 control, without SCI_EN */
	uint8_t reset_control; /* what the reset register reads */
};

enum acpi_pm_effect {
	ACPI_PM_NOTHING,
	ACPI_PM_POWER_OFF, /* the guest has entered S5 */
	ACPI_PM_RESET,     /* the whole VM, as at power-up */
};

/* An access of size_bytes (1, 2 or 4) at port is this model's: it begins in [ACPI_PORTS_START, ACPI_PORTS_END), or is
 * one byte at ACPI_PORT_RESET. */
bool acpi_pm_has(uint16_t port, unsigned size_bytes);

/* For an access that acpi_pm_has(). Bytes beyond the registers read as ones; writing them does nothing.
 * tsc_hz: 1 MHz to 1 THz. */
uint32_t acpi_pm_read(const struct acpi_pm *pm, uint16_t port, unsigned size_bytes, uint64_t now_tsc, uint64_t tsc_hz);
enum acpi_pm_effect acpi_pm_write(struct acpi_pm *pm, uint16_t port, unsigned size_bytes, uint32_t value);

#endif
