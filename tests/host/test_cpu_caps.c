/* hv/policy/cpu_caps.c: what is read from CPUID words, and the algebra of caps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/policy/cpu_caps.h"

#define FEATURE_BITS 16
#define ALL_FEATURES 0xffffu
#define NAMED_BITS   8

static const struct cpu_assumed NOTHING;

/* A fixed sequence: the tests are the same at each run. */
static uint64_t next_random(void)
{
	static uint64_t x = 0x9e3779b97f4a7c15;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static struct cpu_caps random_caps(void)
{
	struct cpu_caps caps = {
		.is_intel = next_random() & 1,
		.family = 6,
		.model = 0x55,
		.stepping = 4,
		.features = (uint32_t)next_random() & ALL_FEATURES,
		.threads_per_core = 1 + (uint32_t)(next_random() % 4),
	};

	/* Half of the time few bits, half of the time many. */
	uint64_t value = next_random() & 1 ? next_random() | next_random() : next_random() & next_random();

	caps.arch_capabilities = caps.features & CPU_ARCH_CAPABILITIES ? value : 0;
	return caps;
}

static void assert_same(const struct cpu_caps *a, const struct cpu_caps *b)
{
	assert_int_equal(a->is_intel, b->is_intel);
	assert_int_equal(a->family, b->family);
	assert_int_equal(a->model, b->model);
	assert_int_equal(a->stepping, b->stepping);
	assert_int_equal(a->features, b->features);
	assert_true(a->arch_capabilities == b->arch_capabilities);
	assert_int_equal(a->threads_per_core, b->threads_per_core);
}

/* Each bit of each CPUID word alone: exactly the feature that facts.md gives it. */
static void each_cpuid_bit_means_one_feature(void **state)
{
	enum { ECX1, EBX7, EDX7, EDX7_2, WORDS };
	uint32_t expected[WORDS][32] = {{0}};

	(void)state;
	expected[ECX1][28] = CPU_AVX;
	expected[ECX1][30] = CPU_RDRAND_RDSEED;
	expected[ECX1][31] = CPU_HYPERVISOR;
	expected[EBX7][11] = CPU_RTM;
	expected[EBX7][18] = CPU_RDRAND_RDSEED;
	expected[EDX7][9] = CPU_SRBDS_CTRL;
	expected[EDX7][10] = CPU_MD_CLEAR;
	expected[EDX7][15] = CPU_HYBRID;
	expected[EDX7][26] = CPU_IBRS;
	expected[EDX7][27] = CPU_STIBP;
	expected[EDX7][28] = CPU_L1D_FLUSH;
	expected[EDX7][29] = CPU_ARCH_CAPABILITIES;
	expected[EDX7][31] = CPU_SSBD;
	expected[EDX7_2][0] = CPU_PSFD;
	expected[EDX7_2][1] = CPU_IPRED_CTRL;
	expected[EDX7_2][2] = CPU_RRSBA_CTRL;
	expected[EDX7_2][4] = CPU_BHI_CTRL;

	for (unsigned word = 0; word < WORDS; word++) {
		for (unsigned bit = 0; bit < 32; bit++) {
			struct cpu_raw raw = {.vendor = "GenuineIntel", .threads_per_core = 1};
			uint32_t *words[WORDS] = {&raw.leaf1_ecx, &raw.leaf7_ebx, &raw.leaf7_edx, &raw.leaf7_2_edx};

			*words[word] = 1u << bit;
			assert_int_equal(cpu_caps_make(&raw, &NOTHING).features, expected[word][bit]);
		}
	}

	struct cpu_raw edx = {.leaf1_edx = UINT32_MAX, .leaf7_ecx = UINT32_MAX};

	assert_int_equal(cpu_caps_make(&edx, &NOTHING).features, 0);
}

static void signatures_of_known_cpus(void **state)
{
	static const struct {
		uint32_t eax, family, model, stepping;
	} KNOWN[] = {
		{0x50654, 0x6, 0x55, 0x4},   /* Skylake-SP */
		{0x50657, 0x6, 0x55, 0x7},   /* Cascade Lake */
		{0x706e5, 0x6, 0x7e, 0x5},   /* Ice Lake client */
		{0x806f8, 0x6, 0x8f, 0x8},   /* Sapphire Rapids */
		{0x906ed, 0x6, 0x9e, 0xd},   /* Coffee Lake */
		{0x00f4a, 0xf, 0x4, 0xa},    /* Prescott */
		{0x10f65, 0xf, 0x16, 0x5},   /* extended model with family 15 */
		{0x800f12, 0x17, 0x01, 0x2}, /* Zen: extended family */
		{0x10543, 0x5, 0x4, 0x3},    /* family 5 has no extended model */
		{0x100543, 0x5, 0x4, 0x3},   /* nor an extended family */
		{0xf00003, 0x0, 0x0, 0x3},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(KNOWN) / sizeof(KNOWN[0]); i++) {
		struct cpu_raw raw = {.leaf1_eax = KNOWN[i].eax};
		struct cpu_caps caps = cpu_caps_make(&raw, &NOTHING);

		assert_int_equal(caps.family, KNOWN[i].family);
		assert_int_equal(caps.model, KNOWN[i].model);
		assert_int_equal(caps.stepping, KNOWN[i].stepping);
	}
	/* Every extended model and family, by the rule. */
	for (uint32_t family = 0; family < 16; family++) {
		for (uint32_t extended = 0; extended < 4096; extended++) {
			struct cpu_raw raw = {.leaf1_eax = extended << 16 | family << 8 | 0x35};
			struct cpu_caps caps = cpu_caps_make(&raw, &NOTHING);
			bool has_model = family == 6 || family == 15;

			assert_int_equal(caps.family, family == 15 ? 15 + (extended >> 4 & 0xff) : family);
			assert_int_equal(caps.model, has_model ? (extended & 15) * 16 + 3 : 3);
			assert_int_equal(caps.stepping, 5);
		}
	}
}

static void only_intel_is_intel(void **state)
{
	static const char *const OTHERS[] = {"", "AuthenticAMD", "GenuineInte", "genuineintel", "HygonGenuine"};

	(void)state;
	for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++) {
		struct cpu_raw raw = {0};

		strcpy(raw.vendor, OTHERS[i]);
		assert_false(cpu_caps_make(&raw, &NOTHING).is_intel);
	}
	struct cpu_raw raw = {.vendor = "GenuineIntel"};

	assert_true(cpu_caps_make(&raw, &NOTHING).is_intel);
}

