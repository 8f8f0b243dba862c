#include "hv/trace.h"

#include "arch/address.h"
#include "hv/console.h"
#include "hv/exit.h"
#include "hv/pages.h"
#include "hv/percpu.h"
#include "hv/policy/knob.h"
#include "hv/policy/mitigation.h"
#include "hv/policy/text.h"
#include "hv/regime.h"
#include "hv/vm.h"

#define NAMES_BYTES 64

bool trace_ring_init(struct trace_ring *ring, uint64_t rows)
{
	uint64_t capacity = 1;

	while (capacity < rows)
		capacity *= 2;

	const hpa_t pages = pages_take((capacity * sizeof(*ring->rows) + PAGE_BYTES - 1) / PAGE_BYTES, 1);

	if (pages.v == 0)
		return false;
	ring->rows = hpa_ptr(pages);
	ring->capacity = capacity;
	return true;
}

struct trace_row *trace_next(struct trace_ring *ring)
{
	const uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

	/* Pairs with row_copy(): who sees a part of what is written next also sees that the row before it counts. */
	atomic_thread_fence(memory_order_release);
	return &ring->rows[head & (ring->capacity - 1)];
}

void trace_commit(struct trace_ring *ring)
{
	const uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

	atomic_store_explicit(&ring->head, head + 1, memory_order_release);
}

/* ---- reading ---- */

/* Row number index of a ring that is being written. The slot of the row that the owner fills in next is the oldest
 * one's: it does not count. False: there is no such row any more. */
static bool row_copy(struct trace_ring *ring, uint64_t index, struct trace_row *out)
{
	*out = ring->rows[index & (ring->capacity - 1)];
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&ring->head, memory_order_relaxed) - index < ring->capacity;
}

struct cursor {
	uint64_t end, next;   /* rows [next, end) are to be printed */
	struct trace_row row; /* number next - 1 on the way back, number next on the way forward */
	bool has_row;
};

static struct cursor cursors[CPUS_MAX];

static void step_back(struct cursor *c, struct trace_ring *ring)
{
	c->has_row = c->next > 0 && row_copy(ring, c->next - 1, &c->row);
}

/* Past those that were overwritten since; they are counted. */
static void step_forward(struct cursor *c, struct trace_ring *ring, uint64_t *lost)
{
	c->has_row = false;
	while (c->next < c->end && !c->has_row) {
		c->has_row = row_copy(ring, c->next, &c->row);
		if (!c->has_row) {
			c->next++;
			(*lost)++;
		}
	}
}

/* The pCPU whose row is the newest of all; percpu_count if there is none. */
static uint32_t newest(void)
{
	uint32_t best = percpu_count;

	for (uint32_t i = 0; i < percpu_count; i++)
		if (cursors[i].has_row && (best == percpu_count || cursors[i].row.tsc >= cursors[best].row.tsc))
			best = i;
	return best;
}

static uint32_t oldest(void)
{
	uint32_t best = percpu_count;

	for (uint32_t i = 0; i < percpu_count; i++)
		if (cursors[i].has_row && (best == percpu_count || cursors[i].row.tsc < cursors[best].row.tsc))
			best = i;
	return best;
}

/* ---- rows as text ---- */

/* The names of the bits in mask, +-joined. */
static void names_join(char *out, const char *const *names, unsigned count, unsigned mask)
{
	size_t length = 0;

	text_copy(out, NAMES_BYTES, "-", 1);
	for (unsigned bit = 0; bit < count; bit++)
		if (mask & 1u << bit)
			length += text_format(out + length, NAMES_BYTES - length, "%s%s", length != 0 ? "+" : "",
					      names[bit]);
}

static const char *const WHY_NAMES[] = {"always", "switch", "irq", "host", "retry", "owed"};
static const char *const FLAG_NAMES[] = {"broken", "failed", "nmi"};

_Static_assert(WHY_OWED == 1u << 5 && WHY_RETRY == 1u << 4 && WHY_ALWAYS == 1, "WHY_NAMES");
_Static_assert(TRACE_BROKEN == 1 && TRACE_FAILED == 2 && TRACE_NMI == 4, "FLAG_NAMES");

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *after_name(uint16_t after, char *buffer, unsigned size)
{
	return after == TRACE_AFTER_START ? "start" : exit_reason_name(after, buffer, size);
}

