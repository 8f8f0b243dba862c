/* What one pCPU can do: read on that pCPU as it starts. */
#ifndef HV_CPU_PROBE_H
#define HV_CPU_PROBE_H

#include "hv/percpu.h"
#include "hv/policy/options.h"

/* Its caps, under the boot options, less the MSRs that it turned out not to have: each MSR that the hypervisor means to
 * touch is tried once, with an access that survives a fault, and one that is not there is reported. Seeds the caches of
 * IA32_MCU_OPT_CTRL and IA32_SPEC_CTRL (facts.md, trap 17). */
struct cpu_caps cpu_probe_caps(struct percpu *cpu, const struct options *options);

/* Turns VMX on and fills in cpu->vmx_config, or cpu->vmx_missing with the reason why not. The pCPU has its VMXON region
 * in cpu->vmxon_region. */
void cpu_probe_vmx(struct percpu *cpu, const struct options *options);

#endif
