#include "hv/vcpu_cpuid.h"

#include "arch/cpu.h"
#include "arch/fpu.h"
#include "arch/tsc.h"
#include "hv/policy/msr_policy.h"
#include "hv/vm.h"

static struct cpuid_xsave_component components[CPUID_XSAVE_COMPONENTS];
static uint32_t max_basic, max_extended;
static uint64_t xcr0_allowed;
static bool invpcid, rdtscp, xsavec, xsaves;

void vcpu_cpuid_init(const struct vmx_config *config)
{
	const uint64_t host = fpu_components();

	max_basic = cpuid(CPUID_VENDOR, 0).eax;
	max_extended = cpuid(CPUID_EXT_MAX, 0).eax;
	invpcid = config->invpcid;
	rdtscp = config->rdtscp;
	for (unsigned i = 2; i < CPUID_XSAVE_COMPONENTS && host != 0; i++) {
		const struct cpuid_regs words = cpuid(CPUID_XSAVE, i);

		components[i] = (struct cpuid_xsave_component){
			.bytes = words.eax,
			.offset = words.ebx,
			.align64 = (words.ecx & 2) != 0,
		};
	}
	xcr0_allowed = cpuid_policy_xcr0_placed(host, components);
	xsavec = xcr0_allowed != 0 && cpuid_policy_compacts(host, fpu_compacted_bytes(), components);
	xsaves = xsavec && config->xsaves && (cpuid(CPUID_XSAVE, 1).eax & CPUID_XSAVE1_EAX_XSAVES);
}

uint64_t vcpu_cpuid_xcr0_allowed(void)
{
	return xcr0_allowed;
}

uint32_t vcpu_cpuid_msr_instructions(void)
{
	return (rdtscp ? MSR_WITH_RDTSCP : 0) | (xsaves ? MSR_WITH_XSAVES : 0);
}

static struct cpuid_view view_of(const struct vcpu_model *model)
{
	return (struct cpuid_view){
		.model = model,
		.host_max_basic = max_basic,
		.host_max_extended = max_extended,
		.xsave = components,
		.vcpu_count = 1,
		.xcr0_allowed = xcr0_allowed,
		.xcr0 = 1,
		.apic = true,
		.x2apic = true,
		.tsc_deadline = true,
		.invpcid = invpcid,
		.rdtscp = rdtscp,
		.xsavec = xsavec,
		.xsaves = xsaves,
		.tsc_hz = tsc_hz(),
	};
}

static struct cpuid_words answer(uint32_t guest_leaf, uint32_t subleaf, const struct cpuid_view *view)
{
	const uint32_t leaf = cpuid_policy_leaf(guest_leaf, view);
	const struct cpuid_regs host = cpuid(leaf, subleaf);

	return cpuid_policy_answer(leaf, subleaf, (struct cpuid_words){host.eax, host.ebx, host.ecx, host.edx}, view);
}

void vcpu_cpuid_fill(struct cpuid_cached *slot, const struct vcpu *vcpu, uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_view view = view_of(&vcpu->vm->model);

	view.vcpu_index = vcpu->index;
	view.vcpu_count = vcpu->vm->vcpu_count;
	view.apic = lapic_is_on(&vcpu->lapic);
	view.xcr0 = vcpu->xcr0;
	view.tsx_ctrl = vcpu->tsx_ctrl;
	*slot = (struct cpuid_cached){.leaf = leaf,
				      .subleaf = subleaf,
				      .words = answer(leaf, subleaf, &view),
				      .cr4_bit = cpuid_policy_cr4_bit(cpuid_policy_leaf(leaf, &view), subleaf)};
}

void vcpu_cpuid_changed(struct vcpu *vcpu)
{
	cpuid_cache_forget(&vcpu->cpuid);
}

struct cpuid_words vcpu_cpuid_at_start(const struct vcpu_model *model, uint32_t leaf, uint32_t subleaf)
{
	const struct cpuid_view view = view_of(model);

	return answer(leaf, subleaf, &view);
}
