/* hv/policy/uart16550.c: what drivers probe, and random programs against a naive model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/policy/uart16550.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
#define FCR IIR

static void put(struct uart16550 *u, unsigned reg, uint8_t value)
{
	uart16550_write(u, reg, value);
}

static uint8_t get(struct uart16550 *u, unsigned reg)
{
	return uart16550_read(u, reg);
}

/* ---- what drivers do ---- */

static void after_reset(void **state)
{
	struct uart16550 u;

	(void)state;
	uart16550_reset(&u);
	assert_int_equal(get(&u, DATA), 0);
	assert_int_equal(get(&u, IER), 0);
	assert_int_equal(get(&u, IIR), 0x01);
	assert_int_equal(get(&u, MCR), 0);
	assert_int_equal(get(&u, LSR), 0x60);
	assert_int_equal(get(&u, MSR), 0xb0);
	assert_false(uart16550_line(&u));
}

/* Linux, autoconfig(): the IER's four bits, loopback, FIFO, and none of the later chips' registers. */
static void linux_finds_a_16550a(void **state)
{
	struct uart16550 u;

	(void)state;
	uart16550_reset(&u);
	put(&u, IER, 0);
	put(&u, 0, 0xff);
	assert_int_equal(get(&u, IER), 0);
	put(&u, IER, 0xff);
	assert_int_equal(get(&u, IER), 0x0f);
	put(&u, IER, 0);
	put(&u, MCR, 0x10 | 0x0a);
	assert_int_equal(get(&u, MSR) & 0xf0, 0x90);
	put(&u, MCR, 0);
	put(&u, LCR, 0xbf);
	put(&u, FCR, 0);
	put(&u, LCR, 0);
	put(&u, FCR, 0x01);
	assert_int_equal(get(&u, IIR) >> 6, 3);
	put(&u, LCR, 0x80);
	assert_int_not_equal(get(&u, IIR), 0); /* no EFR */
	put(&u, LCR, 0xbf);
	assert_int_not_equal(get(&u, IIR), 0);
	put(&u, LCR, 0x80);
	put(&u, FCR, 0x21);
	assert_int_equal(get(&u, IIR) >> 5, 6); /* no 64-byte FIFO */
	put(&u, FCR, 0);
	assert_int_equal(get(&u, IIR) >> 6, 0);
	put(&u, LCR, 0);
	put(&u, SCR, 0x5a);
	assert_int_equal(get(&u, SCR), 0x5a);
	assert_int_equal(get(&u, MCR), 0);
}

/* Linux, serial8250_do_startup(): asking for THRE when the transmitter is empty interrupts, each time anew. */
static void asking_for_thre_interrupts(void **state)
{
	struct uart16550 u;

	(void)state;
	uart16550_reset(&u);
	for (unsigned round = 0; round < 3; round++) {
		put(&u, IER, 0x02);
		assert_true(uart16550_line(&u));
		put(&u, IER, 0x02);
		assert_int_equal(get(&u, LSR), 0x60);
		assert_int_equal(get(&u, IIR), 0x02);
		assert_false(uart16550_line(&u));
		assert_int_equal(get(&u, IIR), 0x01);
		put(&u, IER, 0x02);
		assert_false(uart16550_line(&u)); /* it was not off */
		put(&u, IER, 0);
	}
}

/* A driver that never reads IIR sees an edge for each byte that it writes. */
static void each_byte_is_an_edge(void **state)
{
	struct uart16550 u;

	(void)state;
	uart16550_reset(&u);
	assert_false(uart16550_write(&u, DATA, 'a').line_fell);
	put(&u, IER, 0x02);
	for (unsigned i = 0; i < 3; i++) {
		struct uart16550_effect effect = uart16550_write(&u, DATA, (uint8_t)('a' + i));

		assert_true(effect.sent && effect.line_fell && uart16550_line(&u));
		assert_int_equal(effect.byte, 'a' + i);
	}
	/* But not while something else holds the line. */
	put(&u, IER, 0x03);
	assert_true(uart16550_receive(&u, 'x'));
	assert_false(uart16550_write(&u, DATA, 'b').line_fell);
}

