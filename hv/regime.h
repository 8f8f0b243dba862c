/* The regime in force: the knobs, the mitigation that follows from them, and its number. A regime never changes once it
 * is published; `set` publishes a new one and waits until every pCPU has taken it up. */
#ifndef HV_REGIME_H
#define HV_REGIME_H

#include <stdint.h>

#include "hv/policy/mitigation.h"

struct regime {
	struct knobs knobs;
	struct mitigation mitigation;
};

/* The first regime, before other pCPUs look. machine stays where it is. */
void regime_init(const struct machine *machine, const struct knobs *knobs);

/* The machine that was given to regime_init(). */
const struct machine *regime_machine(void);

/* The regime in force and the number of the policy. The number is read first: it is never newer than the regime, so a
 * pCPU that reports it has taken up at least that much. An entry calls this once (facts.md, trap 24). */
const struct regime *regime_now(uint64_t *gen);

/* A promise changed: the policy gets a new number. */
void regime_promise_changed(void);

/* Puts new knobs in force. Console only. Returns after every running pCPU has taken the regime up (G5): no entry is
 * made under the old one any more. */
void regime_set(const struct knobs *knobs);

#endif
