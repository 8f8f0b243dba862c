#include "hv/audit_rules.h"

#include <stddef.h>

#include "arch/defs/msr.h"
#include "arch/defs/vmx.h"
#include "hv/policy/mitigation.h"

#define SKIP ((uint64_t)ARCH_CAP(SKIP_L1DFL_VMENTRY))
#define DIS  ((uint64_t)MCU_OPT_CTRL_FB_CLEAR_DIS)

_Static_assert(AUDIT_CPUS_MAX <= AUDIT_RAN_NOWHERE, "a pCPU's number is none of the marks");

const char *audit_rule_name(enum audit_rule rule)
{
	static const char *const NAMES[] = {
		[AUDIT_ROWS] = "rows", [AUDIT_G1] = "G1", [AUDIT_G2] = "G2",
		[AUDIT_G3] = "G3",     [AUDIT_G4] = "G4", [AUDIT_G5] = "G5",
	};

	return NAMES[rule];
}

static void forget_vm(struct audit_vm *vm)
{
	*vm = (struct audit_vm){.told = AUDIT_UNKNOWN, .broken = AUDIT_UNKNOWN};
	for (unsigned i = 0; i < AUDIT_VCPUS_MAX; i++)
		vm->ran_on[i] = AUDIT_RAN_UNKNOWN;
}

void audit_rules_init(struct audit_rules *a)
{
	*a = (struct audit_rules){.epoch = 1};
	for (unsigned v = 0; v < AUDIT_VMS_MAX; v++)
		forget_vm(&a->vms[v]);
}

void audit_rules_lost(struct audit_rules *a)
{
	const struct audit_rules old = {.entry_count = a->entry_count,
					.violation_count = a->violation_count,
					.machine = a->machine,
					.has_machine = a->has_machine,
					.epoch = a->epoch + 1};

	audit_rules_init(a);
	a->entry_count = old.entry_count;
	a->violation_count = old.violation_count;
	a->machine = old.machine;
	a->has_machine = old.has_machine;
	a->epoch = old.epoch;
}

/* The first reason for a rule stands. */
static void blame(struct audit_verdict *out, enum audit_rule rule, const char *why)
{
	if (out->why[rule] == NULL)
		out->why[rule] = why;
}

static bool machine_has(const struct audit_rules *a, enum trace_machine fact)
{
	return a->has_machine && (a->machine & fact);
}

static bool is_in_force(const struct audit_knob *knob, uint64_t gen)
{
	return knob->is_known && gen >= knob->gen;
}

/* interface.md 2 and 5: what the knob comes to. */
static enum l1d_mode mode_of(const struct audit_rules *a, uint8_t request)
{
	const bool needed = a->machine & TRACE_L1D_NEEDED;

	switch ((enum l1d_request)request) {
	case L1D_REQUEST_COND:
		return L1D_COND;
	case L1D_REQUEST_ALWAYS:
		return L1D_ALWAYS;
	case L1D_REQUEST_NEVER:
		return needed ? L1D_NEVER : L1D_NOT_REQUIRED;
	case L1D_REQUEST_AUTO:
		break;
	}
	return needed ? L1D_COND : L1D_NOT_REQUIRED;
}

static bool is_after(const struct audit_cpu *cpu, const struct trace_row *entry, const struct audit_since *since)
{
	return entry->gen >= since->gen || cpu->tsc >= since->until_tsc;
}

/* ---- knobs ---- */

/* interface.md 5: `force` drops the debts that there are under the new mode. */
static void force_done(struct audit_rules *a, const struct trace_row *row)
{
	const bool dropped = a->has_machine && mode_of(a, row->mode.new) == L1D_NEVER;

	for (unsigned v = 0; v < AUDIT_VMS_MAX; v++) {
		struct audit_vm *vm = &a->vms[v];

		if ((a->has_machine && !dropped) || vm->told == AUDIT_NO)
			continue;
		/* A reading may have come after the debts were dropped. */
		vm->broken = vm->owed && vm->told_until < a->force_tsc ? AUDIT_YES : AUDIT_UNKNOWN;
		vm->owed = false;
		vm->told = AUDIT_UNKNOWN;
		vm->ended_until = row->tsc;
		vm->freed_since = (struct audit_since){row->gen, row->tsc};
	}
	a->force_tsc = 0;
}

static void mode_row(struct audit_rules *a, const struct trace_row *row)
{
	struct audit_knob *knob = &a->knobs[row->mode.knob];

	a->epoch++;
	a->is_changing = !row->mode.done;
	if (row->mode.knob == KNOB_VMENTRY_L1D_FLUSH)
		a->shown.is_known = false;
	if (row->mode.knob == KNOB_FB_CLEAR_DIS)
		a->strategy.is_known = false;
	if (!row->mode.done) {
		knob->is_known = false;
		if (row->mode.force)
			a->force_tsc = row->tsc;
		return;
	}
	*knob = (struct audit_knob){.gen = row->gen, .value = row->mode.new, .is_known = true};
	a->done_tsc = row->tsc;
	a->done_gen = row->gen;
	if (row->mode.force)
		force_done(a, row);
}

/* ---- promises ---- */

/* Somebody relies on the bit since some time in [tsc, until]; entries from policy gen on know it. */
static void tell(struct audit_vm *vm, uint64_t tsc, uint64_t until, uint64_t gen)
{
	if (until > vm->told_until)
		vm->told_until = until;
	if (tsc > vm->ended_until) {
		vm->told = AUDIT_YES;
		if (!vm->owed || gen < vm->owed_since.gen)
			vm->owed_since.gen = gen;
		if (!vm->owed || until < vm->owed_since.until_tsc)
			vm->owed_since.until_tsc = until;
		vm->owed = true;
	} else if (vm->told == AUDIT_NO) {
		vm->told = AUDIT_UNKNOWN;
	}
}

static void capread_row(struct audit_rules *a, struct audit_cpu *cpu, const struct trace_row *row,
			struct audit_verdict *out)
{
	struct audit_vm *vm = &a->vms[row->promise.vm];
	const uint64_t value = row->promise.value;

	if (vm->has_caps && (value & ~SKIP) != vm->caps)
		blame(out, AUDIT_G5, "a value that is not the vm's was read");
	if (vm->has_model && vm->is_fixed && vm->has_bit && (value & SKIP) != vm->bit)
		blame(out, AUDIT_G5, "the bit of a fixed value was read otherwise than at the start");
	if (value & SKIP)
		tell(vm, row->tsc, row->promise.until_tsc, row->gen + (row->promise.told_now ? 0 : 1));
	cpu->has_read = !a->is_changing;
	cpu->read_epoch = a->epoch;
	cpu->read_vm = row->promise.vm;
	cpu->read_value = value;
}

/* The reading before this row on the same pCPU is over: if no knob has begun to change by now, none did meanwhile. */
static void settle_reading(struct audit_rules *a, struct audit_cpu *cpu, struct audit_verdict *out)
{
	const struct audit_vm *vm = &a->vms[cpu->read_vm];

	if (!cpu->has_read)
		return;
	cpu->has_read = false;
	if (cpu->read_epoch == a->epoch && a->shown.is_known && vm->has_model && !vm->is_fixed &&
	    ((cpu->read_value & SKIP) != 0) != a->shown.value)
		blame(out, AUDIT_G5, "the bit was read otherwise than the knob says");
}

static void ack_row(struct audit_vm *vm, const struct trace_row *row)
{
	if (row->promise.value & SKIP) {
		/* It ends a breach if the bit has been read again since. */
		if (vm->broken == AUDIT_YES && vm->told != AUDIT_NO)
			vm->broken = AUDIT_UNKNOWN;
		return;
	}
	vm->told = vm->told_until >= row->tsc ? AUDIT_UNKNOWN : AUDIT_NO;
	vm->owed = false;
	vm->broken = AUDIT_NO;
	vm->ended_until = row->promise.until_tsc;
	vm->freed_since = (struct audit_since){row->gen, row->promise.until_tsc};
}

static void reset_row(struct audit_vm *vm, const struct trace_row *row)
{
	*vm = (struct audit_vm){.caps = row->promise.value & ~SKIP,
				.bit = row->promise.value & SKIP,
				.has_caps = true,
				.has_bit = true,
				.ended_until = row->promise.until_tsc};
	for (unsigned i = 0; i < AUDIT_VCPUS_MAX; i++)
		vm->ran_on[i] = AUDIT_RAN_NOWHERE;
}

/* ---- state ---- */

static void state_vm(struct audit_vm *vm, unsigned v, const struct trace_row *row)
{
	const uint32_t bit = 1u << v;
	const struct audit_since since = {row->gen + 1, row->state.until_tsc};

	if (row->tsc <= vm->ended_until)
		return;
	if (!vm->has_model) {
		vm->md_clear = row->state.md_clear & bit;
		vm->is_fixed = row->state.fixed & bit;
		vm->has_model = true;
	}
	if (row->state.told & bit) {
		tell(vm, row->tsc, row->state.until_tsc, row->gen + 1);
	} else if (vm->told == AUDIT_UNKNOWN && vm->told_until < row->tsc) {
		vm->told = AUDIT_NO;
		vm->freed_since = since;
	}
	if (vm->broken == AUDIT_UNKNOWN) {
		vm->broken = row->state.broken & bit ? AUDIT_YES : AUDIT_NO;
		vm->freed_since = since;
	}
}

static void learn(struct audit_knob *knob, uint8_t value, uint64_t gen)
{
	if (!knob->is_known)
		*knob = (struct audit_knob){.gen = gen, .value = value, .is_known = true};
}

static void state_row(struct audit_rules *a, struct audit_cpu *cpu, const struct trace_row *row)
{
	a->machine = row->state.machine;
	a->has_machine = true;
	cpu->mcu = row->state.mcu_opt_ctrl;
	cpu->has_mcu = a->machine & TRACE_MCU_OPT_CTRL;
	if (a->is_changing || !row->state.settled)
		return;
	for (unsigned knob = 0; knob < KNOB_COUNT; knob++)
		learn(&a->knobs[knob], row->state.knob[knob], row->gen);
	learn(&a->strategy, row->state.fb_clear_dis, row->gen);
	learn(&a->shown, mode_of(a, row->state.knob[KNOB_VMENTRY_L1D_FLUSH]) != L1D_NEVER, row->gen);
	for (unsigned v = 0; v < AUDIT_VMS_MAX; v++)
		state_vm(&a->vms[v], v, row);
}

/* ---- entries ---- */

/* Of the reasons for a conditional flush (interface.md 7) those that rows show: a switch, an NMI before this entry, an
 * interrupt that ended the last run, a failure; and a change of mode, which starts flushed. */
static bool has_reason(const struct audit_cpu *cpu, const struct audit_vm *vm, uint32_t this_cpu,
		       const struct trace_row *row)
{
	const uint8_t ran_on = vm->ran_on[row->entry.vcpu];

	if (cpu->has_last && (cpu->last_vm != row->entry.vm || cpu->last_vcpu != row->entry.vcpu))
		return true;
	if (ran_on != AUDIT_RAN_UNKNOWN && ran_on != this_cpu)
		return true;
	if (cpu->has_last && cpu->mode != row->entry.plan.mode)
		return true;
	return (row->flags & TRACE_NMI) || row->entry.after == EXIT_EXTERNAL_INTERRUPT;
}

static bool did_flush(const struct entry_plan *plan)
{
	return plan->l1d == PLAN_L1D_DID_MSR || plan->l1d == PLAN_L1D_DID_SOFT;
}

/* What the row says of the L1D and what the assembly was told are the same. */
static void check_steps(const struct entry_plan *plan, struct audit_verdict *out)
{
	const bool told_to = plan->steps & (PLAN_L1D_MSR | PLAN_L1D_SOFT | PLAN_LIST_L1D);

	if (did_flush(plan) != told_to)
		blame(out, AUDIT_G1,
		      told_to ? "flushed, and the row does not say so" : "the row says flushed, and no step did");
}

/* `why` fits what was done, and the mode. */
static void check_why(const struct entry_plan *plan, struct audit_verdict *out)
{
	if (did_flush(plan) != (plan->why != 0))
		blame(out, AUDIT_G1, plan->why == 0 ? "flushed for no reason" : "a reason, but no flush");
	if (plan->why != 0 && (plan->mode == L1D_ALWAYS) != ((plan->why & WHY_ALWAYS) != 0))
		blame(out, AUDIT_G1, "why=always does not go with the mode");
	if (plan->why != 0 && (plan->mode == L1D_NEVER) != ((plan->why & WHY_OWED) != 0))
		blame(out, AUDIT_G1, "why=owed does not go with the mode");
}

static void check_l1d(const struct audit_rules *a, const struct audit_cpu *cpu, const struct audit_vm *vm,
		      const struct trace_row *row, struct audit_verdict *out)
{
	const struct entry_plan *plan = &row->entry.plan;
	const bool by_mode = plan->mode == L1D_COND || plan->mode == L1D_ALWAYS;
	const bool owed = machine_has(a, TRACE_L1D_NEEDED) && vm->owed && is_after(cpu, row, &vm->owed_since) &&
			  a->force_tsc == 0;
	const bool breach = row->flags & TRACE_BROKEN;

	if (plan->l1d == PLAN_L1D_NONE && owed)
		blame(out, AUDIT_G1, "the vm is owed a flush, and the l1d was left alone");
	if (plan->l1d == PLAN_L1D_NONE && by_mode)
		blame(out, AUDIT_G1, "the mode flushes, and the l1d was left alone");
	if (plan->l1d == PLAN_L1D_SKIPPED && plan->mode == L1D_ALWAYS)
		blame(out, AUDIT_G1, "skipped under always");
	if (plan->l1d == PLAN_L1D_SKIPPED && (owed || by_mode) && cpu->is_due)
		blame(out, AUDIT_G1, "skipped though a reason had come since the last flush");
	check_steps(plan, out);
	check_why(plan, out);
	if (!is_after(cpu, row, &vm->freed_since) || a->force_tsc != 0)
		return;
	if ((plan->why & WHY_OWED) && vm->told == AUDIT_NO && !(row->entry.caps & ARCH_CAP(SKIP_L1DFL_VMENTRY)))
		blame(out, AUDIT_G1, "owed, but nobody was told, nor can be");
	if (breach && vm->broken == AUDIT_NO)
		blame(out, AUDIT_G1, "broken, but no force");
	/* Who has dropped the debts has published a policy after it: the next state row has that. */
	if (!breach && vm->broken == AUDIT_YES && is_in_force(&a->shown, row->gen))
		blame(out, AUDIT_G1, "a broken promise is not marked");
}

/* Of the register as it is from VERW on, and under msrlist until the CPU loads the list. */
static void check_fb_clear(const struct audit_cpu *cpu, const struct audit_vm *vm, const struct trace_row *row,
			   struct audit_verdict *out)
{
	const uint64_t caps = row->entry.caps;
	const bool implied = !(caps & ARCH_CAP(MDS_NO)) && vm->md_clear;
	const bool has_dis = cpu->has_mcu && (cpu->mcu & DIS);

	if (vm->has_model && ((caps & ARCH_CAP(FB_CLEAR)) || implied) && (row->entry.plan.fb_clear_dis || has_dis))
		blame(out, AUDIT_G2, "the vm has fb_clear and runs with FB_CLEAR_DIS");
}

static void check_verw(const struct audit_rules *a, const struct audit_cpu *cpu, const struct trace_row *row,
		       struct audit_verdict *out)
{
	const struct audit_knob *knob = &a->knobs[KNOB_VERW];
	const struct audit_knob *strategy = &a->strategy;
	const bool wanted = is_in_force(knob, row->gen) &&
			    (knob->value == VERW_ON || (knob->value == VERW_AUTO && machine_has(a, TRACE_VERW_NEEDED)));
	const bool did = row->entry.plan.steps & PLAN_VERW;

	if (wanted && !did)
		blame(out, AUDIT_G3, "the host needs verw, and there was none");
	if (did && cpu->has_mcu && (cpu->mcu & DIS))
		blame(out, AUDIT_G3, "FB_CLEAR_DIS was set when verw ran");
	if (did && row->entry.plan.fb_clear_dis && is_in_force(strategy, row->gen) &&
	    strategy->value != FB_CLEAR_DIS_MSRLIST)
		blame(out, AUDIT_G3, "dis=1 with verw, and not by the list");
}

static bool wrote_mcu(const struct trace_row *row)
{
	return (row->entry.plan.steps & PLAN_MCU_WRITE) || (row->flags & TRACE_MCU_CARRIED);
}

/* Against the register as it was before this entry. */
static void check_mcu_write(const struct audit_rules *a, const struct audit_cpu *cpu, const struct trace_row *row,
			    struct audit_verdict *out)
{
	const uint64_t value = row->entry.plan.mcu_opt_ctrl;

	if (!wrote_mcu(row))
		return;
	if (a->has_machine && !(a->machine & TRACE_MCU_OPT_CTRL))
		blame(out, AUDIT_G4, "an msr was written that does not exist");
	if (cpu->has_mcu && (value & ~DIS) != (cpu->mcu & ~DIS))
		blame(out, AUDIT_G4, "a bit other than FB_CLEAR_DIS was changed");
	/* A sequence that an NMI ended may have written too, for another vCPU. */
	if (is_in_force(&a->strategy, row->gen) && a->strategy.value == FB_CLEAR_DIS_CACHED && cpu->has_mcu &&
	    value == cpu->mcu && !(row->flags & TRACE_NMI))
		blame(out, AUDIT_G4, "written though the value had not changed");
}