static void trigger_levels(void **state)
{
	static const unsigned TRIGGER[] = {1, 4, 8, 14};

	(void)state;
	for (unsigned level = 0; level < 4; level++) {
		struct uart16550 u;

		uart16550_reset(&u);
		put(&u, FCR, (uint8_t)(0x01 | level << 6));
		put(&u, IER, 0x01);
		for (unsigned i = 1; i <= 16; i++) {
			assert_true(uart16550_receive(&u, (uint8_t)(i * 3)));
			assert_true(uart16550_line(&u));
			assert_int_equal(get(&u, IIR), i < TRIGGER[level] ? 0xcc : 0xc4);
		}
		assert_false(uart16550_receive(&u, 0));
		assert_int_equal(get(&u, LSR), 0x61); /* nothing was lost: the host keeps the byte */
		for (unsigned i = 1; i <= 16; i++)
			assert_int_equal(get(&u, DATA), (uint8_t)(i * 3));
		assert_int_equal(get(&u, LSR), 0x60);
		assert_false(uart16550_line(&u));
	}
}

static void the_fifo_is_emptied(void **state)
{
	static const uint8_t BY[] = {0x03, 0x00}; /* the clear bit; another mode */
	struct uart16550 u;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		uart16550_reset(&u);
		put(&u, FCR, 0x01);
		assert_true(uart16550_receive(&u, 1) && uart16550_receive(&u, 2));
		put(&u, FCR, 0x05); /* the transmitter's: always empty */
		assert_int_equal(get(&u, LSR), 0x61);
		put(&u, FCR, BY[i]);
		assert_int_equal(get(&u, LSR), 0x60);
	}
	assert_true(uart16550_receive(&u, 3));
	assert_false(uart16550_receive(&u, 4));
	assert_int_equal(get(&u, DATA), 3);
}

static void loopback(void **state)
{
	struct uart16550 u;

	(void)state;
	for (unsigned fifo = 0; fifo < 2; fifo++) {
		uart16550_reset(&u);
		put(&u, FCR, (uint8_t)fifo);
		put(&u, MCR, 0x10);
		put(&u, IER, 0x04);
		assert_false(uart16550_receive(&u, 0xee));
		for (unsigned i = 0; i < (fifo ? 16 : 1); i++) {
			assert_false(uart16550_write(&u, DATA, (uint8_t)i).sent);
			assert_false(uart16550_line(&u));
		}
		assert_int_equal(get(&u, LSR), 0x61);
		put(&u, DATA, 0xaa);
		assert_true(uart16550_line(&u));
		assert_int_equal(get(&u, IIR) & 0x0f, 0x06);
		assert_int_equal(get(&u, LSR), 0x63);
		assert_int_equal(get(&u, LSR), 0x61);
		assert_int_equal(get(&u, DATA), fifo ? 0 : 0xaa);
	}
}

static void modem_lines_come_back(void **state)
{
	(void)state;
	for (unsigned before = 0; before < 16; before++)
		for (unsigned after = 0; after < 16; after++) {
			/* DTR RTS OUT1 OUT2 are DSR CTS RI DCD. */
			static const uint8_t LINE[] = {0x20, 0x10, 0x40, 0x80}, DELTA[] = {0x02, 0x01, 0x04, 0x08};
			struct uart16550 u;
			uint8_t msr = 0;

			uart16550_reset(&u);
			put(&u, MCR, (uint8_t)(0x10 | before));
			get(&u, MSR);
			put(&u, IER, 0x08);
			put(&u, MCR, (uint8_t)(0x10 | after));
			for (unsigned i = 0; i < 4; i++) {
				bool was = before >> i & 1, is = after >> i & 1;

				msr |= is ? LINE[i] : 0;
				msr |= i == 2 ? (was && !is ? DELTA[i] : 0) : (was != is ? DELTA[i] : 0);
			}
			assert_int_equal(uart16550_line(&u), (msr & 0x0f) != 0);
			assert_int_equal(get(&u, IIR), msr & 0x0f ? 0x00 : 0x01);
			assert_int_equal(get(&u, MSR), msr);
			assert_int_equal(get(&u, MSR), msr & 0xf0);
			assert_false(uart16550_line(&u));
		}
}

/* ---- random programs ---- */

struct model {
	uint8_t ier, lcr, mcr, scr, dll, dlm, fcr, msr_delta;
	bool overrun, thre;
	uint8_t bytes[16];
	unsigned count;
};

static uint8_t model_iir(const struct model *m)
{
	unsigned trigger = m->fcr >> 6 == 0 ? 1 : m->fcr >> 6 == 3 ? 14 : 4u * (m->fcr >> 6);
	uint8_t fifo = m->fcr & 1 ? 0xc0 : 0;

	if (m->overrun && (m->ier & 4))
		return fifo | 6;
	if (m->count && (m->ier & 1))
		return fifo | (fifo && m->count < trigger ? 0xc : 4);
	if (m->thre && (m->ier & 2))
		return fifo | 2;
	return fifo | (m->msr_delta && (m->ier & 8) ? 0 : 1);
}

