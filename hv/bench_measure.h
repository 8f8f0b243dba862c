/* What every measurement of `bench` does: take samples again and again, and print the row. */
#ifndef HV_BENCH_MEASURE_H
#define HV_BENCH_MEASURE_H

#include <stdint.h>

#include "hv/bench_vm.h"
#include "hv/policy/bench_stats.h"

#define BENCH_PER_REPEAT  1000 /* at most */
#define BENCH_REPEATS     5
#define BENCH_OVERHEAD_OF 200 /* samples that the overhead is the median of */
#define BENCH_WARM_UP     100 /* samples that are taken first, and dropped */

struct bench_result {
	struct bench_stats stats;
	uint32_t repeats;
	uint32_t overhead; /* ticks taken off */
};

/* All of these return NULL, or why the measurement ended before its time: Ctrl-C, or a guest that does not answer. */

/* Takes count samples, at most BENCH_PER_REPEAT, into out[]. context is the measurement's own. */
typedef const char *(*bench_sample_fn)(const void *context, uint32_t *out, uint32_t count);

/* Warms up and takes per_repeat samples, repeats times (at most BENCH_REPEATS); overhead is what they have too much. */
const char *bench_measure(struct bench_result *out, bench_sample_fn sample, const void *context, uint32_t per_repeat,
			  uint32_t repeats, uint32_t overhead);

/* Samples that VM 0 takes of itself; context: the struct bench_guest_order, whose count is of no matter. */
const char *bench_measure_sample_guest(const void *context, uint32_t *out, uint32_t count);

/* The median of so many samples, as they are. */
const char *bench_measure_median(uint32_t *out, bench_sample_fn sample, const void *context, uint32_t count);

/* Between two orders: what pCPU 0 must not leave undone for long. "interrupted" if Ctrl-C was typed. */
const char *bench_measure_pause(void);

/* The row: `bench NAME strategy=.. [keys]n=.. ..[more]`. The strategy is what is in force. keys and more may be empty;
 * keys ends, and more begins, with a blank. */
void bench_measure_row(const char *name, const char *keys, const struct bench_result *result, const char *more);

/* `bench NAME unsupported reason="..."`. */
void bench_measure_unsupported(const char *name, const char *reason);

#endif
