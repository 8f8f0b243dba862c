/* When does a pending interrupt or NMI get in: after STI, POPF, IRET, HLT and EOI, past the task priority, and not
 * between? Wants two CPUs. */
#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/cr.h"
#include "guest/lib/answer.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/eip.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/irq.h"
#include "guest/lib/smp.h"

#define VECTOR        0x50
#define VECTOR_SAME   0x58 /* of the same priority class */
#define VECTOR_LOW    0x40
#define VECTOR_HIGH   0x60
#define APIC_ISR      0x100u
#define APIC_IRR      0x200u
#define PRIORITY(v)   ((v)&0xf0u)
#define COPY_BYTES    0x10000
#define COPIES        8
#define WAKES         20
#define SPINS_TO_HALT 20000

static void send_self(uint32_t vector)
{
	apic_send(APIC_ICR_TO_SELF | APIC_ICR_ASSERT | vector, 0);
}

/* The bit of a vector in ISR or IRR. */
static bool apic_bit(uint32_t first, uint32_t vector)
{
	return apic_read(first + vector / 32 * 16) >> vector % 32 & 1;
}

/* ---- one instruction opens the window ---- */

/* Sends an interrupt with IF = 0, runs the text, which must set `here` to where the interrupt may come. */
#define WINDOW(name, text)                                                                             \
	do {                                                                                           \
		uint32_t here;                                                                         \
		eip_note(VECTOR);                                                                      \
		send_self(VECTOR);                                                                     \
		__asm__ volatile("movl $1f, %0\n\t" text "\n\tcli" : "=&S"(here) : : "eax", "memory"); \
		answer_yes(name, eip_count == 1 && eips[0] == here);                                   \
		apic_eoi();                                                                            \
	} while (0)

static void ask_windows(void)
{
	WINDOW("sti_one_instruction_later", "sti; nop; 1: nop; nop");
	WINDOW("sti_cli_keeps_it_out", "sti; cli; nop; nop; sti; nop; 1: nop; nop");
	WINDOW("second_sti_makes_no_shadow", "sti; sti; 1: nop; nop");
	WINDOW("sti_hlt", "sti; hlt; 1: nop; nop");
	WINDOW("popf_at_once", "pushfl; orl $0x200, (%%esp); popfl; 1: nop; nop");
	WINDOW("iret_at_once", "pushfl; orl $0x200, (%%esp); pushl %%cs; pushl $1f; iretl; 1: nop; nop");
	WINDOW("popf_without_if_keeps_it_out", "pushfl; popfl; nop; nop; sti; nop; 1: nop; nop");
}

/* ---- pending, in service, nested ---- */

static char story[16];
static unsigned story_length;

static void tell(char c)
{
	if (story_length < sizeof(story) - 1)
		story[story_length++] = c;
}

static bool story_is(const char *wanted)
{
	unsigned i = 0;

	while (i < story_length && story[i] == wanted[i])
		i++;
	return i == story_length && !wanted[i];
}

static void clear_story(void)
{
	for (unsigned i = 0; i < sizeof(story); i++)
		story[i] = 0;
	story_length = 0;
}

static bool in_service, pending_again;

static void middle(uint32_t vector)
{
	tell('m');
	in_service = apic_bit(APIC_ISR, vector);
	send_self(VECTOR_LOW);
	send_self(VECTOR_SAME);
	send_self(VECTOR_HIGH);
	irq_on();
	for (unsigned i = 0; i < 100; i++)
		cpu_pause();
	irq_off();
	tell('M');
}

static void high(uint32_t vector)
{
	(void)vector;
	tell('h');
}

static void same(uint32_t vector)
{
	(void)vector;
	tell('s');
}

static void low(uint32_t vector)
{
	(void)vector;
	tell('l');
}

static void again(uint32_t vector)
{
	tell('a');
	if (story_length > 1)
		return;
	send_self(vector);
	send_self(vector);
	pending_again = apic_bit(APIC_IRR, vector);
}

static void let_in(void)
{
	irq_on();
	for (unsigned i = 0; i < 100; i++)
		cpu_pause();
	irq_off();
}

