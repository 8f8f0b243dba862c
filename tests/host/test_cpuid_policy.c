#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/cpuid.h"
#include "arch/defs/cpuid_isa.h"
#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "hv/policy/cpuid_cache.h"
#include "hv/policy/cpuid_policy.h"
#include "hv/policy/lapic.h"

#define TSC_HZ   2100000000ull
#define XCR0_ALL (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU)

static const struct cpuid_words ones = {~0u, ~0u, ~0u, ~0u};
static const struct cpuid_words zeros = {0};

static const struct cpuid_xsave_component skylake[CPUID_XSAVE_COMPONENTS] = {
	[2] = {256, 576, false},   [5] = {64, 1088, false}, [6] = {512, 1152, false},
	[7] = {1024, 1664, false}, [9] = {8, 2688, false},
};

static struct vcpu_model model;

/* A view that hides nothing. */
static struct cpuid_view open_view(void)
{
	model = (struct vcpu_model){
		.name = "m", .family = 6, .model = 0x55, .stepping = 4, .features = ~0u, .arch_capabilities = ~0ull};
	return (struct cpuid_view){
		.model = &model,
		.host_max_basic = 0x20,
		.host_max_extended = 0x80000008,
		.xsave = skylake,
		.vcpu_count = 1,
		.xcr0 = XCR0_ALL,
		.xcr0_allowed = XCR0_ALL,
		.apic = true,
		.x2apic = true,
		.tsc_deadline = true,
		.tsc_hz = TSC_HZ,
		.invpcid = true,
		.rdtscp = true,
		.xsavec = true,
		.xsaves = true,
	};
}

static struct cpuid_words ask(uint32_t leaf, uint32_t subleaf, struct cpuid_words host, const struct cpuid_view *view)
{
	return cpuid_policy_answer(cpuid_policy_leaf(leaf, view), subleaf, host, view);
}

static void assert_words(struct cpuid_words w, uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	assert_int_equal(w.eax, eax);
	assert_int_equal(w.ebx, ebx);
	assert_int_equal(w.ecx, ecx);
	assert_int_equal(w.edx, edx);
}

/* Features that no guest may see, even if the host, the model and the view say yes to all. */
static void test_never_shown(void **state)
{
	struct cpuid_view view = open_view();
	struct cpuid_words w;

	(void)state;
	view.cr4 = ~0ull;
	w = ask(1, 0, ones, &view);
	assert_int_equal(w.ecx & (CPUID1_ECX_VMX | CPUID1_ECX_SMX | CPUID1_ECX_MONITOR | CPUID1_ECX_DTES64 |
				  CPUID1_ECX_DS_CPL | CPUID1_ECX_EST | CPUID1_ECX_TM2 | CPUID1_ECX_XTPR |
				  CPUID1_ECX_PDCM),
			 0);
	assert_int_equal(w.edx & (CPUID1_EDX_DS | CPUID1_EDX_ACPI | CPUID1_EDX_TM | CPUID1_EDX_PBE), 0);
	w = ask(7, 0, ones, &view);
	assert_int_equal(w.ebx & (CPUID7_EBX_SGX | CPUID7_EBX_HLE | CPUID7_EBX_MPX | CPUID7_EBX_PQM | CPUID7_EBX_PQE |
				  CPUID7_EBX_PT | CPUID7_EBX_TSC_ADJUST),
			 0);
	assert_int_equal(w.ecx & (CPUID7_ECX_WAITPKG | CPUID7_ECX_CET_SS | CPUID7_ECX_LA57), 0);
	assert_int_equal(w.edx & (CPUID7_EDX_SRBDS_CTRL | CPUID7_EDX_HYBRID | CPUID7_EDX_CORE_CAPABILITIES |
				  CPUID7_EDX_TSX_FORCE_ABORT | CPUID7_EDX_RTM_ALWAYS_ABORT),
			 0);
	assert_int_equal(w.edx & (1u << 20 /* CET_IBT */ | 1u << 18 /* PCONFIG */ | 1u << 19 /* arch LBR */), 0);
}

