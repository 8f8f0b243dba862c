; Where the other pCPUs start: from real mode straight to 64-bit mode, under the hypervisor's own page tables.

%include "offsets.inc"

extern boot_gdt
extern ap_main
extern ap_claim

section .rodata

; Copied by smp_init to a page below 1 MiB, where a SIPI starts the pCPU with CS = page / 16, IP = 0.
; Prototype: const uint8_t ap_trampoline[];
; In:        ap_trampoline_cr3 of the copy
; Clobbers:  eax, ecx, edx
; Stack:     none yet
bits 16
align 8
global ap_trampoline
ap_trampoline:
	cli
	mov	eax, CR4_PAE
	mov	cr4, eax
	mov	eax, [cs:ap_trampoline_cr3 - ap_trampoline]
	mov	cr3, eax
	mov	ecx, MSR_IA32_EFER
	mov	eax, ARCH_EFER
	xor	edx, edx
	wrmsr
	o32 lgdt [cs:ap_gdt_pointer - ap_trampoline]
	mov	eax, ARCH_CR0			; also ends the no-fill cache mode that INIT leaves
	mov	cr0, eax
	jmp	dword SELECTOR_CODE:ap_start

align 8
ap_gdt_pointer:
	dw	SELECTOR_DATA + 8 - 1		; its last descriptor
	dd	boot_gdt
align 8
; Prototype: const uint32_t ap_trampoline_cr3 (a place in the trampoline); smp_init fills it in in the copy.
global ap_trampoline_cr3
ap_trampoline_cr3:
	dd	0
; Prototype: const uint8_t ap_trampoline_end[];
global ap_trampoline_end
ap_trampoline_end:

section .text
bits 64

; Takes what smp_start laid out, so that a pCPU that comes too late or uncalled finds nothing and stays here.
; In:       ap_claim = its struct arch_percpu, or NULL
; Out:      calls ap_main(p) on p's own stack
; Clobbers: everything
ap_start:
	mov	eax, SELECTOR_DATA
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	xor	edi, edi
	xchg	rdi, [ap_claim]
	test	rdi, rdi
	jz	.not_called
	mov	rsp, [rdi + ARCH_PERCPU_STACK_TOP]
	xor	ebp, ebp
	call	ap_main
.not_called:
	hlt
	jmp	.not_called
