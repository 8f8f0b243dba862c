/* Does a periodic local APIC timer come each time while the guest is busy and makes no exit, not even for its EOIs? */
#include <stdint.h>

#include "guest/lib/acpi.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/irq.h"
#include "guest/lib/report.h"

#define PM_HZ          3579545u
#define PM_MASK        0xffffffu
#define MEASURED_MS    10
#define TICKS          100
#define TICKS_AT_LEAST 95
#define VECTOR         0x60
#define LVT_PERIODIC   (1u << 17)

void everyms_on_tick(void);
volatile uint32_t everyms_ticks;

/* The EOI goes to where the page is at reset: the library reads its place from an MSR, which exits. */
__asm__(".text\n"
	"everyms_on_tick:\n"
	"	incl everyms_ticks\n"
	"	movl $0, 0xfee000b0\n"
	"	iret\n");

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	uint32_t start, period;
	uint64_t began_tsc, measured_tsc;
	uint16_t pm;

	(void)magic;
	(void)info;
	report_start("everyms");
	fault_install();
	irq_install();
	apic_enable(false);
	fault_set_gate(VECTOR, (uint32_t)(uintptr_t)everyms_on_tick);
	pm = acpi_pm_timer_port();
	apic_write(APIC_TIMER_DIVIDE, APIC_TIMER_DIVIDE_BY_1);
	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
	apic_write(APIC_TIMER_INITIAL, UINT32_MAX);
	start = inl(pm);
	began_tsc = rdtsc();
	while (((inl(pm) - start) & PM_MASK) < PM_HZ / 1000 * MEASURED_MS)
		cpu_pause();
	period = (UINT32_MAX - apic_read(APIC_TIMER_CURRENT)) / MEASURED_MS;
	measured_tsc = rdtsc() - began_tsc;

	apic_write(APIC_LVT_TIMER, VECTOR | LVT_PERIODIC);
	apic_write(APIC_TIMER_INITIAL, period);
	irq_on();
	began_tsc = rdtsc();
	while (rdtsc() - began_tsc < TICKS / MEASURED_MS * measured_tsc)
		;
	irq_off();
	apic_write(APIC_TIMER_INITIAL, 0);
	report_true("ticks", everyms_ticks >= TICKS_AT_LEAST && everyms_ticks <= TICKS + 1, everyms_ticks);
	report_end();
}