/* MWAIT, power, perfmon, PQM, SGX, PT and the like: nothing of the host comes through; nor beyond the maxima. */
static void test_closed_leaves(void **state)
{
	static const uint32_t closed[] = {3, 5, 6, 8, 9, 0xa, 0xc, 0xe, 0xf, 0x10, 0x11, 0x12, 0x13, 0x14, 0x80000005};
	struct cpuid_view view = open_view();

	(void)state;
	for (unsigned i = 0; i < sizeof(closed) / sizeof(closed[0]); i++)
		for (uint32_t subleaf = 0; subleaf < 4; subleaf++)
			assert_words(ask(closed[i], subleaf, ones, &view), 0, 0, 0, 0);
	for (uint32_t subleaf = 3; subleaf < 64; subleaf++)
		assert_words(ask(7, subleaf, ones, &view), 0, 0, 0, 0);
}

static void test_leaf_folding(void **state)
{
	struct cpuid_view view = open_view();

	(void)state;
	for (uint32_t leaf = 0; leaf < 0x100; leaf++)
		assert_int_equal(cpuid_policy_leaf(leaf, &view), leaf <= 0x16 ? leaf : 0x16);
	for (uint32_t leaf = 0x80000000; leaf < 0x80000100; leaf++)
		assert_int_equal(cpuid_policy_leaf(leaf, &view), leaf <= 0x80000008 ? leaf : 0x16);
	assert_int_equal(cpuid_policy_leaf(0x40000000, &view), 0x40000000);
	assert_int_equal(cpuid_policy_leaf(0x4fffffff, &view), 0x4fffffff);
	assert_int_equal(cpuid_policy_leaf(0x50000000, &view), 0x16);
	assert_int_equal(cpuid_policy_leaf(0x3fffffff, &view), 0x16);
	assert_int_equal(cpuid_policy_leaf(~0u, &view), 0x16);
	assert_int_equal(ask(0, 0, ones, &view).eax, 0x16);
	assert_int_equal(ask(0x80000000, 0, ones, &view).eax, 0x80000008);
	view.host_max_basic = 0xd;
	view.host_max_extended = 0x80000004;
	assert_int_equal(cpuid_policy_leaf(0x16, &view), 0x16);
	assert_int_equal(cpuid_policy_leaf(0x80000008, &view), 0x16);
	assert_int_equal(ask(0, 0, ones, &view).eax, 0x16);
	assert_int_equal(ask(0x80000000, 0, ones, &view).eax, 0x80000004);
}

/* Bits that come from the host: what it lacks, the guest lacks. The others do not depend on it. */
static void test_nothing_invented(void **state)
{
	struct cpuid_view view = open_view();
	struct cpuid_words w;

	(void)state;
	model.features = CPU_ARCH_CAPABILITIES;
	view.apic = view.x2apic = view.tsc_deadline = false;
	w = ask(1, 0, zeros, &view);
	assert_int_equal(w.ecx, CPUID1_ECX_HYPERVISOR);
	assert_int_equal(w.edx, 0);
	assert_words(ask(7, 0, zeros, &view), 0, 0, 0, CPUID7_EDX_ARCH_CAPABILITIES);
	assert_words(ask(7, 1, zeros, &view), 0, 0, 0, 0);
	assert_words(ask(7, 2, zeros, &view), 0, 0, 0, 0);
	assert_words(ask(0x80000001, 0, zeros, &view), 0, 0, 0, 0);
	assert_words(ask(0x80000007, 0, zeros, &view), 0, 0, 0, 0);
}

static void test_version(void **state)
{
	struct cpuid_view view = open_view();

	(void)state;
	assert_int_equal(ask(1, 0, ones, &view).eax, 0x50654); /* Skylake server */
	model.model = 0x8f;
	model.stepping = 8;
	assert_int_equal(ask(1, 0, ones, &view).eax, 0x806f8); /* Sapphire Rapids */
	model.family = 0x17;
	model.model = 0x31;
	model.stepping = 0;
	assert_int_equal(ask(1, 0, ones, &view).eax, 0x830f10);
}

static void test_vcpu_state_shows(void **state)
{
	struct cpuid_view view = open_view();

	(void)state;
	for (unsigned n = 0; n < 4; n++) {
		view.cr4 = (n & 1 ? CR4_OSXSAVE : 0) | (n & 2 ? CR4_PKE : 0);
		assert_int_equal(!!(ask(1, 0, ones, &view).ecx & CPUID1_ECX_OSXSAVE), n & 1);
		assert_int_equal(!!(ask(7, 0, ones, &view).ecx & CPUID7_ECX_OSPKE), n >> 1);
	}
}

