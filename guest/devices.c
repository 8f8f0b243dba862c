/* Do the PC's devices interrupt, through the 8259s and through the I/O APIC? And does what describes the machine say
 * so? The 8254, the clock, the serial port; fw_cfg, CMOS memory, the ACPI tables and the PM timer. */
#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/rtc.h"
#include "arch/defs/uart.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/irq.h"
#include "guest/lib/report.h"

/* Where the 8259s' vectors are put; ISA interrupt n has the same vector through the I/O APIC. */
#define VECTOR_OF(irq) (0x40u + (irq))
#define PIT_IRQ        0
#define UART_IRQ       4
#define RTC_IRQ        8
#define IRQS           16

#define PIC_MASTER 0x20
#define PIC_SLAVE  0xa0
#define PIC_EOI    0x20

#define IOAPIC_PAGE   0xfec00000u
#define IOAPIC_MASKED (1u << 16)
#define IOAPIC_LEVEL  (1u << 15)
#define PIT_PIN       2

#define PIT_HZ      1193182u
#define PIT_CONTROL 0x43
#define RATE_HZ     200
#define TICKS       20

#define PM_TIMER_PORT 0x608
#define PM_TIMER_HZ   3579545u

static volatile uint32_t interrupts[IRQS];
static volatile uint8_t seen; /* what the device said when its interrupt came */
static bool by_ioapic;

/* ---- interrupt controllers ---- */

static void pic_start(void)
{
	outb(PIC_MASTER, 0x11); /* ICW1 to ICW4: edges, cascaded, 8086 mode */
	outb(PIC_SLAVE, 0x11);
	outb(PIC_MASTER + 1, VECTOR_OF(0));
	outb(PIC_SLAVE + 1, VECTOR_OF(8));
	outb(PIC_MASTER + 1, 1u << 2);
	outb(PIC_SLAVE + 1, 2);
	outb(PIC_MASTER + 1, 1);
	outb(PIC_SLAVE + 1, 1);
	outb(PIC_MASTER + 1, 0xff);
	outb(PIC_SLAVE + 1, 0xff);
}

static void pic_unmask(unsigned irq)
{
	const uint32_t mask = ~(1u << irq | 1u << 2);

	outb(PIC_MASTER + 1, (uint8_t)mask);
	outb(PIC_SLAVE + 1, (uint8_t)(mask >> 8));
}

static void pic_mask(void)
{
	outb(PIC_MASTER + 1, 0xff);
	outb(PIC_SLAVE + 1, 0xff);
}

static uint32_t ioapic_read(uint8_t at)
{
	*(volatile uint32_t *)IOAPIC_PAGE = at;
	return *(volatile uint32_t *)(IOAPIC_PAGE + 0x10);
}

static void ioapic_write(uint8_t at, uint32_t value)
{
	*(volatile uint32_t *)IOAPIC_PAGE = at;
	*(volatile uint32_t *)(IOAPIC_PAGE + 0x10) = value;
}

static uint8_t entry_of(unsigned irq)
{
	return (uint8_t)(0x10 + 2 * (irq == PIT_IRQ ? PIT_PIN : irq));
}

static void ioapic_unmask(unsigned irq, uint32_t mode)
{
	ioapic_write(entry_of(irq) + 1, apic_id() << XAPIC_ID_SHIFT);
	ioapic_write(entry_of(irq), VECTOR_OF(irq) | mode);
}

/* The way that is tried. */
static void unmask(unsigned irq)
{
	if (by_ioapic)
		ioapic_unmask(irq, 0);
	else
		pic_unmask(irq);
}

static void mask(unsigned irq)
{
	if (by_ioapic)
		ioapic_write(entry_of(irq), IOAPIC_MASKED);
	else
		pic_mask();
}

/* The local APIC's EOI is the library's. */
static void taken(unsigned irq)
{
	interrupts[irq]++;
	if (by_ioapic)
		return;
	if (irq >= 8)
		outb(PIC_SLAVE, PIC_EOI);
	outb(PIC_MASTER, PIC_EOI);
}

