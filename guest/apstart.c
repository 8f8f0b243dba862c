/* Does another CPU start in real mode where the SIPI says, and does 16-bit code run there as it should: interrupts and
 * exceptions by the vector table, segments, ports, a flat segment kept from protected mode, HLT? Wants several CPUs. */
#include <stdbool.h>
#include <stdint.h>

#include "guest/lib/answer.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/irq.h"
#include "guest/lib/smp.h"

#define FIRST_PAGE  0x20
#define SECOND_PAGE 0x61
#define PAGE_SHIFT  12
#define VECTOR_IPI  0x48
#define HALT_PAUSES 20000

/* What the code below leaves at the end of its page. */
struct found {
	volatile uint32_t arrived, ended;
	uint32_t cs, ip, flags, cr0, edx;
	uint32_t software_interrupts, divide_ip_right, undefined_ip_right;
	uint32_t segment_byte, beyond_1m, wrapped_stack;
	uint32_t in_value, in_string, cpuid_eax, apic_base_low;
	uint32_t apic_version, tpr;
	volatile uint32_t halting, woken;
};
#define FOUND_AT 0xf00

extern const uint8_t real_start[], real_end[];

#define TO_STRING(x) #x
#define EXPANDED(x)  TO_STRING(x)
/* The n-th word of struct found; DS is the page. */
#define FOUND(n)     "%ds:" EXPANDED(FOUND_AT) " + 4 * " #n

