#include "hv/policy/cpuid_policy.h"

#include "arch/defs/cpuid.h"
#include "arch/defs/cpuid_isa.h"
#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "hv/policy/lapic.h"

/* The last leaves that guests get. */
#define GUEST_MAX_BASIC      CPUID_CPU_FREQUENCY
#define GUEST_MAX_EXTENDED   CPUID_EXT_ADDRESS_SIZES
#define GUEST_MAX_HYPERVISOR CPUID_HYPERVISOR_FEATURES
#define HYPERVISOR_LEAVES    0x10000000u

#define EXT_BRAND_FIRST 0x80000002u
#define EXT_CACHE       0x80000006u

#define HYPERVISOR_FEATURE_CAPS_EVENTS (1u << 0)

#define ALL_BITS   0xffffffffu
#define HZ_PER_KHZ 1000u
#define HZ_PER_MHZ 1000000u
#define LEAF7_LAST 2 /* subleaf */

#define LEAF1_ECX_PASS                                                                                  \
	(CPUID1_ECX_SSE3 | CPUID1_ECX_PCLMULQDQ | CPUID1_ECX_SSSE3 | CPUID1_ECX_FMA | CPUID1_ECX_CX16 | \
	 CPUID1_ECX_PCID | CPUID1_ECX_SSE41 | CPUID1_ECX_SSE42 | CPUID1_ECX_MOVBE | CPUID1_ECX_POPCNT | \
	 CPUID1_ECX_AES | CPUID1_ECX_XSAVE | CPUID1_ECX_AVX | CPUID1_ECX_F16C | CPUID1_ECX_RDRAND)
#define LEAF1_EDX_PASS                                                                                              \
	(CPUID1_EDX_FPU | CPUID1_EDX_VME | CPUID1_EDX_DE | CPUID1_EDX_PSE | CPUID1_EDX_TSC | CPUID1_EDX_MSR |       \
	 CPUID1_EDX_PAE | CPUID1_EDX_MCE | CPUID1_EDX_CX8 | CPUID1_EDX_SEP | CPUID1_EDX_MTRR | CPUID1_EDX_PGE |     \
	 CPUID1_EDX_MCA | CPUID1_EDX_CMOV | CPUID1_EDX_PAT | CPUID1_EDX_PSE36 | CPUID1_EDX_CLFSH | CPUID1_EDX_MMX | \
	 CPUID1_EDX_FXSR | CPUID1_EDX_SSE | CPUID1_EDX_SSE2 | CPUID1_EDX_SS)

#define LEAF7_EBX_AVX512                                                                           \
	(CPUID7_EBX_AVX512F | CPUID7_EBX_AVX512DQ | CPUID7_EBX_AVX512_IFMA | CPUID7_EBX_AVX512PF | \
	 CPUID7_EBX_AVX512ER | CPUID7_EBX_AVX512CD | CPUID7_EBX_AVX512BW | CPUID7_EBX_AVX512VL)
#define LEAF7_ECX_AVX512                                                                                        \
	(CPUID7_ECX_AVX512_VBMI | CPUID7_ECX_AVX512_VBMI2 | CPUID7_ECX_AVX512_VNNI | CPUID7_ECX_AVX512_BITALG | \
	 CPUID7_ECX_AVX512_VPOPCNTDQ)
#define LEAF7_EDX_AVX512 \
	(CPUID7_EDX_AVX512_4VNNIW | CPUID7_EDX_AVX512_4FMAPS | CPUID7_EDX_AVX512_VP2INTERSECT | CPUID7_EDX_AVX512_FP16)

/* What passes from the host, leaf by leaf. Leaves that are neither here nor in cpuid_policy_answer() are 0: MONITOR,
 * power, performance counters, PQM, SGX, PT and whatever is newer than this table. */
