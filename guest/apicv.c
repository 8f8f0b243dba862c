/* What does the local APIC cost? ROUNDS self-IPIs with their EOI, and as many accesses of registers, each checked; then
 * it halts, so that the exits can be counted from outside. In xAPIC mode, or with the word `x2apic` in x2APIC mode. */
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

#define ROUNDS 1000
#define VECTOR 0x51

static bool x2apic;
static volatile uint32_t interrupts;

static void count_interrupt(uint32_t vector)
{
	(void)vector;
	interrupts++;
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
	apic_enable(x2apic);
	irq_on();
	report_equal("self_ipis", self_ipis(), ROUNDS);
	report_equal("held_by_tpr", held_by_tpr(), 2 * ROUNDS);
	report_equal("registers", registers(), ROUNDS);
	irq_off();
	print("apicv: halting\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}
