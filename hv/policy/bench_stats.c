#include "hv/policy/bench_stats.h"

static void swap(uint32_t *a, uint32_t *b)
{
	const uint32_t kept = *a;

	*a = *b;
	*b = kept;
}

/* Lets samples[at] sink to its place in the heap of count samples. */
static void sift(uint32_t *samples, uint32_t at, uint32_t count)
{
	for (uint32_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
		if (child + 1 < count && samples[child] < samples[child + 1])
			child++;
		if (samples[at] >= samples[child])
			return;
		swap(&samples[at], &samples[child]);
		at = child;
	}
}

/* Heapsort: in place, and as fast for samples that are all alike as for any others. */
static void sort(uint32_t *samples, uint32_t count)
{
	for (uint32_t at = count / 2; at > 0; at--)
		sift(samples, at - 1, count);
	for (uint32_t left = count; left > 1; left--) {
		swap(&samples[0], &samples[left - 1]);
		sift(samples, 0, left - 1);
	}
}

/* The sample that so many percent of all do not exceed, by the nearest-rank method: always one that was measured. */
static uint32_t percentile(const uint32_t *sorted, uint32_t count, uint32_t percent)
{
	const uint64_t rank = ((uint64_t)count * percent + 99) / 100;

	return sorted[rank - 1];
}

uint32_t bench_stats_median(uint32_t *samples, uint32_t count)
{
	sort(samples, count);
	return percentile(samples, count, 50);
}

static uint32_t less_overhead(uint32_t ticks, uint32_t overhead)
{
	return ticks > overhead ? ticks - overhead : 0;
}

struct bench_stats bench_stats_make(uint32_t *samples, uint32_t per_repeat, uint32_t repeats, uint32_t overhead)
{
	const uint32_t count = per_repeat * repeats;
	uint32_t least = UINT32_MAX, greatest = 0;

	for (uint32_t r = 0; r < repeats; r++) {
		const uint32_t median = bench_stats_median(samples + r * per_repeat, per_repeat);

		least = median < least ? median : least;
		greatest = median > greatest ? median : greatest;
	}
	sort(samples, count);

	struct bench_stats stats = {
		.n = count,
		.min = less_overhead(samples[0], overhead),
		.median = less_overhead(percentile(samples, count, 50), overhead),
		.p99 = less_overhead(percentile(samples, count, 99), overhead),
		.spread = greatest - least,
	};

	stats.noisy = stats.spread > BENCH_NOISE_TICKS && stats.spread > stats.median / BENCH_NOISE_PARTS;
	return stats;
}
