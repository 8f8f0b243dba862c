/* Traps of tests/traps/table.py that no other file here shows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/defs/msr.h"
#include "hv/policy/msr_policy.h"

/* The plan takes the vCPU's value for what the exit finds: no guest, whatever its model, writes it without an exit. */
static void trap23_no_guest_writes_spec_ctrl_without_an_exit(void **state)
{
	static uint8_t bitmap[MSR_POLICY_BITMAP_BYTES];
	static const struct vcpu_model models[] = {
		{.features = 0},
		{.features = UINT32_MAX},
		{.features = UINT32_MAX, .arch_capabilities = UINT64_MAX},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		msr_policy_bitmap_make(bitmap, &models[i], ~0u);
		assert_true(msr_policy_bitmap_exits(bitmap, MSR_IA32_SPEC_CTRL, false));
		assert_true(msr_policy_bitmap_exits(bitmap, MSR_IA32_SPEC_CTRL, true));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(trap23_no_guest_writes_spec_ctrl_without_an_exit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
