; VM entry and exit: an ordinary C function that obeys a plan (arch/abi/entry_plan.h) and decides nothing.
; docs/vm-entry.md tells why each step stands where it stands; tests/lint/entry_shape.py holds this file to it.
;
; The window: from vmx_enter_window_begin to vmx_enter_window_end an NMI must not let the entry go on, for its handler
; ran between the flush and the guest. The NMI handler (arch/trap_entry.asm) sees the RIP that it interrupted and sends
; it to vmx_enter_restart. An NMI from before the window has set nmi_pending, which is tested once, inside.

%include "offsets.inc"
%include "arch/clear_buffers.inc"

default rel
bits 64

extern l1d_flush_buffer

section .rodata
verw_operand:	dw SELECTOR_DATA	; a valid writable data selector: the fast form (facts of VERW: docs/vm-entry.md)

section .text

; Ends one of the four ways into the guest.
; Requires: rsi = guest registers. Clobbers: everything. After the first load nothing may touch memory but VERW.
; %1 = vmlaunch | vmresume, %2 = verw | plain
%macro ENTER_TAIL 2
	mov	rax, [rsi + GUEST_REGS_RAX]
	mov	rcx, [rsi + GUEST_REGS_RCX]
	mov	rdx, [rsi + GUEST_REGS_RDX]
	mov	rbx, [rsi + GUEST_REGS_RBX]
	mov	rbp, [rsi + GUEST_REGS_RBP]
	mov	rdi, [rsi + GUEST_REGS_RDI]
	mov	r8,  [rsi + GUEST_REGS_R8]
	mov	r9,  [rsi + GUEST_REGS_R9]
	mov	r10, [rsi + GUEST_REGS_R10]
	mov	r11, [rsi + GUEST_REGS_R11]
	mov	r12, [rsi + GUEST_REGS_R12]
	mov	r13, [rsi + GUEST_REGS_R13]
	mov	r14, [rsi + GUEST_REGS_R14]
	mov	r15, [rsi + GUEST_REGS_R15]
	mov	rsi, [rsi + GUEST_REGS_RSI]
%ifidn %2, verw
	CLEAR_CPU_BUFFERS verw_operand
%endif
	%1
	jmp	vmx_enter_failed
%endmacro

; enum vmx_enter_status vmx_enter(const struct entry_plan *plan, struct guest_regs *regs);
; In:       rdi = plan, rsi = guest registers; the vCPU's VMCS is current; IF = 0
; Out:      eax = enum vmx_enter_status; *regs = the guest's registers if it is VMX_ENTER_EXITED
; Clobbers: as a C function; none of those holds a value of the guest
; Stack:    8 words, and 32 more while the RSB is filled
global vmx_enter
vmx_enter:
	push	rbp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	push	rsi
	push	rdi
	mov	[gs:ARCH_PERCPU_ENTER_RSP], rsp
	mov	r8d, [rdi + ENTRY_PLAN_STEPS]

	; Each group of steps that most plans do without is skipped by one test.
	test	r8d, PLAN_MCU_WRITE | PLAN_IBPB
	jz	vmx_enter_window_begin
	; MCU_OPT_CTRL stands before VERW, so that FB_CLEAR_DIS is as planned when VERW runs.
	test	r8d, PLAN_MCU_WRITE
	jz	.mcu_done
	mov	ecx, MSR_IA32_MCU_OPT_CTRL
	mov	eax, [rdi + ENTRY_PLAN_MCU_OPT_CTRL]
	mov	edx, [rdi + ENTRY_PLAN_MCU_OPT_CTRL_HIGH]
	wrmsr
.mcu_done:
	test	r8d, PLAN_IBPB
	jz	vmx_enter_window_begin
	mov	ecx, MSR_IA32_PRED_CMD
	mov	eax, PRED_CMD_IBPB
	xor	edx, edx
	wrmsr