/* The CPU's own word with every assumption that can be made about one feature, and about the value. */
static void assumptions_replace_what_the_cpu_says(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 1u << NAMED_BITS; bits++) {
		for (unsigned own = 0; own < 16; own++) {
			bool has_msr = own & 1, has_value = own & 2, all = own & 4, clears = own & 8;
			struct cpu_raw raw = {
				.leaf7_edx = all ? UINT32_MAX : 0,
				.leaf7_ebx = all ? UINT32_MAX : 0,
				.arch_capabilities = has_msr ? 0x1234 : 0,
			};
			struct cpu_assumed assumed = {
				.has_arch_capabilities = has_value,
				.arch_capabilities = 0xabcd,
				.set = clears ? 0 : bits,
				.clear = clears ? bits : 0,
			};
			struct cpu_caps before = cpu_caps_make(&raw, &NOTHING);
			struct cpu_caps after = cpu_caps_make(&raw, &assumed);
			uint32_t implied = has_value ? CPU_ARCH_CAPABILITIES : 0;
			uint32_t expected = ((before.features | implied) | assumed.set) & ~assumed.clear;
			uint64_t value = has_value ? 0xabcd : raw.arch_capabilities;

			assert_int_equal(after.features, expected);
			assert_int_equal(after.arch_capabilities, expected & CPU_ARCH_CAPABILITIES ? value : 0);
		}
	}
}

static void common_is_true_of_both(void **state)
{
	const uint64_t weak = ARCH_CAP(RSBA) | ARCH_CAP(RRSBA);
	const uint32_t exposed = CPU_RDRAND_RDSEED | CPU_AVX | CPU_HYPERVISOR | CPU_HYBRID;

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		struct cpu_caps a = random_caps(), b = random_caps(), c = random_caps();
		struct cpu_caps ab = cpu_caps_common(&a, &b), ba = cpu_caps_common(&b, &a);
		struct cpu_caps bc = cpu_caps_common(&b, &c);
		struct cpu_caps left = cpu_caps_common(&ab, &c), right = cpu_caps_common(&a, &bc);
		struct cpu_caps aa = cpu_caps_common(&a, &a);

		assert_same(&ab, &ba);
		assert_same(&left, &right);
		assert_same(&aa, &a);
		assert_true((ab.arch_capabilities & ~weak) == (a.arch_capabilities & b.arch_capabilities & ~weak));
		assert_true((ab.arch_capabilities & weak) == ((a.arch_capabilities | b.arch_capabilities) & weak));
		assert_int_equal(ab.features & ~exposed, a.features & b.features & ~exposed);
		assert_int_equal(ab.features & exposed, (a.features | b.features) & exposed);
		assert_true(ab.threads_per_core >= a.threads_per_core && ab.threads_per_core >= b.threads_per_core);
		assert_int_equal(ab.is_intel, a.is_intel && b.is_intel);
	}
}