/* Against the register as it is now: how dis came about under each strategy. */
static void check_strategy(const struct audit_rules *a, const struct audit_cpu *cpu, const struct trace_row *row,
			   struct audit_verdict *out)
{
	const bool dis = row->entry.plan.fb_clear_dis;
	const bool root = cpu->mcu & DIS;

	if (dis && a->has_machine && !(a->machine & TRACE_FB_CLEAR_CTRL))
		blame(out, AUDIT_G4, "dis=1 without fb_clear_ctrl");
	if (!cpu->has_mcu || !is_in_force(&a->strategy, row->gen))
		return;
	switch ((enum fb_clear_dis)a->strategy.value) {
	case FB_CLEAR_DIS_CACHED:
		if (dis != root)
			blame(out, AUDIT_G4, "dis is not what was written last");
		return;
	case FB_CLEAR_DIS_TOGGLE:
		if (dis != root || (dis && !wrote_mcu(row)))
			blame(out, AUDIT_G4, "dis is not what was written before this entry");
		return;
	case FB_CLEAR_DIS_MSRLIST:
		if (root)
			blame(out, AUDIT_G4, "FB_CLEAR_DIS was set in root mode under msrlist");
		return;
	case FB_CLEAR_DIS_OFF:
		if (dis || root)
			blame(out, AUDIT_G4, "FB_CLEAR_DIS was set under off");
		return;
	}
}

static void check_policy(const struct audit_rules *a, const struct audit_cpu *cpu, const struct audit_vm *vm,
			 const struct trace_row *row, struct audit_verdict *out)
{
	const struct audit_knob *knob = &a->knobs[KNOB_VMENTRY_L1D_FLUSH];
	const uint64_t caps = row->entry.caps;

	if (row->tsc > a->done_tsc && row->gen < a->done_gen)
		blame(out, AUDIT_G5, "entered under a policy that had been replaced");
	if (row->gen < cpu->gen)
		blame(out, AUDIT_G5, "entered under an older policy than the entry before");
	if (a->has_machine && is_in_force(knob, row->gen) && row->entry.plan.mode != mode_of(a, knob->value))
		blame(out, AUDIT_G5, "entered in another mode than was set");
	if (vm->has_caps && (caps & ~SKIP) != vm->caps)
		blame(out, AUDIT_G5, "the vm's value is not that of its start");
	if (vm->has_model && vm->is_fixed && vm->has_bit && (caps & SKIP) != vm->bit)
		blame(out, AUDIT_G5, "the bit of a fixed value has moved");
	if (vm->has_model && !vm->is_fixed && is_in_force(&a->shown, row->gen) &&
	    ((caps & SKIP) != 0) != a->shown.value)
		blame(out, AUDIT_G5, "the vm's bit is not what the knob says");
}

static void after_entry(struct audit_rules *a, struct audit_cpu *cpu, struct audit_vm *vm, uint32_t this_cpu,
			const struct trace_row *row)
{
	const struct entry_plan *plan = &row->entry.plan;

	cpu->next_n = row->entry.n + 1;
	cpu->gen = row->gen;
	cpu->last_vm = row->entry.vm;
	cpu->last_vcpu = row->entry.vcpu;
	cpu->mode = plan->mode;
	cpu->has_last = true;
	vm->ran_on[row->entry.vcpu] = (uint8_t)this_cpu;
	/* An entry that failed served nothing, and is a reason itself. */
	if (row->flags & TRACE_FAILED)
		cpu->is_due = true;
	else if (did_flush(plan) && plan->mode != L1D_ALWAYS)
		cpu->is_due = false;
	if (!plan->fb_clear_dis)
		return;
	/* `toggle` has taken it back after the exit. */
	if (!is_in_force(&a->strategy, row->gen))
		cpu->has_mcu = false;
	else if (a->strategy.value == FB_CLEAR_DIS_TOGGLE)
		cpu->mcu &= ~DIS;
}

static void entry_row(struct audit_rules *a, struct audit_cpu *cpu, uint32_t this_cpu, const struct trace_row *row,
		      struct audit_verdict *out)
{
	struct audit_vm *vm = &a->vms[row->entry.vm];