static void test_platform_shows(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 64; n++) {
		struct cpuid_view view = open_view();
		struct cpuid_words w;

		view.apic = n & 1;
		view.x2apic = n & 2;
		view.tsc_deadline = n & 4;
		view.invpcid = n & 8;
		view.rdtscp = n & 16;
		view.xsaves = n & 32;
		w = ask(1, 0, ones, &view);
		assert_int_equal(!!(w.edx & CPUID1_EDX_APIC), view.apic);
		assert_int_equal(!!(w.ecx & CPUID1_ECX_X2APIC), view.x2apic);
		assert_int_equal(!!(w.ecx & CPUID1_ECX_TSC_DEADLINE), view.tsc_deadline);
		w = ask(7, 0, ones, &view);
		assert_int_equal(!!(w.ebx & CPUID7_EBX_INVPCID), view.invpcid);
		assert_int_equal(!!(w.ecx & CPUID7_ECX_RDPID), view.rdtscp);
		assert_int_equal(!!(ask(0x80000001, 0, ones, &view).edx & CPUID_EXT1_EDX_RDTSCP), view.rdtscp);
		assert_int_equal(!!(ask(0xd, 1, ones, &view).eax & CPUID_XSAVE1_EAX_XSAVES), view.xsaves);
	}
}

/* Each model feature moves its own bit of leaf 7 and no other; ARCH_CAPABILITIES is always there. */
static void test_model_features(void **state)
{
	static const struct {
		uint32_t feature, subleaf, ebx, edx;
	} rows[] = {
		{CPU_RTM, 0, CPUID7_EBX_RTM, 0},
		{CPU_MD_CLEAR, 0, 0, CPUID7_EDX_MD_CLEAR},
		{CPU_IBRS, 0, 0, CPUID7_EDX_IBRS},
		{CPU_STIBP, 0, 0, CPUID7_EDX_STIBP},
		{CPU_SSBD, 0, 0, CPUID7_EDX_SSBD},
		{CPU_L1D_FLUSH, 0, 0, CPUID7_EDX_L1D_FLUSH},
		{CPU_PSFD, 2, 0, CPUID7_2_EDX_PSFD},
		{CPU_IPRED_CTRL, 2, 0, CPUID7_2_EDX_IPRED_CTRL},
		{CPU_RRSBA_CTRL, 2, 0, CPUID7_2_EDX_RRSBA_CTRL},
		{CPU_BHI_CTRL, 2, 0, CPUID7_2_EDX_BHI_CTRL},
		{CPU_SRBDS_CTRL, 0, 0, 0},
	};
	struct cpuid_view view = open_view();

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (unsigned host = 0; host < 2; host++)
			for (uint32_t subleaf = 0; subleaf < 3; subleaf++) {
				struct cpuid_words with, without, words = host ? ones : zeros;
				bool here = rows[i].subleaf == subleaf;

				model.features = CPU_ARCH_CAPABILITIES;
				without = ask(7, subleaf, words, &view);
				model.features |= rows[i].feature;
				with = ask(7, subleaf, words, &view);
				assert_int_equal(with.eax, without.eax);
				assert_int_equal(with.ebx, without.ebx | (here ? rows[i].ebx : 0));
				assert_int_equal(with.ecx, without.ecx);
				assert_int_equal(with.edx, without.edx | (here ? rows[i].edx : 0));
				assert_int_equal(without.ebx & rows[i].ebx, 0);
				if (here)
					assert_int_equal(without.edx & rows[i].edx, 0);
				if (subleaf == 0)
					assert_true(with.edx & CPUID7_EDX_ARCH_CAPABILITIES);
			}
}

/* facts.md, trap 15: RTM is what the model says, less what the guest's IA32_TSX_CTRL hides; HLE is never there. */
static void test_trap_15_rtm(void **state)
{
	struct cpuid_view view = open_view();

	(void)state;
	for (unsigned n = 0; n < 16; n++) {
		uint32_t ebx;

		model.features = CPU_ARCH_CAPABILITIES | (n & 1 ? CPU_RTM : 0);
		view.tsx_ctrl = (n & 2 ? TSX_CTRL_CPUID_CLEAR : 0) | (n & 4 ? TSX_CTRL_RTM_DISABLE : 0);
		ebx = ask(7, 0, n & 8 ? ones : zeros, &view).ebx;
		assert_int_equal(!!(ebx & CPUID7_EBX_RTM), (n & 1) && !(n & 2));
		assert_int_equal(ebx & CPUID7_EBX_HLE, 0);
	}
}

