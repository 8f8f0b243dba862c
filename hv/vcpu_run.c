#include "hv/vcpu_run.h"

#include "arch/apic.h"
#include "arch/cpu.h"
#include "arch/defs/msr.h"
#include "arch/vmx.h"
#include "hv/exit.h"
#include "hv/log.h"
#include "hv/msr_lists.h"
#include "hv/panic.h"
#include "hv/policy/entry_plan.h"
#include "hv/policy/text.h"
#include "hv/provoke.h"
#include "hv/regime.h"
#include "hv/vcpu_apic.h"
#include "hv/vm.h"

/* NMIs that were handled since the last look are reasons to flush. */
static void note_nmis(struct percpu *cpu)
{
	if (cpu->arch.nmi_count != cpu->nmi_handled) {
		cpu->nmi_handled = cpu->arch.nmi_count;
		cpu->flush_requests |= WHY_IRQ;
	}
}

/* Takes up the policy in force. From here on this pCPU makes no entry under an older one: nmi_pending was cleared
 * before, and whoever publishes a policy sends an NMI after it, so either the new policy is seen here or the plan is
 * dropped.
 */
static const struct regime *take_up_regime(struct percpu *cpu, uint64_t *gen)
{
	note_nmis(cpu);

	const struct regime *regime = regime_enter(cpu, gen);

	if (regime->mitigation.spec_ctrl && regime->mitigation.spec_ctrl_host != cpu->spec_ctrl) {
		cpu->spec_ctrl = regime->mitigation.spec_ctrl_host;
		wrmsr(MSR_IA32_SPEC_CTRL, cpu->spec_ctrl);
	}
	if (regime->mitigation.l1d_mode != cpu->l1d_mode_seen) {
		cpu->l1d_mode_seen = regime->mitigation.l1d_mode;
		cpu->flush_requests |= WHY_HOST; /* trap 25: `never` to `cond` starts flushed */
	}
	return regime;
}

/* Decides the entry and writes its row; the plan lives in the trace. */
static struct trace_row *plan_entry(struct percpu *cpu, struct vcpu *vcpu)
{
	struct trace_row *row = trace_next(&cpu->trace);
	struct vm *vm = vcpu->vm;
	const struct regime *regime = take_up_regime(cpu, &row->gen);
	const struct mitigation *m = &regime->mitigation;
	const promise_t promise = promise_word_get(&vm->promise);
	const bool reads_mcu = entry_plan_reads_mcu(m, vm->model.wants_fb_clear_dis);

	if (reads_mcu) {
		cpu->mcu_opt_ctrl = rdmsr(MSR_IA32_MCU_OPT_CTRL);
		vcpu->stats.mcu_opt_ctrl_reads++;
	}

	const struct entry_plan_input in = {
		.requests = cpu->flush_requests,
		.owed = promise_owed(promise, m->l1d_needed, mitigation_flushes(m)),
		.launch = !vcpu->launched,
		.other_vm = cpu->last_vm != vm->incarnation,
		.wants_fb_clear_dis = vm->model.wants_fb_clear_dis,
		.mcu_opt_ctrl = cpu->mcu_opt_ctrl,
		.spec_ctrl_guest = vcpu->spec_ctrl,
	};

	entry_plan_make(&row->entry.plan, m, &in);
	row->tsc = rdtsc(); /* after the plan: hv/trace.h, "Time" */
	row->type = TRACE_ENTRY;
	row->flags = (promise & PROMISE_BROKEN ? TRACE_BROKEN : 0) | cpu->abandoned;
	row->entry.after = vcpu->after;
	row->entry.vm = (uint16_t)vm->id;
	row->entry.vcpu = (uint16_t)vcpu->index;
	row->entry.n = cpu->entry_count;
	row->entry.caps = vm->model.arch_capabilities | (promise & PROMISE_SKIP ? ARCH_CAP(SKIP_L1DFL_VMENTRY) : 0);
	return row;
}

static void write_event(const struct vcpu_event *event)
{
	vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, event->info);
	if (event->info & INTR_INFO_ERROR_CODE)
		vmwrite(VMCS_ENTRY_EXCEPTION_ERROR_CODE, event->error_code);
	if (event->instruction_length != 0)
		vmwrite(VMCS_ENTRY_INSTRUCTION_LENGTH, event->instruction_length);
}

/* What was done whether or not the guest ran: it stands before the window, or on the one way back. */
static void account_register_writes(struct percpu *cpu, struct vcpu *vcpu, const struct entry_plan *plan)
{
	if (plan->steps & PLAN_MCU_WRITE) {
		cpu->mcu_opt_ctrl = plan->mcu_opt_ctrl;
		vcpu->stats.mcu_opt_ctrl_writes++;
	}
	if (plan->steps & PLAN_MCU_RESTORE) {
		cpu->mcu_opt_ctrl = plan->mcu_opt_ctrl_root;
		vcpu->stats.mcu_opt_ctrl_writes++;
	}
	if (plan->steps & PLAN_IBPB)
		vcpu->stats.ibpb++;
}

