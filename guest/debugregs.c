/* Do breakpoints, single steps and the debug registers do what the SDM says, also over instructions that a hypervisor
 * carries out? */
#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/cr.h"
#include "guest/lib/answer.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"

/* SDM vol. 3B, "Debug Registers". */
#define DR6_B(n)        (1u << (n))
#define DR6_BD          (1u << 13)
#define DR6_EVENTS      (0xfu | DR6_BD | DR6_BS)
#define DR6_RTM         (1u << 16) /* always 1 without RTM */
#define DR7_L(n)        (1u << 2 * (n))
#define DR7_G(n)        (2u << 2 * (n))
#define DR7_RW(n, rw)   ((uint32_t)(rw) << (16 + 4 * (n)))
#define DR7_LEN(n, len) ((uint32_t)((len)-1) << (18 + 4 * (n)))
#define RW_EXECUTE      0u
#define RW_WRITE        1u
#define RW_READ_WRITE   3u

#define PORT_UNANSWERED 0x1230
#define KEPT_ROUNDS     200

/* ---- the handler: notes, clears, and lets the instruction run ---- */

volatile uint32_t db_count, db_dr6, db_dr7, db_eip;
extern const char db_handler[];

/* RF lets the instruction of a breakpoint run; TF stays as it is. */
__asm__(".text\n"
	"db_handler:\n"
	"	pushl %eax\n"
	"	movl %dr6, %eax\n"
	"	orl %eax, db_dr6\n"
	"	movl $0xffff0ff0, %eax\n"
	"	movl %eax, %dr6\n"
	"	movl %dr7, %eax\n"
	"	movl %eax, db_dr7\n"
	"	movl 4(%esp), %eax\n"
	"	movl %eax, db_eip\n"
	"	incl db_count\n"
	"	orl $0x10000, 12(%esp)\n"
	"	popl %eax\n"
	"	iretl\n");

static void clear(void)
{
	db_count = db_dr6 = db_eip = 0;
}

static uint32_t events(void)
{
	return db_dr6 & DR6_EVENTS;
}

static uint32_t here(const void *address)
{
	return (uint32_t)(uintptr_t)address;
}

/* ---- breakpoints ---- */

extern const char exec_break[];
uint32_t exec_after;
__asm__(".text\n"
	"exec_break:\n"
	"	incl exec_after\n"
	"	ret\n");

static void ask_execute(void)
{
	clear();
	write_dr0(here(exec_break));
	write_dr7(DR7_INIT | DR7_L(0) | DR7_RW(0, RW_EXECUTE));
	((void (*)(void))(uintptr_t)exec_break)();
	((void (*)(void))(uintptr_t)exec_break)();
	write_dr7(DR7_INIT);
	((void (*)(void))(uintptr_t)exec_break)();
	answer_number("execute_hits", db_count);
	answer_hex("execute_dr6", events());
	answer_yes("execute_is_a_fault", db_eip == here(exec_break));
	answer_number("execute_goes_on", exec_after);
}

static volatile uint8_t watched[16] __attribute__((aligned(16)));

static void read_byte(unsigned at)
{
	(void)watched[at];
}

static void write_byte(unsigned at)
{
	watched[at] = 1;
}

static void write_word(unsigned at)
{
	*(volatile uint16_t *)(watched + at) = 1;
}

static void write_long(unsigned at)
{
	*(volatile uint32_t *)(watched + at) = 1;
}

static void write_again(unsigned at)
{
	__asm__ volatile("lock incb %0" : "+m"(watched[at]));
}

static void exchange(unsigned at)
{
	uint8_t value = 1;

	__asm__ volatile("xchgb %0, %1" : "+q"(value), "+m"(watched[at]));
}

static const struct {
	const char *name;
	uint8_t rw, length, at; /* the breakpoint in DR1 */
	void (*access)(unsigned at);
	uint8_t access_at;
} data_breaks[] = {
	{"write_break_write", RW_WRITE, 1, 4, write_byte, 4},
	{"write_break_read", RW_WRITE, 1, 4, read_byte, 4},
	{"write_break_below", RW_WRITE, 1, 4, write_byte, 3},
	{"write_break_above", RW_WRITE, 1, 4, write_byte, 5},
	{"write_break_end_of_long", RW_WRITE, 1, 4, write_long, 1},
	{"write_break_past_long", RW_WRITE, 1, 4, write_long, 0},
	{"write_break_locked", RW_WRITE, 1, 4, write_again, 4},
	{"write_break_exchange", RW_WRITE, 1, 4, exchange, 4},
	{"word_break_second_byte", RW_WRITE, 2, 4, write_byte, 5},
	{"word_break_third_byte", RW_WRITE, 2, 4, write_byte, 6},
	{"word_break_word_before", RW_WRITE, 2, 4, write_word, 3},
	{"long_break_last_byte", RW_WRITE, 4, 4, write_byte, 7},
	{"long_break_next_byte", RW_WRITE, 4, 4, write_byte, 8},
	{"any_break_read", RW_READ_WRITE, 4, 4, read_byte, 6},
	{"any_break_write", RW_READ_WRITE, 4, 4, write_byte, 6},
};

static void ask_data(void)
{
	for (unsigned i = 0; i < sizeof(data_breaks) / sizeof(data_breaks[0]); i++) {
		clear();
		write_dr1(here((const void *)(watched + data_breaks[i].at)));
		write_dr7(DR7_INIT | DR7_G(1) | DR7_RW(1, data_breaks[i].rw) | DR7_LEN(1, data_breaks[i].length));
		data_breaks[i].access(data_breaks[i].access_at);
		write_dr7(DR7_INIT);
		answer_hex(data_breaks[i].name, events());
	}
}

