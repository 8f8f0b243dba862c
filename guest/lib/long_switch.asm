; From 32-bit code without paging to 64-bit mode, and back. SDM vol. 3A, "Initializing IA-32e Mode".

extern fault_error
extern fault_gdt

CR0_PG			equ 1 << 31
CR4_PAE			equ 1 << 5
MSR_EFER		equ 0xc0000080
EFER_LME		equ 1 << 8
EFER_NXE		equ 1 << 11
VECTORS			equ 32
VECTORS_WITH_ERROR	equ 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 21
FAULT_NONE		equ 256
CODE32			equ 0x08
DATA			equ 0x10
CODE64			equ 0x18

section .bss
alignb 4096
global long_level4, long_idt
long_level4:	resb 4096
long_idt:	resq 2 * VECTORS
global long_rip, long_cr2
long_rip:	resq 1
long_cr2:	resq 1
stack_32:	resd 1
kept_cr0:	resd 1
kept_cr4:	resd 1
kept_idtr:	resb 6

section .rodata
align 8
gdt:
	dq	0
	dq	0x00cf9b000000ffff	; 32-bit code
	dq	0x00cf93000000ffff	; data
	dq	0x00af9b000000ffff	; 64-bit code
	dq	0x00cffb000000ffff	; the same for ring 3
	dq	0x00cff3000000ffff
	dq	0x00affb000000ffff
gdt_end:
gdtr:	dw	gdt_end - gdt - 1
	dd	gdt
idtr_64: dw	16 * VECTORS - 1
	dd	long_idt, 0
back_32:
	dd	long_mode_left
	dw	CODE32
align 4
global long_entries
long_entries:
%assign vector 0
%rep VECTORS
	dd	entry_ %+ vector
%assign vector vector + 1
%endrep

section .text
bits 32

; uint32_t long_run(const void *code);
global long_run
long_run:
	push	ebx
	push	esi
	push	edi
	push	ebp
	mov	esi, [esp + 4 * 4 + 4]
	mov	[stack_32], esp
	mov	eax, cr0
	mov	[kept_cr0], eax
	mov	eax, cr4
	mov	[kept_cr4], eax
	sidt	[kept_idtr]
	lgdt	[gdtr]
	or	eax, CR4_PAE
	mov	cr4, eax
	mov	eax, long_level4
	mov	cr3, eax
	mov	ecx, MSR_EFER
	rdmsr
	or	eax, EFER_LME | EFER_NXE
	wrmsr
	mov	eax, cr0
	or	eax, CR0_PG
	mov	cr0, eax
	jmp	CODE64:entered

bits 64
default abs
entered:
	lidt	[idtr_64]
	mov	esp, [stack_32]
	sub	rsp, 128
	call	rsi
	mov	ebp, FAULT_NONE
leave_64:
	mov	ax, DATA
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	jmp	far dword [back_32]

%assign vector 0
%rep VECTORS
entry_ %+ vector:
%if (VECTORS_WITH_ERROR >> vector & 1) == 0
	push	0
%endif
	mov	ebp, vector
	jmp	entry_common
%assign vector vector + 1
%endrep

; Stack: error code, rip, ...
entry_common:
	pop	rax
	mov	[fault_error], eax
	pop	rax
	mov	[long_rip], rax
	mov	rax, cr2
	mov	[long_cr2], rax
	jmp	leave_64

bits 32
; In: ebp = what to return
long_mode_left:
	mov	eax, [kept_cr0]
	mov	cr0, eax
	mov	ecx, MSR_EFER
	rdmsr
	and	eax, ~EFER_LME
	wrmsr
	mov	eax, [kept_cr4]
	mov	cr4, eax
	mov	esp, [stack_32]
	lgdt	[fault_gdt]
	lidt	[kept_idtr]
	mov	ax, DATA
	mov	ds, ax
	mov	es, ax
	mov	fs, ax
	mov	gs, ax
	mov	ss, ax
	mov	eax, ebp
	pop	ebp
	pop	edi
	pop	esi
	pop	ebx
	ret
