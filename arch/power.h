/* Power-off and reset of the whole machine. */
#ifndef ARCH_POWER_H
#define ARCH_POWER_H

#include "arch/acpi.h"

/* What ACPI says of this machine. Without the call there are only the ways that need no table. */
void power_init(const struct acpi_power *acpi);

/* Tries one way after the other. Returns if the machine does not obey. */
void power_off(void);

/* The same; the last way always works. */
_Noreturn void power_reset(void);

#endif
