; Where the loader jumps to: keeps what it left in the registers, and calls guest_main().
; Multiboot Specification 0.6.96, "Header layout", "Machine state".

bits 32

extern guest_main

MULTIBOOT1_MAGIC	equ 0x1badb002
MULTIBOOT1_FLAGS	equ 0x00000003	; modules page-aligned; memory information wanted
STACK_BYTES		equ 16384

section .multiboot1
align 4
global multiboot1_header
multiboot1_header:
	dd	MULTIBOOT1_MAGIC
	dd	MULTIBOOT1_FLAGS
	dd	-(MULTIBOOT1_MAGIC + MULTIBOOT1_FLAGS)

section .bss
align 16
stack:		resb STACK_BYTES
stack_top:
global start_cr0, start_eflags
start_cr0:	resd 1
start_eflags:	resd 1

section .text

; In:       eax = the loader's magic number, ebx = info structure; no stack
; Clobbers: does not return
global start
start:
	mov	esp, stack_top
	mov	[start_magic], eax
	pushfd
	pop	dword [start_eflags]
	mov	eax, cr0
	mov	[start_cr0], eax
	push	0
	popfd
	push	ebx
	push	dword [start_magic]
	call	guest_main
.halt:
	cli
	hlt
	jmp	.halt

section .bss
start_magic:	resd 1
