#include "hv/policy/lapic.h"

#include <stddef.h>

#include "arch/defs/apic.h"
#include "arch/defs/msr.h"

/* ---- the registers ---- */

#define APIC_TPR             0x080u
#define APIC_APR             0x090u
#define APIC_PPR             0x0a0u
#define APIC_RRD             0x0c0u
#define APIC_LDR             0x0d0u
#define APIC_DFR             0x0e0u
#define APIC_ISR             0x100u
#define APIC_TMR             0x180u
#define APIC_IRR             0x200u
#define APIC_ESR             0x280u
#define APIC_TIMER_INITIAL   0x380u
#define APIC_TIMER_CURRENT   0x390u
#define APIC_TIMER_DIVIDE    0x3e0u
#define APIC_SELF_IPI        0x3f0u
#define APIC_REGISTER_STRIDE 0x10u

/* An integrated APIC with 6 LVT entries, without EOI-broadcast suppression. "Local APIC Version Register". */
#define VERSION 0x00050014u

#define SVR_RESET 0xffu
#define DFR_RESET 0xffffffffu

#define ESR_SEND_ILLEGAL_VECTOR    (1u << 5)
#define ESR_RECEIVE_ILLEGAL_VECTOR (1u << 6)
#define ESR_ILLEGAL_REGISTER       (1u << 7)

#define ICR_LEVEL_TRIGGERED (1u << 15)
#define ICR_HIGH_HALF       0xffffffff00000000ull
#define ICR_LOW_WRITABLE    0x000ccfffu

#define LVT_DELIVERY_STATUS (1u << 12)
#define LVT_REMOTE_IRR      (1u << 14)
#define LVT_PERIODIC        (1u << 17)
#define LVT_TSC_DEADLINE    (2u << 17)
#define LVT_TIMER_MODE      (3u << 17)

#define LEGAL_VECTOR_FIRST 16

/* What each mode lets software do. */
enum access {
	XR = 1,  /* xAPIC: read */
	XW = 2,  /* xAPIC: write */
	X2R = 4, /* x2APIC */
	X2W = 8,
	RW = XR | XW | X2R | X2W,
	RO = XR | X2R,
};

/* "Local APIC Register Address Map", "Local APIC Register Address Map Supported by x2APIC". */
static const struct register_rule {
	uint16_t offset;
	uint8_t count;
	uint8_t access;
	uint32_t writable;  /* a write gives these bits their value */
	uint32_t read_only; /* a write may hold these, without effect; all others are reserved */
} rules[] = {
	{APIC_ID, 1, RO | XW, 0, 0},
	{APIC_VERSION, 1, RO | XW, 0, 0},
	{APIC_TPR, 1, RW, 0xff, 0},
	{APIC_APR, 1, XR | XW, 0, 0},
	{APIC_PPR, 1, RO | XW, 0, 0},
	{APIC_EOI, 1, XR | XW | X2W, 0, 0},
	{APIC_RRD, 1, XR | XW, 0, 0},
	{APIC_LDR, 1, RO | XW, 0xff000000, 0},
	{APIC_DFR, 1, XR | XW, 0xf0000000, 0},
	{APIC_SVR, 1, RW, 0x1ff, 0},
	{APIC_ISR, LAPIC_VECTOR_WORDS, RO | XW, 0, 0},
	{APIC_TMR, LAPIC_VECTOR_WORDS, RO | XW, 0, 0},
	{APIC_IRR, LAPIC_VECTOR_WORDS, RO | XW, 0, 0},
	{APIC_ESR, 1, RW, 0, 0},
	{APIC_ICR, 1, RW, ICR_LOW_WRITABLE, 0},
	{APIC_ICR_HIGH, 1, XR | XW, 0xff000000, 0},
	{APIC_LVT_TIMER, 1, RW, APIC_LVT_MASKED | LVT_TIMER_MODE | 0xff, LVT_DELIVERY_STATUS},
	{APIC_LVT_THERMAL, 1, RW, APIC_LVT_MASKED | 0x7ff, LVT_DELIVERY_STATUS},
	{APIC_LVT_PERFMON, 1, RW, APIC_LVT_MASKED | 0x7ff, LVT_DELIVERY_STATUS},
	{APIC_LVT_LINT0, 1, RW, APIC_LVT_MASKED | 0xa7ff, LVT_DELIVERY_STATUS | LVT_REMOTE_IRR},
	{APIC_LVT_LINT1, 1, RW, APIC_LVT_MASKED | 0xa7ff, LVT_DELIVERY_STATUS | LVT_REMOTE_IRR},
	{APIC_LVT_ERROR, 1, RW, APIC_LVT_MASKED | 0xff, LVT_DELIVERY_STATUS},
	{APIC_TIMER_INITIAL, 1, RW, 0xffffffff, 0},
	{APIC_TIMER_CURRENT, 1, RO | XW, 0, 0},
	{APIC_TIMER_DIVIDE, 1, RW, 0xb, 0},
	{APIC_SELF_IPI, 1, X2W, 0xff, 0},
};

