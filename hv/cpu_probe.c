#include "hv/cpu_probe.h"

#include "arch/cpu.h"
#include "arch/defs/cr.h"
#include "arch/memory.h"
#include "arch/trap.h"
#include "arch/vmx.h"
#include "hv/log.h"

static void read_vendor(char vendor[13])
{
	const struct cpuid_regs r = cpuid(CPUID_VENDOR, 0);

	memcpy(vendor, &r.ebx, sizeof(r.ebx));
	memcpy(vendor + 4, &r.edx, sizeof(r.edx));
	memcpy(vendor + 8, &r.ecx, sizeof(r.ecx));
	vendor[12] = '\0';
}

/* Logical processors of a core, as the BIOS has enabled them (SDM vol. 2A, CPUID leaf 0BH, the SMT level). */
static uint32_t threads_per_core(uint32_t max_leaf)
{
	const uint32_t threads = max_leaf >= CPUID_TOPOLOGY ? cpuid(CPUID_TOPOLOGY, 0).ebx & 0xffff : 1;

	return threads == 0 ? 1 : threads;
}

static struct cpu_raw read_raw(const struct cpu_assumed *assumed)
{
	const uint32_t max_leaf = cpuid(CPUID_VENDOR, 0).eax;
	const struct cpuid_regs leaf1 = cpuid(CPUID_FEATURES, 0);
	struct cpu_raw raw = {.leaf1_eax = leaf1.eax, .leaf1_ecx = leaf1.ecx, .leaf1_edx = leaf1.edx};

	read_vendor(raw.vendor);
	raw.threads_per_core = threads_per_core(max_leaf);
	if (max_leaf >= CPUID_EXTENDED_FEATURES) {
		const struct cpuid_regs leaf7 = cpuid(CPUID_EXTENDED_FEATURES, 0);

		raw.leaf7_ebx = leaf7.ebx;
		raw.leaf7_ecx = leaf7.ecx;
		raw.leaf7_edx = leaf7.edx;
		if (leaf7.eax >= 2)
			raw.leaf7_2_edx = cpuid(CPUID_EXTENDED_FEATURES, 2).edx;
	}
	/* setcpuid= may know better than CPUID that the MSR is there: then it is tried. */
	if ((raw.leaf7_edx & CPUID7_EDX_ARCH_CAPABILITIES) || (assumed->set & CPU_ARCH_CAPABILITIES))
		rdmsr_safe(MSR_IA32_ARCH_CAPABILITIES, &raw.arch_capabilities);
	return raw;
}

/* One MSR whose existence a capability promises, and the access that shows it: a read, or for write-only ones the write
 * that we mean to make; what is read is written back where we mean to write. */
struct msr_trial {
	enum cpu_msr which;
	uint32_t msr;
	bool reads, writes;
	uint64_t value; /* written if it is not read before */
};

static const struct msr_trial trials[] = {
	{CPU_MSR_SPEC_CTRL, MSR_IA32_SPEC_CTRL, true, true, 0},
	{CPU_MSR_PRED_CMD, MSR_IA32_PRED_CMD, false, true, PRED_CMD_IBPB},
	{CPU_MSR_FLUSH_CMD, MSR_IA32_FLUSH_CMD, false, true, FLUSH_CMD_L1D_FLUSH},
	{CPU_MSR_MCU_OPT_CTRL, MSR_IA32_MCU_OPT_CTRL, true, true, 0},
	{CPU_MSR_TSX_CTRL, MSR_IA32_TSX_CTRL, true, false, 0},
};

static bool try_msr(const struct msr_trial *trial, uint64_t *value)
{
	*value = trial->value;
	if (trial->reads && !rdmsr_safe(trial->msr, value))
		return false;
	return !trial->writes || wrmsr_safe(trial->msr, *value);
}

struct cpu_caps cpu_probe_caps(struct percpu *cpu, const struct options *options)
{
	const struct cpu_raw raw = read_raw(&options->assumed);
	const struct cpu_caps caps = cpu_caps_make(&raw, &options->assumed);
	const uint32_t wanted = cpu_caps_msrs(&caps);
	uint32_t missing = 0;

