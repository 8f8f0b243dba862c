/* hv/policy/vcpu_model.c: the table of models, what a machine cannot give, and what it must not be made to claim. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/msr.h"
#include "hv/policy/vcpu_model.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define SERVER       ((uint32_t)(CPU_MD_CLEAR | CPU_IBRS | CPU_STIBP | CPU_L1D_FLUSH | CPU_SSBD))
#define PSCHANGE     ARCH_CAP(IF_PSCHANGE_MC_NO)

static struct machine machine_of(struct cpu_caps caps)
{
	struct machine machine = {.caps = caps, .bugs = bugs_find(&caps)};

	machine.host_arch_capabilities = caps.arch_capabilities;
	machine.supported_caps = bugs_supported_caps(&caps, machine.bugs);
	return machine;
}

/* Immune to all, and with every feature. */
static struct machine capable(void)
{
	return machine_of((struct cpu_caps){
		.is_intel = true,
		.family = 6,
		.model = 0xad,
		.stepping = 1,
		.features = SERVER | CPU_ARCH_CAPABILITIES | CPU_SRBDS_CTRL | CPU_RTM | CPU_AVX | CPU_BHI_CTRL |
			    CPU_PSFD | CPU_RDRAND_RDSEED | CPU_HYBRID,
		.arch_capabilities = ~0ull & ~ARCH_CAP(RFDS_CLEAR),
		.threads_per_core = 1,
	});
}

static struct machine bochs_skylake(void)
{
	return machine_of((struct cpu_caps){
		.is_intel = true,
		.family = 6,
		.model = 0x55,
		.stepping = 4,
		.features = CPU_RTM | CPU_AVX | CPU_RDRAND_RDSEED,
		.threads_per_core = 1,
	});
}

static struct machine bochs_fbclear(void)
{
	return machine_of((struct cpu_caps){
		.is_intel = true,
		.family = 6,
		.model = 0x55,
		.stepping = 4,
		.features =
			CPU_RTM | CPU_AVX | CPU_RDRAND_RDSEED | CPU_ARCH_CAPABILITIES | CPU_L1D_FLUSH | CPU_MD_CLEAR,
		.arch_capabilities = ARCH_CAP(RDCL_NO) | ARCH_CAP(IBRS_ALL) | ARCH_CAP(MDS_NO) | ARCH_CAP(TAA_NO) |
				     ARCH_CAP(FB_CLEAR) | ARCH_CAP(FB_CLEAR_CTRL),
		.threads_per_core = 1,
	});
}

struct result {
	enum vcpu_model_status status;
	struct vcpu_model model;
	uint32_t masked;
	uint64_t bits;
};

static struct result make(const struct machine *machine, struct vcpu_model_request request)
{
	struct result r;

	memset(&r, 0x5a, sizeof(r));
	r.status = vcpu_model_make(&r.model, &request, machine, &r.masked, &r.bits);
	return r;
}

static struct result make_named(const struct machine *machine, const char *cpu)
{
	return make(machine, (struct vcpu_model_request){.cpu = cpu});
}

static void the_table_on_a_machine_that_can_do_everything(void **state)
{
	static const struct {
		const char *name;
		uint32_t model, stepping;
		uint64_t arch_capabilities;
		bool fb_clear, wants;
	} TABLE[] = {
		{"skylake-server", 0x55, 4, 0, true, false},
		{"cascadelake-server", 0x55, 7, 1 << 0 | 1 << 1 | 1 << 5 | 1 << 7, false, true},
		{"icelake-server", 0x6a, 6, 1 << 0 | 1 << 1 | 1 << 5 | 1 << 8 | 1 << 17, true, false},
		{"sapphirerapids", 0x8f, 8, 1 << 0 | 1 << 1 | 1 << 5 | 1 << 8 | 1 << 13 | 1 << 14 | 1 << 15, false,
		 false},
	};
	struct machine machine = capable();

	(void)state;
	for (size_t i = 0; i < COUNT(TABLE); i++) {
		struct result r = make_named(&machine, TABLE[i].name);

		assert_int_equal(r.status, VCPU_MODEL_OK);
		assert_int_equal(r.masked, 0);
		assert_string_equal(r.model.name, TABLE[i].name);
		assert_int_equal(r.model.family, 6);
		assert_int_equal(r.model.model, TABLE[i].model);
		assert_int_equal(r.model.stepping, TABLE[i].stepping);
		assert_int_equal(r.model.features, SERVER | CPU_ARCH_CAPABILITIES);
		assert_true(r.model.arch_capabilities == (TABLE[i].arch_capabilities | PSCHANGE));
		assert_true(r.model.fb_clear == TABLE[i].fb_clear);
		assert_true(r.model.wants_fb_clear_dis == TABLE[i].wants);
	}
}

