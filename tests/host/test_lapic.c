#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/apic.h"
#include "arch/defs/msr.h"
#include "hv/policy/lapic.h"

#define COUNT(array) ((unsigned)(sizeof(array) / sizeof((array)[0])))

#define TPR     0x080u
#define APR     0x090u
#define PPR     0x0a0u
#define RRD     0x0c0u
#define LDR     0x0d0u
#define DFR     0x0e0u
#define ISR     0x100u
#define TMR     0x180u
#define IRR     0x200u
#define ESR     0x280u
#define INITIAL 0x380u
#define CURRENT 0x390u
#define DIVIDE  0x3e0u
#define SELF    0x3f0u

#define MSR_OF(offset) (MSR_IA32_X2APIC_FIRST + (offset) / 16)

static uint64_t random_state = 1;

static uint32_t next_random(void)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(random_state >> 32);
}

/* A page that nobody has used for a while. */
static _Atomic uint32_t *next_page(void)
{
	static _Atomic uint32_t pages[8][LAPIC_PAGE_BYTES / sizeof(uint32_t)];
	static unsigned next;

	return pages[next++ % COUNT(pages)];
}

static struct lapic copy(const struct lapic *l)
{
	struct lapic other;

	memcpy(&other, l, sizeof(other)); /* padding too */
	other.page = next_page();
	memcpy(other.page, l->page, LAPIC_PAGE_BYTES);
	return other;
}

static void assert_same(const struct lapic *a, const struct lapic *b)
{
	struct lapic fields;

	memcpy(&fields, b, sizeof(fields));
	fields.page = a->page;
	assert_memory_equal(a, &fields, sizeof(fields));
	assert_memory_equal(a->page, b->page, LAPIC_PAGE_BYTES);
}

static struct lapic make_power_up(uint32_t id, unsigned tsc_per_count)
{
	struct lapic l;

	memset(&l, 0xa5, sizeof(l));
	l.page = next_page();
	lapic_reset(&l, id, id == 0, tsc_per_count);
	return l;
}

static struct lapic make(uint32_t id, bool x2apic)
{
	struct lapic l = make_power_up(id, 1);

	if (x2apic)
		assert_true(lapic_base_write(&l, l.base | APIC_BASE_X2APIC_ENABLE));
	return l;
}

static struct lapic_effect put(struct lapic *l, uint32_t offset, uint64_t value, uint64_t now)
{
	struct lapic_effect effect = {.kind = LAPIC_NOTHING};

	if (lapic_is_x2apic(l))
		assert_true(lapic_wrmsr(l, MSR_OF(offset), value, now, &effect));
	else
		effect = lapic_write(l, offset, (uint32_t)value, now);
	return effect;
}

static uint64_t get(struct lapic *l, uint32_t offset, uint64_t now)
{
	uint64_t value = 0;

	if (!lapic_is_x2apic(l))
		return lapic_read(l, offset, now);
	assert_true(lapic_rdmsr(l, MSR_OF(offset), now, &value));
	return value;
}

static struct lapic make_enabled(uint32_t id, bool x2apic)
{
	struct lapic l = make(id, x2apic);

	put(&l, APIC_SVR, APIC_SVR_ENABLE | 0xff, 0);
	return l;
}

static uint32_t errors(struct lapic *l)
{
	put(l, ESR, 0, 0);
	return (uint32_t)get(l, ESR, 0);
}

/* ---- power-up, INIT, modes ---- */

static void power_up(void **state)
{
	struct lapic l = make(3, false);

	(void)state;
	assert_int_equal(l.base, 0xfee00000ull | APIC_BASE_ENABLE);
	assert_int_equal(make(0, false).base, 0xfee00000ull | APIC_BASE_ENABLE | APIC_BASE_BSP);
	assert_int_equal(get(&l, APIC_ID, 0), 3u << 24);
	assert_int_equal(get(&l, APIC_VERSION, 0), 0x50014);
	assert_int_equal(APIC_VERSION_MAX_LVT(get(&l, APIC_VERSION, 0)), LAPIC_LVT_COUNT - 1);
	assert_int_equal(get(&l, APIC_SVR, 0), 0xff);
	assert_int_equal(get(&l, DFR, 0), 0xffffffff);
	for (uint32_t lvt = APIC_LVT_TIMER; lvt <= APIC_LVT_ERROR; lvt += 16)
		assert_int_equal(get(&l, lvt, 0), APIC_LVT_MASKED);
	for (uint32_t offset = ISR; offset < ESR; offset += 16)
		assert_int_equal(get(&l, offset, 0), 0);
	assert_int_equal(lapic_pending(&l), -1);
	assert_true(lapic_timer_left(&l, 0) == LAPIC_TIMER_NEVER);
}

