/* The regime in force: the knobs, the mitigation that follows from them, and its number. A regime never changes once it
 * is published; `set` publishes a new one and waits until every pCPU has taken it up. */
#ifndef HV_REGIME_H
#define HV_REGIME_H

#include <stdint.h>

#include "hv/handshake.h"
#include "hv/policy/mitigation.h"

struct percpu;

struct regime {
	struct knobs knobs;
	struct mitigation mitigation;
};

/* The first regime, before other pCPUs look. machine stays where it is. */
void regime_init(const struct machine *machine, const struct knobs *knobs);

/* The machine that was given to regime_init(). */
const struct machine *regime_machine(void);

/* The regime in force. */
const struct regime *regime_now(void);

/* This pCPU takes up what is in force, before each entry; *gen: the number of the policy, never newer than the regime.
 * An entry calls this once (facts.md, trap 24). handshake_leave() when the pCPU goes idle. */
const struct regime *regime_enter(struct percpu *cpu, uint64_t *gen);

/* The number of the policy. */
extern struct handshake regime_handshake;

static inline uint64_t regime_gen(void)
{
	return handshake_gen(&regime_handshake);
}

/* A promise changed: the policy gets a new number, which is returned. */
uint64_t regime_promise_changed(void);

/* Puts new knobs in force. Console only. Returns after every running pCPU has taken the regime up (G5): no entry is
 * made under the old one any more. */
uint64_t regime_set(const struct knobs *knobs);

#endif
