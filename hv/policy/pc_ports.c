#include "hv/policy/pc_ports.h"

#include "arch/defs/pci.h"
#include "arch/defs/power.h"
#include "arch/defs/uart.h"
#include "hv/policy/acpi_ports.h"

/* In ascending order: what the most frequent unanswered ports are compared with is little. */
static const struct range {
	uint16_t first, last;
	enum pc_device device;
} ranges[] = {
	{PIC8259_MASTER, PIC8259_MASTER + 1, PC_PIC},
	{PIT8254_CHANNEL0, PIT8254_CONTROL, PC_PIT},
	{PIT8254_PORT61, PIT8254_PORT61, PC_PIT},
	{I8042_COMMAND_PORT, I8042_COMMAND_PORT, PC_KEYBOARD},
	{RTC_INDEX, RTC_DATA, PC_RTC},
	{PIC8259_SLAVE, PIC8259_SLAVE + 1, PC_PIC},
	{QEMU_DEBUG_EXIT_PORT, QEMU_DEBUG_EXIT_PORT, PC_DEBUG_EXIT},
	{UART_COM1, UART_COM1 + UART_PORTS - 1, PC_UART},
	{PIC8259_ELCR, PIC8259_ELCR + 1, PC_PIC},
	{FW_CFG_SELECTOR, FW_CFG_DATA, PC_FW_CFG},
	{ACPI_PORTS_START, ACPI_PORTS_END - 1, PC_ACPI},
	{PCI_CONFIG_ADDRESS, PCI_CONFIG_ADDRESS, PC_PCI},
	{ACPI_PORT_RESET, ACPI_PORT_RESET, PC_ACPI},
	{ACPI_PORT_RESET + 1, PCI_CONFIG_END - 1, PC_PCI},
	{BOCHS_SHUTDOWN_PORT, BOCHS_SHUTDOWN_PORT, PC_SHUTDOWN},
	{UINT16_MAX, UINT16_MAX, PC_NOTHING},
};

enum pc_device pc_ports_find(uint16_t port)
{
	const struct range *r = ranges;

	while (port > r->last)
		r++;
	return port >= r->first ? r->device : PC_NOTHING;
}

static uint32_t all_ones(unsigned size_bytes)
{
	return UINT32_MAX >> (32 - 8 * size_bytes);
}

static uint8_t byte_of(uint32_t value, unsigned i)
{
	return (uint8_t)(value >> 8 * i);
}

/* ---- devices with registers of a byte ---- */

static uint8_t byte_read(struct pc *pc, enum pc_device device, uint16_t port, uint64_t now_tsc)
{
	switch (device) {
	case PC_PIC:
		return pic8259_read(&pc->pic, port);
	case PC_PIT:
		return pit8254_read(&pc->pit, port, now_tsc);
	case PC_RTC:
		return rtc_read(&pc->rtc, port, now_tsc);
	case PC_UART:
		return uart16550_read(&pc->uart, port - UART_COM1);
	default:
		return UINT8_MAX;
	}
}

/* True: a byte was sent. */
static bool uart_write(struct pc *pc, uint16_t port, uint8_t value)
{
	const struct uart16550_effect effect = uart16550_write(&pc->uart, port - UART_COM1, value);

	pc_uart_line(pc, effect.line_fell);
	return effect.sent;
}

static void byte_write(struct pc *pc, enum pc_device device, uint16_t port, uint8_t value, uint64_t now_tsc,
		       struct pc_effect *effect)
{
	switch (device) {
	case PC_PIC:
		pic8259_write(&pc->pic, port, value);
		break;
	case PC_PIT:
		pit8254_write(&pc->pit, port, value, now_tsc);
		break;
	case PC_RTC:
		rtc_write(&pc->rtc, port, value, now_tsc);
		break;
	case PC_UART:
		if (uart_write(pc, port, value)) {
			effect->sent = true;
			effect->byte = value;
		}
		break;
	default:
		break;
	}
}

/* The timers run in what they drive, and are driven, by the old settings up to now, by the new ones from now on. */
static bool has_timers(enum pc_device device)
{
	return device == PC_PIC || device == PC_PIT || device == PC_RTC;
}

static uint32_t bytes_read(struct pc *pc, enum pc_device device, uint16_t port, unsigned size_bytes, uint64_t now_tsc)
{
	uint32_t value = 0;

	if (has_timers(device))
		pc_fire(pc, now_tsc);
	for (unsigned i = 0; i < size_bytes; i++) {
		const uint16_t at = (uint16_t)(port + i);
		const uint8_t byte = pc_ports_find(at) == device ? byte_read(pc, device, at, now_tsc) : UINT8_MAX;

		value |= (uint32_t)byte << 8 * i;
	}
	if (has_timers(device))
		pc_fire(pc, now_tsc);
	else
		pc_uart_line(pc, false);
	return value;
}

