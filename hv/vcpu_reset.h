/* The state of a vCPU when its VM starts, and the VMCS that holds it. */
#ifndef HV_VCPU_RESET_H
#define HV_VCPU_RESET_H

#include <stdint.h>

#include "hv/percpu.h"
#include "hv/vcpu.h"

/* Makes the VMCS from nothing. vCPU 0 gets the machine state of a Multiboot 1 kernel (Multiboot Specification 0.6.96,
 * "Machine state"): EIP = entry, EAX and EBX as given; the others that after INIT: they wait for SIPI. The vCPU is
 * loaded nowhere, its VM is complete otherwise. */
void vcpu_reset(struct percpu *cpu, struct vcpu *vcpu, uint32_t entry, uint32_t eax, uint32_t ebx);

/* INIT, for the vCPU loaded here: registers as after INIT (SDM vol. 3A, "Processor State After Reset"); it waits. */
void vcpu_reset_init(struct percpu *cpu, struct vcpu *vcpu);

/* SIPI: real mode at the page that the vector names. */
void vcpu_reset_start_up(uint8_t vector);

#endif
