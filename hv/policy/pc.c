#include "hv/policy/pc.h"

#include "hv/policy/acpi_ports.h"

#define PIT_IRQ  0
#define UART_IRQ 4

static unsigned pin_of(unsigned irq)
{
	return irq == PIT_IRQ ? ACPI_IRQ0_GSI : irq;
}

static void set_irq(struct pc *pc, unsigned irq, bool level)
{
	pic8259_set_line(&pc->pic, irq, level);
	ioapic_set_pin(&pc->ioapic, pin_of(irq), level);
}

/* Somebody would hear of a rising edge. */
static bool is_heard(const struct pc *pc, unsigned irq)
{
	return pic8259_hears(&pc->pic, irq) || ioapic_hears(&pc->ioapic, pin_of(irq));
}

void pc_reset(struct pc *pc, const struct pc_start *start, uint64_t now_tsc)
{
	const struct rtc_memory memory = {start->low_bytes, start->high_bytes};

	*pc = (struct pc){.tsc_hz = start->tsc_hz};
	pic8259_reset(&pc->pic);
	pit8254_reset(&pc->pit, start->tsc_hz, now_tsc);
	ioapic_reset(&pc->ioapic, ACPI_IOAPIC_ID);
	rtc_reset(&pc->rtc, start->unix_seconds, memory, start->tsc_hz, now_tsc);
	uart16550_reset(&pc->uart);
	fw_cfg_reset(&pc->fw_cfg, start->low_bytes + start->high_bytes, start->cpu_count);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t pc_left(const struct pc *pc, uint64_t now_tsc)
{
	/* Asserted, the clock's line stays so until the guest reads register C. */
	const bool rtc_asserted = ioapic_pin(&pc->ioapic, pin_of(RTC_IRQ));
	uint64_t left = PC_NEVER;

	if (is_heard(pc, PIT_IRQ))
		left = pit8254_left(&pc->pit, now_tsc);
	if (!rtc_asserted && is_heard(pc, RTC_IRQ))
		left = least(left, rtc_left(&pc->rtc, now_tsc));
	return left;
}

void pc_fire(struct pc *pc, uint64_t now_tsc)
{
	if (pit8254_edges(&pc->pit, now_tsc) != 0) {
		set_irq(pc, PIT_IRQ, true);
		set_irq(pc, PIT_IRQ, false);
	}
	set_irq(pc, RTC_IRQ, rtc_line(&pc->rtc, now_tsc));
}

uint8_t pc_acknowledge(struct pc *pc, uint64_t now_tsc)
{
	/* What pc_left() left out because it was requested already, becomes part of this request. */
	pc_fire(pc, now_tsc);
	return pic8259_acknowledge(&pc->pic);
}

void pc_tsc_moved(struct pc *pc, uint64_t delta_tsc)
{
	pit8254_tsc_moved(&pc->pit, delta_tsc);
	rtc_tsc_moved(&pc->rtc, delta_tsc);
	pc->moved_tsc += delta_tsc;
}

void pc_uart_line(struct pc *pc, bool fell)
{
	if (fell)
		set_irq(pc, UART_IRQ, false);
	set_irq(pc, UART_IRQ, uart16550_line(&pc->uart));
}

uint32_t pc_ioapic_read(const struct pc *pc, uint32_t offset)
{
	const uint32_t in_register = offset % sizeof(uint32_t);

	return ioapic_read(&pc->ioapic, offset - in_register) >> 8 * in_register;
}

void pc_ioapic_write(struct pc *pc, uint32_t offset, unsigned size_bytes, uint32_t value, uint64_t now_tsc)
{
	/* What came up to now goes by the old entries. */
	pc_fire(pc, now_tsc);
	if (offset == 0 || size_bytes == sizeof(uint32_t))
		ioapic_write(&pc->ioapic, offset, value);
}
