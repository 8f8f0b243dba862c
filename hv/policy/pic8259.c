#include "hv/policy/pic8259.h"

#define LEVELS         8
#define SPURIOUS_LEVEL 7
#define CASCADE        (1u << PIC8259_CASCADE_IRQ)

/* Command words. */
#define ICW1                (1u << 4) /* on the even port, else OCW3 or OCW2 */
#define ICW1_WITH_ICW4      (1u << 0)
#define ICW1_SINGLE         (1u << 1)
#define ICW2_BASE           0xf8u
#define ICW4_AUTO_EOI       (1u << 1)
#define ICW4_FULLY_NESTED   (1u << 4)
#define OCW3                (1u << 3)
#define OCW3_READ_ISR       (1u << 0)
#define OCW3_READ           (1u << 1)
#define OCW3_POLL           (1u << 2)
#define OCW3_SPECIAL_MASK   (1u << 5)
#define OCW3_SPECIAL_ENABLE (1u << 6)
#define POLL_REQUEST        (1u << 7)

/* Bits 5 to 7 of OCW2. */
enum ocw2 {
	ROTATE_ON_AUTO_EOI_OFF = 0,
	EOI = 1,
	NO_OPERATION = 2,
	EOI_SPECIFIC = 3,
	ROTATE_ON_AUTO_EOI_ON = 4,
	EOI_ROTATE = 5,
	SET_PRIORITY = 6,
	EOI_SPECIFIC_ROTATE = 7,
};

/* IRQ 0, 1, 2, 8 and 13 are edge-triggered for ever. */
#define ELCR_MASTER 0xf8u
#define ELCR_SLAVE  0xdeu

#define FIRMWARE_BASE_MASTER 0x08
#define FIRMWARE_BASE_SLAVE  0x70

/* ---- priorities ---- */

/* 0 for the highest. */
static unsigned rank(const struct pic8259_chip *c, unsigned input)
{
	return (input - c->lowest - 1u) % LEVELS;
}

/* The one with the highest priority, -1 if there is none. */
static int highest(const struct pic8259_chip *c, unsigned inputs)
{
	for (unsigned i = 1; i <= LEVELS; i++) {
		unsigned input = (c->lowest + i) % LEVELS;

		if (inputs >> input & 1)
			return (int)input;
	}
	return -1;
}

/* Of these requests the one that is not masked and not held back by what is in service; -1 if there is none. */
static int winner(const struct pic8259_chip *c, unsigned requests)
{
	int wanted = highest(c, requests & ~c->imr), served;

	if (wanted < 0 || c->expects != PIC8259_OCW)
		return -1;
	served = highest(c, c->special_mask ? c->isr & ~c->imr : c->isr);
	if (served < 0 || rank(c, (unsigned)wanted) < rank(c, (unsigned)served))
		return wanted;
	/* "Special Fully Nested Mode": set in a master, that a slave's higher request may interrupt its lower one. */
	return c->special_fully_nested && wanted == served && wanted == PIC8259_CASCADE_IRQ ? wanted : -1;
}

/* IRR */
static unsigned requests_of(const struct pic8259 *p, const struct pic8259_chip *c)
{
	unsigned requests = (c->latched & ~c->level) | (c->lines & c->level);

	if (c == &p->master && winner(&p->slave, requests_of(p, &p->slave)) >= 0)
		requests |= CASCADE;
	return requests;
}

static int winner_of(const struct pic8259 *p, const struct pic8259_chip *c)
{
	return winner(c, requests_of(p, c));
}

static void serve(struct pic8259_chip *c, unsigned input)
{
	c->latched &= (uint8_t) ~(1u << input);
	if (!c->auto_eoi)
		c->isr |= (uint8_t)(1u << input);
	else if (c->rotate_on_auto_eoi)
		c->lowest = (uint8_t)input;
}

bool pic8259_output(const struct pic8259 *p)
{
	return winner_of(p, &p->master) >= 0;
}

uint8_t pic8259_acknowledge(struct pic8259 *p)
{
	int input = winner_of(p, &p->master), from_slave = winner_of(p, &p->slave);

	if (input < 0)
		return p->master.vector_base | SPURIOUS_LEVEL;
	serve(&p->master, (unsigned)input);
	if (input != PIC8259_CASCADE_IRQ)
		return p->master.vector_base | (uint8_t)input;
	serve(&p->slave, (unsigned)from_slave);
	return p->slave.vector_base | (uint8_t)from_slave;
}

/* ---- lines ---- */

void pic8259_set_line(struct pic8259 *p, unsigned irq, bool level)
{
	struct pic8259_chip *c = irq < LEVELS ? &p->master : &p->slave;
	uint8_t bit = (uint8_t)(1u << irq % LEVELS);

	if (irq >= PIC8259_LINES || irq == PIC8259_CASCADE_IRQ)
		return;
	if (!level) {
		c->lines &= (uint8_t)~bit;
		return;
	}
	if (!(c->lines & bit))
		c->latched |= bit & (uint8_t)~c->level;
	c->lines |= bit;
}

bool pic8259_hears(const struct pic8259 *p, unsigned irq)
{
	const struct pic8259_chip *c = irq < LEVELS ? &p->master : &p->slave;

	if (irq >= LEVELS && (p->master.imr & CASCADE))
		return false;
	return !((c->imr | c->latched) >> irq % LEVELS & 1);
}