/* An instruction set is shown only if all state that it needs may be enabled. */
static void test_isa_follows_xcr0(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 16; n++) {
		struct cpuid_view view = open_view();
		bool xsave = n & 1, avx = xsave && (n & 2), avx512 = avx && (n & 4), pku = xsave && (n & 8);
		struct cpuid_words leaf1, leaf7, leaf7_1;

		view.xcr0_allowed = (xsave ? XCR0_X87 | XCR0_SSE : 0) | (avx ? XCR0_AVX : 0) |
				    (avx512 ? XCR0_AVX512 : 0) | (pku ? XCR0_PKRU : 0);
		leaf1 = ask(1, 0, ones, &view);
		leaf7 = ask(7, 0, ones, &view);
		leaf7_1 = ask(7, 1, ones, &view);
		assert_int_equal(!!(leaf1.ecx & CPUID1_ECX_XSAVE), xsave);
		assert_int_equal(!!(leaf1.ecx & CPUID1_ECX_AVX), avx);
		assert_int_equal(!!(leaf1.ecx & CPUID1_ECX_FMA), avx);
		assert_int_equal(!!(leaf7.ebx & CPUID7_EBX_AVX2), avx);
		assert_int_equal(!!(leaf7.ebx & CPUID7_EBX_AVX512F), avx512);
		assert_int_equal(!!(leaf7.ebx & CPUID7_EBX_AVX512VL), avx512);
		assert_int_equal(!!(leaf7.ecx & CPUID7_ECX_AVX512_VNNI), avx512);
		assert_int_equal(!!(leaf7.edx & CPUID7_EDX_AVX512_FP16), avx512);
		assert_int_equal(!!(leaf7.ecx & CPUID7_ECX_PKU), pku);
		assert_int_equal(!!(leaf7_1.eax & CPUID7_1_EAX_AVX_VNNI), avx);
		assert_int_equal(!!(leaf7_1.eax & CPUID7_1_EAX_AVX512_BF16), avx512);
		assert_true(leaf7.ebx & CPUID7_EBX_BMI2);
		assert_true(leaf1.ecx & CPUID1_ECX_AES);
	}
}

static void test_xsave_sizes(void **state)
{
	struct cpuid_view view = open_view();

	(void)state;
	assert_words(ask(0xd, 0, zeros, &view), 0x2e7, 2696, 2696, 0);
	view.xcr0 = XCR0_X87;
	assert_words(ask(0xd, 0, zeros, &view), 0x2e7, 576, 2696, 0);
	view.xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
	assert_words(ask(0xd, 0, zeros, &view), 0x2e7, 832, 2696, 0);
	assert_words(ask(0xd, 1, (struct cpuid_words){.eax = 0xf}, &view), 0xf, 832, 0, 0);
	view.xcr0 = XCR0_X87 | XCR0_SSE | XCR0_PKRU; /* compacted: 8 bytes after the header */
	assert_words(ask(0xd, 1, ones, &view), 0xf, 584, 0, 0);
	view.xsaves = false;
	assert_words(ask(0xd, 1, ones, &view), 0x7, 584, 0, 0);
	view.xsavec = false;
	assert_words(ask(0xd, 1, ones, &view), 0x5, 0, 0, 0);
	assert_words(ask(0xd, 1, (struct cpuid_words){.eax = 1}, &view), 1, 0, 0, 0);
	assert_words(ask(0xd, 2, ones, &view), 256, 576, 0, 0);
	assert_words(ask(0xd, 3, ones, &view), 0, 0, 0, 0);
	assert_words(ask(0xd, 9, ones, &view), 8, 2688, 0, 0);
	assert_words(ask(0xd, 10, ones, &view), 0, 0, 0, 0);
	assert_words(ask(0xd, 64, ones, &view), 0, 0, 0, 0);
	assert_words(ask(0xd, ~0u, ones, &view), 0, 0, 0, 0);
	view.xcr0 = view.xcr0_allowed = XCR0_X87 | XCR0_SSE;
	assert_words(ask(0xd, 0, ones, &view), 3, 576, 576, 0);
	assert_words(ask(0xd, 2, ones, &view), 0, 0, 0, 0);
	view.xcr0_allowed = 0;
	view.xsave = NULL;
	for (uint32_t subleaf = 0; subleaf < 64; subleaf++)
		assert_words(ask(0xd, subleaf, ones, &view), 0, 0, 0, 0);
}