global vmx_enter_window_begin
vmx_enter_window_begin:
	cmp	dword [gs:ARCH_PERCPU_NMI_PENDING], 0
	jne	vmx_enter_restart

	test	r8d, PLAN_L1D_MSR | PLAN_L1D_SOFT | PLAN_SPEC_CTRL_ENTRY | PLAN_IDLE | PLAN_LAUNCH
	jz	vmx_enter_resume
	test	r8d, PLAN_L1D_MSR
	jz	.l1d_msr_done
	mov	ecx, MSR_IA32_FLUSH_CMD
	mov	eax, FLUSH_CMD_L1D_FLUSH
	xor	edx, edx
	wrmsr
.l1d_msr_done:
	test	r8d, PLAN_L1D_SOFT
	jz	.l1d_soft_done
.flush_by_software:
	L1D_FLUSH_SOFT l1d_flush_buffer
.l1d_soft_done:

	; From here to the entry: no ret, no call, no indirect jump. The guest's SPEC_CTRL may be in force.
	test	r8d, PLAN_SPEC_CTRL_ENTRY
	jz	.spec_ctrl_done
	mov	ecx, MSR_IA32_SPEC_CTRL
	mov	eax, [rdi + ENTRY_PLAN_SPEC_CTRL_GUEST]
	mov	edx, [rdi + ENTRY_PLAN_SPEC_CTRL_GUEST_HIGH]
	wrmsr
.spec_ctrl_done:

	; All choices are made before the guest's registers come; each tail is a straight line.
	test	r8d, PLAN_IDLE
	jnz	vmx_enter_idle
	test	r8d, PLAN_LAUNCH
	jnz	vmx_enter_launch
vmx_enter_resume:
	test	r8d, PLAN_VERW
	jnz	vmx_enter_resume_verw
global vmx_enter_resume_plain
vmx_enter_resume_plain:
	ENTER_TAIL vmresume, plain
global vmx_enter_resume_verw
vmx_enter_resume_verw:
	ENTER_TAIL vmresume, verw
vmx_enter_launch:
	test	r8d, PLAN_VERW
	jnz	vmx_enter_launch_verw
global vmx_enter_launch_plain
vmx_enter_launch_plain:
	ENTER_TAIL vmlaunch, plain
global vmx_enter_launch_verw
vmx_enter_launch_verw:
	ENTER_TAIL vmlaunch, verw

	; Sleep is an entry into nothing. An NMI that came before HLT has left already; an interrupt of the local APIC's
	; timer cannot come before HLT, for STI holds it back for one instruction.
vmx_enter_idle:
	test	r8d, PLAN_VERW
	jz	vmx_enter_idle_halt
	CLEAR_CPU_BUFFERS verw_operand
global vmx_enter_idle_halt
vmx_enter_idle_halt:
	sti
	hlt
	jmp	vmx_enter_restart
global vmx_enter_window_end
vmx_enter_window_end:

; The entry failed: CF says VMfailInvalid, else it is VMfailValid. The same tail follows as after an exit.
; In: RFLAGS of VMLAUNCH/VMRESUME, rsp as after the pushes of vmx_enter
global vmx_enter_failed
vmx_enter_failed:
	mov	eax, VMX_ENTER_FAIL_VALID	; MOV leaves the flags alone
	mov	ecx, VMX_ENTER_FAIL_INVALID
	cmovc	eax, ecx
	jmp	vmx_leave

; An NMI came before the entry, or a sleep is over: nothing of the guest ran. The NMI handler comes here too.
; In: rsp as after the pushes of vmx_enter
global vmx_enter_restart
vmx_enter_restart:
	cli					; it may have been a sleep
	mov	eax, VMX_ENTER_NMI
	jmp	vmx_leave