static void elcr_write(struct pic8259_chip *c, uint8_t level)
{
	c->level = level;
	c->latched &= (uint8_t)~level;
}

/* ---- command words ---- */

static void icw1_write(struct pic8259_chip *c, uint8_t value)
{
	*c = (struct pic8259_chip){
		.lines = c->lines,
		.level = c->level,
		.vector_base = c->vector_base,
		.lowest = LEVELS - 1,
		.expects = PIC8259_ICW2,
		.wants_icw3 = !(value & ICW1_SINGLE),
		.wants_icw4 = value & ICW1_WITH_ICW4,
	};
}

static void ocw2_write(struct pic8259_chip *c, uint8_t value)
{
	enum ocw2 command = (enum ocw2)(value >> 5);
	int input = value % LEVELS;

	switch (command) {
	case ROTATE_ON_AUTO_EOI_OFF:
	case ROTATE_ON_AUTO_EOI_ON:
		c->rotate_on_auto_eoi = command == ROTATE_ON_AUTO_EOI_ON;
		break;
	case EOI:
	case EOI_ROTATE:
		/* "Special Mask Mode": masked levels in service are left to a specific EOI. */
		input = highest(c, c->special_mask ? c->isr & ~c->imr : c->isr);
		if (input < 0)
			break;
		/* fall through */
	case EOI_SPECIFIC:
	case EOI_SPECIFIC_ROTATE:
		c->isr &= (uint8_t) ~(1u << input);
		if (command == EOI_ROTATE || command == EOI_SPECIFIC_ROTATE)
			c->lowest = (uint8_t)input;
		break;
	case SET_PRIORITY:
		c->lowest = (uint8_t)input;
		break;
	case NO_OPERATION:
		break;
	}
}

static void ocw3_write(struct pic8259_chip *c, uint8_t value)
{
	c->polled = value & OCW3_POLL;
	if (value & OCW3_READ)
		c->reads_isr = value & OCW3_READ_ISR;
	if (value & OCW3_SPECIAL_ENABLE)
		c->special_mask = value & OCW3_SPECIAL_MASK;
}

static void command_write(struct pic8259_chip *c, uint8_t value)
{
	if (value & ICW1)
		icw1_write(c, value);
	else if (value & OCW3)
		ocw3_write(c, value);
	else
		ocw2_write(c, value);
}

/* is_master: a slave has no inputs that special fully nested mode is for, though software may set it in both. */
static void data_write(struct pic8259_chip *c, bool is_master, uint8_t value)
{
	switch (c->expects) {
	case PIC8259_OCW:
		c->imr = value;
		break;
	case PIC8259_ICW2:
		c->vector_base = value & ICW2_BASE;
		if (c->wants_icw3)
			c->expects = PIC8259_ICW3;
		else
			c->expects = c->wants_icw4 ? PIC8259_ICW4 : PIC8259_OCW;
		break;
	case PIC8259_ICW3: /* how the two are wired is known */
		c->expects = c->wants_icw4 ? PIC8259_ICW4 : PIC8259_OCW;
		break;
	case PIC8259_ICW4:
		c->auto_eoi = value & ICW4_AUTO_EOI;
		c->special_fully_nested = is_master && value & ICW4_FULLY_NESTED;
		c->expects = PIC8259_OCW;
		break;
	}
}

/* ---- ports ---- */

/* "Poll Command": the read is the acknowledgement, of this chip alone. */
static uint8_t poll(struct pic8259 *p, struct pic8259_chip *c)
{
	int input = winner_of(p, c);

	c->polled = false;
	if (input < 0)
		return 0;
	serve(c, (unsigned)input);
	return POLL_REQUEST | (uint8_t)input;
}

uint8_t pic8259_read(struct pic8259 *p, uint16_t port)
{
	struct pic8259_chip *c = port < PIC8259_SLAVE ? &p->master : &p->slave;

	switch (port) {
	case PIC8259_MASTER:
	case PIC8259_SLAVE:
		if (c->polled)
			return poll(p, c);
		return c->reads_isr ? c->isr : (uint8_t)requests_of(p, c);
	case PIC8259_MASTER + 1:
	case PIC8259_SLAVE + 1:
		return c->polled ? poll(p, c) : c->imr;
	case PIC8259_ELCR:
		return p->master.level;
	case PIC8259_ELCR + 1:
		return p->slave.level;
	default:
		return 0xff;
	}
}

void pic8259_write(struct pic8259 *p, uint16_t port, uint8_t value)
{
	switch (port) {
	case PIC8259_MASTER:
		command_write(&p->master, value);
		break;
	case PIC8259_SLAVE:
		command_write(&p->slave, value);
		break;
	case PIC8259_MASTER + 1:
		data_write(&p->master, true, value);
		break;
	case PIC8259_SLAVE + 1:
		data_write(&p->slave, false, value);
		break;
	case PIC8259_ELCR:
		elcr_write(&p->master, value & ELCR_MASTER);
		break;
	case PIC8259_ELCR + 1:
		elcr_write(&p->slave, value & ELCR_SLAVE);
		break;
	}
}

void pic8259_reset(struct pic8259 *p)
{
	const struct pic8259_chip firmware = {.imr = 0xff, .lowest = LEVELS - 1, .expects = PIC8259_OCW};

	p->master = firmware;
	p->master.vector_base = FIRMWARE_BASE_MASTER;
	p->slave = firmware;
	p->slave.vector_base = FIRMWARE_BASE_SLAVE;
}