static void init_keeps_id_and_mode(void **state)
{
	(void)state;
	for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
		struct lapic l = make_enabled(5, x2apic), fresh = make(5, x2apic);

		lapic_accept(&l, 0x40, true);
		lapic_take(&l, 0x40);
		lapic_accept(&l, 0x30, false);
		put(&l, TPR, 0x55, 0);
		put(&l, APIC_LVT_TIMER, 0x20040, 7);
		put(&l, INITIAL, 1000, 7);
		put(&l, APIC_ICR, 0x4041, 7);
		lapic_init(&l);
		assert_same(&l, &fresh);
	}
}

/* The four values of the two mode bits; 2 (x2APIC without enable) is no mode. */
static uint64_t base_of(unsigned mode)
{
	return LAPIC_PAGE_GPA | (mode & 1 ? APIC_BASE_ENABLE : 0) | (mode & 2 ? APIC_BASE_X2APIC_ENABLE : 0);
}

static void mode_transitions(void **state)
{
	/* allowed[from][to]: 0 disabled, 1 xAPIC, 2 none, 3 x2APIC. SDM vol. 3A, "x2APIC State Transitions". */
	static const bool allowed[4][4] = {{1, 1, 0, 0}, {1, 1, 0, 1}, {0, 0, 0, 0}, {1, 0, 0, 1}};

	(void)state;
	for (unsigned from = 0; from < 4; from++)
		for (unsigned to = 0; to < 4 && from != 2; to++) {
			struct lapic l = make_enabled(1, false), before;

			if (from == 3)
				l = make_enabled(1, true);
			lapic_accept(&l, 0x99, false);
			put(&l, TPR, 0x20, 0);
			if (from == 0)
				assert_true(lapic_base_write(&l, base_of(0)));
			before = copy(&l);
			assert_int_equal(lapic_base_write(&l, base_of(to)), allowed[from][to]);
			if (!allowed[from][to]) {
				assert_same(&l, &before);
				continue;
			}
			assert_true(l.base == base_of(to));
			assert_int_equal(lapic_is_x2apic(&l), to == 3);
			assert_int_equal(lapic_has_page(&l), to == 1);
			/* What was pending survives the change to x2APIC mode, and nothing else. */
			assert_int_equal(lapic_pending(&l), from && to ? 0x99 : -1);
			assert_int_equal(lapic_cr8(&l), from && to ? 2 : 0);
		}
}

static void base_reserved_bits(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		struct lapic l = make(0, false);
		bool good = bit == 8 || bit == 10 || bit == 11;

		assert_int_equal(lapic_base_write(&l, l.base ^ 1ull << bit), good);
	}
}

static void x2apic_takes_no_old_destination(void **state)
{
	struct lapic l = make_enabled(0, false);

	(void)state;
	put(&l, APIC_ICR_HIGH, 0x07000000, 0);
	assert_true(lapic_base_write(&l, l.base | APIC_BASE_X2APIC_ENABLE));
	assert_int_equal(get(&l, APIC_ICR, 0) >> 32, 0);
}

/* ---- registers ---- */

static const struct known {
	uint16_t offset, count;
	bool x2read, x2write, xapic;
	uint32_t x2reserved_free; /* bits that WRMSR may hold */
} known[] = {
	{APIC_ID, 1, true, false, true, 0},
	{APIC_VERSION, 1, true, false, true, 0},
	{TPR, 1, true, true, true, 0xff},
	{APR, 1, false, false, true, 0},
	{PPR, 1, true, false, true, 0},
	{APIC_EOI, 1, false, true, true, 0},
	{RRD, 1, false, false, true, 0},
	{LDR, 1, true, false, true, 0},
	{DFR, 1, false, false, true, 0},
	{APIC_SVR, 1, true, true, true, 0x1ff},
	{ISR, 8, true, false, true, 0},
	{TMR, 8, true, false, true, 0},
	{IRR, 8, true, false, true, 0},
	{ESR, 1, true, true, true, 0},
	{APIC_ICR, 1, true, true, true, 0xccfff},
	{APIC_ICR_HIGH, 1, false, false, true, 0},
	{APIC_LVT_TIMER, 1, true, true, true, 0x710ff},
	{APIC_LVT_THERMAL, 1, true, true, true, 0x117ff},
	{APIC_LVT_PERFMON, 1, true, true, true, 0x117ff},
	{APIC_LVT_LINT0, 1, true, true, true, 0x1f7ff},
	{APIC_LVT_LINT1, 1, true, true, true, 0x1f7ff},
	{APIC_LVT_ERROR, 1, true, true, true, 0x110ff},
	{INITIAL, 1, true, true, true, 0xffffffff},
	{CURRENT, 1, true, false, true, 0},
	{DIVIDE, 1, true, true, true, 0xb},
	{SELF, 1, false, true, false, 0xff},
};

static const struct known *find_known(uint32_t offset)
{
	for (unsigned i = 0; i < COUNT(known); i++)
		if (offset >= known[i].offset && offset < known[i].offset + known[i].count * 16u)
			return &known[i];
	return NULL;
}

