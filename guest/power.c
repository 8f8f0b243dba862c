/* Does a guest switch itself off, and start again? By ACPI, or, with the words `reset`, `cf9`, `keyboard`, by a reset
 * through the register that ACPI names, twice through port 0xcf9, through the keyboard controller; `at_once`: without a
 * word or a pause before. */
#include "arch/defs/power.h"
#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/print.h"

#define PM1A_CNT      0x604
#define PM_TIMER      0x608
#define PM_TIMER_HALF 1789772u /* half a second */
#define RESET_VALUE   0x06

/* So that whoever looks on can follow. */
static void wait_half_a_second(void)
{
	const uint32_t start = inl(PM_TIMER);

	while (inl(PM_TIMER) - start < PM_TIMER_HALF)
		cpu_pause();
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	if (!mb1_has_word(info, "at_once")) {
		print("power: on\n");
		wait_half_a_second();
	}
	if (mb1_has_word(info, "reset")) {
		outb(RESET_CONTROL_PORT, RESET_VALUE);
	} else if (mb1_has_word(info, "cf9")) {
		outb(RESET_CONTROL_PORT, RESET_CONTROL_SYSTEM);
		outb(RESET_CONTROL_PORT, RESET_CONTROL_SYSTEM | RESET_CONTROL_CPU);
	} else if (mb1_has_word(info, "keyboard")) {
		/* As programs do it. */
		while (inb(I8042_COMMAND_PORT) & I8042_STATUS_BUSY)
			cpu_pause();
		outb(I8042_COMMAND_PORT, I8042_PULSE_RESET);
	} else {
		outw(PM1A_CNT, ACPI_PM1_SLP_EN);
	}
	print("power: still on\n");
}
