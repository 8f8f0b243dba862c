#include "hv/regime.h"

#include <stdatomic.h>

#include "arch/cpu.h"
#include "arch/smp.h"
#include "arch/tsc.h"
#include "hv/percpu.h"

#define KICK_AGAIN_US 1000

/* Two, for a reader may still hold the old one until it has taken up the new. */
static struct regime regimes[2];
static const struct regime *_Atomic in_force;
static _Atomic uint64_t policy_gen;
static const struct machine *the_machine;

static void publish(const struct knobs *knobs)
{
	const struct regime *old = atomic_load_explicit(&in_force, memory_order_relaxed);
	struct regime *new = old == &regimes[0] ? &regimes[1] : &regimes[0];

	new->knobs = *knobs;
	new->mitigation = mitigation_select(the_machine, knobs);
	/* Both stores pair with regime_now(): who sees the number sees the regime. */
	atomic_store_explicit(&in_force, new, memory_order_release);
	atomic_fetch_add_explicit(&policy_gen, 1, memory_order_release);
}

void regime_init(const struct machine *machine, const struct knobs *knobs)
{
	the_machine = machine;
	publish(knobs);
}

const struct machine *regime_machine(void)
{
	return the_machine;
}

const struct regime *regime_now(uint64_t *gen)
{
	*gen = atomic_load_explicit(&policy_gen, memory_order_acquire);
	return atomic_load_explicit(&in_force, memory_order_acquire);
}

void regime_promise_changed(void)
{
	atomic_fetch_add_explicit(&policy_gen, 1, memory_order_release);
}

/* An NMI takes a pCPU out of its guest, out of its sleep, or makes it plan again before it enters; it is sent again in
 * case it came while NMIs were blocked. */
static void wait_for(struct percpu *cpu, uint64_t gen)
{
	const uint64_t patience = tsc_hz() / 1000000 * KICK_AGAIN_US;
	uint64_t kicked = 0;

	while (atomic_load_explicit(&cpu->seen_gen, memory_order_acquire) < gen) {
		if (kicked == 0 || rdtsc() - kicked > patience) {
			apic_send_nmi(cpu->arch.apic_id);
			kicked = rdtsc();
		}
		cpu_pause();
	}
}

void regime_set(const struct knobs *knobs)
{
	publish(knobs);

	const uint64_t gen = atomic_load_explicit(&policy_gen, memory_order_relaxed);
	struct percpu *self = percpu_this();

	atomic_store_explicit(&self->seen_gen, gen, memory_order_release);
	for (uint32_t i = 0; i < percpu_count; i++)
		if (&percpus[i] != self)
			wait_for(&percpus[i], gen);
}
