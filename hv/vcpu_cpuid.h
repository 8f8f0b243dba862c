/* What CPUID answers on a vCPU: the host's words through hv/policy/cpuid_policy.h. */
#ifndef HV_VCPU_CPUID_H
#define HV_VCPU_CPUID_H

#include <stdint.h>

#include "hv/policy/cpuid_cache.h"
#include "hv/policy/vmx_ctl.h"
#include "hv/vcpu.h"

/* Reads what does not change from the CPU. Once at boot; config: the VMX configuration of all pCPUs. */
void vcpu_cpuid_init(const struct vmx_config *config);

/* Makes the answer to (leaf, subleaf) for its slot in vcpu->cpuid. */
void vcpu_cpuid_fill(struct cpuid_cached *slot, const struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf);

/* The vCPU's XCR0, IA32_TSX_CTRL or IA32_APIC_BASE has changed: what is kept of its answers no longer holds. */
void vcpu_cpuid_changed(struct vcpu *vcpu);

/* The same for a VM that is being made, whose guest has written no register yet. */
struct cpuid_words vcpu_cpuid_at_start(const struct vcpu_model *model, uint32_t leaf, uint32_t subleaf);

/* State components that guests may enable in XCR0; 0: guests have no XSAVE. */
uint64_t vcpu_cpuid_xcr0_allowed(void);

/* Which of the instructions that bring MSRs guests see: enum msr_instruction. */
uint32_t vcpu_cpuid_msr_instructions(void);

#endif
