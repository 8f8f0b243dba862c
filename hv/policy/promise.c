#include "hv/policy/promise.h"

promise_t promise_start(bool skip, bool sealed)
{
	return (skip ? PROMISE_SKIP : 0) | (sealed ? PROMISE_SEALED : 0);
}

promise_t promise_set_skip(promise_t word, bool skip)
{
	if (word & PROMISE_SEALED)
		return word;
	return skip ? word | PROMISE_SKIP : word & ~PROMISE_SKIP;
}

promise_t promise_ack(promise_t word)
{
	if (!(word & PROMISE_SKIP))
		return word & ~(PROMISE_TOLD_MASK | PROMISE_BROKEN);
	/* The present value is a promise itself. Where it has been read, the flushes are given or owed from here on. */
	return promise_told(word) ? word & ~PROMISE_BROKEN : word;
}

promise_t promise_force(promise_t word, bool flushing)
{
	if (!promise_owed(word, true, flushing))
		return word;
	return (word & ~PROMISE_TOLD_MASK) | PROMISE_BROKEN;
}