static void every_offset_of_the_page(void **state)
{
	(void)state;
	for (uint32_t offset = 0; offset < 4096; offset++) {
		struct lapic l = make_enabled(0, false);
		const struct known *k = find_known(offset);
		bool bad = offset % 16 == 0 && !(k && k->xapic);

		lapic_read(&l, offset, 0);
		assert_int_equal(errors(&l), bad ? 0x80 : 0);
		if (offset == APIC_ICR)
			continue; /* a vector of 0 is an error of another kind */
		lapic_write(&l, offset, 0, 0);
		assert_int_equal(errors(&l), bad ? 0x80 : 0);
		/* Read-only bits and unused bytes keep their value. */
		if (offset % 16 || (k && !k->x2write && offset != LDR && offset != DFR && offset != APIC_ICR_HIGH)) {
			struct lapic before = copy(&l);

			lapic_write(&l, offset, 0xffffffff, 0);
			if (!bad)
				assert_same(&l, &before);
		}
	}
}

static void every_msr(void **state)
{
	(void)state;
	for (uint32_t msr = 0x700; msr < 0xa00; msr++) {
		struct lapic l = make_enabled(0, true), x = make_enabled(0, false), before = copy(&l);
		const struct known *k = msr >= 0x800 && msr < 0x900 ? find_known((msr - 0x800) * 16) : NULL;
		struct lapic_effect effect;
		uint64_t value = 0x1234;

		assert_int_equal(lapic_rdmsr(&l, msr, 0, &value), k && k->x2read);
		if (!(k && k->x2read))
			assert_int_equal(value, 0x1234);
		assert_int_equal(lapic_wrmsr(&l, msr, 0, 0, &effect), k && k->x2write);
		assert_false(lapic_rdmsr(&x, msr, 0, &value));
		assert_false(lapic_wrmsr(&x, msr, 0, 0, &effect));
		for (unsigned bit = 0; bit < 64; bit++) {
			uint64_t mask = k ? k->x2reserved_free : 0;

			if (msr == MSR_OF(APIC_ICR))
				mask |= 0xffffffff00000000ull;
			mask &= ~(msr == MSR_OF(APIC_ICR) ? 0x1000ull : 0);
			l = copy(&before);
			assert_int_equal(lapic_wrmsr(&l, msr, 1ull << bit, 0, &effect),
					 k && k->x2write && (mask >> bit & 1));
			if (!(k && k->x2write && (mask >> bit & 1)))
				assert_same(&l, &before);
		}
	}
}

/* What is written reads back, in the bits that exist. */
static void registers_keep_values(void **state)
{
	static const struct {
		uint32_t offset, mask;
	} kept[] = {
		{TPR, 0xff},
		{APIC_SVR, 0x1ff},
		{APIC_LVT_TIMER, 0x700ff},
		{APIC_LVT_THERMAL, 0x107ff},
		{APIC_LVT_PERFMON, 0x107ff},
		{APIC_LVT_LINT0, 0x1a7ff},
		{APIC_LVT_LINT1, 0x1a7ff},
		{APIC_LVT_ERROR, 0x100ff},
		{DIVIDE, 0xb},
		{APIC_ICR_HIGH, 0xff000000},
		{LDR, 0xff000000},
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(kept); i++)
		for (unsigned n = 0; n < 1000; n++) {
			struct lapic l = make_enabled(0, false);
			uint32_t value = next_random();

			lapic_write(&l, kept[i].offset, value, 0);
			assert_int_equal(lapic_read(&l, kept[i].offset, 0), value & kept[i].mask);
			if (kept[i].offset == LDR || kept[i].offset == APIC_ICR_HIGH)
				continue;
			l = make_enabled(0, true);
			put(&l, kept[i].offset, value & kept[i].mask, 0);
			assert_int_equal(get(&l, kept[i].offset, 0), value & kept[i].mask);
		}
}

static void no_page_answers_ones(void **state)
{
	struct lapic l = make_enabled(2, true), before = copy(&l);

	(void)state;
	assert_int_equal(lapic_read(&l, APIC_ID, 0), 0xffffffff);
	lapic_write(&l, TPR, 0x30, 0);
	assert_same(&l, &before);
}

static void software_disable_masks(void **state)
{
	struct lapic l = make_enabled(0, false);

	(void)state;
	put(&l, APIC_LVT_LINT0, 0x700, 0);
	lapic_accept(&l, 0x50, false);
	assert_int_equal(lapic_pending(&l), 0x50);
	put(&l, APIC_SVR, 0xff, 0);
	assert_int_equal(get(&l, APIC_LVT_LINT0, 0), 0x10700);
	put(&l, APIC_LVT_LINT0, 0x700, 0);
	assert_int_equal(get(&l, APIC_LVT_LINT0, 0), 0x10700);
	assert_int_equal(lapic_pending(&l), -1);
	assert_false(lapic_accept(&l, 0x60, false));
	put(&l, APIC_SVR, 0x1ff, 0);
	assert_int_equal(lapic_pending(&l), 0x50);
	assert_int_equal(get(&l, APIC_LVT_LINT0, 0), 0x10700);
}