static void test_xsave_compacted_alignment(void **state)
{
	struct cpuid_xsave_component components[CPUID_XSAVE_COMPONENTS];
	struct cpuid_view view = open_view();

	(void)state;
	memcpy(components, skylake, sizeof(components));
	components[9].align64 = true;
	components[2].bytes = 200;
	view.xsave = components;
	view.xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_PKRU;
	assert_words(ask(0xd, 1, ones, &view), 0xf, 832 + 8, 0, 0);
	assert_words(ask(0xd, 9, ones, &view), 8, 2688, 2, 0);
}

/* What CPUID gives no place to, no guest may enable, nor what cannot be enabled without it. */
static void test_xsave_without_a_place(void **state)
{
	struct cpuid_xsave_component components[CPUID_XSAVE_COMPONENTS];

	(void)state;
	assert_int_equal(cpuid_policy_xcr0_placed(XCR0_ALL, skylake), XCR0_ALL);
	assert_int_equal(cpuid_policy_xcr0_placed(0, skylake), 0);
	for (unsigned without = 2; without < CPUID_XSAVE_COMPONENTS; without++) {
		const uint64_t bit = 1ull << without, needs_it = bit & XCR0_AVX ? XCR0_AVX512 : 0;
		const uint64_t left = XCR0_ALL & ~(bit & XCR0_AVX512 ? XCR0_AVX512 : bit | needs_it);

		memcpy(components, skylake, sizeof(components));
		components[without].bytes = 0;
		assert_int_equal(cpuid_policy_xcr0_placed(XCR0_ALL, components), left);
		components[without] = (struct cpuid_xsave_component){.bytes = 8};
		assert_int_equal(cpuid_policy_xcr0_placed(XCR0_ALL, components), left);
	}
	memset(components, 0, sizeof(components));
	assert_int_equal(cpuid_policy_xcr0_placed(XCR0_ALL, components), XCR0_X87 | XCR0_SSE);
}

/* Skylake's list, with the bytes that a CPU may name for it in the compacted format. Bochs 2.7 names 0xa80 for 0xe7. */
static void test_compacts_if_the_cpu_agrees(void **state)
{
	(void)state;
	for (uint32_t bytes = 0; bytes < 4096; bytes++) {
		assert_int_equal(cpuid_policy_compacts(0xe7, bytes, skylake), bytes == 0x980);
		assert_int_equal(cpuid_policy_compacts(XCR0_X87 | XCR0_SSE, bytes, skylake), bytes == 576);
	}
}

/* The standard-format size never shrinks when a component is added. */
static void test_xsave_bytes_grow(void **state)
{
	(void)state;
	for (uint64_t xcr0 = 0; xcr0 < 1u << CPUID_XSAVE_COMPONENTS; xcr0++)
		for (unsigned bit = 0; bit < CPUID_XSAVE_COMPONENTS; bit++)
			assert_true(cpuid_policy_xsave_bytes(xcr0, skylake) <=
				    cpuid_policy_xsave_bytes(xcr0 | 1ull << bit, skylake));
}

/* The ids of the vCPUs are their indices everywhere, distinct, and fit in the bits that the topology leaf names. */
static void test_topology(void **state)
{
	(void)state;
	for (uint32_t count = 1; count <= 32; count++)
		for (uint32_t index = 0; index < count; index++) {
			struct cpuid_view view = open_view();
			struct cpuid_words smt, core, none, leaf1;

			view.vcpu_count = count;
			view.vcpu_index = index;
			leaf1 = ask(1, 0, ones, &view);
			smt = ask(0xb, 0, ones, &view);
			core = ask(0xb, 1, ones, &view);
			none = ask(0xb, 2, ones, &view);
			assert_int_equal(leaf1.ebx >> 24, index);
			assert_true((leaf1.ebx >> 16 & 0xff) >= count);
			assert_int_equal(!!(leaf1.edx & CPUID1_EDX_HTT), count > 1);
			assert_words(smt, 0, 1, 0x100, index);
			assert_int_equal(core.ebx, count);
			assert_int_equal(core.ecx, 0x201);
			assert_int_equal(core.edx, index);
			assert_true(index < 1u << core.eax);
			assert_true(count > (1u << core.eax) / 2);
			assert_words(none, 0, 0, 2, index);
		}
}

