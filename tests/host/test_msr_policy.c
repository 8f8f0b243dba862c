#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/defs/msr.h"
#include "hv/policy/msr_policy.h"

#define ALL_FEATURES 0xffffffffu

static const struct vcpu_model everything = {
	.name = "everything", .family = 6, .features = ALL_FEATURES, .arch_capabilities = ~0ull};
static const struct vcpu_model plain = {.name = "plain", .family = 6, .features = CPU_ARCH_CAPABILITIES};

static bool writable(uint32_t msr, const struct vcpu_model *model, uint64_t value)
{
	const struct msr_rule *rule = msr_policy_find(msr);

	assert_non_null(rule);
	return msr_policy_write_valid(rule, model, value);
}

static bool has(uint32_t msr, const struct vcpu_model *model, uint32_t instructions)
{
	const struct msr_rule *rule = msr_policy_find(msr);

	assert_non_null(rule);
	return msr_policy_has(rule, model, instructions);
}

static void test_table_ascends_and_is_found(void **state)
{
	const struct msr_rule *before = NULL;
	unsigned i;

	(void)state;
	for (i = 0; msr_policy_rule(i); i++) {
		const struct msr_rule *rule = msr_policy_rule(i);

		assert_ptr_equal(msr_policy_find(rule->msr), rule);
		assert_true(!before || before->msr < rule->msr);
		before = rule;
	}
	assert_true(i > 20);
}

/* Every rule's constant is what a guest may write back (what it reads is never refused), unless writing is #GP. */
static void test_constants_can_be_written_back(void **state)
{
	(void)state;
	for (unsigned i = 0; msr_policy_rule(i); i++) {
		const struct msr_rule *rule = msr_policy_rule(i);

		if (rule->read == MSR_CONSTANT)
			assert_int_equal(msr_policy_write_valid(rule, &everything, rule->value), rule->write != MSR_GP);
	}
}

/* facts.md, trap 22: the bitmap is closed but for the pass-through rows, MCU_OPT_CTRL is no guest's, and write-only
 * MSRs cannot be read. */
static void test_trap_22_bitmap_is_closed(void **state)
{
	static uint8_t bitmap[MSR_POLICY_BITMAP_BYTES];
	unsigned open = 0;

	(void)state;
	msr_policy_bitmap_make(bitmap, &everything, ~0u);
	for (uint32_t i = 0; i < 0x4000; i++) {
		uint32_t msr = i < 0x2000 ? i : 0xc0000000u + (i - 0x2000);
		const struct msr_rule *rule = msr_policy_find(msr);
		bool passes = rule && (rule->read == MSR_PASS_VMCS || rule->read == MSR_PASS_SWITCHED);

		assert_int_equal(msr_policy_bitmap_exits(bitmap, msr, false), !passes);
		assert_int_equal(msr_policy_bitmap_exits(bitmap, msr, true), !passes);
		open += passes;
	}
	assert_int_equal(open, 11);
	assert_true(msr_policy_bitmap_exits(bitmap, 0x2000, false));
	assert_true(msr_policy_bitmap_exits(bitmap, 0xbfffffff, true));
	assert_true(msr_policy_bitmap_exits(bitmap, 0xc0002000, true));
	assert_true(msr_policy_bitmap_exits(bitmap, MSR_IA32_MCU_OPT_CTRL, false));
	assert_true(msr_policy_bitmap_exits(bitmap, MSR_IA32_SPEC_CTRL, true));
}

/* The bit numbers of the SDM, not ours: SYSENTER_CS 0x174, LSTAR 0xc0000082. */
static void test_trap_22_bitmap_layout(void **state)
{
	static uint8_t bitmap[MSR_POLICY_BITMAP_BYTES];

	(void)state;
	msr_policy_bitmap_make(bitmap, &everything, ~0u);
	assert_int_equal(bitmap[0x174 / 8] >> (0x174 % 8) & 1, 0);
	assert_int_equal(bitmap[1024 + 0x82 / 8] >> (0x82 % 8) & 1, 0);
	assert_int_equal(bitmap[2048 + 0x174 / 8] >> (0x174 % 8) & 1, 0);
	assert_int_equal(bitmap[3072 + 0x82 / 8] >> (0x82 % 8) & 1, 0);
	assert_int_equal(bitmap[0x48 / 8] >> (0x48 % 8) & 1, 1);
}