static void host_is_what_is_supported(void **state)
{
	struct machine machine = capable();
	struct result r = make_named(&machine, "host");

	(void)state;
	assert_int_equal(r.status, VCPU_MODEL_OK);
	assert_int_equal(r.masked, 0);
	assert_int_equal(r.model.model, 0xad);
	assert_int_equal(r.model.stepping, 1);
	assert_true(r.model.arch_capabilities == machine.supported_caps);
	/* IA32_MCU_OPT_CTRL is no guest's (trap 22), so SRBDS_CTRL is not shown. */
	assert_int_equal(r.model.features, SERVER | CPU_ARCH_CAPABILITIES | CPU_RTM | CPU_BHI_CTRL | CPU_PSFD);

	machine = bochs_skylake();
	r = make_named(&machine, "host");
	assert_int_equal(r.status, VCPU_MODEL_OK);
	assert_int_equal(r.model.features, CPU_ARCH_CAPABILITIES | CPU_RTM);
	assert_true(r.model.arch_capabilities == machine.supported_caps);
}

static void names_are_listed_and_others_unknown(void **state)
{
	struct machine machine = capable();
	unsigned count = 0;

	(void)state;
	while (vcpu_model_name(count) != NULL) {
		assert_int_equal(make_named(&machine, vcpu_model_name(count)).status, VCPU_MODEL_OK);
		count++;
	}
	assert_int_equal(count, 5);
	assert_int_equal(make_named(&machine, "Host").status, VCPU_MODEL_UNKNOWN);
	assert_int_equal(make_named(&machine, "skylake").status, VCPU_MODEL_UNKNOWN);
	assert_int_equal(make_named(&machine, "").status, VCPU_MODEL_UNKNOWN);
}

static void features_that_the_machine_lacks_are_masked_and_reported(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 8; bit++) {
		struct machine machine = capable();

		machine.caps.features &= ~(1u << bit);

		struct result r = make_named(&machine, "icelake-server");

		assert_int_equal(r.status, VCPU_MODEL_OK);
		assert_int_equal(r.masked, SERVER & 1u << bit);
		assert_int_equal(r.model.features, (SERVER & ~(1u << bit)) | CPU_ARCH_CAPABILITIES);
	}
}

static void trap13_on_a_host_with_l1tf_or_mds_only_skylake_server_starts(void **state)
{
	static const uint64_t MISSING[] = {ARCH_CAP(RDCL_NO), ARCH_CAP(MDS_NO), ARCH_CAP(RDCL_NO) | ARCH_CAP(MDS_NO)};

	(void)state;
	for (size_t i = 0; i < COUNT(MISSING); i++) {
		struct cpu_caps caps = capable().caps;

		caps.model = 0x55;
		caps.arch_capabilities &= ~MISSING[i];

		struct machine machine = machine_of(caps);

		assert_true(machine.bugs & (BUG_L1TF | BUG_MDS));
		for (unsigned n = 0; vcpu_model_name(n) != NULL; n++) {
			const char *name = vcpu_model_name(n);
			struct result r = make_named(&machine, name);
			bool starts = strcmp(name, "skylake-server") == 0 || strcmp(name, "host") == 0;

			assert_int_equal(r.status, starts ? VCPU_MODEL_OK : VCPU_MODEL_IMMUNITY);
			if (!starts)
				assert_true(r.bits == MISSING[i]);
			r = make(&machine, (struct vcpu_model_request){.cpu = name, .unsafe = true});
			assert_int_equal(r.status, VCPU_MODEL_OK);
		}
	}
}