/* NULL: there is no such register in that mode at all. */
static const struct register_rule *rule_find(uint32_t offset, unsigned mode_access)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (offset >= rules[i].offset && offset < rules[i].offset + rules[i].count * APIC_REGISTER_STRIDE)
			return rules[i].access & mode_access ? &rules[i] : NULL;
	return NULL;
}

/* ---- vectors ---- */

static bool vector_test(const uint32_t *words, unsigned vector)
{
	return words[vector / 32] >> vector % 32 & 1;
}

static void vector_put(uint32_t *words, unsigned vector, bool value)
{
	words[vector / 32] = (words[vector / 32] & ~(1u << vector % 32)) | (uint32_t)value << vector % 32;
}

/* The highest, -1 if there is none. */
static int vector_highest(const uint32_t *words)
{
	for (int i = LAPIC_VECTOR_WORDS - 1; i >= 0; i--)
		if (words[i])
			return i * 32 + 31 - __builtin_clz(words[i]);
	return -1;
}

static void arrive(struct lapic *l, uint8_t vector, bool level)
{
	vector_put(l->irr, vector, true);
	vector_put(l->tmr, vector, level);
}

/* "Error Handling": what ESR will show, and the error interrupt. */
static void error(struct lapic *l, uint32_t bit)
{
	uint32_t lvt = l->lvt[LAPIC_LVT_ERROR];
	uint8_t vector = (uint8_t)lvt;

	l->esr_latent |= bit;
	if (lvt & APIC_LVT_MASKED)
		return;
	if (vector < LEGAL_VECTOR_FIRST)
		l->esr_latent |= ESR_RECEIVE_ILLEGAL_VECTOR;
	else
		arrive(l, vector, false);
}

/* ---- modes ---- */

static bool is_enabled(const struct lapic *l)
{
	return l->base & APIC_BASE_ENABLE;
}

/* Software-disabled, the APIC takes INIT, NMI and SIPI, but no interrupts. "Local APIC State After It Has Been Software
 * Disabled". */
static bool takes_interrupts(const struct lapic *l)
{
	return is_enabled(l) && (l->svr & APIC_SVR_ENABLE);
}

bool lapic_is_x2apic(const struct lapic *l)
{
	return l->base & APIC_BASE_X2APIC_ENABLE;
}

bool lapic_has_page(const struct lapic *l)
{
	return is_enabled(l) && !lapic_is_x2apic(l);
}

void lapic_reset(struct lapic *l, uint32_t id, bool is_bsp, uint32_t tsc_per_count)
{
	*l = (struct lapic){
		.id = id,
		.base = LAPIC_PAGE_GPA | APIC_BASE_ENABLE | (is_bsp ? APIC_BASE_BSP : 0),
		.svr = SVR_RESET,
		.dfr = DFR_RESET,
		.tsc_per_count = tsc_per_count,
	};
	for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
		l->lvt[i] = APIC_LVT_MASKED;
}

void lapic_init(struct lapic *l)
{
	uint64_t base = l->base;

	lapic_reset(l, l->id, false, l->tsc_per_count);
	l->base = base;
}

/* "x2APIC State Transitions". */
bool lapic_base_write(struct lapic *l, uint64_t value)
{
	bool x2apic = value & APIC_BASE_X2APIC_ENABLE, enable = value & APIC_BASE_ENABLE;

	if ((value & ~(uint64_t)(APIC_BASE_BSP | APIC_BASE_X2APIC_ENABLE | APIC_BASE_ENABLE)) != LAPIC_PAGE_GPA)
		return false;
	if (x2apic && (!enable || !is_enabled(l)))
		return false;
	if (!x2apic && enable && lapic_is_x2apic(l))
		return false;
	if (!enable && is_enabled(l))
		lapic_init(l);
	if (x2apic && !lapic_is_x2apic(l))
		l->icr &= ~ICR_HIGH_HALF;
	l->base = value;
	return true;
}