static void test_trap_22_mcu_opt_ctrl_and_write_only(void **state)
{
	(void)state;
	assert_null(msr_policy_find(MSR_IA32_MCU_OPT_CTRL));
	assert_int_equal(msr_policy_find(MSR_IA32_PRED_CMD)->read, MSR_GP);
	assert_int_equal(msr_policy_find(MSR_IA32_FLUSH_CMD)->read, MSR_GP);
	assert_int_equal(msr_policy_find(MSR_IA32_ARCH_CAPABILITIES)->write, MSR_GP);
	assert_false(writable(MSR_IA32_ARCH_CAPABILITIES, &everything, 0));
	assert_false(writable(MSR_IA32_MTRRCAP, &everything, 0));
}

/* A pass-through row passes both ways, or a guest could write what is not switched. */
static void test_pass_both_ways(void **state)
{
	(void)state;
	for (unsigned i = 0; msr_policy_rule(i); i++) {
		const struct msr_rule *rule = msr_policy_rule(i);

		if (rule->read == MSR_PASS_VMCS || rule->read == MSR_PASS_SWITCHED)
			assert_int_equal(rule->write, rule->read);
		else
			assert_true(rule->write != MSR_PASS_VMCS && rule->write != MSR_PASS_SWITCHED);
	}
}

static void test_no_vmx_no_apic(void **state)
{
	(void)state;
	assert_null(msr_policy_find(MSR_IA32_FEATURE_CONTROL));
	for (uint32_t msr = MSR_IA32_VMX_BASIC; msr < MSR_IA32_VMX_BASIC + 0x20; msr++)
		assert_null(msr_policy_find(msr));
	assert_null(msr_policy_find(MSR_IA32_APIC_BASE));
	for (uint32_t msr = MSR_IA32_X2APIC_FIRST; msr <= MSR_IA32_X2APIC_LAST; msr++)
		assert_null(msr_policy_find(msr));
}

static void test_presence_follows_the_model(void **state)
{
	struct vcpu_model m = plain;

	(void)state;
	assert_true(has(MSR_IA32_ARCH_CAPABILITIES, &plain, 0));
	assert_false(has(MSR_IA32_SPEC_CTRL, &plain, 0));
	assert_false(has(MSR_IA32_PRED_CMD, &plain, 0));
	assert_false(has(MSR_IA32_FLUSH_CMD, &plain, 0));
	assert_false(has(MSR_IA32_TSC_AUX, &plain, 0));
	assert_false(has(MSR_IA32_TSC_AUX, &plain, MSR_WITH_XSAVES));
	assert_true(has(MSR_IA32_TSC_AUX, &plain, MSR_WITH_RDTSCP));
	assert_false(has(MSR_IA32_XSS, &plain, MSR_WITH_RDTSCP));
	assert_true(has(MSR_IA32_XSS, &plain, MSR_WITH_XSAVES));
	m.features |= CPU_SSBD;
	assert_true(has(MSR_IA32_SPEC_CTRL, &m, 0));
	assert_false(has(MSR_IA32_PRED_CMD, &m, 0));
	m.features |= CPU_IBRS;
	assert_true(has(MSR_IA32_PRED_CMD, &m, 0));
	m.features |= CPU_L1D_FLUSH;
	assert_true(has(MSR_IA32_FLUSH_CMD, &m, 0));
}

/* facts.md, trap 15: IA32_TSX_CTRL is there exactly if the guest's capability value says so, whatever RTM says. */
static void test_trap_15_tsx_ctrl_follows_the_value(void **state)
{
	struct vcpu_model m = plain;

	(void)state;
	for (unsigned n = 0; n < 4; n++) {
		m.features = n & 1 ? CPU_ARCH_CAPABILITIES | CPU_RTM : CPU_ARCH_CAPABILITIES;
		m.arch_capabilities = n & 2 ? ARCH_CAP(TSX_CTRL) | ARCH_CAP(MDS_NO) : ARCH_CAP(MDS_NO);
		assert_int_equal(has(MSR_IA32_TSX_CTRL, &m, ~0u), n >> 1);
	}
	for (uint64_t value = 0; value < 64; value++)
		assert_int_equal(writable(MSR_IA32_TSX_CTRL, &m, value), value < 4);
}