static const struct {
	uint32_t leaf, subleaf;
	struct cpuid_words pass;
} pass_rows[] = {
	{CPUID_VENDOR, 0, {.ebx = ALL_BITS, .ecx = ALL_BITS, .edx = ALL_BITS}},
	{CPUID_FEATURES,
	 0,
	 {.ebx = 0xffff /* brand index, CLFLUSH size */, .ecx = LEAF1_ECX_PASS, .edx = LEAF1_EDX_PASS}},
	{CPUID_EXTENDED_FEATURES,
	 0,
	 {.ebx = CPUID7_EBX_FSGSBASE | CPUID7_EBX_BMI1 | CPUID7_EBX_AVX2 | CPUID7_EBX_FDP_EXCPTN | CPUID7_EBX_SMEP |
		 CPUID7_EBX_BMI2 | CPUID7_EBX_ERMS | CPUID7_EBX_INVPCID | CPUID7_EBX_FPU_CS_DS_DEPR |
		 CPUID7_EBX_RDSEED | CPUID7_EBX_ADX | CPUID7_EBX_SMAP | CPUID7_EBX_CLFLUSHOPT | CPUID7_EBX_CLWB |
		 CPUID7_EBX_SHA | LEAF7_EBX_AVX512,
	  .ecx = CPUID7_ECX_UMIP | CPUID7_ECX_PKU | CPUID7_ECX_GFNI | CPUID7_ECX_VAES | CPUID7_ECX_VPCLMULQDQ |
		 CPUID7_ECX_RDPID | LEAF7_ECX_AVX512,
	  .edx = CPUID7_EDX_FSRM | CPUID7_EDX_SERIALIZE | LEAF7_EDX_AVX512}},
	{CPUID_EXTENDED_FEATURES,
	 1,
	 {.eax = CPUID7_1_EAX_AVX_VNNI | CPUID7_1_EAX_AVX512_BF16 | CPUID7_1_EAX_FZRM | CPUID7_1_EAX_FSRS |
		 CPUID7_1_EAX_FSRCS}},
	{CPUID_EXTENDED_FEATURES, 2, {.edx = CPUID7_2_EDX_MCDT_NO}},
	{CPUID_EXT_FEATURES,
	 0,
	 {.ecx = CPUID_EXT1_ECX_LAHF | CPUID_EXT1_ECX_LZCNT | CPUID_EXT1_ECX_PREFETCHW,
	  .edx = CPUID_EXT1_EDX_SYSCALL | CPUID_EXT1_EDX_NX | CPUID_EXT1_EDX_PAGE1GB | CPUID_EXT1_EDX_RDTSCP |
		 CPUID_EXT1_EDX_LM}},
	{CPUID_EXT_ADVANCED_POWER, 0, {.edx = CPUID_EXT7_EDX_INVARIANT_TSC}},
	{CPUID_EXT_ADDRESS_SIZES, 0, {.eax = 0xffff /* physical and linear address bits */}},
};

/* Leaves that pass whole, whatever the subleaf. */
static const uint32_t whole_leaves[] = {
	CPUID_CACHE_DESCRIPTORS, CPUID_CACHE_PARAMETERS, EXT_BRAND_FIRST,
	EXT_BRAND_FIRST + 1,     EXT_BRAND_FIRST + 2,    EXT_CACHE,
};

/* Leaves in which ECX chooses a subleaf; in all others it is ignored. */
static bool leaf_has_subleaves(uint32_t leaf)
{
	return leaf == CPUID_CACHE_PARAMETERS || leaf == CPUID_EXTENDED_FEATURES || leaf == CPUID_TOPOLOGY ||
	       leaf == CPUID_XSAVE;
}

/* Instruction sets that are of no use, and not to be shown, unless the guest may enable their state. */
static const struct {
	uint32_t leaf, subleaf;
	uint64_t xcr0;
	struct cpuid_words bits;
} xcr0_rows[] = {
	{CPUID_FEATURES, 0, XCR0_X87, {.ecx = CPUID1_ECX_XSAVE}},
	{CPUID_FEATURES, 0, XCR0_AVX, {.ecx = CPUID1_ECX_AVX | CPUID1_ECX_FMA | CPUID1_ECX_F16C}},
	{CPUID_EXTENDED_FEATURES,
	 0,
	 XCR0_AVX,
	 {.ebx = CPUID7_EBX_AVX2, .ecx = CPUID7_ECX_VAES | CPUID7_ECX_VPCLMULQDQ}},
	{CPUID_EXTENDED_FEATURES,
	 0,
	 XCR0_AVX | XCR0_AVX512,
	 {.ebx = LEAF7_EBX_AVX512, .ecx = LEAF7_ECX_AVX512, .edx = LEAF7_EDX_AVX512}},
	{CPUID_EXTENDED_FEATURES, 0, XCR0_PKRU, {.ecx = CPUID7_ECX_PKU}},
	{CPUID_EXTENDED_FEATURES, 1, XCR0_AVX, {.eax = CPUID7_1_EAX_AVX_VNNI}},
	{CPUID_EXTENDED_FEATURES, 1, XCR0_AVX | XCR0_AVX512, {.eax = CPUID7_1_EAX_AVX512_BF16}},
};

