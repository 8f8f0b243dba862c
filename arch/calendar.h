/* What a PC's clock shows as a number. Pure. */
#ifndef ARCH_CALENDAR_H
#define ARCH_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

/* The registers of that name (arch/defs/rtc.h), raw. */
struct calendar_registers {
	uint8_t seconds, minutes, hours, day, month, year, century;
	uint8_t b; /* how the others are written */
};

/* Seconds since 1970, taking what the clock shows for UTC. A century that is none is taken for the 20th of them (years
 * 2000 to 2099). False, *out untouched: it shows no time. */
bool calendar_unix_seconds(const struct calendar_registers *r, uint64_t *out);

#endif
