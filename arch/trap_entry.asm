; Where exceptions, NMIs and interrupts arrive.

%include "offsets.inc"

default rel
bits 64

extern trap_dispatch
extern vmx_enter_window_begin
extern vmx_enter_window_end
extern vmx_enter_restart

section .text

; One stub for each gate: makes the frames alike, with an error code (0 where the CPU pushes none) and the vector.
%assign vector 0
%rep IDT_GATES
trap_stub_%+vector:
%assign has_error_code 0
%if vector < EXCEPTIONS
%assign has_error_code (EXCEPTIONS_WITH_ERROR_CODE >> vector) & 1
%endif
%if !has_error_code
	push	0
%endif
	push	vector
	jmp	trap_common
%assign vector vector + 1
%endrep

; Completes struct trap_frame (arch/trap.h) and calls trap_dispatch(frame). The CPU has aligned the stack; the frame keeps
; it so.
; In:       the vector, the error code and the CPU's frame on the stack
; Clobbers: nothing, if trap_dispatch returns
trap_common:
	push	rax
	push	rcx
	push	rdx
	push	rbx
	push	rbp
	push	rsi
	push	rdi
	push	r8
	push	r9
	push	r10
	push	r11
	push	r12
	push	r13
	push	r14
	push	r15
	cld
	mov	rdi, rsp
	call	trap_dispatch
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	r11
	pop	r10
	pop	r9
	pop	r8
	pop	rdi
	pop	rsi
	pop	rbp
	pop	rbx
	pop	rdx
	pop	rcx
	pop	rax
	add	rsp, TRAP_FRAME_VECTOR_BYTES
	iretq

; The NMI may come while the guest's SPEC_CTRL is in force or between the plan and the entry: no call, no ret, no indirect
; branch; it touches nothing but its own stack and the counters.
; Prototype: none; the gate of vector 2, on its own IST stack
; In:        the CPU's frame on the stack; GS base = this pCPU's struct arch_percpu
; Out:       nmi_count, nmi_pending; if it hit the window: nmi_window_count, and the frame's RIP is vmx_enter_restart
; Clobbers:  nothing
; Stack:     1 word
global trap_nmi
trap_nmi:
	push	rax
	inc	qword [gs:ARCH_PERCPU_NMI_COUNT]
	mov	dword [gs:ARCH_PERCPU_NMI_PENDING], 1
	mov	rax, [rsp + 8]			; the interrupted RIP
	cmp	rax, vmx_enter_window_begin
	jb	.done
	cmp	rax, vmx_enter_window_end
	jae	.done
	inc	qword [gs:ARCH_PERCPU_NMI_WINDOW_COUNT]
	mov	qword [rsp + 8], vmx_enter_restart
.done:
	pop	rax
	iretq

; Interrupts are on only while a pCPU sleeps, and where apic_timer_disarm() lets in what came late.
; Prototype: none; the gate of APIC_TIMER_VECTOR
; In:        the CPU's frame on the stack; GS base = this pCPU's struct arch_percpu
; Out:       timer_fired
; Clobbers:  nothing
; Stack:     -
global trap_timer
trap_timer:
	mov	dword [gs:ARCH_PERCPU_TIMER_FIRED], 1
; The gate of APIC_SPURIOUS_VECTOR: such an interrupt wants no EOI.
global trap_spurious
trap_spurious:
	iretq

; void trap_nmi_unblock(void);
; In:       -
; Out:      NMIs are not blocked: IRET unblocks them wherever it goes
; Clobbers: rax, rcx
; Stack:    5 words
global trap_nmi_unblock
trap_nmi_unblock:
	mov	rax, rsp
	mov	ecx, ss
	push	rcx
	push	rax
	pushfq
	mov	ecx, cs
	push	rcx
	lea	rax, [.unblocked]
	push	rax
	iretq
.unblocked:
	ret

section .rodata

; Prototype: const uint64_t trap_stubs[IDT_GATES];
align 8
global trap_stubs
trap_stubs:
%assign vector 0
%rep IDT_GATES
	dq	trap_stub_%+vector
%assign vector vector + 1
%endrep