/* facts.md 1: which bit alone makes which MSR exist. */
static void each_bit_promises_its_msrs(void **state)
{
	uint32_t by_feature[FEATURE_BITS] = {0};

	(void)state;
	for (unsigned bit = 0; bit < FEATURE_BITS; bit++) {
		uint32_t feature = 1u << bit;

		if (feature &
		    (CPU_IBRS | CPU_STIBP | CPU_SSBD | CPU_PSFD | CPU_IPRED_CTRL | CPU_RRSBA_CTRL | CPU_BHI_CTRL))
			by_feature[bit] |= CPU_MSR_SPEC_CTRL;
		if (feature & CPU_IBRS)
			by_feature[bit] |= CPU_MSR_PRED_CMD;
		if (feature & CPU_L1D_FLUSH)
			by_feature[bit] |= CPU_MSR_FLUSH_CMD;
		if (feature & CPU_SRBDS_CTRL)
			by_feature[bit] |= CPU_MSR_MCU_OPT_CTRL;
	}
	for (uint32_t features = 0; features <= ALL_FEATURES; features++) {
		struct cpu_caps caps = {.features = features};
		uint32_t expected = 0;

		for (unsigned bit = 0; bit < FEATURE_BITS; bit++)
			expected |= features >> bit & 1 ? by_feature[bit] : 0;
		assert_int_equal(cpu_caps_msrs(&caps), expected);
	}
	for (unsigned bit = 0; bit < 64; bit++) {
		struct cpu_caps caps = {.features = CPU_ARCH_CAPABILITIES, .arch_capabilities = 1ull << bit};
		uint32_t expected = 0;

		if (bit == 18 || bit == 25) /* fb_clear_ctrl, gds_ctrl */
			expected = CPU_MSR_MCU_OPT_CTRL;
		if (bit == 7) /* tsx_ctrl */
			expected = CPU_MSR_TSX_CTRL;
		assert_int_equal(cpu_caps_msrs(&caps), expected);
	}
}

/* An MSR that is missing is not used under any name (trap 18), and what has nothing to do with it stays. */
static void nothing_is_left_of_a_missing_msr(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		struct cpu_caps caps = random_caps();

		for (uint32_t missing = 0; missing < 32; missing++) {
			struct cpu_caps without = cpu_caps_without(&caps, missing);
			struct cpu_caps again = cpu_caps_without(&without, missing);
			uint32_t lost = caps.features & ~without.features;
			uint64_t lost_caps = caps.arch_capabilities & ~without.arch_capabilities;
			uint32_t may_lose = 0;
			uint64_t may_lose_caps = 0;

			if (missing & CPU_MSR_SPEC_CTRL)
				may_lose |= CPU_IBRS | CPU_STIBP | CPU_SSBD | CPU_PSFD | CPU_IPRED_CTRL |
					    CPU_RRSBA_CTRL | CPU_BHI_CTRL;
			if (missing & CPU_MSR_PRED_CMD)
				may_lose |= CPU_IBRS;
			if (missing & CPU_MSR_FLUSH_CMD)
				may_lose |= CPU_L1D_FLUSH;
			if (missing & CPU_MSR_MCU_OPT_CTRL) {
				may_lose |= CPU_SRBDS_CTRL;
				may_lose_caps |= ARCH_CAP(FB_CLEAR_CTRL) | ARCH_CAP(GDS_CTRL);
			}
			if (missing & CPU_MSR_TSX_CTRL)
				may_lose_caps |= ARCH_CAP(TSX_CTRL);

			assert_int_equal(cpu_caps_msrs(&without) & missing, 0);
			assert_int_equal(lost, caps.features & may_lose);
			assert_true(lost_caps == (caps.arch_capabilities & may_lose_caps));
			assert_int_equal(without.features & ~caps.features, 0);
			assert_true((without.arch_capabilities & ~caps.arch_capabilities) == 0);
			assert_same(&again, &without);
		}
	}
}

