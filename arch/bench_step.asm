; Single steps of the entry path, for `bench`: the instructions of arch/vmx_enter.asm between two readings of the TSC.

%include "offsets.inc"
%include "arch/clear_buffers.inc"

default rel
bits 64

extern l1d_flush_buffer

section .rodata
verw_operand:	dw SELECTOR_DATA

section .text

; uint32_t bench_step_NAME(uint64_t value);
; In:       rdi = the value to write, where the step writes one
; Out:      eax = ticks from before the step to after it
; Clobbers: as a C function
; Stack:    1 word
; LFENCE; RDTSC begins no earlier, RDTSCP; LFENCE ends no later (SDM vol. 2B, "RDTSC", "RDTSCP").
%macro BEGIN_STEP 1
global bench_step_%1
bench_step_%1:
	push	rbx
	lfence
	rdtsc
	mov	r8d, eax
%endmacro
%macro END_STEP 0
	rdtscp
	lfence
	sub	eax, r8d
	pop	rbx
	ret
%endmacro

	BEGIN_STEP nothing
	END_STEP

	BEGIN_STEP l1d_msr
	mov	ecx, MSR_IA32_FLUSH_CMD
	mov	eax, FLUSH_CMD_L1D_FLUSH
	xor	edx, edx
	wrmsr
	END_STEP

	BEGIN_STEP l1d_soft
	L1D_FLUSH_SOFT l1d_flush_buffer
	END_STEP

	BEGIN_STEP verw
	CLEAR_CPU_BUFFERS verw_operand
	END_STEP

	BEGIN_STEP rdmsr_mcu
	mov	ecx, MSR_IA32_MCU_OPT_CTRL
	rdmsr
	END_STEP

	BEGIN_STEP wrmsr_mcu
	mov	ecx, MSR_IA32_MCU_OPT_CTRL
	mov	eax, edi
	mov	rdx, rdi
	shr	rdx, MSR_HALF_BITS
	wrmsr
	END_STEP
