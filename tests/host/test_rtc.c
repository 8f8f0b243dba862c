/* hv/policy/rtc.c against the C library's calendar and a clock that goes tick by tick. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "hv/policy/rtc.h"

#define A      0x0a
#define B      0x0b
#define C      0x0c
#define D      0x0d
#define SET    0x80
#define PIE    0x40
#define AIE    0x20
#define UIE    0x10
#define BINARY 0x04
#define H24    0x02

#define HZ 32768ull /* of the TSC: one tick of the crystal, unless a test says otherwise */

static const struct rtc_memory NO_MEMORY = {0, 0};

static uint8_t get(struct rtc *r, uint8_t at, uint64_t now)
{
	rtc_write(r, 0x70, at, now);
	return rtc_read(r, 0x71, now);
}

static void put(struct rtc *r, uint8_t at, uint8_t value, uint64_t now)
{
	rtc_write(r, 0x70, at, now);
	rtc_write(r, 0x71, value, now);
}

static uint8_t coded(uint8_t b, int value)
{
	return (uint8_t)(b & BINARY ? value : value / 10 * 16 + value % 10);
}

static uint8_t coded_hour(uint8_t b, int hour)
{
	if (b & H24)
		return coded(b, hour);
	return coded(b, hour % 12 == 0 ? 12 : hour % 12) | (hour >= 12 ? 0x80 : 0);
}

static void assert_time(struct rtc *r, uint64_t now, time_t time)
{
	uint8_t b = get(r, B, now);
	struct tm tm;

	assert_non_null(gmtime_r(&time, &tm));
	assert_int_equal(get(r, 0, now), coded(b, tm.tm_sec));
	assert_int_equal(get(r, 2, now), coded(b, tm.tm_min));
	assert_int_equal(get(r, 4, now), coded_hour(b, tm.tm_hour));
	assert_int_equal(get(r, 6, now), coded(b, tm.tm_wday + 1));
	assert_int_equal(get(r, 7, now), coded(b, tm.tm_mday));
	assert_int_equal(get(r, 8, now), coded(b, tm.tm_mon + 1));
	assert_int_equal(get(r, 9, now), coded(b, tm.tm_year % 100));
	assert_int_equal(get(r, 0x32, now), coded(b, tm.tm_year / 100 + 19));
}

/* ---- time of day ---- */

static void the_calendar_is_the_c_librarys(void **state)
{
	static const time_t BOOT[] = {0, 951782399, 1709164800, 1735689599, 4102444799, 4107542399, 7258118400};
	struct rtc r;

	(void)state;
	srand(146818);
	for (size_t i = 0; i < sizeof(BOOT) / sizeof(BOOT[0]); i++) {
		uint64_t now = 77;
		time_t time = BOOT[i];

		rtc_reset(&r, (uint64_t)time, NO_MEMORY, HZ, now);
		for (unsigned step = 0; step < 500; step++) {
			uint64_t seconds = (uint64_t)rand() % (rand() % 2 ? 100 : 40 * 86400);

			assert_time(&r, now, time);
			now += seconds * HZ;
			time += (time_t)seconds;
			put(&r, B, (uint8_t)(rand() & (BINARY | H24)), now);
			assert_time(&r, now, time);
		}
	}
}

/* Ten years at awkward frequencies: not a tick too early or too late. */
static void the_tsc_is_scaled_exactly(void **state)
{
	static const uint64_t OTHER_HZ[] = {1193182, 100000000, 2399998765, 9999999967};

	(void)state;
	for (size_t i = 0; i < sizeof(OTHER_HZ) / sizeof(OTHER_HZ[0]); i++) {
		const uint64_t seconds = 86400ull * 3652;
		struct rtc r;

		rtc_reset(&r, 1700000000, NO_MEMORY, OTHER_HZ[i], 1000);
		assert_time(&r, 1000 + seconds * OTHER_HZ[i] - 1, (time_t)(1700000000 + seconds - 1));
		put(&r, B, H24 | UIE, 1000 + seconds * OTHER_HZ[i] - 1);
		get(&r, C, 1000 + seconds * OTHER_HZ[i] - 1);
		assert_int_equal(rtc_left(&r, 1000 + seconds * OTHER_HZ[i] - 1), 1);
		assert_time(&r, 1000 + seconds * OTHER_HZ[i], (time_t)(1700000000 + seconds));
		assert_true(rtc_line(&r, 1000 + seconds * OTHER_HZ[i]));
	}
}

