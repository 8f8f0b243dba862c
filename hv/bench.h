/* `bench` (interface.md 8): what there is to measure, and one run of it. Console only. */
#ifndef HV_BENCH_H
#define HV_BENCH_H

#include <stddef.h>

/* The i-th measurement's name and what it measures; NULL past the last. */
const char *bench_name(unsigned i);
const char *bench_summary(unsigned i);

/* Its number; that past the last if there is none of this name. */
unsigned bench_find(const char *name, size_t length);

/* Runs measurements [first, first + count) on this pCPU, and prints their rows. VMs that run are paused for as long;
 * the knobs are in force again afterwards as they were before, whatever happens. NULL, or why it ended before its time.
 */
const char *bench_run(unsigned first, unsigned count);

#endif