/* ---- priorities ---- */

/* One in IRR, one in ISR, each TPR. */
static void priorities_exhaustive(void **state)
{
	static const int vectors[] = {-1, 0x10, 0x1f, 0x20, 0x2f, 0x30, 0x80, 0x8f, 0xf0, 0xff};

	(void)state;
	for (unsigned i = 0; i < COUNT(vectors); i++)
		for (unsigned s = 0; s < COUNT(vectors); s++)
			for (unsigned tpr = 0; tpr < 256; tpr++) {
				struct lapic l = make_enabled(0, false);
				unsigned isr_class, ppr;

				if (vectors[s] >= 0) {
					lapic_accept(&l, (uint8_t)vectors[s], false);
					lapic_take(&l, (uint8_t)vectors[s]);
				}
				if (vectors[i] >= 0)
					lapic_accept(&l, (uint8_t)vectors[i], false);
				put(&l, TPR, tpr, 0);
				isr_class = vectors[s] < 0 ? 0 : (unsigned)vectors[s] / 16;
				ppr = tpr / 16 >= isr_class ? tpr : isr_class * 16;
				assert_int_equal(lapic_ppr(&l), ppr);
				assert_int_equal(get(&l, PPR, 0), ppr);
				assert_int_equal(lapic_cr8(&l), tpr / 16);
				if (vectors[i] >= 0 && (unsigned)vectors[i] / 16 > tpr / 16 &&
				    (unsigned)vectors[i] / 16 > isr_class)
					assert_int_equal(lapic_pending(&l), vectors[i]);
				else
					assert_int_equal(lapic_pending(&l), -1);
			}
}

/* The naive model: a byte for each vector, searched from the top. */
struct model {
	uint8_t irr[256], isr[256], tmr[256];
	unsigned tpr;
};

static int top(const uint8_t *set)
{
	for (int v = 255; v >= 0; v--)
		if (set[v])
			return v;
	return -1;
}

static int model_pending(const struct model *m)
{
	int v = top(m->irr), s = top(m->isr);

	return v >= 0 && v / 16 > (int)m->tpr / 16 && (s < 0 || v / 16 > s / 16) ? v : -1;
}

static void random_operations(void **state)
{
	(void)state;
	for (unsigned x2apic = 0; x2apic < 2; x2apic++) {
		struct lapic l = make_enabled(0, x2apic);
		static struct model m;
		struct lapic_effect effect;

		memset(&m, 0, sizeof(m));
		for (unsigned n = 0; n < 200000; n++) {
			uint8_t vector = (uint8_t)next_random();
			bool level = next_random() & 1;
			int pending = lapic_pending(&l), served;

			assert_int_equal(pending, model_pending(&m));
			switch (next_random() % 5) {
			case 0:
				assert_int_equal(lapic_accept(&l, vector, level), vector >= 16);
				if (vector >= 16) {
					m.irr[vector] = 1;
					m.tmr[vector] = level;
				}
				break;
			case 1:
				if (pending < 0)
					break;
				lapic_take(&l, (uint8_t)pending);
				m.irr[pending] = 0;
				m.isr[pending] = 1;
				break;
			case 2:
				served = top(m.isr);
				effect = put(&l, APIC_EOI, 0, 0);
				assert_int_equal(effect.kind, served < 0 ? LAPIC_NOTHING : LAPIC_EOI);
				if (served < 0)
					break;
				assert_int_equal(effect.eoi_vector, served);
				assert_int_equal(effect.eoi_level, m.tmr[served]);
				m.isr[served] = 0;
				break;
			case 3:
				put(&l, TPR, vector, 0);
				m.tpr = vector;
				break;
			default:
				lapic_set_cr8(&l, vector % 16);
				m.tpr = vector % 16 * 16u;
				assert_int_equal(get(&l, TPR, 0), m.tpr);
			}
			vector = (uint8_t)next_random();
			assert_int_equal(get(&l, IRR + vector / 32 * 16u, 0) >> vector % 32 & 1, m.irr[vector]);
			assert_int_equal(get(&l, ISR + vector / 32 * 16u, 0) >> vector % 32 & 1, m.isr[vector]);
			assert_int_equal(get(&l, TMR + vector / 32 * 16u, 0) >> vector % 32 & 1, m.tmr[vector]);
		}
	}
}

/* ---- the page as the CPU serves it ---- */

static void set_page(struct lapic *l, uint32_t offset, uint32_t value)
{
	atomic_store(&l->page[offset / 4], value);
}

static uint32_t get_page(const struct lapic *l, uint32_t offset)
{
	return atomic_load(&l->page[offset / 4]);
}

