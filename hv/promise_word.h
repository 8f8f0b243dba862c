/* A VM's promise as one atomic word: each function of hv/policy/promise.h in one step. So the value is one object that
 * all vCPUs read the same; reading it and recording that it was read cannot be torn apart; and every acknowledgement
 * and every move of the knob comes before or after a reading. */
#ifndef HV_PROMISE_WORD_H
#define HV_PROMISE_WORD_H

#include <stdatomic.h>
#include <stdbool.h>

#include "hv/policy/promise.h"

struct promise_word {
	_Atomic promise_t word;
};

/* The VM starts: nobody looks yet. */
void promise_word_start(struct promise_word *p, bool skip, bool sealed);

static inline promise_t promise_word_get(const struct promise_word *p)
{
	return atomic_load_explicit(&p->word, memory_order_acquire);
}

/* Each returns the word after the step; *before, unless NULL, is the one before. */
promise_t promise_word_read(struct promise_word *p, unsigned vcpu, promise_t *before);
promise_t promise_word_set_skip(struct promise_word *p, bool skip, promise_t *before);
promise_t promise_word_ack(struct promise_word *p, promise_t *before);
promise_t promise_word_force(struct promise_word *p, bool flushing, promise_t *before);

#endif
