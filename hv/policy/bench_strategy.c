#include "hv/policy/bench_strategy.h"

#include "hv/policy/text.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* From the cheapest to the dearest. */
static const struct {
	enum l1d_request mode;
	enum l1d_flush_by by;
} L1D[] = {
	{L1D_REQUEST_NEVER, L1D_FLUSH_BY_WRMSR},    {L1D_REQUEST_COND, L1D_FLUSH_BY_WRMSR},
	{L1D_REQUEST_COND, L1D_FLUSH_BY_MSRLIST},   {L1D_REQUEST_ALWAYS, L1D_FLUSH_BY_WRMSR},
	{L1D_REQUEST_ALWAYS, L1D_FLUSH_BY_MSRLIST},
};
static const enum verw_request VERW[] = {VERW_OFF, VERW_ON};
static const enum fb_clear_dis DIS[] = {FB_CLEAR_DIS_OFF, FB_CLEAR_DIS_CACHED, FB_CLEAR_DIS_TOGGLE,
					FB_CLEAR_DIS_MSRLIST};

_Static_assert(COUNT(L1D) * COUNT(VERW) * COUNT(DIS) == BENCH_STRATEGIES_MAX, "room for all");

static struct knobs with(const struct knobs *base, size_t l1d, enum verw_request verw, enum fb_clear_dis dis)
{
	struct knobs knobs = *base;

	knobs.value[KNOB_VMENTRY_L1D_FLUSH] = (uint8_t)L1D[l1d].mode;
	knobs.value[KNOB_L1D_FLUSH_BY] = (uint8_t)L1D[l1d].by;
	knobs.value[KNOB_VERW] = (uint8_t)verw;
	knobs.value[KNOB_FB_CLEAR_DIS] = (uint8_t)dis;
	return knobs;
}

/* What is asked for comes of it. */
static bool is_had(const struct machine *machine, const struct knobs *knobs)
{
	const struct mitigation m = mitigation_select(machine, knobs);
	const bool wants_list = knobs->value[KNOB_L1D_FLUSH_BY] == L1D_FLUSH_BY_MSRLIST;

	return m.fb_clear_dis == knobs->value[KNOB_FB_CLEAR_DIS] &&
	       (!mitigation_flushes(&m) || m.l1d_by_list == wants_list);
}

static bool is_same(const struct mitigation *a, const struct mitigation *b)
{
	return a->l1d_mode == b->l1d_mode && a->verw == b->verw && a->fb_clear_dis == b->fb_clear_dis &&
	       (!mitigation_flushes(a) || a->l1d_by_list == b->l1d_by_list);
}

/* One more, unless the machine lacks it or it comes to the same as one before. */
static unsigned add(struct knobs *out, unsigned count, const struct machine *machine, struct knobs knobs)
{
	const struct mitigation m = mitigation_select(machine, &knobs);

	for (unsigned i = 0; i < count; i++) {
		const struct mitigation other = mitigation_select(machine, &out[i]);

		if (is_same(&m, &other))
			return count;
	}
	if (count == BENCH_STRATEGIES_MAX)
		return count;
	out[count] = knobs;
	return count + 1;
}

static unsigned add_if_had(struct knobs *out, unsigned count, const struct machine *machine, struct knobs knobs)
{
	return is_had(machine, &knobs) ? add(out, count, machine, knobs) : count;
}

unsigned bench_strategy_all(struct knobs out[BENCH_STRATEGIES_MAX], const struct machine *machine,
			    const struct knobs *base)
{
	unsigned count = 0;

	for (size_t l1d = 0; l1d < COUNT(L1D); l1d++)
		for (size_t verw = 0; verw < COUNT(VERW); verw++)
			for (size_t dis = 0; dis < COUNT(DIS); dis++)
				count = add_if_had(out, count, machine, with(base, l1d, VERW[verw], DIS[dis]));
	return count;
}

unsigned bench_strategy_some(struct knobs out[BENCH_STRATEGIES_MAX], const struct machine *machine,
			     const struct knobs *base)
{
	unsigned count = 0;
	struct knobs dearest = *base;

	for (size_t dis = 0; dis < COUNT(DIS); dis++)
		count = add_if_had(out, count, machine, with(base, 0, VERW_OFF, DIS[dis]));
	count = add(out, count, machine, *base);
	dearest.value[KNOB_VMENTRY_L1D_FLUSH] = L1D_REQUEST_ALWAYS;
	dearest.value[KNOB_VERW] = VERW_ON;
	return add(out, count, machine, dearest);
}

unsigned bench_strategy_dis(struct knobs out[BENCH_STRATEGIES_MAX], const struct machine *machine,
			    const struct knobs *base)
{
	unsigned count = 0;

	for (size_t dis = 0; dis < COUNT(DIS); dis++)
		count = add_if_had(out, count, machine, with(base, 0, VERW_OFF, DIS[dis]));
	return count > 1 ? count : 0;
}

void bench_strategy_name(char *out, size_t size, const struct mitigation *m)
{
	static const char *const MODES[] = {
		[L1D_NEVER] = "never",
		[L1D_COND] = "cond",
		[L1D_ALWAYS] = "always",
		[L1D_NOT_REQUIRED] = "not-required",
	};
	const char *how = !m->l1d_by_msr ? ":soft" : m->l1d_by_list ? ":msrlist" : ":wrmsr";

	text_format(out, size, "l1d:%s%s,verw:%s,dis:%s", MODES[m->l1d_mode], mitigation_flushes(m) ? how : "",
		    m->verw ? "on" : "off", knob_value_name(KNOB_FB_CLEAR_DIS, m->fb_clear_dis));
}
