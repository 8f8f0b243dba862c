/* The ACPI registers of a guest: power-off, reset, the timer, and accesses of every size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/policy/acpi_pm.h"
#include "hv/policy/acpi_ports.h"

#define HZ 2600000000ull

static uint32_t read_at(const struct acpi_pm *pm, uint16_t port, unsigned size_bytes)
{
	return acpi_pm_read(pm, port, size_bytes, 0, HZ);
}

static void test_which_ports(void **state)
{
	(void)state;
	for (uint32_t port = 0; port <= UINT16_MAX; port++)
		for (unsigned size = 1; size <= 4; size *= 2)
			assert_int_equal(acpi_pm_has((uint16_t)port, size),
					 (port >= 0x600 && port < 0x60c) || (port == 0xcf9 && size == 1));
}

static void test_power_off(void **state)
{
	struct acpi_pm pm = {0};

	(void)state;
	/* As programs do that know QEMU, and as Linux does: the type first, then the same with SLP_EN. */
	assert_int_equal(acpi_pm_write(&pm, 0x604, 2, 0x2000), ACPI_PM_POWER_OFF);
	assert_int_equal(acpi_pm_write(&pm, 0x604, 2, 0x0001), ACPI_PM_NOTHING);
	assert_int_equal(acpi_pm_write(&pm, 0x604, 2, 0x2001), ACPI_PM_POWER_OFF);
	assert_int_equal(acpi_pm_write(&pm, 0x604, 4, 0x2000), ACPI_PM_POWER_OFF);
	assert_int_equal(acpi_pm_write(&pm, 0x605, 1, 0x20), ACPI_PM_POWER_OFF);
	assert_int_equal(acpi_pm_write(&pm, 0x604, 1, 0x20), ACPI_PM_NOTHING);
	/* SLP_EN does not stay */
	assert_int_equal(acpi_pm_write(&pm, 0x604, 1, 0), ACPI_PM_NOTHING);
	/* other sleeping states do not exist */
	for (uint32_t type = 1; type < 8; type++)
		assert_int_equal(acpi_pm_write(&pm, 0x604, 2, 0x2000 | type << 10), ACPI_PM_NOTHING);
	/* the type of before counts */
	assert_int_equal(acpi_pm_write(&pm, 0x604, 2, 5 << 10), ACPI_PM_NOTHING);
	assert_int_equal(acpi_pm_write(&pm, 0x604, 1, 0xff), ACPI_PM_NOTHING);
}

static void test_control(void **state)
{
	struct acpi_pm pm = {0};

	(void)state;
	assert_int_equal(read_at(&pm, 0x604, 2), 1); /* SCI_EN */
	assert_int_equal(acpi_pm_write(&pm, 0x604, 2, 0), ACPI_PM_NOTHING);
	assert_int_equal(read_at(&pm, 0x604, 2), 1);
	assert_int_equal(acpi_pm_write(&pm, 0x604, 2, 0xffff), ACPI_PM_NOTHING);
	assert_int_equal(read_at(&pm, 0x604, 2), 0x1c03);
	assert_int_equal(read_at(&pm, 0x604, 4), 0x1c03);
	assert_int_equal(read_at(&pm, 0x605, 1), 0x1c);
}

static void test_event(void **state)
{
	struct acpi_pm pm = {0};

	(void)state;
	assert_int_equal(acpi_pm_write(&pm, 0x602, 2, 0xffff), ACPI_PM_NOTHING);
	assert_int_equal(read_at(&pm, 0x602, 2), 0x721);
	assert_int_equal(acpi_pm_write(&pm, 0x600, 2, 0xffff), ACPI_PM_NOTHING); /* clears status, which is clear */
	assert_int_equal(read_at(&pm, 0x600, 4), 0x721u << 16);
	assert_int_equal(acpi_pm_write(&pm, 0x603, 1, 0), ACPI_PM_NOTHING);
	assert_int_equal(read_at(&pm, 0x602, 2), 0x21);
	/* both in one write: the enable register, not the status */
	assert_int_equal(acpi_pm_write(&pm, 0x600, 4, 0x0100ffffu), ACPI_PM_NOTHING);
	assert_int_equal(read_at(&pm, 0x602, 2), 0x100);
	/* across the border of two registers */
	assert_int_equal(acpi_pm_write(&pm, 0x603, 2, 0x0207), ACPI_PM_NOTHING);
	assert_int_equal(read_at(&pm, 0x602, 2), 0x700);
	assert_int_equal(read_at(&pm, 0x604, 2), 3);
}

