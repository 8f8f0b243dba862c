/* Do all CPUs of a large machine hear what is sent to all: SIPI, and then, asleep, an NMI? cpus=N: how many there
 * are. */
#include <stdint.h>

#include "guest/lib/apic.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/report.h"
#include "guest/lib/smp.h"

#define PAGE       0x20u
#define PAGE_SHIFT 12

extern const uint8_t real_start[], real_started[], real_woken[], real_end[];

/* Copied to the page, for all CPUs: none needs a stack of its own, for none comes back. */
__asm__(".section .rodata\n"
	".code16\n"
	"real_start:\n"
	"	xorw %ax, %ax\n"
	"	movw %ax, %ds\n"
	"	movw $(real_on_nmi - real_start), %ds:2 * 4\n" /* the vector table: NMI */
	"	movw %cs, %ds:2 * 4 + 2\n"
	"	lock incl %cs:real_started - real_start\n"
	"1:	hlt\n"
	"	jmp 1b\n"
	"real_on_nmi:\n"
	"	lock incl %cs:real_woken - real_start\n"
	"1:	hlt\n"
	"	jmp 1b\n"
	"	.balign 4\n"
	"real_started:\n"
	"	.long 0\n"
	"real_woken:\n"
	"	.long 0\n"
	"real_end:\n"
	".code32\n"
	".text\n");

/* Of the copy. */
static volatile uint32_t *counter(const uint8_t *place)
{
	return (volatile uint32_t *)(uintptr_t)((PAGE << PAGE_SHIFT) + (uintptr_t)place - (uintptr_t)real_start);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	const uint32_t others = mb1_number(info, "cpus", 1) - 1;
	volatile uint8_t *page = (volatile uint8_t *)(uintptr_t)(PAGE << PAGE_SHIFT);

	(void)magic;
	report_start("manycpus");
	fault_install();
	apic_enable(false);
	for (uint32_t i = 0; i < (uint32_t)((uintptr_t)real_end - (uintptr_t)real_start); i++)
		page[i] = real_start[i];

	apic_send(APIC_ICR_TO_OTHERS | APIC_ICR_DELIVERY_INIT | APIC_ICR_ASSERT, 0);
	smp_settle();
	apic_send(APIC_ICR_TO_OTHERS | APIC_ICR_DELIVERY_SIPI | APIC_ICR_ASSERT | PAGE, 0);
	smp_wait(counter(real_started), others);
	smp_settle();
	report_equal("started", *counter(real_started), others);
	apic_send(APIC_ICR_TO_OTHERS | APIC_ICR_DELIVERY_NMI | APIC_ICR_ASSERT, 0);
	smp_wait(counter(real_woken), others);
	smp_settle();
	report_equal("woken", *counter(real_woken), others);
	report_end();
}
