#include "hv/policy/lapic.h"

#include <stddef.h>

#include "arch/defs/apic.h"
#include "arch/defs/msr.h"

/* ---- the registers ---- */

/* An integrated APIC with 6 LVT entries, without EOI-broadcast suppression. "Local APIC Version Register". */
#define VERSION 0x00050014u

#define X2APIC_ICR_HIGH (APIC_ICR + 4) /* where a 64-bit read of ICR finds the destination */

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

/* ---- the page ---- */

static uint32_t get(const struct lapic *l, uint32_t offset)
{
	return atomic_load_explicit(&l->page[offset / sizeof(uint32_t)], memory_order_relaxed);
}

static void set(struct lapic *l, uint32_t offset, uint32_t value)
{
	atomic_store_explicit(&l->page[offset / sizeof(uint32_t)], value, memory_order_relaxed);
}

static uint32_t lvt_offset(enum lapic_lvt lvt)
{
	return APIC_LVT_TIMER + lvt * APIC_REGISTER_STRIDE;
}

uint32_t lapic_lvt(const struct lapic *l, enum lapic_lvt lvt)
{
	return get(l, lvt_offset(lvt));
}

/* ---- vectors: sets is APIC_ISR, APIC_TMR or APIC_IRR ---- */

static uint32_t vector_word(uint32_t sets, unsigned i)
{
	return sets + i * APIC_REGISTER_STRIDE;
}

static bool vector_test(const struct lapic *l, uint32_t sets, unsigned vector)
{
	return get(l, vector_word(sets, vector / 32)) >> vector % 32 & 1;
}

static void vector_put(struct lapic *l, uint32_t sets, unsigned vector, bool value)
{
	const uint32_t at = vector_word(sets, vector / 32), bit = 1u << vector % 32;

	set(l, at, value ? get(l, at) | bit : get(l, at) & ~bit);
}

/* A word of IRR with what is on its way there. */
static uint32_t requests(const struct lapic *l, unsigned i)
{
	return get(l, vector_word(APIC_IRR, i)) | l->posted[i];
}

static int highest_of_word(unsigned i, uint32_t word)
{
	return (int)(i * 32 + 31 - (unsigned)__builtin_clz(word));
}

int lapic_in_service(const struct lapic *l)
{
	for (unsigned i = LAPIC_VECTOR_WORDS; i-- > 0;)
		if (get(l, vector_word(APIC_ISR, i)))
			return highest_of_word(i, get(l, vector_word(APIC_ISR, i)));
	return -1;
}

int lapic_requested(const struct lapic *l)
{
	for (unsigned i = LAPIC_VECTOR_WORDS; i-- > 0;)
		if (requests(l, i))
			return highest_of_word(i, requests(l, i));
	return -1;
}

uint32_t lapic_level_triggered(const struct lapic *l, unsigned i)
{
	return get(l, vector_word(APIC_TMR, i));
}

uint32_t lapic_written(const struct lapic *l, uint32_t offset)
{
	return get(l, offset);
}

void lapic_merge(struct lapic *l)
{
	for (unsigned i = 0; i < LAPIC_VECTOR_WORDS; i++) {
		if (l->posted[i])
			set(l, vector_word(APIC_IRR, i), requests(l, i));
		l->posted[i] = 0;
	}
}

static void arrive(struct lapic *l, uint8_t vector, bool level)
{
	l->posted[vector / 32] |= 1u << vector % 32;
	vector_put(l, APIC_TMR, vector, level);
}

