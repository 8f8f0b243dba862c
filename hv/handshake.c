#include "hv/handshake.h"

uint64_t handshake_publish(struct handshake *h)
{
	/* Release: who sees the number sees the policy. */
	const uint64_t gen = atomic_fetch_add_explicit(&h->gen, 1, memory_order_release) + 1;

	/* Pairs with the fence of handshake_enter(): either that pCPU reads this number, or it is seen inside. */
	atomic_thread_fence(memory_order_seq_cst);
	return gen;
}

bool handshake_awaits(const struct handshake_cpu *cpu, uint64_t gen)
{
	/* Acquire: what the pCPU did under the older policy is over. */
	const uint64_t seen = atomic_load_explicit(&cpu->seen, memory_order_acquire);

	return seen != HANDSHAKE_OUTSIDE && seen < gen;
}

uint64_t handshake_enter(const struct handshake *h, struct handshake_cpu *cpu)
{
	const uint64_t before = atomic_load_explicit(&cpu->seen, memory_order_relaxed);
	uint64_t gen;

	if (before == HANDSHAKE_OUTSIDE) {
		gen = atomic_load_explicit(&h->gen, memory_order_relaxed);
		atomic_store_explicit(&cpu->seen, gen, memory_order_relaxed);
		/* Pairs with the fence of handshake_publish(). */
		atomic_thread_fence(memory_order_seq_cst);
	}
	gen = atomic_load_explicit(&h->gen, memory_order_acquire);
	/* Release: the last entry under the older policy is over before the console may see this. */
	if (gen != before)
		atomic_store_explicit(&cpu->seen, gen, memory_order_release);
	return gen;
}

void handshake_leave(struct handshake_cpu *cpu)
{
	atomic_store_explicit(&cpu->seen, HANDSHAKE_OUTSIDE, memory_order_release);
}
