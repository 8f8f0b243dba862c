/* The CPU's part in a vCPU's local APIC, as hv/policy/apicv.h decides it: the VMCS fields, the page tables and the MSR
 * bitmap that go with the mode. The vCPU is loaded on the caller's pCPU. */
#ifndef HV_VCPU_APICV_H
#define HV_VCPU_APICV_H

#include "hv/percpu.h"
#include "hv/vcpu.h"

/* With the other controls, when the VMCS is made. */
void vcpu_apicv_reset(const struct percpu *cpu, struct vcpu *vcpu);

/* Before an entry when something of the local APIC may have changed: gives the CPU what it needs. Under the VM's
 * apic_lock. True: the CPU delivers the interrupts of the local APIC by itself. */
bool vcpu_apicv_update(const struct percpu *cpu, struct vcpu *vcpu);

/* The interrupt with this vector, whose delivery was broken off, is the local APIC's, and the CPU took it from there.
 */
bool vcpu_apicv_took(const struct vcpu *vcpu, uint8_t vector);

#endif
