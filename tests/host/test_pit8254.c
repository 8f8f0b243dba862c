/* hv/policy/pit8254.c against the data sheet's machine, which counts clock by clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/policy/pit8254.h"
#include "hv/policy/tsc_scale.h"

#define PIT_HZ  1193182u
#define PORT61  0x61
#define CONTROL 0x43

/* ---- the model: "Mode Definitions", one clock at a time ---- */

struct model {
	unsigned mode, modulus;
	bool gate, out, null;
	bool load, counting; /* load: the next clock loads the counter from the count register */
	bool odd;            /* that is in the counter, less one (mode 3) */
	bool fired;          /* the strobe has been (modes 4, 5) */
	unsigned reg, counter;
	unsigned rises;
};

static void model_out(struct model *m, bool out)
{
	m->rises += out && !m->out;
	m->out = out;
}

static void model_control(struct model *m, unsigned mode, bool bcd)
{
	m->mode = mode;
	m->modulus = bcd ? 10000 : 65536;
	m->load = m->counting = m->fired = false;
	m->null = true;
	m->reg = 0;
	model_out(m, mode != 0);
}

static void model_count(struct model *m, unsigned count)
{
	bool first = m->reg == 0;

	m->reg = count;
	m->null = true;
	if (m->mode == 0)
		model_out(m, false);
	if (m->mode == 0 || m->mode == 4 || ((m->mode == 2 || m->mode == 3) && first))
		m->load = true;
}

static void model_gate(struct model *m, bool gate)
{
	bool rose = gate && !m->gate;

	m->gate = gate;
	if ((m->mode == 2 || m->mode == 3) && !gate)
		model_out(m, true);
	if (rose && m->reg != 0 && (m->mode == 1 || m->mode == 2 || m->mode == 3 || m->mode == 5))
		m->load = true;
}

static void model_reload(struct model *m)
{
	m->counter = m->mode == 3 ? m->reg & ~1u : m->reg;
	m->odd = m->reg % 2;
	m->null = false;
}

static void model_decrement(struct model *m)
{
	m->counter = m->counter == 0 ? m->modulus - 1 : m->counter - 1;
}

static void model_clock(struct model *m)
{
	if (m->load) {
		m->load = false;
		m->counting = true;
		m->fired = false;
		model_reload(m);
		model_out(m, m->mode != 0 && m->mode != 1);
		return;
	}
	if (!m->counting || (!m->gate && m->mode != 1 && m->mode != 5))
		return;
	switch (m->mode) {
	case 0:
	case 1:
		model_decrement(m);
		if (m->counter == 0)
			model_out(m, true);
		break;
	case 2:
		model_decrement(m);
		if (m->counter == 1)
			model_out(m, false);
		if (m->counter == 0) {
			model_reload(m);
			model_out(m, true);
		}
		break;
	case 3:
		/* The high half of an odd count stays at 0 for one clock more. */
		if (m->counter > 2 || (m->counter == 2 && m->out && m->odd)) {
			m->counter -= 2;
			break;
		}
		model_reload(m);
		model_out(m, !m->out);
		break;
	default:
		model_decrement(m);
		model_out(m, m->fired || m->counter != 0);
		m->fired |= m->counter == 0;
		break;
	}
}

/* ---- random programs ---- */

static unsigned to_bcd(unsigned value)
{
	return value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
}

struct bench {
	struct pit8254 pit;
	struct model model[3];
	unsigned access[3];
	bool bcd[3];
	uint64_t now;
	uint64_t taken; /* edges of channel 0 */
	uint64_t due;   /* when pit8254_left() says the next one comes; 0: not asked */
};

static void write_count(struct bench *b, unsigned i, unsigned count)
{
	unsigned raw = b->bcd[i] ? to_bcd(count % 10000) : count % 65536;
	uint16_t port = (uint16_t)(0x40 + i);

	if (b->access[i] != 2)
		pit8254_write(&b->pit, port, (uint8_t)raw, b->now);
	if (b->access[i] != 1)
		pit8254_write(&b->pit, port, (uint8_t)(raw >> 8), b->now);
	model_count(&b->model[i], count);
}

