/* hv/policy/bugs.c: every model and stepping against the table of affected CPUs, each immunity against its bug, and
 * what guests may be shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/msr.h"
#include "hv/policy/bugs.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

/* The table once more, as the list of hardware facts has it: models of a row with their steppings ("55<=5"), then a
 * mark for each column. First match wins. */
static const struct {
	const char *models;
	const char *columns; /* S: SRBDS, M: MMIO, B: MMIO_SBDS, R: RETBLEED, G: GDS, I: ITS, i: ITS, host only, F:
				RFDS, E: RFDS on E-cores */
} FACTS[] = {
	{"2A 2D 3E", ""},
	{"3A 3C 45 46 3D 47", "S"},
	{"3F 56 4F", "M"},
	{"55<=5", "MRG"},
	{"55>=6", "MRGI"},
	{"4E 5E", "SMRG"},
	{"8E<=B 9E<=C", "SMRG"},
	{"8E>=C 9E>=D", "SMRGI"},
	{"66", "R"},
	{"7E", "MBRGi"},
	{"6A 6C", "MGi"},
	{"A5", "MBRGI"},
	{"A6<=0", "MRI"},
	{"A6>=1", "MBRGI"},
	{"8C 8D", "Gi"},
	{"8A", "MBR"},
	{"A7", "MRGi"},
	{"97 B7", "E"},
	{"9A BA BF BE", "F"},
	{"AA C5 C6 B5 BD 8F CF AD AF", ""},
	{"96 9C", "MBF"},
	{"86", "MF"},
	{"5C 5F 7A", "F"},
};

static const uint8_t NO_L1TF[] = {0x1c, 0x26, 0x27, 0x35, 0x36, 0x37, 0x4d, 0x4a,
				  0x5a, 0x4c, 0x75, 0x57, 0x85, 0x5c, 0x5f, 0x7a};
static const uint8_t NO_MDS[] = {0x5c, 0x5f, 0x7a, 0x1c, 0x26, 0x27, 0x35, 0x36};
static const uint8_t STORE_BUFFER_ONLY[] = {0x37, 0x4d, 0x4a, 0x5a, 0x4c, 0x57, 0x85};
static const uint8_t NO_PBRSB[] = {0x7a, 0x96, 0x9c, 0x86};

static bool is_in(const uint8_t *list, size_t count, uint32_t model)
{
	return memchr(list, (int)model, count) != NULL;
}
#define IS_IN(list, model) is_in(list, COUNT(list), model)

static unsigned hex(const char **text)
{
	static const char DIGITS[] = "0123456789ABCDEF";
	unsigned value = 0;

	for (const char *digit; **text != '\0' && (digit = strchr(DIGITS, **text)) != NULL; (*text)++)
		value = value * 16 + (unsigned)(digit - DIGITS);
	return value;
}

static bool row_matches(const char *models, uint32_t model, uint32_t stepping)
{
	while (*models != '\0') {
		unsigned row_model = hex(&models);
		unsigned first = 0, last = 15;

		if (*models == '<') {
			models += 2;
			last = hex(&models);
		} else if (*models == '>') {
			models += 2;
			first = hex(&models);
		}
		if (row_model == model && stepping >= first && stepping <= last)
			return true;
		models += *models == ' ';
	}
	return false;
}

static const char *columns_of(uint32_t model, uint32_t stepping)
{
	for (size_t i = 0; i < COUNT(FACTS); i++) {
		if (row_matches(FACTS[i].models, model, stepping))
			return FACTS[i].columns;
	}
	return "";
}

/* A CPU that has every feature a bug may need, and says nothing of itself. */
static struct cpu_caps cpu(uint32_t model, uint32_t stepping)
{
	return (struct cpu_caps){
		.is_intel = true,
		.family = 6,
		.model = model,
		.stepping = stepping,
		.features = CPU_ARCH_CAPABILITIES | CPU_RTM | CPU_RDRAND_RDSEED | CPU_AVX | CPU_HYBRID,
		.threads_per_core = 1,
	};
}

static uint32_t bugs_of(uint32_t model, uint64_t arch_capabilities, uint32_t features)
{
	struct cpu_caps caps = cpu(model, 0);

	caps.arch_capabilities = arch_capabilities;
	caps.features = features;
	return bugs_find(&caps);
}

