/* Time by the TSC. */
#ifndef ARCH_TSC_H
#define ARCH_TSC_H

#include <stdint.h>

/* Measures the TSC against the 8254 for 10 ms. Where that does not run, CPUID 15h tells. Once, on the BSP. */
void tsc_calibrate(void);

/* TSC ticks a second. */
uint64_t tsc_hz(void);

/* For people: rounded. */
uint64_t tsc_mhz(void);

/* Busy-waits. */
void tsc_delay_us(uint64_t us);

#endif
