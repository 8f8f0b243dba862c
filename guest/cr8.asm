; Does CR8 hold an interrupt back, and let it go? In 64-bit mode, for there is no CR8 elsewhere. Prints
; "cr8: done failed=N" with the rounds that went wrong, then halts, so that the exits can be counted from outside.

bits 32

extern serial_put

ROUNDS		equ 1000
VECTOR		equ 0x51
CLASS		equ VECTOR >> 4
CR8_MAX		equ 15

CR0_PG		equ 1 << 31
CR4_PAE		equ 1 << 5
MSR_EFER	equ 0xc0000080
EFER_LME	equ 1 << 8
DATA		equ 0x10
CODE64		equ 0x18
CODE32		equ 0x08

; SDM vol. 3A, "Local APIC Register Address Map", "Interrupt Command Register (ICR)".
APIC		equ 0xfee00000
APIC_TPR	equ 0x80
APIC_EOI	equ 0xb0
APIC_SVR	equ 0xf0
APIC_ICR	equ 0x300
SVR_ENABLED	equ 1 << 8 | 0xff
ICR_TO_SELF	equ 1 << 18 | 1 << 14

PAGE_BYTES	equ 4096
ENTRIES		equ 512
PRESENT		equ 3		; and writable
LARGE		equ 1 << 7
GATE_INTERRUPT	equ 0x8e00

section .bss
alignb PAGE_BYTES
level4:		resb PAGE_BYTES
level3:		resb PAGE_BYTES
level2:		resb 4 * PAGE_BYTES	; 4 GiB, each at its own address
idt:		resq 2 * (VECTOR + 1)
count:		resd 1
failed:		resd 1

section .rodata
align 8
gdt:
	dq	0
	dq	0x00cf9b000000ffff	; 32-bit code
	dq	0x00cf93000000ffff	; data
	dq	0x00af9b000000ffff	; 64-bit code
gdt_end:
gdtr:		dw	gdt_end - gdt - 1
		dd	gdt
idtr:		dw	16 * (VECTOR + 1) - 1
		dd	idt, 0
code32:		dd	left
		dw	CODE32
done_text:	db	"cr8: done failed=", 0

section .text

; void guest_main(uint32_t magic, const struct mb1_info *info);
global guest_main
guest_main:
	mov	dword [level4], level3 + PRESENT
	xor	ecx, ecx
.directory:
	mov	eax, ecx
	shl	eax, 12
	add	eax, level2 + PRESENT
	mov	[level3 + ecx * 8], eax
	inc	ecx
	cmp	ecx, 4
	jne	.directory
	xor	ecx, ecx
.page:
	mov	eax, ecx
	shl	eax, 21
	or	eax, PRESENT | LARGE
	mov	[level2 + ecx * 8], eax
	inc	ecx
	cmp	ecx, 4 * ENTRIES
	jne	.page

	mov	eax, interrupted
	mov	edx, eax
	and	eax, 0xffff
	or	eax, CODE64 << 16
	mov	[idt + 16 * VECTOR], eax
	and	edx, 0xffff0000
	or	edx, GATE_INTERRUPT
	mov	[idt + 16 * VECTOR + 4], edx

	lgdt	[gdtr]
	mov	eax, CR4_PAE
	mov	cr4, eax
	mov	eax, level4
	mov	cr3, eax
	mov	ecx, MSR_EFER
	rdmsr
	or	eax, EFER_LME
	wrmsr
	mov	eax, cr0
	or	eax, CR0_PG
	mov	cr0, eax
	jmp	CODE64:entered

bits 64
default abs

entered:
	lidt	[idtr]
	mov	ebx, APIC
	mov	dword [rbx + APIC_SVR], SVR_ENABLED
	sti
	xor	esi, esi		; rounds so far
.round:
	xor	edi, edi		; what went wrong in this one
	mov	eax, CR8_MAX
	mov	cr8, rax
	mov	dword [rbx + APIC_ICR], ICR_TO_SELF | VECTOR
	nop
	cmp	[count], esi
	setne	al
	or	dil, al
	mov	eax, CLASS
	mov	cr8, rax
	nop
	cmp	[count], esi
	setne	al
	or	dil, al
	inc	esi
	mov	eax, CLASS - 1
	mov	cr8, rax
	nop
	cmp	[count], esi
	setne	al
	or	dil, al
	mov	rax, cr8
	cmp	rax, CLASS - 1
	setne	al
	or	dil, al
	cmp	dword [rbx + APIC_TPR], (CLASS - 1) << 4
	setne	al
	or	dil, al
	add	[failed], edi
	cmp	esi, ROUNDS
	jne	.round
	cli
	jmp	far dword [code32]

; SS:RSP and so on are on the stack, which is the program's own.
interrupted:
	inc	dword [count]
	mov	dword [rbx + APIC_EOI], 0
	iretq

bits 32

; Compatibility mode is 32-bit mode to what follows.
left:
	mov	ax, DATA
	mov	ss, ax
	mov	ds, ax
	mov	es, ax
	mov	ebx, done_text
.character:
	movzx	eax, byte [ebx]
	test	al, al
	jz	.number
	push	eax
	call	serial_put
	add	esp, 4
	inc	ebx
	jmp	.character
.number:
	mov	eax, [failed]
	mov	ebx, 10
	xor	esi, esi
.digit:
	xor	edx, edx
	div	ebx
	add	edx, '0'
	push	edx
	inc	esi
	test	eax, eax
	jnz	.digit
.put:
	call	serial_put
	add	esp, 4
	dec	esi
	jnz	.put
	push	10
	call	serial_put
	add	esp, 4
.halt:
	cli
	hlt
	jmp	.halt
