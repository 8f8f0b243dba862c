#include "hv/policy/msr_policy.h"

#include "arch/defs/cpuid.h"
#include "arch/defs/msr.h"
#include "hv/policy/cr_policy.h"

#define ALL_BITS (~0ull)

#define MISC_ENABLE_FAST_STRINGS (1u << 0)

/* A microcode revision of 1, as it reads after CPUID (SDM vol. 3A, "Microcode Update Signature and Verification"): the
 * revision is in the upper half. Writing 0 before CPUID is part of that protocol. */
#define MICROCODE_REVISION_1 (1ull << 32)

#define MTRR_DEF_TYPE_FIXED_ENABLE (1u << 10)

/* No row: IA32_FEATURE_CONTROL and the VMX MSRs (guests get no VMX), and IA32_MCU_OPT_CTRL (trap 22). */
static const struct msr_rule rules[] = {
	{.msr = MSR_IA32_TSC, .read = MSR_TSC, .write = MSR_TSC, .writable = ALL_BITS},
	{.msr = MSR_IA32_PLATFORM_ID, .read = MSR_CONSTANT, .write = MSR_GP},
	{.msr = MSR_IA32_SPEC_CTRL,
	 .read = MSR_SPEC_CTRL,
	 .write = MSR_SPEC_CTRL,
	 .writable = ALL_BITS, /* the model says which: msr_policy_spec_ctrl_mask() */
	 .needs_features = CPU_IBRS | CPU_STIBP | CPU_SSBD | CPU_PSFD | CPU_IPRED_CTRL | CPU_RRSBA_CTRL | CPU_BHI_CTRL},
	{.msr = MSR_IA32_PRED_CMD,
	 .read = MSR_GP,
	 .write = MSR_PRED_CMD,
	 .writable = PRED_CMD_IBPB,
	 .needs_features = CPU_IBRS},
	{.msr = MSR_IA32_BIOS_SIGN_ID,
	 .read = MSR_CONSTANT,
	 .write = MSR_IGNORE,
	 .value = MICROCODE_REVISION_1,
	 .writable = ALL_BITS},
	{.msr = MSR_IA32_MTRRCAP, .read = MSR_CONSTANT, .write = MSR_GP},
	{.msr = MSR_IA32_ARCH_CAPABILITIES,
	 .read = MSR_ARCH_CAPS,
	 .write = MSR_GP,
	 .needs_features = CPU_ARCH_CAPABILITIES},
	{.msr = MSR_IA32_FLUSH_CMD,
	 .read = MSR_GP,
	 .write = MSR_FLUSH_CMD,
	 .writable = FLUSH_CMD_L1D_FLUSH,
	 .needs_features = CPU_L1D_FLUSH},
	{.msr = MSR_IA32_TSX_CTRL,
	 .read = MSR_TSX_CTRL,
	 .write = MSR_TSX_CTRL,
	 .writable = TSX_CTRL_RTM_DISABLE | TSX_CTRL_CPUID_CLEAR,
	 .needs_caps = ARCH_CAP(TSX_CTRL)},
	{.msr = MSR_IA32_SYSENTER_CS, .read = MSR_PASS_VMCS, .write = MSR_PASS_VMCS, .writable = ALL_BITS},
	{.msr = MSR_IA32_SYSENTER_ESP, .read = MSR_PASS_VMCS, .write = MSR_PASS_VMCS, .writable = ALL_BITS},
	{.msr = MSR_IA32_SYSENTER_EIP, .read = MSR_PASS_VMCS, .write = MSR_PASS_VMCS, .writable = ALL_BITS},
	{.msr = MSR_IA32_MCG_CAP, .read = MSR_CONSTANT, .write = MSR_GP},
	{.msr = MSR_IA32_MCG_STATUS, .read = MSR_CONSTANT, .write = MSR_IGNORE},
	{.msr = MSR_IA32_MISC_ENABLE,
	 .read = MSR_CONSTANT,
	 .write = MSR_IGNORE,
	 .value = MISC_ENABLE_FAST_STRINGS,
	 .writable = ALL_BITS},
	{.msr = MSR_IA32_DEBUGCTL, .read = MSR_CONSTANT, .write = MSR_IGNORE},
	{.msr = MSR_IA32_PAT, .read = MSR_PAT, .write = MSR_PAT, .writable = ALL_BITS},
	{.msr = MSR_IA32_MTRR_DEF_TYPE,
	 .read = MSR_CONSTANT,
	 .write = MSR_IGNORE,
	 .value = MTRR_DEF_TYPE_ENABLE | MTRR_TYPE_WB,
	 .writable = MTRR_DEF_TYPE_MASK | MTRR_DEF_TYPE_ENABLE | MTRR_DEF_TYPE_FIXED_ENABLE},
	/* No supervisor component is offered: 0 alone may be written. */
	{.msr = MSR_IA32_XSS, .read = MSR_CONSTANT, .write = MSR_IGNORE, .needs_instructions = MSR_WITH_XSAVES},
	{.msr = MSR_IA32_EFER, .read = MSR_EFER, .write = MSR_EFER, .writable = ALL_BITS},
	{.msr = MSR_IA32_STAR, .read = MSR_PASS_SWITCHED, .write = MSR_PASS_SWITCHED, .writable = ALL_BITS},
	{.msr = MSR_IA32_LSTAR, .read = MSR_PASS_SWITCHED, .write = MSR_PASS_SWITCHED, .writable = ALL_BITS},
	{.msr = MSR_IA32_CSTAR, .read = MSR_PASS_SWITCHED, .write = MSR_PASS_SWITCHED, .writable = ALL_BITS},
	{.msr = MSR_IA32_FMASK, .read = MSR_PASS_SWITCHED, .write = MSR_PASS_SWITCHED, .writable = ALL_BITS},
	{.msr = MSR_IA32_FS_BASE, .read = MSR_PASS_VMCS, .write = MSR_PASS_VMCS, .writable = ALL_BITS},
	{.msr = MSR_IA32_GS_BASE, .read = MSR_PASS_VMCS, .write = MSR_PASS_VMCS, .writable = ALL_BITS},
	{.msr = MSR_IA32_KERNEL_GS_BASE, .read = MSR_PASS_SWITCHED, .write = MSR_PASS_SWITCHED, .writable = ALL_BITS},
	{.msr = MSR_IA32_TSC_AUX,
	 .read = MSR_PASS_SWITCHED,
	 .write = MSR_PASS_SWITCHED,
	 .writable = ALL_BITS,
	 .needs_instructions = MSR_WITH_RDTSCP},
};
#define RULE_COUNT (sizeof(rules) / sizeof(rules[0]))

