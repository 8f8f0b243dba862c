/* What the CPU can do and what it says of itself. */
#include "hv/policy/cpu_caps.h"

#include "hv/policy/text.h"

enum cpuid_word { LEAF1_ECX, LEAF7_EBX, LEAF7_EDX, LEAF7_2_EDX, CPUID_WORD_COUNT };

/* Where CPUID states each feature, and the name that options use for it. */
static const struct feature {
	uint32_t feature;
	enum cpuid_word word;
	uint32_t mask;
	const char *name;
} FEATURES[] = {
	{CPU_ARCH_CAPABILITIES, LEAF7_EDX, CPUID7_EDX_ARCH_CAPABILITIES, "arch_capabilities"},
	{CPU_L1D_FLUSH, LEAF7_EDX, CPUID7_EDX_L1D_FLUSH, "l1d_flush"},
	{CPU_MD_CLEAR, LEAF7_EDX, CPUID7_EDX_MD_CLEAR, "md_clear"},
	{CPU_SRBDS_CTRL, LEAF7_EDX, CPUID7_EDX_SRBDS_CTRL, "srbds_ctrl"},
	{CPU_IBRS, LEAF7_EDX, CPUID7_EDX_IBRS, "ibrs"},
	{CPU_STIBP, LEAF7_EDX, CPUID7_EDX_STIBP, "stibp"},
	{CPU_SSBD, LEAF7_EDX, CPUID7_EDX_SSBD, "ssbd"},
	{CPU_RTM, LEAF7_EBX, CPUID7_EBX_RTM, "rtm"},
	{CPU_RDRAND_RDSEED, LEAF1_ECX, CPUID1_ECX_RDRAND, NULL},
	{CPU_RDRAND_RDSEED, LEAF7_EBX, CPUID7_EBX_RDSEED, NULL},
	{CPU_AVX, LEAF1_ECX, CPUID1_ECX_AVX, NULL},
	{CPU_HYPERVISOR, LEAF1_ECX, CPUID1_ECX_HYPERVISOR, NULL},
	{CPU_HYBRID, LEAF7_EDX, CPUID7_EDX_HYBRID, NULL},
	{CPU_PSFD, LEAF7_2_EDX, CPUID7_2_EDX_PSFD, NULL},
	{CPU_IPRED_CTRL, LEAF7_2_EDX, CPUID7_2_EDX_IPRED_CTRL, NULL},
	{CPU_RRSBA_CTRL, LEAF7_2_EDX, CPUID7_2_EDX_RRSBA_CTRL, NULL},
	{CPU_BHI_CTRL, LEAF7_2_EDX, CPUID7_2_EDX_BHI_CTRL, NULL},
};

#define FEATURE_COUNT (sizeof(FEATURES) / sizeof(FEATURES[0]))

/* The MSRs that exist because of a feature or of a bit of IA32_ARCH_CAPABILITIES. */
static const struct msr_source {
	uint32_t msr;
	uint32_t features;
	uint64_t arch_capabilities;
} MSR_SOURCES[] = {
	{CPU_MSR_SPEC_CTRL, CPU_IBRS | CPU_STIBP | CPU_SSBD | CPU_PSFD | CPU_IPRED_CTRL | CPU_RRSBA_CTRL | CPU_BHI_CTRL,
	 0},
	{CPU_MSR_PRED_CMD, CPU_IBRS, 0},
	{CPU_MSR_FLUSH_CMD, CPU_L1D_FLUSH, 0},
	{CPU_MSR_MCU_OPT_CTRL, CPU_SRBDS_CTRL, ARCH_CAP(FB_CLEAR_CTRL) | ARCH_CAP(GDS_CTRL)},
	{CPU_MSR_TSX_CTRL, 0, ARCH_CAP(TSX_CTRL)},
};

#define MSR_SOURCE_COUNT (sizeof(MSR_SOURCES) / sizeof(MSR_SOURCES[0]))

/* Features that count only for what they make possible: what one pCPU has, all are taken to have. */
#define WEAK_FEATURES ((uint32_t)(CPU_RDRAND_RDSEED | CPU_AVX | CPU_HYPERVISOR | CPU_HYBRID))
#define WEAK_CAPS     (ARCH_CAP(RSBA) | ARCH_CAP(RRSBA))

static const char *const BIT_NAMES[64] = {
#define ARCH_CAP_DEF(bit, NAME, name) [bit] = #name,
#include "arch/defs/arch_caps.def"
#undef ARCH_CAP_DEF
};

static uint32_t raw_features(const struct cpu_raw *raw)
{
	const uint32_t words[CPUID_WORD_COUNT] = {
		[LEAF1_ECX] = raw->leaf1_ecx,
		[LEAF7_EBX] = raw->leaf7_ebx,
		[LEAF7_EDX] = raw->leaf7_edx,
		[LEAF7_2_EDX] = raw->leaf7_2_edx,
	};
	uint32_t features = 0;

	for (size_t i = 0; i < FEATURE_COUNT; i++) {
		if (words[FEATURES[i].word] & FEATURES[i].mask)
			features |= FEATURES[i].feature;
	}
	return features;
}

/* SDM vol. 2A, "CPUID--CPU Identification", version information in leaf 1 EAX. */
static void set_signature(struct cpu_caps *caps, uint32_t eax)
{
	uint32_t base_family = eax >> 8 & 0xf;
	uint32_t base_model = eax >> 4 & 0xf;
	uint32_t extended_family = eax >> 20 & 0xff;
	uint32_t extended_model = eax >> 16 & 0xf;

	caps->family = base_family == 0xf ? base_family + extended_family : base_family;
	caps->model = base_family == 0x6 || base_family == 0xf ? extended_model << 4 | base_model : base_model;
	caps->stepping = eax & 0xf;
}

