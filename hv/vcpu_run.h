/* The way into a guest and back: plan, trace, enter, account, handle the exit. */
#ifndef HV_VCPU_RUN_H
#define HV_VCPU_RUN_H

#include "hv/percpu.h"
#include "hv/vcpu.h"

/* Runs the vCPU that is loaded on this pCPU until until_tsc, or until it waits, its VM stops running, or the pCPU is
 * wanted. */
void vcpu_run(struct percpu *cpu, struct vcpu *vcpu, uint64_t until_tsc);

/* What this pCPU did since it was accounted for last was no vCPU's work. */
void vcpu_run_account_root(struct percpu *cpu);

/* Sleeps until until_tsc (VCPU_TIMER_NEVER: for good) or until an NMI comes; returns at once if one has come. */
void vcpu_run_idle(struct percpu *cpu, uint64_t until_tsc);

#endif