static unsigned random_count(const struct bench *b, unsigned i)
{
	unsigned count = 2 + (unsigned)rand() % (rand() % 8 ? 12 : 300);

	if (b->access[i] == 1)
		count = b->bcd[i] ? count % 97 + 2 : count % 250 + 2;
	if (b->access[i] == 2)
		count = b->bcd[i] ? count % 3 * 100 + 100 : count % 2 * 256 + 256;
	return rand() % 50 == 0 && b->access[i] == 3 ? b->model[i].modulus : count;
}

static void set_mode(struct bench *b, unsigned i)
{
	unsigned mode = (unsigned)rand() % 8, bcd = (unsigned)rand() % 2;

	b->access[i] = rand() % 2 ? 3 : 1 + (unsigned)rand() % 3;
	b->bcd[i] = bcd;
	pit8254_write(&b->pit, CONTROL, (uint8_t)(i << 6 | b->access[i] << 4 | mode << 1 | bcd), b->now);
	model_control(&b->model[i], mode > 5 ? mode - 4 : mode, bcd);
}

static void run(struct bench *b, unsigned clocks)
{
	for (; clocks > 0; clocks--) {
		unsigned before = b->model[0].rises;

		b->now++;
		for (unsigned i = 0; i < 3; i++)
			model_clock(&b->model[i]);
		if (b->due && b->model[0].rises != before) {
			assert_int_equal(b->due, b->now);
			b->due = 0;
		}
	}
	assert_true(b->due == 0 || b->due > b->now);
}

static void compare(struct bench *b)
{
	for (unsigned i = 0; i < 3; i++) {
		const struct model *m = &b->model[i];
		uint16_t port = (uint16_t)(0x40 + i);
		unsigned count, status, counter = m->counter % m->modulus;

		assert_int_equal(pit8254_output(&b->pit, i, b->now), m->out);
		pit8254_write(&b->pit, CONTROL, (uint8_t)(0xc0 | 2u << i), b->now);
		status = pit8254_read(&b->pit, port, b->now);
		assert_int_equal(status >> 7, m->out);
		assert_int_equal(status >> 6 & 1, m->null);
		assert_int_equal(status >> 4 & 3, b->access[i]);
		assert_int_equal(status >> 1 & 7, m->mode);
		assert_int_equal(status & 1, b->bcd[i]);
		count = pit8254_read(&b->pit, port, b->now);
		if (b->access[i] == 2)
			count <<= 8;
		if (b->access[i] == 3)
			count |= (unsigned)pit8254_read(&b->pit, port, b->now) << 8;
		if (!m->counting)
			continue;
		if (b->bcd[i])
			counter = to_bcd(counter);
		counter &= b->access[i] == 1 ? 0xff : b->access[i] == 2 ? 0xff00 : 0xffff;
		assert_int_equal(count, counter);
	}
	assert_int_equal(!!(pit8254_read(&b->pit, PORT61, b->now) & 0x20), b->model[2].out);
}

static void random_step(struct bench *b)
{
	unsigned i = (unsigned)rand() % 3, op = (unsigned)rand() % 16;
	bool gate = rand() % 2;

	if (op == 0) {
		set_mode(b, i);
		b->due = 0;
	}
	if (op <= 2) {
		write_count(b, i, random_count(b, i));
		b->due = 0;
	}
	if (op == 3 || op == 4) {
		pit8254_write(&b->pit, PORT61, gate, b->now);
		model_gate(&b->model[2], gate);
	}
	run(b, 1 + (unsigned)rand() % (rand() % 4 ? 3 : 200));
	compare(b);
	if (op == 5)
		b->taken += pit8254_edges(&b->pit, b->now);
	if (op == 6 || op == 7) {
		uint64_t left;

		b->taken += pit8254_edges(&b->pit, b->now);
		assert_int_equal(b->taken, b->model[0].rises);
		left = pit8254_left(&b->pit, b->now);
		assert_int_not_equal(left, 0);
		b->due = left == PIT8254_NEVER ? 0 : b->now + left;
	}
}

static void counts_as_the_data_sheet_says(void **state)
{
	(void)state;
	srand(8254);
	for (unsigned round = 0; round < 300; round++) {
		struct bench b = {.now = (uint64_t)rand() << 20};

		pit8254_reset(&b.pit, PIT_HZ, b.now);
		for (unsigned i = 0; i < 3; i++) {
			b.model[i].gate = i != 2;
			b.model[i].out = true;
			set_mode(&b, i);
		}
		pit8254_edges(&b.pit, b.now);
		for (unsigned i = 0; i < 3; i++)
			b.model[i].rises = 0;
		for (unsigned step = 0; step < 300; step++)
			random_step(&b);
	}
}

