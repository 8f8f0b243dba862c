/* A vCPU comes to a pCPU and leaves it: all that no VM entry or exit switches. A VMCS is current, and not clear, on one
 * pCPU only while the vCPU is loaded there (facts.md, trap 31). */
#ifndef HV_VCPU_SWITCH_H
#define HV_VCPU_SWITCH_H

#include "hv/percpu.h"
#include "hv/vcpu.h"

/* Makes vcpu the current one of this pCPU, which has none. */
void vcpu_load(struct percpu *cpu, struct vcpu *vcpu);

/* Takes the current one off. Another pCPU may load it then. */
void vcpu_put(struct percpu *cpu);

#endif