/* Trap 14: all combinations of the four bits that decide, with every other bit at both ends. */
static void fb_clear_is_said_or_implied(void **state)
{
	(void)state;
	for (unsigned c = 0; c < 32; c++) {
		bool fb_clear = c & 1, mds_no = c & 2, l1d_flush = c & 4, md_clear = c & 8, others = c & 16;
		const uint64_t value_bits = ARCH_CAP(FB_CLEAR) | ARCH_CAP(MDS_NO);
		const uint32_t feature_bits = CPU_L1D_FLUSH | CPU_MD_CLEAR;
		uint64_t value = (others ? ~value_bits : 0) | (fb_clear ? ARCH_CAP(FB_CLEAR) : 0) |
				 (mds_no ? ARCH_CAP(MDS_NO) : 0);
		uint32_t features = (others ? ALL_FEATURES & ~feature_bits : 0) | (l1d_flush ? CPU_L1D_FLUSH : 0) |
				    (md_clear ? CPU_MD_CLEAR : 0);

		assert_int_equal(cpu_caps_fb_clear(value, features), fb_clear || (!mds_no && l1d_flush && md_clear));
	}
}

static void immune_means_all_five(void **state)
{
	static const unsigned BITS[] = {5, 8, 13, 14, 15}; /* mds_no taa_no sbdr_ssdp_no fbsdp_no psdp_no */
	uint64_t five = 0;

	(void)state;
	for (unsigned i = 0; i < 5; i++)
		five |= 1ull << BITS[i];
	for (unsigned set = 0; set < 32; set++) {
		uint64_t value = 0;

		for (unsigned i = 0; i < 5; i++)
			value |= set >> i & 1 ? 1ull << BITS[i] : 0;
		assert_int_equal(cpu_caps_verw_immune(value), set == 31);
		assert_int_equal(cpu_caps_verw_immune(value | ~five), set == 31);
	}
}

/* facts.md 1, written a second time. */
static const char *const EXPECTED_NAMES[64] = {
	[0] = "rdcl_no",
	[1] = "ibrs_all",
	[2] = "rsba",
	[3] = "skip_l1dfl_vmentry",
	[4] = "ssb_no",
	[5] = "mds_no",
	[6] = "if_pschange_mc_no",
	[7] = "tsx_ctrl",
	[8] = "taa_no",
	[9] = "mcu_control",
	[10] = "misc_package_ctls",
	[11] = "energy_filtering_ctl",
	[12] = "doitm",
	[13] = "sbdr_ssdp_no",
	[14] = "fbsdp_no",
	[15] = "psdp_no",
	[17] = "fb_clear",
	[18] = "fb_clear_ctrl",
	[19] = "rrsba",
	[20] = "bhi_no",
	[21] = "xapic_disable_status",
	[23] = "overclocking_status",
	[24] = "pbrsb_no",
	[25] = "gds_ctrl",
	[26] = "gds_no",
	[27] = "rfds_no",
	[28] = "rfds_clear",
	[29] = "ign_umonitor",
	[30] = "mon_umon_mitg",
	[62] = "its_no",
};

static void expected_name(char out[32], unsigned bit)
{
	if (EXPECTED_NAMES[bit] != NULL)
		snprintf(out, 32, "%s", EXPECTED_NAMES[bit]);
	else
		snprintf(out, 32, "bit%u", bit);
}

static void bits_have_names_and_names_have_bits(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		char name[33];

		if (EXPECTED_NAMES[bit] != NULL)
			assert_string_equal(cpu_caps_bit_name(bit), EXPECTED_NAMES[bit]);
		else
			assert_null(cpu_caps_bit_name(bit));

		expected_name(name, bit);
		strcat(name, "x");
		/* Every length of it, and a letter more. */
		for (size_t length = 0; length <= strlen(name); length++) {
			bool is_a_name = false;
			unsigned found = 99, expected = 99;

			for (unsigned other = 0; other < 64; other++) {
				char other_name[32];

				expected_name(other_name, other);
				if (strlen(other_name) == length && memcmp(other_name, name, length) == 0) {
					is_a_name = true;
					expected = other;
				}
			}
			assert_int_equal(cpu_caps_bit_find(name, length, &found), is_a_name);
			assert_int_equal(found, expected);
		}
	}
	for (unsigned bit = 64; bit < 200; bit++)
		assert_null(cpu_caps_bit_name(bit));
	assert_null(cpu_caps_bit_name(UINT32_MAX));

	static const char *const REFUSED[] = {"",        "bit",    "bit0",  "bit3",    "bit64", "bit016",
					      "bit0x10", "bit16 ", "BIT16", "Rdcl_no", "-",     "bit4294967312"};
	unsigned bit = 99;

	for (size_t i = 0; i < sizeof(REFUSED) / sizeof(REFUSED[0]); i++)
		assert_false(cpu_caps_bit_find(REFUSED[i], strlen(REFUSED[i]), &bit));
	assert_int_equal(bit, 99);
}