/* ---- what programs do ---- */

static void begin(struct pit8254 *p, uint64_t hz)
{
	pit8254_reset(p, hz, 1000);
}

static void firmware_leaves_18_2_hz(void **state)
{
	struct pit8254 p;

	(void)state;
	begin(&p, PIT_HZ);
	assert_int_equal(pit8254_left(&p, 1000), 65537);
	assert_int_equal(pit8254_edges(&p, 1000 + 65536), 0);
	assert_int_equal(pit8254_edges(&p, 1000 + 65537), 1);
	assert_int_equal(pit8254_left(&p, 1000 + 65537), 65536);
	assert_int_equal(pit8254_edges(&p, 1001 + 65536ull * 11), 10);
}

/* Linux, quick_pit_calibrate(): channel 2 in mode 0 with all ones, then the high byte of unlatched reads falls. */
static void unlatched_reads_alternate(void **state)
{
	struct pit8254 p;

	(void)state;
	begin(&p, PIT_HZ);
	pit8254_write(&p, PORT61, 1, 1000);
	pit8254_write(&p, CONTROL, 0xb0, 1000);
	pit8254_write(&p, 0x42, 0xff, 1000);
	pit8254_write(&p, 0x42, 0xff, 1000);
	for (unsigned i = 0; i < 255; i++) {
		uint64_t now = 1001 + i * 256ull;

		assert_int_equal(pit8254_read(&p, 0x42, now), 0xff);
		assert_int_equal(pit8254_read(&p, 0x42, now), 0xff - i);
		assert_int_equal(pit8254_read(&p, PORT61, now) & 0x2f, 1);
	}
	assert_int_equal(pit8254_read(&p, PORT61, 1001 + 65535) & 0x2f, 0x21);
}

/* Linux, pit_calibrate_tsc(): one-shot on channel 2, and OUT2 is polled. */
static void one_shot_on_channel_2(void **state)
{
	struct pit8254 p;

	(void)state;
	begin(&p, PIT_HZ);
	pit8254_write(&p, PORT61, 1, 1000);
	pit8254_write(&p, CONTROL, 0xb0, 1000);
	pit8254_write(&p, 0x42, 0x9c, 1000);
	pit8254_write(&p, 0x42, 0x2e, 1000);
	assert_int_equal(pit8254_read(&p, PORT61, 1000 + 0x2e9c) & 0x20, 0);
	assert_int_equal(pit8254_read(&p, PORT61, 1001 + 0x2e9c) & 0x20, 0x20);
}

static void latches_hold(void **state)
{
	struct pit8254 p;

	(void)state;
	begin(&p, PIT_HZ);
	pit8254_write(&p, CONTROL, 0x00, 1001 + 0x123);
	pit8254_write(&p, CONTROL, 0x00, 1001 + 0x456); /* ignored: the first one was not read yet */
	assert_int_equal(pit8254_read(&p, 0x40, 1001 + 0x500), 0xdd);
	assert_int_equal(pit8254_read(&p, 0x40, 1001 + 0x600), 0xfe);
	assert_int_equal(pit8254_read(&p, 0x40, 1001 + 0x600), 0x00);
	assert_int_equal(pit8254_read(&p, 0x40, 1001 + 0x600), 0xfa);
	assert_int_equal(pit8254_read(&p, CONTROL, 1001), 0xff);
}

static void port_61(void **state)
{
	struct pit8254 p;
	unsigned toggles = 0, last;

	(void)state;
	begin(&p, PIT_HZ);
	pit8254_write(&p, PORT61, 0xfe, 1000);
	assert_int_equal(pit8254_read(&p, PORT61, 1000) & 0xcf, 0x0e);
	last = pit8254_read(&p, PORT61, 1000) & 0x10;
	for (uint64_t now = 1000; now < 1000 + PIT_HZ / 100; now++) {
		unsigned bit = pit8254_read(&p, PORT61, now) & 0x10;

		toggles += bit != last;
		last = bit;
	}
	assert_in_range(toggles, 662, 663); /* 10 ms in steps of 15.085 us */
}