static struct pc_effect bytes_write(struct pc *pc, enum pc_device device, uint16_t port, unsigned size_bytes,
				    uint32_t value, uint64_t now_tsc)
{
	struct pc_effect effect = {.end = PC_GOES_ON};

	if (has_timers(device))
		pc_fire(pc, now_tsc);
	for (unsigned i = 0; i < size_bytes; i++) {
		const uint16_t at = (uint16_t)(port + i);

		if (pc_ports_find(at) == device)
			byte_write(pc, device, at, byte_of(value, i), now_tsc, &effect);
	}
	if (has_timers(device))
		pc_fire(pc, now_tsc);
	return effect;
}

/* ---- the others ---- */

static uint32_t acpi_read(const struct pc *pc, uint16_t port, unsigned size_bytes, uint64_t now_tsc)
{
	if (!acpi_pm_has(port, size_bytes))
		return all_ones(size_bytes);
	return acpi_pm_read(&pc->acpi_pm, port, size_bytes, now_tsc - pc->moved_tsc, pc->tsc_hz);
}

static enum pc_end acpi_write(struct pc *pc, uint16_t port, unsigned size_bytes, uint32_t value)
{
	if (!acpi_pm_has(port, size_bytes))
		return PC_GOES_ON;
	switch (acpi_pm_write(&pc->acpi_pm, port, size_bytes, value)) {
	case ACPI_PM_POWER_OFF:
		return PC_POWER_OFF;
	case ACPI_PM_RESET:
		return PC_RESET;
	case ACPI_PM_NOTHING:
		break;
	}
	return PC_GOES_ON;
}

/* CONFIG_ADDRESS is a register of 32 bits, for accesses of 32 bits; smaller ones pass it by. */
static bool is_pci_address(uint16_t port, unsigned size_bytes)
{
	return port == PCI_CONFIG_ADDRESS && size_bytes == sizeof(uint32_t);
}

static enum pc_end shutdown_write(struct pc *pc, uint8_t letter)
{
	static const char word[] = BOCHS_SHUTDOWN_TEXT;
	uint8_t *seen = &pc->shutdown_letters;

	*seen = letter == (uint8_t)word[*seen] ? *seen + 1 : 0;
	if (word[*seen] != '\0')
		return PC_GOES_ON;
	*seen = 0;
	return PC_SHUT_DOWN;
}

/* ---- all of them ---- */

uint32_t pc_ports_read(struct pc *pc, enum pc_device device, uint16_t port, unsigned size_bytes, uint64_t now_tsc)
{
	switch (device) {
	case PC_PIC:
	case PC_PIT:
	case PC_RTC:
	case PC_UART:
		return bytes_read(pc, device, port, size_bytes, now_tsc);
	case PC_FW_CFG: /* QEMU has wider reads give 0 */
		return size_bytes == 1 ? fw_cfg_next(&pc->fw_cfg) : 0;
	case PC_ACPI:
		return acpi_read(pc, port, size_bytes, now_tsc);
	case PC_PCI:
		return is_pci_address(port, size_bytes) ? pc->pci_address : all_ones(size_bytes);
	case PC_KEYBOARD: /* whoever wants the reset line waits for this first */
		return (all_ones(size_bytes) & ~(uint32_t)UINT8_MAX) | I8042_STATUS_SYSTEM | I8042_STATUS_UNLOCKED;
	case PC_NOTHING:
	case PC_DEBUG_EXIT:
	case PC_SHUTDOWN:
		break;
	}
	return all_ones(size_bytes);
}

struct pc_effect pc_ports_write(struct pc *pc, enum pc_device device, uint16_t port, unsigned size_bytes,
				uint32_t value, uint64_t now_tsc)
{
	enum pc_end end = PC_GOES_ON;

	switch (device) {
	case PC_PIC:
	case PC_PIT:
	case PC_RTC:
	case PC_UART:
		return bytes_write(pc, device, port, size_bytes, value, now_tsc);
	case PC_FW_CFG:
		if (port == FW_CFG_SELECTOR && size_bytes == sizeof(uint16_t))
			fw_cfg_select(&pc->fw_cfg, (uint16_t)value);
		break;
	case PC_ACPI:
		end = acpi_write(pc, port, size_bytes, value);
		break;
	case PC_PCI:
		if (is_pci_address(port, size_bytes))
			pc->pci_address = value;
		break;
	case PC_KEYBOARD:
		end = (uint8_t)value == I8042_PULSE_RESET ? PC_RESET : PC_GOES_ON;
		break;
	case PC_DEBUG_EXIT:
		end = PC_EXIT;
		break;
	case PC_SHUTDOWN:
		end = shutdown_write(pc, (uint8_t)value);
		break;
	case PC_NOTHING:
		break;
	}
	return (struct pc_effect){.end = end};
}
