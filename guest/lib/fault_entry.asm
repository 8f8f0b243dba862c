; Exceptions of the guest program: each ends the attempt that is under way, as longjmp would.

bits 32

extern fault_unexpected

VECTORS			equ 32
VECTORS_WITH_ERROR	equ 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17 | 1 << 21
FAULT_NONE		equ 256
SELECTOR_CODE		equ 0x08
SELECTOR_DATA		equ 0x10
SELECTOR_USER_CODE	equ 0x18 | 3
SELECTOR_USER_DATA	equ 0x20 | 3
USER_STACK_BYTES	equ 4096

section .bss
align 16
user_stack:	resb USER_STACK_BYTES
user_stack_top:
try_esp:	resd 1			; the stack to go back to; 0: no attempt is under way
global fault_error, fault_eip, fault_ecx, fault_esi, fault_edi
fault_error:	resd 1
fault_eip:	resd 1
fault_ecx:	resd 1
fault_esi:	resd 1
fault_edi:	resd 1

section .rodata
align 4
global fault_vectors_with_error
fault_vectors_with_error:
	dd	VECTORS_WITH_ERROR
global fault_entries
fault_entries:
%assign vector 0
%rep VECTORS
	dd	fault_entry_ %+ vector
%assign vector vector + 1
%endrep

section .text

%assign vector 0
%rep VECTORS
fault_entry_ %+ vector:
%if (VECTORS_WITH_ERROR >> vector & 1) == 0
	push	0
%endif
	push	vector
	jmp	fault_common
%assign vector vector + 1
%endrep

; Stack: vector, error code, eip, ...
fault_common:
	mov	ax, SELECTOR_DATA
	mov	ds, ax
	mov	es, ax
	mov	fs, ax
	mov	gs, ax
	pop	eax
	cmp	dword [try_esp], 0
	je	.unexpected
	pop	dword [fault_error]
	pop	dword [fault_eip]
	mov	[fault_ecx], ecx
	mov	[fault_esi], esi
	mov	[fault_edi], edi
	mov	esp, [try_esp]
	jmp	fault_try_end
.unexpected:
	push	eax
	call	fault_unexpected

; uint32_t fault_try(void (*attempt)(void *), void *argument);
; Out: eax = FAULT_NONE or the vector
global fault_try
fault_try:
	push	ebx
	push	esi
	push	edi
	push	ebp
	mov	[try_esp], esp
	push	dword [esp + 4 * 4 + 8]
	call	[esp + 5 * 4 + 4]
	mov	eax, FAULT_NONE
	mov	esp, [try_esp]
fault_try_end:
	mov	dword [try_esp], 0
	pop	ebp
	pop	edi
	pop	esi
	pop	ebx
	ret

; uint32_t fault_try_ring3(void (*code)(void));
; Out: eax = the vector
global fault_try_ring3
fault_try_ring3:
	push	ebx
	push	esi
	push	edi
	push	ebp
	mov	[try_esp], esp
	mov	ecx, [esp + 4 * 4 + 4]
	mov	ax, SELECTOR_USER_DATA
	mov	ds, ax
	mov	es, ax
	mov	fs, ax
	mov	gs, ax
	push	SELECTOR_USER_DATA
	push	user_stack_top
	pushfd
	push	SELECTOR_USER_CODE
	push	ecx
	iretd

; void fault_load_gdt(const struct table_register *gdtr);
global fault_load_gdt
fault_load_gdt:
	mov	eax, [esp + 4]
	lgdt	[eax]
	jmp	SELECTOR_CODE:.loaded
.loaded:
	mov	ax, SELECTOR_DATA
	mov	ds, ax
	mov	es, ax
	mov	fs, ax
	mov	gs, ax
	mov	ss, ax
	ret