static void ask_several(void)
{
	uint32_t after;

	clear();
	write_dr0(here((const void *)watched));
	write_dr3(here((const void *)watched));
	write_dr7(DR7_INIT | DR7_L(0) | DR7_RW(0, RW_WRITE) | DR7_L(3) | DR7_RW(3, RW_READ_WRITE));
	__asm__ volatile("movl $1f, %0; movb $1, %1; 1: nop" : "=&r"(after), "=m"(watched[0]));
	write_dr7(DR7_INIT);
	answer_number("two_breaks_one_trap", db_count);
	answer_hex("two_breaks_dr6", events());
	answer_yes("data_break_is_a_trap", db_eip == after);
}

/* ---- general detect, reserved bits, DR4 ---- */

static void touch_dr0(void *argument)
{
	(void)argument;
	(void)read_dr0();
}

static uint32_t read_dr4(void)
{
	uint32_t value;

	__asm__ volatile(".byte 0x0f, 0x21, 0xe0" : "=a"(value)); /* mov eax, dr4 */
	return value;
}

static void touch_dr4(void *argument)
{
	(void)argument;
	(void)read_dr4();
}

static void ask_registers(void)
{
	clear();
	write_dr7(DR7_INIT | DR7_GD);
	touch_dr0(0);
	answer_number("general_detect_hits", db_count);
	answer_hex("general_detect_dr6", events());
	answer_hex("general_detect_dr7_in_handler", db_dr7);
	write_dr7(DR7_INIT);
	write_dr6(0);
	answer_hex("dr6_fixed_bits", read_dr6() | DR6_RTM);
	write_dr6(DR6_INIT | DR6_B(2) | DR6_BS);
	answer_hex("dr6_kept", read_dr6() | DR6_RTM);
	answer_yes("dr4_is_dr6", read_dr4() == read_dr6());
	write_cr4(read_cr4() | CR4_DE);
	answer_fault("dr4_with_de", fault_try(touch_dr4, 0));
	write_cr4(read_cr4() & ~CR4_DE);
	write_dr6(DR6_INIT);
	write_dr7(0);
	answer_hex("dr7_fixed_bits", read_dr7());
}

static void ask_kept(void)
{
	unsigned lost = 0;

	write_dr0(0x12345678);
	write_dr1(0x9abcdef0);
	write_dr2(0x0f1e2d3c);
	write_dr3(0x4b5a6978);
	write_dr7(DR7_INIT | DR7_RW(2, RW_WRITE) | DR7_LEN(2, 4));
	for (unsigned i = 0; i < KEPT_ROUNDS; i++) {
		cpuid(0, 0);
		(void)inb(PORT_UNANSWERED);
		lost += read_dr0() != 0x12345678 || read_dr1() != 0x9abcdef0 || read_dr2() != 0x0f1e2d3c ||
			read_dr3() != 0x4b5a6978 || read_dr7() != (DR7_INIT | DR7_RW(2, RW_WRITE) | DR7_LEN(2, 4));
	}
	write_dr7(DR7_INIT);
	answer_number("lost_over_exits", lost);
}

/* ---- single steps ---- */

/* Steps through the text: one trap for each instruction in it and one for the PUSHF, AND and POPF behind it. */
#define STEPS_OF_THE_END 3
#define STEP(name, text)                                                       \
	do {                                                                   \
		static const char string[] = "...";                            \
		const void *source = string;                                   \
		void *target = (void *)(watched + 4);                          \
		uint32_t count = 3;                                            \
		clear();                                                       \
		__asm__ volatile("pushfl; orl $0x100, (%%esp); popfl\n\t" text \
				 "\n\tpushfl; andl $~0x100, (%%esp); popfl"    \
				 : "+S"(source), "+D"(target), "+c"(count)     \
				 :                                             \
				 : "eax", "ebx", "edx", "memory");             \
		answer_number(name, db_count - STEPS_OF_THE_END);              \
		answer_hex(name "_dr6", events());                             \
	} while (0)

static void ask_steps(void)
{
	STEP("step_nops", "nop; nop; nop; nop");
	STEP("step_cpuid", "cpuid; nop");
	STEP("step_rdtsc", "rdtsc; nop");
	STEP("step_in", "movl $0x1230, %%edx; inb %%dx, %%al; nop");
	STEP("step_out", "movl $0x1230, %%edx; outb %%al, %%dx; nop");
	STEP("step_rdmsr", "movl $0x1b, %%ecx; rdmsr; nop");
	STEP("step_mmio_read", "movl 0xfee00030, %%eax; nop");
	STEP("step_mmio_write", "movl $0, 0xfee00080; nop");
	STEP("step_cr0", "movl %%cr0, %%eax; movl %%eax, %%cr0; nop");
	STEP("step_rep_stos", "rep stosb; nop");
	STEP("step_rep_outs", "movl $0x1230, %%edx; rep outsb; nop");
	STEP("step_rep_ins", "movl $0x1230, %%edx; rep insb; nop");
	STEP("step_invlpg", "invlpg (%%esp); nop");
	STEP("step_wbinvd", "wbinvd; nop");
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	(void)info;
	answer_start("debugregs");
	fault_install();
	apic_enable(false);
	fault_set_gate(EXC_DB, (uint32_t)(uintptr_t)db_handler);
	ask_execute();
	ask_data();
	ask_several();
	ask_registers();
	ask_kept();
	ask_steps();
	answer_end();
}
