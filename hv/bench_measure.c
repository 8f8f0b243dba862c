#include "hv/bench_measure.h"

#include "arch/memory.h"
#include "hv/audit.h"
#include "hv/console.h"
#include "hv/policy/bench_strategy.h"
#include "hv/prompt.h"
#include "hv/regime.h"

static uint32_t samples[BENCH_PER_REPEAT * BENCH_REPEATS];

const char *bench_measure_pause(void)
{
	audit_poll();
	return prompt_interrupted() ? "interrupted" : NULL;
}

const char *bench_measure_sample_guest(const void *context, uint32_t *out, uint32_t count)
{
	struct bench_guest_order order = *(const struct bench_guest_order *)context;
	const char *why = NULL;

	for (uint32_t done = 0; done < count && why == NULL; done += order.count) {
		const uint32_t left = count - done, most = bench_vm_samples_max();

		order.count = left < most ? left : most;
		if (!bench_vm_run(0, &order))
			return "the guest of bench does not answer";
		memcpy(out + done, bench_vm_samples(0), order.count * sizeof(*out));
		why = bench_measure_pause();
	}
	return why;
}

const char *bench_measure_median(uint32_t *out, bench_sample_fn sample, const void *context, uint32_t count)
{
	const char *why = sample(context, samples, count);

	if (why == NULL)
		*out = bench_stats_median(samples, count);
	return why;
}

const char *bench_measure(struct bench_result *out, bench_sample_fn sample, const void *context, uint32_t per_repeat,
			  uint32_t repeats, uint32_t overhead)
{
	const char *why = sample(context, samples, per_repeat < BENCH_WARM_UP ? per_repeat : BENCH_WARM_UP);

	for (uint32_t r = 0; r < repeats && why == NULL; r++)
		why = sample(context, samples + r * per_repeat, per_repeat);
	if (why != NULL)
		return why;
	*out = (struct bench_result){.stats = bench_stats_make(samples, per_repeat, repeats, overhead),
				     .repeats = repeats,
				     .overhead = overhead};
	return NULL;
}

void bench_measure_row(const char *name, const char *keys, const struct bench_result *result, const char *more)
{
	const struct bench_stats *s = &result->stats;
	char strategy[BENCH_STRATEGY_NAME_BYTES];

	bench_strategy_name(strategy, sizeof(strategy), &regime_now()->mitigation);
	console_line("bench %s strategy=%s %sn=%u min=%u median=%u p99=%u unit=tsc spread=%u overhead=%u noisy=%s "
		     "repeats=%u%s",
		     name, strategy, keys, s->n, s->min, s->median, s->p99, s->spread, result->overhead,
		     s->noisy ? "yes" : "no", result->repeats, more);
	console_flush();
}

void bench_measure_unsupported(const char *name, const char *reason)
{
	console_line("bench %s unsupported reason=\"%s\"", name, reason);
}