static void test_caches_are_private(void **state)
{
	struct cpuid_view view = open_view();
	const struct cpuid_words l3 = {0xfc1fc163, 0x02c0003f, 0x3fff, 6};

	(void)state;
	assert_words(ask(4, 3, l3, &view), 0x00000163, l3.ebx, l3.ecx, l3.edx);
	view.vcpu_count = 3;
	assert_words(ask(4, 3, l3, &view), 0x0c000163, l3.ebx, l3.ecx, l3.edx);
	assert_words(ask(4, 4, zeros, &view), 0, 0, 0, 0);
}

static void test_leaf7_subleaf_maximum(void **state)
{
	struct cpuid_view view = open_view();

	(void)state;
	for (uint32_t host = 0; host < 5; host++)
		assert_int_equal(ask(7, 0, (struct cpuid_words){.eax = host}, &view).eax, host < 2 ? host : 2);
}

static void test_passed_whole(void **state)
{
	static const uint32_t leaves[] = {2, 0x80000002, 0x80000003, 0x80000004, 0x80000006};
	const struct cpuid_words host = {1, 22, 333, 4444};
	struct cpuid_view view = open_view();

	(void)state;
	for (unsigned i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++)
		assert_words(ask(leaves[i], 0x77, host, &view), 1, 22, 333, 4444);
}

/* A host that has no such leaf answers with another one's words: nothing of them passes. */
static void test_leaves_that_the_host_lacks(void **state)
{
	struct cpuid_view view = open_view();

	(void)state;
	model.features = CPU_ARCH_CAPABILITIES;
	view.host_max_basic = 1;
	assert_words(ask(2, 0, ones, &view), 0, 0, 0, 0);
	assert_words(ask(7, 0, ones, &view), 0, 0, 0, CPUID7_EDX_ARCH_CAPABILITIES);
	view.host_max_extended = 0x80000001;
	assert_words(ask(0x80000001, 0, ones, &view), 0, 0, 0x121, 0x2c100800);
}

/* Crystal times ratio is the TSC's rate, and the crystal what the local APIC's timer counts: whatever the host says. */
static void test_time(void **state)
{
	static const uint64_t rates[] = {9999999, 100000000, TSC_HZ, 5123456789};
	struct cpuid_view view = open_view();

	(void)state;
	for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct cpuid_words w;

		view.tsc_hz = rates[i];
		w = ask(0x15, 0, i % 2 ? ones : zeros, &view);
		assert_int_equal(w.eax, 1);
		assert_int_equal(w.ebx, LAPIC_TSC_PER_COUNT);
		assert_int_equal(w.ecx % 1000, 0);
		assert_true(llabs((int64_t)((uint64_t)w.ecx * w.ebx - rates[i])) <= 500 * (int64_t)w.ebx);
		assert_int_equal(w.edx, 0);
		w = ask(0x16, 0, i % 2 ? ones : zeros, &view);
		assert_int_equal(w.eax, (rates[i] + 500000) / 1000000);
		assert_int_equal(w.ebx, w.eax);
	}
}

/* Leaves without subleaves ignore ECX. */
static void test_ecx_is_ignored(void **state)
{
	static const uint32_t leaves[] = {0, 1, 0x80000000, 0x80000001, 0x80000007, 0x80000008};
	struct cpuid_view view = open_view();

	(void)state;
	for (unsigned i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
		struct cpuid_words a = ask(leaves[i], 0, ones, &view), b = ask(leaves[i], 0xdead, ones, &view);

		assert_memory_equal(&a, &b, sizeof(a));
	}
}

static void test_extended_leaves(void **state)
{
	struct cpuid_view view = open_view();

	(void)state;
	assert_words(ask(0x80000001, 0, ones, &view), 0, 0, 0x121, 0x2c100800);
	assert_words(ask(0x80000007, 0, ones, &view), 0, 0, 0, 0x100);
	assert_words(ask(0x80000008, 0, ones, &view), 0xffff, 0, 0, 0);
}

