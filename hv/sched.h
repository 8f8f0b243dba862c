/* Which vCPU runs where: all pCPUs pick from one set, the one that has waited longest first. */
#ifndef HV_SCHED_H
#define HV_SCHED_H

#include "hv/percpu.h"
#include "hv/vm.h"

/* The life of a pCPU. */
_Noreturn void sched_loop(struct percpu *cpu);

/* Returns once no pCPU holds a vCPU of this VM, whose state the caller has changed from VM_RUNNING. Console only. */
void sched_quiesce(struct vm *vm);

/* This pCPU will be busy with something else for a while: other pCPUs see to all vCPUs. Console only. */
void sched_step_aside(void);

/* The vCPU that runs here waits for another one: whoever has waited longest goes first. */
void sched_yield(struct percpu *cpu);

/* Something has come for this vCPU: the pCPU that has it looks before the next entry; if none has it, sleeping pCPUs
 * look for work. Any pCPU; not under the VM's apic_lock. */
void sched_kick(const struct vcpu *vcpu);

/* There may be work for sleeping pCPUs. */
void sched_wake_all(void);

#endif
