/* Do the timers run at their rates, measured against the PM timer, and does each interrupt come as often as it should,
 * by way of the 8259 pair and of the I/O APIC? */
#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/acpi.h"
#include "arch/defs/acpi_tables.h"
#include "arch/defs/cpuid.h"
#include "arch/defs/msr.h"
#include "arch/defs/pc.h"
#include "guest/lib/acpi.h"
#include "guest/lib/answer.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/irq.h"

#define PM_HZ       3579545u
#define PM_MASK     0xffffffu
#define PERCENT     3
#define MILLISECOND (PM_HZ / 1000)

/* 8259 pair. Intel 8259A data sheet, "Initialization Command Words". */
#define PIC_MASTER  0x20
#define PIC_SLAVE   0xa0
#define PIC_ICW1    0x11 /* cascaded, ICW4 follows */
#define PIC_ICW4    0x01 /* 8086 */
#define PIC_EOI     0x20
#define PIC_VECTORS 0x40
#define IRQ_PIT     0
#define IRQ_CASCADE 2
#define IRQ_RTC     8

/* 8254. */
#define PIT_CHANNEL0 0x40
#define PIT_MODE0    0x30
#define PIT_MODE2    0x34
#define PIT_TICKS    40
#define PIT_RELOAD   2983 /* 2.5 ms */

/* MC146818. */
#define RTC_INDEX    0x70
#define RTC_DATA     0x71
#define RTC_A        0x0a
#define RTC_B        0x0b
#define RTC_C        0x0c
#define RTC_256_HZ   0x28
#define RTC_PERIODIC 0x40
#define RTC_24H      0x02
#define RTC_TICKS    24

/* Local APIC timer. */
#define APIC_TIMER_INITIAL 0x380u
#define APIC_TIMER_CURRENT 0x390u
#define APIC_TIMER_DIVIDE  0x3e0u
#define DIVIDE_BY_1        0xbu
#define DIVIDE_BY_16       0x3u
#define LVT_PERIODIC       (1u << 17)
#define LVT_DEADLINE       (2u << 17)
#define LVT_EXTINT         (7u << 8)
#define VECTOR_APIC        0x60
#define VECTOR_IOAPIC      0x61
#define APIC_TICKS         20

#define IOAPIC_WINDOW      4 /* in words */
#define IOAPIC_REDIRECTION 0x10
#define IOAPIC_MASKED      (1u << 16)

static uint16_t pm_port;
static volatile uint32_t ticks, wanted, first_pm, last_pm;
static bool by_8259;
static volatile bool early;
static uint64_t deadline;

static uint32_t pm(void)
{
	return inl(pm_port) & PM_MASK;
}

static uint32_t pm_since(uint32_t start)
{
	return (pm() - start) & PM_MASK;
}

/* ---- counting interrupts ---- */

static void note(uint32_t vector)
{
	const uint32_t now = pm();

	if (vector == PIC_VECTORS + IRQ_RTC) {
		outb(RTC_INDEX, RTC_C);
		(void)inb(RTC_DATA);
		outb(PIC_SLAVE, PIC_EOI);
	}
	if (by_8259)
		outb(PIC_MASTER, PIC_EOI);
	if (ticks++ == 0)
		first_pm = now;
	if (ticks == wanted)
		last_pm = now;
	early |= deadline && rdtsc() < deadline;
}

/* What was printed is out, and what was pending has come, before the next thing is measured. */
static void settle(void)
{
	const uint32_t start = pm();

	irq_on();
	while (pm_since(start) < 20 * MILLISECOND)
		cpu_pause();
	irq_off();
}

static void start_counting(uint32_t count)
{
	settle();
	ticks = 0;
	wanted = count;
}

static bool come_within(uint32_t pm_ticks)
{
	const uint32_t start = pm();

	irq_on();
	while (ticks < wanted && pm_since(start) < pm_ticks)
		cpu_pause();
	irq_off();
	return ticks >= wanted;
}

static bool all_come(void)
{
	return come_within(PM_HZ);
}

/* No interrupt more in far longer than it should take. */
static bool is_silent(void)
{
	wanted = ticks + 1;
	return !come_within(30 * MILLISECOND);
}

/* From the first one to the last: no delay of the first tells. */
static void answer_rate(const char *question, uint64_t pm_ticks_each)
{
	if (!all_come())
		answer_number(question, ticks);
	else
		answer_within(question, (last_pm - first_pm) & PM_MASK, pm_ticks_each * (wanted - 1), PERCENT);
}

/* One interrupt, asked for at start: not early, and late by what an exit or two take. */
static void answer_once(const char *question, uint32_t start, uint32_t pm_ticks)
{
	const uint32_t took = (last_pm - start) & PM_MASK;

	if (took >= pm_ticks - pm_ticks / 50 && took <= pm_ticks + 2 * MILLISECOND)
		answer_yes(question, true);
	else
		answer_within(question, took, pm_ticks, 0);
}

