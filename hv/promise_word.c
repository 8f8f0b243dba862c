#include "hv/promise_word.h"

#include <stddef.h>

/* Puts after in the place of *before, or fetches what stands there now. Acquire and release: what a pCPU did before its
 * step is seen by whoever sees the step. */
static bool step(struct promise_word *p, promise_t *before, promise_t after)
{
	return after == *before || atomic_compare_exchange_weak_explicit(&p->word, before, after, memory_order_acq_rel,
									 memory_order_acquire);
}

static promise_t done(promise_t was, promise_t is, promise_t *before)
{
	if (before != NULL)
		*before = was;
	return is;
}

void promise_word_start(struct promise_word *p, bool skip, bool sealed)
{
	atomic_store_explicit(&p->word, promise_start(skip, sealed), memory_order_release);
}

promise_t promise_word_read(struct promise_word *p, unsigned vcpu, promise_t *before)
{
	promise_t was = promise_word_get(p);

	while (!step(p, &was, promise_read(was, vcpu)))
		;
	return done(was, promise_read(was, vcpu), before);
}

promise_t promise_word_set_skip(struct promise_word *p, bool skip, promise_t *before)
{
	promise_t was = promise_word_get(p);

	while (!step(p, &was, promise_set_skip(was, skip)))
		;
	return done(was, promise_set_skip(was, skip), before);
}

promise_t promise_word_ack(struct promise_word *p, promise_t *before)
{
	promise_t was = promise_word_get(p);

	while (!step(p, &was, promise_ack(was)))
		;
	return done(was, promise_ack(was), before);
}

promise_t promise_word_force(struct promise_word *p, bool flushing, promise_t *before)
{
	promise_t was = promise_word_get(p);

	while (!step(p, &was, promise_force(was, flushing)))
		;
	return done(was, promise_force(was, flushing), before);
}
