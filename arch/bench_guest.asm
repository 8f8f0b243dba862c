; The guest of `bench`: takes the time of an instruction that exits, from before it to after the next entry. It is data
; here: a multiboot kernel, which is loaded into a VM like any other (hv/bench_vm.c). It has no stack, takes no
; interrupts, and touches no memory but its order and its samples (arch/abi/bench_guest.h).

%include "offsets.inc"

bits 32

; Where a label lies in the guest.
%define AT(label) (label - bench_guest_start + BENCH_GUEST_LOAD)

section .rodata align=PTE_BYTES

global bench_guest_start
bench_guest_start:
	dd	MULTIBOOT1_HEADER_MAGIC
	dd	MULTIBOOT1_ADDRESSES
	dd	-(MULTIBOOT1_HEADER_MAGIC + MULTIBOOT1_ADDRESSES)
	dd	AT(bench_guest_start), AT(bench_guest_start)
	dd	0, 0				; to the end of the file, no bss
	dd	AT(next_order)

next_order:
	hlt
	mov	eax, [BENCH_GUEST_ORDER + BENCH_ORDER_OP]
	add	eax, eax
	add	eax, [BENCH_GUEST_ORDER + BENCH_ORDER_EMPTY]
	mov	edi, BENCH_GUEST_SAMPLES
	mov	ebp, [BENCH_GUEST_ORDER + BENCH_ORDER_COUNT]
	jmp	[AT(loops) + eax * BENCH_SAMPLE_BYTES]

; Takes samples and waits for the next order.
; Requires: edi = where they go, ebp = how many. Clobbers: all but esp; instructions that are timed leave esi, edi and
; ebp alone. LFENCE; RDTSC begins no earlier, RDTSCP; LFENCE ends no later (SDM vol. 2B, "RDTSC", "RDTSCP").
; %1 = label, %2 = macro that sets the instruction's registers, %3 = the instruction, or none
%macro SAMPLES 2-3+
%1:
	lfence
	rdtsc
	mov	esi, eax
	%2
	%3
	rdtscp
	lfence
	sub	eax, esi
	mov	[edi], eax
	add	edi, BENCH_SAMPLE_BYTES
	dec	ebp
	jnz	%1
	jmp	next_order
%endmacro

%macro SET_CPUID 0
	xor	eax, eax
	xor	ecx, ecx
%endmacro
%macro SET_RDMSR 0
	mov	ecx, MSR_IA32_ARCH_CAPABILITIES
%endmacro
%macro SET_WRMSR 0
	mov	ecx, MSR_IA32_BIOS_SIGN_ID
	xor	eax, eax
	xor	edx, edx
%endmacro
%macro SET_VMCALL 0
	mov	eax, BENCH_GUEST_HYPERCALL
%endmacro
%macro SET_IO 0
	mov	edx, BENCH_GUEST_PORT
%endmacro
%macro SET_MMIO 0
	mov	edx, BENCH_GUEST_ADDRESS
%endmacro
; Two instructions a turn.
%macro SET_COMPUTE 0
	mov	ecx, [BENCH_GUEST_ORDER + BENCH_ORDER_TURNS]
	jecxz	%%done
%%turn:
	dec	ecx
	jnz	%%turn
%%done:
	xor	eax, eax
%endmacro

	SAMPLES	cpuid_timed, SET_CPUID, cpuid
	SAMPLES	cpuid_empty, SET_CPUID
	SAMPLES	rdmsr_timed, SET_RDMSR, rdmsr
	SAMPLES	rdmsr_empty, SET_RDMSR
	SAMPLES	wrmsr_timed, SET_WRMSR, wrmsr
	SAMPLES	wrmsr_empty, SET_WRMSR
	SAMPLES	vmcall_timed, SET_VMCALL, vmcall
	SAMPLES	vmcall_empty, SET_VMCALL
	SAMPLES	io_timed, SET_IO, out dx, al
	SAMPLES	io_empty, SET_IO
	SAMPLES	mmio_timed, SET_MMIO, mov eax, [edx]
	SAMPLES	mmio_empty, SET_MMIO
	SAMPLES	compute_timed, SET_COMPUTE, cpuid
	SAMPLES	compute_empty, SET_COMPUTE

untimed:
	test	ebp, ebp
	jz	next_order
	SET_CPUID
	cpuid
	dec	ebp
	jmp	untimed

; In the order of enum bench_guest_op.
align PTE_BYTES
loops:
	dd	AT(cpuid_timed), AT(cpuid_empty)
	dd	AT(rdmsr_timed), AT(rdmsr_empty)
	dd	AT(wrmsr_timed), AT(wrmsr_empty)
	dd	AT(vmcall_timed), AT(vmcall_empty)
	dd	AT(io_timed), AT(io_empty)
	dd	AT(mmio_timed), AT(mmio_empty)
	dd	AT(compute_timed), AT(compute_empty)
	dd	AT(untimed), AT(untimed)
%if ($ - loops) != BENCH_GUEST_OPS * PTE_BYTES
%error "loops: one pair for each enum bench_guest_op"
%endif

global bench_guest_end
bench_guest_end:
