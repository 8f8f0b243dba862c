#include "hv/knobs.h"

#include "hv/log.h"
#include "hv/percpu.h"
#include "hv/regime.h"
#include "hv/trace.h"
#include "hv/vm.h"

/* Puts the knobs in force; the number that every pCPU has answered for is returned. The bit never promises a flush that
 * is not given: flushing begins before it appears and ends after it has gone. */
static uint64_t regime_change(const struct knobs *knobs, bool force)
{
	uint64_t gen;
	const bool shown_before = mitigation_skip_l1dfl(&regime_now()->mitigation);
	const struct mitigation after = mitigation_select(regime_machine(), knobs);
	const bool shown_after = mitigation_skip_l1dfl(&after);

	if (shown_before && !shown_after)
		vm_caps_set_skip_all(false);
	gen = regime_set(knobs);
	if (!shown_before && shown_after)
		vm_caps_set_skip_all(true);
	if (force)
		vm_caps_force_all(shown_after);
	return gen;
}

void knobs_set(enum knob knob, uint8_t value, bool force)
{
	struct knobs knobs = regime_now()->knobs;
	const uint8_t old = knobs.value[knob];

	knobs.value[knob] = value;
	trace_knob(percpu_this(), regime_gen(), knob, old, value, false, force);

	const uint64_t gen = regime_change(&knobs, force);

	if (knob == KNOB_LOGLEVEL)
		log_level_set((enum log_level)value);
	trace_knob(percpu_this(), gen, knob, old, value, true, force);
}

void knobs_set_all(const struct knobs *wanted)
{
	for (unsigned knob = 0; knob < KNOB_COUNT; knob++)
		if (regime_now()->knobs.value[knob] != wanted->value[knob])
			knobs_set((enum knob)knob, wanted->value[knob], false);
}