static void every_model_and_stepping_has_the_bugs_of_its_row(void **state)
{
	(void)state;
	for (uint32_t model = 0; model < 256; model++) {
		for (uint32_t stepping = 0; stepping < 16; stepping++) {
			struct cpu_caps caps = cpu(model, stepping);
			uint32_t found = bugs_find(&caps);
			uint32_t expected = BUG_TAA | BUG_TAA_RTM;

			for (const char *column = columns_of(model, stepping); *column != '\0'; column++) {
				expected |= *column == 'S' || *column == 'B' ? BUG_SRBDS : 0u;
				expected |= *column == 'M' ? BUG_MMIO_STALE_DATA : 0u;
				expected |= *column == 'R' ? BUG_RETBLEED : 0u;
				expected |= *column == 'G' ? BUG_GDS : 0u;
				expected |= *column == 'I' || *column == 'i' ? BUG_ITS : 0u;
				expected |= *column == 'i' ? BUG_ITS_HOST_ONLY : 0u;
				expected |= *column == 'F' || *column == 'E' ? BUG_RFDS : 0u;
			}
			expected |= IS_IN(NO_L1TF, model) ? 0u : BUG_L1TF;
			expected |= IS_IN(NO_MDS, model) ? 0u : BUG_MDS;
			expected |= IS_IN(STORE_BUFFER_ONLY, model) ? BUG_MSBDS_ONLY : 0u;
			if (found != expected)
				fail_msg("model %x stepping %x: found %x, expected %x", model, stepping, found,
					 expected);

			caps.arch_capabilities = ARCH_CAP(IBRS_ALL);
			expected |= BUG_BHI | (IS_IN(NO_PBRSB, model) ? 0u : BUG_PBRSB);
			assert_int_equal(bugs_find(&caps), expected);
		}
	}
}

/* With every *_NO bit the CPU has nothing left but what no bit speaks of; with all but one, that bit's bug is back. */
static void each_immunity_switches_its_own_bug_off(void **state)
{
	static const struct {
		uint64_t bit;
		uint32_t bugs;
	} IMMUNITIES[] = {
		{ARCH_CAP(RDCL_NO), BUG_L1TF},
		{ARCH_CAP(MDS_NO), BUG_MDS | BUG_MSBDS_ONLY},
		{ARCH_CAP(TAA_NO), BUG_TAA | BUG_TAA_RTM},
		{ARCH_CAP(SBDR_SSDP_NO), BUG_MMIO_STALE_DATA},
		{ARCH_CAP(FBSDP_NO), BUG_MMIO_STALE_DATA},
		{ARCH_CAP(PSDP_NO), BUG_MMIO_STALE_DATA},
		{ARCH_CAP(BHI_NO), BUG_BHI},
		{ARCH_CAP(PBRSB_NO), BUG_PBRSB},
		{ARCH_CAP(GDS_NO), BUG_GDS},
		{ARCH_CAP(RFDS_NO), BUG_RFDS},
		{ARCH_CAP(ITS_NO), BUG_ITS | BUG_ITS_HOST_ONLY},
	};
	const uint32_t without_a_bit = BUG_SRBDS | BUG_RETBLEED;
	uint64_t all = ARCH_CAP(IBRS_ALL);

	(void)state;
	for (size_t i = 0; i < COUNT(IMMUNITIES); i++)
		all |= IMMUNITIES[i].bit;
	for (uint32_t model = 0; model < 256; model++) {
		for (uint32_t stepping = 0; stepping < 16; stepping++) {
			struct cpu_caps caps = cpu(model, stepping);

			caps.arch_capabilities = ARCH_CAP(IBRS_ALL);

			uint32_t naked = bugs_find(&caps);

			caps.arch_capabilities = all;
			assert_int_equal(bugs_find(&caps), naked & without_a_bit);
			for (size_t i = 0; i < COUNT(IMMUNITIES); i++) {
				caps.arch_capabilities = all & ~IMMUNITIES[i].bit;
				assert_int_equal(bugs_find(&caps), naked & (without_a_bit | IMMUNITIES[i].bugs));
			}
		}
	}
}

static void features_that_a_bug_needs(void **state)
{
	const uint32_t all = CPU_ARCH_CAPABILITIES | CPU_RTM | CPU_RDRAND_RDSEED | CPU_AVX;

	(void)state;
	assert_true(bugs_of(0x9e, 0, all) & BUG_SRBDS);
	assert_false(bugs_of(0x9e, 0, all & ~(uint32_t)CPU_RDRAND_RDSEED) & BUG_SRBDS);
	assert_true(bugs_of(0x55, 0, all) & BUG_GDS);
	assert_false(bugs_of(0x55, 0, all & ~(uint32_t)CPU_AVX) & BUG_GDS);
	assert_true(bugs_of(0xa5, 0, all) & BUG_ITS);
	assert_false(bugs_of(0xa5, 0, all | CPU_BHI_CTRL) & BUG_ITS);
	assert_false(bugs_of(0x55, 0, all) & (BUG_BHI | BUG_PBRSB));
}

