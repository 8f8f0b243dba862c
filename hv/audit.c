#include "hv/audit.h"

#include "arch/cpu.h"
#include "arch/tsc.h"
#include "hv/audit_rules.h"
#include "hv/console.h"
#include "hv/percpu.h"
#include "hv/policy/text.h"
#include "hv/prompt.h"
#include "hv/sched.h"
#include "hv/vm.h"

#define SHOWN_MAX       20
#define CATCH_UP_MS     500
#define KICK_AGAIN_US   1000
#define RECEIVE_US      500  /* the UART holds what is typed in 1.4 ms */
#define ROWS_AT_ONCE    8192 /* from a full ring; from one that is filled in part so much less */
#define WAITING_PART    2    /* while a guest wants this pCPU, a ring is left alone until this part of it is waiting */
#define WHO_BYTES       (CFG_NAME_MAX + 16)
#define CLOCK_SLACK_TSC (4 * TRACE_SKEW_TSC)

_Static_assert(AUDIT_CPUS_MAX >= CPUS_MAX && AUDIT_VMS_MAX >= VMS_MAX && AUDIT_VCPUS_MAX >= PROMISE_VCPUS_MAX,
	       "the rules have room for all");
_Static_assert(AUDIT_VMS_MAX <= 32, "a state row has a bit for each");

/* Where the audit is in one ring. */
struct reader {
	uint64_t next; /* number of the row that is taken next */
	struct trace_row row;
	bool has_row;  /* row is number next */
	bool has_gap;  /* rows before it have been lost */
	uint64_t seen; /* rows that there were when it was looked at */
	uint64_t sure; /* a row that comes later has a tsc above this */
};

struct shown {
	const char *why;
	uint64_t n;
	enum audit_rule rule;
	uint32_t cpu;
	bool has_entry;
	char vcpu[WHO_BYTES];
};

static struct audit_rules rules;
static struct reader readers[CPUS_MAX];
static struct shown shown[SHOWN_MAX];
static uint64_t lost;
static uint32_t gap_count; /* readers that have one */

void audit_init(void)
{
	audit_rules_init(&rules);
}

/* Past rows that have been overwritten. */
static void fetch(struct reader *r, struct trace_ring *ring)
{
	while (!r->has_row && r->next < r->seen) {
		r->has_row = trace_take(ring, r->next, &r->row);
		if (r->has_row)
			return;
		/* The owner is faster: the older half is given up at once; or only the row that this one repeats is
		 * gone. */
		const uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
		const uint64_t half = head > ring->capacity / 2 ? head - ring->capacity / 2 : 0;
		const uint64_t next = half > r->next ? half : r->next + 1;

		lost += next - r->next;
		r->next = next;
		r->seen = head;
		gap_count += !r->has_gap;
		r->has_gap = true;
	}
}

/* What a pCPU will yet write is younger than its last row. One that is outside (hv/handshake.h) writes nothing before
 * it comes in: what it writes then is younger than now_tsc, which was read before. */
static void look_at(uint32_t i, uint64_t now_tsc)
{
	struct percpu *cpu = &percpus[i];
	struct reader *r = &readers[i];
	struct trace_row last;
	/* Acquire: the rows from before it went outside are seen by the next load. */
	const bool outside = atomic_load_explicit(&cpu->handshake.seen, memory_order_acquire) == HANDSHAKE_OUTSIDE;

	r->seen = atomic_load_explicit(&cpu->trace.head, memory_order_acquire);
	if (outside || cpu == percpu_this() || cpu->trace.capacity == 0)
		r->sure = now_tsc - CLOCK_SLACK_TSC;
	else if (r->seen == 0)
		r->sure = 0;
	else if (trace_take(&cpu->trace, r->seen - 1, &last))
		r->sure = last.tsc;
	fetch(r, &cpu->trace);
}

static void look_at_all(void)
{
	const uint64_t now_tsc = rdtsc_ordered();

	for (uint32_t i = 0; i < percpu_count; i++)
		look_at(i, now_tsc);
}

static void keep(struct shown *to, uint32_t cpu, const struct trace_row *row, enum audit_rule rule, const char *why)
{
	*to = (struct shown){.why = why, .rule = rule, .cpu = cpu, .has_entry = row->type == TRACE_ENTRY};
	text_copy(to->vcpu, sizeof(to->vcpu), "-", 1);
	if (to->has_entry) {
		to->n = row->entry.n;
		text_format(to->vcpu, sizeof(to->vcpu), "%s.%u", vms[row->entry.vm].cfg.name, row->entry.vcpu);
	} else if (row->type == TRACE_CAPREAD) {
		text_format(to->vcpu, sizeof(to->vcpu), "%s.%u", vms[row->promise.vm].cfg.name, row->promise.vcpu);
	}
}

