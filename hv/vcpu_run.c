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
#include "hv/vcpu_blank.h"
#include "hv/vm.h"

/* NMIs that were handled since the last look are reasons to flush. */
static void note_nmis(struct percpu *cpu)
{
	if (cpu->arch.nmi_count != cpu->nmi_handled) {
		cpu->nmi_handled = cpu->arch.nmi_count;
		percpu_request_flush(cpu, WHY_IRQ);
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
		percpu_request_flush(cpu, WHY_HOST); /* trap 25: `never` to `cond` starts flushed */
	}
	return regime;
}

/* Makes the plan of this entry, which stays for those that follow as long as it stands. */
static void make_plan(struct percpu *cpu, struct vcpu *vcpu)
{
	struct standing_plan *standing = &cpu->standing;
	struct vm *vm = vcpu->vm;
	uint64_t gen;
	const struct regime *regime = take_up_regime(cpu, &gen);
	const struct mitigation *m = &regime->mitigation;

	standing->promise = promise_word_get(&vm->promise);
	if (entry_plan_reads_mcu(m, vm->model.wants_fb_clear_dis)) {
		cpu->mcu_opt_ctrl = rdmsr(MSR_IA32_MCU_OPT_CTRL);
		vcpu->stats.mcu_opt_ctrl_reads++;
	}

	const struct entry_plan_input in = {
		.requests = cpu->flush_requests,
		.owed = promise_owed(standing->promise, m->l1d_needed, mitigation_flushes(m)),
		.launch = !vcpu->launched,
		.other_vm = cpu->last_vm != vm->incarnation,
		.wants_fb_clear_dis = vm->model.wants_fb_clear_dis,
		.mcu_opt_ctrl = cpu->mcu_opt_ctrl,
		.spec_ctrl_guest = vcpu->spec_ctrl,
	};

	entry_plan_make(&standing->plan, m, &in);
	standing->gen = gen;
	standing->stands_gen = gen;
	standing->kind = standing->plan.l1d | (standing->plan.steps & PLAN_VERW ? ENTRY_VERW : 0);
	standing->provoked = PROVOKE_NONE;
	/* Whose entry it was is noted once, also where no IBPB is due now: the knob may change. */
	standing->again = entry_plan_stands(&standing->plan) && !in.other_vm && cpu->abandoned == 0 &&
			  vcpu->event.info == 0 && vcpu->blank.count == 0;
	standing->toggles = standing->again && (standing->plan.steps & PLAN_MCU_RESTORE);
	if (standing->toggles) {
		standing->stands_gen = 0;
		standing->again = false;
	}
}

/* The row of a plan that was just made. */
static void write_row(struct percpu *cpu, const struct vcpu *vcpu, struct trace_row *row)
{
	const struct standing_plan *standing = &cpu->standing;
	const promise_t promise = standing->promise;

	row->tsc = rdtsc(); /* after the plan: hv/trace.h, "Time" */
	row->gen = standing->gen;
	row->type = TRACE_ENTRY;
	row->flags = (promise & PROMISE_BROKEN ? TRACE_BROKEN : 0) | cpu->abandoned;
	row->entry.after = (uint16_t)vcpu->exit_reason;
	row->entry.vm = (uint16_t)vcpu->vm->id;
	row->entry.vcpu = (uint16_t)vcpu->index;
	row->entry.caps =
		vcpu->vm->model.arch_capabilities | (promise & PROMISE_SKIP ? ARCH_CAP(SKIP_L1DFL_VMENTRY) : 0);
	row->entry.plan = standing->plan;
}

static void write_event(const struct vcpu_event *event)
{
	vmwrite(VMCS_ENTRY_INTERRUPTION_INFO, event->info);
	if (event->info & INTR_INFO_ERROR_CODE)
		vmwrite(VMCS_ENTRY_EXCEPTION_ERROR_CODE, event->error_code);
	if (event->instruction_length != 0)
		vmwrite(VMCS_ENTRY_INSTRUCTION_LENGTH, event->instruction_length);
}