static void account_entry(struct percpu *cpu, struct vcpu *vcpu, const struct entry_plan *plan)
{
	struct vcpu_stats *stats = &vcpu->stats;

	cpu->abandoned = 0;
	cpu->entry_count++;
	trace_commit(&cpu->trace);
	stats->entries++;
	stats->l1d_flush_msr += plan->l1d == PLAN_L1D_DID_MSR;
	stats->l1d_flush_soft += plan->l1d == PLAN_L1D_DID_SOFT;
	stats->l1d_flush_skipped += plan->l1d == PLAN_L1D_SKIPPED;
	stats->verw += (plan->steps & PLAN_VERW) != 0;
}

/* The guest ran. An event that was on its way when it exited comes again with the next entry (trap 34). */
static void account_exit(struct percpu *cpu, struct vcpu *vcpu, const struct entry_plan *plan)
{
	const uint32_t vectoring = (uint32_t)vmread(VMCS_IDT_VECTORING_INFO);

	cpu->flush_requests = entry_plan_requests_left(plan, cpu->flush_requests);
	cpu->last_vm = vcpu->vm->incarnation;
	vcpu->launched = true;
	vcpu->after = (uint16_t)(vcpu->exit_reason & EXIT_REASON_BASIC_MASK);
	vcpu->stats.exits++;
	if (vcpu->after < EXIT_REASON_COUNT)
		vcpu->stats.exit[vcpu->after]++;
	vcpu->event.info = 0;
	if ((vectoring & INTR_INFO_VALID) && (vectoring & INTR_INFO_TYPE_MASK) == INTR_INFO_TYPE_NMI)
		vmwrite(VMCS_GUEST_INTERRUPTIBILITY,
			vmread(VMCS_GUEST_INTERRUPTIBILITY) & ~(uint64_t)INTERRUPTIBILITY_NMI);
	if (vectoring & INTR_INFO_VALID)
		vcpu->event = (struct vcpu_event){
			.info = vectoring & INTR_INFO_INJECT_MASK,
			.error_code = (uint32_t)vmread(VMCS_IDT_VECTORING_ERROR_CODE),
			.instruction_length = (uint32_t)vmread(VMCS_EXIT_INSTRUCTION_LENGTH),
		};
}

/* The entry failed, in one of the two ways: nothing of the guest ran. The flush request stands again (trap 8), VMLAUNCH
 * has not happened (trap 32). */
static enum exit_action entry_failed(struct percpu *cpu, struct vcpu *vcpu, struct trace_row *row,
				     enum provoked provoked, const char *why, uint64_t detail)
{
	char text[64];

	/* The lists may have been worked off in part. */
	if (row->entry.plan.steps & PLAN_LIST_MCU) {
		wrmsr(MSR_IA32_MCU_OPT_CTRL, row->entry.plan.mcu_opt_ctrl_root);
		vcpu->stats.mcu_opt_ctrl_writes++;
	}
	row->flags |= TRACE_FAILED;
	account_entry(cpu, vcpu, &row->entry.plan);
	cpu->flush_requests |= WHY_RETRY;
	text_format(text, sizeof(text), "vm entry failed: %s=%lu", why, detail);
	if (provoked != PROVOKE_NONE) {
		provoke_mend(provoked);
		log_line(LOG_NOTICE, "%s.%u: %s: provoked", vcpu->vm->cfg.name, vcpu->index, text);
		return EXIT_RESUME;
	}
	vm_crash(vcpu, text);
	return EXIT_LEAVE;
}

/* Until now_tsc this pCPU was in root mode, for the vCPU or, NULL, for none. */
static void account_root(struct percpu *cpu, struct vcpu *vcpu, uint64_t now_tsc)
{
	const uint64_t ticks = now_tsc - cpu->account_tsc;

	cpu->root_ticks += ticks;
	if (vcpu != NULL)
		vcpu->stats.root_ticks += ticks;
	cpu->account_tsc = now_tsc;
}

static enum exit_action enter(struct percpu *cpu, struct vcpu *vcpu)
{
	/* Before the plan: an event that comes later sends an NMI, and the plan is dropped. */
	cpu->arch.nmi_pending = 0;
	if ((atomic_load_explicit(&vcpu->attention, memory_order_acquire) & ATTENTION_EVENT) &&
	    vcpu_apic_deliver(cpu, vcpu) == EXIT_LEAVE)
		return EXIT_LEAVE;

	struct trace_row *row = plan_entry(cpu, vcpu);
	const struct entry_plan *plan = &row->entry.plan;
	enum provoked provoked = PROVOKE_NONE;

