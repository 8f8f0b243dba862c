/* hv/policy/pic8259.c: priorities exhaustively, command words one by one, random programs against a list of rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/policy/pic8259.h"

#define MASTER 0x20
#define SLAVE  0xa0

/* ---- a pair, initialised as PC software does ---- */

static void initialise(struct pic8259 *p, uint8_t icw4)
{
	pic8259_reset(p);
	for (uint16_t port = MASTER; port <= SLAVE; port += SLAVE - MASTER) {
		pic8259_write(p, port, 0x11);
		pic8259_write(p, port + 1, port == MASTER ? 0x30 : 0x38);
		pic8259_write(p, port + 1, port == MASTER ? 0x04 : 0x02);
		pic8259_write(p, port + 1, icw4);
		assert_int_equal(pic8259_read(p, port + 1), 0);
	}
}

static void pulse(struct pic8259 *p, unsigned irq)
{
	pic8259_set_line(p, irq, false);
	pic8259_set_line(p, irq, true);
	pic8259_set_line(p, irq, false);
}

/* What the CPU gets; -1: INT is not raised. */
static int take(struct pic8259 *p)
{
	return pic8259_output(p) ? pic8259_acknowledge(p) : -1;
}

static uint8_t irr(struct pic8259 *p, uint16_t port)
{
	pic8259_write(p, port, 0x0a);
	return pic8259_read(p, port);
}

static uint8_t isr(struct pic8259 *p, uint16_t port)
{
	pic8259_write(p, port, 0x0b);
	return pic8259_read(p, port);
}

/* ---- priorities ---- */

/* From the highest down: what is in service ends the search. */
static int rule(unsigned requests, unsigned imr, unsigned in_service, unsigned lowest, bool special, bool nested)
{
	for (unsigned i = 1; i <= 8; i++) {
		unsigned input = (lowest + i) % 8, bit = 1u << input;

		if ((in_service & bit) && !(special && (imr & bit)))
			return nested && input == 2 && (requests & ~imr & bit) ? 2 : -1;
		if (requests & ~imr & bit)
			return (int)input;
	}
	return -1;
}

static void priorities_exhaustively(void **state)
{
	(void)state;
	srand(8259);
	for (unsigned requests = 0; requests < 256; requests++)
		for (unsigned in_service = 0; in_service < 256; in_service++)
			for (unsigned lowest = 0; lowest < 8; lowest++) {
				struct pic8259 p;
				bool special = rand() % 2;
				unsigned imr = rand() % 2 ? 0 : (unsigned)rand() % 256;
				int expected = rule(requests, imr, in_service, lowest, special, false);

				initialise(&p, 0x01);
				p.slave.latched = (uint8_t)requests;
				p.slave.isr = (uint8_t)in_service;
				p.slave.imr = (uint8_t)imr;
				p.slave.lowest = (uint8_t)lowest;
				p.slave.special_mask = special;
				assert_int_equal(take(&p), expected < 0 ? -1 : 0x38 + expected);
				assert_int_equal(p.slave.latched,
						 expected < 0 ? requests : requests & ~(1u << expected));
				assert_int_equal(p.slave.isr, expected < 0 ? in_service : in_service | 1u << expected);
				assert_int_equal(p.master.isr, expected < 0 ? 0 : 4);
			}
}

/* ---- random programs ---- */

struct model_chip {
	unsigned lines, edges, level, imr, isr, base, lowest;
	bool aeoi, rotate_aeoi, special, nested, reads_isr;
};

struct model {
	struct model_chip chip[2];
};

static int model_winner(const struct model *m, unsigned i)
{
	const struct model_chip *c = &m->chip[i];
	unsigned requests = (c->edges & ~c->level) | (c->lines & c->level);

	if (i == 0)
		requests |= model_winner(m, 1) >= 0 ? 4 : 0;
	return rule(requests, c->imr, c->isr, c->lowest, c->special, c->nested);
}

static void model_serve(struct model_chip *c, int input)
{
	c->edges &= ~(1u << input);
	if (!c->aeoi)
		c->isr |= 1u << input;
	if (c->aeoi && c->rotate_aeoi)
		c->lowest = (unsigned)input;
}

static int model_take(struct model *m)
{
	int input = model_winner(m, 0), second = model_winner(m, 1);

	if (input < 0)
		return -1;
	model_serve(&m->chip[0], input);
	if (input != 2)
		return (int)m->chip[0].base + input;
	model_serve(&m->chip[1], second);
	return (int)m->chip[1].base + second;
}

static void model_eoi(struct model_chip *c, bool rotate)
{
	for (unsigned i = 1; i <= 8; i++) {
		unsigned input = (c->lowest + i) % 8, bit = 1u << input;

		if (!(c->isr & bit) || (c->special && (c->imr & bit)))
			continue;
		c->isr &= ~bit;
		if (rotate)
			c->lowest = input;
		return;
	}
}

