/* The state of a vCPU when its VM starts, and the VMCS that holds it. */
#ifndef HV_VCPU_RESET_H
#define HV_VCPU_RESET_H

#include <stdint.h>

#include "hv/percpu.h"
#include "hv/vcpu.h"

/* Makes the VMCS from nothing and sets the machine state of a Multiboot 1 kernel (Multiboot Specification 0.6.96,
 * "Machine state"): EIP = entry, EAX and EBX as given. The vCPU is loaded nowhere, its VM is complete otherwise. */
void vcpu_reset(struct percpu *cpu, struct vcpu *vcpu, uint32_t entry, uint32_t eax, uint32_t ebx);

#endif
