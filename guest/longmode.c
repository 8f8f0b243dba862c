/* Does 64-bit mode work: the way in and out, registers and addresses of 64 bits, SYSCALL, SWAPGS, CR8, compatibility
 * mode, and the rules for upper halves where a hypervisor carries an instruction out? */
#include <stdint.h>

#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "guest/lib/answer.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/long_mode.h"
#include "guest/lib/paging.h"
#include "guest/lib/print.h"

#define ROUNDS  30
#define RESULTS 8

/* What the code below leaves. */
uint64_t results[RESULTS];
extern const char landing[], pushed[];

/* Addresses are relative to RIP: 32-bit objects have no other kind that 64-bit code could use. */
#define CODE64(name, text)                        \
	extern const char name[];                 \
	__asm__(".text\n"                         \
		".code64\n" #name ":\n" text "\n" \
		"	ret\n"                          \
		".code32\n")

#define RESULT(n) "results + 8 * " #n "(%rip)"

CODE64(read_efer, "movl $0xc0000080, %ecx\n"
		  "rdmsr\n"
		  "movl %eax, " RESULT(0));

/* All ones in the registers before each. */
CODE64(upper_halves,
       "movq $-1, %rax\n"
       "movq %rax, %rbx; movq %rax, %rcx; movq %rax, %rdx\n"
       "movl $0, %eax\n"
       "movq %rax, %r8\n"
       "movq $-1, %rax\n"
       "shlq $32, %rax\n"
       "movq $-1, %rcx\n"
       "cpuid\n"
       "orq %rbx, %rax; orq %rcx, %rax; orq %rdx, %rax\n"
       "shrq $32, %rax\n"
       "movq %rax, " RESULT(0) "\n"
			       "movq $-1, %rax; movq %rax, %rdx\n"
			       "movq $0xffffffff0000001b, %rcx\n"
			       "rdmsr\n"
			       "orq %rdx, %rax\n"
			       "shrq $32, %rax\n"
			       "movq %rax, " RESULT(
				       1) "\n"
					  "movq $-1, %rax; movq %rax, %rdx\n"
					  "rdtsc\n"
					  "orq %rdx, %rax\n"
					  "shrq $32, %rax\n"
					  "movq %rax, " RESULT(
						  2) "\n"
						     "movabsq $0x1122334455667788, %rax\n"
						     "movl $0x1230, %edx\n"
						     "inl %dx, %eax\n"
						     "movq %rax, " RESULT(
							     3) "\n"
								"movabsq $0x1122334455667788, %rax\n"
								"inw %dx, %ax\n"
								"movq %rax, " RESULT(
									4) "\n"
									   "movabsq $0x1122334455667788, %rax\n"
									   "inb %dx, %al\n"
									   "movq %rax, " RESULT(5));

/* The local APIC's version, through registers and addresses that need a REX prefix, and in the upper half. */
CODE64(mmio,
       "movl $0xfee00000, %eax\n"
       "movq %rax, %r13\n"
       "movq $-1, %r9\n"
       "movl 0x30(%r13), %r9d\n"
       "movq %r9, " RESULT(0) "\n"
			      "movabsq $0xffff800000000000, %r12\n"
			      "movq $-1, %r15\n"
			      "movl 0x30(%r13, %r12), %r15d\n"
			      "movq %r15, " RESULT(1) "\n"
						      "leaq 0x20(%r13), %rbx\n"
						      "movl $2, %r14d\n"
						      "movl 0x10(%rbx), %esi\n"
						      "movl -0x10(%rbx, %r14, 8), %edi\n"
						      "movq %rdi, " RESULT(2) "\n"
									      "movl $0x30, 0x80(%r13)\n"
									      "movq %cr8, %rax\n"
									      "movq %rax, " RESULT(
										      3) "\n"
											 "movl $5, %eax\n"
											 "movq %rax, %cr8\n"
											 "movl 0x80(%r13), %eax\n"
											 "movq %rax, " RESULT(
												 4) "\n"
												    "xorl %eax, %eax\n"
												    "movq %rax, %cr8");

