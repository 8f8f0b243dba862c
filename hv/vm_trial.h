/* A VM that never runs an instruction: something to enter, for trying what the CPU takes. */
#ifndef HV_VM_TRIAL_H
#define HV_VM_TRIAL_H

#include "hv/percpu.h"
#include "hv/vcpu.h"

/* Its one vCPU, with an empty EPT; NULL without memory. cpu: the pCPU that will try. */
struct vcpu *vm_trial_make(struct percpu *cpu);
void vm_trial_unmake(struct vcpu *vcpu);

#endif