/* Each bit asked for by caps, on a machine that supports nothing and on one that supports all. */
static void trap13_each_bit_that_caps_may_add(void **state)
{
	const uint64_t no = ARCH_CAP(RDCL_NO) | ARCH_CAP(SSB_NO) | ARCH_CAP(MDS_NO) | ARCH_CAP(TAA_NO) |
			    ARCH_CAP(SBDR_SSDP_NO) | ARCH_CAP(FBSDP_NO) | ARCH_CAP(PSDP_NO) | ARCH_CAP(BHI_NO) |
			    ARCH_CAP(PBRSB_NO) | ARCH_CAP(GDS_NO) | ARCH_CAP(RFDS_NO) | ARCH_CAP(ITS_NO);
	const uint64_t anywhere =
		ARCH_CAP(FB_CLEAR) | ARCH_CAP(RFDS_CLEAR) | ARCH_CAP(RSBA) | ARCH_CAP(RRSBA) | PSCHANGE;
	const uint64_t where_supported = ARCH_CAP(IBRS_ALL) | ARCH_CAP(TSX_CTRL);
	struct machine all = capable();
	struct machine nothing = bochs_skylake();

	(void)state;
	nothing.supported_caps = PSCHANGE;
	assert_true(vcpu_model_immunities() == no);
	for (unsigned bit = 0; bit < 64; bit++) {
		for (unsigned unsafe = 0; unsafe < 2; unsafe++) {
			uint64_t mask = 1ull << bit;
			struct vcpu_model_request request = {.cpu = "host", .caps_add = mask, .unsafe = unsafe};
			struct result r = make(&nothing, request);

			if (mask & anywhere || (mask & no && unsafe)) {
				assert_int_equal(r.status, VCPU_MODEL_OK);
				assert_true(r.model.arch_capabilities == (PSCHANGE | mask));
			} else {
				assert_int_equal(r.status, mask & no ? VCPU_MODEL_IMMUNITY : VCPU_MODEL_UNSUPPORTED);
				assert_true(r.bits == mask);
			}
			r = make(&all, request);
			assert_int_equal(r.status, mask & (no | anywhere | where_supported) ? VCPU_MODEL_OK
											    : VCPU_MODEL_UNSUPPORTED);
		}
	}
}

static void trap13_a_failure_leaves_the_result_alone(void **state)
{
	struct machine machine = bochs_skylake();
	struct vcpu_model untouched;

	(void)state;
	memset(&untouched, 0x5a, sizeof(untouched));
	for (unsigned i = 0; i < 3; i++) {
		const struct vcpu_model_request requests[] = {
			{.cpu = "pentium"},
			{.cpu = "host", .caps_add = ARCH_CAP(RDCL_NO)},
			{.cpu = "host", .caps_add = ARCH_CAP(DOITM)},
		};
		struct result r = make(&machine, requests[i]);

		assert_int_not_equal(r.status, VCPU_MODEL_OK);
		assert_memory_equal(&r.model, &untouched, sizeof(untouched));
		assert_int_equal(r.masked, 0x5a5a5a5a);
	}
}

/* The check is of the result: what caps takes away again is not claimed. */
static void caps_remove_before_the_check(void **state)
{
	struct machine machine = bochs_skylake();
	struct vcpu_model_request request = {
		.cpu = "cascadelake-server",
		.caps_remove = ARCH_CAP(RDCL_NO) | ARCH_CAP(MDS_NO),
	};
	struct result r = make(&machine, request);

	(void)state;
	assert_int_equal(r.status, VCPU_MODEL_OK);
	assert_true(r.model.arch_capabilities == (ARCH_CAP(IBRS_ALL) | ARCH_CAP(TSX_CTRL) | PSCHANGE));
	request = (struct vcpu_model_request){.cpu = "host", .caps_remove = ~0ull};
	assert_true(make(&machine, request).model.arch_capabilities == 0);
}

static void host_without_fb_clear_wants_fb_clear_dis_on_bochs_fbclear(void **state)
{
	struct machine machine = bochs_fbclear();
	struct result r = make_named(&machine, "host");

	(void)state;
	assert_int_equal(r.status, VCPU_MODEL_OK);
	assert_true(r.model.fb_clear);
	assert_false(r.model.wants_fb_clear_dis);
	r = make(&machine, (struct vcpu_model_request){.cpu = "host", .caps_remove = ARCH_CAP(FB_CLEAR)});
	assert_int_equal(r.status, VCPU_MODEL_OK);
	assert_false(r.model.fb_clear);
	assert_true(r.model.wants_fb_clear_dis);
	/* FB_CLEAR_CTRL itself is no guest's. */
	assert_false(r.model.arch_capabilities & ARCH_CAP(FB_CLEAR_CTRL));
}