/* Nothing has come, and all that the plan was made from is as it was: a plan made now would be the same. (What this
 * pCPU changes itself drops the plan.) An NMI that has come is found inside the window. */
static inline bool is_as_before(const struct percpu *cpu, const struct vcpu *vcpu, uint64_t gen)
{
	return (atomic_load_explicit(&vcpu->attention, memory_order_acquire) | vcpu->event.info) == 0 &&
	       regime_gen() == gen && promise_word_get(&vcpu->vm->promise) == cpu->standing.promise &&
	       !trace_state_is_due(&cpu->trace);
}

static inline void write_row_again(struct percpu *cpu, const struct vcpu *vcpu)
{
	const uint64_t tsc = rdtsc();

	trace_entry_again(&cpu->trace, tsc, (uint16_t)vcpu->exit_reason);
	cpu->run_guest_ticks -= tsc;
}

/* Under `toggle` IA32_MCU_OPT_CTRL is read before each entry. */
__attribute__((noinline)) static bool toggles_as_before(struct percpu *cpu, struct vcpu *vcpu)
{
	if (!cpu->standing.toggles || !is_as_before(cpu, vcpu, cpu->standing.gen))
		return false;
	vcpu->stats.mcu_opt_ctrl_reads++;
	if (rdmsr(MSR_IA32_MCU_OPT_CTRL) != cpu->standing.plan.mcu_opt_ctrl_root)
		return false;
	write_row_again(cpu, vcpu);
	return true;
}

/* The timer counts guest time only, and what is left of it is saved at each exit: it is written when its end is
 * another, and when it has come. */
static void arm_preemption_timer(struct percpu *cpu, uint64_t now_tsc, uint64_t end_tsc)
{
	const uint64_t left = end_tsc > now_tsc ? end_tsc - now_tsc : 0;
	const uint64_t counts = (left >> cpu->vmx_config.timer_shift) + 1;

	cpu->timer_armed_tsc = end_tsc;
	vmwrite(VMCS_PREEMPTION_TIMER, counts < UINT32_MAX ? counts : UINT32_MAX);
}

/* When the guest is to leave: at the end of its run, or when a timer of it is due before. */
static void look_at_timers(struct percpu *cpu, const struct vcpu *vcpu, uint64_t now_tsc)
{
	const uint64_t timer_tsc = atomic_load_explicit(&vcpu->timer_tsc, memory_order_acquire);
	const uint64_t end_tsc = timer_tsc < cpu->run_until_tsc ? timer_tsc : cpu->run_until_tsc;

	if (end_tsc != cpu->timer_armed_tsc)
		arm_preemption_timer(cpu, now_tsc, end_tsc);
}

/* The preemption timer has come, or there is none yet. False: the run is over. */
__attribute__((noinline)) static bool look_at_time(struct percpu *cpu, struct vcpu *vcpu, uint64_t now_tsc)
{
	if (now_tsc >= cpu->run_until_tsc)
		return false;
	if (atomic_load_explicit(&vcpu->timer_tsc, memory_order_acquire) <= now_tsc)
		vcpu_apic_timer_due(vcpu);
	look_at_timers(cpu, vcpu, now_tsc);
	return true;
}