static void test_reset(void **state)
{
	struct acpi_pm pm = {0};

	(void)state;
	assert_int_equal(acpi_pm_write(&pm, 0xcf9, 1, 0x02), ACPI_PM_NOTHING);
	assert_int_equal(read_at(&pm, 0xcf9, 1), 0x02);
	assert_int_equal(acpi_pm_write(&pm, 0xcf9, 1, ACPI_RESET_VALUE), ACPI_PM_RESET);
	pm = (struct acpi_pm){0};
	assert_int_equal(acpi_pm_write(&pm, 0xcf9, 1, ACPI_RESET_VALUE), ACPI_PM_RESET);
	assert_int_equal(acpi_pm_write(&pm, 0xcf9, 1, ACPI_RESET_VALUE), ACPI_PM_NOTHING); /* no edge */
	assert_int_equal(acpi_pm_write(&pm, 0xcf9, 1, 0), ACPI_PM_NOTHING);
	assert_int_equal(acpi_pm_write(&pm, 0xcf9, 1, 4), ACPI_PM_RESET);
	pm = (struct acpi_pm){0};
	assert_int_equal(acpi_pm_write(&pm, 0xcf9, 1, 0xf9), ACPI_PM_NOTHING);
	assert_int_equal(read_at(&pm, 0xcf9, 1), 0);
}

static void test_timer(void **state)
{
	static const uint64_t frequencies[] = {1000000, 10000000, 100000000, HZ, 1000000000000};
	const struct acpi_pm pm = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(frequencies) / sizeof(frequencies[0]); i++) {
		uint64_t hz = frequencies[i];

		assert_int_equal(acpi_pm_read(&pm, 0x608, 4, 0, hz), 0);
		assert_int_equal(acpi_pm_read(&pm, 0x608, 4, hz, hz), 3579545);
		assert_int_equal(acpi_pm_read(&pm, 0x608, 4, hz - 1, hz), 3579545 - (hz > 3579545 ? 1 : 4));
		assert_int_equal(acpi_pm_read(&pm, 0x608, 4, hz * 1000 + hz / 2, hz),
				 (uint32_t)(3579545ull * 1000 + 3579545 / 2));
		/* a year later it has wrapped, and still runs at the same pace */
		assert_int_equal((uint32_t)(acpi_pm_read(&pm, 0x608, 4, hz * 10000001, hz) -
					    acpi_pm_read(&pm, 0x608, 4, hz * 10000000, hz)),
				 3579545);
	}
	/* the bytes of it, and what is beyond */
	assert_int_equal(acpi_pm_read(&pm, 0x609, 2, HZ, HZ), 3579545 >> 8 & 0xffff);
	assert_int_equal(acpi_pm_read(&pm, 0x60a, 4, HZ, HZ), 0xffff0000u | 3579545 >> 16);
	assert_int_equal(acpi_pm_read(&pm, 0x60b, 1, HZ, HZ), 0);
}

/* Every write of every size everywhere leaves only bits that exist, and nothing but S5 and the reset has an effect. */
static void test_any_write(void **state)
{
	(void)state;
	for (uint16_t port = ACPI_PORTS_START; port < ACPI_PORTS_END; port++)
		for (unsigned size = 1; size <= 4; size *= 2)
			for (unsigned bit = 0; bit <= 8 * size; bit++) {
				uint32_t value = bit == 8 * size ? 0xffffffffu : 1u << bit;
				struct acpi_pm pm = {0};
				enum acpi_pm_effect effect = acpi_pm_write(&pm, port, size, value);
				unsigned slp_en = (port - 0x604u) * 8 + bit == 13;

				assert_int_equal(effect == ACPI_PM_POWER_OFF, slp_en && bit < 8 * size);
				assert_int_not_equal(effect, ACPI_PM_RESET);
				assert_int_equal(pm.enable & ~0x721, 0);
				assert_int_equal(pm.control & ~0x1c02, 0);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_which_ports), cmocka_unit_test(test_power_off), cmocka_unit_test(test_control),
		cmocka_unit_test(test_event),       cmocka_unit_test(test_reset),     cmocka_unit_test(test_timer),
		cmocka_unit_test(test_any_write),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