static void mcu_text(char *out, size_t size, const struct trace_row *row)
{
	const bool written = row->entry.plan.steps & PLAN_MCU_WRITE || row->flags & TRACE_MCU_CARRIED;
	uint64_t gen;

	if (!regime_now(&gen)->mitigation.mcu_opt_ctrl)
		text_format(out, size, "absent");
	else if (!written)
		text_format(out, size, "keep");
	else
		text_format(out, size, "0x%lx", row->entry.plan.mcu_opt_ctrl);
}

static void entry_print(uint32_t cpu, const struct trace_row *row)
{
	static const char *const MODES[] = {
		[L1D_NEVER] = "never",
		[L1D_COND] = "cond",
		[L1D_ALWAYS] = "always",
		[L1D_NOT_REQUIRED] = "not-required",
	};
	static const char *const L1D[] = {
		[PLAN_L1D_NONE] = "none",
		[PLAN_L1D_DID_MSR] = "msr",
		[PLAN_L1D_DID_SOFT] = "soft",
		[PLAN_L1D_SKIPPED] = "skip",
	};
	const struct entry_plan *plan = &row->entry.plan;
	char after[32], why[NAMES_BYTES], mcu[24], flags[NAMES_BYTES];

	names_join(why, WHY_NAMES, COUNT(WHY_NAMES), plan->why);
	names_join(flags, FLAG_NAMES, COUNT(FLAG_NAMES), row->flags);
	mcu_text(mcu, sizeof(mcu), row);
	console_line(
		"entry n=%lu cpu=%u vcpu=%s.%u tsc=%lu gen=%lu after=%s mode=%s l1d=%s why=%s verw=%u mcu=%s dis=%u "
		"caps=0x%lx flags=%s",
		row->entry.n, cpu, vms[row->entry.vm].cfg.name, row->entry.vcpu, row->tsc, row->gen,
		after_name(row->entry.after, after, sizeof(after)), MODES[plan->mode], L1D[plan->l1d], why,
		(plan->steps & PLAN_VERW) != 0, mcu, plan->fb_clear_dis, row->entry.caps, flags);
}

static void mode_print(uint32_t cpu, const struct trace_row *row)
{
	const enum knob knob = (enum knob)row->mode.knob;

	console_line("mode cpu=%u tsc=%lu gen=%lu knob=%s old=%s new=%s phase=%s", cpu, row->tsc, row->gen,
		     knob_name(knob), knob_value_name(knob, row->mode.old), knob_value_name(knob, row->mode.new),
		     row->mode.done ? "done" : "begin");
}

static void row_print(uint32_t cpu, const struct trace_row *row)
{
	if (row->type == TRACE_MODE)
		mode_print(cpu, row);
	else
		entry_print(cpu, row);
}

void trace_print(uint64_t row_count)
{
	uint64_t lost = 0;

	for (uint32_t i = 0; i < percpu_count; i++) {
		const uint64_t head = atomic_load_explicit(&percpus[i].trace.head, memory_order_acquire);

		cursors[i] = (struct cursor){.end = head, .next = head};
		step_back(&cursors[i], &percpus[i].trace);
	}
	for (uint32_t cpu = newest(); row_count > 0 && cpu < percpu_count; row_count--, cpu = newest()) {
		cursors[cpu].next--;
		step_back(&cursors[cpu], &percpus[cpu].trace);
	}
	for (uint32_t i = 0; i < percpu_count; i++)
		step_forward(&cursors[i], &percpus[i].trace, &lost);
	for (uint32_t cpu = oldest(); cpu < percpu_count; cpu = oldest()) {
		row_print(cpu, &cursors[cpu].row);
		cursors[cpu].next++;
		step_forward(&cursors[cpu], &percpus[cpu].trace, &lost);
	}
	if (lost != 0)
		console_line("trace lost=%lu", lost);
}