static void model_line(struct model *m, unsigned irq, bool level)
{
	struct model_chip *c = &m->chip[irq / 8];
	unsigned bit = 1u << irq % 8;

	if (irq == 2)
		return;
	if (level && !(c->lines & bit) && !(c->level & bit))
		c->edges |= bit;
	c->lines = level ? c->lines | bit : c->lines & ~bit;
}

static void random_step(struct pic8259 *p, struct model *m)
{
	unsigned i = (unsigned)rand() % 2, input = (unsigned)rand() % 8, irq = (unsigned)rand() % 16;
	struct model_chip *c = &m->chip[i];
	uint16_t port = i ? SLAVE : MASTER;
	uint8_t value = (uint8_t)rand();
	bool level = rand() % 2;
	int winner;

	switch (rand() % 24) {
	default:
		model_line(m, irq, level);
		pic8259_set_line(p, irq, level);
		break;
	case 0:
	case 1:
	case 2:
	case 3:
		assert_int_equal(take(p), model_take(m));
		break;
	case 4:
	case 5:
	case 6:
		model_eoi(c, level && input == 0);
		pic8259_write(p, port, level && input == 0 ? 0xa0 : 0x20);
		break;
	case 7:
		c->isr &= ~(1u << input);
		c->lowest = level ? input : c->lowest;
		pic8259_write(p, port, (uint8_t)((level ? 0xe0 : 0x60) | input));
		break;
	case 8:
		c->lowest = input;
		pic8259_write(p, port, (uint8_t)(0xc0 | input));
		break;
	case 9:
		c->imr = value & (uint8_t)rand();
		pic8259_write(p, port + 1, (uint8_t)c->imr);
		break;
	case 10:
		c->level = value & (i ? 0xde : 0xf8);
		c->edges &= ~c->level;
		pic8259_write(p, (uint16_t)(0x4d0 + i), value);
		break;
	case 11:
		c->rotate_aeoi = level;
		pic8259_write(p, port, level ? 0x80 : 0x00);
		break;
	case 12:
		c->special = level && input == 0;
		pic8259_write(p, port, c->special ? 0x68 : 0x48);
		break;
	case 13:
		winner = model_winner(m, i);
		if (winner >= 0)
			model_serve(c, winner);
		pic8259_write(p, port, 0x0c);
		assert_int_equal(pic8259_read(p, port + level), winner < 0 ? 0 : 0x80 | winner);
		break;
	case 14:
		if (input != 0)
			break;
		*c = (struct model_chip){.lines = c->lines,
					 .level = c->level,
					 .base = value & 0xf8u,
					 .lowest = 7,
					 .aeoi = level,
					 .nested = i == 0 && value & 1};
		pic8259_write(p, port, 0x11);
		pic8259_write(p, port + 1, value);
		pic8259_write(p, port + 1, 0);
		pic8259_write(p, port + 1, (uint8_t)(1 | (level ? 2 : 0) | (value & 1) << 4));
		break;
	case 15:
		c->reads_isr = level;
		pic8259_write(p, port, level ? 0x0b : 0x0a);
		break;
	}
}

static void compare(struct pic8259 *p, const struct model *m)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct model_chip *c = &m->chip[i];
		uint16_t port = i ? SLAVE : MASTER;
		unsigned requests = (c->edges & ~c->level) | (c->lines & c->level);

		if (i == 0 && model_winner(m, 1) >= 0)
			requests |= 4;
		assert_int_equal(pic8259_read(p, port), c->reads_isr ? c->isr : requests);
		assert_int_equal(pic8259_read(p, port + 1), c->imr);
		assert_int_equal(pic8259_read(p, (uint16_t)(0x4d0 + i)), c->level);
	}
	assert_int_equal(pic8259_output(p), model_winner(m, 0) >= 0);
}

static void random_programs(void **state)
{
	(void)state;
	srand(1);
	for (unsigned round = 0; round < 500; round++) {
		struct pic8259 p;
		struct model m = {.chip = {{.base = 0x30, .lowest = 7}, {.base = 0x38, .lowest = 7}}};

		initialise(&p, 0x01);
		for (unsigned step = 0; step < 500; step++) {
			random_step(&p, &m);
			compare(&p, &m);
		}
	}
}

/* ---- what programs do ---- */

static void firmware_leaves_it_masked(void **state)
{
	struct pic8259 p;

	(void)state;
	pic8259_reset(&p);
	assert_int_equal(pic8259_read(&p, 0x21), 0xff);
	assert_int_equal(pic8259_read(&p, 0xa1), 0xff);
	pulse(&p, 0);
	assert_false(pic8259_output(&p));
	pic8259_write(&p, 0x21, 0xfe);
	assert_int_equal(take(&p), 0x08);
	pic8259_write(&p, 0x20, 0x20);
	pulse(&p, 8);
	pic8259_write(&p, 0x21, 0xfb);
	pic8259_write(&p, 0xa1, 0xfe);
	assert_int_equal(take(&p), 0x70);
}

