/* The measurements of `bench` that change knobs: each runs under several of them (hv/policy/bench_strategy.h) and
 * leaves the last in force. NULL, or why it ended before its time. */
#ifndef HV_BENCH_SCENARIO_H
#define HV_BENCH_SCENARIO_H

/* A CPUID round trip under each combination, and what a thousand entries did. */
const char *bench_scenario_strategy(const char *name);

/* A guest that computes between two exits: how much of its time they cost. */
const char *bench_scenario_rate(const char *name);

/* Two vCPUs take turns, one that wants FB_CLEAR_DIS and one that must not have it. */
const char *bench_scenario_switch(const char *name);

/* The same turns, all of one vCPU that wants it. */
const char *bench_scenario_alone(const char *name);

#endif
