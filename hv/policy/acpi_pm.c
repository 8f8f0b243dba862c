/* A guest's ACPI registers: PM1a, PM timer, reset. */
#include "hv/policy/acpi_pm.h"

#include "arch/defs/power.h"
#include "hv/policy/acpi_ports.h"

/* PM1 Enable Registers */
#define PM1_TMR_EN     (1u << 0)
#define PM1_GBL_EN     (1u << 5)
#define PM1_PWRBTN_EN  (1u << 8)
#define PM1_SLPBTN_EN  (1u << 9)
#define PM1_RTC_EN     (1u << 10)
#define PM1_ENABLE_ALL (PM1_TMR_EN | PM1_GBL_EN | PM1_PWRBTN_EN | PM1_SLPBTN_EN | PM1_RTC_EN)

/* PM1 Control Registers. Without an SMI command port the machine is always in ACPI mode: SCI_EN reads 1. GBL_RLS and
 * SLP_EN are write-only. */
#define PM1_SCI_EN        (1u << 0)
#define PM1_BM_RLD        (1u << 1)
#define PM1_SLP_TYP_SHIFT 10
#define PM1_SLP_TYP       (7u << PM1_SLP_TYP_SHIFT)

#define BLOCK_BYTES  (ACPI_PORTS_END - ACPI_PORTS_START)
#define ENABLE_AT    2u
#define CONTROL_AT   (ACPI_PORT_PM1A_CNT - ACPI_PORTS_START)
#define TIMER_AT     (ACPI_PORT_PM_TMR - ACPI_PORTS_START)
#define RESET_ACCESS 1u

bool acpi_pm_has(uint16_t port, unsigned size_bytes)
{
	return (port >= ACPI_PORTS_START && port < ACPI_PORTS_END) ||
	       (port == ACPI_PORT_RESET && size_bytes == RESET_ACCESS);
}

static uint32_t timer_value(uint64_t now_tsc, uint64_t tsc_hz)
{
	/* Seconds and the rest apart: the product of all of it would not fit. */
	return (uint32_t)(now_tsc / tsc_hz * ACPI_PM_TIMER_HZ + now_tsc % tsc_hz * ACPI_PM_TIMER_HZ / tsc_hz);
}

static void put(uint8_t *bytes, uint32_t at, uint32_t value, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		bytes[at + i] = (uint8_t)(value >> 8 * i);
}

uint32_t acpi_pm_read(const struct acpi_pm *pm, uint16_t port, unsigned size_bytes, uint64_t now_tsc, uint64_t tsc_hz)
{
	uint8_t bytes[BLOCK_BYTES] = {0}; /* as the ports read, one after another */
	uint32_t value = 0;

	if (port == ACPI_PORT_RESET)
		return pm->reset_control;
	put(bytes, ENABLE_AT, pm->enable, sizeof(pm->enable));
	put(bytes, CONTROL_AT, pm->control | PM1_SCI_EN, sizeof(pm->control));
	put(bytes, TIMER_AT, timer_value(now_tsc, tsc_hz), sizeof(uint32_t));
	for (unsigned i = 0; i < size_bytes; i++) {
		uint32_t at = port - ACPI_PORTS_START + i;

		value |= (at < BLOCK_BYTES ? bytes[at] : 0xffu) << 8 * i;
	}
	return value;
}

static enum acpi_pm_effect reset_write(struct acpi_pm *pm, uint8_t value)
{
	bool now = !(pm->reset_control & RESET_CONTROL_CPU) && (value & RESET_CONTROL_CPU);

	pm->reset_control = value & (RESET_CONTROL_SYSTEM | RESET_CONTROL_CPU);
	return now ? ACPI_PM_RESET : ACPI_PM_NOTHING;
}

/* The value of the register of two bytes at offset at, after count bytes of value were written at offset from. */
static uint16_t merged(uint16_t old, uint32_t at, uint32_t from, unsigned count, uint32_t value)
{
	for (unsigned i = 0; i < count; i++) {
		uint32_t byte = from + i - at;

		if (byte < sizeof(old))
			old = (uint16_t)((old & ~(0xffu << 8 * byte)) | (value >> 8 * i & 0xff) << 8 * byte);
	}
	return old;
}

enum acpi_pm_effect acpi_pm_write(struct acpi_pm *pm, uint16_t port, unsigned size_bytes, uint32_t value)
{
	const uint32_t from = port - ACPI_PORTS_START;
	uint16_t control;

	if (port == ACPI_PORT_RESET)
		return reset_write(pm, (uint8_t)value);
	pm->enable = merged(pm->enable, ENABLE_AT, from, size_bytes, value) & PM1_ENABLE_ALL;
	control = merged(pm->control, CONTROL_AT, from, size_bytes, value);
	pm->control = control & (PM1_BM_RLD | PM1_SLP_TYP);
	/* The only sleeping state is S5. */
	if ((control & ACPI_PM1_SLP_EN) && (control & PM1_SLP_TYP) >> PM1_SLP_TYP_SHIFT == ACPI_S5_SLP_TYP)
		return ACPI_PM_POWER_OFF;
	return ACPI_PM_NOTHING;
}
