/* What does the local APIC cost? ROUNDS self-IPIs with their EOI, as many accesses of registers, and some
 * level-triggered interrupts, whose EOI somebody waits for. And is it right, also when its mode changes? At the end it
 * halts, so that the exits can be counted from outside. In xAPIC mode, or with the word `x2apic` in x2APIC mode. */
#include <stdbool.h>
#include <stdint.h>

#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/irq.h"
#include "guest/lib/print.h"
#include "guest/lib/report.h"
#include "guest/lib/smp.h"

#define ROUNDS        1000
#define VECTOR        0x51
#define VECTOR_LEVEL  0x61
#define VECTOR_CHANGE 0x71
#define LEVEL_ROUNDS  100
#define LEVEL_TIMES   3

/* The serial port's interrupt, through the I/O APIC. Intel 82093AA data sheet, "Register Description"; PC16550D data
 * sheet, "Registers". */
#define IOAPIC_SELECT      ((volatile uint32_t *)0xfec00000u)
#define IOAPIC_WINDOW      ((volatile uint32_t *)0xfec00010u)
#define IOAPIC_REDIRECTION 0x10u
#define IOAPIC_LEVEL       (1u << 15)
#define SERIAL_PIN         4
#define SERIAL_IER         0x3f9
#define SERIAL_IIR         0x3fa
#define SERIAL_MCR         0x3fc
#define IER_TRANSMITTER    0x02
#define MCR_INTERRUPTS     0x0b

static bool x2apic;
static volatile uint32_t interrupts;

static void count_interrupt(uint32_t vector)
{
	(void)vector;
	interrupts++;
}

/* The serial port is content with the third. */
static void count_level(uint32_t vector)
{
	(void)vector;
	if (++interrupts % LEVEL_TIMES == 0)
		inb(SERIAL_IIR);
}

static void interrupt_self(void)
{
	if (x2apic)
		apic_write(APIC_SELF_IPI, VECTOR);
	else
		apic_write(APIC_ICR, APIC_ICR_TO_SELF | APIC_ICR_ASSERT | VECTOR);
}

/* The number of rounds that went right. */
static uint32_t self_ipis(void)
{
	uint32_t right = 0;

	for (uint32_t round = 1; round <= ROUNDS; round++) {
		interrupt_self();
		right += smp_wait(&interrupts, round) && interrupts == round;
	}
	return right;
}

/* Held by TPR, let go by TPR. */
static uint32_t held_by_tpr(void)
{
	uint32_t right = 0;

	interrupts = 0;
	for (uint32_t round = 1; round <= ROUNDS; round++) {
		apic_write(APIC_TPR, VECTOR & 0xf0);
		interrupt_self();
		cpu_pause();
		right += interrupts == round - 1 && apic_read(APIC_TPR) == (VECTOR & 0xf0);
		apic_write(APIC_TPR, 0);
		smp_wait(&interrupts, round);
		right += interrupts == round;
	}
	return right;
}

/* What is requested while the APIC is switched off by software waits until it is on again. */
static uint32_t off_and_on(void)
{
	uint32_t while_off;

	interrupts = 0;
	irq_off();
	interrupt_self();
	apic_write(APIC_SVR, APIC_SPURIOUS_VECTOR);
	irq_on();
	smp_settle();
	while_off = interrupts;
	apic_write(APIC_SVR, APIC_SVR_ENABLE | APIC_SPURIOUS_VECTOR);
	smp_wait(&interrupts, 1);
	return while_off << 8 | interrupts;
}

static void change_mode(uint32_t vector)
{
	(void)vector;
	interrupts++;
	x2apic = true;
	apic_enable(true);
}

/* From xAPIC to x2APIC mode in a handler: its EOI goes by the new one, and what was requested before comes then. */
static uint32_t change_in_service(void)
{
	interrupts = 0;
	irq_handle(VECTOR_CHANGE, change_mode);
	irq_off();
	interrupt_self();
	apic_write(APIC_ICR, APIC_ICR_TO_SELF | APIC_ICR_ASSERT | VECTOR_CHANGE);
	irq_on();
	smp_wait(&interrupts, 2);
	interrupt_self();
	smp_wait(&interrupts, 3);
	return interrupts;
}

static void redirect(uint32_t pin, uint32_t low)
{
	*IOAPIC_SELECT = IOAPIC_REDIRECTION + 2 * pin + 1;
	*IOAPIC_WINDOW = 0;
	*IOAPIC_SELECT = IOAPIC_REDIRECTION + 2 * pin;
	*IOAPIC_WINDOW = low;
}

/* A level-triggered interrupt comes again after each EOI until its line falls, and so in the next round. */
static uint32_t level(void)
{
	uint32_t right = 0;

	interrupts = 0;
	outb(SERIAL_IER, 0);
	outb(SERIAL_MCR, MCR_INTERRUPTS);
	redirect(SERIAL_PIN, IOAPIC_LEVEL | VECTOR_LEVEL);
	for (uint32_t round = 1; round <= LEVEL_ROUNDS; round++) {
		outb(SERIAL_IER, IER_TRANSMITTER);
		right += smp_wait(&interrupts, round * LEVEL_TIMES);
		outb(SERIAL_IER, 0);
		right += interrupts == round * LEVEL_TIMES;
	}
	redirect(SERIAL_PIN, APIC_LVT_MASKED);
	return right;
}

static uint32_t registers(void)
{
	uint32_t right = 0;

	for (uint32_t round = 1; round <= ROUNDS; round++)
		right += apic_id() == 0 && (apic_read(APIC_VERSION) & 0xf0) == 0x10 &&
			 apic_read(APIC_SVR) == (APIC_SVR_ENABLE | APIC_SPURIOUS_VECTOR) &&
			 apic_read(APIC_ISR + VECTOR / 32 * APIC_REGISTER_STRIDE) == 0;
	return right;
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	report_start("apicv");
	x2apic = mb1_has_word(info, "x2apic");
	fault_install();
	irq_install();
	irq_handle(VECTOR, count_interrupt);
	irq_handle(VECTOR_LEVEL, count_level);
	apic_enable(x2apic);
	irq_on();
	report_equal("self_ipis", self_ipis(), ROUNDS);
	report_equal("held_by_tpr", held_by_tpr(), 2 * ROUNDS);
	report_equal("registers", registers(), ROUNDS);
	report_equal("level", level(), 2 * LEVEL_ROUNDS);
	report_equal("off_and_on", off_and_on(), 1);
	if (x2apic || !apic_has_x2apic())
		report_skip("change_in_service");
	else
		report_equal("change_in_service", change_in_service(), 3);
	irq_off();
	print("apicv: halting\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}