static void write_time(struct rtc *r, uint64_t now, time_t time)
{
	uint8_t b = get(r, B, now);
	struct tm tm;

	assert_non_null(gmtime_r(&time, &tm));
	put(r, 0, coded(b, tm.tm_sec), now);
	put(r, 2, coded(b, tm.tm_min), now);
	put(r, 4, coded_hour(b, tm.tm_hour), now);
	put(r, 6, coded(b, tm.tm_wday + 1), now);
	put(r, 7, coded(b, tm.tm_mday), now);
	put(r, 8, coded(b, tm.tm_mon + 1), now);
	put(r, 9, coded(b, tm.tm_year % 100), now);
	put(r, 0x32, coded(b, tm.tm_year / 100 + 19), now);
}

/* Linux, mc146818_set_time(): SET, the divider chain to reset, the time, and back. It runs on half a second later. */
static void the_time_is_set(void **state)
{
	struct rtc r;

	(void)state;
	for (unsigned format = 0; format < 4; format++) {
		uint8_t b = (uint8_t)(format << 1);
		uint64_t now = 1000;

		rtc_reset(&r, 0, NO_MEMORY, HZ, now);
		put(&r, B, b | SET, now);
		put(&r, A, 0x76, now);
		now += 5 * HZ;
		write_time(&r, now, 1709164799);
		now += 5 * HZ;
		assert_time(&r, now, 1709164799);
		put(&r, B, b, now);
		put(&r, A, 0x26, now);
		assert_time(&r, now + HZ / 2 - 1, 1709164799);
		assert_time(&r, now + HZ / 2, 1709164800);
		assert_time(&r, now + HZ / 2 + HZ - 1, 1709164800);
	}
}

static void set_stops_the_time_but_not_the_chain(void **state)
{
	struct rtc r;

	(void)state;
	rtc_reset(&r, 0, NO_MEMORY, HZ, 0);
	put(&r, B, H24 | UIE, 100);
	put(&r, B, H24 | UIE | SET, HZ / 4);
	assert_int_equal(get(&r, B, HZ / 4), H24 | SET);
	assert_time(&r, 10 * HZ, 0);
	assert_int_equal(get(&r, A, 10 * HZ - 1), 0x26);
	assert_int_equal(get(&r, C, 10 * HZ), 0x40);
	put(&r, B, H24, 10 * HZ + HZ / 4);
	assert_time(&r, 11 * HZ - 1, 0);
	assert_time(&r, 11 * HZ, 1);
}

static void garbage_is_survived(void **state)
{
	struct rtc r;
	uint64_t now = 0;

	(void)state;
	srand(7);
	rtc_reset(&r, 0, NO_MEMORY, HZ, now);
	for (unsigned step = 0; step < 20000; step++) {
		put(&r, (uint8_t)rand(), (uint8_t)rand(), now);
		now += (uint64_t)rand() % (rand() % 16 ? HZ : HZ * 86400 * 40);
		get(&r, (uint8_t)rand(), now);
		rtc_line(&r, now);
		rtc_left(&r, now);
	}
}

static void update_in_progress_announces_the_update(void **state)
{
	struct rtc r;

	(void)state;
	rtc_reset(&r, 0, NO_MEMORY, HZ, 0);
	for (uint64_t now = 0; now < 3 * HZ; now++)
		assert_int_equal(get(&r, A, now), now % HZ >= HZ - 8 ? 0xa6 : 0x26);
	put(&r, A, 0xa6, 3 * HZ);
	assert_int_equal(get(&r, A, 3 * HZ), 0x26);
}

/* ---- interrupts ---- */

struct model {
	time_t time;
	unsigned phase;
	uint8_t b, c, rate;
	uint8_t alarm[3]; /* second, minute, hour */
};

static void model_tick(struct model *m)
{
	/* Periods in ticks, from the table of the data sheet. */
	static const unsigned PERIOD[16] = {0,   128, 256, 4,    8,    16,   32,   64,
					    128, 256, 512, 1024, 2048, 4096, 8192, 16384};
	struct tm tm;

	m->phase++;
	if (PERIOD[m->rate] && m->phase % PERIOD[m->rate] == 0)
		m->c |= PIE;
	if (m->phase < 32768)
		return;
	m->phase = 0;
	m->time++;
	m->c |= UIE;
	assert_non_null(gmtime_r(&m->time, &tm));
	if ((m->alarm[0] >= 0xc0 || m->alarm[0] == coded(m->b, tm.tm_sec)) &&
	    (m->alarm[1] >= 0xc0 || m->alarm[1] == coded(m->b, tm.tm_min)) &&
	    (m->alarm[2] >= 0xc0 || m->alarm[2] == coded_hour(m->b, tm.tm_hour)))
		m->c |= AIE;
}

