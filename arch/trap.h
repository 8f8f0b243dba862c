/* Exceptions and NMIs in the hypervisor itself. Every exception but those of rdmsr_safe/wrmsr_safe is fatal. */
#ifndef ARCH_TRAP_H
#define ARCH_TRAP_H

#include <stdbool.h>
#include <stdint.h>

/* On the stack of the exception, lowest address first. */
struct trap_frame {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
	uint64_t vector, error_code;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* Fills in the one IDT. Gates: 0-31 exceptions (NMI, #DF and #MC on their own IST stacks), 32-255 interrupts, which are
 * never let in (IF is always 0) and are fatal too. */
void trap_init(void);

/* The one upcall of arch: hv/panic.c has it. Prints the frame and stops the machine. */
_Noreturn void hv_fatal_trap(const struct trap_frame *frame);

/* Executes IRET to the next instruction: unblocks NMIs after a VM exit due to one (facts.md, trap 33). */
void trap_nmi_unblock(void);

/* RDMSR and WRMSR that survive a #GP. False: it faulted; *value is untouched. */
bool rdmsr_safe(uint32_t msr, uint64_t *value);
bool wrmsr_safe(uint32_t msr, uint64_t value);

#endif
