#include "hv/bench_scenario.h"

#include "arch/cpu.h"
#include "arch/tsc.h"
#include "hv/bench_measure.h"
#include "hv/knobs.h"
#include "hv/policy/bench_strategy.h"
#include "hv/policy/text.h"
#include "hv/regime.h"

#define KEYS_BYTES      48
#define COUNTED_ENTRIES 1000

/* For `rate`. */
#define TICKS_A_REPEAT    2000000 /* about; so that the longest of its turns do not take all day in an emulator */
#define TICKS_AN_EXIT     2000    /* about */
#define RATE_SAMPLES_MIN  10
#define RATE_REPEATS      3
#define INSTRUCTIONS_TURN 2 /* of the guest's loop */

/* For `switch` and `alone`. */
#define ENTRIES_A_REPEAT 2000
#define TURN_SAMPLES_MAX 200
#define EMPTY_READINGS   64
#define COUNTS_BYTES     192

/* ---- what they share ---- */

typedef unsigned (*choose_fn)(struct knobs out[BENCH_STRATEGIES_MAX], const struct machine *machine,
			      const struct knobs *base);

/* Calls measure() under each of the chosen knobs. */
static const char *for_each(choose_fn choose, const char *name, const char *(*measure)(const char *name))
{
	static struct knobs list[BENCH_STRATEGIES_MAX];
	const unsigned count = choose(list, regime_machine(), &regime_now()->knobs);
	const char *why = NULL;

	for (unsigned i = 0; i < count && why == NULL; i++) {
		knobs_set_all(&list[i]);
		why = measure(name);
	}
	return why;
}

/* What was counted from `before` on, and for turns of two vCPUs of both. */
static void counts_text(char *out, const struct vcpu_stats *before, const struct vcpu_stats *after)
{
	text_format(out, COUNTS_BYTES,
		    " mcu_reads=%lu mcu_writes=%lu verw=%lu l1d_msr=%lu l1d_soft=%lu entries=%lu ibpb=%lu",
		    after->mcu_opt_ctrl_reads - before->mcu_opt_ctrl_reads,
		    after->mcu_opt_ctrl_writes - before->mcu_opt_ctrl_writes, vcpu_verws(after) - vcpu_verws(before),
		    vcpu_flushes(after, PLAN_L1D_DID_MSR) - vcpu_flushes(before, PLAN_L1D_DID_MSR),
		    vcpu_flushes(after, PLAN_L1D_DID_SOFT) - vcpu_flushes(before, PLAN_L1D_DID_SOFT),
		    vcpu_all_entries(after) - vcpu_all_entries(before), after->ibpb - before->ibpb);
}

/* ---- strategy ---- */

/* The VM's first entries, from its start on. Each order is a last entry more than it has exits. */
static const char *make_entries(uint64_t count)
{
	const struct vcpu_stats *stats = bench_vm_stats(0);
	const char *why = NULL;

	while (vcpu_all_entries(stats) < count && why == NULL) {
		const uint64_t left = count - vcpu_all_entries(stats), most = bench_vm_samples_max();
		const struct bench_guest_order order = {.op = BENCH_GUEST_UNTIMED,
							.count = (uint32_t)(left < most ? left : most) - 1};

		if (!bench_vm_run(0, &order))
			return "the guest of bench does not answer";
		why = bench_measure_pause();
	}
	return why;
}

static const char *measure_started(const char *name)
{
	static const struct vcpu_stats none;
	const struct bench_guest_order timed = {.op = BENCH_GUEST_CPUID};
	const struct bench_guest_order empty = {.op = BENCH_GUEST_CPUID, .empty = 1};
	const char *why = make_entries(COUNTED_ENTRIES);
	const struct vcpu_stats counted = *bench_vm_stats(0);
	struct bench_result result;
	char counts[COUNTS_BYTES];
	uint32_t overhead;

	if (why == NULL)
		why = bench_measure_median(&overhead, bench_measure_sample_guest, &empty, BENCH_OVERHEAD_OF);
	if (why == NULL)
		why = bench_measure(&result, bench_measure_sample_guest, &timed, BENCH_PER_REPEAT, BENCH_REPEATS,
				    overhead);
	if (why != NULL)
		return why;
	counts_text(counts, &none, &counted);
	bench_measure_row(name, "", &result, counts);
	return NULL;
}

