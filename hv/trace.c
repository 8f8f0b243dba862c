#include "hv/trace.h"

#include "arch/address.h"
#include "arch/cpu.h"
#include "hv/pages.h"
#include "hv/percpu.h"
#include "hv/policy/knob.h"
#include "hv/policy/mitigation.h"
#include "hv/regime.h"
#include "hv/vm.h"

#define STATE_EVERY_MAX 256

bool trace_ring_init(struct trace_ring *ring, uint64_t rows)
{
	uint64_t capacity = 4;

	while (capacity < rows)
		capacity *= 2;
	_Static_assert(sizeof(*ring->rows) <= 96, "a row is short");

	const hpa_t pages = pages_take((capacity * sizeof(*ring->rows) + PAGE_BYTES - 1) / PAGE_BYTES, 1);

	if (pages.v == 0)
		return false;
	ring->rows = hpa_ptr(pages);
	ring->capacity = capacity;
	ring->state_every = capacity / 2 < STATE_EVERY_MAX ? capacity / 2 : STATE_EVERY_MAX;
	ring->next = ring->rows;
	ring->due = ring->rows;
	return true;
}

/* At the end of the ring, where a state row is always due, the next row is the first one. */
static struct trace_row *row_at_head(struct trace_ring *ring)
{
	if (trace_state_is_due(ring)) {
		if (ring->next == ring->rows + ring->capacity)
			ring->next = ring->rows;
		ring->due = ring->next + ring->state_every;
	}
	/* Pairs with trace_take(): who sees a part of what is written next also sees that the row before it counts. */
	atomic_thread_fence(memory_order_release);
	return ring->next;
}

static void state_when_due(struct percpu *cpu)
{
	if (trace_state_is_due(&cpu->trace))
		trace_state(cpu);
}

struct trace_row *trace_entry(struct percpu *cpu)
{
	state_when_due(cpu);

	struct trace_ring *ring = &cpu->trace;
	const uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	struct trace_row *row = row_at_head(ring);

	ring->again = (struct trace_again){.first = (uint32_t)head};
	row->entry.n = head - ring->others;
	return row;
}

/* ---- rows other than entries ---- */

/* enum trace_machine: set once at boot. */
static uint8_t machine_facts;

/* Odd between begin and done of a `set`. Written by the console. */
static _Atomic uint32_t changes;

static uint64_t last_tsc(const struct trace_ring *ring)
{
	const uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

	return head == 0 ? 0 : ring->rows[(head - 1) & (ring->capacity - 1)].tsc;
}

/* A time before now on any pCPU's clock, and yet after the row before: waits for that. */
static uint64_t tsc_before(const struct trace_ring *ring)
{
	uint64_t tsc;

	do
		tsc = rdtsc_ordered() - TRACE_SKEW_TSC;
	while (tsc <= last_tsc(ring));
	return tsc;
}

/* A time after now on any pCPU's clock. */
static uint64_t tsc_after(void)
{
	return rdtsc_ordered() + TRACE_SKEW_TSC;
}

uint64_t trace_begin(struct percpu *cpu)
{
	if (cpu->trace.capacity == 0)
		return 0;
	state_when_due(cpu);
	return tsc_before(&cpu->trace);
}

static void promise_row(struct percpu *cpu, enum trace_type type, uint64_t began_tsc, uint64_t gen, const struct vm *vm,
			uint32_t vcpu, uint64_t value, bool told_now)
{
	if (cpu->trace.capacity == 0)
		return;

	*row_at_head(&cpu->trace) = (struct trace_row){.tsc = began_tsc,
						       .gen = gen,
						       .type = (uint8_t)type,
						       .promise = {.told_now = told_now,
								   .vm = (uint16_t)vm->id,
								   .vcpu = (uint16_t)vcpu,
								   .until_tsc = tsc_after(),
								   .value = value}};
	trace_commit_other(&cpu->trace);
}

void trace_capread(struct percpu *cpu, uint64_t began_tsc, uint64_t gen, const struct vm *vm, uint32_t vcpu,
		   uint64_t value, bool told_now)
{
	promise_row(cpu, TRACE_CAPREAD, began_tsc, gen, vm, vcpu, value, told_now);
}

void trace_ack(struct percpu *cpu, uint64_t began_tsc, uint64_t gen, const struct vm *vm, uint64_t value)
{
	promise_row(cpu, TRACE_ACK, began_tsc, gen, vm, 0, value, false);
}

