/* Which combinations of knobs `bench` measures under, and what they are called. Pure. */
#ifndef HV_POLICY_BENCH_STRATEGY_H
#define HV_POLICY_BENCH_STRATEGY_H

#include <stddef.h>

#include "hv/policy/mitigation.h"

#define BENCH_STRATEGIES_MAX      40 /* five ways with the L1D, two with VERW, four with FB_CLEAR_DIS */
#define BENCH_STRATEGY_NAME_BYTES 64

/* Each fills out[] with knobs under which this machine really does what they ask for, each differing from the others in
 * what comes of it, and returns how many there are. All knobs that are not named are as in base, the knobs in force. */

/* Every L1D mode and mechanism, with and without VERW, every way to switch FB_CLEAR_DIS. */
unsigned bench_strategy_all(struct knobs out[BENCH_STRATEGIES_MAX], const struct machine *machine,
			    const struct knobs *base);

/* The cheapest, the knobs in force, the dearest, and without VERW each way to switch FB_CLEAR_DIS. */
unsigned bench_strategy_some(struct knobs out[BENCH_STRATEGIES_MAX], const struct machine *machine,
			     const struct knobs *base);

/* Every way to switch FB_CLEAR_DIS, alone: no flush and no VERW, under which most of them would do nothing. 0 where the
 * CPU has no FB_CLEAR_CTRL. */
unsigned bench_strategy_dis(struct knobs out[BENCH_STRATEGIES_MAX], const struct machine *machine,
			    const struct knobs *base);

/* "l1d:cond:soft,verw:on,dis:off": what is in force. The mechanism (soft, wrmsr, msrlist) stands where the mode
 * flushes. Terminated, cut off at size. */
void bench_strategy_name(char *out, size_t size, const struct mitigation *m);

#endif