/* Which bits of IA32_SPEC_CTRL come with which CPUID bit (facts.md 1). */
static const struct {
	uint32_t feature;
	uint64_t bits;
} spec_ctrl_bits[] = {
	{CPU_IBRS, SPEC_CTRL_IBRS},
	{CPU_STIBP, SPEC_CTRL_STIBP},
	{CPU_SSBD, SPEC_CTRL_SSBD},
	{CPU_IPRED_CTRL, SPEC_CTRL_IPRED_DIS_U | SPEC_CTRL_IPRED_DIS_S},
	{CPU_RRSBA_CTRL, SPEC_CTRL_RRSBA_DIS_U | SPEC_CTRL_RRSBA_DIS_S},
	{CPU_PSFD, SPEC_CTRL_PSFD},
	{CPU_BHI_CTRL, SPEC_CTRL_BHI_DIS_S},
};

const struct msr_rule *msr_policy_rule(unsigned i)
{
	return i < RULE_COUNT ? &rules[i] : NULL;
}

const struct msr_rule *msr_policy_find(uint32_t msr)
{
	for (unsigned i = 0; i < RULE_COUNT; i++)
		if (rules[i].msr == msr)
			return &rules[i];
	return NULL;
}

bool msr_policy_has(const struct msr_rule *rule, const struct vcpu_model *model, uint32_t instructions)
{
	if (rule->needs_features && !(model->features & rule->needs_features))
		return false;
	if (rule->needs_caps & ~model->arch_capabilities)
		return false;
	return !(rule->needs_instructions & ~instructions);
}

