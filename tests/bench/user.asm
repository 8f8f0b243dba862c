; The steps of a VM entry that need no privilege, timed in user mode: the macros are those of arch/vmx_enter.asm.
; Each function returns the ticks of the TSC from before the step to its end, with those of the two readings.

%include "offsets.inc"
%include "arch/clear_buffers.inc"

default rel
bits 64

extern user_flush_buffer

section .data
global user_selector
user_selector:	dw 0			; user.c puts in what SS holds: a valid writable data selector

section .text

; uint64_t user_time_NAME(void), the step between the two.
; Clobbers: rsi, rdi, and what the step clobbers; rbx is kept
%macro TIMED 1
global user_time_%1
user_time_%1:
	push	rbx
	lfence
	rdtsc
	mov	edi, eax
	mov	esi, edx
%endmacro

%macro TIMED_END 0
	rdtscp
	lfence
	shl	rdx, 32
	or	rax, rdx
	shl	rsi, 32
	or	rdi, rsi
	sub	rax, rdi
	pop	rbx
	ret
%endmacro

TIMED nothing
TIMED_END

TIMED verw
	CLEAR_CPU_BUFFERS user_selector
TIMED_END

TIMED flush_cpuid
	L1D_FLUSH_SOFT user_flush_buffer
TIMED_END

; In a virtual machine CPUID exits to the hypervisor there, at many times the cost of the flush.
TIMED flush_lfence
	L1D_FLUSH_SOFT user_flush_buffer, lfence
TIMED_END

TIMED cpuid
	xor	eax, eax
	cpuid
TIMED_END

section .note.GNU-stack noalloc noexec nowrite progbits
