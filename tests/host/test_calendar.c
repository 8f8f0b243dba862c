/* arch/calendar.c against the C library's calendar. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "arch/calendar.h"

#define BINARY   0x04
#define HOURS_24 0x02

static uint8_t encode(uint8_t b, int value)
{
	return (uint8_t)(b & BINARY ? value : value / 10 << 4 | value % 10);
}

static struct calendar_registers shown(uint8_t b, time_t seconds)
{
	struct tm t;
	int hours;

	gmtime_r(&seconds, &t);
	hours = b & HOURS_24 ? t.tm_hour : (t.tm_hour + 11) % 12 + 1;
	return (struct calendar_registers){
		.seconds = encode(b, t.tm_sec),
		.minutes = encode(b, t.tm_min),
		.hours = (uint8_t)(encode(b, hours) | (!(b & HOURS_24) && t.tm_hour >= 12 ? 0x80 : 0)),
		.day = encode(b, t.tm_mday),
		.month = encode(b, t.tm_mon + 1),
		.year = encode(b, t.tm_year % 100),
		.century = encode(b, t.tm_year / 100 + 19),
		.b = b,
	};
}

static void every_format(void **state)
{
	static const uint8_t formats[] = {0, BINARY, HOURS_24, BINARY | HOURS_24};

	(void)state;
	/* To the year 2106; a step that visits every hour, day and month. */
	for (uint64_t at = 0; at < UINT32_MAX; at += 100003)
		for (unsigned i = 0; i < sizeof(formats); i++) {
			const struct calendar_registers registers = shown(formats[i], (time_t)at);
			uint64_t seconds = 1;

			assert_true(calendar_unix_seconds(&registers, &seconds));
			assert_true(seconds == at);
		}
}

static void no_century(void **state)
{
	struct calendar_registers registers = shown(HOURS_24, 1792800000);
	uint64_t seconds;

	(void)state;
	registers.century = 0;
	assert_true(calendar_unix_seconds(&registers, &seconds));
	assert_true(seconds == 1792800000);
	registers.century = 0xff;
	assert_true(calendar_unix_seconds(&registers, &seconds));
	assert_true(seconds == 1792800000);
}

static void no_time(void **state)
{
	static const struct {
		size_t at;
		uint8_t value;
	} bad[] = {
		{offsetof(struct calendar_registers, seconds), 0x60},
		{offsetof(struct calendar_registers, minutes), 0x60},
		{offsetof(struct calendar_registers, hours), 0x24},
		{offsetof(struct calendar_registers, day), 0},
		{offsetof(struct calendar_registers, day), 0x30}, /* of a February */
		{offsetof(struct calendar_registers, month), 0},
		{offsetof(struct calendar_registers, month), 0x13},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct calendar_registers registers = shown(HOURS_24, 1077926400); /* 2004-02-28 */
		uint64_t seconds = 77;

		((uint8_t *)&registers)[bad[i].at] = bad[i].value;
		assert_false(calendar_unix_seconds(&registers, &seconds));
		assert_true(seconds == 77);
	}

	struct calendar_registers early = shown(HOURS_24, 0);
	uint64_t seconds;

	early.year = 0x69;
	assert_false(calendar_unix_seconds(&early, &seconds));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_format),
		cmocka_unit_test(no_century),
		cmocka_unit_test(no_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
