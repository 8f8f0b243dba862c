/* TSC ticks as ticks of a slower clock, and back, in whole numbers and without error that grows. */
#ifndef HV_POLICY_TSC_SCALE_H
#define HV_POLICY_TSC_SCALE_H

#include <stdint.h>

/* Right for tsc_hz below 2^40, clock_hz below 2^24, and results below 2^63: at 4 GHz that is 73 years of TSC. */

/* Ticks that the slower clock made in so many of the TSC: rounded down. */
uint64_t tsc_scale_down(uint64_t tsc_ticks, uint64_t tsc_hz, uint64_t clock_hz);

/* The least number of TSC ticks in which the slower clock makes so many. */
uint64_t tsc_scale_up(uint64_t clock_ticks, uint64_t tsc_hz, uint64_t clock_hz);

/* From since to now. The TSC may wrap; where it fell back a little (another pCPU), no time has passed. */
uint64_t tsc_scale_elapsed(uint64_t since_tsc, uint64_t now_tsc);

#endif
