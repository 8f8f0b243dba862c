; RDMSR and WRMSR that survive a #GP: trap_dispatch (arch/trap.c) knows the two instructions, and sends a #GP of theirs to
; msr_safe_faulted.

%include "offsets.inc"

bits 64

section .text

; bool rdmsr_safe(uint32_t msr, uint64_t *value);
; In:       edi = MSR, rsi = where the value goes
; Out:      al = 1, or 0 after a #GP, and then *value is untouched
; Clobbers: rax, rcx, rdx
; Stack:    -
global rdmsr_safe
rdmsr_safe:
	mov	ecx, edi
; The only RDMSR that may fault. Prototype: const char rdmsr_safe_access[];
global rdmsr_safe_access
rdmsr_safe_access:
	rdmsr
	shl	rdx, MSR_HALF_BITS
	or	rax, rdx
	mov	[rsi], rax
	mov	eax, 1
	ret

; bool wrmsr_safe(uint32_t msr, uint64_t value);
; In:       edi = MSR, rsi = value
; Out:      al = 1, or 0 after a #GP
; Clobbers: rax, rcx, rdx
; Stack:    -
global wrmsr_safe
wrmsr_safe:
	mov	ecx, edi
	mov	eax, esi
	mov	rdx, rsi
	shr	rdx, MSR_HALF_BITS
; The only WRMSR that may fault. Prototype: const char wrmsr_safe_access[];
global wrmsr_safe_access
wrmsr_safe_access:
	wrmsr
	mov	eax, 1
	ret

; Where a #GP of either goes on; the stack is theirs. Prototype: const char msr_safe_faulted[];
; In:       rsp as at their entry
; Out:      al = 0
; Clobbers: rax
; Stack:    -
global msr_safe_faulted
msr_safe_faulted:
	xor	eax, eax
	ret