/* Everything that an entry may want. False: the vCPU waits. */
__attribute__((noinline)) static bool prepare(struct percpu *cpu, struct vcpu *vcpu)
{
	/* Before the plan: an event that comes later sends an NMI, and the plan is dropped. */
	cpu->arch.nmi_pending = 0;
	if ((atomic_load_explicit(&vcpu->attention, memory_order_acquire) & ATTENTION_EVENT) &&
	    vcpu_apic_deliver(cpu, vcpu) == EXIT_LEAVE)
		return false;
	/* After it: timers have fired, and others who move one from here on send an NMI. */
	look_at_timers(cpu, vcpu, rdtsc());
	if (vcpu->blank.count != 0)
		vcpu_blank_begin(cpu, vcpu);

	/* A state row may be written first: only while this pCPU is inside, or the audit would not wait for it. */
	uint64_t gen;

	take_up_regime(cpu, &gen);

	struct trace_row *row = trace_entry(cpu);

	make_plan(cpu, vcpu);
	/* Whoever moves the VM's time sends an NMI to its other vCPUs. */
	if (vcpu->tsc_offset != vm_tsc_offset(vcpu->vm)) {
		vcpu->tsc_offset = vm_tsc_offset(vcpu->vm);
		vmwrite(VMCS_TSC_OFFSET, vcpu->tsc_offset);
	}
	if (vcpu->event.info & INTR_INFO_VALID)
		write_event(&vcpu->event);
	msr_lists_prepare(cpu, vcpu, &cpu->standing.plan);
	if (atomic_load_explicit(&vcpu->attention, memory_order_relaxed) & ATTENTION_PROVOKED) {
		cpu->standing.provoked = provoke_spoil(vcpu, &cpu->standing.plan);
		cpu->standing.again = false;
		cpu->standing.toggles = false;
	}
	write_row(cpu, vcpu, row);
	cpu->run_guest_ticks -= row->tsc;
	return true;
}

/* Another entry than the last one. Out of line, as all that is rare, for the sake of the rest. */
__attribute__((noinline, cold)) static bool prepare_other(struct percpu *cpu, struct vcpu *vcpu)
{
	return toggles_as_before(cpu, vcpu) || prepare(cpu, vcpu);
}

static inline void account_entry(struct percpu *cpu, struct vcpu *vcpu, uint64_t now_tsc)
{
	cpu->run_guest_ticks += now_tsc;
	trace_commit(&cpu->trace);
	vcpu->stats.entered[cpu->standing.kind]++;
}