	for (unsigned i = 0; i < sizeof(trials) / sizeof(trials[0]); i++) {
		uint64_t value;

		if (!(wanted & trials[i].which))
			continue;
		if (!try_msr(&trials[i], &value)) {
			missing |= trials[i].which;
			log_line(LOG_NOTICE, "cpu%u: msr 0x%x: faults, so it is not there: its use is dropped",
				 cpu->arch.index, trials[i].msr);
		} else if (trials[i].which == CPU_MSR_MCU_OPT_CTRL) {
			cpu->mcu_opt_ctrl = value;
		} else if (trials[i].which == CPU_MSR_SPEC_CTRL) {
			cpu->spec_ctrl = value;
		} else if (trials[i].which == CPU_MSR_TSX_CTRL) {
			cpu->tsx_ctrl = value;
			cpu->has_tsx_ctrl = true;
		}
	}
	return cpu_caps_without(&caps, missing);
}

static struct vmx_raw read_vmx_raw(void)
{
	struct vmx_raw raw = {
		.basic = rdmsr(MSR_IA32_VMX_BASIC),
		.misc = rdmsr(MSR_IA32_VMX_MISC),
		.cr0_fixed0 = rdmsr(MSR_IA32_VMX_CR0_FIXED0),
		.cr0_fixed1 = rdmsr(MSR_IA32_VMX_CR0_FIXED1),
		.cr4_fixed0 = rdmsr(MSR_IA32_VMX_CR4_FIXED0),
		.cr4_fixed1 = rdmsr(MSR_IA32_VMX_CR4_FIXED1),
	};
	const bool has_true = (raw.basic & VMX_BASIC_TRUE_CONTROLS) != 0;

	raw.pin = rdmsr(has_true ? MSR_IA32_VMX_TRUE_PINBASED_CTLS : MSR_IA32_VMX_PINBASED_CTLS);
	raw.processor = rdmsr(has_true ? MSR_IA32_VMX_TRUE_PROCBASED_CTLS : MSR_IA32_VMX_PROCBASED_CTLS);
	raw.exit = rdmsr(has_true ? MSR_IA32_VMX_TRUE_EXIT_CTLS : MSR_IA32_VMX_EXIT_CTLS);
	raw.entry = rdmsr(has_true ? MSR_IA32_VMX_TRUE_ENTRY_CTLS : MSR_IA32_VMX_ENTRY_CTLS);
	/* These two exist only where the secondary controls can be activated, and EPT or VPID be enabled. */
	if (raw.processor >> 32 & CPU_SECONDARY_CONTROLS) {
		raw.secondary = rdmsr(MSR_IA32_VMX_PROCBASED_CTLS2);
		if (raw.secondary >> 32 & (CPU2_ENABLE_EPT | CPU2_ENABLE_VPID))
			raw.ept_vpid = rdmsr(MSR_IA32_VMX_EPT_VPID_CAP);
	}
	return raw;
}

/* The firmware's word on VMX; where it has left the register open, it is closed with VMX on. */
static const char *feature_control(void)
{
	const uint64_t value = rdmsr(MSR_IA32_FEATURE_CONTROL);

	if (!(value & FEATURE_CONTROL_LOCK)) {
		wrmsr(MSR_IA32_FEATURE_CONTROL, value | FEATURE_CONTROL_LOCK | FEATURE_CONTROL_VMX);
		return NULL;
	}
	if (!(value & FEATURE_CONTROL_VMX))
		return "VMX is locked off in IA32_FEATURE_CONTROL: switch virtualization on in the firmware's setup";
	return NULL;
}

static const char *turn_on(struct percpu *cpu, const struct options *options)
{
	struct vmx_raw raw;
	const char *why;

	if (!(cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_VMX))
		return "this CPU has no VMX: use an Intel machine with VT-x, or an emulator (make run "
		       "MACHINE=bochs-skylake)";
	why = feature_control();
	if (why != NULL)
		return why;
	raw = read_vmx_raw();
	why = vmx_ctl_make(&cpu->vmx_config, &raw, options->apicv);
	if (why != NULL)
		return why;
	write_cr0((read_cr0() | cpu->vmx_config.cr0_fixed0) & cpu->vmx_config.cr0_fixed1);
	write_cr4((read_cr4() | CR4_VMXE | cpu->vmx_config.cr4_fixed0) & cpu->vmx_config.cr4_fixed1);
	/* Guests that XSAVES is offered to run with it as it is: no supervisor component is. */
	if (cpu->vmx_config.xsaves)
		wrmsr(MSR_IA32_XSS, 0);
	*(uint32_t *)hpa_ptr(cpu->vmxon_region) = cpu->vmx_config.revision;
	return vmxon(cpu->vmxon_region) ? NULL : "VMXON failed";
}

void cpu_probe_vmx(struct percpu *cpu, const struct options *options)
{
	cpu->vmx_missing = turn_on(cpu, options);
	cpu->vmx_on = cpu->vmx_missing == NULL;
}