static void feed(uint32_t cpu, const struct trace_row *row)
{
	uint64_t at = rules.violation_count;
	struct audit_verdict verdict;

	if (audit_rules_feed(&rules, cpu, row, &verdict))
		return;
	for (unsigned rule = 0; rule < AUDIT_RULE_COUNT; rule++) {
		if (verdict.why[rule] == NULL)
			continue;
		if (at < SHOWN_MAX)
			keep(&shown[at], cpu, row, (enum audit_rule)rule, verdict.why[rule]);
		at++;
	}
}

/* The oldest row that is there: the pCPU's number; percpu_count if there is none. */
static uint32_t oldest(void)
{
	uint32_t best = percpu_count;

	for (uint32_t i = 0; i < percpu_count; i++)
		if (readers[i].has_row && (best == percpu_count || readers[i].row.tsc < readers[best].row.tsc))
			best = i;
	return best;
}

/* No other pCPU will come up with an older one. */
static bool is_final(uint32_t cpu)
{
	for (uint32_t i = 0; i < percpu_count; i++)
		if (i != cpu && readers[i].sure <= readers[cpu].row.tsc)
			return false;
	return true;
}

/* Up to the first row after a gap any row may be missing: each that is there is looked at by itself. */
static void forget_if_lost(struct reader *r)
{
	if (gap_count == 0)
		return;
	audit_rules_lost(&rules);
	gap_count -= r->has_gap;
	r->has_gap = false;
}

/* False: nothing to take. */
static bool take_one(void)
{
	const uint32_t cpu = oldest();

	if (cpu == percpu_count || !is_final(cpu))
		return false;

	struct reader *r = &readers[cpu];

	forget_if_lost(r);
	feed(cpu, &r->row);
	r->next++;
	r->has_row = false;
	fetch(r, &percpus[cpu].trace);
	return true;
}

/* How many rows of this ring to take now. */
static uint64_t rows_to_take(uint32_t i, bool busy)
{
	const struct trace_ring *ring = &percpus[i].trace;
	const uint64_t waiting = atomic_load_explicit(&ring->head, memory_order_relaxed) - readers[i].next;
	const uint64_t may_wait = busy ? ring->capacity / WAITING_PART : 0;

	return waiting > may_wait ? (waiting - may_wait) * ROWS_AT_ONCE / ring->capacity + 1 : 0;
}

void audit_poll(void)
{
	const bool busy = atomic_load_explicit(&percpu_this()->current, memory_order_relaxed) != NULL;
	uint64_t budget = 0;

	for (uint32_t i = 0; i < percpu_count; i++)
		if (percpus[i].trace.capacity != 0)
			budget += rows_to_take(i, busy);
	if (budget == 0)
		return;
	look_at_all();
	while (budget-- > 0 && take_one())
		;
}

static bool has_passed(uint64_t tsc)
{
	const uint32_t cpu = oldest();

	for (uint32_t i = 0; i < percpu_count; i++)
		if (readers[i].sure < tsc)
			return false;
	return cpu == percpu_count || readers[cpu].row.tsc >= tsc;
}

/* Takes all that is final. False: Ctrl-C was typed. */
static bool take_all(void)
{
	const uint64_t receive_ticks = tsc_hz() / 1000000 * RECEIVE_US;
	uint64_t received_tsc = 0;

	look_at_all();
	do {
		const uint64_t now_tsc = rdtsc();

		if (now_tsc - received_tsc >= receive_ticks) {
			if (prompt_interrupted())
				return false;
			received_tsc = now_tsc;
		}
	} while (take_one());
	return true;
}

/* A pCPU in a guest has a row that is not finished: it is kicked out, and again until it has written one that is
 * younger than now. */
enum audit_end audit_catch_up(void)
{
	const uint64_t start = rdtsc_ordered();
	const uint64_t patience = tsc_hz() / 1000 * CATCH_UP_MS;
	uint64_t kicked = 0;

	/* What has been left waiting takes its time. */
	if (!take_all())
		return AUDIT_INTERRUPTED;

	const uint64_t drained = rdtsc();

	for (;;) {
		const uint64_t now_tsc = rdtsc_ordered();

		if (!take_all())
			return AUDIT_INTERRUPTED;
		if (has_passed(start))
			return AUDIT_DONE;
		if (now_tsc - drained > patience)
			return AUDIT_STUCK;
		if (now_tsc - kicked > tsc_hz() / 1000000 * KICK_AGAIN_US) {
			sched_wake_all();
			kicked = now_tsc;
		}
		cpu_pause();
	}
}

static void violation_print(const struct shown *v)
{
	char n[24] = "-";

	if (v->has_entry)
		text_format(n, sizeof(n), "%lu", v->n);
	console_line("violation rule=%s cpu=%u n=%s vcpu=%s why=\"%s\"", audit_rule_name(v->rule), v->cpu, n, v->vcpu,
		     v->why);
}

void audit_print(void)
{
	const uint64_t count = rules.violation_count;

	for (uint64_t i = 0; i < count && i < SHOWN_MAX; i++)
		violation_print(&shown[i]);
	if (count > SHOWN_MAX)
		console_line("violations more=%lu", count - SHOWN_MAX);
	console_line("audit entries=%lu violations=%lu lost=%lu", rules.entry_count, count, lost);
}
