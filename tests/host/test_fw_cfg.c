/* hv/policy/fw_cfg.c: what a program that looks for QEMU finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/policy/fw_cfg.h"

static uint64_t item(struct fw_cfg *f, uint16_t key, unsigned bytes)
{
	uint64_t value = 0;

	fw_cfg_select(f, key);
	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)fw_cfg_next(f) << 8 * i;
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(fw_cfg_next(f), 0);
	return value;
}

static void what_is_offered(void **state)
{
	struct fw_cfg f;

	(void)state;
	fw_cfg_reset(&f, 0x123456789abcd000, 0x102);
	for (unsigned i = 0; i < 4; i++) /* selected at reset */
		assert_int_equal(fw_cfg_next(&f), "QEMU"[i]);
	for (unsigned round = 0; round < 2; round++) {
		assert_int_equal(item(&f, 0x00, 4), 0x554d4551);
		assert_int_equal(item(&f, 0x01, 4), 1);
		assert_int_equal(item(&f, 0x03, 8), 0x123456789abcd000);
		assert_int_equal(item(&f, 0x05, 2), 0x102);
		assert_int_equal(item(&f, 0x0f, 2), 0x102);
		assert_int_equal(item(&f, 0x4003, 8), 0x123456789abcd000);
	}
}

static void all_else_is_nothing(void **state)
{
	struct fw_cfg f;

	(void)state;
	fw_cfg_reset(&f, UINT64_MAX, UINT16_MAX);
	for (unsigned key = 0; key <= UINT16_MAX; key++) {
		unsigned plain = key & ~0x4000u;

		if (plain == 0 || plain == 1 || plain == 3 || plain == 5 || plain == 0xf)
			continue;
		fw_cfg_select(&f, (uint16_t)key);
		for (unsigned i = 0; i < 12; i++)
			assert_int_equal(fw_cfg_next(&f), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_offered),
		cmocka_unit_test(all_else_is_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