/* "Error Handling": what ESR will show, and the error interrupt. */
static void error(struct lapic *l, uint32_t bit)
{
	uint32_t lvt = lapic_lvt(l, LAPIC_LVT_ERROR);
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

bool lapic_is_on(const struct lapic *l)
{
	return l->base & APIC_BASE_ENABLE;
}

/* Software-disabled, the APIC takes INIT, NMI and SIPI, but no interrupts. "Local APIC State After It Has Been Software
 * Disabled". */
bool lapic_takes_interrupts(const struct lapic *l)
{
	return lapic_is_on(l) && l->software_enabled;
}

bool lapic_is_x2apic(const struct lapic *l)
{
	return l->base & APIC_BASE_X2APIC_ENABLE;
}

bool lapic_has_page(const struct lapic *l)
{
	return lapic_is_on(l) && !lapic_is_x2apic(l);
}

/* "Logical x2APIC ID": the cluster above, one bit for the APIC below. */
static uint32_t x2apic_ldr(uint32_t id)
{
	return (id >> 4) << 16 | 1u << (id & 0xf);
}

/* The registers that show the id have a form for each mode. */
static void show_id(struct lapic *l)
{
	set(l, APIC_ID, lapic_is_x2apic(l) ? l->id : l->id << XAPIC_ID_SHIFT);
	if (lapic_is_x2apic(l))
		set(l, APIC_LDR, x2apic_ldr(l->id));
}

static void power_up(struct lapic *l, uint64_t base)
{
	*l = (struct lapic){.page = l->page, .id = l->id, .base = base, .tsc_per_count = l->tsc_per_count};
	for (uint32_t offset = 0; offset < LAPIC_PAGE_BYTES; offset += sizeof(uint32_t))
		set(l, offset, 0);
	set(l, APIC_VERSION, VERSION);
	set(l, APIC_DFR, DFR_RESET);
	set(l, APIC_SVR, SVR_RESET);
	for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
		set(l, lvt_offset(i), APIC_LVT_MASKED);
	l->timer_lvt = APIC_LVT_MASKED;
	show_id(l);
}

void lapic_reset(struct lapic *l, uint32_t id, bool is_bsp, uint32_t tsc_per_count)
{
	l->id = id;
	l->tsc_per_count = tsc_per_count;
	power_up(l, LAPIC_PAGE_GPA | APIC_BASE_ENABLE | (is_bsp ? APIC_BASE_BSP : 0));
}

void lapic_init(struct lapic *l)
{
	power_up(l, l->base);
}

/* "x2APIC State Transitions". */
bool lapic_base_write(struct lapic *l, uint64_t value)
{
	bool x2apic = value & APIC_BASE_X2APIC_ENABLE, enable = value & APIC_BASE_ENABLE;

	if ((value & ~(uint64_t)(APIC_BASE_BSP | APIC_BASE_X2APIC_ENABLE | APIC_BASE_ENABLE)) != LAPIC_PAGE_GPA)
		return false;
	if (x2apic && (!enable || !lapic_is_on(l)))
		return false;
	if (!x2apic && enable && lapic_is_x2apic(l))
		return false;
	if (!enable && lapic_is_on(l)) {
		power_up(l, value);
		return true;
	}
	/* The destination that ICR had means nothing in the other mode. */
	if (x2apic && !lapic_is_x2apic(l))
		set(l, APIC_ICR_HIGH, 0);
	l->base = value;
	show_id(l);
	return true;
}

/* ---- interrupts ---- */

uint8_t lapic_ppr(const struct lapic *l)
{
	int in_service = lapic_in_service(l);
	uint8_t class = in_service < 0 ? 0 : in_service & 0xf0;
	uint8_t tpr = (uint8_t)get(l, APIC_TPR);

	return (tpr & 0xf0) >= class ? tpr : class;
}

bool lapic_accept(struct lapic *l, uint8_t vector, bool level)
{
	if (!lapic_takes_interrupts(l))
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
	int vector = lapic_requested(l);

	return lapic_takes_interrupts(l) && vector >= 0 && vector >> 4 > lapic_ppr(l) >> 4 ? vector : -1;
}

void lapic_take(struct lapic *l, uint8_t vector)
{
	lapic_merge(l);
	vector_put(l, APIC_IRR, vector, false);
	vector_put(l, APIC_ISR, vector, true);
}

void lapic_put_back(struct lapic *l)
{
	int vector = lapic_in_service(l);

	if (vector < 0)
		return;
	vector_put(l, APIC_ISR, (unsigned)vector, false);
	vector_put(l, APIC_IRR, (unsigned)vector, true);
}

static struct lapic_effect end_of_interrupt(struct lapic *l)
{
	int vector = lapic_in_service(l);

	if (vector < 0)
		return (struct lapic_effect){.kind = LAPIC_NOTHING};
	vector_put(l, APIC_ISR, (unsigned)vector, false);
	return (struct lapic_effect){
		.kind = LAPIC_EOI,
		.eoi_vector = (uint8_t)vector,
		.eoi_level = vector_test(l, APIC_TMR, (unsigned)vector),
	};
}

uint32_t lapic_cr8(const struct lapic *l)
{
	return get(l, APIC_TPR) >> 4;
}

void lapic_set_cr8(struct lapic *l, uint32_t cr8)
{
	set(l, APIC_TPR, (cr8 & 0xf) << 4);
}

/* ---- messages ---- */

/* "Logical Destination Mode". */
static bool logical_match(const struct lapic *l, uint32_t destination)
{
	uint32_t ldr = get(l, APIC_LDR) >> XAPIC_ID_SHIFT;

	if (lapic_is_x2apic(l)) {
		ldr = get(l, APIC_LDR);
		return ldr >> 16 == destination >> 16 && (ldr & destination & 0xffff);
	}
	if (destination > 0xff)
		return false;
	switch (get(l, APIC_DFR) >> 28) {
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
	if (!lapic_is_on(l))
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
	const uint32_t icr = get(l, APIC_ICR);
	struct lapic_ipi ipi = {
		.delivery = (enum lapic_delivery)(icr >> 8 & 7),
		.shorthand = (enum lapic_shorthand)(icr >> 18 & 3),
		.vector = (uint8_t)icr,
		.logical = icr >> 11 & 1,
		.wide = lapic_is_x2apic(l),
		.destination = lapic_is_x2apic(l) ? get(l, X2APIC_ICR_HIGH) : get(l, APIC_ICR_HIGH) >> XAPIC_ID_SHIFT,
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
		if ((icr & (ICR_LEVEL_TRIGGERED | APIC_ICR_ASSERT)) == ICR_LEVEL_TRIGGERED || to_self)
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
	return (l->timer_lvt & LVT_TIMER_MODE) == LVT_TSC_DEADLINE;
}

static bool is_periodic(const struct lapic *l)
{
	return (l->timer_lvt & LVT_TIMER_MODE) == LVT_PERIODIC;
}

static bool is_timer_masked(const struct lapic *l)
{
	return l->timer_lvt & APIC_LVT_MASKED;
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
	return !is_timer_masked(l) && lapic_accept(l, (uint8_t)l->timer_lvt, false);
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

	l->timer_lvt = value;
	set(l, APIC_LVT_TIMER, value);
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

/* Most registers lie in the page as they read. */
static uint64_t load(const struct lapic *l, uint32_t offset, uint64_t now_tsc)
{
	switch (offset) {
	case APIC_PPR:
		return lapic_ppr(l);
	case APIC_EOI:
	case APIC_SELF_IPI:
		return 0;
	case APIC_ICR:
		return get(l, APIC_ICR) | (lapic_is_x2apic(l) ? (uint64_t)get(l, X2APIC_ICR_HIGH) << 32 : 0);
	case APIC_TIMER_CURRENT:
		return is_deadline_mode(l) ? 0 : timer_count(l, now_tsc);
	}
	if (offset >= APIC_IRR && offset < APIC_ESR)
		return requests(l, (offset - APIC_IRR) / APIC_REGISTER_STRIDE);
	return get(l, offset);
}

/* "Local APIC State After It Has Been Software Disabled". */
static void mask_all(struct lapic *l)
{
	for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
		set(l, lvt_offset(i), lapic_lvt(l, i) | APIC_LVT_MASKED);
	l->timer_lvt |= APIC_LVT_MASKED;
}

/* value: only bits that are writable. The register in the page may hold it already, reserved bits and all: what was in
 * force before comes from the fields. */
static struct lapic_effect store(struct lapic *l, uint32_t offset, uint64_t value, uint64_t now_tsc)
{
	struct lapic_effect effect = {.kind = LAPIC_NOTHING};
	uint32_t low = (uint32_t)value;

	switch (offset) {
	case APIC_ID: /* read-only, but the CPU may have put the value into the page */
		show_id(l);
		break;
	case APIC_EOI:
		return end_of_interrupt(l);
	case APIC_TPR:
	case APIC_LDR:
	case APIC_ICR_HIGH:
		set(l, offset, low);
		break;
	case APIC_DFR:
		set(l, offset, low | 0x0fffffff);
		break;
	case APIC_SVR:
		lapic_timer_fire(l, now_tsc);
		set(l, offset, low);
		l->software_enabled = low & APIC_SVR_ENABLE;
		if (!l->software_enabled)
			mask_all(l);
		effect.kind = LAPIC_TIMER;
		break;
	case APIC_ESR:
		set(l, offset, l->esr_latent);
		l->esr_latent = 0;
		break;
	case APIC_ICR:
		set(l, offset, low);
		if (lapic_is_x2apic(l))
			set(l, X2APIC_ICR_HIGH, (uint32_t)(value >> 32));
		return icr_send(l);
	case APIC_LVT_THERMAL:
	case APIC_LVT_PERFMON:
	case APIC_LVT_LINT0:
	case APIC_LVT_LINT1:
	case APIC_LVT_ERROR:
		set(l, offset, l->software_enabled ? low : low | APIC_LVT_MASKED);
		break;
	case APIC_LVT_TIMER:
		lapic_timer_fire(l, now_tsc);
		timer_lvt_write(l, l->software_enabled ? low : low | APIC_LVT_MASKED);
		effect.kind = LAPIC_TIMER;
		break;
	case APIC_TIMER_INITIAL:
		if (is_deadline_mode(l)) {
			set(l, offset, l->timer_initial);
			break;
		}
		lapic_timer_fire(l, now_tsc);
		l->timer_initial = low;
		set(l, offset, low);
		timer_start(l, low, now_tsc);
		effect.kind = LAPIC_TIMER;
		break;
	case APIC_TIMER_DIVIDE:
		lapic_timer_fire(l, now_tsc);
		timer_start(l, timer_count(l, now_tsc), now_tsc);
		l->timer_divide = low;
		set(l, offset, low);
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

bool lapic_msr_is_readable(uint32_t msr)
{
	return msr >= MSR_IA32_X2APIC_FIRST && msr <= MSR_IA32_X2APIC_LAST &&
	       rule_find((msr - MSR_IA32_X2APIC_FIRST) * APIC_REGISTER_STRIDE, X2R);
}

bool lapic_rdmsr(const struct lapic *l, uint32_t msr, uint64_t now_tsc, uint64_t *value)
{
	uint32_t offset = (msr - MSR_IA32_X2APIC_FIRST) * APIC_REGISTER_STRIDE;

	if (!lapic_is_x2apic(l) || !lapic_msr_is_readable(msr))
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
