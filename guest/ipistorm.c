/* Does every interrupt between CPUs arrive when all send to all at once? cpus=N if the machine does not say how many
 * there are. */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/cr.h"
#include "guest/lib/answer.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/irq.h"
#include "guest/lib/smp.h"

#define VECTOR_CALL 0x50 /* + sender: its handler answers */
#define VECTOR_BACK 0x70
#define VECTOR_WAKE 0x80
#define CALLS       40 /* of each CPU to each other */
#define FLOOD       400
#define BROADCASTS  50

static unsigned cpu_count;
static volatile uint32_t calls[SMP_CPUS_MAX][SMP_CPUS_MAX]; /* [receiver][sender] */
static volatile uint32_t backs[SMP_CPUS_MAX], wakes[SMP_CPUS_MAX], nmis[SMP_CPUS_MAX];
static volatile uint32_t timeouts[SMP_CPUS_MAX];
static atomic_uint meetings, done, stage;

static void on_call(uint32_t vector)
{
	const unsigned sender = vector - VECTOR_CALL;

	calls[smp_index()][sender]++;
	apic_send(APIC_ICR_ASSERT | VECTOR_BACK, sender);
}

static void on_back(uint32_t vector)
{
	(void)vector;
	backs[smp_index()]++;
}

static void on_wake(uint32_t vector)
{
	(void)vector;
	wakes[smp_index()]++;
}

static void on_nmi(uint32_t vector)
{
	(void)vector;
	nmis[smp_index()]++;
}

/* Each call waits for its answer while calls of all others come in. */
static void call_all(unsigned index)
{
	uint32_t wanted = 0;

	irq_on();
	for (unsigned round = 0; round < CALLS; round++)
		for (unsigned i = 1; i < cpu_count; i++) {
			irq_off(); /* a handler that sends must not come between the halves of the ICR */
			apic_send(APIC_ICR_ASSERT | (VECTOR_CALL + index), (index + i) % cpu_count);
			irq_on();
			if (!smp_wait(&backs[index], ++wanted))
				timeouts[index]++;
		}
	atomic_fetch_add(&done, 1);
}

static void other_cpu(unsigned index)
{
	apic_enable(false);
	atomic_fetch_add(&meetings, 1);
	irq_on();
	while (atomic_load(&stage) == 0)
		cpu_pause();
	call_all(index);
	for (;;) /* asleep with interrupts on: each one wakes it */
		irq_wait();
}

static bool reach(const atomic_uint *counter, unsigned wanted)
{
	return smp_wait((const volatile uint32_t *)counter, wanted);
}

static void ask_calls(void)
{
	uint32_t answered = 0, lost = 0, late = 0;

	atomic_store(&stage, 1);
	call_all(0);
	answer_yes("all_are_through", reach(&done, cpu_count));
	for (unsigned i = 0; i < cpu_count; i++) {
		answered += backs[i];
		late += timeouts[i];
		for (unsigned j = 0; j < cpu_count; j++)
			lost += i != j && calls[i][j] != CALLS;
	}
	answer_number("answers", answered);
	answer_number("waits_in_vain", late);
	answer_number("pairs_with_a_wrong_count", lost);
}

/* Without waiting: some fall together, but the last one is seen, and none is invented. */
static void ask_flood(void)
{
	const unsigned last = cpu_count - 1;

	wakes[last] = 0;
	for (unsigned i = 0; i < FLOOD; i++)
		apic_send(APIC_ICR_ASSERT | VECTOR_WAKE, last);
	smp_wait(&wakes[last], 1);
	smp_settle();
	answer_yes("flood_arrives", wakes[last] >= 1);
	answer_yes("flood_none_invented", wakes[last] <= FLOOD);
	wakes[last] = 0;
	apic_send(APIC_ICR_ASSERT | VECTOR_WAKE, last);
	smp_wait(&wakes[last], 1);
	smp_settle();
	answer_number("one_more_after_the_flood", wakes[last]);
}

/* To all others, who sleep; the next one when each has seen it. */
static void ask_broadcasts(const char *name, uint32_t icr, volatile uint32_t *counters)
{
	unsigned right = 0;

	for (unsigned i = 0; i < cpu_count; i++)
		counters[i] = 0;
	for (unsigned round = 1; round <= BROADCASTS; round++) {
		bool all = true;

		apic_send(APIC_ICR_ASSERT | APIC_ICR_TO_OTHERS | icr, 0);
		for (unsigned i = 1; i < cpu_count; i++)
			all &= smp_wait(&counters[i], round) && counters[i] == round;
		right += all && counters[0] == 0;
	}
	answer_number(name, right);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	answer_start("ipistorm");
	fault_install();
	irq_install();
	for (unsigned i = 0; i < SMP_CPUS_MAX; i++)
		irq_handle((uint8_t)(VECTOR_CALL + i), on_call);
	irq_handle(VECTOR_BACK, on_back);
	irq_handle(VECTOR_WAKE, on_wake);
	irq_handle(EXC_NMI, on_nmi);
	apic_enable(false);
	cpu_count = smp_start_all(smp_cpu_count(info), other_cpu);
	answer_number("cpus", cpu_count);
	answer_yes("all_are_there", reach(&meetings, cpu_count - 1));
	ask_calls();
	ask_flood();
	ask_broadcasts("broadcasts", VECTOR_WAKE, wakes);
	ask_broadcasts("broadcast_nmis", APIC_ICR_DELIVERY_NMI, nmis);
	answer_end();
}
