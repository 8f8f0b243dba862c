#include "arch/power.h"

#include "arch/cpu.h"
#include "arch/defs/acpi.h"
#include "arch/defs/power.h"
#include "arch/tsc.h"

#define OBEY_US 500000 /* real chipsets take their time */

static struct acpi_power power;

void power_init(const struct acpi_power *acpi)
{
	power = *acpi;
}

/* slp_typ is in place. The register's other bits stay as they are. */
static void acpi_sleep(uint16_t port, uint16_t slp_typ)
{
	const unsigned ours = ACPI_SLP_TYP_MASK << ACPI_SLP_TYP_SHIFT | ACPI_PM1_SLP_EN;
	const unsigned kept = inw(port) & ~ours;

	outw(port, (uint16_t)(kept | slp_typ | ACPI_PM1_SLP_EN));
}

static void acpi_off(void)
{
	if (!power.has_s5 || power.pm1a_cnt_port == 0)
		return;
	acpi_sleep(power.pm1a_cnt_port, power.slp_typ_a);
	if (power.pm1b_cnt_port != 0)
		acpi_sleep(power.pm1b_cnt_port, power.slp_typ_b);
	tsc_delay_us(OBEY_US);
}

void power_off(void)
{
	acpi_off();
	for (const char *letter = BOCHS_SHUTDOWN_TEXT; *letter != '\0'; letter++)
		outb(BOCHS_SHUTDOWN_PORT, (uint8_t)*letter);
	outb(QEMU_DEBUG_EXIT_PORT, 0);
	tsc_delay_us(OBEY_US);
}

/* With no IDT the breakpoint is a triple fault, which resets the processor (SDM vol. 3A, "Interrupt 8--Double Fault
 * Exception"). */
static _Noreturn void triple_fault(void)
{
	static const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) NO_IDT = {0, 0};

	__asm__ volatile("lidt %0\n\tint3" : : "m"(NO_IDT));
	__builtin_unreachable();
}

_Noreturn void power_reset(void)
{
	if (power.has_reset) {
		outb(power.reset_port, power.reset_value);
		tsc_delay_us(OBEY_US);
	}
	outb(RESET_CONTROL_PORT, RESET_CONTROL_SYSTEM);
	outb(RESET_CONTROL_PORT, RESET_CONTROL_SYSTEM | RESET_CONTROL_CPU);
	tsc_delay_us(OBEY_US);
	outb(I8042_COMMAND_PORT, I8042_PULSE_RESET);
	tsc_delay_us(OBEY_US);
	triple_fault();
}