/* ---- 8254 ---- */

static void pit_start(uint8_t mode, uint32_t count)
{
	outb(PIT_CONTROL, mode);
	outb(PIT_CHANNEL0, (uint8_t)count);
	outb(PIT_CHANNEL0, (uint8_t)(count >> 8));
}

static uint64_t pm_of_pit(uint32_t count)
{
	return (uint64_t)count * PM_HZ / PIT_HZ;
}

static void pic_start(void)
{
	static const uint8_t ports[] = {PIC_MASTER, PIC_SLAVE};

	for (unsigned i = 0; i < 2; i++) {
		outb(ports[i], PIC_ICW1);
		outb(ports[i] + 1, (uint8_t)(PIC_VECTORS + 8 * i));
		outb(ports[i] + 1, i ? IRQ_CASCADE : 1 << IRQ_CASCADE);
		outb(ports[i] + 1, PIC_ICW4);
		outb(ports[i] + 1, PIC_MASK_ALL);
	}
}

static void ask_pit(void)
{
	uint32_t start;

	by_8259 = true;
	apic_write(APIC_LVT_LINT0, LVT_EXTINT);
	outb(PIC_MASTER_DATA, (uint8_t) ~(1u << IRQ_PIT));
	pit_start(PIT_MODE2, PIT_RELOAD);
	start_counting(PIT_TICKS);
	answer_rate("pit_through_8259", pm_of_pit(PIT_RELOAD));
	outb(PIT_CONTROL, PIT_MODE0); /* stopped */
	start_counting(1);
	start = pm();
	pit_start(PIT_MODE0, PIT_RELOAD);
	all_come();
	answer_once("pit_once", start, (uint32_t)pm_of_pit(PIT_RELOAD));
	answer_yes("pit_once_is_once", is_silent() && ticks == 1);
	outb(PIC_MASTER_DATA, PIC_MASK_ALL);
}

static void ask_pit_by_ioapic(void)
{
	const struct acpi_madt_io_apic *entry = (const void *)acpi_madt_entry(ACPI_MADT_IO_APIC, 0);
	volatile uint32_t *ioapic = (volatile uint32_t *)(uintptr_t)entry->address;
	const uint32_t low = IOAPIC_REDIRECTION + 2 * acpi_gsi_of(IRQ_PIT);

	by_8259 = false;
	apic_write(APIC_LVT_LINT0, LVT_EXTINT | APIC_LVT_MASKED);
	ioapic[0] = low + 1;
	ioapic[IOAPIC_WINDOW] = apic_id() << 24;
	ioapic[0] = low;
	ioapic[IOAPIC_WINDOW] = VECTOR_IOAPIC;
	pit_start(PIT_MODE2, PIT_RELOAD);
	start_counting(PIT_TICKS);
	answer_rate("pit_through_ioapic", pm_of_pit(PIT_RELOAD));
	ioapic[0] = low;
	ioapic[IOAPIC_WINDOW] = VECTOR_IOAPIC | IOAPIC_MASKED;
	start_counting(0);
	answer_yes("masked_in_ioapic_is_silent", is_silent());
}

static void ask_channel2(void)
{
	uint32_t start;

	outb(NMI_SC_PORT, (uint8_t)((inb(NMI_SC_PORT) & NMI_SC_WRITABLE & ~NMI_SC_SPEAKER) | NMI_SC_GATE2));
	outb(PIT_CONTROL, PIT_CONTROL_CHANNEL2_MODE0);
	outb(PIT_CHANNEL2, 0xff);
	outb(PIT_CHANNEL2, 0xff);
	start = pm();
	answer_yes("channel_2_out_low", !(inb(NMI_SC_PORT) & NMI_SC_STATUS_OUT2));
	while (!(inb(NMI_SC_PORT) & NMI_SC_STATUS_OUT2) && pm_since(start) < PM_HZ)
		cpu_pause();
	answer_within("channel_2_rises", pm_since(start), pm_of_pit(0xffff), PERCENT);
}

/* ---- CMOS clock ---- */

static void rtc_write(uint8_t index, uint8_t value)
{
	outb(RTC_INDEX, index);
	outb(RTC_DATA, value);
}