/* Copied to the page. CS is the page, and the vector table is at 0 as in any PC. */
__asm__(".section .rodata\n"
	".code16\n"
	"real_start:\n"
	"	cli\n"
	"	movl %edx, %ebp\n"
	"	movw %cs, %ax\n"
	"	movw %ax, %ds\n"
	"	movw %ax, %ss\n"
	"	movw $0xe00, %sp\n"
	"	pushfl\n"
	"	popl " FOUND(
		4) "\n"
		   "	movl %ebp, " FOUND(
			   6) "\n"
			      "	movzwl %ax, %eax\n"
			      "	movl %eax, " FOUND(
				      2) "\n"
					 "	call 1f\n"
					 "1:	popw %ax\n"
					 "	subw $(1b - real_start), %ax\n"
					 "	movzwl %ax, %eax\n"
					 "	movl %eax, " FOUND(
						 3) "\n"
						    "	movl %cr0, %eax\n"
						    "	movl %eax, " FOUND(
							    5) "\n"
							       "	lock incl " FOUND(
								       0) "\n"

									  /* the vector table */
									  "	xorw %ax, %ax\n"
									  "	movw %ax, %es\n"
									  "	movw $(on_divide - real_start), %es:0 "
									  "* 4\n"
									  "	movw %cs, %es:0 * 4 + 2\n"
									  "	movw $(on_undefined - real_start), "
									  "%es:6 * 4\n"
									  "	movw %cs, %es:6 * 4 + 2\n"
									  "	movw $(on_software - real_start), "
									  "%es:0x60 * 4\n"
									  "	movw %cs, %es:0x60 * 4 + 2\n"
									  "	movw $(on_ipi - real_start), %es:0x48 "
									  "* 4\n"
									  "	movw %cs, %es:0x48 * 4 + 2\n"
									  "	int $0x60\n"
									  "	int $0x60\n"
									  "	xorl %ecx, %ecx\n"
									  "divide:	divw %cx\n"
									  "undefined: ud2\n"

									  /* segments: a paragraph further, and the last
									     one below 1 MiB, which reaches beyond it */
									  "	movb $0x5a, %ds:0xe20\n"
									  "	movw %ds, %ax\n"
									  "	incw %ax\n"
									  "	movw %ax, %es\n"
									  "	movzbl %es:0xe10, %eax\n"
									  "	movl %eax, " FOUND(
										  10) "\n"
										      "	movw $0xffff, %ax\n"
										      "	movw %ax, %es\n"
										      "	movl %es:0x10, %eax\n"
										      "	movl %eax, " FOUND(
											      11) "\n"
												  /* a stack pointer
												     that goes below 0
												   */
												  "	movw %sp, %bx\n"
												  "	movw %ss, %dx\n"
												  "	movw $0x7000, "
												  "%ax\n"
												  "	movw %ax, %ss\n"
												  "	xorw %sp, %sp\n"
												  "	pushw $0x1234\n"
												  "	movzwl %sp, "
												  "%eax\n"
												  "	popw %cx\n"
												  "	movw %dx, %ss\n"
												  "	movw %bx, %sp\n"
												  "	movl "
												  "%eax, " FOUND(12) "\n"

														     /* what a hypervisor carries out */
														     "	movw $0x1230, %dx\n"
														     "	movl $0x12345678, %eax\n"
														     "	inw %dx, %ax\n"
														     "	movl %eax, " FOUND(
															     13) "\n"
																 "	movw %ds, %ax\n"
																 "	movw %ax, %es\n"
																 "	movw $(0xf00 + 4 * 14), %di\n"
																 "	movw $3, %cx\n"
																 "	cld\n"
																 "	rep insb\n"
																 "	xorl %eax, %eax\n"
																 "	xorl %ecx, %ecx\n"
																 "	cpuid\n"
																 "	movl %eax, " FOUND(15) "\n"
																			       "	movl $0x1b, %ecx\n"
																			       "	rdmsr\n"
																			       "	movl %eax, " FOUND(16) "\n"

																							       /* FS gets a limit of 4 GiB in protected mode, and keeps it */
																							       "	lgdtl %cs:(real_gdtr - real_start)\n"
																							       "	movl %cr0, %eax\n"
																							       "	orb $1, %al\n"
																							       "	movl %eax, %cr0\n"
																							       "	movw $0x10, %bx\n"
																							       "	movw %bx, %fs\n"
																							       "	andb $0xfe, %al\n"
																							       "	movl %eax, %cr0\n"
																							       "	movl $0xfee00000, %ebx\n"
																							       "	movl %fs:0x30(%ebx), %eax\n"
																							       "	movl %eax, " FOUND(17) "\n"
																											       "	movl $0x30, %fs:0x80(%ebx)\n"
																											       "	orl $0x0f, %fs:0x80(%ebx)\n"
																											       "	movl %fs:0x80(%ebx), %eax\n"
																											       "	movl %eax, " FOUND(18) "\n"
																															       "	movl $0, %fs:0x80(%ebx)\n"
																															       "	movl $0x1ff, %fs:0xf0(%ebx)\n"

																															       /* asleep until the other CPU's interrupt */
																															       "	movl $1, " FOUND(19) "\n"
																																			     "	sti\n"
																																			     "	hlt\n"
																																			     "	cli\n"
																																			     "	lock incl " FOUND(
																																				     1) "\n"
																																					"2:	hlt\n"
																																					"	jmp 2b\n"

																																					"on_software:\n"
																																					"	incl " FOUND(7) "\n"
																																								"	iretw\n"
																																								"on_divide:\n" /* a fault: the frame names the instruction */
																																								"	movw %sp, %bp\n"
																																								"	cmpw $(divide - real_start), %ss:(%bp)\n"
																																								"	jne 3f\n"
																																								"	incl " FOUND(8) "\n"
																																											"3:	addw $(undefined - divide), %ss:(%bp)\n"
																																											"	iretw\n"
																																											"on_undefined:\n"
																																											"	movw %sp, %bp\n"
																																											"	cmpw $(undefined - real_start), %ss:(%bp)\n"
																																											"	jne 4f\n"
																																											"	incl " FOUND(
																																												9) "\n"
																																												   "4:	addw $2, %ss:(%bp)\n"
																																												   "	iretw\n"
																																												   "on_ipi:\n"
																																												   "	incl " FOUND(
																																													   20) "\n"
																																													       "	movl $0, %fs:0xb0(%ebx)\n"
																																													       "	iretw\n"
																																													       ".balign 4\n"
																																													       "real_gdtr: .word 23\n"
																																													       "	.long real_gdt\n"
																																													       "real_end:\n"
																																													       ".balign 8\n"
																																													       "real_gdt: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff\n"
																																													       ".code32\n"
																																													       ".text\n");

