/* hv/policy/bench_stats.c: against a plain sort, and the rule for noise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/policy/bench_stats.h"

#define SAMPLES_MAX 5000

static uint32_t samples[SAMPLES_MAX], sorted[SAMPLES_MAX];
static uint32_t seed;

static uint32_t next_random(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

static int compare(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void one_sample_is_all_of_them(void **state)
{
	uint32_t one = 42;
	const struct bench_stats stats = bench_stats_make(&one, 1, 1, 2);

	(void)state;
	assert_int_equal(stats.n, 1);
	assert_int_equal(stats.min, 40);
	assert_int_equal(stats.median, 40);
	assert_int_equal(stats.p99, 40);
	assert_int_equal(stats.spread, 0);
	assert_false(stats.noisy);
}

static void percentiles_are_samples_by_nearest_rank(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 200; i++)
		samples[i] = 200 - i; /* 1 to 200, backwards */

	const struct bench_stats stats = bench_stats_make(samples, 200, 1, 0);

	assert_int_equal(stats.min, 1);
	assert_int_equal(stats.median, 100);
	assert_int_equal(stats.p99, 198);
}

static void the_median_of_an_even_number_is_the_lower(void **state)
{
	uint32_t four[] = {7, 1, 9, 3};

	(void)state;
	assert_int_equal(bench_stats_median(four, 4), 3);
}

static void overhead_is_taken_off_down_to_nothing(void **state)
{
	uint32_t three[] = {10, 4, 30};
	const struct bench_stats stats = bench_stats_make(three, 3, 1, 10);

	(void)state;
	assert_int_equal(stats.min, 0);
	assert_int_equal(stats.median, 0);
	assert_int_equal(stats.p99, 20);
}

static void random_samples_agree_with_a_plain_sort(void **state)
{
	(void)state;
	for (uint32_t round = 0; round < 300; round++) {
		const uint32_t per_repeat = 1 + next_random() % 1000, repeats = 1 + next_random() % 5;
		const uint32_t count = per_repeat * repeats, range = 1 + next_random() % 3000;
		uint32_t least = UINT32_MAX, greatest = 0;

		for (uint32_t i = 0; i < count; i++)
			samples[i] = next_random() % range;
		memcpy(sorted, samples, count * sizeof(*samples));
		for (uint32_t r = 0; r < repeats; r++) {
			qsort(sorted + r * per_repeat, per_repeat, sizeof(*sorted), compare);

			const uint32_t median = sorted[r * per_repeat + (per_repeat + 1) / 2 - 1];

			least = median < least ? median : least;
			greatest = median > greatest ? median : greatest;
		}
		qsort(sorted, count, sizeof(*sorted), compare);

		const struct bench_stats stats = bench_stats_make(samples, per_repeat, repeats, 0);

		assert_int_equal(stats.n, count);
		assert_int_equal(stats.min, sorted[0]);
		assert_int_equal(stats.median, sorted[(count + 1) / 2 - 1]);
		assert_int_equal(stats.p99, sorted[(uint64_t)(count * 99 + 99) / 100 - 1]);
		assert_int_equal(stats.spread, greatest - least);
	}
}

/* Two repeats of three samples each, whose medians differ by so much. */
static bool is_noisy(uint32_t median, uint32_t apart)
{
	uint32_t six[] = {median, median, median, median + apart, median + apart, median + apart};

	return bench_stats_make(six, 3, 2, 0).noisy;
}

static void noise_is_more_than_a_twentieth_and_more_than_the_tsc_steps(void **state)
{
	(void)state;
	assert_false(is_noisy(1000, 0));
	assert_false(is_noisy(1000, 1000 / BENCH_NOISE_PARTS));
	assert_true(is_noisy(1000, 1000 / BENCH_NOISE_PARTS + 1));
	assert_false(is_noisy(1, BENCH_NOISE_TICKS));
	assert_true(is_noisy(1, BENCH_NOISE_TICKS + 1));
	assert_false(is_noisy(1000000, BENCH_NOISE_TICKS + 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_sample_is_all_of_them),
		cmocka_unit_test(percentiles_are_samples_by_nearest_rank),
		cmocka_unit_test(the_median_of_an_even_number_is_the_lower),
		cmocka_unit_test(overhead_is_taken_off_down_to_nothing),
		cmocka_unit_test(random_samples_agree_with_a_plain_sort),
		cmocka_unit_test(noise_is_more_than_a_twentieth_and_more_than_the_tsc_steps),
	};

	return cmocka_run_group_tests_name("bench_stats", tests, NULL, NULL);
}
