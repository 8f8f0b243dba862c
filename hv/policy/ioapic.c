#include "hv/policy/ioapic.h"

#include "arch/defs/apic.h"

/* ---- the registers ---- */

#define IOAPIC_IOREGSEL 0x00u
#define IOAPIC_IOWIN    0x10u
#define IOAPIC_EOI      0x40u

/* What IOREGSEL selects. */
#define IOAPIC_ID          0x00
#define IOAPIC_VERSION     0x01
#define IOAPIC_ARBITRATION 0x02
#define IOAPIC_REDIRECTION 0x10 /* two of 32 bits for each pin, the low half first */

#define IOAPIC_ID_MASK 0x0f000000u

/* The highest entry's number, and the version that has an EOI register. */
#define VERSION ((IOAPIC_PINS - 1u) << 16 | 0x20u)

#define RTE_VECTOR           0xffu
#define RTE_DELIVERY(rte)    ((rte) >> 8 & 7)
#define RTE_LOGICAL          (1u << 11)
#define RTE_DELIVERY_STATUS  (1u << 12)
#define RTE_REMOTE_IRR       (1u << 14)
#define RTE_LEVEL            (1u << 15)
#define RTE_MASKED           (1u << 16)
#define RTE_LOW_WRITABLE     0x1afffu
#define RTE_HIGH_WRITABLE    0xff000000u
#define RTE_DESTINATION(rte) ((uint32_t)((rte) >> 56))

/* Only fixed and lowest-priority interrupts have a level: the others are taken as edges, whatever the bit says. */
static bool is_level(uint64_t rte)
{
	return (rte & RTE_LEVEL) && (RTE_DELIVERY(rte) == LAPIC_FIXED || RTE_DELIVERY(rte) == LAPIC_LOWEST);
}

static bool is_reserved(uint64_t rte)
{
	return RTE_DELIVERY(rte) == 3 || RTE_DELIVERY(rte) == 6;
}

void ioapic_reset(struct ioapic *io, uint8_t id)
{
	*io = (struct ioapic){.id = (uint32_t)id << XAPIC_ID_SHIFT & IOAPIC_ID_MASK};
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		io->redirection[pin] = RTE_MASKED;
}

/* ---- pins ---- */

void ioapic_set_pin(struct ioapic *io, unsigned pin, bool asserted)
{
	uint32_t bit;

	if (pin >= IOAPIC_PINS)
		return;
	bit = 1u << pin;
	/* An edge on a masked pin is lost: "Redirection Table Registers", Interrupt Mask. */
	if (asserted && !(io->asserted & bit) && !is_level(io->redirection[pin]) &&
	    !(io->redirection[pin] & RTE_MASKED))
		io->edges |= bit;
	io->asserted = asserted ? io->asserted | bit : io->asserted & ~bit;
}

bool ioapic_pin(const struct ioapic *io, unsigned pin)
{
	return pin < IOAPIC_PINS && io->asserted >> pin & 1;
}

bool ioapic_hears(const struct ioapic *io, unsigned pin)
{
	return pin < IOAPIC_PINS && !(io->redirection[pin] & RTE_MASKED);
}

void ioapic_eoi(struct ioapic *io, uint8_t vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		if ((io->redirection[pin] & RTE_VECTOR) == vector)
			io->redirection[pin] &= ~(uint64_t)RTE_REMOTE_IRR;
}

static bool wants_message(const struct ioapic *io, unsigned pin)
{
	uint64_t rte = io->redirection[pin];

	if ((rte & RTE_MASKED) || is_reserved(rte))
		return false;
	if (is_level(rte))
		return io->asserted >> pin & 1 && !(rte & RTE_REMOTE_IRR);
	return io->edges >> pin & 1;
}

bool ioapic_take(struct ioapic *io, struct ioapic_message *message)
{
	/* Most often there is nothing. */
	for (uint32_t left = io->edges | io->asserted; left != 0; left &= left - 1) {
		const unsigned pin = (unsigned)__builtin_ctz(left);
		uint64_t rte = io->redirection[pin];

		if (!wants_message(io, pin))
			continue;
		if (is_level(rte))
			io->redirection[pin] |= RTE_REMOTE_IRR;
		else
			io->edges &= ~(1u << pin);
		*message = (struct ioapic_message){
			.ipi =
				{
					.delivery = (enum lapic_delivery)RTE_DELIVERY(rte),
					.shorthand = LAPIC_TO_DESTINATION,
					.vector = rte & RTE_VECTOR,
					.logical = rte & RTE_LOGICAL,
					.destination = RTE_DESTINATION(rte),
				},
			.level = is_level(rte),
			.pin = (uint8_t)pin,
		};
		return true;
	}
	return false;
}

/* ---- reading and writing ---- */

static uint32_t register_read(const struct ioapic *io)
{
	unsigned half = io->select - IOAPIC_REDIRECTION;

	switch (io->select) {
	case IOAPIC_ID:
	case IOAPIC_ARBITRATION:
		return io->id;
	case IOAPIC_VERSION:
		return VERSION;
	}
	if (io->select < IOAPIC_REDIRECTION || half >= 2 * IOAPIC_PINS)
		return 0;
	return (uint32_t)(io->redirection[half / 2] >> (half % 2 ? 32 : 0));
}

/* Software without an EOI register ends a level-triggered interrupt by making its entry edge-triggered for a moment;
 * chipsets clear Remote IRR then. An edge that came in does not outlive mask or trigger mode. */
static void redirection_low_write(struct ioapic *io, unsigned pin, uint32_t value)
{
	uint64_t *rte = &io->redirection[pin];

	*rte = (*rte & ~(uint64_t)RTE_LOW_WRITABLE) | (value & RTE_LOW_WRITABLE);
	if (!is_level(*rte))
		*rte &= ~(uint64_t)RTE_REMOTE_IRR;
	if (is_level(*rte) || (*rte & RTE_MASKED))
		io->edges &= ~(1u << pin);
}

static void register_write(struct ioapic *io, uint32_t value)
{
	unsigned half = io->select - IOAPIC_REDIRECTION;

	if (io->select == IOAPIC_ID)
		io->id = value & IOAPIC_ID_MASK;
	if (io->select < IOAPIC_REDIRECTION || half >= 2 * IOAPIC_PINS)
		return;
	if (half % 2)
		io->redirection[half / 2] = (uint32_t)io->redirection[half / 2] | (uint64_t)(value & RTE_HIGH_WRITABLE)
											  << 32;
	else
		redirection_low_write(io, half / 2, value);
}

uint32_t ioapic_read(const struct ioapic *io, uint32_t offset)
{
	switch (offset) {
	case IOAPIC_IOREGSEL:
		return io->select;
	case IOAPIC_IOWIN:
		return register_read(io);
	default:
		return 0;
	}
}

void ioapic_write(struct ioapic *io, uint32_t offset, uint32_t value)
{
	switch (offset) {
	case IOAPIC_IOREGSEL:
		io->select = (uint8_t)value;
		break;
	case IOAPIC_IOWIN:
		register_write(io, value);
		break;
	case IOAPIC_EOI:
		ioapic_eoi(io, (uint8_t)value);
		break;
	}
}