/* Linux, probe_8259A(): what is written to the mask reads back. */
static void masks_read_back(void **state)
{
	struct pic8259 p;

	(void)state;
	initialise(&p, 0x01);
	for (unsigned mask = 0; mask < 256; mask++) {
		pic8259_write(&p, 0x21, (uint8_t)mask);
		pic8259_write(&p, 0xa1, (uint8_t)~mask);
		assert_int_equal(pic8259_read(&p, 0x21), mask);
		assert_int_equal(pic8259_read(&p, 0xa1), (uint8_t)~mask);
	}
}

static void a_request_that_went_away_is_spurious(void **state)
{
	struct pic8259 p;

	(void)state;
	initialise(&p, 0x01);
	pic8259_write(&p, 0x4d0, 0x20);
	pic8259_set_line(&p, 5, true);
	assert_true(pic8259_output(&p));
	pic8259_set_line(&p, 5, false);
	assert_false(pic8259_output(&p));
	assert_int_equal(pic8259_acknowledge(&p), 0x37);
	assert_int_equal(isr(&p, MASTER), 0);
	/* So also one of the slave's: nothing of it reaches the acknowledgement. */
	pulse(&p, 12);
	pic8259_write(&p, 0xa1, 0x10);
	assert_int_equal(pic8259_acknowledge(&p), 0x37);
	assert_int_equal(isr(&p, SLAVE), 0);
	assert_int_equal(irr(&p, SLAVE), 0x10);
}

static void level_lines_ask_until_they_fall(void **state)
{
	struct pic8259 p;

	(void)state;
	initialise(&p, 0x01);
	pic8259_write(&p, 0x4d1, 0xff);
	assert_int_equal(pic8259_read(&p, 0x4d1), 0xde);
	pic8259_write(&p, 0x4d0, 0xff);
	assert_int_equal(pic8259_read(&p, 0x4d0), 0xf8);
	pic8259_set_line(&p, 11, true);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(take(&p), 0x3b);
		assert_int_equal(take(&p), -1);
		pic8259_write(&p, 0xa0, 0x20);
		pic8259_write(&p, 0x20, 0x20);
	}
	pic8259_set_line(&p, 11, false);
	assert_int_equal(take(&p), -1);
	/* An edge-triggered line asks once. */
	pic8259_set_line(&p, 1, true);
	assert_int_equal(take(&p), 0x31);
	pic8259_write(&p, 0x20, 0x20);
	assert_int_equal(take(&p), -1);
}

static void the_cascade_is_no_line(void **state)
{
	struct pic8259 p;

	(void)state;
	initialise(&p, 0x01);
	pic8259_set_line(&p, 2, true);
	pic8259_set_line(&p, 16, true);
	assert_int_equal(take(&p), -1);
	assert_int_equal(irr(&p, MASTER), 0);
	pulse(&p, 9);
	assert_int_equal(irr(&p, MASTER), 4);
	assert_int_equal(take(&p), 0x39);
	assert_int_equal(isr(&p, MASTER), 4);
	assert_int_equal(isr(&p, SLAVE), 2);
}

/* A higher request of the slave waits for the master's EOI, but not in special fully nested mode. */
static void special_fully_nested_mode(void **state)
{
	struct pic8259 p;

	(void)state;
	for (unsigned nested = 0; nested < 2; nested++) {
		initialise(&p, nested ? 0x11 : 0x01);
		pulse(&p, 12);
		assert_int_equal(take(&p), 0x3c);
		pulse(&p, 3);
		assert_int_equal(take(&p), -1);
		pulse(&p, 8);
		assert_int_equal(take(&p), nested ? 0x38 : -1);
	}
}

static void nothing_is_taken_while_it_is_initialised(void **state)
{
	struct pic8259 p;

	(void)state;
	initialise(&p, 0x01);
	pic8259_write(&p, 0x4d0, 0x20);
	pic8259_set_line(&p, 5, true);
	pulse(&p, 1);
	pic8259_write(&p, 0x20, 0x12); /* single, no ICW4 */
	assert_int_equal(take(&p), -1);
	pic8259_write(&p, 0x21, 0x57);
	assert_int_equal(pic8259_read(&p, 0x21), 0);
	assert_int_equal(take(&p), 0x55); /* the edge is forgotten, the level is not */
	assert_int_equal(take(&p), -1);
	pic8259_write(&p, 0x21, 0xa5);
	assert_int_equal(pic8259_read(&p, 0x21), 0xa5);
	assert_int_equal(pic8259_read(&p, 0x22), 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(priorities_exhaustively),
		cmocka_unit_test(random_programs),
		cmocka_unit_test(firmware_leaves_it_masked),
		cmocka_unit_test(masks_read_back),
		cmocka_unit_test(a_request_that_went_away_is_spurious),
		cmocka_unit_test(level_lines_ask_until_they_fall),
		cmocka_unit_test(the_cascade_is_no_line),
		cmocka_unit_test(special_fully_nested_mode),
		cmocka_unit_test(nothing_is_taken_while_it_is_initialised),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
