/* How a change of policy reaches every pCPU before `set` answers ok (G5). No hardware here: the same code runs in
 * threads on the host under ThreadSanitizer (tests/host/stress_handshake.c) and is modelled in tests/model/.
 *
 * The console publishes: it stores the policy, then a new number, then looks where each pCPU is. A pCPU that is inside
 * (between taking up a policy and the end of the guest's run) with an older number is kicked and waited for; one that
 * is outside (it sleeps, or has nothing to run) need not be: when it comes in, it says so first and reads the number
 * then. Each side stores before it loads what the other one stores; the fences keep it so (facts.md, trap 38). */
#ifndef HV_HANDSHAKE_H
#define HV_HANDSHAKE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HANDSHAKE_OUTSIDE 0

/* The number of the policy, from 1. */
struct handshake {
	_Atomic uint64_t gen;
};

/* Where one pCPU is: HANDSHAKE_OUTSIDE, or inside with the number that it has taken up. Stored by that pCPU alone. */
struct handshake_cpu {
	_Atomic uint64_t seen;
};

/* The number now. */
static inline uint64_t handshake_gen(const struct handshake *h)
{
	return atomic_load_explicit(&h->gen, memory_order_acquire);
}

/* Console: the policy itself has been stored (with release). Gives it its number, which is returned. */
uint64_t handshake_publish(struct handshake *h);

/* Console: this pCPU may still enter a guest under a policy older than gen. Kick it, and ask again. */
bool handshake_awaits(const struct handshake_cpu *cpu, uint64_t gen);

/* pCPU: goes inside, or on inside with what is newest. The policy is loaded (with acquire) after this, and is at least
 * as new as the number returned. */
uint64_t handshake_enter(const struct handshake *h, struct handshake_cpu *cpu);

/* pCPU: no entry is made until handshake_enter() has been called again. */
void handshake_leave(struct handshake_cpu *cpu);

#endif