/* To a page of its own for each start, with nothing found yet. */
static struct found *prepare(unsigned page)
{
	volatile uint8_t *at = (volatile uint8_t *)(uintptr_t)(page << PAGE_SHIFT);

	for (unsigned i = 0; i < 1u << PAGE_SHIFT; i++)
		at[i] = 0;
	for (unsigned i = 0; i < (unsigned)((uintptr_t)real_end - (uintptr_t)real_start); i++)
		at[i] = real_start[i];
	return (struct found *)(uintptr_t)((page << PAGE_SHIFT) + FOUND_AT);
}

static void sipi(uint32_t shorthand, unsigned index, unsigned page)
{
	apic_send(shorthand | APIC_ICR_DELIVERY_INIT | APIC_ICR_ASSERT, index);
	smp_settle();
	apic_send(shorthand | APIC_ICR_DELIVERY_SIPI | APIC_ICR_ASSERT | page, index);
}

static void ask_start(unsigned page, uint32_t loaders_word)
{
	struct found *f = prepare(page);

	sipi(0, 1, page);
	answer_yes("arrives", smp_wait(&f->arrived, 1));
	answer_yes("goes_to_sleep", smp_wait(&f->halting, 1));
	for (unsigned i = 0; i < HALT_PAUSES; i++)
		cpu_pause();
	answer_number("ends_before_it_is_woken", f->ended);
	apic_send(APIC_ICR_ASSERT | VECTOR_IPI, 1);
	answer_yes("woken_by_ipi", smp_wait(&f->ended, 1) && f->woken == 1);
	answer_hex("cs", f->cs);
	answer_hex("ip", f->ip);
	answer_hex("flags", f->flags);
	answer_hex("cr0_pe_et_pg", f->cr0 & 0x80000011);
	answer_number("software_interrupts", f->software_interrupts);
	answer_number("divide_error_at_its_instruction", f->divide_ip_right);
	answer_number("undefined_at_its_instruction", f->undefined_ip_right);
	answer_hex("byte_by_next_segment", f->segment_byte);
	answer_yes("segment_ffff_reaches_beyond_1_mib", f->beyond_1m == loaders_word);
	answer_hex("stack_pointer_wraps", f->wrapped_stack);
	answer_hex("in_ax", f->in_value);
	answer_hex("rep_insb", f->in_string);
	answer_yes("cpuid", f->cpuid_eax == cpuid(0, 0).eax);
	answer_hex("apic_base", f->apic_base_low);
	answer_yes("mmio_by_flat_segment", f->apic_version == apic_read(APIC_VERSION));
	answer_hex("mmio_or", f->tpr);
}

/* All others at once by one INIT and one SIPI: only those that run the code count. */
static void ask_all(unsigned cpu_count)
{
	static const uint8_t count_code[] = {0xf0, 0x2e, 0x66, 0xff, 0x06, 0x00, 0x0f, 0xf4, 0xeb, 0xfd};
	struct found *f = prepare(FIRST_PAGE);

	/* lock inc dword [cs:0xf00]; hlt; jmp to the hlt */
	for (unsigned i = 0; i < sizeof(count_code); i++)
		((volatile uint8_t *)(uintptr_t)(FIRST_PAGE << PAGE_SHIFT))[i] = count_code[i];
	sipi(APIC_ICR_TO_OTHERS, 0, FIRST_PAGE);
	smp_wait(&f->arrived, cpu_count - 1);
	smp_settle();
	answer_number("all_others_by_one_sipi", f->arrived);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	const unsigned cpu_count = smp_cpu_count(info);

	(void)magic;
	answer_start("apstart");
	fault_install();
	irq_install();
	apic_enable(false);
	answer_number("cpus", cpu_count);
	ask_start(FIRST_PAGE, *(const volatile uint32_t *)0x100000);
	ask_start(SECOND_PAGE, *(const volatile uint32_t *)0x100000);
	ask_all(cpu_count);
	answer_end();
}