static void ask_priorities(void)
{
	irq_handle(VECTOR, middle);
	irq_handle(VECTOR_HIGH, high);
	irq_handle(VECTOR_SAME, same);
	irq_handle(VECTOR_LOW, low);
	send_self(VECTOR);
	answer_yes("irr_while_pending", apic_bit(APIC_IRR, VECTOR) && !apic_bit(APIC_ISR, VECTOR));
	let_in();
	answer_yes("isr_in_handler", in_service);
	answer_yes("isr_clear_after_eoi", !apic_bit(APIC_ISR, VECTOR) && !apic_bit(APIC_IRR, VECTOR));
	answer_yes("higher_nests_others_wait", story_is("mhMsl"));

	clear_story();
	irq_handle(VECTOR, again);
	send_self(VECTOR);
	send_self(VECTOR);
	let_in();
	answer_yes("pending_behind_itself", pending_again);
	answer_yes("one_in_service_one_pending", story_is("aa"));

	clear_story();
	apic_write(APIC_TPR, PRIORITY(VECTOR_SAME));
	irq_on();
	send_self(VECTOR_LOW);
	send_self(VECTOR_SAME);
	for (unsigned i = 0; i < 100; i++)
		cpu_pause();
	answer_yes("tpr_keeps_its_class_out", story_is(""));
	send_self(VECTOR_HIGH);
	for (unsigned i = 0; i < 100; i++)
		cpu_pause();
	answer_yes("tpr_lets_higher_in", story_is("h"));
	apic_write(APIC_TPR, 0);
	for (unsigned i = 0; i < 100; i++)
		cpu_pause();
	irq_off();
	answer_yes("tpr_lowered_highest_first", story_is("hsl"));
}

/* ---- NMI ---- */

static volatile uint32_t nmis, nmi_depth, nmi_depth_most;

static void send_nmi(unsigned index)
{
	apic_send(APIC_ICR_DELIVERY_NMI | APIC_ICR_ASSERT, index);
}

static void nmi_sends_nmi(uint32_t vector)
{
	(void)vector;
	if (++nmi_depth > nmi_depth_most)
		nmi_depth_most = nmi_depth;
	if (nmis++ == 0) {
		send_nmi(0);
		for (unsigned i = 0; i < 100; i++)
			cpu_pause();
	}
	nmi_depth--;
}

static void ask_nmi(void)
{
	irq_handle(EXC_NMI, nmi_sends_nmi);
	send_nmi(0);
	smp_wait(&nmis, 2);
	answer_number("nmi_with_if_0", nmis);
	answer_number("nmi_waits_for_iret", nmi_depth_most);
}

/* ---- another CPU wakes this one ---- */

static volatile uint32_t wake_wanted, wakes;
static volatile bool wake_by_nmi;

static void count_wake(uint32_t vector)
{
	(void)vector;
	wakes++;
}

static void waker(unsigned index)
{
	uint32_t done = 0;

	(void)index;
	apic_enable(false);
	for (;;) {
		while (wake_wanted == done)
			cpu_pause();
		done = wake_wanted;
		for (unsigned i = 0; i < SPINS_TO_HALT; i++) /* CPU 0 is in HLT by then */
			cpu_pause();
		if (wake_by_nmi)
			send_nmi(0);
		else
			apic_send(APIC_ICR_ASSERT | VECTOR, 0);
	}
}

static void ask_wakes(void)
{
	static uint8_t from[COPY_BYTES], to[COPY_BYTES];
	bool copied = true;

	irq_handle(VECTOR, count_wake);
	irq_handle(EXC_NMI, count_wake);
	answer_yes("second_cpu_starts", smp_start(1, waker));
	for (unsigned i = 0; i < WAKES; i++) {
		wake_wanted++;
		irq_wait();
	}
	answer_number("hlt_woken_by_ipi", wakes);
	wake_by_nmi = true;
	wakes = 0;
	for (unsigned i = 0; i < WAKES; i++) {
		wake_wanted++;
		__asm__ volatile("hlt" : : : "memory");
	}
	answer_number("hlt_with_if_0_woken_by_nmi", wakes);
	wakes = 0;
	for (unsigned i = 0; i < COPIES; i++) {
		void *d = to;
		const void *s = from;
		uint32_t count = COPY_BYTES;

		for (uint32_t j = 0; j < COPY_BYTES; j += 64)
			from[j] = (uint8_t)(j + i);
		wake_wanted++;
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(count) : : "memory");
		for (uint32_t j = 0; j < COPY_BYTES; j++)
			copied &= to[j] == from[j];
		smp_wait(&wakes, i + 1);
	}
	answer_number("nmi_into_rep_movs", wakes);
	answer_yes("rep_movs_right", copied);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	(void)info;
	answer_start("intwindow");
	fault_install();
	irq_install();
	apic_enable(false);
	ask_windows();
	ask_priorities();
	ask_nmi();
	ask_wakes();
	answer_end();
}