/* What lapic_write() makes of a register does not depend on whether the CPU has put the value there before. */
static void written_before_it_is_judged(void **state)
{
	static const uint16_t offsets[] = {APIC_ID,
					   LDR,
					   DFR,
					   APIC_SVR,
					   ESR,
					   APIC_ICR,
					   APIC_LVT_TIMER,
					   APIC_LVT_THERMAL,
					   APIC_LVT_PERFMON,
					   APIC_LVT_LINT0,
					   APIC_LVT_LINT1,
					   APIC_LVT_ERROR,
					   INITIAL,
					   DIVIDE};

	(void)state;
	for (unsigned run = 0; run < 300; run++) {
		struct lapic told = make(3, false), put_there = copy(&told);
		uint64_t now = 1000;

		for (unsigned n = 0; n < 100; n++) {
			uint32_t offset = offsets[next_random() % COUNT(offsets)], value = next_random();
			struct lapic_effect a, b;

			now += next_random() % 64;
			if (offset == INITIAL)
				value %= 64;
			if (offset == APIC_SVR && n % 4)
				value |= APIC_SVR_ENABLE;
			a = lapic_write(&told, offset, value, now);
			set_page(&put_there, offset, value);
			b = lapic_write(&put_there, offset, value, now);
			assert_int_equal(a.kind, b.kind);
			if (a.kind == LAPIC_SEND)
				assert_memory_equal(&a.ipi, &b.ipi, sizeof(a.ipi));
			assert_same(&told, &put_there);
		}
	}
}

/* All that the CPU reads for the guest lies in the page as lapic_read() and lapic_rdmsr() give it. */
static void page_reads_the_same(void **state)
{
	(void)state;
	for (unsigned x2apic = 0; x2apic < 2; x2apic++)
		for (unsigned run = 0; run < 100; run++) {
			struct lapic l = make_enabled(next_random() % 200, x2apic);

			for (unsigned n = 0; n < 50; n++) {
				const struct known *k = &known[next_random() % COUNT(known)];

				if (!k->x2write || k->offset == SELF)
					continue;
				put(&l, k->offset, next_random() & k->x2reserved_free & ~0x1000u, n);
				lapic_accept(&l, (uint8_t)next_random(), next_random() & 1);
				if (n % 8 == 0 && lapic_pending(&l) >= 0)
					lapic_take(&l, (uint8_t)lapic_pending(&l));
			}
			lapic_merge(&l);
			for (unsigned i = 0; i < COUNT(known); i++)
				for (uint32_t o = known[i].offset; o < known[i].offset + known[i].count * 16u;
				     o += 16) {
					if (o == PPR || o == CURRENT || !(x2apic ? known[i].x2read : known[i].xapic))
						continue;
					assert_int_equal(get(&l, o, 50),
							 get_page(&l, o) |
								 (x2apic ? (uint64_t)get_page(&l, o + 4) << 32 : 0));
				}
		}
}

/* What arrives is seen by all, but leaves IRR in the page alone until its owner joins the two. */
static void posted_until_merged(void **state)
{
	struct lapic l = make_enabled(0, false);

	(void)state;
	lapic_accept(&l, 0x51, false);
	assert_int_equal(get_page(&l, IRR + 0x20), 0);
	assert_int_equal(get(&l, IRR + 0x20, 0), 1u << 17);
	assert_int_equal(lapic_requested(&l), 0x51);
	assert_int_equal(lapic_pending(&l), 0x51);
	set_page(&l, IRR + 0x70, 1u << 31); /* by the CPU: a self-IPI */
	assert_int_equal(lapic_requested(&l), 0xff);
	lapic_merge(&l);
	assert_int_equal(get_page(&l, IRR + 0x20), 1u << 17);
	assert_int_equal(get_page(&l, IRR + 0x70), 1u << 31);
	set_page(&l, IRR + 0x20, 0); /* by the CPU: delivered */
	lapic_merge(&l);
	assert_int_equal(get_page(&l, IRR + 0x20), 0);
	assert_int_equal(lapic_in_service(&l), -1);
	lapic_take(&l, 0xff);
	assert_int_equal(lapic_requested(&l), -1);
	assert_int_equal(lapic_in_service(&l), 0xff);
}

/* Whatever is pending, taking it and putting it back leaves all as it was. */
static void put_back_undoes_take(void **state)
{
	(void)state;
	for (unsigned run = 0; run < 1000; run++) {
		struct lapic l = make_enabled(0, run & 1), before;

		for (unsigned n = 0; n < 6; n++) {
			lapic_accept(&l, (uint8_t)(16 + next_random() % 240), false);
			if (n % 2 && lapic_pending(&l) >= 0)
				lapic_take(&l, (uint8_t)lapic_pending(&l));
		}
		lapic_merge(&l);
		before = copy(&l);
		if (lapic_pending(&l) < 0)
			continue;
		lapic_take(&l, (uint8_t)lapic_pending(&l));
		lapic_put_back(&l);
		assert_same(&l, &before);
	}
}

/* ---- errors ---- */