static const char *measure_strategy(const char *name)
{
	const char *why = bench_vm_start(0, BENCH_WISH_FAST);

	if (why != NULL)
		return why;
	why = measure_started(name);
	bench_vm_stop(0);
	return why;
}

const char *bench_scenario_strategy(const char *name)
{
	return for_each(bench_strategy_all, name, measure_strategy);
}

/* ---- rate ---- */

static uint32_t samples_for(uint32_t instructions)
{
	const uint32_t count = TICKS_A_REPEAT / (instructions + TICKS_AN_EXIT);

	return count < RATE_SAMPLES_MIN ? RATE_SAMPLES_MIN : count > BENCH_PER_REPEAT ? BENCH_PER_REPEAT : count;
}

static const char *measure_rate_of(const char *name, uint32_t instructions, uint32_t overhead)
{
	const uint32_t count = samples_for(instructions);
	struct bench_guest_order order = {
		.op = BENCH_GUEST_COMPUTE, .empty = 1, .turns = instructions / INSTRUCTIONS_TURN};
	struct bench_result result;
	uint32_t compute;
	char keys[KEYS_BYTES], more[KEYS_BYTES * 2];
	const char *why = bench_measure_median(&compute, bench_measure_sample_guest, &order, count);

	order.empty = 0;
	if (why == NULL)
		why = bench_measure(&result, bench_measure_sample_guest, &order, count, RATE_REPEATS, overhead);
	if (why != NULL)
		return why;
	text_format(keys, sizeof(keys), "k=%u ", instructions);
	text_format(more, sizeof(more), " compute=%u exits_per_second=%lu", compute > overhead ? compute - overhead : 0,
		    result.stats.median != 0 ? tsc_hz() / result.stats.median : 0);
	bench_measure_row(name, keys, &result, more);
	return NULL;
}

static const char *measure_rates(const char *name)
{
	static const uint32_t instructions[] = {0, 10, 100, 1000, 10000, 100000, 1000000};
	const struct bench_guest_order empty = {.op = BENCH_GUEST_COMPUTE, .empty = 1};
	uint32_t overhead;
	const char *why = bench_vm_start(0, BENCH_WISH_FAST);

	if (why != NULL)
		return why;
	why = bench_measure_median(&overhead, bench_measure_sample_guest, &empty, BENCH_OVERHEAD_OF);
	for (unsigned i = 0; i < sizeof(instructions) / sizeof(instructions[0]) && why == NULL; i++)
		why = measure_rate_of(name, instructions[i], overhead);
	bench_vm_stop(0);
	return why;
}

const char *bench_scenario_rate(const char *name)
{
	return for_each(bench_strategy_some, name, measure_rates);
}

/* ---- switch, alone ---- */

struct turns {
	uint32_t entries; /* a turn */
	unsigned other;   /* number of the VM whose turn comes after VM 0's: 0 or 1 */
};

/* A sample: a turn of VM 0 and one of the other, from before the first is loaded to after the second has halted. */
static const char *sample_turns(const void *context, uint32_t *out, uint32_t count)
{
	const struct turns *turns = context;
	const uint32_t rows_most = bench_vm_samples_max();
	uint32_t rows = 0;
	const char *why = NULL;

	for (uint32_t i = 0; i < count && why == NULL; i++) {
		const uint64_t began_tsc = rdtsc_ordered();

		if (!bench_vm_run_again(0) || !bench_vm_run_again(turns->other))
			return "the guest of bench does not answer";
		out[i] = (uint32_t)(rdtsc_ordered() - began_tsc);
		rows += 2 * turns->entries;
		if (rows < rows_most && i + 1 < count)
			continue;
		why = bench_measure_pause();
		rows = 0;
	}
	return why;
}