; HOST_RIP of every VMCS. RSP is whatever HOST_RSP says: the right one is fetched first.
; In: the guest's registers; GS base = this pCPU's
global vmx_exit
vmx_exit:
	mov	rsp, [gs:ARCH_PERCPU_ENTER_RSP]
	push	rax
	mov	rax, [rsp + 8 + 8]		; guest registers
	mov	[rax + GUEST_REGS_RCX], rcx
	mov	[rax + GUEST_REGS_RDX], rdx
	mov	[rax + GUEST_REGS_RBX], rbx
	mov	[rax + GUEST_REGS_RBP], rbp
	mov	[rax + GUEST_REGS_RSI], rsi
	mov	[rax + GUEST_REGS_RDI], rdi
	mov	[rax + GUEST_REGS_R8],  r8
	mov	[rax + GUEST_REGS_R9],  r9
	mov	[rax + GUEST_REGS_R10], r10
	mov	[rax + GUEST_REGS_R11], r11
	mov	[rax + GUEST_REGS_R12], r12
	mov	[rax + GUEST_REGS_R13], r13
	mov	[rax + GUEST_REGS_R14], r14
	mov	[rax + GUEST_REGS_R15], r15
	pop	qword [rax + GUEST_REGS_RAX]
	mov	eax, VMX_ENTER_EXITED

; The one way back to C. No ret and no indirect branch before LFENCE; calls only as RSB work.
; In: eax = status, rsp as after the pushes of vmx_enter
global vmx_leave
vmx_leave:
	pop	rdi				; the plan
	pop	rsi				; no register keeps a value of the guest: C's own come back,
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	xor	ecx, ecx			; and the others are zeroed
	xor	edx, edx
	xor	r8d, r8d
	xor	r9d, r9d
	xor	r10d, r10d
	xor	r11d, r11d
	test	dword [rdi + ENTRY_PLAN_STEPS], PLAN_SPEC_CTRL_EXIT | PLAN_MCU_RESTORE | PLAN_RSB_FILL | \
		PLAN_RSB_ONE | PLAN_BHB_CLEAR
	jz	.done
	mov	esi, eax			; the status
	test	dword [rdi + ENTRY_PLAN_STEPS], PLAN_SPEC_CTRL_EXIT
	jz	.spec_ctrl_done
	mov	ecx, MSR_IA32_SPEC_CTRL
	mov	eax, [rdi + ENTRY_PLAN_SPEC_CTRL_HOST]
	mov	edx, [rdi + ENTRY_PLAN_SPEC_CTRL_HOST_HIGH]
	wrmsr
.spec_ctrl_done:
	test	dword [rdi + ENTRY_PLAN_STEPS], PLAN_MCU_RESTORE
	jz	.mcu_restore_done
	mov	ecx, MSR_IA32_MCU_OPT_CTRL
	mov	eax, [rdi + ENTRY_PLAN_MCU_OPT_CTRL_ROOT]
	mov	edx, [rdi + ENTRY_PLAN_MCU_OPT_CTRL_ROOT_HIGH]
	wrmsr
.mcu_restore_done:
	test	dword [rdi + ENTRY_PLAN_STEPS], PLAN_RSB_FILL
	jz	.rsb_fill_done
%assign turn 0
%rep RSB_ENTRIES
	call	.rsb_fill_ %+ turn
	int3					; where a stale return would speculate to
.rsb_fill_ %+ turn:
%assign turn turn + 1
%endrep
	add	rsp, RSB_ENTRIES * 8
.rsb_fill_done:
	test	dword [rdi + ENTRY_PLAN_STEPS], PLAN_RSB_ONE
	jz	.rsb_one_done
	call	.rsb_one_over
	int3
.rsb_one_over:
	add	rsp, 8
.rsb_one_done:
	test	dword [rdi + ENTRY_PLAN_STEPS], PLAN_BHB_CLEAR
	jz	.bhb_done
	mov	ecx, BHB_OUTER_TURNS
.bhb_outer:
	mov	edx, BHB_INNER_TURNS
.bhb_inner:
	jmp	.bhb_next			; two taken branches a turn
	int3
.bhb_next:
	sub	edx, 1
	jnz	.bhb_inner
	sub	ecx, 1
	jnz	.bhb_outer
.bhb_done:
	mov	eax, esi
.done:
	lfence
	ret
