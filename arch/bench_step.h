/* Single steps of the entry path, timed one by one in root mode, with the code that arch/vmx_enter.asm uses. */
#ifndef ARCH_BENCH_STEP_H
#define ARCH_BENCH_STEP_H

#include <stdint.h>

/* arch/bench_step.asm: each returns the ticks from before the step to after it, the timing's own overhead included. The
 * CPU must have RDTSCP, and the MSR that is touched. */
uint32_t bench_step_nothing(uint64_t unused);
uint32_t bench_step_l1d_msr(uint64_t unused);
uint32_t bench_step_l1d_soft(uint64_t unused);
uint32_t bench_step_verw(uint64_t unused);
uint32_t bench_step_rdmsr_mcu(uint64_t unused);
uint32_t bench_step_wrmsr_mcu(uint64_t value);

#endif