static void illegal_vectors(void **state)
{
	(void)state;
	for (unsigned vector = 0; vector < 32; vector++) {
		struct lapic l = make_enabled(0, true);
		bool legal = vector >= 16;

		assert_int_equal(lapic_accept(&l, (uint8_t)vector, false), legal);
		assert_int_equal(errors(&l), legal ? 0 : 0x40);
		assert_int_equal(put(&l, APIC_ICR, vector, 0).kind, legal ? LAPIC_SEND : LAPIC_NOTHING);
		assert_int_equal(errors(&l), legal ? 0 : 0x20);
		assert_int_equal(put(&l, SELF, vector, 0).kind, legal ? LAPIC_SEND : LAPIC_NOTHING);
		assert_int_equal(errors(&l), legal ? 0 : 0x20);
		/* A SIPI's vector is a page. */
		assert_int_equal(put(&l, APIC_ICR, 0x4600 | vector, 0).kind, LAPIC_SEND);
		assert_int_equal(errors(&l), 0);
	}
}

static void error_interrupt(void **state)
{
	struct lapic l = make_enabled(0, false);

	(void)state;
	put(&l, APIC_LVT_ERROR, 0x33, 0);
	lapic_accept(&l, 3, false);
	assert_int_equal(get(&l, ESR, 0), 0); /* until it is written */
	assert_int_equal(lapic_pending(&l), 0x33);
	assert_int_equal(errors(&l), 0x40);
	assert_int_equal(errors(&l), 0);
	put(&l, APIC_LVT_ERROR, 0x03, 0);
	lapic_read(&l, 0x3f0, 0);
	assert_int_equal(errors(&l), 0x80 | 0x40);
}

/* ---- messages ---- */

static void icr_effects(void **state)
{
	(void)state;
	for (unsigned x2apic = 0; x2apic < 2; x2apic++)
		for (unsigned n = 0; n < 8 * 4 * 2 * 2 * 2; n++) {
			struct lapic l = make_enabled(0, x2apic);
			unsigned delivery = n & 7, shorthand = n >> 3 & 3, logical = n >> 5 & 1, assert_ = n >> 6 & 1,
				 level = n >> 7;
			uint32_t icr =
				0x77 | delivery << 8 | logical << 11 | assert_ << 14 | level << 15 | shorthand << 18;
			bool sends = delivery == 0 || delivery == 1 || (delivery >= 4 && delivery <= 6);
			bool to_self = shorthand == 1 || shorthand == 2;
			struct lapic_effect effect;

			sends &= !(delivery == 5 && level && !assert_);
			sends &= !(to_self && delivery != 0 && delivery != 4);
			if (!x2apic)
				put(&l, APIC_ICR_HIGH, 0x05000000, 0);
			effect = put(&l, APIC_ICR, x2apic ? 5ull << 32 | icr : icr, 0);
			assert_int_equal(effect.kind, sends ? LAPIC_SEND : LAPIC_NOTHING);
			assert_int_equal((uint32_t)get(&l, APIC_ICR, 0), icr);
			if (!sends)
				continue;
			assert_int_equal(effect.ipi.delivery, delivery);
			assert_int_equal(effect.ipi.shorthand, shorthand);
			assert_int_equal(effect.ipi.vector, 0x77);
			assert_int_equal(effect.ipi.logical, logical);
			assert_int_equal(effect.ipi.destination, 5);
			assert_int_equal(effect.ipi.wide, x2apic);
		}
}

static void targets_by_shorthand(void **state)
{
	(void)state;
	for (uint32_t id = 0; id < 20; id++)
		for (uint32_t sender = 0; sender < 20; sender++) {
			struct lapic l = make(id, id & 1);
			struct lapic_ipi ipi = {.delivery = LAPIC_NMI};

			ipi.shorthand = LAPIC_TO_SELF;
			assert_int_equal(lapic_is_target(&l, &ipi, sender), id == sender);
			ipi.shorthand = LAPIC_TO_OTHERS;
			assert_int_equal(lapic_is_target(&l, &ipi, sender), id != sender);
			ipi.shorthand = LAPIC_TO_ALL;
			assert_true(lapic_is_target(&l, &ipi, sender));
			lapic_base_write(&l, LAPIC_PAGE_GPA);
			assert_false(lapic_is_target(&l, &ipi, sender));
		}
}