/* R8 to R15 over exits: how many have changed. */
CODE64(registers, "movabsq $0x0123456789abcdef, %r8\n"
		  "leaq 1(%r8), %r9; leaq 2(%r8), %r10; leaq 3(%r8), %r11; leaq 4(%r8), %r12\n"
		  "leaq 5(%r8), %r13; leaq 6(%r8), %r14; leaq 7(%r8), %r15; leaq 8(%r8), %rbp\n"
		  "movl $100, %esi\n"
		  "xorl %edi, %edi\n"
		  "1: xorl %eax, %eax\n"
		  "cpuid\n"
		  "movl $0x1230, %edx\n"
		  "outb %al, %dx\n"
		  "movabsq $0x0123456789abcdef, %rax\n"
		  "subq %r8, %rax; orq %rax, %rdi\n"
		  "leaq 1(%r8), %rax; subq %r9, %rax; orq %rax, %rdi\n"
		  "leaq 2(%r8), %rax; subq %r10, %rax; orq %rax, %rdi\n"
		  "leaq 3(%r8), %rax; subq %r11, %rax; orq %rax, %rdi\n"
		  "leaq 4(%r8), %rax; subq %r12, %rax; orq %rax, %rdi\n"
		  "leaq 5(%r8), %rax; subq %r13, %rax; orq %rax, %rdi\n"
		  "leaq 6(%r8), %rax; subq %r14, %rax; orq %rax, %rdi\n"
		  "leaq 7(%r8), %rax; subq %r15, %rax; orq %rax, %rdi\n"
		  "leaq 8(%r8), %rax; subq %rbp, %rax; orq %rax, %rdi\n"
		  "decl %esi\n"
		  "jnz 1b\n"
		  "movq %rdi, " RESULT(0));

CODE64(addresses, "leaq landing(%rip), %rax\n"
		  "movq %rax, " RESULT(0) "\n"
					  "movabsq $0xffff800000000000, %rbx\n"
					  "addq %rbx, %rax\n"
					  "movq (%rax), %rcx\n"
					  "subq landing(%rip), %rcx\n"
					  "movq %rcx, " RESULT(1) "\n"
								  /* goes on in the upper half, and comes back */
								  "leaq 1f(%rip), %rax\n"
								  "addq %rbx, %rax\n"
								  "jmp *%rax\n"
								  "1: leaq 1b(%rip), %rax\n"
								  "shrq $47, %rax\n"
								  "movq %rax, " RESULT(2));

/* There are two lines that say which way: `landing` is reached by SYSCALL from ring 0, then from ring 3. */
CODE64(system_calls,
       "movl $0xc0000080, %ecx\n"
       "rdmsr\n"
       "orl $1, %eax\n"
       "wrmsr\n"
       "movl $0xc0000081, %ecx\n"
       "xorl %eax, %eax\n"
       "movl $0x00230018, %edx\n" /* SYSRET from 0x23: CS 0x33, SS 0x2b; SYSCALL: CS 0x18, SS 0x20 */
       "wrmsr\n"
       "movl $0xc0000082, %ecx\n"
       "leaq landing(%rip), %rax\n"
       "xorl %edx, %edx\n"
       "wrmsr\n"
       "movl $0xc0000084, %ecx\n"
       "movl $0x400, %eax\n" /* DF */
       "wrmsr\n"
       "movq %rsp, %r15\n"
       "xorl %r14d, %r14d\n"
       "std\n"
       "syscall\n"
       "pushed: ud2\n"
       "landing:\n"
       "pushfq\n"
       "popq %rax\n"
       "incl %r14d\n"
       "cmpl $1, %r14d\n"
       "jne 1f\n"
       "movq %rcx, " RESULT(0) "\n"
			       "andl $0x400, %eax\n"
			       "movq %rax, " RESULT(1) "\n"
						       "andl $0x400, %r11d\n"
						       "movq %r11, " RESULT(
							       2) "\n"
								  "leaq 2f(%rip), %rcx\n"
								  "movl $2, %r11d\n"
								  "sysretq\n"
								  "2: movl %cs, %r12d\n"
								  "movl %ss, %r13d\n"
								  "syscall\n"
								  "ud2\n"
								  "1: movq %r12, " RESULT(
									  3) "\n"
									     "movq %r13, " RESULT(
										     4) "\n"
											"movl %cs, %eax\n"
											"movq %rax, " RESULT(
												5) "\n"
												   "cld\n"
												   "movl $0x10, %eax\n"
												   "movl %eax, %ss\n"
												   "movq %r15, %rsp");

CODE64(swap_gs,
       "movl $0xc0000101, %ecx\n"
       "leaq results + 48(%rip), %rax\n"
       "xorl %edx, %edx\n"
       "wrmsr\n"
       "incl %ecx\n"
       "leaq results + 56(%rip), %rax\n"
       "movl $0xffff8000, %edx\n"
       "wrmsr\n"
       "movq $6, " RESULT(6) "\n"
			     "movq $7, " RESULT(7) "\n"
						   "movq %gs:0, %rax\n"
						   "movq %rax, " RESULT(0) "\n"
									   "swapgs\n"
									   "movq %gs:0, %rax\n"
									   "movq %rax, " RESULT(
										   1) "\n"
										      "swapgs\n"
										      "movq %gs:0, %rax\n"
										      "movq %rax, " RESULT(
											      2) "\n"
												 "xorl %eax, %eax\n"
												 "movl %eax, %gs");