	account_root(cpu, vcpu, row->tsc);
	if (vcpu->tsc_offset != vm_tsc_offset(vcpu->vm)) {
		vcpu->tsc_offset = vm_tsc_offset(vcpu->vm);
		vmwrite(VMCS_TSC_OFFSET, vcpu->tsc_offset);
	}
	if (vcpu->event.info & INTR_INFO_VALID)
		write_event(&vcpu->event);
	msr_lists_prepare(cpu, vcpu, plan);
	if (atomic_load_explicit(&vcpu->attention, memory_order_relaxed) & ATTENTION_PROVOKED)
		provoked = provoke_spoil(vcpu, &row->entry.plan);

	const enum vmx_enter_status status = vmx_enter(plan, &vcpu->regs);
	const uint64_t exit_tsc = rdtsc();

	cpu->guest_ticks += exit_tsc - cpu->account_tsc;
	vcpu->stats.guest_ticks += exit_tsc - cpu->account_tsc;
	cpu->account_tsc = exit_tsc;
	account_register_writes(cpu, vcpu, plan);
	if (status == VMX_ENTER_NMI) {
		if (provoked != PROVOKE_NONE) {
			provoke_mend(provoked);
			provoke_entry_failure(vcpu, provoked);
		}
		cpu->abandoned |= TRACE_NMI | (plan->steps & PLAN_MCU_WRITE ? TRACE_MCU_CARRIED : 0);
		return EXIT_LEAVE;
	}
	if (status != VMX_ENTER_EXITED)
		return entry_failed(cpu, vcpu, row, provoked, "vm_instruction_error",
				    status == VMX_ENTER_FAIL_VALID ? vmread(VMCS_VM_INSTRUCTION_ERROR) : 0);
	vcpu->exit_reason = (uint32_t)vmread(VMCS_EXIT_REASON);
	if ((vcpu->exit_reason & EXIT_REASON_BASIC_MASK) == EXIT_MACHINE_CHECK_ON_ENTRY)
		panic("machine check during a vm entry");
	if (vcpu->exit_reason & EXIT_REASON_ENTRY_FAILURE)
		return entry_failed(cpu, vcpu, row, provoked, "exit_reason",
				    vcpu->exit_reason & EXIT_REASON_BASIC_MASK);
	account_entry(cpu, vcpu, plan);
	account_exit(cpu, vcpu, plan);
	return exit_handle(cpu, vcpu);
}

/* The timer counts guest time only, and what is left of it is saved at each exit: it is written when its end is
 * another, and when it has come. */
static void arm_preemption_timer(struct percpu *cpu, uint64_t now_tsc, uint64_t end_tsc)
{
	const uint64_t counts = ((end_tsc - now_tsc) >> cpu->vmx_config.timer_shift) + 1;

	cpu->timer_armed_tsc = end_tsc;
	vmwrite(VMCS_PREEMPTION_TIMER, counts < UINT32_MAX ? counts : UINT32_MAX);
}

void vcpu_run(struct percpu *cpu, struct vcpu *vcpu, uint64_t until_tsc)
{
	enum exit_action action = EXIT_RESUME;

	cpu->timer_armed_tsc = 0;
	for (uint64_t now_tsc = rdtsc(); action == EXIT_RESUME && now_tsc < until_tsc; now_tsc = cpu->account_tsc) {
		const uint64_t timer_tsc = atomic_load_explicit(&vcpu->timer_tsc, memory_order_acquire);
		const uint64_t end_tsc = timer_tsc < until_tsc && timer_tsc > now_tsc ? timer_tsc : until_tsc;

		if (timer_tsc <= now_tsc)
			vcpu_apic_timer_due(vcpu);
		if (end_tsc != cpu->timer_armed_tsc)
			arm_preemption_timer(cpu, now_tsc, end_tsc);
		action = enter(cpu, vcpu);
	}
	vcpu_snapshot_take(&vcpu->snapshot);
	account_root(cpu, vcpu, rdtsc());
}

void vcpu_run_account_root(struct percpu *cpu)
{
	account_root(cpu, NULL, rdtsc());
}

void vcpu_run_idle(struct percpu *cpu, uint64_t until_tsc)
{
	struct entry_plan plan;
	uint64_t gen;
	const struct regime *regime = take_up_regime(cpu, &gen);

	entry_plan_idle(&plan, &regime->mitigation, cpu->mcu_opt_ctrl);
	if (plan.steps & PLAN_MCU_WRITE) {
		/* A write outside an entry: the state row tells of it, and tells it before the pCPU is outside. */
		cpu->mcu_opt_ctrl = plan.mcu_opt_ctrl_root;
		trace_state(cpu);
	}
	handshake_leave(&cpu->handshake);

	account_root(cpu, NULL, rdtsc());
	if (until_tsc != VCPU_TIMER_NEVER)
		apic_timer_arm(until_tsc);
	vmx_enter(&plan, NULL);
	if (apic_timer_disarm())
		cpu->flush_requests |= WHY_IRQ;

	const uint64_t woke_tsc = rdtsc();

	cpu->idle_ticks += woke_tsc - cpu->account_tsc;
	cpu->account_tsc = woke_tsc;
}