static void ask_rtc(void)
{
	by_8259 = true;
	apic_write(APIC_LVT_LINT0, LVT_EXTINT);
	rtc_write(RTC_A, RTC_256_HZ);
	rtc_write(RTC_B, RTC_24H | RTC_PERIODIC);
	outb(RTC_INDEX, RTC_C);
	(void)inb(RTC_DATA);
	outb(PIC_MASTER_DATA, (uint8_t) ~(1u << IRQ_CASCADE));
	outb(PIC_SLAVE_DATA, (uint8_t) ~(1u << (IRQ_RTC - 8)));
	start_counting(RTC_TICKS);
	answer_rate("rtc_256_hz", PM_HZ / 256);
	rtc_write(RTC_B, RTC_24H);
	outb(PIC_MASTER_DATA, PIC_MASK_ALL);
	outb(PIC_SLAVE_DATA, PIC_MASK_ALL);
	apic_write(APIC_LVT_LINT0, LVT_EXTINT | APIC_LVT_MASKED);
	by_8259 = false;
}

/* ---- local APIC ---- */

/* a * b / c, without the compiler's library. */
static uint32_t scaled(uint32_t a, uint32_t b, uint32_t c)
{
	uint32_t high;

	__asm__("mull %3; divl %4" : "=a"(a), "=&d"(high) : "a"(a), "r"(b), "r"(c) : "cc");
	return a;
}

/* Counts of the timer in some PM ticks. What the reads themselves take falls out, for there is one on each side. */
static uint32_t apic_counts(uint32_t divide, uint32_t pm_ticks)
{
	uint32_t start, counts;

	apic_write(APIC_LVT_TIMER, APIC_LVT_MASKED);
	apic_write(APIC_TIMER_DIVIDE, divide);
	apic_write(APIC_TIMER_INITIAL, 0xffffffff);
	start = pm();
	while (pm_since(start) < pm_ticks)
		cpu_pause();
	counts = 0xffffffff - apic_read(APIC_TIMER_CURRENT);
	return scaled(counts, pm_ticks, pm_since(start));
}

static void ask_apic(void)
{
	const uint32_t by_1 = apic_counts(DIVIDE_BY_1, 10 * MILLISECOND);
	const uint32_t by_16 = apic_counts(DIVIDE_BY_16, 10 * MILLISECOND);
	const uint32_t period = by_1 / 4; /* 2.5 ms */
	uint32_t start;

	answer_within("apic_divider", (uint64_t)by_16 * 16, by_1, PERCENT);
	apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
	apic_write(APIC_LVT_TIMER, VECTOR_APIC | LVT_PERIODIC);
	start_counting(APIC_TICKS);
	apic_write(APIC_TIMER_INITIAL, period);
	answer_rate("apic_periodic", 10 * MILLISECOND / 4);
	apic_write(APIC_TIMER_INITIAL, 0);

	apic_write(APIC_LVT_TIMER, VECTOR_APIC);
	start_counting(1);
	start = pm();
	apic_write(APIC_TIMER_INITIAL, by_1);
	answer_yes("apic_once_comes", all_come());
	answer_once("apic_once", start, 10 * MILLISECOND);
	answer_yes("apic_once_is_once", is_silent() && ticks == 1);
	answer_number("apic_once_stops_at", apic_read(APIC_TIMER_CURRENT));
}

/* Only where CPUID has it; otherwise it agrees by not being there. */
static bool deadline_works(void)
{
	const uint32_t start = pm();
	uint64_t ten_ms = rdtsc();
	bool came;

	if (!(cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_TSC_DEADLINE))
		return true;
	while (pm_since(start) < 10 * MILLISECOND)
		cpu_pause();
	ten_ms = rdtsc() - ten_ms;
	apic_write(APIC_LVT_TIMER, VECTOR_APIC | LVT_DEADLINE);
	__asm__ volatile("mfence" : : : "memory");
	start_counting(1);
	deadline = rdtsc() + ten_ms;
	wrmsr(MSR_IA32_TSC_DEADLINE, deadline);
	came = all_come();
	deadline = 0;
	return came && !early && rdmsr(MSR_IA32_TSC_DEADLINE) == 0;
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	uint64_t tsc_1, tsc_2;
	uint32_t start;

	(void)magic;
	(void)info;
	answer_start("timer");
	fault_install();
	irq_install();
	apic_enable(false);
	pm_port = acpi_pm_timer_port();
	for (unsigned i = 0; i < 16; i++)
		irq_handle((uint8_t)(PIC_VECTORS + i), note);
	irq_handle(VECTOR_APIC, note);
	irq_handle(VECTOR_IOAPIC, note);
	pic_start();
	start = pm();
	tsc_1 = rdtsc();
	while (pm_since(start) < 20 * MILLISECOND)
		cpu_pause();
	tsc_2 = rdtsc();
	while (pm_since(start) < 40 * MILLISECOND)
		cpu_pause();
	answer_within("tsc_is_steady", rdtsc() - tsc_2, tsc_2 - tsc_1, PERCENT);
	ask_pit();
	ask_pit_by_ioapic();
	ask_channel2();
	ask_rtc();
	ask_apic();
	answer_yes("tsc_deadline_works_where_cpuid_has_it", deadline_works());
	answer_end();
}