/* Trap 14: MDS_NO=0 with both CPUID bits implies FB_CLEAR; one of them, or MDS_NO=1, does not. */
static void trap14_implied_fb_clear_is_honoured_and_md_clear_alone_is_not(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct machine machine = capable();
		bool mds_no = i & 1;

		machine.caps.features &= ~(uint32_t)(i & 2 ? CPU_L1D_FLUSH : 0);
		machine.caps.features &= ~(uint32_t)(i & 4 ? CPU_MD_CLEAR : 0);

		struct result r = make(&machine, (struct vcpu_model_request){
							 .cpu = "skylake-server",
							 .caps_add = mds_no ? ARCH_CAP(MDS_NO) : 0,
						 });

		assert_int_equal(r.status, VCPU_MODEL_OK);
		assert_true(r.model.fb_clear == (i == 0));
		assert_true(r.model.wants_fb_clear_dis == (i != 0));
	}
}

/* G2, and KVM's five bits: immune needs all of them. */
static void wants_is_neither_fb_clear_nor_all_five_immunities(void **state)
{
	static const uint64_t FIVE[] = {ARCH_CAP(MDS_NO), ARCH_CAP(TAA_NO), ARCH_CAP(SBDR_SSDP_NO), ARCH_CAP(FBSDP_NO),
					ARCH_CAP(PSDP_NO)};
	struct machine machine = capable();

	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		uint64_t remove = i & 32 ? ARCH_CAP(FB_CLEAR) : 0;

		for (unsigned bit = 0; bit < COUNT(FIVE); bit++)
			remove |= i >> bit & 1 ? FIVE[bit] : 0;

		struct result r = make(&machine, (struct vcpu_model_request){.cpu = "host", .caps_remove = remove});

		assert_int_equal(r.status, VCPU_MODEL_OK);
		assert_true(r.model.fb_clear == (!(i & 32) || remove & ARCH_CAP(MDS_NO)));
		assert_true(r.model.wants_fb_clear_dis == (!r.model.fb_clear && (i & 31) != 0));
		assert_false(r.model.fb_clear && r.model.wants_fb_clear_dis);
	}
}

/* Trap 15: "host" shows neither TAA_NO nor TSX_CTRL without RTM; yet a CPU that says TAA_NO has the immunity, so a
 * named model (none shows RTM) may claim it. */
static void trap15_taa_no_where_rtm_is_off(void **state)
{
	struct cpu_caps caps = capable().caps;

	(void)state;
	caps.features &= ~(uint32_t)CPU_RTM;

	struct machine machine = machine_of(caps);
	struct result host = make_named(&machine, "host");

	assert_false(host.model.features & CPU_RTM);
	assert_false(host.model.arch_capabilities & (ARCH_CAP(TAA_NO) | ARCH_CAP(TSX_CTRL)));
	assert_int_equal(make_named(&machine, "icelake-server").status, VCPU_MODEL_OK);
	caps.arch_capabilities &= ~ARCH_CAP(TAA_NO);
	machine = machine_of(caps);
	assert_int_equal(make_named(&machine, "icelake-server").status, VCPU_MODEL_IMMUNITY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_on_a_machine_that_can_do_everything),
		cmocka_unit_test(host_is_what_is_supported),
		cmocka_unit_test(names_are_listed_and_others_unknown),
		cmocka_unit_test(features_that_the_machine_lacks_are_masked_and_reported),
		cmocka_unit_test(trap13_on_a_host_with_l1tf_or_mds_only_skylake_server_starts),
		cmocka_unit_test(trap13_each_bit_that_caps_may_add),
		cmocka_unit_test(trap13_a_failure_leaves_the_result_alone),
		cmocka_unit_test(caps_remove_before_the_check),
		cmocka_unit_test(host_without_fb_clear_wants_fb_clear_dis_on_bochs_fbclear),
		cmocka_unit_test(trap14_implied_fb_clear_is_honoured_and_md_clear_alone_is_not),
		cmocka_unit_test(wants_is_neither_fb_clear_nor_all_five_immunities),
		cmocka_unit_test(trap15_taa_no_where_rtm_is_off),
	};

	return cmocka_run_group_tests_name("vcpu_model", tests, NULL, NULL);
}