/* The model's features (facts.md 8) in leaf 7. SRBDS_CTRL is not among them: no guest has IA32_MCU_OPT_CTRL. */
static const struct {
	uint32_t feature;
	uint32_t subleaf;
	struct cpuid_words bits;
} model_rows[] = {
	{CPU_RTM, 0, {.ebx = CPUID7_EBX_RTM}},
	{CPU_MD_CLEAR, 0, {.edx = CPUID7_EDX_MD_CLEAR}},
	{CPU_IBRS, 0, {.edx = CPUID7_EDX_IBRS}},
	{CPU_STIBP, 0, {.edx = CPUID7_EDX_STIBP}},
	{CPU_L1D_FLUSH, 0, {.edx = CPUID7_EDX_L1D_FLUSH}},
	{CPU_SSBD, 0, {.edx = CPUID7_EDX_SSBD}},
	{CPU_PSFD, 2, {.edx = CPUID7_2_EDX_PSFD}},
	{CPU_IPRED_CTRL, 2, {.edx = CPUID7_2_EDX_IPRED_CTRL}},
	{CPU_RRSBA_CTRL, 2, {.edx = CPUID7_2_EDX_RRSBA_CTRL}},
	{CPU_BHI_CTRL, 2, {.edx = CPUID7_2_EDX_BHI_CTRL}},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static uint32_t max_extended(const struct cpuid_view *view)
{
	return least(view->host_max_extended, GUEST_MAX_EXTENDED);
}

/* The bits of an APIC id that number the cores of the one package. */
static uint32_t core_id_bits(const struct cpuid_view *view)
{
	uint32_t bits = 0;

	while ((1u << bits) < view->vcpu_count)
		bits++;
	return bits;
}

static struct cpuid_words words_and(struct cpuid_words a, struct cpuid_words b)
{
	return (struct cpuid_words){a.eax & b.eax, a.ebx & b.ebx, a.ecx & b.ecx, a.edx & b.edx};
}

static struct cpuid_words words_or(struct cpuid_words a, struct cpuid_words b)
{
	return (struct cpuid_words){a.eax | b.eax, a.ebx | b.ebx, a.ecx | b.ecx, a.edx | b.edx};
}

static struct cpuid_words words_without(struct cpuid_words a, struct cpuid_words b)
{
	return words_and(a, (struct cpuid_words){~b.eax, ~b.ebx, ~b.ecx, ~b.edx});
}

static void keep(uint32_t *word, uint32_t bit, bool shown)
{
	if (!shown)
		*word &= ~bit;
}

static void show(uint32_t *word, uint32_t bit, bool shown)
{
	if (shown)
		*word |= bit;
}

uint32_t cpuid_policy_leaf(uint32_t leaf, const struct cpuid_view *view)
{
	bool hypervisor = leaf - CPUID_HYPERVISOR < HYPERVISOR_LEAVES;
	bool extended = leaf >= CPUID_EXT_MAX && leaf <= max_extended(view);

	return leaf <= GUEST_MAX_BASIC || hypervisor || extended ? leaf : GUEST_MAX_BASIC;
}

/* A leaf that the host does not have answers there with another one's words. */
static bool host_has(uint32_t leaf, const struct cpuid_view *view)
{
	return leaf <= (leaf < CPUID_EXT_MAX ? view->host_max_basic : view->host_max_extended);
}

/* The host's words as far as they pass, and only the instruction sets whose state the guest may enable. */
static struct cpuid_words passed(uint32_t leaf, uint32_t subleaf, struct cpuid_words host, uint64_t xcr0_allowed)
{
	struct cpuid_words w = {0};

	for (unsigned i = 0; i < COUNT(whole_leaves); i++)
		if (whole_leaves[i] == leaf)
			w = host;
	for (unsigned i = 0; i < COUNT(pass_rows); i++)
		if (pass_rows[i].leaf == leaf && pass_rows[i].subleaf == subleaf)
			w = words_and(host, pass_rows[i].pass);
	for (unsigned i = 0; i < COUNT(xcr0_rows); i++)
		if (xcr0_rows[i].leaf == leaf && xcr0_rows[i].subleaf == subleaf && (xcr0_rows[i].xcr0 & ~xcr0_allowed))
			w = words_without(w, xcr0_rows[i].bits);
	return w;
}

/* Leaf 1 EAX (SDM vol. 2A, CPUID, "Version Information"): extended family and model count only beyond the base fields.
 */
uint32_t cpuid_policy_version(const struct vcpu_model *model)
{
	uint32_t base_family = least(model->family, 0xf);
	uint32_t extended_family = model->family - base_family;

	return model->stepping | (model->model & 0xf) << 4 | base_family << 8 | (model->model >> 4 & 0xf) << 16 |
	       extended_family << 20;
}

static void features(struct cpuid_words *w, const struct cpuid_view *view)
{
	uint32_t core_ids = 1u << core_id_bits(view);

	w->eax = cpuid_policy_version(view->model);
	w->ebx |= core_ids << 16 | view->vcpu_index << 24;
	w->ecx |= CPUID1_ECX_HYPERVISOR;
	show(&w->ecx, CPUID1_ECX_X2APIC, view->x2apic);
	show(&w->ecx, CPUID1_ECX_TSC_DEADLINE, view->tsc_deadline);
	show(&w->edx, CPUID1_EDX_APIC, view->apic);
	show(&w->edx, CPUID1_EDX_HTT, view->vcpu_count > 1);
}

static void extended_features(struct cpuid_words *w, uint32_t subleaf, uint32_t host_last,
			      const struct cpuid_view *view)
{
	for (unsigned i = 0; i < COUNT(model_rows); i++)
		if (model_rows[i].subleaf == subleaf && (view->model->features & model_rows[i].feature))
			*w = words_or(*w, model_rows[i].bits);
	if (subleaf != 0)
		return;
	w->eax = least(host_last, LEAF7_LAST);
	w->edx |= CPUID7_EDX_ARCH_CAPABILITIES;
	keep(&w->ecx, CPUID7_ECX_RDPID, view->rdtscp);
	keep(&w->ebx, CPUID7_EBX_INVPCID, view->invpcid);
	keep(&w->ebx, CPUID7_EBX_RTM, !(view->tsx_ctrl & TSX_CTRL_CPUID_CLEAR));
}

struct cpuid_cr4_bit cpuid_policy_cr4_bit(uint32_t leaf, uint32_t subleaf)
{
	if (leaf == CPUID_FEATURES)
		return (struct cpuid_cr4_bit){CR4_OSXSAVE, CPUID1_ECX_OSXSAVE};
	if (leaf == CPUID_EXTENDED_FEATURES && subleaf == 0)
		return (struct cpuid_cr4_bit){CR4_PKE, CPUID7_ECX_OSPKE};
	return (struct cpuid_cr4_bit){0};
}

/* Every vCPU is a core of its own with caches of its own (SDM vol. 2A, CPUID, "Deterministic Cache Parameters"). */
static void cache_parameters(struct cpuid_words *w, const struct cpuid_view *view)
{
	const uint32_t cache_type = 0x1f, sharing_and_cores = 0xffffc000u;

	if (!(w->eax & cache_type))
		return;
	w->eax = (w->eax & ~sharing_and_cores) | ((1u << core_id_bits(view)) - 1) << 26;
}

/* SDM vol. 2A, CPUID, "Extended Topology Enumeration": level type 1 is SMT, 2 is core. */
static struct cpuid_words topology(uint32_t subleaf, const struct cpuid_view *view)
{
	struct cpuid_words w = {.ecx = subleaf & 0xff, .edx = view->vcpu_index};

	if (subleaf == 0) {
		w.ebx = 1;
		w.ecx |= 1u << 8;
	} else if (subleaf == 1) {
		w.eax = core_id_bits(view);
		w.ebx = view->vcpu_count;
		w.ecx |= 2u << 8;
	}
	return w;
}

#define XSAVE_LEGACY_AND_HEADER_BYTES 576u
#define XSAVE_EXTENDED_FIRST          2u

uint64_t cpuid_policy_xcr0_placed(uint64_t xcr0, const struct cpuid_xsave_component *components)
{
	for (unsigned i = XSAVE_EXTENDED_FIRST; i < CPUID_XSAVE_COMPONENTS; i++)
		if (components[i].bytes == 0 || components[i].offset < XSAVE_LEGACY_AND_HEADER_BYTES)
			xcr0 &= ~(1ull << i);
	/* Those of AVX-512 can only be enabled together, and with AVX (SDM vol. 1, "Enabling the XSAVE Feature Set").
	 */
	if (!(xcr0 & XCR0_AVX) || (xcr0 & XCR0_AVX512) != XCR0_AVX512)
		xcr0 &= ~(uint64_t)XCR0_AVX512;
	return xcr0;
}

uint32_t cpuid_policy_xsave_bytes(uint64_t xcr0, const struct cpuid_xsave_component *components)
{
	uint32_t bytes = XSAVE_LEGACY_AND_HEADER_BYTES;

	for (unsigned i = XSAVE_EXTENDED_FIRST; i < CPUID_XSAVE_COMPONENTS; i++) {
		uint32_t end = components[i].offset + components[i].bytes;

		if ((xcr0 >> i & 1) && end > bytes)
			bytes = end;
	}
	return bytes;
}

/* SDM vol. 1, "Extended Region of an XSAVE Area", compacted format. */
static uint32_t xsave_compacted_bytes(uint64_t xcr0, const struct cpuid_xsave_component *components)
{
	uint32_t bytes = XSAVE_LEGACY_AND_HEADER_BYTES;

	for (unsigned i = XSAVE_EXTENDED_FIRST; i < CPUID_XSAVE_COMPONENTS; i++) {
		if (!(xcr0 >> i & 1))
			continue;
		if (components[i].align64)
			bytes = (bytes + 63) & ~63u;
		bytes += components[i].bytes;
	}
	return bytes;
}

bool cpuid_policy_compacts(uint64_t xcr0, uint32_t host_bytes, const struct cpuid_xsave_component *components)
{
	return xsave_compacted_bytes(xcr0, components) == host_bytes;
}

/* The instructions of leaf 0xd, subleaf 1, that the guest may have. */
static uint32_t xsave_instructions(const struct cpuid_view *view)
{
	return CPUID_XSAVE1_EAX_XSAVEOPT | CPUID_XSAVE1_EAX_XGETBV1 | (view->xsavec ? CPUID_XSAVE1_EAX_XSAVEC : 0) |
	       (view->xsaves ? CPUID_XSAVE1_EAX_XSAVES : 0);
}

static struct cpuid_words xsave(uint32_t subleaf, struct cpuid_words host, const struct cpuid_view *view)
{
	const uint32_t compacting = CPUID_XSAVE1_EAX_XSAVEC | CPUID_XSAVE1_EAX_XSAVES;
	struct cpuid_words w = {0};

	if (view->xcr0_allowed == 0)
		return w;
	if (subleaf == 0) {
		w.eax = (uint32_t)view->xcr0_allowed;
		w.ebx = cpuid_policy_xsave_bytes(view->xcr0, view->xsave);
		w.ecx = cpuid_policy_xsave_bytes(view->xcr0_allowed, view->xsave);
		w.edx = (uint32_t)(view->xcr0_allowed >> 32);
	} else if (subleaf == 1) {
		w.eax = host.eax & xsave_instructions(view);
		w.ebx = w.eax & compacting ? xsave_compacted_bytes(view->xcr0, view->xsave) : 0;
	} else if (subleaf < CPUID_XSAVE_COMPONENTS && (view->xcr0_allowed >> subleaf & 1)) {
		w.eax = view->xsave[subleaf].bytes;
		w.ebx = view->xsave[subleaf].offset;
		w.ecx = view->xsave[subleaf].align64 ? 1u << 1 : 0;
	}
	return w;
}

/* SDM vol. 2A, CPUID, "Time Stamp Counter and Nominal Core Crystal Clock Information": the crystal is also what the
 * local APIC's timer counts. It divides the TSC's rate, so that the ratio is exact. Rounded to kHz, for Linux cuts off
 * the rest of it, and would take 9.9999 MHz for 9.98. */
static struct cpuid_words tsc_ratio(const struct cpuid_view *view)
{
	const uint64_t hz_per_unit = LAPIC_TSC_PER_COUNT * HZ_PER_KHZ;

	return (struct cpuid_words){
		.eax = 1,
		.ebx = LAPIC_TSC_PER_COUNT,
		.ecx = (uint32_t)((view->tsc_hz + hz_per_unit / 2) / hz_per_unit) * HZ_PER_KHZ,
	};
}

/* In MHz: base, maximum and bus frequency. */
static struct cpuid_words frequencies(const struct cpuid_view *view)
{
	const uint32_t mhz = (uint32_t)((view->tsc_hz + HZ_PER_MHZ / 2) / HZ_PER_MHZ);

	return (struct cpuid_words){.eax = mhz, .ebx = mhz, .ecx = mhz / LAPIC_TSC_PER_COUNT};
}

/* "SluiceSluice", four characters a register. */
static struct cpuid_words hypervisor(uint32_t leaf)
{
	struct cpuid_words w = {0};

	if (leaf == CPUID_HYPERVISOR) {
		w.eax = GUEST_MAX_HYPERVISOR;
		__builtin_memcpy(&w.ebx, "Slui", 4);
		__builtin_memcpy(&w.ecx, "ceSl", 4);
		__builtin_memcpy(&w.edx, "uice", 4);
	} else if (leaf == CPUID_HYPERVISOR_FEATURES) {
		w.eax = HYPERVISOR_FEATURE_CAPS_EVENTS;
	}
	return w;
}

struct cpuid_words cpuid_policy_answer(uint32_t leaf, uint32_t subleaf, struct cpuid_words host,
				       const struct cpuid_view *view)
{
	uint32_t row_subleaf = leaf_has_subleaves(leaf) ? subleaf : 0;
	struct cpuid_words w;
	struct cpuid_cr4_bit os = cpuid_policy_cr4_bit(leaf, subleaf);

	if (!host_has(leaf, view))
		host = (struct cpuid_words){0};
	w = passed(leaf, row_subleaf, host, view->xcr0_allowed);
	if (leaf - CPUID_HYPERVISOR < HYPERVISOR_LEAVES)
		return hypervisor(leaf);
	show(&w.ecx, os.ecx, view->cr4 & os.cr4);
	switch (leaf) {
	case CPUID_VENDOR:
		w.eax = GUEST_MAX_BASIC;
		break;
	case CPUID_FEATURES:
		features(&w, view);
		break;
	case CPUID_CACHE_PARAMETERS:
		cache_parameters(&w, view);
		break;
	case CPUID_EXTENDED_FEATURES:
		extended_features(&w, subleaf, host.eax, view);
		break;
	case CPUID_TOPOLOGY:
		return topology(subleaf, view);
	case CPUID_XSAVE:
		return xsave(subleaf, host, view);
	case CPUID_TSC_RATIO:
		return tsc_ratio(view);
	case CPUID_CPU_FREQUENCY:
		return frequencies(view);
	case CPUID_EXT_MAX:
		w.eax = max_extended(view);
		break;
	case CPUID_EXT_FEATURES:
		keep(&w.edx, CPUID_EXT1_EDX_RDTSCP, view->rdtscp);
		break;
	default:
		break;
	}
	return w;
}