/* ---- devices ---- */

static void on_pit(uint32_t vector)
{
	(void)vector;
	taken(PIT_IRQ);
}

static uint8_t rtc_read(uint8_t at)
{
	outb(RTC_INDEX, at);
	return inb(RTC_DATA);
}

static void rtc_write(uint8_t at, uint8_t value)
{
	outb(RTC_INDEX, at);
	outb(RTC_DATA, value);
}

static void on_rtc(uint32_t vector)
{
	(void)vector;
	seen = rtc_read(RTC_C);
	taken(RTC_IRQ);
}

static void on_uart(uint32_t vector)
{
	(void)vector;
	seen = inb(UART_COM1 + UART_IIR);
	taken(UART_IRQ);
}

static void pit_rate(uint8_t mode, uint32_t hz)
{
	const uint32_t count = PIT_HZ / hz;

	outb(PIT_CONTROL, (uint8_t)(0x30 | mode << 1));
	outb(0x40, (uint8_t)count);
	outb(0x40, (uint8_t)(count >> 8));
}

static uint32_t wait_halted(unsigned irq, uint32_t count)
{
	const uint64_t start = rdtsc();

	while (interrupts[irq] < count)
		irq_wait();
	return (uint32_t)(rdtsc() - start);
}

static uint32_t wait_running(unsigned irq, uint32_t count)
{
	const uint64_t start = rdtsc();

	irq_on();
	while (interrupts[irq] < count)
		cpu_pause();
	irq_off();
	return (uint32_t)(rdtsc() - start);
}

/* Within a tenth: other guests may have the CPU meanwhile. */
static bool is_near(uint64_t got, uint64_t wanted)
{
	return got > wanted - wanted / 10 && got < wanted + wanted / 10;
}

/* ---- questions ---- */

static uint32_t pit_ticks(uint32_t (*wait)(unsigned irq, uint32_t count))
{
	uint32_t tsc;

	interrupts[PIT_IRQ] = 0;
	wait(PIT_IRQ, 1); /* the first period may have begun before */
	tsc = wait(PIT_IRQ, 1 + TICKS);
	return tsc;
}

static void pit(void)
{
	uint32_t halted, running;

	pit_rate(2, RATE_HZ);
	unmask(PIT_IRQ);
	halted = pit_ticks(wait_halted);
	running = pit_ticks(wait_running);
	report_true("pit_same_rate", is_near(running, halted), running);
	mask(PIT_IRQ);

	/* One shot, while interrupts are off: requested, and taken later. */
	interrupts[PIT_IRQ] = 0;
	unmask(PIT_IRQ);
	pit_rate(0, RATE_HZ);
	for (const uint64_t start = rdtsc(); rdtsc() - start < halted / TICKS * 3 / 2;)
		cpu_pause();
	report_equal("pit_waits_for_sti", interrupts[PIT_IRQ], 0);
	wait_running(PIT_IRQ, 1);
	irq_on();
	for (const uint64_t start = rdtsc(); rdtsc() - start < halted / TICKS * 2;)
		cpu_pause();
	irq_off();
	report_equal("pit_one_shot", interrupts[PIT_IRQ], 1);
	mask(PIT_IRQ);
}

static void rtc(void)
{
	interrupts[RTC_IRQ] = 0;
	rtc_write(RTC_A, 0x26);
	rtc_write(RTC_B, RTC_B_24_HOURS | 1u << 6); /* periodic, 1024 Hz */
	unmask(RTC_IRQ);
	rtc_read(RTC_C); /* an edge on a masked pin is lost */
	wait_halted(RTC_IRQ, TICKS);
	report_equal("rtc_periodic", seen & 0xc0, 0xc0);
	rtc_write(RTC_B, RTC_B_24_HOURS);
	rtc_read(RTC_C);
	mask(RTC_IRQ);
}

