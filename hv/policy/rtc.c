#include "hv/policy/rtc.h"

#include "arch/defs/rtc.h"
#include "hv/policy/tsc_scale.h"

#define CRYSTAL_HZ 32768u

/* ---- the addresses ---- */

#define CMOS_EQUIPMENT    0x14
#define CMOS_BASE_KIB     0x15 /* two bytes, low first; as the next four */
#define CMOS_EXTENDED_KIB 0x17 /* above 1 MiB */
#define CMOS_POST_KIB     0x30 /* the same, as the firmware found it */
#define CMOS_ABOVE_16M    0x34 /* in units of 64 KiB */
#define CMOS_ABOVE_4G     0x5b /* three bytes, in units of 64 KiB */

#define A_DIVIDER(a)  ((a) >> 4 & 7)
#define A_RATE(a)     ((a)&15)
#define A_FIRMWARE    0x26 /* 32768 Hz crystal, periodic rate 1024 Hz */
#define DIVIDER_RUNS  2    /* at most: those above reset the chain, or are for tests */
#define C_IRQ         (1u << 7)
#define C_PERIODIC    (1u << 6) /* these three enable the interrupt in B */
#define C_ALARM       (1u << 5)
#define C_UPDATE      (1u << 4)
#define C_FLAGS       (C_PERIODIC | C_ALARM | C_UPDATE)
#define D_VALID       (1u << 7)
#define ALARM_ANY     0xc0u /* and above: "don't care" */
#define COPROCESSOR   0x02  /* equipment */
#define UIP_TICKS     8     /* 244 us */
#define BASE_KIB      640
#define SECONDS_A_DAY 86400u

/* ---- time of day and calendar ---- */

struct calendar {
	unsigned second_of_day;
	unsigned weekday; /* 1: Sunday */
	unsigned day, month, year;
};

static unsigned decode(const struct rtc *r, uint8_t byte)
{
	return r->bytes[RTC_B] & RTC_B_BINARY ? byte : (byte >> 4) * 10u + (byte & 15);
}

static uint8_t encode(const struct rtc *r, unsigned value)
{
	return (uint8_t)(r->bytes[RTC_B] & RTC_B_BINARY ? value : value / 10 << 4 | value % 10);
}

static unsigned decode_hours(const struct rtc *r, uint8_t byte)
{
	if (r->bytes[RTC_B] & RTC_B_24_HOURS)
		return decode(r, byte);
	return decode(r, byte & ~RTC_HOURS_PM) % 12 + (byte & RTC_HOURS_PM ? 12 : 0);
}

static uint8_t encode_hours(const struct rtc *r, unsigned hours)
{
	if (r->bytes[RTC_B] & RTC_B_24_HOURS)
		return encode(r, hours);
	return (uint8_t)(encode(r, (hours + 11) % 12 + 1) | (hours >= 12 ? RTC_HOURS_PM : 0));
}

static struct calendar calendar_read(const struct rtc *r)
{
	const uint8_t *bytes = r->bytes;

	/* Whatever software has put there, it is a second of a day from now on. */
	return (struct calendar){
		.second_of_day = (decode_hours(r, bytes[RTC_HOURS]) * 3600 + decode(r, bytes[RTC_MINUTES]) * 60 +
				  decode(r, bytes[RTC_SECONDS])) %
				 SECONDS_A_DAY,
		.weekday = decode(r, bytes[RTC_WEEKDAY]),
		.day = decode(r, bytes[RTC_DAY]),
		.month = decode(r, bytes[RTC_MONTH]),
		.year = decode(r, bytes[RTC_CENTURY]) * 100 + decode(r, bytes[RTC_YEAR]),
	};
}

static void calendar_write(struct rtc *r, const struct calendar *c)
{
	r->bytes[RTC_SECONDS] = encode(r, c->second_of_day % 60);
	r->bytes[RTC_MINUTES] = encode(r, c->second_of_day / 60 % 60);
	r->bytes[RTC_HOURS] = encode_hours(r, c->second_of_day / 3600);
	r->bytes[RTC_WEEKDAY] = encode(r, c->weekday);
	r->bytes[RTC_DAY] = encode(r, c->day);
	r->bytes[RTC_MONTH] = encode(r, c->month);
	r->bytes[RTC_YEAR] = encode(r, c->year % 100);
	r->bytes[RTC_CENTURY] = encode(r, c->year / 100 % 100);
}

static unsigned days_of_month(unsigned month, unsigned year)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	if (month < 1 || month > 12)
		return 31;
	return days[month - 1] + (month == 2 && leap);
}

static void next_day(struct calendar *c)
{
	c->weekday = c->weekday % 7 + 1;
	if (c->day < days_of_month(c->month, c->year)) {
		c->day++;
		return;
	}
	c->day = 1;
	if (c->month < 12) {
		c->month++;
		return;
	}
	c->month = 1;
	c->year++;
}