/* ---- interrupts ---- */

uint8_t lapic_ppr(const struct lapic *l)
{
	int in_service = vector_highest(l->isr);
	uint8_t class = in_service < 0 ? 0 : in_service & 0xf0;

	return (l->tpr & 0xf0) >= class ? (uint8_t)l->tpr : class;
}

bool lapic_accept(struct lapic *l, uint8_t vector, bool level)
{
	if (!takes_interrupts(l))
		return false;
	if (vector < LEGAL_VECTOR_FIRST) {
		error(l, ESR_RECEIVE_ILLEGAL_VECTOR);
		return false;
	}
	arrive(l, vector, level);
	return true;
}

int lapic_pending(const struct lapic *l)
{
	int vector = vector_highest(l->irr);

	return takes_interrupts(l) && vector >= 0 && vector >> 4 > lapic_ppr(l) >> 4 ? vector : -1;
}

void lapic_take(struct lapic *l, uint8_t vector)
{
	vector_put(l->irr, vector, false);
	vector_put(l->isr, vector, true);
}

void lapic_put_back(struct lapic *l, uint8_t vector)
{
	vector_put(l->isr, vector, false);
	vector_put(l->irr, vector, true);
}

static struct lapic_effect end_of_interrupt(struct lapic *l)
{
	int vector = vector_highest(l->isr);

	if (vector < 0)
		return (struct lapic_effect){.kind = LAPIC_NOTHING};
	vector_put(l->isr, (unsigned)vector, false);
	return (struct lapic_effect){
		.kind = LAPIC_EOI,
		.eoi_vector = (uint8_t)vector,
		.eoi_level = vector_test(l->tmr, (unsigned)vector),
	};
}

uint32_t lapic_cr8(const struct lapic *l)
{
	return l->tpr >> 4;
}

void lapic_set_cr8(struct lapic *l, uint32_t cr8)
{
	l->tpr = (cr8 & 0xf) << 4;
}

/* ---- messages ---- */

/* "Logical x2APIC ID": the cluster above, one bit for the APIC below. */
static uint32_t x2apic_ldr(uint32_t id)
{
	return (id >> 4) << 16 | 1u << (id & 0xf);
}

/* "Logical Destination Mode". */
static bool logical_match(const struct lapic *l, uint32_t destination)
{
	uint32_t ldr = l->ldr >> XAPIC_ID_SHIFT;

	if (lapic_is_x2apic(l)) {
		ldr = x2apic_ldr(l->id);
		return ldr >> 16 == destination >> 16 && (ldr & destination & 0xffff);
	}
	if (destination > 0xff)
		return false;
	switch (l->dfr >> 28) {
	case 0xf: /* flat */
		return ldr & destination;
	case 0: /* cluster */
		return ldr >> 4 == destination >> 4 && (ldr & destination & 0xf);
	default:
		return false;
	}
}

bool lapic_is_target(const struct lapic *l, const struct lapic_ipi *ipi, uint32_t sender_id)
{
	if (!is_enabled(l))
		return false;
	switch (ipi->shorthand) {
	case LAPIC_TO_SELF:
		return l->id == sender_id;
	case LAPIC_TO_ALL:
		return true;
	case LAPIC_TO_OTHERS:
		return l->id != sender_id;
	case LAPIC_TO_DESTINATION:
		break;
	}
	if (ipi->destination == (ipi->wide ? 0xffffffff : 0xff))
		return true;
	return ipi->logical ? logical_match(l, ipi->destination) : ipi->destination == l->id;
}

/* What the ICR, just written, asks for. "Interrupt Command Register (ICR)", "Valid Combinations". */
static struct lapic_effect icr_send(struct lapic *l)
{
	const struct lapic_effect nothing = {.kind = LAPIC_NOTHING};
	struct lapic_ipi ipi = {
		.delivery = (enum lapic_delivery)(l->icr >> 8 & 7),
		.shorthand = (enum lapic_shorthand)(l->icr >> 18 & 3),
		.vector = (uint8_t)l->icr,
		.logical = l->icr >> 11 & 1,
		.wide = lapic_is_x2apic(l),
		.destination = (uint32_t)(l->icr >> (lapic_is_x2apic(l) ? 32 : 32 + XAPIC_ID_SHIFT)),
	};
	bool to_self = ipi.shorthand == LAPIC_TO_SELF || ipi.shorthand == LAPIC_TO_ALL;