static void rfds_no_wins_then_rfds_clear_then_the_table(void **state)
{
	(void)state;
	assert_false(bugs_of(0x9a, ARCH_CAP(RFDS_NO) | ARCH_CAP(RFDS_CLEAR), 0) & BUG_RFDS);
	assert_true(bugs_of(0x55, ARCH_CAP(RFDS_CLEAR), 0) & BUG_RFDS);
	assert_false(bugs_of(0x55, 0, 0) & BUG_RFDS);
	/* E-cores: not on a part that is not hybrid, unless another hypervisor may be hiding that it is. */
	assert_true(bugs_of(0x97, 0, CPU_HYBRID) & BUG_RFDS);
	assert_false(bugs_of(0xb7, 0, 0) & BUG_RFDS);
	assert_true(bugs_of(0xb7, 0, CPU_HYPERVISOR) & BUG_RFDS);
}

/* Trap 14: MD_CLEAR and FB_CLEAR speak of VERW, never of being affected. */
static void trap14_clear_bits_are_no_immunities(void **state)
{
	(void)state;
	assert_int_equal(bugs_of(0x55, 0, CPU_RTM), bugs_of(0x55, ARCH_CAP(FB_CLEAR), CPU_RTM | CPU_MD_CLEAR));
	assert_true(bugs_of(0x55, 0, CPU_MD_CLEAR | CPU_L1D_FLUSH) & BUG_MDS);
}

static void trap15_taa_needs_rtm_or_its_switch(void **state)
{
	(void)state;
	assert_true(bugs_of(0x55, 0, CPU_RTM) & BUG_TAA);
	assert_true(bugs_of(0x55, ARCH_CAP(TSX_CTRL), 0) & BUG_TAA);
	assert_false(bugs_of(0x55, 0, 0) & BUG_TAA);
	assert_false(bugs_of(0x55, ARCH_CAP(TAA_NO) | ARCH_CAP(TSX_CTRL), CPU_RTM) & (BUG_TAA | BUG_TAA_RTM));
	assert_true(bugs_of(0x55, 0, CPU_RTM) & BUG_TAA_RTM);
	assert_false(bugs_of(0x55, ARCH_CAP(TSX_CTRL), 0) & BUG_TAA_RTM);
}

static void other_vendors_and_families_have_none(void **state)
{
	struct cpu_caps caps = cpu(0x55, 4);

	(void)state;
	caps.is_intel = false;
	assert_int_equal(bugs_find(&caps), 0);
	caps = cpu(0x55, 4);
	caps.family = 15;
	assert_int_equal(bugs_find(&caps), 0);
}

static void names_are_the_rows_of_the_command_bugs(void **state)
{
	static const char *const NAMES[BUG_ROW_COUNT] = {"l1tf", "mds", "taa", "mmio_stale_data", "rfds", "srbds",
							 "gds",  "its", "bhi"};

	(void)state;
	for (unsigned i = 0; i < BUG_ROW_COUNT; i++)
		assert_string_equal(bug_name((enum bug)(1u << i)), NAMES[i]);
	assert_null(bug_name(BUG_MSBDS_ONLY));
	assert_null(bug_name(BUG_PBRSB));
	assert_null(bug_name(BUG_RETBLEED));
	assert_null(bug_name(BUG_ITS_HOST_ONLY));
	assert_null(bug_name(BUG_TAA_RTM));
}

static uint64_t supported(const struct cpu_caps *caps)
{
	return bugs_supported_caps(caps, bugs_find(caps));
}

/* The bits whose MSR no guest has, the dynamic bit, and bits that mean nothing yet, are never shown. */
static void only_known_bits_are_passed_on(void **state)
{
	static const unsigned PASSED[] = {0, 1, 2, 4, 5, 6, 7, 8, 13, 14, 15, 17, 19, 20, 24, 26, 27, 28, 62};
	uint64_t passed = 0;

	(void)state;
	for (size_t i = 0; i < COUNT(PASSED); i++)
		passed |= 1ull << PASSED[i];
	for (unsigned hypervisor = 0; hypervisor < 2; hypervisor++) {
		struct cpu_caps caps = cpu(0x55, 4);

		caps.features |= hypervisor ? CPU_HYPERVISOR : 0;
		caps.arch_capabilities = ~0ull;
		assert_true(supported(&caps) == passed);
		for (unsigned bit = 0; bit < 64; bit++) {
			caps.arch_capabilities = 1ull << bit;
			assert_true((supported(&caps) & 1ull << bit) == (passed & 1ull << bit));
			assert_true((supported(&caps) & ~passed) == 0);
		}
	}
}