void trace_reset(struct percpu *cpu, uint64_t began_tsc, uint64_t gen, const struct vm *vm, uint64_t value)
{
	promise_row(cpu, TRACE_RESET, began_tsc, gen, vm, 0, value, false);
	trace_state(cpu);
}

static void mode_row(struct percpu *cpu, uint64_t tsc, uint64_t gen, struct trace_row row)
{
	row.tsc = tsc;
	row.gen = gen;
	row.type = TRACE_MODE;
	*row_at_head(&cpu->trace) = row;
	trace_commit_other(&cpu->trace);
}

void trace_knob(struct percpu *cpu, uint64_t gen, enum knob knob, uint8_t old, uint8_t new, bool done, bool force)
{
	const struct trace_row row = {
		.mode = {.knob = (uint8_t)knob, .old = old, .new = new, .done = done, .force = force}};

	if (cpu->trace.capacity == 0)
		return;
	if (!done) {
		atomic_fetch_add_explicit(&changes, 1, memory_order_seq_cst);
		mode_row(cpu, trace_begin(cpu), gen, row);
		return;
	}
	state_when_due(cpu);

	const uint64_t tsc = tsc_after();

	mode_row(cpu, tsc, gen, row);
	while (rdtsc_ordered() <= tsc)
		; /* so that the next row's is later */
	atomic_fetch_add_explicit(&changes, 1, memory_order_seq_cst);
	trace_state(cpu);
}

void trace_init(const struct machine *machine)
{
	const struct knobs defaults = knob_defaults();
	const struct mitigation m = mitigation_select(machine, &defaults);

	machine_facts = (uint8_t)((m.l1d_needed ? TRACE_L1D_NEEDED : 0) | (m.verw ? TRACE_VERW_NEEDED : 0) |
				  (m.mcu_opt_ctrl ? TRACE_MCU_OPT_CTRL : 0) |
				  (m.fb_clear_dis != FB_CLEAR_DIS_OFF ? TRACE_FB_CLEAR_CTRL : 0));
}

static void state_of_vm(struct trace_row *row, const struct vm *vm)
{
	const uint32_t both = CPU_MD_CLEAR | CPU_L1D_FLUSH;
	const promise_t word = promise_word_get(&vm->promise);
	const uint32_t bit = 1u << (vm - vms);

	row->state.told |= promise_told(word) ? bit : 0;
	row->state.broken |= word & PROMISE_BROKEN ? bit : 0;
	row->state.fixed |= word & PROMISE_SEALED ? bit : 0;
	row->state.md_clear |= (vm->model.features & both) == both ? bit : 0;
}

void trace_state(struct percpu *cpu)
{
	struct trace_row row = {.tsc = rdtsc_ordered(), .type = TRACE_STATE};

	if (cpu->trace.capacity == 0)
		return;

	const uint32_t changes_before = atomic_load_explicit(&changes, memory_order_seq_cst);
	const struct regime *regime = regime_now();

	row.state.machine = machine_facts;
	row.state.fb_clear_dis = regime->mitigation.fb_clear_dis;
	for (unsigned knob = 0; knob < KNOB_COUNT; knob++)
		row.state.knob[knob] = regime->knobs.value[knob];
	for (uint32_t v = 0; v < vm_count; v++)
		state_of_vm(&row, &vms[v]);
	for (unsigned i = 0; i < VMS_BUILT_IN; i++)
		state_of_vm(&row, vm_built_in(i));
	row.state.mcu_opt_ctrl = cpu->mcu_opt_ctrl;
	row.gen = regime_gen();
	row.state.until_tsc = tsc_after();
	row.state.settled =
		changes_before % 2 == 0 && atomic_load_explicit(&changes, memory_order_seq_cst) == changes_before;
	*row_at_head(&cpu->trace) = row;
	trace_commit_other(&cpu->trace);
	/* The next entry has a row of its own: none lies further from the one that it repeats than two state rows. */
	percpu_plan_anew(cpu);
}

/* ---- reading ---- */

/* The slot of the row that the owner fills in next is the oldest one's: it does not count. */
bool trace_take(struct trace_ring *ring, uint64_t index, struct trace_row *out)
{
	const struct trace_row row = ring->rows[index & (ring->capacity - 1)];

	*out = row;
	if (row.type == TRACE_AGAIN) {
		const uint32_t distance = (uint32_t)index - row.again.first;

		index -= distance;
		*out = ring->rows[index & (ring->capacity - 1)];
		out->tsc = row.tsc;
		out->flags |= row.flags;
		out->entry.after = row.entry.after;
		out->entry.n += distance - row.again.others;
	}
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&ring->head, memory_order_relaxed) - index < ring->capacity;
}