	switch (ipi.delivery) {
	case LAPIC_FIXED:
	case LAPIC_LOWEST:
		if (ipi.vector < LEGAL_VECTOR_FIRST) {
			error(l, ESR_SEND_ILLEGAL_VECTOR);
			return nothing;
		}
		if (ipi.delivery == LAPIC_LOWEST && to_self)
			return nothing;
		break;
	case LAPIC_NMI: /* to oneself by shorthand it is not in the SDM's table, but processors and emulators do it */
		break;
	case LAPIC_INIT:
		/* The de-assertion is for the APICs of old; newer ones ignore it. */
		if ((l->icr & (ICR_LEVEL_TRIGGERED | APIC_ICR_ASSERT)) == ICR_LEVEL_TRIGGERED || to_self)
			return nothing;
		break;
	case LAPIC_SIPI:
		if (to_self)
			return nothing;
		break;
	default:
		return nothing;
	}
	return (struct lapic_effect){.kind = LAPIC_SEND, .ipi = ipi};
}

static struct lapic_effect self_ipi(struct lapic *l, uint8_t vector)
{
	if (vector < LEGAL_VECTOR_FIRST) {
		error(l, ESR_SEND_ILLEGAL_VECTOR);
		return (struct lapic_effect){.kind = LAPIC_NOTHING};
	}
	return (struct lapic_effect){
		.kind = LAPIC_SEND,
		.ipi = {.delivery = LAPIC_FIXED, .shorthand = LAPIC_TO_SELF, .vector = vector, .wide = true},
	};
}

/* ---- timer ---- */

static bool is_deadline_mode(const struct lapic *l)
{
	return (l->lvt[LAPIC_LVT_TIMER] & LVT_TIMER_MODE) == LVT_TSC_DEADLINE;
}

static bool is_periodic(const struct lapic *l)
{
	return (l->lvt[LAPIC_LVT_TIMER] & LVT_TIMER_MODE) == LVT_PERIODIC;
}

static bool is_timer_masked(const struct lapic *l)
{
	return l->lvt[LAPIC_LVT_TIMER] & APIC_LVT_MASKED;
}

/* "Divide Configuration Register": bits 0, 1 and 3 mean 2, 4, ... 128, 1. */
static uint64_t tsc_per_step(const struct lapic *l)
{
	unsigned code = (l->timer_divide & 3) | (l->timer_divide >> 1 & 4);

	return (uint64_t)l->tsc_per_count << ((code + 1) & 7);
}

/* Since the count was timer_count. The TSC may wrap; where it fell back a little (another pCPU), no time has passed. */
static uint64_t timer_elapsed(const struct lapic *l, uint64_t now_tsc)
{
	uint64_t elapsed = now_tsc - l->timer_since_tsc;

	return elapsed >> 63 ? 0 : elapsed;
}

static uint32_t timer_count(const struct lapic *l, uint64_t now_tsc)
{
	uint64_t steps = timer_elapsed(l, now_tsc) / tsc_per_step(l);

	if (!l->timer_counting)
		return 0;
	if (steps < l->timer_count)
		return l->timer_count - (uint32_t)steps;
	return is_periodic(l) ? l->timer_initial - (uint32_t)((steps - l->timer_count) % l->timer_initial) : 0;
}

uint64_t lapic_timer_left(const struct lapic *l, uint64_t now_tsc)
{
	uint64_t whole, elapsed;

	if (is_timer_masked(l))
		return LAPIC_TIMER_NEVER;
	if (is_deadline_mode(l)) {
		if (!l->timer_deadline_tsc)
			return LAPIC_TIMER_NEVER;
		return now_tsc < l->timer_deadline_tsc ? l->timer_deadline_tsc - now_tsc : 0;
	}
	if (!l->timer_counting)
		return LAPIC_TIMER_NEVER;
	whole = l->timer_count * tsc_per_step(l);
	elapsed = timer_elapsed(l, now_tsc);
	return elapsed < whole ? whole - elapsed : 0;
}

