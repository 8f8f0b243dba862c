/* The guest's CR0 and CR4: what it sees, and what the hardware holds because of VMX (SDM vol. 3C, "Guest/Host Masks and
 * Read Shadows for CR0 and CR4"). For the vCPU loaded here. */
#ifndef HV_VCPU_CR_H
#define HV_VCPU_CR_H

#include <stdint.h>

#include "hv/percpu.h"
#include "hv/vm.h"

/* The bits whose writes exit and which read from the shadow. */
uint64_t vcpu_cr0_mask(const struct percpu *cpu);
uint64_t vcpu_cr4_mask(const struct percpu *cpu, const struct vm *vm);

/* As the guest sees them. */
uint64_t vcpu_cr0_read(const struct percpu *cpu);
uint64_t vcpu_cr4_read(const struct percpu *cpu, const struct vm *vm);

/* Sets what the guest sees; the value has been checked. */
void vcpu_cr0_write(const struct percpu *cpu, uint64_t value);
void vcpu_cr4_write(const struct percpu *cpu, uint64_t value);

/* PAE paging keeps its four top entries in registers, which a MOV to CR0 or CR4 and a switch of tasks load. False: one
 * of them is invalid. Nothing to do without PAE paging. */
bool vcpu_cr_load_pdptes(const struct percpu *cpu, const struct vcpu *vcpu);

#endif
