#include "hv/regime.h"

#include <stdatomic.h>

#include "arch/apic.h"
#include "arch/cpu.h"
#include "arch/tsc.h"
#include "hv/handshake.h"
#include "hv/percpu.h"

#define KICK_AGAIN_US 1000

/* Two, for a reader may still hold the old one until it has taken up the new. */
static struct regime regimes[2];
static const struct regime *_Atomic in_force;
struct handshake regime_handshake;
static const struct machine *the_machine;

static uint64_t publish(const struct knobs *knobs)
{
	const struct regime *old = atomic_load_explicit(&in_force, memory_order_relaxed);
	struct regime *new = old == &regimes[0] ? &regimes[1] : &regimes[0];

	new->knobs = *knobs;
	new->mitigation = mitigation_select(the_machine, knobs);
	atomic_store_explicit(&in_force, new, memory_order_release);
	return handshake_publish(&regime_handshake);
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

const struct regime *regime_now(void)
{
	return atomic_load_explicit(&in_force, memory_order_acquire);
}

const struct regime *regime_enter(struct percpu *cpu, uint64_t *gen)
{
	*gen = handshake_enter(&regime_handshake, &cpu->handshake);
	return regime_now();
}

uint64_t regime_promise_changed(void)
{
	return handshake_publish(&regime_handshake);
}

/* An NMI takes a pCPU out of its guest or makes it plan again before it enters; it is sent again in case it came while
 * NMIs were blocked. */
static void wait_for(struct percpu *cpu, uint64_t gen)
{
	const uint64_t patience = tsc_hz() / 1000000 * KICK_AGAIN_US;
	uint64_t kicked = 0;

	while (handshake_awaits(&cpu->handshake, gen)) {
		if (kicked == 0 || rdtsc() - kicked > patience) {
			apic_send_nmi(cpu->arch.apic_id);
			kicked = rdtsc();
		}
		cpu_pause();
	}
}

uint64_t regime_set(const struct knobs *knobs)
{
	const uint64_t gen = publish(knobs);

	/* This pCPU is in root mode, and plans anew before it enters. */
	for (uint32_t i = 0; i < percpu_count; i++)
		if (&percpus[i] != percpu_this())
			wait_for(&percpus[i], gen);
	return gen;
}