bool lapic_timer_fire(struct lapic *l, uint64_t now_tsc)
{
	uint64_t whole = l->timer_count * tsc_per_step(l), elapsed = timer_elapsed(l, now_tsc);

	if (is_deadline_mode(l)) {
		if (!l->timer_deadline_tsc || now_tsc < l->timer_deadline_tsc)
			return false;
		l->timer_deadline_tsc = 0;
	} else {
		if (!l->timer_counting || elapsed < whole)
			return false;
		if (is_periodic(l)) {
			uint64_t period = l->timer_initial * tsc_per_step(l);

			l->timer_since_tsc += elapsed - (elapsed - whole) % period;
			l->timer_count = l->timer_initial;
		} else {
			l->timer_counting = false;
		}
	}
	return !is_timer_masked(l) && lapic_accept(l, (uint8_t)l->lvt[LAPIC_LVT_TIMER], false);
}

void lapic_tsc_moved(struct lapic *l, uint64_t delta_tsc)
{
	l->timer_since_tsc += delta_tsc;
}

static void timer_start(struct lapic *l, uint32_t count, uint64_t now_tsc)
{
	l->timer_counting = count != 0;
	l->timer_count = count;
	l->timer_since_tsc = now_tsc;
}

/* A change to or from TSC-deadline mode disarms the timer. One-shot and periodic share the count, which goes on: so do
 * other implementations, and programs that start the count first rely on it. */
static void timer_lvt_write(struct lapic *l, uint32_t value)
{
	bool was_deadline = is_deadline_mode(l);

	l->lvt[LAPIC_LVT_TIMER] = value;
	if (is_deadline_mode(l) != was_deadline) {
		l->timer_counting = false;
		l->timer_deadline_tsc = 0;
	}
}

uint64_t lapic_deadline_read(const struct lapic *l, uint64_t now_tsc)
{
	return is_deadline_mode(l) && now_tsc < l->timer_deadline_tsc ? l->timer_deadline_tsc : 0;
}

struct lapic_effect lapic_deadline_write(struct lapic *l, uint64_t value, uint64_t now_tsc)
{
	if (!is_deadline_mode(l))
		return (struct lapic_effect){.kind = LAPIC_NOTHING};
	lapic_timer_fire(l, now_tsc);
	l->timer_deadline_tsc = value;
	return (struct lapic_effect){.kind = LAPIC_TIMER};
}

/* ---- reading and writing ---- */

static unsigned lvt_index(uint32_t offset)
{
	return (offset - APIC_LVT_TIMER) / APIC_REGISTER_STRIDE;
}

static uint64_t load(const struct lapic *l, uint32_t offset, uint64_t now_tsc)
{
	switch (offset) {
	case APIC_ID:
		return lapic_is_x2apic(l) ? l->id : l->id << XAPIC_ID_SHIFT;
	case APIC_VERSION:
		return VERSION;
	case APIC_TPR:
		return l->tpr;
	case APIC_PPR:
		return lapic_ppr(l);
	case APIC_LDR:
		return lapic_is_x2apic(l) ? x2apic_ldr(l->id) : l->ldr;
	case APIC_DFR:
		return l->dfr;
	case APIC_SVR:
		return l->svr;
	case APIC_ESR:
		return l->esr;
	case APIC_ICR:
		return lapic_is_x2apic(l) ? l->icr : (uint32_t)l->icr;
	case APIC_ICR_HIGH:
		return l->icr >> 32;
	case APIC_TIMER_INITIAL:
		return l->timer_initial;
	case APIC_TIMER_CURRENT:
		return is_deadline_mode(l) ? 0 : timer_count(l, now_tsc);
	case APIC_TIMER_DIVIDE:
		return l->timer_divide;
	}
	if (offset >= APIC_ISR && offset < APIC_TMR)
		return l->isr[(offset - APIC_ISR) / APIC_REGISTER_STRIDE];
	if (offset >= APIC_TMR && offset < APIC_IRR)
		return l->tmr[(offset - APIC_TMR) / APIC_REGISTER_STRIDE];
	if (offset >= APIC_IRR && offset < APIC_ESR)
		return l->irr[(offset - APIC_IRR) / APIC_REGISTER_STRIDE];
	if (offset >= APIC_LVT_TIMER && offset <= APIC_LVT_ERROR)
		return l->lvt[lvt_index(offset)];
	return 0; /* write-only, or of processors long past */
}

/* value: only bits that are writable. */
static struct lapic_effect store(struct lapic *l, uint32_t offset, uint64_t value, uint64_t now_tsc)
{
	struct lapic_effect effect = {.kind = LAPIC_NOTHING};
	uint32_t low = (uint32_t)value;

