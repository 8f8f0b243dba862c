#include "arch/calendar.h"

#include "arch/defs/rtc.h"

#define SECONDS_A_DAY   86400u
#define DAYS_UNTIL_1970 719162u /* from the first day of the year 1 */
#define CENTURY_FIRST   19u
#define CENTURY_LAST    29u
#define CENTURY_LIKELY  20u

static unsigned decode(const struct calendar_registers *r, uint8_t byte)
{
	return r->b & RTC_B_BINARY ? byte : (byte >> 4) * 10u + (byte & 15u);
}

/* Where the hours are 1 to 12, 12 is the first. */
static unsigned decode_hours(const struct calendar_registers *r)
{
	if (r->b & RTC_B_24_HOURS)
		return decode(r, r->hours);
	return decode(r, r->hours & (uint8_t)~RTC_HOURS_PM) % 12 + (r->hours & RTC_HOURS_PM ? 12 : 0);
}

static unsigned decode_year(const struct calendar_registers *r)
{
	const unsigned century = decode(r, r->century);

	return decode(r, r->year) +
	       100 * (century >= CENTURY_FIRST && century <= CENTURY_LAST ? century : CENTURY_LIKELY);
}

static bool is_leap(unsigned year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_of_month(unsigned month, unsigned year)
{
	static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* From 1970 to that day, 1970 or later. */
static uint64_t days_since_1970(unsigned year, unsigned month, unsigned day)
{
	const uint64_t before = year - 1;
	uint64_t days = before * 365 + before / 4 - before / 100 + before / 400 - DAYS_UNTIL_1970 + (day - 1);

	for (unsigned m = 1; m < month; m++)
		days += days_of_month(m, year);
	return days;
}

bool calendar_unix_seconds(const struct calendar_registers *r, uint64_t *out)
{
	const unsigned year = decode_year(r), month = decode(r, r->month), day = decode(r, r->day);
	const unsigned hours = decode_hours(r), minutes = decode(r, r->minutes), seconds = decode(r, r->seconds);

	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_of_month(month, year))
		return false;
	if (hours > 23 || minutes > 59 || seconds > 59)
		return false;
	*out = days_since_1970(year, month, day) * SECONDS_A_DAY + hours * 3600 + minutes * 60 + seconds;
	return true;
}
