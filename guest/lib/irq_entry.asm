; Interrupts of the guest program, to C and back.

bits 32

extern irq_dispatch

VECTORS		equ 256

section .rodata
align 4
global irq_entries
irq_entries:
%assign vector 0
%rep VECTORS
	dd	irq_entry_ %+ vector
%assign vector vector + 1
%endrep

section .text

%assign vector 0
%rep VECTORS
irq_entry_ %+ vector:
	push	dword vector
	jmp	irq_common
%assign vector vector + 1
%endrep

; Stack: vector, eip, ...
irq_common:
	pushad
	cld
	push	dword [esp + 8 * 4]
	call	irq_dispatch
	add	esp, 4
	popad
	add	esp, 4
	iretd