	switch (offset) {
	case APIC_TPR:
		l->tpr = low;
		break;
	case APIC_EOI:
		return end_of_interrupt(l);
	case APIC_LDR:
		l->ldr = low;
		break;
	case APIC_DFR:
		l->dfr = low | 0x0fffffff;
		break;
	case APIC_SVR:
		lapic_timer_fire(l, now_tsc);
		l->svr = low;
		for (unsigned i = 0; i < LAPIC_LVT_COUNT && !(low & APIC_SVR_ENABLE); i++)
			l->lvt[i] |= APIC_LVT_MASKED;
		effect.kind = LAPIC_TIMER;
		break;
	case APIC_ESR:
		l->esr = l->esr_latent;
		l->esr_latent = 0;
		break;
	case APIC_ICR:
		l->icr = lapic_is_x2apic(l) ? value : (l->icr & ICR_HIGH_HALF) | low;
		return icr_send(l);
	case APIC_ICR_HIGH:
		l->icr = (uint32_t)l->icr | value << 32;
		break;
	case APIC_LVT_TIMER:
	case APIC_LVT_THERMAL:
	case APIC_LVT_PERFMON:
	case APIC_LVT_LINT0:
	case APIC_LVT_LINT1:
	case APIC_LVT_ERROR:
		if (!(l->svr & APIC_SVR_ENABLE))
			low |= APIC_LVT_MASKED;
		if (offset != APIC_LVT_TIMER) {
			l->lvt[lvt_index(offset)] = low;
			break;
		}
		lapic_timer_fire(l, now_tsc);
		timer_lvt_write(l, low);
		effect.kind = LAPIC_TIMER;
		break;
	case APIC_TIMER_INITIAL:
		if (is_deadline_mode(l))
			break;
		lapic_timer_fire(l, now_tsc);
		l->timer_initial = low;
		timer_start(l, low, now_tsc);
		effect.kind = LAPIC_TIMER;
		break;
	case APIC_TIMER_DIVIDE:
		lapic_timer_fire(l, now_tsc);
		timer_start(l, timer_count(l, now_tsc), now_tsc);
		l->timer_divide = low;
		effect.kind = LAPIC_TIMER;
		break;
	case APIC_SELF_IPI:
		return self_ipi(l, (uint8_t)low);
	}
	return effect;
}

uint32_t lapic_read(struct lapic *l, uint32_t offset, uint64_t now_tsc)
{
	if (!lapic_has_page(l))
		return 0xffffffff;
	if (offset % APIC_REGISTER_STRIDE)
		return 0;
	if (!rule_find(offset, XR)) {
		error(l, ESR_ILLEGAL_REGISTER);
		return 0;
	}
	return (uint32_t)load(l, offset, now_tsc);
}

struct lapic_effect lapic_write(struct lapic *l, uint32_t offset, uint32_t value, uint64_t now_tsc)
{
	const struct lapic_effect nothing = {.kind = LAPIC_NOTHING};
	const struct register_rule *rule = rule_find(offset, XW);

	if (!lapic_has_page(l) || offset % APIC_REGISTER_STRIDE)
		return nothing;
	if (!rule) {
		error(l, ESR_ILLEGAL_REGISTER);
		return nothing;
	}
	return store(l, offset, value & rule->writable, now_tsc);
}

bool lapic_rdmsr(const struct lapic *l, uint32_t msr, uint64_t now_tsc, uint64_t *value)
{
	uint32_t offset = (msr - MSR_IA32_X2APIC_FIRST) * APIC_REGISTER_STRIDE;

	if (!lapic_is_x2apic(l) || msr < MSR_IA32_X2APIC_FIRST || msr > MSR_IA32_X2APIC_LAST || !rule_find(offset, X2R))
		return false;
	*value = load(l, offset, now_tsc);
	return true;
}

bool lapic_wrmsr(struct lapic *l, uint32_t msr, uint64_t value, uint64_t now_tsc, struct lapic_effect *effect)
{
	uint32_t offset = (msr - MSR_IA32_X2APIC_FIRST) * APIC_REGISTER_STRIDE;
	const struct register_rule *rule = rule_find(offset, X2W);
	uint64_t writable;

	if (!lapic_is_x2apic(l) || msr < MSR_IA32_X2APIC_FIRST || msr > MSR_IA32_X2APIC_LAST || !rule)
		return false;
	writable = rule->writable | (offset == APIC_ICR ? ICR_HIGH_HALF : 0);
	if (value & ~(writable | rule->read_only))
		return false;
	*effect = store(l, offset, value & writable, now_tsc);
	return true;
}
