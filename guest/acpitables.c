/* Are the ACPI tables whole, and do they describe this machine: its CPUs, its I/O APIC, its PM timer? cpus=N if the
 * machine does not say how many there are. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/defs/acpi.h"
#include "arch/defs/acpi_tables.h"
#include "guest/lib/acpi.h"
#include "guest/lib/answer.h"
#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/smp.h"

#define LOCAL_APIC_ADDRESS 0xfee00000u
#define MADT_LOCAL_ADDRESS 36
#define IOAPIC_INDEX       0u
#define IOAPIC_WINDOW      4 /* in words */
#define IOAPIC_VERSION     1
#define IOAPIC_PINS        24
#define IRQS               16
#define READS              200

static bool table_good(const uint8_t *table)
{
	return table && acpi_sum_is_right(table, acpi_read32(table, ACPI_TABLE_LENGTH));
}

static void ask_sums(void)
{
	const uint8_t *rsdp = acpi_rsdp(), *fadt = acpi_table(ACPI_FADT);
	bool good = true;
	unsigned count = 0;

	answer_yes("rsdp", rsdp != NULL);
	answer_yes("rsdp_second_sum", rsdp && (rsdp[ACPI_RSDP_REVISION] < 2 ||
					       acpi_sum_is_right(rsdp, acpi_read32(rsdp, ACPI_RSDP_LENGTH))));
	for (const uint8_t *table; (table = acpi_table_at(count)) != NULL; count++)
		good &= table_good(table);
	answer_yes("sums_of_all_tables", count && good);
	answer_yes("fadt", fadt != NULL);
	answer_yes("madt", acpi_table(ACPI_MADT) != NULL);
	answer_yes("dsdt", fadt && table_good((const uint8_t *)(uintptr_t)acpi_read32(fadt, ACPI_FADT_DSDT)));
}

static void ask_madt(unsigned cpu_count)
{
	const uint8_t *madt = acpi_table(ACPI_MADT), *entry;
	unsigned enabled = 0;
	bool ids = true;

	for (unsigned i = 0; (entry = acpi_madt_entry(ACPI_MADT_LOCAL_APIC, i)) != NULL; i++)
		if (acpi_read32(entry, ACPI_MADT_LOCAL_APIC_FLAGS) & ACPI_MADT_ENABLED)
			ids &= entry[ACPI_MADT_LOCAL_APIC_ID] == enabled++;
	answer_number("enabled_cpus", enabled);
	answer_yes("as_many_as_there_are", enabled == cpu_count);
	answer_yes("ids_are_indices", ids);
	answer_yes("local_apic_address", madt && acpi_read32(madt, MADT_LOCAL_ADDRESS) == LOCAL_APIC_ADDRESS);
}

static void ask_ioapic(void)
{
	const struct acpi_madt_io_apic *entry = (const void *)acpi_madt_entry(ACPI_MADT_IO_APIC, 0);
	volatile uint32_t *ioapic;
	uint32_t taken = 0;
	bool apart = true;

	answer_yes("one_ioapic", entry && !acpi_madt_entry(ACPI_MADT_IO_APIC, 1));
	if (!entry)
		return;
	ioapic = (volatile uint32_t *)(uintptr_t)entry->address;
	ioapic[IOAPIC_INDEX] = IOAPIC_VERSION;
	answer_number("ioapic_inputs", (ioapic[IOAPIC_WINDOW] >> 16 & 0xff) + 1);
	answer_number("ioapic_first_input", entry->gsi_base);
	for (unsigned irq = 0; irq < IRQS; irq++) {
		const uint32_t gsi = acpi_gsi_of((uint8_t)irq);

		if (irq == 2) /* the cascade of the 8259 pair */
			continue;
		apart &= gsi < IOAPIC_PINS && !(taken >> gsi & 1);
		taken |= 1u << gsi;
	}
	answer_yes("each_irq_has_an_input_of_its_own", apart);
	answer_number("input_of_irq_0", acpi_gsi_of(0));
}

static void ask_pm_timer(void)
{
	const uint16_t port = acpi_pm_timer_port();
	uint32_t first, last;
	bool forward = true;

	answer_yes("pm_timer", port != 0);
	if (!port)
		return;
	first = last = inl(port);
	for (unsigned i = 0; i < READS; i++) {
		const uint32_t now = inl(port);

		forward &= ((now - last) & 0xffffff) < 0x800000;
		last = now;
	}
	answer_yes("pm_timer_goes_forward", forward && last != first);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	answer_start("acpitables");
	ask_sums();
	ask_madt(smp_cpu_count(info));
	ask_ioapic();
	ask_pm_timer();
	answer_end();
}