static void targets_by_destination(void **state)
{
	(void)state;
	for (uint32_t id = 0; id < 40; id++)
		for (uint32_t destination = 0; destination < 256; destination++) {
			struct lapic x = make(id, false), x2 = make(id, true);
			struct lapic_ipi ipi = {.destination = destination};
			uint32_t ldr = next_random() & 0xff;
			bool everybody = destination == 0xff;

			assert_int_equal(lapic_is_target(&x, &ipi, 0), everybody || id == destination);
			ipi.wide = true;
			assert_int_equal(lapic_is_target(&x2, &ipi, 0), id == destination);
			ipi.wide = false;
			ipi.logical = true;
			put(&x, LDR, ldr << 24, 0);
			assert_int_equal(lapic_is_target(&x, &ipi, 0), everybody || (ldr & destination));
			put(&x, DFR, 0, 0);
			assert_int_equal(lapic_is_target(&x, &ipi, 0),
					 everybody || (ldr / 16 == destination / 16 && (ldr & destination & 15)));
			/* Clusters of 16, and a bit for each of them. */
			ipi.wide = true;
			ipi.destination = (destination & 3) << 16 | 1u << (destination >> 2 & 15);
			assert_int_equal(lapic_is_target(&x2, &ipi, 0),
					 id / 16 == (destination & 3) && id % 16 == (destination >> 2 & 15));
			assert_int_equal(get(&x2, LDR, 0), id / 16 << 16 | 1u << id % 16);
			ipi.destination = 0xffffffff;
			assert_true(lapic_is_target(&x2, &ipi, 0));
			ipi.logical = false;
			assert_true(lapic_is_target(&x2, &ipi, 0));
		}
}

/* ---- timer ---- */

static unsigned divisor(uint32_t code)
{
	switch (code & 0xb) {
	case 0x0:
		return 2;
	case 0x1:
		return 4;
	case 0x2:
		return 8;
	case 0x3:
		return 16;
	case 0x8:
		return 32;
	case 0x9:
		return 64;
	case 0xa:
		return 128;
	default:
		return 1;
	}
}

/* The naive timer goes one TSC tick at a time. */
struct slow_timer {
	uint32_t initial, count, divide, lvt;
	unsigned phase;
	uint64_t deadline;
	bool due;
};

static void slow_tick(struct slow_timer *t, uint64_t now, unsigned ratio)
{
	unsigned mode = t->lvt >> 17 & 3;

	if (mode == 2) {
		if (t->deadline && now >= t->deadline) {
			t->deadline = 0;
			t->due |= !(t->lvt & APIC_LVT_MASKED);
		}
		return;
	}
	if (!t->count || ++t->phase < ratio * divisor(t->divide))
		return;
	t->phase = 0;
	if (--t->count)
		return;
	t->due |= !(t->lvt & APIC_LVT_MASKED);
	if (mode == 1)
		t->count = t->initial;
}

static void slow_write(struct slow_timer *t, uint32_t offset, uint32_t value)
{
	switch (offset) {
	case APIC_LVT_TIMER:
		if ((t->lvt >> 17 == 2) != ((value >> 17 & 3) == 2)) {
			t->count = 0;
			t->deadline = 0;
		}
		t->lvt = value;
		t->lvt &= 0x700ff;
		break;
	case INITIAL:
		if ((t->lvt >> 17 & 3) == 2)
			break;
		t->initial = t->count = value;
		t->phase = 0;
		break;
	case DIVIDE:
		t->divide = value;
		t->phase = 0;
		break;
	}
}

static void timer_against_ticks(void **state)
{
	(void)state;
	for (unsigned run = 0; run < 400; run++) {
		unsigned ratio = 1 + next_random() % 5;
		struct slow_timer t = {.lvt = APIC_LVT_MASKED};
		uint64_t now = run % 4 ? 1000 : ~0ull - 500; /* the TSC may wrap while it counts */
		struct lapic l = make_power_up(0, ratio);

		put(&l, APIC_SVR, 0x1ff, now);
		for (unsigned step = 0; step < 3000; step++) {
			uint32_t value = next_random();
			uint64_t left;

			now++;
			slow_tick(&t, now, ratio);
			left = lapic_timer_left(&l, now);
			assert_int_equal(left == 0, t.due);
			/* Looking late is allowed too. */
			if (value % 3) {
				assert_int_equal(lapic_timer_fire(&l, now), t.due);
				assert_false(lapic_timer_fire(&l, now));
				t.due = false;
				left = lapic_timer_left(&l, now);
				assert_int_equal(left == LAPIC_TIMER_NEVER,
						 (t.lvt & APIC_LVT_MASKED) ||
							 ((t.lvt >> 17 & 3) == 2 ? !t.deadline : !t.count));
			}
			assert_int_equal(get(&l, CURRENT, now), (t.lvt >> 17 & 3) == 2 ? 0 : t.count);
			assert_true(lapic_deadline_read(&l, now) == ((t.lvt >> 17 & 3) == 2 ? t.deadline : 0));
			if (next_random() % 40)
				continue;
			if (t.due) {
				assert_true(lapic_timer_fire(&l, now));
				t.due = false;
			}
			switch (value >> 8 & 3) {
			case 0:
				/* Modes 0 to 2, masked now and then. */
				value = (value >> 10) % 3 << 17 | (value >> 20 & 3 ? 0 : APIC_LVT_MASKED) | 0x55;
				assert_int_equal(put(&l, APIC_LVT_TIMER, value, now).kind, LAPIC_TIMER);
				slow_write(&t, APIC_LVT_TIMER, value);
				break;
			case 1:
				value = (value >> 16) % 12;
				put(&l, INITIAL, value, now);
				slow_write(&t, INITIAL, value);
				break;
			case 2:
				value = (value >> 16) & 0xb;
				put(&l, DIVIDE, value, now);
				slow_write(&t, DIVIDE, value);
				break;
			default:
				if (now > ~0ull - 1000)
					break;
				assert_int_equal(lapic_deadline_write(&l, now + 1 + (value >> 16) % 50, now).kind,
						 (t.lvt >> 17 & 3) == 2 ? LAPIC_TIMER : LAPIC_NOTHING);
				if ((t.lvt >> 17 & 3) == 2)
					t.deadline = now + 1 + (value >> 16) % 50;
			}
		}
	}
}