/* Each feature brings its bits, none brings another's, and whatever no feature brings is reserved. */
static void test_spec_ctrl_bits(void **state)
{
	uint64_t all = 0;

	(void)state;
	for (unsigned f = 0; f < 32; f++) {
		struct vcpu_model m = {.features = 1u << f};
		uint64_t mask = msr_policy_spec_ctrl_mask(&m);

		assert_int_equal(all & mask, 0);
		all |= mask;
		for (unsigned bit = 0; bit < 64; bit++)
			assert_int_equal(writable(MSR_IA32_SPEC_CTRL, &m, 1ull << bit), mask >> bit & 1);
		assert_true(writable(MSR_IA32_SPEC_CTRL, &m, 0));
		if (mask) {
			assert_true(writable(MSR_IA32_SPEC_CTRL, &m, mask));
			assert_true(has(MSR_IA32_SPEC_CTRL, &m, 0));
		}
	}
	assert_int_equal(all, 0x4ff);
}

static void test_command_bits(void **state)
{
	static const uint32_t msrs[] = {MSR_IA32_PRED_CMD, MSR_IA32_FLUSH_CMD};

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		for (unsigned bit = 0; bit < 64; bit++) {
			assert_int_equal(writable(msrs[i], &everything, 1ull << bit), bit == 0);
			assert_int_equal(writable(msrs[i], &everything, 1ull << bit | 1), bit == 0);
		}
}

/* Any valid type is taken: Linux switches the MTRRs off and on again. */
static void test_mtrr_def_type_stays_write_back(void **state)
{
	(void)state;
	assert_int_equal(msr_policy_find(MSR_IA32_MTRR_DEF_TYPE)->value, 0x806);
	for (uint64_t value = 0; value < 0x10000; value++)
		assert_int_equal(writable(MSR_IA32_MTRR_DEF_TYPE, &everything, value),
				 !(value & 0xf3f8) && (value & 7) != 2 && (value & 7) != 3 && (value & 7) != 7);
	assert_false(writable(MSR_IA32_MTRR_DEF_TYPE, &everything, 0x806 | 1ull << 40));
}

static void test_other_constants(void **state)
{
	(void)state;
	assert_int_equal(msr_policy_find(MSR_IA32_XSS)->value, 0);
	for (unsigned bit = 0; bit < 64; bit++)
		assert_false(writable(MSR_IA32_XSS, &everything, 1ull << bit));
	assert_int_equal(msr_policy_find(MSR_IA32_MCG_CAP)->value, 0);
	assert_int_equal(msr_policy_find(MSR_IA32_MTRRCAP)->value, 0);
	assert_int_equal(msr_policy_find(MSR_IA32_MISC_ENABLE)->value, 1);
	assert_false(writable(MSR_IA32_MCG_STATUS, &everything, 1));
	assert_false(writable(MSR_IA32_DEBUGCTL, &everything, 1));
	assert_true(writable(MSR_IA32_DEBUGCTL, &everything, 0));
	assert_true(writable(MSR_IA32_BIOS_SIGN_ID, &everything, 0));
	assert_true(writable(MSR_IA32_PAT, &everything, 0x0007040600070406));
	assert_false(writable(MSR_IA32_PAT, &everything, 0x0007040600070402));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table_ascends_and_is_found),
		cmocka_unit_test(test_constants_can_be_written_back),
		cmocka_unit_test(test_trap_22_bitmap_is_closed),
		cmocka_unit_test(test_trap_22_bitmap_layout),
		cmocka_unit_test(test_trap_22_mcu_opt_ctrl_and_write_only),
		cmocka_unit_test(test_pass_both_ways),
		cmocka_unit_test(test_no_vmx_no_apic),
		cmocka_unit_test(test_presence_follows_the_model),
		cmocka_unit_test(test_trap_15_tsx_ctrl_follows_the_value),
		cmocka_unit_test(test_spec_ctrl_bits),
		cmocka_unit_test(test_command_bits),
		cmocka_unit_test(test_mtrr_def_type_stays_write_back),
		cmocka_unit_test(test_other_constants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
