/* What VERW and the flush by software take on the CPU that this runs on, in user mode, as rows of `bench`
 * (docs/measuring.md) with strategy=user, and one key more: `step`, the step of the TSC itself. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "arch/vmx.h"
#include "hv/policy/bench_stats.h"

#define PER_REPEAT 2000
#define WARM_UP    200
#define REPEATS    11

/* CPUID 80000001H:EDX (SDM vol. 2A, "CPUID"). */
#define CPUID_EXTENDED   0x80000001u
#define CPUID_EDX_RDTSCP (1u << 27)

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

/* The TSC counts in steps of so many (26 on some parts): no difference below it can be seen. */
static uint32_t greatest_common_divisor(uint32_t a, uint32_t b)
{
	while (b != 0) {
		const uint32_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

static uint32_t samples[REPEATS * PER_REPEAT];

static void take_samples(uint64_t (*time)(void))
{
	for (unsigned i = 0; i < REPEATS * PER_REPEAT; i++) {
		for (unsigned w = 0; w < WARM_UP && i % PER_REPEAT == 0; w++)
			time();
		samples[i] = (uint32_t)time();
	}
}

static uint32_t step_of_samples(void)
{
	uint32_t step = 0;

	for (unsigned i = 0; i < REPEATS * PER_REPEAT; i++)
		step = greatest_common_divisor(step, samples[i]);
	return step;
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
	uint32_t overhead;

	if (!has_rdtscp()) {
		for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
			printf("bench %s unsupported reason=\"no RDTSCP\"\n", steps[i].name);
		return 0;
	}
	stay_here();
	__asm__("mov %%ss, %0" : "=r"(user_selector));
	memset(user_flush_buffer, 1, sizeof(user_flush_buffer)); /* so that each page is there, and is its own */
	take_samples(user_time_nothing);
	overhead = bench_stats_median(samples, REPEATS * PER_REPEAT);
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		take_samples(steps[i].time);

		const uint32_t step = step_of_samples();
		const struct bench_stats s = bench_stats_make(samples, PER_REPEAT, REPEATS, overhead);

		printf("bench %s strategy=user n=%u min=%u median=%u p99=%u unit=tsc spread=%u overhead=%u noisy=%s "
		       "repeats=%u step=%u\n",
		       steps[i].name, s.n, s.min, s.median, s.p99, s.spread, overhead, s.noisy ? "yes" : "no", REPEATS,
		       step);
		fflush(stdout);
	}
	return 0;
}