static void calendar_add(struct calendar *c, uint64_t seconds)
{
	uint64_t all = c->second_of_day + seconds;

	for (uint64_t days = all / SECONDS_A_DAY; days > 0; days--)
		next_day(c);
	c->second_of_day = all % SECONDS_A_DAY;
}

/* ---- alarm ---- */

#define ANY   UINT32_MAX
#define NEVER UINT64_MAX

static bool matches(unsigned alarm, unsigned value)
{
	return alarm == ANY || alarm == value;
}

/* Seconds, 1 to a day, until the time of day is the alarm's. NEVER: it is none. */
static uint64_t alarm_left(const struct rtc *r)
{
	const uint8_t *bytes = r->bytes;
	unsigned second = bytes[RTC_SECONDS_ALARM] >= ALARM_ANY ? ANY : decode(r, bytes[RTC_SECONDS_ALARM]);
	unsigned minute = bytes[RTC_MINUTES_ALARM] >= ALARM_ANY ? ANY : decode(r, bytes[RTC_MINUTES_ALARM]);
	unsigned hour = bytes[RTC_HOURS_ALARM] >= ALARM_ANY ? ANY : decode_hours(r, bytes[RTC_HOURS_ALARM]);
	unsigned at = calendar_read(r).second_of_day;

	if ((second != ANY && second > 59) || (minute != ANY && minute > 59) || (hour != ANY && hour > 23))
		return NEVER;
	for (uint64_t left = 1; left <= SECONDS_A_DAY;) {
		unsigned then = (unsigned)((at + left) % SECONDS_A_DAY);

		if (!matches(hour, then / 3600))
			left += 3600 - then % 3600;
		else if (!matches(minute, then / 60 % 60))
			left += 60 - then % 60;
		else if (!matches(second, then % 60))
			left++;
		else
			return left;
	}
	return NEVER;
}

/* ---- the clock ---- */

static bool is_held(const struct rtc *r)
{
	return A_DIVIDER(r->bytes[RTC_A]) > DIVIDER_RUNS;
}

static bool is_updating(const struct rtc *r)
{
	return !is_held(r) && !(r->bytes[RTC_B] & RTC_B_SET);
}

/* Crystal ticks from one periodic interrupt to the next; 0: there are none. "Periodic Interrupt Rate". */
static uint32_t period_ticks(const struct rtc *r)
{
	unsigned rate = A_RATE(r->bytes[RTC_A]);

	if (!rate)
		return 0;
	return 1u << (rate <= 2 ? rate + 6 : rate - 1);
}

static bool is_asserted(const struct rtc *r)
{
	return r->bytes[RTC_C] & r->bytes[RTC_B] & C_FLAGS;
}

static void seconds_pass(struct rtc *r, uint64_t seconds)
{
	struct calendar time = calendar_read(r);

	if (alarm_left(r) <= seconds)
		r->bytes[RTC_C] |= C_ALARM;
	r->bytes[RTC_C] |= C_UPDATE;
	calendar_add(&time, seconds);
	calendar_write(r, &time);
}

static void catch_up(struct rtc *r, uint64_t now_tsc)
{
	uint64_t tick = tsc_scale_down(tsc_scale_elapsed(r->origin_tsc, now_tsc), r->tsc_hz, CRYSTAL_HZ);
	uint64_t before = r->phase, after;
	uint32_t period = period_ticks(r);

	if (tick <= r->seen)
		return;
	after = before + (tick - r->seen);
	r->seen = tick;
	if (is_held(r))
		return;
	r->phase = after % CRYSTAL_HZ;
	if (period && after / period != before / period)
		r->bytes[RTC_C] |= C_PERIODIC;
	if (after >= CRYSTAL_HZ && is_updating(r))
		seconds_pass(r, after / CRYSTAL_HZ);
}