struct cpu_caps cpu_caps_make(const struct cpu_raw *raw, const struct cpu_assumed *assumed)
{
	struct cpu_caps caps = {
		.is_intel = text_equal(raw->vendor, "GenuineIntel"),
		.features = raw_features(raw),
		.threads_per_core = raw->threads_per_core,
	};

	set_signature(&caps, raw->leaf1_eax);
	if (assumed->has_arch_capabilities)
		caps.features |= CPU_ARCH_CAPABILITIES;
	caps.features = (caps.features | assumed->set) & ~assumed->clear;
	if (caps.features & CPU_ARCH_CAPABILITIES) {
		caps.arch_capabilities =
			assumed->has_arch_capabilities ? assumed->arch_capabilities : raw->arch_capabilities;
	}
	return caps;
}

struct cpu_caps cpu_caps_common(const struct cpu_caps *a, const struct cpu_caps *b)
{
	struct cpu_caps common = *a;

	common.is_intel = a->is_intel && b->is_intel;
	common.features = (a->features & b->features) | ((a->features | b->features) & WEAK_FEATURES);
	common.arch_capabilities = (a->arch_capabilities & b->arch_capabilities) |
				   ((a->arch_capabilities | b->arch_capabilities) & WEAK_CAPS);
	if (b->threads_per_core > a->threads_per_core)
		common.threads_per_core = b->threads_per_core;
	return common;
}

uint32_t cpu_caps_msrs(const struct cpu_caps *caps)
{
	uint32_t msrs = 0;

	for (size_t i = 0; i < MSR_SOURCE_COUNT; i++) {
		const struct msr_source *source = &MSR_SOURCES[i];

		if ((caps->features & source->features) || (caps->arch_capabilities & source->arch_capabilities))
			msrs |= source->msr;
	}
	return msrs;
}

struct cpu_caps cpu_caps_without(const struct cpu_caps *caps, uint32_t missing)
{
	struct cpu_caps without = *caps;

	for (size_t i = 0; i < MSR_SOURCE_COUNT; i++) {
		if (missing & MSR_SOURCES[i].msr) {
			without.features &= ~MSR_SOURCES[i].features;
			without.arch_capabilities &= ~MSR_SOURCES[i].arch_capabilities;
		}
	}
	return without;
}

bool cpu_caps_fb_clear(uint64_t arch_capabilities, uint32_t features)
{
	const uint32_t both = CPU_L1D_FLUSH | CPU_MD_CLEAR;

	if (arch_capabilities & ARCH_CAP(FB_CLEAR))
		return true;
	return !(arch_capabilities & ARCH_CAP(MDS_NO)) && (features & both) == both;
}

bool cpu_caps_verw_immune(uint64_t arch_capabilities)
{
	const uint64_t all =
		ARCH_CAP(MDS_NO) | ARCH_CAP(TAA_NO) | ARCH_CAP(PSDP_NO) | ARCH_CAP(FBSDP_NO) | ARCH_CAP(SBDR_SSDP_NO);

	return (arch_capabilities & all) == all;
}

const char *cpu_caps_bit_name(unsigned bit)
{
	return bit < 64 ? BIT_NAMES[bit] : NULL;
}

#define BIT_NAME_SIZE 32

/* The bit's name, or bitN for one without. */
static size_t write_bit_name(char out[BIT_NAME_SIZE], unsigned bit)
{
	if (BIT_NAMES[bit] != NULL)
		return text_format(out, BIT_NAME_SIZE, "%s", BIT_NAMES[bit]);
	return text_format(out, BIT_NAME_SIZE, "bit%u", bit);
}

bool cpu_caps_bit_find(const char *name, size_t length, unsigned *bit)
{
	for (unsigned candidate = 0; candidate < 64; candidate++) {
		char candidate_name[BIT_NAME_SIZE];

		write_bit_name(candidate_name, candidate);
		if (text_is(candidate_name, name, length)) {
			*bit = candidate;
			return true;
		}
	}
	return false;
}

bool cpu_caps_names(char *out, size_t size, uint64_t value)
{
	size_t used = 0;

	if (value == 0)
		return text_copy(out, size, "-", 1);
	if (size == 0)
		return false;
	out[0] = '\0';
	for (unsigned bit = 0; bit < 64; bit++) {
		char name[BIT_NAME_SIZE];

		if (!(value >> bit & 1))
			continue;

		size_t comma = used > 0;
		size_t length = write_bit_name(name, bit);

		if (used + comma + length >= size)
			return false;
		used += text_format(out + used, size - used, "%s%s", comma ? "," : "", name);
	}
	return true;
}

const char *cpu_feature_name(uint32_t feature)
{
	for (size_t i = 0; i < FEATURE_COUNT; i++) {
		if (FEATURES[i].feature == feature)
			return FEATURES[i].name;
	}
	return NULL;
}

bool cpu_feature_find(const char *name, size_t length, uint32_t *feature)
{
	for (size_t i = 0; i < FEATURE_COUNT; i++) {
		if (FEATURES[i].name != NULL && text_is(FEATURES[i].name, name, length)) {
			*feature = FEATURES[i].feature;
			return true;
		}
	}
	return false;
}