static void uart(void)
{
	interrupts[UART_IRQ] = 0;
	outb(UART_COM1 + UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	unmask(UART_IRQ);
	outb(UART_COM1 + UART_IER, 1u << 1); /* the transmitter is empty */
	wait_running(UART_IRQ, 1);
	report_equal("uart_transmitter", seen & 7, 2);
	outb(UART_COM1 + UART_IER, 0);
	mask(UART_IRQ);
}

/* A level-triggered interrupt comes again after its EOI for as long as the line is asserted. */
static void level(void)
{
	ioapic_unmask(UART_IRQ, IOAPIC_LEVEL);
	interrupts[UART_IRQ] = 0;
	outb(UART_COM1 + UART_IER, 1u << 1);
	wait_running(UART_IRQ, 1);
	report_equal("level_taken", ioapic_read(entry_of(UART_IRQ)) & 1u << 14, 0);
	outb(UART_COM1 + UART_IER, 0);
	outb(UART_COM1 + UART_IER, 1u << 1);
	wait_running(UART_IRQ, 2);
	outb(UART_COM1 + UART_IER, 0);
	report_equal("level_once_each", interrupts[UART_IRQ], 2);
	mask(UART_IRQ);
}

static void fw_cfg(void)
{
	static const char signature[] = "QEMU";

	outw(0x510, 0);
	for (unsigned i = 0; i < 4; i++)
		report_equal("fw_cfg_signature", inb(0x511), (uint8_t)signature[i]);
}

static void pm_timer(void)
{
	uint32_t tick_count, pm;

	pit_rate(2, RATE_HZ);
	unmask(PIT_IRQ);
	interrupts[PIT_IRQ] = 0;
	wait_running(PIT_IRQ, 1);
	pm = inl(PM_TIMER_PORT);
	wait_running(PIT_IRQ, 1 + TICKS);
	tick_count = inl(PM_TIMER_PORT) - pm;
	mask(PIT_IRQ);
	report_true("pm_timer", is_near(tick_count, (uint64_t)PM_TIMER_HZ * TICKS / RATE_HZ), tick_count);
}

static bool is_text(const volatile uint8_t *at, const char *text)
{
	while (*text != '\0')
		if (*at++ != (uint8_t)*text++)
			return false;
	return true;
}

static void acpi_tables(void)
{
	uint32_t found = 0;

	for (uint32_t at = 0xe0000; at < 0x100000 && found == 0; at += 16) {
		uint8_t sum = 0;

		for (unsigned i = 0; i < 20; i++)
			sum = (uint8_t)(sum + ((volatile uint8_t *)at)[i]);
		if (is_text((volatile uint8_t *)at, "RSD PTR ") && sum == 0)
			found = at;
	}
	report_true("acpi_rsdp", found != 0, found);
}

static void clock_time(void)
{
	report_true("clock_century", rtc_read(RTC_CENTURY) == 0x19 || rtc_read(RTC_CENTURY) == 0x20,
		    rtc_read(RTC_CENTURY));
	report_true("clock_month", rtc_read(RTC_MONTH) >= 0x01 && rtc_read(RTC_MONTH) <= 0x12, rtc_read(RTC_MONTH));
	report_equal("clock_battery", rtc_read(RTC_D), 0x80);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	(void)info;
	report_start("devices");
	fault_install();
	irq_install();
	irq_handle(VECTOR_OF(PIT_IRQ), on_pit);
	irq_handle(VECTOR_OF(UART_IRQ), on_uart);
	irq_handle(VECTOR_OF(RTC_IRQ), on_rtc);
	pic_start();
	report_equal("by_8259", by_ioapic, 0);
	pit();
	rtc();
	uart();
	pm_timer();
	by_ioapic = true;
	apic_enable(false);
	report_equal("by_ioapic", by_ioapic, 1);
	pit();
	rtc();
	uart();
	level();
	fw_cfg();
	acpi_tables();
	clock_time();
	report_end();
}
