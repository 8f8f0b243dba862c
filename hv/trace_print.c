/* The trace as text, for the command `trace` (interface.md 7). */
#include "hv/audit.h"
#include "hv/console.h"
#include "hv/exit.h"
#include "hv/percpu.h"
#include "hv/policy/knob.h"
#include "hv/policy/mitigation.h"
#include "hv/policy/text.h"
#include "hv/prompt.h"
#include "hv/regime.h"
#include "hv/trace.h"
#include "hv/vm.h"

#define NAMES_BYTES 64

/* A state row as text: all knobs, and lists of VMs. */
#define STATE_TEXT_BYTES 6144

struct cursor {
	uint64_t end, next;   /* rows [next, end) are to be printed */
	struct trace_row row; /* number next - 1 on the way back, number next on the way forward */
	bool has_row;
};

static struct cursor cursors[CPUS_MAX];

static void step_back(struct cursor *c, struct trace_ring *ring)
{
	c->has_row = c->next > 0 && trace_take(ring, c->next - 1, &c->row);
}

/* Past those that were overwritten since; they are counted. */
static void step_forward(struct cursor *c, struct trace_ring *ring, uint64_t *lost)
{
	c->has_row = false;
	while (c->next < c->end && !c->has_row) {
		c->has_row = trace_take(ring, c->next, &c->row);
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

	if (!regime_now()->mitigation.mcu_opt_ctrl)
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

	console_line("mode cpu=%u tsc=%lu gen=%lu knob=%s old=%s new=%s phase=%s force=%u", cpu, row->tsc, row->gen,
		     knob_name(knob), knob_value_name(knob, row->mode.old), knob_value_name(knob, row->mode.new),
		     row->mode.done ? "done" : "begin", row->mode.force);
}

static void capread_print(uint32_t cpu, const struct trace_row *row)
{
	console_line("capread cpu=%u tsc=%lu gen=%lu vcpu=%s.%u value=0x%lx until=%lu told_now=%u", cpu, row->tsc,
		     row->gen, vms[row->promise.vm].cfg.name, row->promise.vcpu, row->promise.value,
		     row->promise.until_tsc, row->promise.told_now);
}

/* ack and reset. */
static void vm_row_print(const char *word, uint32_t cpu, const struct trace_row *row)
{
	console_line("%s cpu=%u tsc=%lu gen=%lu vm=%s value=0x%lx until=%lu", word, cpu, row->tsc, row->gen,
		     vms[row->promise.vm].cfg.name, row->promise.value, row->promise.until_tsc);
}

struct text_buffer {
	char bytes[STATE_TEXT_BYTES];
	size_t length;
};

static void add(struct text_buffer *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text_buffer *text, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text->length += text_format_va(text->bytes + text->length, sizeof(text->bytes) - text->length, format, args);
	va_end(args);
}

/* A slot that has held a VM; a built-in one gets its name when it is used first. */
static bool is_used(uint32_t v)
{
	return vms[v].cfg.name[0] != '\0';
}

static void add_vms(struct text_buffer *text, const char *key, uint32_t mask)
{
	const char *separator = "";

	add(text, " %s=%s", key, mask == 0 ? "-" : "");
	for (uint32_t v = 0; v < VMS_MAX; v++) {
		if (!(mask >> v & 1))
			continue;
		add(text, "%s%s", separator, vms[v].cfg.name);
		separator = ",";
	}
}

static void state_print(uint32_t cpu, const struct trace_row *row)
{
	static struct text_buffer text; /* only the console prints the trace */
	const uint8_t machine = row->state.machine;

	text.length = 0;
	add(&text, "state cpu=%u tsc=%lu gen=%lu", cpu, row->tsc, row->gen);
	for (unsigned knob = 0; knob < KNOB_COUNT; knob++)
		add(&text, " %s=%s", knob_name((enum knob)knob),
		    knob_value_name((enum knob)knob, row->state.knob[knob]));
	for (uint32_t v = 0; v < VMS_MAX; v++)
		if (is_used(v))
			add(&text, " told.%s=%s", vms[v].cfg.name,
			    row->state.told >> v & 1 ? "skip_l1dfl_vmentry" : "-");
	add(&text, " until=%lu settled=%u", row->state.until_tsc, row->state.settled);
	if (machine & TRACE_MCU_OPT_CTRL)
		add(&text, " mcu=0x%lx", row->state.mcu_opt_ctrl);
	else
		add(&text, " mcu=absent");
	add(&text, " strategy=%s l1d_needed=%u verw_needed=%u fb_clear_ctrl=%u",
	    knob_value_name(KNOB_FB_CLEAR_DIS, row->state.fb_clear_dis), (machine & TRACE_L1D_NEEDED) != 0,
	    (machine & TRACE_VERW_NEEDED) != 0, (machine & TRACE_FB_CLEAR_CTRL) != 0);
	add_vms(&text, "broken", row->state.broken);
	add_vms(&text, "fixed", row->state.fixed);
	add_vms(&text, "md_clear", row->state.md_clear);
	console_text("", text.bytes, (unsigned)text.length);
}

static void row_print(uint32_t cpu, const struct trace_row *row)
{
	switch ((enum trace_type)row->type) {
	case TRACE_ENTRY:
		entry_print(cpu, row);
		break;
	case TRACE_MODE:
		mode_print(cpu, row);
		break;
	case TRACE_CAPREAD:
		capread_print(cpu, row);
		break;
	case TRACE_ACK:
		vm_row_print("ack", cpu, row);
		break;
	case TRACE_RESET:
		vm_row_print("reset", cpu, row);
		break;
	case TRACE_STATE:
		state_print(cpu, row);
		break;
	}
}

bool trace_print(uint64_t row_count)
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
		if (prompt_interrupted())
			return false;
		row_print(cpu, &cursors[cpu].row);
		audit_poll(); /* printing takes long, and guests run on */
		cursors[cpu].next++;
		step_forward(&cursors[cpu], &percpus[cpu].trace, &lost);
	}
	if (lost != 0)
		console_line("trace lost=%lu", lost);
	return true;
}