static void set_alarm(struct model *m, struct rtc *r, uint64_t now)
{
	time_t time = m->time + rand() % (rand() % 2 ? 8 : 100000);
	struct tm tm;

	assert_non_null(gmtime_r(&time, &tm));
	m->alarm[0] = rand() % 4 ? coded(m->b, tm.tm_sec) : 0xc0 | (uint8_t)rand();
	m->alarm[1] = rand() % 4 ? coded(m->b, tm.tm_min) : 0xff;
	m->alarm[2] = rand() % 4 ? coded_hour(m->b, tm.tm_hour) : 0xff;
	if (rand() % 8 == 0)
		m->alarm[rand() % 3] = 0xbf; /* no such time */
	for (unsigned i = 0; i < 3; i++)
		put(r, (uint8_t)(1 + 2 * i), m->alarm[i], now);
}

static void random_step(struct model *m, struct rtc *r, uint64_t now)
{
	uint8_t c;

	switch (rand() % 6) {
	case 0:
		m->rate = (uint8_t)rand() % 16;
		put(r, A, 0x20 | m->rate, now);
		break;
	case 1:
		m->b = (uint8_t)(rand() & (PIE | AIE | UIE | BINARY | H24));
		if (rand() % 2)
			m->b &= (uint8_t)~PIE;
		put(r, B, m->b, now);
		break;
	case 2:
		set_alarm(m, r, now);
		break;
	default:
		c = get(r, C, now);
		assert_int_equal(c, m->c | (m->c & m->b ? 0x80 : 0));
		m->c = 0;
		break;
	}
}

/* A step of a random program, then so many ticks: the line rises when rtc_left() said it would. */
static void interrupts_come_in_time(void **state)
{
	struct rtc r;
	struct model m = {.time = 1700000000, .b = H24, .rate = 6};
	uint64_t now = 12345;

	(void)state;
	srand(32768);
	rtc_reset(&r, (uint64_t)m.time, NO_MEMORY, HZ, now);
	for (unsigned step = 0; step < 3000; step++) {
		uint64_t ticks = (uint64_t)rand() % (rand() % 8 ? 20000 : 400000), left, rose = RTC_NEVER;

		random_step(&m, &r, now);
		left = rtc_left(&r, now);
		if (m.c & m.b)
			rose = 0;
		for (uint64_t i = 1; i <= ticks; i++) {
			model_tick(&m);
			if (rose == RTC_NEVER && (m.c & m.b))
				rose = i;
		}
		if (rose != RTC_NEVER)
			assert_int_equal(left, rose);
		else
			assert_true(left > ticks);
		now += ticks;
		if (rand() % 2)
			assert_int_equal(rtc_line(&r, now), !!(m.c & m.b));
		if (rand() % 2)
			assert_time(&r, now, m.time);
	}
}

static void an_alarm_once_a_day(void **state)
{
	struct rtc r;
	uint64_t now = 0;

	(void)state;
	rtc_reset(&r, 0, NO_MEMORY, HZ, now);
	put(&r, B, H24 | AIE, now);
	assert_int_equal(rtc_left(&r, now), 86400 * HZ); /* alarm bytes are 0: midnight */
	now += 86400 * HZ - 1;
	assert_false(rtc_line(&r, now));
	assert_true(rtc_line(&r, now + 1));
	assert_true(rtc_line(&r, now + 20 * HZ));
	assert_int_equal(get(&r, C, now + 1), 0xf0);
	assert_false(rtc_line(&r, now + 1));
	rtc_tsc_moved(&r, 5000);
	assert_int_equal(rtc_left(&r, now + 20 * HZ + 5000), 86400 * HZ - 20 * HZ + 1);
}

/* Looked for second by second. */
static void any_alarm(void **state)
{
	(void)state;
	srand(3);
	for (unsigned round = 0; round < 500; round++) {
		int at = rand() % 86400, part[3] = {rand() % 60, rand() % 60, rand() % 24}, left = 0, then;
		bool any[3] = {rand() % 2, rand() % 2, rand() % 2};
		struct rtc r;

		rtc_reset(&r, (uint64_t)at, NO_MEMORY, HZ, 0);
		put(&r, B, H24 | AIE, 0);
		for (unsigned i = 0; i < 3; i++)
			put(&r, (uint8_t)(1 + 2 * i), any[i] ? 0xc0 : coded(H24, part[i]), 0);
		do {
			then = (at + ++left) % 86400;
		} while ((!any[0] && then % 60 != part[0]) || (!any[1] && then / 60 % 60 != part[1]) ||
			 (!any[2] && then / 3600 != part[2]));
		assert_int_equal(rtc_left(&r, 0), (uint64_t)left * HZ);
	}
}

