/* hv/policy/bench_strategy.c: what is measured on which machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/msr.h"
#include "hv/policy/bench_strategy.h"

#define LISTS (CPU_MSR_FLUSH_CMD | CPU_MSR_MCU_OPT_CTRL)

enum {
	SOFT,    /* L1TF, no MSR */
	FLUSH,   /* L1TF and the flush by MSR */
	FBCLEAR, /* no L1TF, FB_CLEAR_CTRL */
};

static struct machine machine_of(unsigned which, uint32_t entry_list_msrs)
{
	static const struct cpu_caps cpus[] = {
		[SOFT] = {true, 6, 0x55, 4, 0, 0, 1},
		[FLUSH] = {true, 6, 0x7e, 5, CPU_ARCH_CAPABILITIES | CPU_L1D_FLUSH, ARCH_CAP(IBRS_ALL), 1},
		[FBCLEAR] = {true, 6, 0x55, 4, CPU_ARCH_CAPABILITIES | CPU_L1D_FLUSH | CPU_MD_CLEAR,
			     ARCH_CAP(RDCL_NO) | ARCH_CAP(MDS_NO) | ARCH_CAP(TAA_NO) | ARCH_CAP(FB_CLEAR) |
				     ARCH_CAP(FB_CLEAR_CTRL),
			     1},
	};
	struct machine machine = {.caps = cpus[which]};

	machine.bugs = bugs_find(&machine.caps);
	machine.host_arch_capabilities = machine.caps.arch_capabilities;
	machine.supported_caps = bugs_supported_caps(&machine.caps, machine.bugs);
	machine.entry_list_msrs = entry_list_msrs;
	return machine;
}

static struct knobs list[BENCH_STRATEGIES_MAX];
static char names[BENCH_STRATEGIES_MAX][BENCH_STRATEGY_NAME_BYTES];

typedef unsigned (*choose_fn)(struct knobs out[BENCH_STRATEGIES_MAX], const struct machine *machine,
			      const struct knobs *base);

/* Fills in list and names; all names differ, and knobs that are not among those that vary are as in base. */
static unsigned chosen(choose_fn choose, const struct machine *machine, const struct knobs *base)
{
	const unsigned count = choose(list, machine, base);

	for (unsigned i = 0; i < count; i++) {
		const struct mitigation m = mitigation_select(machine, &list[i]);

		bench_strategy_name(names[i], sizeof(names[i]), &m);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(names[i], names[j]);
		for (unsigned knob = 0; knob < KNOB_COUNT; knob++)
			if (knob != KNOB_VMENTRY_L1D_FLUSH && knob != KNOB_L1D_FLUSH_BY && knob != KNOB_VERW &&
			    knob != KNOB_FB_CLEAR_DIS)
				assert_int_equal(list[i].value[knob], base->value[knob]);
	}
	return count;
}

static void has(unsigned count, const char *name)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return;
	fail_msg("no %s among %u", name, count);
}

static void all_of_a_cpu_without_msrs(void **state)
{
	const struct machine machine = machine_of(SOFT, 0);
	const struct knobs base = knob_defaults();
	const unsigned count = chosen(bench_strategy_all, &machine, &base);

	(void)state;
	assert_int_equal(count, 3 * 2);
	has(count, "l1d:never,verw:off,dis:off");
	has(count, "l1d:cond:soft,verw:on,dis:off");
	has(count, "l1d:always:soft,verw:off,dis:off");
}

static void all_of_a_cpu_that_flushes_by_msr(void **state)
{
	struct machine machine = machine_of(FLUSH, 0);
	struct knobs base = knob_defaults();

	(void)state;
	base.value[KNOB_RSB] = OFF;
	assert_int_equal(chosen(bench_strategy_all, &machine, &base), 3 * 2);
	machine = machine_of(FLUSH, LISTS);
	assert_int_equal(chosen(bench_strategy_all, &machine, &base), 5 * 2);
	has(5 * 2, "l1d:cond:wrmsr,verw:on,dis:off");
	has(5 * 2, "l1d:always:msrlist,verw:off,dis:off");
}

static void all_of_a_cpu_with_fb_clear_ctrl(void **state)
{
	struct machine machine = machine_of(FBCLEAR, 0);
	const struct knobs base = knob_defaults();

	(void)state;
	assert_int_equal(chosen(bench_strategy_all, &machine, &base), 3 * 2 * 3);
	machine = machine_of(FBCLEAR, LISTS);
	assert_int_equal(chosen(bench_strategy_all, &machine, &base), BENCH_STRATEGIES_MAX);
	has(BENCH_STRATEGIES_MAX, "l1d:not-required,verw:off,dis:cached");
	has(BENCH_STRATEGIES_MAX, "l1d:always:msrlist,verw:on,dis:msrlist");
}

static void some_are_the_cheapest_the_one_in_force_and_the_dearest(void **state)
{
	const struct machine machine = machine_of(SOFT, 0);
	struct knobs base = knob_defaults();
	unsigned count = chosen(bench_strategy_some, &machine, &base);

	(void)state;
	assert_int_equal(count, 3);
	assert_string_equal(names[0], "l1d:never,verw:off,dis:off");
	assert_string_equal(names[1], "l1d:cond:soft,verw:on,dis:off");
	assert_string_equal(names[2], "l1d:always:soft,verw:on,dis:off");

	/* The one in force is the dearest already. */
	base.value[KNOB_VMENTRY_L1D_FLUSH] = L1D_REQUEST_ALWAYS;
	count = chosen(bench_strategy_some, &machine, &base);
	assert_int_equal(count, 2);
}

static void ways_to_switch_are_measured_where_there_are_any(void **state)
{
	struct machine machine = machine_of(FLUSH, LISTS);
	const struct knobs base = knob_defaults();

	(void)state;
	assert_int_equal(chosen(bench_strategy_dis, &machine, &base), 0);
	machine = machine_of(FBCLEAR, CPU_MSR_FLUSH_CMD);
	assert_int_equal(chosen(bench_strategy_dis, &machine, &base), 3);
	has(3, "l1d:not-required,verw:off,dis:off");
	has(3, "l1d:not-required,verw:off,dis:cached");
	has(3, "l1d:not-required,verw:off,dis:toggle");
	machine = machine_of(FBCLEAR, LISTS);
	assert_int_equal(chosen(bench_strategy_dis, &machine, &base), 4);
	has(4, "l1d:not-required,verw:off,dis:msrlist");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_a_cpu_without_msrs),
		cmocka_unit_test(all_of_a_cpu_that_flushes_by_msr),
		cmocka_unit_test(all_of_a_cpu_with_fb_clear_ctrl),
		cmocka_unit_test(some_are_the_cheapest_the_one_in_force_and_the_dearest),
		cmocka_unit_test(ways_to_switch_are_measured_where_there_are_any),
	};

	return cmocka_run_group_tests_name("bench_strategy", tests, NULL, NULL);
}