/* 0x40 is INC EAX in 32-bit code, and a prefix in 64-bit code. */
CODE64(compatibility, "pushq $0x08\n"
		      "leaq 1f(%rip), %rax\n"
		      "pushq %rax\n"
		      "movl $41, %eax\n"
		      "lretq\n"
		      "1: .byte 0x40\n"
		      "nop\n"
		      ".code32\n"
		      "ljmp $0x18, $2f\n"
		      ".code64\n"
		      "2: movl %eax, %eax\n"
		      "movq %rax, " RESULT(0) "\n"
					      "movl $41, %eax\n"
					      ".byte 0x40\n"
					      "nop\n"
					      "movq %rax, " RESULT(1));

CODE64(read_absent, "movabsq $0x0000123456789abc, %rax\n"
		    "movb (%rax), %al");
CODE64(write_absent_upper, "movabsq $0xffff923456789abc, %rax\n"
			   "movb %al, (%rax)");
CODE64(read_bent, "movabsq $0x0000823456789abc, %rax\n"
		  "movb (%rax), %al");
CODE64(read_bent_by_rbp, "movabsq $0x0000823456789ab0, %rbp\n"
			 "movq (%rbp), %rax");
CODE64(fetch_bent, "movabsq $0x0000823456789abc, %rax\n"
		   "jmp *%rax");
CODE64(write_bent_msr, "movl $0xc0000102, %ecx\n"
		       "movl $0x00008234, %edx\n"
		       "wrmsr");
CODE64(old_instruction, ".byte 0x06"); /* push es */

static void ask_results(const char *question, const void *code, unsigned count)
{
	uint32_t vector;

	for (unsigned i = 0; i < RESULTS; i++)
		results[i] = 0;
	vector = long_run(code);
	if (vector != FAULT_NONE) {
		answer_fault(question, vector);
		return;
	}
	print("longmode: %s", question);
	for (unsigned i = 0; i < count; i++)
		print(" 0x%llx", (unsigned long long)results[i]);
	print("\n");
}

static void ask_fault(const char *question, const void *code)
{
	const uint32_t vector = long_run(code);

	print("longmode: %s vector=%u error=0x%x", question, vector, fault_error);
	if (vector == EXC_PF)
		print(" cr2=0x%llx", (unsigned long long)long_cr2);
	print("\n");
}

static void ask_rounds(void)
{
	unsigned right = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		results[0] = 0;
		right += long_run(read_efer) == FAULT_NONE && (results[0] & EFER_LMA) &&
			 !(rdmsr(MSR_IA32_EFER) & EFER_LMA) && !(read_cr0() & CR0_PG);
	}
	answer_number("there_and_back", right);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	(void)info;
	answer_start("longmode");
	fault_install();
	apic_enable(false);
	paging_build();
	long_prepare();
	ask_results("efer", read_efer, 1);
	ask_results("upper_halves_after_cpuid_rdmsr_rdtsc_in", upper_halves, 6);
	long_run(mmio);
	answer_yes("mmio_by_rex_registers", results[0] == apic_read(APIC_VERSION) && results[1] == results[0]);
	answer_yes("mmio_by_scaled_index", results[2] == apic_read(APIC_ID));
	answer_hex("cr8_after_write_of_tpr", results[3]);
	answer_hex("tpr_after_write_of_cr8", results[4]);
	ask_results("registers_changed_over_exits", registers, 1);
	long_run(addresses);
	answer_yes("rip_relative", results[0] == (uint32_t)(uintptr_t)landing);
	answer_hex("upper_half_data_differs", results[1]);
	answer_hex("upper_half_rip", results[2]);
	ask_results("syscall_from_ring0_and_ring3", system_calls, 6);
	answer_yes("syscall_keeps_rip_in_rcx", results[0] == (uint32_t)(uintptr_t)pushed);
	ask_results("swapgs", swap_gs, 3);
	ask_results("compatibility_mode", compatibility, 2);
	ask_fault("read_absent", read_absent);
	ask_fault("write_absent_upper_half", write_absent_upper);
	ask_fault("read_non_canonical", read_bent);
	ask_fault("read_non_canonical_by_rbp", read_bent_by_rbp);
	ask_fault("jump_to_non_canonical", fetch_bent);
	ask_fault("non_canonical_gs_base", write_bent_msr);
	ask_fault("no_push_es", old_instruction);
	ask_rounds();
	answer_end();
}
