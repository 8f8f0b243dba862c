#include "hv/vcpu_run.h"

#include "arch/cpu.h"
#include "arch/defs/msr.h"
#include "arch/vmx.h"
#include "hv/exit.h"
#include "hv/policy/entry_plan.h"
#include "hv/policy/text.h"
#include "hv/regime.h"
#include "hv/vm.h"

/* NMIs that were handled since the last look are reasons to flush. */
static void note_nmis(struct percpu *cpu)
{
	if (cpu->arch.nmi_count != cpu->nmi_handled) {
		cpu->nmi_handled = cpu->arch.nmi_count;
		cpu->flush_requests |= WHY_IRQ;
	}
}

/* Takes up the policy in force. From here on this pCPU makes no entry under an older one: nmi_pending is cleared first,
 * and whoever publishes a policy sends an NMI after it, so either the new policy is seen here or the plan is dropped.
 */
static const struct regime *take_up_regime(struct percpu *cpu, uint64_t *gen)
{
	cpu->arch.nmi_pending = 0;
	note_nmis(cpu);

	const struct regime *regime = regime_now(gen);

	if (regime->mitigation.spec_ctrl && regime->mitigation.spec_ctrl_host != cpu->spec_ctrl) {
		cpu->spec_ctrl = regime->mitigation.spec_ctrl_host;
		wrmsr(MSR_IA32_SPEC_CTRL, cpu->spec_ctrl);
	}
	if (regime->mitigation.l1d_mode != cpu->l1d_mode_seen) {
		cpu->l1d_mode_seen = regime->mitigation.l1d_mode;
		cpu->flush_requests |= WHY_HOST; /* trap 25: `never` to `cond` starts flushed */
	}
	if (atomic_load_explicit(&cpu->seen_gen, memory_order_relaxed) != *gen)
		atomic_store_explicit(&cpu->seen_gen, *gen, memory_order_release);
	return regime;
}

/* Decides the entry and writes its row; the plan lives in the trace. */
static struct trace_row *plan_entry(struct percpu *cpu, struct vcpu *vcpu, uint64_t now_tsc)
{
	struct trace_row *row = trace_next(&cpu->trace);
	struct vm *vm = vcpu->vm;
	const struct regime *regime = take_up_regime(cpu, &row->gen);
	const struct mitigation *m = &regime->mitigation;
	const promise_t promise = atomic_load_explicit(&vm->promise, memory_order_acquire);
	const struct entry_plan_input in = {
		.requests = cpu->flush_requests,
		.owed = promise_owed(promise, m->l1d_needed, mitigation_flushes(m)),
		.launch = !vcpu->launched,
		.other_vm = cpu->last_vm != vm->id + 1,
		.wants_fb_clear_dis = vm->model.wants_fb_clear_dis,
		.mcu_opt_ctrl = cpu->mcu_opt_ctrl,
		.spec_ctrl_guest = vcpu->spec_ctrl,
	};

	entry_plan_make(&row->entry.plan, m, &in);
	row->tsc = now_tsc;
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

/* What was done whether or not the guest ran: it stands before the window. */
static void account_before_window(struct percpu *cpu, struct vcpu *vcpu, const struct entry_plan *plan)
{
	if (plan->steps & PLAN_MCU_WRITE) {
		cpu->mcu_opt_ctrl = plan->mcu_opt_ctrl;
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
	cpu->last_vm = vcpu->vm->id + 1;
	vcpu->launched = true;
	vcpu->after = (uint16_t)(vcpu->exit_reason & EXIT_REASON_BASIC_MASK);
	vcpu->stats.exits++;
	if (vcpu->after < EXIT_REASON_COUNT)
		vcpu->stats.exit[vcpu->after]++;
	vcpu->event.info = 0;
	if (vectoring & INTR_INFO_VALID)
		vcpu->event = (struct vcpu_event){
			.info = vectoring & INTR_INFO_INJECT_MASK,
			.error_code = (uint32_t)vmread(VMCS_IDT_VECTORING_ERROR_CODE),
			.instruction_length = (uint32_t)vmread(VMCS_EXIT_INSTRUCTION_LENGTH),
		};
}

/* The entry failed, in one of the two ways: nothing of the guest ran. The flush request stands again (trap 8), VMLAUNCH
 * has not happened (trap 32). */
static enum exit_action entry_failed(struct percpu *cpu, struct vcpu *vcpu, struct trace_row *row, const char *why,
				     uint64_t detail)
{
	char text[64];

	row->flags |= TRACE_FAILED;
	account_entry(cpu, vcpu, &row->entry.plan);
	cpu->flush_requests |= WHY_RETRY;
	text_format(text, sizeof(text), "vm entry failed: %s=%lu", why, detail);
	vm_crash(vcpu, text);
	return EXIT_LEAVE;
}

static enum exit_action enter(struct percpu *cpu, struct vcpu *vcpu, uint64_t now_tsc)
{
	struct trace_row *row = plan_entry(cpu, vcpu, now_tsc);
	const struct entry_plan *plan = &row->entry.plan;

	if (vcpu->event.info & INTR_INFO_VALID)
		write_event(&vcpu->event);

	const enum vmx_enter_status status = vmx_enter(plan, &vcpu->regs);

	account_before_window(cpu, vcpu, plan);
	if (status == VMX_ENTER_NMI) {
		cpu->abandoned |= TRACE_NMI | (plan->steps & PLAN_MCU_WRITE ? TRACE_MCU_CARRIED : 0);
		return EXIT_LEAVE;
	}
	if (status != VMX_ENTER_EXITED)
		return entry_failed(cpu, vcpu, row, "vm_instruction_error",
				    status == VMX_ENTER_FAIL_VALID ? vmread(VMCS_VM_INSTRUCTION_ERROR) : 0);
	vcpu->exit_reason = (uint32_t)vmread(VMCS_EXIT_REASON);
	if (vcpu->exit_reason & EXIT_REASON_ENTRY_FAILURE)
		return entry_failed(cpu, vcpu, row, "exit_reason", vcpu->exit_reason & EXIT_REASON_BASIC_MASK);
	account_entry(cpu, vcpu, plan);
	account_exit(cpu, vcpu, plan);
	return exit_handle(cpu, vcpu);
}

void vcpu_run(struct percpu *cpu, struct vcpu *vcpu, uint64_t until_tsc)
{
	uint64_t now_tsc = rdtsc();

	if (now_tsc >= until_tsc)
		return;
	/* The timer counts guest time only: the comparison below sees to the rest. */
	vmwrite(VMCS_PREEMPTION_TIMER, ((until_tsc - now_tsc) >> cpu->vmx_config.timer_shift) + 1);
	while (now_tsc < until_tsc && enter(cpu, vcpu, now_tsc) == EXIT_RESUME)
		now_tsc = rdtsc();
	vcpu_snapshot_take(&vcpu->snapshot);
}

void vcpu_run_idle(struct percpu *cpu)
{
	struct entry_plan plan;
	uint64_t gen;
	const struct regime *regime = take_up_regime(cpu, &gen);

	entry_plan_idle(&plan, &regime->mitigation, cpu->mcu_opt_ctrl);
	vmx_enter(&plan, NULL);
	if (plan.steps & PLAN_MCU_WRITE)
		cpu->mcu_opt_ctrl = plan.mcu_opt_ctrl;
}

void vcpu_run_note_idle(struct percpu *cpu)
{
	uint64_t gen;

	take_up_regime(cpu, &gen);
}