static void names_read_back_to_the_value(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t value = i < 64 ? 1ull << i : i == 64 ? UINT64_MAX : next_random() & next_random();
		uint64_t back = 0;
		char names[CPU_CAPS_NAMES_SIZE];

		assert_true(cpu_caps_names(names, sizeof(names), value));
		for (char *name = strtok(names, ","); name != NULL; name = strtok(NULL, ",")) {
			unsigned bit;

			assert_true(cpu_caps_bit_find(name, strlen(name), &bit));
			assert_true(back >> bit == 0); /* from the lowest up, each once */
			back |= 1ull << bit;
		}
		assert_true(back == value);
	}
}

/* At every size: the same text where it fits, else whole names and false, never a byte too many. */
static void names_keep_to_their_buffer(void **state)
{
	static const uint64_t VALUES[] = {0, 1, 3, 1ull << 16, 1ull << 63, UINT64_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(VALUES) / sizeof(VALUES[0]); i++) {
		char whole[CPU_CAPS_NAMES_SIZE];

		assert_true(cpu_caps_names(whole, sizeof(whole), VALUES[i]));
		for (size_t size = 0; size <= strlen(whole) + 2; size++) {
			char *out = malloc(size + 1);
			bool fits = size > strlen(whole);

			out[size] = 'x';
			assert_int_equal(cpu_caps_names(out, size, VALUES[i]), fits);
			assert_int_equal(out[size], 'x');
			if (size > 0) {
				size_t length = strlen(out);

				assert_memory_equal(out, whole, length);
				assert_true(VALUES[i] == 0 || length == 0 || whole[length] == ',' ||
					    whole[length] == '\0');
				assert_int_equal(length == strlen(whole), fits);
			}
			free(out);
		}
	}
	char names[8];

	assert_true(cpu_caps_names(names, sizeof(names), 0));
	assert_string_equal(names, "-");
}

static void features_have_the_names_of_the_options(void **state)
{
	static const char *const NAMES[NAMED_BITS] = {
		"arch_capabilities", "l1d_flush", "md_clear", "srbds_ctrl", "ibrs", "stibp", "ssbd", "rtm"};

	(void)state;
	for (unsigned bit = 0; bit < 32; bit++) {
		if (bit >= NAMED_BITS) {
			assert_null(cpu_feature_name(1u << bit));
			continue;
		}
		char longer[32];

		assert_string_equal(cpu_feature_name(1u << bit), NAMES[bit]);
		snprintf(longer, sizeof(longer), "%sx", NAMES[bit]);
		for (size_t length = 0; length <= strlen(longer); length++) {
			uint32_t feature = 0;
			bool whole = length == strlen(NAMES[bit]);

			assert_int_equal(cpu_feature_find(longer, length, &feature), whole);
			assert_int_equal(feature, whole ? 1u << bit : 0);
		}
	}
	assert_null(cpu_feature_name(0));
	assert_null(cpu_feature_name(CPU_RTM | CPU_SSBD));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_cpuid_bit_means_one_feature),
		cmocka_unit_test(signatures_of_known_cpus),
		cmocka_unit_test(only_intel_is_intel),
		cmocka_unit_test(assumptions_replace_what_the_cpu_says),
		cmocka_unit_test(common_is_true_of_both),
		cmocka_unit_test(each_bit_promises_its_msrs),
		cmocka_unit_test(nothing_is_left_of_a_missing_msr),
		cmocka_unit_test(fb_clear_is_said_or_implied),
		cmocka_unit_test(immune_means_all_five),
		cmocka_unit_test(bits_have_names_and_names_have_bits),
		cmocka_unit_test(names_read_back_to_the_value),
		cmocka_unit_test(names_keep_to_their_buffer),
		cmocka_unit_test(features_have_the_names_of_the_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
