#include "arch/clock.h"

#include "arch/calendar.h"
#include "arch/cpu.h"
#include "arch/defs/rtc.h"
#include "arch/tsc.h"

/* An update takes 2 ms, and a read about a microsecond: a hundred times as many. */
#define UIP_READS_MAX 200000u
#define READS_MAX     4

static uint64_t seconds_then, tsc_then;

static uint8_t read(uint8_t at)
{
	outb(RTC_INDEX, at);
	return inb(RTC_DATA);
}

static struct calendar_registers read_all(void)
{
	for (unsigned i = 0; (read(RTC_A) & RTC_A_UIP) && i < UIP_READS_MAX; i++)
		;
	return (struct calendar_registers){
		.seconds = read(RTC_SECONDS),
		.minutes = read(RTC_MINUTES),
		.hours = read(RTC_HOURS),
		.day = read(RTC_DAY),
		.month = read(RTC_MONTH),
		.year = read(RTC_YEAR),
		.century = read(RTC_CENTURY),
		.b = read(RTC_B),
	};
}

/* An update may have come in between: only what is read twice is true. */
bool clock_init(void)
{
	for (unsigned i = 0; i < READS_MAX; i++) {
		const struct calendar_registers registers = read_all(), again = read_all();
		uint64_t seconds, seconds_again;

		tsc_then = rdtsc();
		if (!calendar_unix_seconds(&registers, &seconds) || !calendar_unix_seconds(&again, &seconds_again))
			return false;
		seconds_then = seconds_again;
		if (seconds == seconds_again)
			return true;
	}
	return true;
}

uint64_t clock_unix_seconds(void)
{
	return seconds_then + (rdtsc() - tsc_then) / tsc_hz();
}
