/* What a measurement's samples come to. Pure. */
#ifndef HV_POLICY_BENCH_STATS_H
#define HV_POLICY_BENCH_STATS_H

#include <stdbool.h>
#include <stdint.h>

/* The machine was too noisy for a measurement if the medians of its repeats differ by more than both of these: so many
 * ticks, which no TSC that steps coarsely may reach by itself, and one part in so many of the median. */
#define BENCH_NOISE_TICKS 32
#define BENCH_NOISE_PARTS 20

struct bench_stats {
	uint32_t n; /* samples, of all repeats together */
	uint32_t min, median, p99;
	uint32_t spread; /* between the least and the greatest median of a repeat */
	bool noisy;
};

/* samples: repeats times per_repeat of them, one repeat after the other; they are put in another order. overhead is
 * taken off each of min, median and p99, down to 0. At least one sample. */
struct bench_stats bench_stats_make(uint32_t *samples, uint32_t per_repeat, uint32_t repeats, uint32_t overhead);

/* The median of count samples, at least one; they are put in order. Of an even number, the lower of the two. */
uint32_t bench_stats_median(uint32_t *samples, uint32_t count);

#endif