/* What was done whether or not the guest ran: it stands before the window, or on the one way back. */
static void account_register_writes(struct percpu *cpu, struct vcpu *vcpu)
{
	const struct entry_plan *plan = &cpu->standing.plan;

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

/* What an entry does once: the guest ran, but another one like it wants a new plan. */
__attribute__((noinline, cold)) static void account_once(struct percpu *cpu, struct vcpu *vcpu)
{
	account_register_writes(cpu, vcpu);
	if (cpu->standing.toggles)
		return;
	if (vcpu->blank.count != 0)
		vcpu_blank_end(cpu, vcpu, vcpu->exit_reason != EXIT_EPT_VIOLATION);
	cpu->abandoned = 0;
	cpu->flush_requests = entry_plan_requests_left(&cpu->standing.plan, cpu->flush_requests);
	cpu->last_vm = vcpu->vm->incarnation;
	vcpu->launched = true;
	vcpu->event.info = 0;
	percpu_plan_anew(cpu);
}

/* The guest did not run. The entry failed in one of the two ways: the flush request stands again (trap 8), VMLAUNCH has
 * not happened (trap 32). */
static enum exit_action entry_failed(struct percpu *cpu, struct vcpu *vcpu, const char *why, uint64_t detail)
{
	const struct entry_plan *plan = &cpu->standing.plan;
	const enum provoked provoked = cpu->standing.provoked;
	char text[64];

	/* The lists may have been worked off in part. */
	if (plan->steps & PLAN_LIST_MCU) {
		wrmsr(MSR_IA32_MCU_OPT_CTRL, plan->mcu_opt_ctrl_root);
		vcpu->stats.mcu_opt_ctrl_writes++;
	}
	cpu->trace.next->flags |= TRACE_FAILED;
	account_entry(cpu, vcpu, rdtsc());
	cpu->abandoned = 0;
	percpu_request_flush(cpu, WHY_RETRY);
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

__attribute__((noinline, cold)) static enum exit_action not_entered(struct percpu *cpu, struct vcpu *vcpu,
								    enum vmx_enter_status status)
{
	const enum provoked provoked = cpu->standing.provoked;

	percpu_plan_anew(cpu);
	account_register_writes(cpu, vcpu);
	if (vcpu->blank.count != 0)
		vcpu_blank_end(cpu, vcpu, false);
	if (status == VMX_ENTER_NMI) {
		cpu->run_guest_ticks += cpu->trace.next->tsc;
		if (provoked != PROVOKE_NONE) {
			provoke_mend(provoked);
			provoke_entry_failure(vcpu, provoked);
		}
		cpu->abandoned |= TRACE_NMI | (cpu->standing.plan.steps & PLAN_MCU_WRITE ? TRACE_MCU_CARRIED : 0);
		return EXIT_LEAVE;
	}
	if (status != VMX_ENTER_EXITED)
		return entry_failed(cpu, vcpu, "vm_instruction_error",
				    status == VMX_ENTER_FAIL_VALID ? vmread(VMCS_VM_INSTRUCTION_ERROR) : 0);

	const uint32_t reason = (uint32_t)vmread(VMCS_EXIT_REASON) & EXIT_REASON_BASIC_MASK;

	if (reason == EXIT_MACHINE_CHECK_ON_ENTRY)
		panic("machine check during a vm entry");
	return entry_failed(cpu, vcpu, "exit_reason", reason);
}

/* One entry and the exit after it. *now_tsc: a time after the entry. */
static enum exit_action enter(struct percpu *cpu, struct vcpu *vcpu, uint64_t *now_tsc)
{
	if (!is_as_before(cpu, vcpu, cpu->standing.stands_gen)) {
		if (!prepare_other(cpu, vcpu))
			return EXIT_LEAVE;
	} else {
		write_row_again(cpu, vcpu);
	}

	const enum vmx_enter_status status = vmx_enter(&cpu->standing.plan, &vcpu->regs);

	if (status != VMX_ENTER_EXITED)
		return not_entered(cpu, vcpu, status);
	*now_tsc = rdtsc();

	const uint64_t reason = vmread(VMCS_EXIT_REASON);

	if (reason < EXIT_REASON_COUNT)
		vcpu->stats.exit[reason]++;
	else if (reason & EXIT_REASON_ENTRY_FAILURE)
		return not_entered(cpu, vcpu, status);
	else
		vcpu->stats.exit_unknown++;
	vcpu->exit_reason = (uint32_t)reason;
	account_entry(cpu, vcpu, *now_tsc);
	if (!cpu->standing.again)
		account_once(cpu, vcpu);
	return exit_handle(cpu, vcpu, reason);
}

/* The time since account_tsc: what the guest did not have was spent in root mode. */
static void account_run(struct percpu *cpu, struct vcpu *vcpu)
{
	const uint64_t guest_ticks = cpu->run_guest_ticks;

	cpu->guest_ticks += guest_ticks;
	vcpu->stats.guest_ticks += guest_ticks;
	cpu->account_tsc += guest_ticks;
	account_root(cpu, vcpu, rdtsc());
}

void vcpu_run(struct percpu *cpu, struct vcpu *vcpu, uint64_t until_tsc)
{
	uint64_t now_tsc = rdtsc();

	/* The scheduler has cleared nmi_pending. */
	if (cpu->arch.nmi_count != cpu->nmi_handled)
		percpu_plan_anew(cpu);
	cpu->run_until_tsc = until_tsc;
	cpu->run_guest_ticks = 0;
	cpu->timer_armed_tsc = 0;
	if (look_at_time(cpu, vcpu, now_tsc))
		while (enter(cpu, vcpu, &now_tsc) == EXIT_RESUME &&
		       (now_tsc < cpu->timer_armed_tsc || look_at_time(cpu, vcpu, now_tsc)))
			;
	vcpu_snapshot_take(&vcpu->snapshot);
	account_run(cpu, vcpu);
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
	/* Whatever this pCPU enters next, it must come in first. */
	percpu_plan_anew(cpu);
	handshake_leave(&cpu->handshake);
	account_root(cpu, NULL, rdtsc());
	if (until_tsc != VCPU_TIMER_NEVER)
		apic_timer_arm(until_tsc);
	vmx_enter(&plan, NULL);
	if (apic_timer_disarm())
		percpu_request_flush(cpu, WHY_IRQ);

	const uint64_t woke_tsc = rdtsc();

	cpu->idle_ticks += woke_tsc - cpu->account_tsc;
	cpu->account_tsc = woke_tsc;
}