static uint8_t model_lines(const struct model *m)
{
	uint8_t r = m->mcr;

	return r & 0x10 ? (uint8_t)((r & 1) << 5 | (r & 2) << 3 | (r & 4) << 4 | (r & 8) << 4) : 0xb0;
}

static void model_arrive(struct model *m, uint8_t byte)
{
	if (m->count == (m->fcr & 1 ? 16 : 1)) {
		m->overrun = true;
		if (!(m->fcr & 1))
			m->bytes[0] = byte;
		return;
	}
	m->bytes[m->count++] = byte;
}

static uint8_t model_read(struct model *m, unsigned reg)
{
	uint8_t value;

	switch (reg) {
	case DATA:
		if (m->lcr & 0x80)
			return m->dll;
		if (m->count == 0)
			return 0;
		value = m->bytes[0];
		memmove(m->bytes, m->bytes + 1, --m->count);
		return value;
	case IER:
		return m->lcr & 0x80 ? m->dlm : m->ier;
	case IIR:
		value = model_iir(m);
		m->thre = m->thre && (value & 0xf) != 2;
		return value;
	case LCR:
		return m->lcr;
	case MCR:
		return m->mcr;
	case LSR:
		value = 0x60 | (m->count ? 1 : 0) | (m->overrun ? 2 : 0);
		m->overrun = false;
		return value;
	case MSR:
		value = model_lines(m) | m->msr_delta;
		m->msr_delta = 0;
		return value;
	default:
		return m->scr;
	}
}

static void model_write(struct model *m, unsigned reg, uint8_t value)
{
	uint8_t before = model_lines(m), after;

	switch (reg) {
	case DATA:
		if (m->lcr & 0x80) {
			m->dll = value;
			break;
		}
		m->thre = true;
		if (m->mcr & 0x10)
			model_arrive(m, value);
		break;
	case IER:
		if (m->lcr & 0x80) {
			m->dlm = value;
			break;
		}
		m->thre |= (value & 2) && !(m->ier & 2);
		m->ier = value & 0xf;
		break;
	case FCR:
		if ((value & 1) != (m->fcr & 1) || (value & 3) == 3)
			m->count = 0;
		m->fcr = value & 1 ? value & 0xc1 : 0;
		break;
	case LCR:
		m->lcr = value;
		break;
	case MCR:
		m->mcr = value & 0x1f;
		after = model_lines(m);
		m->msr_delta |= ((before ^ after) & 0xb0) >> 4 | ((before & 0x40) && !(after & 0x40) ? 4 : 0);
		break;
	case SCR:
		m->scr = value;
		break;
	}
}

static void random_programs(void **state)
{
	struct model m = {.lcr = 3, .dll = 1};
	struct uart16550 u;

	(void)state;
	srand(16550);
	uart16550_reset(&u);
	for (unsigned step = 0; step < 500000; step++) {
		unsigned reg = (unsigned)rand() % 8;
		uint8_t value = (uint8_t)rand();
		bool to_line = reg == DATA && !(m.lcr & 0x80) && !(m.mcr & 0x10), room;
		struct uart16550_effect effect;

		if (reg == LCR && rand() % 4)
			value &= 0x7f;
		switch (rand() % 3) {
		case 0:
			assert_int_equal(get(&u, reg), model_read(&m, reg));
			break;
		case 1:
			effect = uart16550_write(&u, reg, value);
			model_write(&m, reg, value);
			assert_int_equal(effect.sent, to_line);
			assert_true(!to_line || effect.byte == value);
			break;
		default:
			room = !(m.mcr & 0x10) && m.count < (m.fcr & 1 ? 16 : 1);
			assert_int_equal(uart16550_receive(&u, value), room);
			if (room)
				model_arrive(&m, value);
			break;
		}
		assert_int_equal(uart16550_line(&u), !(model_iir(&m) & 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_reset),
		cmocka_unit_test(linux_finds_a_16550a),
		cmocka_unit_test(asking_for_thre_interrupts),
		cmocka_unit_test(each_byte_is_an_edge),
		cmocka_unit_test(trigger_levels),
		cmocka_unit_test(the_fifo_is_emptied),
		cmocka_unit_test(loopback),
		cmocka_unit_test(modem_lines_come_back),
		cmocka_unit_test(random_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