static void test_paravirtual_leaves(void **state)
{
	struct cpuid_view view = open_view();
	struct cpuid_words w = ask(0x40000000, 0, ones, &view);
	char name[13] = {0};

	(void)state;
	memcpy(name, &w.ebx, 4);
	memcpy(name + 4, &w.ecx, 4);
	memcpy(name + 8, &w.edx, 4);
	assert_string_equal(name, "SluiceSluice");
	assert_int_equal(w.eax, 0x40000001);
	assert_words(ask(0x40000001, 0, ones, &view), 1, 0, 0, 0);
	assert_words(ask(0x40000002, 0, ones, &view), 0, 0, 0, 0);
	assert_words(ask(0x40000100, 0, ones, &view), 0, 0, 0, 0);
}

/* hv/vcpu_cpuid.c fills a slot without CR4, hv/exit_cpuid.c takes the words from it. */
static void test_kept_answers_are_exact(void **state)
{
	static const uint64_t cr4s[] = {0, CR4_OSXSAVE, CR4_PKE, CR4_OSXSAVE | CR4_PKE, ~0ull};
	static const uint32_t starts[] = {0, 0x40000000, 0x80000000, ~0u - 0x20};
	static struct cpuid_cache cache;
	struct cpuid_view view = open_view();

	(void)state;
	cpuid_cache_forget(&cache);
	for (unsigned i = 0; i < sizeof(starts) / sizeof(starts[0]) * 0x20 * 4 * 5; i++) {
		const uint32_t leaf = starts[i / 5 / 4 / 0x20] + i / 5 / 4 % 0x20, subleaf = i / 5 % 4;
		const uint64_t cr4 = cr4s[i % 5];
		struct cpuid_cached *slot = cpuid_cache_slot(&cache, leaf, subleaf);
		const struct cpuid_words host = {leaf * 3, ~subleaf, ~0u, leaf ^ 0x55555555};
		struct cpuid_words fresh;

		/* The same slot is kept for the other values of CR4. */
		assert_int_equal(cpuid_cache_has(slot, leaf, subleaf), i % 5 != 0);
		view.cr4 = 0;
		if (i % 5 == 0)
			*slot = (struct cpuid_cached){
				.leaf = leaf,
				.subleaf = subleaf,
				.words = ask(leaf, subleaf, host, &view),
				.cr4_bit = cpuid_policy_cr4_bit(cpuid_policy_leaf(leaf, &view), subleaf)};
		view.cr4 = cr4;
		fresh = ask(leaf, subleaf, host, &view);
		assert_words(fresh, slot->words.eax, slot->words.ebx, cpuid_cache_ecx(slot, cr4), slot->words.edx);
	}
	cpuid_cache_forget(&cache);
	for (uint32_t leaf = 0; leaf < 0x20; leaf++)
		assert_false(cpuid_cache_has(cpuid_cache_slot(&cache, leaf, 0), leaf, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_never_shown),
		cmocka_unit_test(test_closed_leaves),
		cmocka_unit_test(test_leaf_folding),
		cmocka_unit_test(test_nothing_invented),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_vcpu_state_shows),
		cmocka_unit_test(test_platform_shows),
		cmocka_unit_test(test_model_features),
		cmocka_unit_test(test_trap_15_rtm),
		cmocka_unit_test(test_isa_follows_xcr0),
		cmocka_unit_test(test_xsave_sizes),
		cmocka_unit_test(test_xsave_compacted_alignment),
		cmocka_unit_test(test_xsave_without_a_place),
		cmocka_unit_test(test_compacts_if_the_cpu_agrees),
		cmocka_unit_test(test_xsave_bytes_grow),
		cmocka_unit_test(test_topology),
		cmocka_unit_test(test_caches_are_private),
		cmocka_unit_test(test_leaf7_subleaf_maximum),
		cmocka_unit_test(test_passed_whole),
		cmocka_unit_test(test_leaves_that_the_host_lacks),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_ecx_is_ignored),
		cmocka_unit_test(test_extended_leaves),
		cmocka_unit_test(test_paravirtual_leaves),
		cmocka_unit_test(test_kept_answers_are_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
