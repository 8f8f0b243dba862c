; Where another CPU starts after a SIPI: notes what it finds, and goes to 32-bit code.

extern smp_main
extern smp_stack_top

CR0_PE_ET	equ 0x11		; also ends the no-fill cache mode that power-up leaves
SELECTOR_CODE	equ 0x08
SELECTOR_DATA	equ 0x10
PAGE_BYTES	equ 0x1000

%macro save 2
	mov	[cs:state.%1 - smp_trampoline], %2
%endmacro

section .rodata

; Copied to the page that the SIPI names: CS = page * 0x100, IP = 0.
bits 16
align 16
global smp_trampoline
smp_trampoline:
	save	eax, eax
	save	ebx, ebx
	save	ecx, ecx
	save	edx, edx
	save	esi, esi
	save	edi, edi
	save	ebp, ebp
	save	esp, esp
	mov	eax, cr0
	save	cr0, eax
	mov	eax, cr2
	save	cr2, eax
	mov	eax, cr3
	save	cr3, eax
	mov	eax, cr4
	save	cr4, eax
	save	cs, cs
	save	ds, ds
	save	es, es
	save	fs, fs
	save	gs, gs
	save	ss, ss
	mov	ax, cs
	mov	ss, ax
	mov	sp, PAGE_BYTES
	pushfd
	pop	eax
	save	eflags, eax
	cli
	o32 lgdt [cs:smp_trampoline_gdt - smp_trampoline]
	mov	eax, CR0_PE_ET
	mov	cr0, eax
	jmp	dword SELECTOR_CODE:protected

; struct smp_state of lib/smp.h
align 4
global smp_trampoline_state
smp_trampoline_state:
state:
.eax:	dd	0
.ebx:	dd	0
.ecx:	dd	0
.edx:	dd	0
.esi:	dd	0
.edi:	dd	0
.ebp:	dd	0
.esp:	dd	0
.cr0:	dd	0
.cr2:	dd	0
.cr3:	dd	0
.cr4:	dd	0
.eflags: dd	0
.cs:	dd	0
.ds:	dd	0
.es:	dd	0
.fs:	dd	0
.gs:	dd	0
.ss:	dd	0
global smp_trampoline_gdt
smp_trampoline_gdt:			; filled in in the copy
	dw	0
	dd	0
global smp_trampoline_end
smp_trampoline_end:

section .text
bits 32

protected:
	mov	ax, SELECTOR_DATA
	mov	ds, ax
	mov	es, ax
	mov	fs, ax
	mov	gs, ax
	mov	ss, ax
	mov	esp, [smp_stack_top]
	xor	ebp, ebp
	call	smp_main