/* What is synthesised is true, for every model: shown, and not said by the CPU, only if the bug is not there. */
static void no_immunity_is_over_reported(void **state)
{
	const uint64_t synthesised = ARCH_CAP(MDS_NO) | ARCH_CAP(GDS_NO) | ARCH_CAP(RFDS_NO) | ARCH_CAP(ITS_NO) |
				     ARCH_CAP(IF_PSCHANGE_MC_NO);

	(void)state;
	for (uint32_t model = 0; model < 256; model++) {
		for (uint32_t stepping = 0; stepping < 16; stepping++) {
			struct cpu_caps caps = cpu(model, stepping);
			uint32_t bugs = bugs_find(&caps);
			uint64_t value = supported(&caps);

			assert_true((value & ~synthesised) == 0);
			assert_true(value & ARCH_CAP(IF_PSCHANGE_MC_NO));
			assert_true(!(value & ARCH_CAP(MDS_NO)) == !!(bugs & BUG_MDS));
			assert_true(!(value & ARCH_CAP(GDS_NO)) == !!(bugs & BUG_GDS));
			assert_true(!(value & ARCH_CAP(RFDS_NO)) == !!(bugs & BUG_RFDS));
			assert_true(!(value & ARCH_CAP(ITS_NO)) == !!(bugs & BUG_ITS));
		}
	}
}

/* RDCL_NO denies Meltdown as well: not being affected by L1TF is not enough to make it up. */
static void rdcl_no_is_never_made_up(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(NO_L1TF); i++) {
		struct cpu_caps caps = cpu(NO_L1TF[i], 0);

		assert_false(supported(&caps) & ARCH_CAP(RDCL_NO));
		caps.arch_capabilities = ARCH_CAP(RDCL_NO);
		assert_true(supported(&caps) & ARCH_CAP(RDCL_NO));
	}
}

static void trap15_taa_no_and_tsx_ctrl_are_shown_with_rtm_only(void **state)
{
	const uint64_t both = ARCH_CAP(TAA_NO) | ARCH_CAP(TSX_CTRL);
	struct cpu_caps caps = cpu(0x6a, 6);

	(void)state;
	caps.arch_capabilities = both;
	assert_true((supported(&caps) & both) == both);
	caps.arch_capabilities = ARCH_CAP(TSX_CTRL);
	assert_true((supported(&caps) & both) == ARCH_CAP(TSX_CTRL));
	caps.arch_capabilities = both;
	caps.features &= ~(uint32_t)CPU_RTM;
	assert_true((supported(&caps) & both) == 0);
}

static void trap16_nothing_is_synthesised_under_another_hypervisor(void **state)
{
	(void)state;
	for (uint32_t model = 0; model < 256; model++) {
		struct cpu_caps caps = cpu(model, 0);

		caps.features |= CPU_HYPERVISOR;
		assert_true(supported(&caps) == ARCH_CAP(IF_PSCHANGE_MC_NO));
		caps.arch_capabilities = ARCH_CAP(RDCL_NO) | ARCH_CAP(SKIP_L1DFL_VMENTRY);
		assert_true(supported(&caps) == (ARCH_CAP(RDCL_NO) | ARCH_CAP(IF_PSCHANGE_MC_NO)));
	}
}

static void nothing_is_synthesised_for_a_cpu_that_the_table_does_not_know(void **state)
{
	struct cpu_caps caps = cpu(0x3b, 0);

	(void)state;
	caps.is_intel = false;
	assert_true(supported(&caps) == ARCH_CAP(IF_PSCHANGE_MC_NO));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_model_and_stepping_has_the_bugs_of_its_row),
		cmocka_unit_test(each_immunity_switches_its_own_bug_off),
		cmocka_unit_test(features_that_a_bug_needs),
		cmocka_unit_test(rfds_no_wins_then_rfds_clear_then_the_table),
		cmocka_unit_test(trap14_clear_bits_are_no_immunities),
		cmocka_unit_test(trap15_taa_needs_rtm_or_its_switch),
		cmocka_unit_test(other_vendors_and_families_have_none),
		cmocka_unit_test(names_are_the_rows_of_the_command_bugs),
		cmocka_unit_test(only_known_bits_are_passed_on),
		cmocka_unit_test(no_immunity_is_over_reported),
		cmocka_unit_test(rdcl_no_is_never_made_up),
		cmocka_unit_test(trap15_taa_no_and_tsx_ctrl_are_shown_with_rtm_only),
		cmocka_unit_test(trap16_nothing_is_synthesised_under_another_hypervisor),
		cmocka_unit_test(nothing_is_synthesised_for_a_cpu_that_the_table_does_not_know),
	};

	return cmocka_run_group_tests_name("bugs", tests, NULL, NULL);
}