	a->entry_count++;
	if (cpu->has_last && row->entry.n != cpu->next_n)
		blame(out, AUDIT_ROWS, "entries are missing before this one");
	cpu->is_due |= has_reason(cpu, vm, this_cpu, row);
	check_policy(a, cpu, vm, row, out);
	check_l1d(a, cpu, vm, row, out);
	check_mcu_write(a, cpu, row, out);
	if (wrote_mcu(row)) {
		cpu->mcu = row->entry.plan.mcu_opt_ctrl;
		cpu->has_mcu = true;
	}
	check_strategy(a, cpu, row, out);
	check_fb_clear(cpu, vm, row, out);
	check_verw(a, cpu, row, out);
	after_entry(a, cpu, vm, this_cpu, row);
}

/* ---- entries that repeat the one before ---- */

/* An exit in a loop makes rows that differ in nothing that a rule looks at. The second of them changes nothing of what
 * is known any more, so that all that follow it come to the same, if nothing else has happened: the rules are spared.
 * But an entry is judged by what is known to have happened before it, and that may be more with time: not before the
 * last change is over. */
static bool is_like_last(const struct audit_cpu *cpu, const struct trace_row *row)
{
	const struct trace_row *last = &cpu->last;
	const struct entry_plan *a = &row->entry.plan, *b = &last->entry.plan;

	return row->gen == last->gen && row->flags == last->flags && row->entry.vm == last->entry.vm &&
	       row->entry.vcpu == last->entry.vcpu && row->entry.caps == last->entry.caps && a->steps == b->steps &&
	       a->l1d == b->l1d && a->why == b->why && a->mode == b->mode && a->fb_clear_dis == b->fb_clear_dis &&
	       a->mcu_opt_ctrl == b->mcu_opt_ctrl && row->entry.after != EXIT_EXTERNAL_INTERRUPT &&
	       row->entry.n == cpu->next_n && cpu->has_last;
}

/* Before the entry is judged: what its verdict will be worth for the next one. */
static void note_entry(struct audit_rules *a, struct audit_cpu *cpu, const struct trace_row *row)
{
	const bool like = is_like_last(cpu, row) && cpu->last_changes == a->changes;

	if (!like)
		a->changes++;
	cpu->repeats = like && cpu->tsc > a->changed_until;
	cpu->last = *row;
	cpu->last_changes = a->changes;
}

static bool is_repeat(const struct audit_rules *a, const struct audit_cpu *cpu, const struct trace_row *row)
{
	return row->type == TRACE_ENTRY && cpu->repeats && cpu->last_changes == a->changes && is_like_last(cpu, row);
}

static void note_other(struct audit_rules *a, const struct trace_row *row)
{
	const bool is_promise = row->type != TRACE_MODE && row->type != TRACE_STATE;
	const uint64_t until = is_promise                 ? row->promise.until_tsc
			       : row->type == TRACE_STATE ? row->state.until_tsc
							  : row->tsc;

	/* The reading of a 0 tells nobody anything. */
	if (row->type == TRACE_CAPREAD && !(row->promise.value & SKIP))
		return;
	a->changes++;
	if (until > a->changed_until)
		a->changed_until = until;
}

bool audit_rules_feed(struct audit_rules *a, uint32_t cpu_index, const struct trace_row *row, struct audit_verdict *out)
{
	struct audit_cpu *cpu = &a->cpus[cpu_index];
	const uint64_t violations_before = a->violation_count;

	*out = (struct audit_verdict){0};
	settle_reading(a, cpu, out);
	if (out->why[AUDIT_G5] == NULL && is_repeat(a, cpu, row)) {
		a->entry_count++;
		cpu->next_n++;
		cpu->tsc = row->tsc;
		return true;
	}
	if (row->type == TRACE_ENTRY)
		note_entry(a, cpu, row);
	else
		note_other(a, row);
	switch ((enum trace_type)row->type) {
	case TRACE_ENTRY:
		entry_row(a, cpu, cpu_index, row, out);
		break;
	case TRACE_MODE:
		mode_row(a, row);
		break;
	case TRACE_CAPREAD:
		capread_row(a, cpu, row, out);
		break;
	case TRACE_ACK:
		ack_row(&a->vms[row->promise.vm], row);
		break;
	case TRACE_RESET:
		reset_row(&a->vms[row->promise.vm], row);
		break;
	case TRACE_STATE:
		state_row(a, cpu, row);
		break;
	}
	cpu->tsc = row->tsc;
	for (unsigned rule = 0; rule < AUDIT_RULE_COUNT; rule++)
		a->violation_count += out->why[rule] != NULL;
	cpu->repeats &= a->violation_count == violations_before;
	return a->violation_count == violations_before;
}
