/* Does the local APIC's error interrupt end a HLT? The 8254, through the I/O APIC, sends a vector that no interrupt can
 * have. */
#include <stdint.h>

#include "arch/defs/acpi_tables.h"
#include "arch/defs/pc.h"
#include "guest/lib/acpi.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/irq.h"
#include "guest/lib/report.h"

#define VECTOR_ERROR        0x50
#define VECTOR_ILLEGAL      0x05
#define ESR_RECEIVE_ILLEGAL (1u << 6) /* SDM vol. 3A, "Error Handling" */

#define IOAPIC_WINDOW      4 /* in words */
#define IOAPIC_REDIRECTION 0x10
#define IRQ_PIT            0

/* 8254, mode 0: once, 8.5 ms from now. */
#define PIT_CHANNEL0 0x40
#define PIT_MODE0    0x30
#define PIT_LOW      0xff
#define PIT_HIGH     0x27

static volatile uint32_t errors;

static void note(uint32_t vector)
{
	(void)vector;
	errors++;
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	const struct acpi_madt_io_apic *entry = (const void *)acpi_madt_entry(ACPI_MADT_IO_APIC, 0);
	volatile uint32_t *ioapic = (volatile uint32_t *)(uintptr_t)entry->address;
	const uint32_t low = IOAPIC_REDIRECTION + 2 * acpi_gsi_of(IRQ_PIT);

	(void)magic;
	(void)info;
	report_start("apicerror");
	fault_install();
	irq_install();
	apic_enable(false);
	irq_handle(VECTOR_ERROR, note);
	apic_write(APIC_LVT_ERROR, VECTOR_ERROR);
	ioapic[0] = low + 1;
	ioapic[IOAPIC_WINDOW] = apic_id() << XAPIC_ID_SHIFT;
	ioapic[0] = low;
	ioapic[IOAPIC_WINDOW] = VECTOR_ILLEGAL;
	outb(PIT_CONTROL, PIT_MODE0);
	outb(PIT_CHANNEL0, PIT_LOW);
	outb(PIT_CHANNEL0, PIT_HIGH);
	irq_wait();
	report_equal("errors", errors, 1);
	apic_write(APIC_ESR, 0);
	report_equal("esr", apic_read(APIC_ESR), ESR_RECEIVE_ILLEGAL);
	report_end();
}
