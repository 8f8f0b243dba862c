/* What VERW and the flush by software take on the CPU that this runs on, in user mode, as rows of `bench`:
 *
 *     bench NAME strategy=user n=.. min=.. median=.. p99=.. unit=tsc spread=.. overhead=.. noisy=.. repeats=.. step=..
 *
 * n samples a repeat, after a warm-up. median and p99 are the medians of the repeats'; spread is how far the repeats'
 * medians lie apart; step is the step of the TSC itself. The overhead of the two readings of the TSC is measured first,
 * and taken off. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/vmx.h"

#define SAMPLES 2000
#define WARM_UP 200
#define REPEATS 11

/* Too noisy: the repeats' medians differ by more than a tenth, and by more than the TSC's own steps explain. */
#define NOISY_PART  10
#define NOISY_LEAST 50

/* CPUID 80000001H:EDX (SDM vol. 2A, "CPUID"). */
#define CPUID_EXTENDED   0x80000001u
#define CPUID_EDX_RDTSCP (1u << 27)

struct result {
	uint64_t min, median, p99, spread, step;
};

/* tests/bench/user.asm */
extern uint16_t user_selector;
uint64_t user_time_nothing(void);
uint64_t user_time_verw(void);
uint64_t user_time_flush_cpuid(void);
uint64_t user_time_flush_lfence(void);
uint64_t user_time_cpuid(void);

/* Contiguous for the program only: the pages behind it lie where the kernel put them. */
uint8_t user_flush_buffer[L1D_FLUSH_BYTES] __attribute__((aligned(L1D_FLUSH_BYTES)));

static const struct {
	const char *name;
	uint64_t (*time)(void);
} steps[] = {
	{"user-verw", user_time_verw},
	{"user-l1d-soft", user_time_flush_lfence},
	{"user-l1d-soft-cpuid", user_time_flush_cpuid},
	{"user-cpuid", user_time_cpuid},
};

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t less(uint64_t value, uint64_t overhead)
{
	return value > overhead ? value - overhead : 0;
}

/* The TSC counts in steps of so many (26 on some parts): no difference below it can be seen. */
static uint64_t greatest_common_divisor(uint64_t a, uint64_t b)
{
	while (b != 0) {
		const uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static struct result measure(uint64_t (*time)(void), uint64_t overhead)
{
	static uint64_t samples[SAMPLES];
	uint64_t medians[REPEATS], p99s[REPEATS], least = UINT64_MAX, step = 0;

	for (unsigned repeat = 0; repeat < REPEATS; repeat++) {
		for (unsigned i = 0; i < WARM_UP; i++)
			time();
		for (unsigned i = 0; i < SAMPLES; i++) {
			samples[i] = time();
			step = greatest_common_divisor(step, samples[i]);
			samples[i] = less(samples[i], overhead);
		}
		qsort(samples, SAMPLES, sizeof(samples[0]), compare);
		least = samples[0] < least ? samples[0] : least;
		medians[repeat] = samples[SAMPLES / 2];
		p99s[repeat] = samples[SAMPLES * 99 / 100];
	}
	qsort(medians, REPEATS, sizeof(medians[0]), compare);
	qsort(p99s, REPEATS, sizeof(p99s[0]), compare);
	return (struct result){
		.min = least,
		.median = medians[REPEATS / 2],
		.p99 = p99s[REPEATS / 2],
		.spread = medians[REPEATS - 1] - medians[0],
		.step = step,
	};
}

static bool is_noisy(const struct result *r)
{
	return r->spread > NOISY_LEAST && r->spread * NOISY_PART > r->median;
}

static bool has_rdtscp(void)
{
	uint32_t eax, ebx, ecx, edx = 0;

	return __get_cpuid(CPUID_EXTENDED, &eax, &ebx, &ecx, &edx) && (edx & CPUID_EDX_RDTSCP);
}

/* The CPU that it runs on now; another one's TSC and caches are other ones. */
static void stay_here(void)
{
	cpu_set_t here;

	CPU_ZERO(&here);
	CPU_SET((size_t)sched_getcpu(), &here);
	sched_setaffinity(0, sizeof(here), &here);
}

int main(void)
{
	uint64_t overhead;

	if (!has_rdtscp()) {
		for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
			printf("bench %s unsupported reason=\"no RDTSCP\"\n", steps[i].name);
		return 0;
	}
	stay_here();
	__asm__("mov %%ss, %0" : "=r"(user_selector));
	memset(user_flush_buffer, 1, sizeof(user_flush_buffer)); /* so that each page is there, and is its own */
	overhead = measure(user_time_nothing, 0).median;
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const struct result r = measure(steps[i].time, overhead);

		printf("bench %s strategy=user n=%u min=%" PRIu64 " median=%" PRIu64 " p99=%" PRIu64
		       " unit=tsc spread=%" PRIu64 " overhead=%" PRIu64 " noisy=%s repeats=%u step=%" PRIu64 "\n",
		       steps[i].name, SAMPLES, r.min, r.median, r.p99, r.spread, overhead, is_noisy(&r) ? "yes" : "no",
		       REPEATS, r.step);
		fflush(stdout);
	}
	return 0;
}