static const char *sample_nothing(const void *context, uint32_t *out, uint32_t count)
{
	(void)context;
	for (uint32_t i = 0; i < count; i++) {
		const uint64_t began_tsc = rdtsc_ordered();

		out[i] = (uint32_t)(rdtsc_ordered() - began_tsc);
	}
	return NULL;
}

static struct vcpu_stats sum(const struct vcpu_stats *a, const struct vcpu_stats *b)
{
	struct vcpu_stats both = {
		.mcu_opt_ctrl_reads = a->mcu_opt_ctrl_reads + b->mcu_opt_ctrl_reads,
		.mcu_opt_ctrl_writes = a->mcu_opt_ctrl_writes + b->mcu_opt_ctrl_writes,
		.ibpb = a->ibpb + b->ibpb,
	};

	for (unsigned kind = 0; kind < ENTRY_KINDS; kind++)
		both.entered[kind] = a->entered[kind] + b->entered[kind];
	return both;
}

static struct vcpu_stats counted_of(const struct turns *turns)
{
	static const struct vcpu_stats none;

	return sum(bench_vm_stats(0), turns->other != 0 ? bench_vm_stats(turns->other) : &none);
}

/* Leaves both with the order to do so many entries whenever they run, HLT's included. */
static bool order_turns(const struct turns *turns)
{
	const struct bench_guest_order order = {.op = BENCH_GUEST_UNTIMED, .count = turns->entries - 1};

	return bench_vm_run(0, &order) && (turns->other == 0 || bench_vm_run(turns->other, &order));
}

static const char *measure_turns_of(const char *name, const struct turns *turns, uint32_t overhead)
{
	const uint32_t fit = ENTRIES_A_REPEAT / (2 * turns->entries);
	const uint32_t count = fit > TURN_SAMPLES_MAX ? TURN_SAMPLES_MAX : fit;
	struct vcpu_stats before, after;
	struct bench_result result;
	char keys[KEYS_BYTES], counts[COUNTS_BYTES], more[COUNTS_BYTES + KEYS_BYTES];
	const char *why;

	if (!order_turns(turns))
		return "the guest of bench does not answer";
	before = counted_of(turns);
	why = bench_measure(&result, sample_turns, turns, count, BENCH_REPEATS, overhead);
	if (why != NULL)
		return why;
	after = counted_of(turns);
	counts_text(counts, &before, &after);
	text_format(keys, sizeof(keys), "turn=%u ", turns->entries);
	text_format(more, sizeof(more), "%s turns=%lu", counts,
		    (vcpu_all_entries(&after) - vcpu_all_entries(&before)) / turns->entries);
	bench_measure_row(name, keys, &result, more);
	return NULL;
}

static const char *measure_turns(const char *name, unsigned other)
{
	static const uint32_t lengths[] = {1, 10, 100};
	uint32_t overhead = 0;
	const char *why = bench_measure_median(&overhead, sample_nothing, NULL, EMPTY_READINGS);

	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]) && why == NULL; i++)
		why = measure_turns_of(name, &(struct turns){lengths[i], other}, overhead);
	return why;
}

static const char *measure_alone(const char *name)
{
	const char *why = bench_vm_start(0, BENCH_WISH_FAST);

	if (why != NULL)
		return why;
	why = measure_turns(name, 0);
	bench_vm_stop(0);
	return why;
}

static const char *measure_switch(const char *name)
{
	const char *why = bench_vm_start(0, BENCH_WISH_FAST);

	if (why != NULL)
		return why;
	why = bench_vm_start(1, BENCH_WISH_CLEAR);
	if (why == NULL) {
		why = measure_turns(name, 1);
		bench_vm_stop(1);
	}
	bench_vm_stop(0);
	return why;
}

const char *bench_scenario_switch(const char *name)
{
	return for_each(bench_strategy_dis, name, measure_switch);
}

const char *bench_scenario_alone(const char *name)
{
	return for_each(bench_strategy_dis, name, measure_alone);
}
