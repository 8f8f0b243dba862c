; From the loader's 32-bit world to boot_main in 64-bit mode, on a map of the first 4 GiB at their own addresses.

%include "offsets.inc"

extern boot_main

section .multiboot2 progbits alloc exec nowrite align=8

; Multiboot2 Specification, "Multiboot2 header". Each tag: type, flags, size; aligned to 8.
multiboot2_header:
	dd MULTIBOOT2_HEADER_MAGIC
	dd MULTIBOOT2_ARCHITECTURE_I386
	dd .end - multiboot2_header
	dd MULTIBOOT2_CHECKSUM_MODULUS - (MULTIBOOT2_HEADER_MAGIC + MULTIBOOT2_ARCHITECTURE_I386 + (.end - multiboot2_header))
.required:
	dw MULTIBOOT2_HEADER_TAG_INFORMATION, 0
	dd .required_end - .required
	dd MULTIBOOT2_TAG_CMDLINE, MULTIBOOT2_TAG_MODULE, MULTIBOOT2_TAG_MMAP
.required_end:
	align 8, db 0
.wanted:
	dw MULTIBOOT2_HEADER_TAG_INFORMATION, MULTIBOOT2_HEADER_TAG_OPTIONAL
	dd .wanted_end - .wanted
	dd MULTIBOOT2_TAG_ACPI_OLD, MULTIBOOT2_TAG_ACPI_NEW
.wanted_end:
	align 8, db 0
.modules_page_aligned:
	dw MULTIBOOT2_HEADER_TAG_MODULE_ALIGN, 0
	dd .modules_page_aligned_end - .modules_page_aligned
.modules_page_aligned_end:
	align 8, db 0
.tags_end:
	dw MULTIBOOT2_HEADER_TAG_END, 0
	dd .end - .tags_end
.end:

section .bss nobits alloc noexec write align=PAGE_BYTES

boot_pml4:	resb PAGE_BYTES
boot_pdpt:	resb PAGE_BYTES
boot_pds:	resb PAGE_BYTES * BOOT_MAP_GIB
boot_stack:	resb BOOT_STACK_BYTES
boot_stack_top:

section .rodata

; The same selectors as in every pCPU's own GDT (arch/percpu.h). Also for the start of the other pCPUs.
; Prototype: const uint64_t boot_gdt[];
align 8
global boot_gdt
boot_gdt:
	dq 0
	dq DESCRIPTOR_CODE64
	dq DESCRIPTOR_DATA

boot_gdt_pointer:
	dw SELECTOR_DATA + 8 - 1		; its last descriptor
	dq boot_gdt

; Port and value: 115200 8N1.
uart_setup:
	dw UART_COM1_IER, 0
	dw UART_COM1_LCR, UART_LCR_DLAB | UART_LCR_8N1
	dw UART_COM1_DLL, UART_DIVISOR_115200
	dw UART_COM1_DLM, 0
	dw UART_COM1_LCR, UART_LCR_8N1
uart_setup_end:

no_long_mode_text:
	db `sluice: this CPU has no 64-bit mode, or no NX bit in its page tables; Sluice needs both\r\n`, 0

section .text
bits 32

; Prototype: none; the loader jumps here in 32-bit protected mode without paging
; In:        eax = the loader's magic, ebx = the information structure
; Out:       does not return
; Clobbers:  everything
; Stack:     its own
global boot_entry
boot_entry:
	cli
	cld
	mov	esp, boot_stack_top
	mov	edi, eax			; CPUID takes eax and ebx
	mov	esi, ebx

	mov	eax, CPUID_EXT_MAX
	cpuid
	cmp	eax, CPUID_EXT_FEATURES
	jb	no_long_mode
	mov	eax, CPUID_EXT_FEATURES
	cpuid
	and	edx, CPUID_EXT1_EDX_LM_NX
	cmp	edx, CPUID_EXT1_EDX_LM_NX
	jne	no_long_mode

	; .bss is zero: only the low halves are written.
	mov	dword [boot_pml4], boot_pdpt + PTE_TABLE_FLAGS
	mov	ebx, boot_pdpt
	mov	eax, boot_pds + PTE_TABLE_FLAGS
	mov	ecx, BOOT_MAP_GIB
.pdpt_entry:
	mov	[ebx], eax
	add	ebx, PTE_BYTES
	add	eax, PAGE_BYTES
	dec	ecx
	jnz	.pdpt_entry

	mov	ebx, boot_pds
	mov	eax, PTE_LARGE_FLAGS
	mov	ecx, BOOT_MAP_GIB * PTE_PER_TABLE
.pd_entry:
	mov	[ebx], eax
	add	ebx, PTE_BYTES
	add	eax, PAGE_2M_BYTES
	dec	ecx
	jnz	.pd_entry

	; SDM vol. 3A, "Initializing IA-32e Mode".
	mov	eax, CR4_PAE
	mov	cr4, eax
	mov	eax, boot_pml4
	mov	cr3, eax
	mov	ecx, MSR_IA32_EFER
	mov	eax, ARCH_EFER
	xor	edx, edx
	wrmsr
	mov	eax, ARCH_CR0
	mov	cr0, eax
	lgdt	[boot_gdt_pointer]
	jmp	SELECTOR_CODE:boot_entry64

no_long_mode:
	mov	esi, uart_setup
.setup:
	lodsw
	mov	edx, eax
	lodsw
	out	dx, al
	cmp	esi, uart_setup_end
	jb	.setup

	mov	esi, no_long_mode_text
.byte:
	lodsb
	test	al, al
	jz	.halt
	mov	ah, al
	mov	dx, UART_COM1_LSR		; where there is no UART all bits read as 1: this never waits for ever
.wait:
	in	al, dx
	test	al, UART_LSR_THRE
	jz	.wait
	mov	dx, UART_COM1_THR
	mov	al, ah
	out	dx, al
	jmp	.byte
.halt:
	hlt
	jmp	.halt

bits 64
boot_entry64:
	mov	eax, SELECTOR_DATA
	mov	ds, eax
	mov	es, eax
	mov	ss, eax
	xor	eax, eax
	mov	fs, eax
	mov	gs, eax
	mov	esp, boot_stack_top		; the upper half becomes zero
	xor	ebp, ebp
	mov	edi, edi
	mov	esi, esi
	call	boot_main
