/* The time of day: the PC's clock is read once, the TSC counts on. */
#ifndef ARCH_CLOCK_H
#define ARCH_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Reads the clock. False: it shows no time, and the first second of 1970 is taken for it. After tsc_calibrate(); the
 * BSP, once. */
bool clock_init(void);

/* Seconds since 1970, UTC if the clock of the machine is. */
uint64_t clock_unix_seconds(void);

#endif