/* A TSC of many frequencies, years of it: no drift, and left is the very first moment. */
static void the_tsc_is_scaled_exactly(void **state)
{
	static const uint64_t HZ[] = {1000, PIT_HZ, 100000000, 2399998765, 3000000001, 9999999967};

	(void)state;
	srand(1);
	for (size_t i = 0; i < sizeof(HZ) / sizeof(HZ[0]); i++)
		for (unsigned round = 0; round < 2000; round++) {
			uint64_t tsc = ((uint64_t)rand() << 31 | (uint64_t)rand()) % (HZ[i] * 86400 * 365 * 20);
			uint64_t down = tsc_scale_down(tsc, HZ[i], PIT_HZ);
			uint64_t up = tsc_scale_up(down, HZ[i], PIT_HZ);

			assert_true(down == (uint64_t)((unsigned __int128)tsc * PIT_HZ / HZ[i]));
			assert_true(up <= tsc && tsc_scale_down(up, HZ[i], PIT_HZ) == down);
			assert_true(up == 0 || tsc_scale_down(up - 1, HZ[i], PIT_HZ) < down);
		}
	for (size_t i = 1; i < sizeof(HZ) / sizeof(HZ[0]); i++) {
		struct pit8254 p;
		uint64_t now = 1000 + HZ[i] * 86400 * 365 * 10;

		begin(&p, HZ[i]);
		assert_int_equal(pit8254_edges(&p, now), (86400ull * 365 * 10 * PIT_HZ - 1) / 65536);
		for (unsigned round = 0; round < 100; round++) {
			uint64_t left = pit8254_left(&p, now);

			assert_int_not_equal(left, 0);
			assert_int_equal(pit8254_edges(&p, now + left - 1), 0);
			assert_int_equal(pit8254_edges(&p, now + left), 1);
			now += left + (uint64_t)rand() % 1000;
		}
	}
}

static void the_tsc_may_move_or_fall_back(void **state)
{
	struct pit8254 p;

	(void)state;
	begin(&p, PIT_HZ);
	pit8254_tsc_moved(&p, (uint64_t)-5000);
	assert_int_equal(pit8254_left(&p, 1000 - 5000ull), 65537);
	assert_int_equal(pit8254_edges(&p, 1000 - 5000ull + 65537), 1);
	assert_int_equal(pit8254_edges(&p, 1000 - 5000ull + 65000), 0);
	assert_int_equal(pit8254_left(&p, 1000 - 5000ull + 65000), 65536 + 537);
	assert_int_equal(pit8254_edges(&p, 1000 - 5000ull + 65537), 0);
}

/* Two counts within one tick, a count of 1 where it is not allowed, and first bytes that stop mode 0. */
static void corners(void **state)
{
	struct pit8254 p;

	(void)state;
	begin(&p, PIT_HZ);
	pit8254_write(&p, CONTROL, 0x14, 2000);
	pit8254_write(&p, 0x40, 100, 2000);
	pit8254_write(&p, 0x40, 50, 2000);
	assert_int_equal(pit8254_left(&p, 2000), 51);
	pit8254_write(&p, CONTROL, 0x14, 2000);
	pit8254_write(&p, 0x40, 1, 2000);
	assert_int_equal(pit8254_left(&p, 2000), 3);
	pit8254_write(&p, CONTROL, 0x30, 3000);
	assert_int_equal(pit8254_left(&p, 3000), 0); /* the edges until then */
	assert_int_not_equal(pit8254_edges(&p, 3000), 0);
	assert_true(pit8254_left(&p, 3000) == PIT8254_NEVER);
	pit8254_write(&p, 0x40, 10, 3000);
	assert_true(pit8254_left(&p, 3000) == PIT8254_NEVER);
	pit8254_write(&p, 0x40, 0, 3000);
	assert_int_equal(pit8254_left(&p, 3000), 11);
	pit8254_write(&p, 0x40, 10, 3005);
	assert_int_equal(pit8254_edges(&p, 4000), 0);
	assert_int_equal(pit8254_read(&p, 0x44, 4000), 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_as_the_data_sheet_says),
		cmocka_unit_test(firmware_leaves_18_2_hz),
		cmocka_unit_test(unlatched_reads_alternate),
		cmocka_unit_test(one_shot_on_channel_2),
		cmocka_unit_test(latches_hold),
		cmocka_unit_test(port_61),
		cmocka_unit_test(the_tsc_is_scaled_exactly),
		cmocka_unit_test(the_tsc_may_move_or_fall_back),
		cmocka_unit_test(corners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