/* With SET, software is about to write the time in the new format. */
static void a_new_format_with_set_leaves_the_bytes(void **state)
{
	struct rtc r;

	(void)state;
	rtc_reset(&r, 59, NO_MEMORY, HZ, 0);
	put(&r, B, SET | BINARY, 0);
	assert_int_equal(get(&r, 0, 0), 0x59);
	put(&r, 0, 58, 0);
	put(&r, B, H24, 0);
	assert_int_equal(get(&r, 0, 0), 58);
}

static void a_held_chain_gives_nothing(void **state)
{
	struct rtc r;

	(void)state;
	rtc_reset(&r, 0, NO_MEMORY, HZ, 0);
	put(&r, B, H24 | PIE | UIE | AIE, 0);
	get(&r, C, 0);
	put(&r, A, 0x76, 0);
	assert_true(rtc_left(&r, 0) == RTC_NEVER);
	assert_false(rtc_line(&r, 1000 * HZ));
	put(&r, A, 0x20, 1000 * HZ);
	assert_int_equal(rtc_left(&r, 1000 * HZ), HZ / 2);
}

/* ---- memory ---- */

static unsigned word(struct rtc *r, uint8_t at)
{
	return get(r, at, 0) | (unsigned)get(r, (uint8_t)(at + 1), 0) << 8;
}

static void cmos_tells_the_memory(void **state)
{
	static const struct {
		uint64_t below, above;
		unsigned kib, units, high;
	} CASES[] = {
		{1ull << 20, 0, 0, 0, 0},
		{8ull << 20, 0, 7168, 0, 0},
		{16ull << 20, 0, 15360, 0, 0},
		{64ull << 20, 0, 64512, 768, 0},
		{256ull << 20, 0, 65535, 3840, 0},
		{3ull << 30, 5ull << 30, 65535, 48896, 81920},
		{4ull << 30, 1ull << 36, 65535, 65280, 1 << 20},
	};
	struct rtc r;

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		struct rtc_memory memory = {CASES[i].below, CASES[i].above};

		rtc_reset(&r, 0, memory, HZ, 0);
		assert_int_equal(word(&r, 0x15), 640);
		assert_int_equal(word(&r, 0x17), CASES[i].kib);
		assert_int_equal(word(&r, 0x30), CASES[i].kib);
		assert_int_equal(word(&r, 0x34), CASES[i].units);
		assert_int_equal(word(&r, 0x5b) | (unsigned)get(&r, 0x5d, 0) << 16, CASES[i].high);
	}
}

static void the_rest_is_memory(void **state)
{
	struct rtc r;

	(void)state;
	rtc_reset(&r, 0, NO_MEMORY, HZ, 0);
	assert_int_equal(get(&r, 0x0f, 0), 0);
	assert_int_equal(get(&r, D, 0), 0x80);
	put(&r, D, 0, 0);
	put(&r, C, 0xff, 0);
	assert_int_equal(get(&r, D, 0), 0x80);
	assert_int_equal(get(&r, C, 0), 0);
	for (unsigned at = 0x0e; at < 128; at++) {
		if (at == 0x32)
			continue;
		put(&r, (uint8_t)(at | 0x80), (uint8_t)(at * 7), 0); /* with the NMI bit */
		assert_int_equal(get(&r, (uint8_t)at, 0), (uint8_t)(at * 7));
	}
	assert_int_equal(rtc_read(&r, 0x70, 0), 0xff);
	assert_int_equal(rtc_read(&r, 0x72, 0), 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_calendar_is_the_c_librarys),
		cmocka_unit_test(the_tsc_is_scaled_exactly),
		cmocka_unit_test(the_time_is_set),
		cmocka_unit_test(set_stops_the_time_but_not_the_chain),
		cmocka_unit_test(garbage_is_survived),
		cmocka_unit_test(update_in_progress_announces_the_update),
		cmocka_unit_test(interrupts_come_in_time),
		cmocka_unit_test(an_alarm_once_a_day),
		cmocka_unit_test(any_alarm),
		cmocka_unit_test(a_new_format_with_set_leaves_the_bytes),
		cmocka_unit_test(a_held_chain_gives_nothing),
		cmocka_unit_test(cmos_tells_the_memory),
		cmocka_unit_test(the_rest_is_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