bool rtc_line(struct rtc *r, uint64_t now_tsc)
{
	catch_up(r, now_tsc);
	return is_asserted(r);
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t rtc_left(const struct rtc *r, uint64_t now_tsc)
{
	const uint8_t enabled = r->bytes[RTC_B];
	uint64_t elapsed = tsc_scale_elapsed(r->origin_tsc, now_tsc), ticks = NEVER, due;
	uint32_t period = period_ticks(r);

	if (is_asserted(r))
		return 0;
	if (is_held(r))
		return RTC_NEVER;
	/* From `seen` on: what has passed since then is due. */
	if ((enabled & C_PERIODIC) && period)
		ticks = period - r->phase % period;
	if ((enabled & C_UPDATE) && is_updating(r))
		ticks = least(ticks, CRYSTAL_HZ - r->phase);
	if ((enabled & C_ALARM) && is_updating(r) && alarm_left(r) != NEVER)
		ticks = least(ticks, alarm_left(r) * CRYSTAL_HZ - r->phase);
	if (ticks == NEVER)
		return RTC_NEVER;
	due = tsc_scale_up(r->seen + ticks, r->tsc_hz, CRYSTAL_HZ);
	return due > elapsed ? due - elapsed : 0;
}

void rtc_tsc_moved(struct rtc *r, uint64_t delta_tsc)
{
	r->origin_tsc += delta_tsc;
}

/* ---- registers ---- */

/* Released from reset, the chain makes the first update after half a second. "Divider Control". */
static void a_write(struct rtc *r, uint8_t value)
{
	bool was_held = is_held(r);

	r->bytes[RTC_A] = value & (uint8_t)~RTC_A_UIP;
	if (is_held(r))
		r->phase = 0;
	else if (was_held)
		r->phase = CRYSTAL_HZ / 2;
}

static void b_write(struct rtc *r, uint8_t value)
{
	const struct calendar time = calendar_read(r);
	const uint8_t before = r->bytes[RTC_B];

	if (value & RTC_B_SET)
		value &= (uint8_t)~RTC_B_UIE;
	r->bytes[RTC_B] = value;
	if (((before ^ value) & (RTC_B_BINARY | RTC_B_24_HOURS)) && !((before | value) & RTC_B_SET))
		calendar_write(r, &time);
}

static uint8_t a_read(const struct rtc *r)
{
	return r->bytes[RTC_A] | (is_updating(r) && r->phase >= CRYSTAL_HZ - UIP_TICKS ? RTC_A_UIP : 0);
}

static uint8_t c_read(struct rtc *r)
{
	const uint8_t value = r->bytes[RTC_C] | (is_asserted(r) ? C_IRQ : 0);

	r->bytes[RTC_C] = 0;
	return value;
}

uint8_t rtc_read(struct rtc *r, uint16_t port, uint64_t now_tsc)
{
	if (port != RTC_DATA)
		return 0xff;
	catch_up(r, now_tsc);
	switch (r->index) {
	case RTC_A:
		return a_read(r);
	case RTC_C:
		return c_read(r);
	default:
		return r->bytes[r->index];
	}
}

void rtc_write(struct rtc *r, uint16_t port, uint8_t value, uint64_t now_tsc)
{
	if (port == RTC_INDEX)
		r->index = value % RTC_BYTES;
	if (port != RTC_DATA)
		return;
	catch_up(r, now_tsc);
	switch (r->index) {
	case RTC_A:
		a_write(r, value);
		break;
	case RTC_B:
		b_write(r, value);
		break;
	case RTC_C:
	case RTC_D:
		break;
	default:
		r->bytes[r->index] = value;
		break;
	}
}

/* ---- power-up ---- */

static void number_write(struct rtc *r, unsigned at, unsigned byte_count, uint64_t value)
{
	for (unsigned i = 0; i < byte_count; i++)
		r->bytes[at + i] = (uint8_t)(value >> 8 * i);
}

/* In units above an address, as many as two bytes hold. */
static uint64_t units_above(uint64_t bytes, uint64_t address, uint64_t unit)
{
	return bytes <= address ? 0 : least((bytes - address) / unit, UINT16_MAX);
}

static void memory_write(struct rtc *r, struct rtc_memory memory)
{
	number_write(r, CMOS_BASE_KIB, 2, BASE_KIB);
	number_write(r, CMOS_EXTENDED_KIB, 2, units_above(memory.below_4g_bytes, 1ull << 20, 1024));
	number_write(r, CMOS_POST_KIB, 2, units_above(memory.below_4g_bytes, 1ull << 20, 1024));
	number_write(r, CMOS_ABOVE_16M, 2, units_above(memory.below_4g_bytes, 1ull << 24, 1ull << 16));
	number_write(r, CMOS_ABOVE_4G, 3, memory.above_4g_bytes >> 16);
}

void rtc_reset(struct rtc *r, uint64_t unix_seconds, struct rtc_memory memory, uint64_t tsc_hz, uint64_t now_tsc)
{
	struct calendar time = {.weekday = 5, .day = 1, .month = 1, .year = 1970}; /* a Thursday */

	*r = (struct rtc){.tsc_hz = tsc_hz, .origin_tsc = now_tsc};
	r->bytes[RTC_A] = A_FIRMWARE;
	r->bytes[RTC_B] = RTC_B_24_HOURS;
	r->bytes[RTC_D] = D_VALID;
	r->bytes[CMOS_EQUIPMENT] = COPROCESSOR;
	calendar_add(&time, unix_seconds);
	calendar_write(r, &time);
	memory_write(r, memory);
}