static void timer_late_periods_make_one(void **state)
{
	struct lapic l = make_power_up(0, 10);

	(void)state;
	put(&l, APIC_SVR, 0x1ff, 0);
	put(&l, DIVIDE, 0xb, 0);
	put(&l, APIC_LVT_TIMER, 0x20044, 0);
	put(&l, INITIAL, 100, 5);
	assert_true(lapic_timer_left(&l, 5) == 1000);
	assert_true(lapic_timer_fire(&l, 5 + 7 * 1000 + 300));
	assert_int_equal(lapic_pending(&l), 0x44);
	assert_true(lapic_timer_left(&l, 5 + 7 * 1000 + 300) == 700);
	/* The guest sets its TSC: the count does not notice. */
	lapic_tsc_moved(&l, 0x1000000000);
	assert_true(lapic_timer_left(&l, 5 + 7 * 1000 + 300 + 0x1000000000) == 700);
	/* A pCPU's TSC a little behind: no time has passed. */
	lapic_timer_fire(&l, 5 + 8 * 1000 + 0x1000000000);
	assert_int_equal(get(&l, CURRENT, 8 * 1000 + 0x1000000000), 100);
}

/* The longest that there is does not overflow. */
static void timer_extremes(void **state)
{
	const uint64_t longest = 0xffffffffull * 128 * LAPIC_TSC_PER_COUNT_MAX;
	struct lapic l = make_power_up(0, LAPIC_TSC_PER_COUNT_MAX);

	(void)state;
	put(&l, APIC_SVR, 0x1ff, 0);
	put(&l, APIC_LVT_TIMER, 0x44, 0);
	put(&l, DIVIDE, 0xa, 0);
	put(&l, INITIAL, 0xffffffff, 3);
	assert_true(lapic_timer_left(&l, 3) == longest);
	assert_true(lapic_timer_left(&l, 2 + longest) == 1);
	assert_false(lapic_timer_fire(&l, 2 + longest));
	assert_true(lapic_timer_fire(&l, 3 + longest));
	assert_true(lapic_timer_left(&l, 3 + longest) == LAPIC_TIMER_NEVER);
	put(&l, APIC_LVT_TIMER, 0x40044, 0);
	lapic_deadline_write(&l, ~0ull, 10);
	assert_true(lapic_timer_left(&l, 10) == ~0ull - 10);
	assert_true(lapic_deadline_read(&l, 10) == ~0ull);
	lapic_deadline_write(&l, 0, 10);
	assert_true(lapic_timer_left(&l, 10) == LAPIC_TIMER_NEVER);
	lapic_deadline_write(&l, 5, 10); /* past: at once */
	assert_true(lapic_timer_left(&l, 10) == 0);
	assert_true(lapic_timer_fire(&l, 10));
	put(&l, APIC_LVT_TIMER, 0x40003, 0); /* an illegal vector */
	lapic_deadline_write(&l, 5, 10);
	assert_false(lapic_timer_fire(&l, 10));
	assert_int_equal(errors(&l), 0x40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_up),
		cmocka_unit_test(init_keeps_id_and_mode),
		cmocka_unit_test(mode_transitions),
		cmocka_unit_test(base_reserved_bits),
		cmocka_unit_test(x2apic_takes_no_old_destination),
		cmocka_unit_test(every_offset_of_the_page),
		cmocka_unit_test(every_msr),
		cmocka_unit_test(registers_keep_values),
		cmocka_unit_test(no_page_answers_ones),
		cmocka_unit_test(software_disable_masks),
		cmocka_unit_test(priorities_exhaustive),
		cmocka_unit_test(random_operations),
		cmocka_unit_test(written_before_it_is_judged),
		cmocka_unit_test(page_reads_the_same),
		cmocka_unit_test(posted_until_merged),
		cmocka_unit_test(put_back_undoes_take),
		cmocka_unit_test(illegal_vectors),
		cmocka_unit_test(error_interrupt),
		cmocka_unit_test(icr_effects),
		cmocka_unit_test(targets_by_shorthand),
		cmocka_unit_test(targets_by_destination),
		cmocka_unit_test(timer_against_ticks),
		cmocka_unit_test(timer_late_periods_make_one),
		cmocka_unit_test(timer_extremes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