uint64_t msr_policy_spec_ctrl_mask(const struct vcpu_model *model)
{
	uint64_t mask = 0;

	for (unsigned i = 0; i < sizeof(spec_ctrl_bits) / sizeof(spec_ctrl_bits[0]); i++)
		if (model->features & spec_ctrl_bits[i].feature)
			mask |= spec_ctrl_bits[i].bits;
	return mask;
}

/* The PAT's types are the MTRRs' and UC-. */
static bool mtrr_type_valid(uint64_t type)
{
	return cr_policy_pat_valid(type) && type != PAT_TYPE_UC_MINUS;
}

bool msr_policy_write_valid(const struct msr_rule *rule, const struct vcpu_model *model, uint64_t value)
{
	if (rule->write == MSR_GP || ((value ^ rule->value) & ~rule->writable))
		return false;
	if (rule->write == MSR_SPEC_CTRL)
		return !(value & ~msr_policy_spec_ctrl_mask(model));
	if (rule->write == MSR_PAT)
		return cr_policy_pat_valid(value);
	if (rule->msr == MSR_IA32_MTRR_DEF_TYPE)
		return mtrr_type_valid(value & MTRR_DEF_TYPE_MASK);
	return true;
}

/* The bitmap has four parts of 1 KiB: reads of low MSRs, reads of high ones, writes of low ones, writes of high ones.
 * Low are 0-0x1fff, high 0xc0000000-0xc0001fff; all others always exit. */
#define BITMAP_PART_MSRS 0x2000u
#define BITMAP_HIGH_MSRS 0xc0000000u

/* The number of the MSR's read bit in the bitmap; the write bit is two parts on. False: the MSR has none. */
static bool bitmap_bit(uint32_t msr, uint32_t *bit)
{
	if (msr < BITMAP_PART_MSRS)
		*bit = msr;
	else if (msr - BITMAP_HIGH_MSRS < BITMAP_PART_MSRS)
		*bit = BITMAP_PART_MSRS + (msr - BITMAP_HIGH_MSRS);
	else
		return false;
	return true;
}

static bool passes(uint8_t action)
{
	return action == MSR_PASS_VMCS || action == MSR_PASS_SWITCHED;
}

void msr_policy_bitmap_open(uint8_t *bitmap, uint32_t msr, bool write)
{
	uint32_t bit;

	if (!bitmap_bit(msr, &bit))
		return;
	if (write)
		bit += 2 * BITMAP_PART_MSRS;
	bitmap[bit / 8] &= (uint8_t) ~(1u << bit % 8);
}

void msr_policy_bitmap_make(uint8_t *bitmap, const struct vcpu_model *model, uint32_t instructions)
{
	__builtin_memset(bitmap, 0xff, MSR_POLICY_BITMAP_BYTES);
	for (unsigned i = 0; i < RULE_COUNT; i++) {
		if (!msr_policy_has(&rules[i], model, instructions))
			continue;
		if (passes(rules[i].read))
			msr_policy_bitmap_open(bitmap, rules[i].msr, false);
		if (passes(rules[i].write))
			msr_policy_bitmap_open(bitmap, rules[i].msr, true);
	}
}

bool msr_policy_bitmap_exits(const uint8_t *bitmap, uint32_t msr, bool write)
{
	uint32_t bit;

	if (!bitmap_bit(msr, &bit))
		return true;
	if (write)
		bit += 2 * BITMAP_PART_MSRS;
	return bitmap[bit / 8] & (1u << bit % 8);
}
