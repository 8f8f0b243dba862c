/* hv/handshake.c, hv/promise_word.c and hv/policy/promise.c as they are, in threads: a console that changes the mode
 * and three pCPUs with a vCPU each of one VM. Built with ThreadSanitizer, which sees what the code relies on and does
 * not order: the regime is plain memory.
 *
 * What is asserted (G1, G5) is told by ghosts: words that the program does not act on. They are loaded and stored
 * relaxed, never with a locked instruction, so that they order nothing that the code should order itself.
 *
 *     stress_handshake SETS [bit-late | bit-first | early-ok]
 *
 * The second word makes a mistake, which must be found. Prints one line of counts; exits 1 on a violation, or if one of
 * the counts is 0. */
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hv/handshake.h"
#include "hv/promise_word.h"

#define PCPUS      3
#define RUN_TURNS  40 /* of a guest, at most, between two exits */
#define KICK_TURNS 1000

enum mistake { MISTAKE_NONE, MISTAKE_BIT_LATE, MISTAKE_BIT_FIRST, MISTAKE_EARLY_OK };

/* As in hv/regime.c: never changed once published, and two, for a reader may hold the older one. */
struct regime {
	uint64_t number;
	bool flushes;
};

struct count {
	uint64_t entries, unflushed, owed, restarts, kicked_out, sleeps, told, acks;
};

struct pcpu {
	struct handshake_cpu handshake;
	atomic_bool nmi;
	unsigned index;
	uint32_t seed;
	struct count count; /* read after the thread has ended */

	/* Ghosts, stored by this pCPU alone. */
	atomic_bool in_unflushed;  /* in an entry that was made without a flush, and without a debt */
	_Atomic uint64_t believes; /* settlements when its vCPU last read 1, plus 1; 0: it never has */
	_Atomic uint64_t acks_begun;
};

static struct regime regimes[2];
static const struct regime *_Atomic in_force;
static struct handshake handshake;
static struct promise_word promise;
static struct pcpu pcpus[PCPUS];
static atomic_bool stop;

/* Ghosts of the console. */
static _Atomic uint64_t answered_ok; /* number of the regime */
static _Atomic uint64_t forces_begun;

static uint64_t ghost_load(const _Atomic uint64_t *ghost)
{
	return atomic_load_explicit(ghost, memory_order_relaxed);
}

static void ghost_store(_Atomic uint64_t *ghost, uint64_t value)
{
	atomic_store_explicit(ghost, value, memory_order_relaxed);
}

static void violated(const char *what, unsigned cpu)
{
	printf("stress: violated: %s cpu=%u\n", what, cpu);
	fflush(stdout);
	_exit(1);
}

/* Numerical Recipes' "quick and dirty" generator; the low bits are poor. */
static uint32_t random_below(uint32_t *seed, uint32_t limit)
{
	*seed = *seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)*seed * limit >> 32);
}

/* Acknowledgements and forces that have begun: each is counted before it is made, so whoever sees its effect in the
 * promise sees the count. */
static uint64_t settlements(void)
{
	uint64_t sum = ghost_load(&forces_begun);

	for (unsigned i = 0; i < PCPUS; i++)
		sum += ghost_load(&pcpus[i].acks_begun);
	return sum;
}

/* G5, all the time that a guest runs. */
static void check_policy(const struct pcpu *cpu, uint64_t number)
{
	if (number < ghost_load(&answered_ok))
		violated("G5: in a guest under a policy older than the one that was answered ok", cpu->index);
}

/* G1: nobody may rely on a flush while an entry without one is made. */
static void check_unflushed(const struct pcpu *cpu)
{
	for (unsigned i = 0; i < PCPUS; i++) {
		const uint64_t believes = ghost_load(&pcpus[i].believes);

		if (believes != 0 && believes == settlements() + 1)
			violated("G1: an entry is made without a flush, and the VM was told of one", cpu->index);
	}
}

/* G1, from the other side: a vCPU has just read 1. An entry without a flush is right if the debt that this reading made
 * was settled before it. */
static void check_told(uint64_t settled)
{
	for (unsigned i = 0; i < PCPUS; i++)
		if (atomic_load_explicit(&pcpus[i].in_unflushed, memory_order_relaxed) && settlements() == settled)
			violated("G1: a vCPU reads 1 during an entry without a flush", i);
}

/* ---- a pCPU ---- */

static void guest_reads(struct pcpu *cpu)
{
	const uint64_t settled = settlements();
	promise_t before;
	const promise_t word = promise_word_read(&promise, cpu->index, &before);

	if (!(word & PROMISE_SKIP))
		return;
	check_told(settled);
	ghost_store(&cpu->believes, settled + 1);
	if (word != before) {
		handshake_publish(&handshake);
		cpu->count.told++;
	}
}

static void guest_acknowledges(struct pcpu *cpu)
{
	promise_t before;

	ghost_store(&cpu->acks_begun, ghost_load(&cpu->acks_begun) + 1);
	if (promise_word_ack(&promise, &before) != before) {
		handshake_publish(&handshake);
		cpu->count.acks++;
	}
}

static bool nmi_came(struct pcpu *cpu)
{
	return atomic_load_explicit(&cpu->nmi, memory_order_relaxed);
}

/* The guest runs, until an NMI takes it out or it exits by itself. */
static void run_guest(struct pcpu *cpu, uint64_t number, bool flushed)
{
	const uint32_t turns = random_below(&cpu->seed, RUN_TURNS);

	if (!flushed)
		check_unflushed(cpu);
	atomic_store_explicit(&cpu->in_unflushed, !flushed, memory_order_relaxed);
	for (uint32_t i = 0; i < turns && !nmi_came(cpu); i++) {
		check_policy(cpu, number);
		if (i % 16 == 15)
			sched_yield();
	}
	check_policy(cpu, number);
	cpu->count.kicked_out += nmi_came(cpu);
	atomic_store_explicit(&cpu->in_unflushed, false, memory_order_relaxed);
}

/* plan_entry() and vmx_enter() */
static void enter(struct pcpu *cpu)
{
	const struct regime *regime = atomic_load_explicit(&in_force, memory_order_acquire);
	const promise_t word = promise_word_get(&promise);
	const bool owed = promise_owed(word, true, regime->flushes);
	const bool flushed = regime->flushes || owed;
	const uint64_t number = regime->number;

	if (random_below(&cpu->seed, 64) == 0)
		sched_yield();
	if (nmi_came(cpu)) {
		cpu->count.restarts++;
		return;
	}
	cpu->count.entries++;
	cpu->count.unflushed += !flushed;
	cpu->count.owed += owed;
	run_guest(cpu, number, flushed);
}

static void handle_exit(struct pcpu *cpu)
{
	switch (random_below(&cpu->seed, 16)) {
	case 0:
	case 1:
	case 2:
		guest_reads(cpu);
		break;
	case 3:
		guest_acknowledges(cpu);
		break;
	default:
		break;
	}
}

static void *pcpu_run(void *argument)
{
	struct pcpu *cpu = argument;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		/* Exchanged, for an NMI is handled on the pCPU itself: none is lost in its store buffer. */
		atomic_exchange_explicit(&cpu->nmi, false, memory_order_relaxed);
		handshake_enter(&handshake, &cpu->handshake);
		enter(cpu);
		handle_exit(cpu);
		if (random_below(&cpu->seed, 4) == 0) {
			handshake_leave(&cpu->handshake);
			cpu->count.sleeps++;
			if (random_below(&cpu->seed, 4) == 0)
				sched_yield();
		}
	}
	handshake_leave(&cpu->handshake);
	return NULL;
}

/* ---- the console: hv/regime.c, hv/knobs.c ---- */

static uint64_t publish(bool flushes)
{
	const struct regime *old = atomic_load_explicit(&in_force, memory_order_relaxed);
	struct regime *new = old == &regimes[0] ? &regimes[1] : &regimes[0];

	new->number = old == NULL ? 1 : old->number + 1;
	new->flushes = flushes;
	atomic_store_explicit(&in_force, new, memory_order_release);
	return handshake_publish(&handshake);
}

static void wait_for(struct pcpu *cpu, uint64_t gen)
{
	for (unsigned turn = 0; handshake_awaits(&cpu->handshake, gen); turn++) {
		if (turn % KICK_TURNS == 0)
			atomic_store_explicit(&cpu->nmi, true, memory_order_relaxed);
		sched_yield();
	}
}

static void regime_set(bool flushes, enum mistake mistake)
{
	const uint64_t gen = publish(flushes);

	for (unsigned i = 0; i < PCPUS - (mistake == MISTAKE_EARLY_OK); i++)
		wait_for(&pcpus[i], gen);
}

static void set_skip(bool skip)
{
	promise_word_set_skip(&promise, skip, NULL);
	handshake_publish(&handshake);
}

static void set(bool flushed, bool flushes, bool force, enum mistake mistake)
{
	if (flushed && !flushes && mistake != MISTAKE_BIT_LATE)
		set_skip(false);
	if (!flushed && flushes && mistake == MISTAKE_BIT_FIRST)
		set_skip(true);
	regime_set(flushes, mistake);
	if (flushed && !flushes && mistake == MISTAKE_BIT_LATE)
		set_skip(false);
	if (!flushed && flushes)
		set_skip(true);
	if (force) {
		ghost_store(&forces_begun, ghost_load(&forces_begun) + 1);
		promise_word_force(&promise, flushes, NULL);
		handshake_publish(&handshake);
	}
	ghost_store(&answered_ok, atomic_load_explicit(&in_force, memory_order_relaxed)->number);
}

static void console_run(uint64_t sets, enum mistake mistake)
{
	bool flushed = true;
	uint32_t seed = 1;

	for (uint64_t i = 0; i < sets; i++) {
		const bool flushes = random_below(&seed, 4) == 0 ? flushed : !flushed; /* or another knob */

		set(flushed, flushes, random_below(&seed, 16) == 0, mistake);
		flushed = flushes;
		for (uint32_t turn = random_below(&seed, 16); turn > 0; turn--)
			sched_yield();
	}
}

static enum mistake mistake_named(const char *name)
{
	static const char *const names[] = {"", "bit-late", "bit-first", "early-ok"};

	for (unsigned i = 1; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return (enum mistake)i;
	fprintf(stderr, "stress: no mistake \"%s\"\n", name);
	exit(2);
}

static struct count sum_of_counts(void)
{
	struct count sum = {0};

	for (unsigned i = 0; i < PCPUS; i++) {
		const struct count *c = &pcpus[i].count;

		sum.entries += c->entries;
		sum.unflushed += c->unflushed;
		sum.owed += c->owed;
		sum.restarts += c->restarts;
		sum.kicked_out += c->kicked_out;
		sum.sleeps += c->sleeps;
		sum.told += c->told;
		sum.acks += c->acks;
	}
	return sum;
}

int main(int count, char **words)
{
	const uint64_t sets = count > 1 ? strtoull(words[1], NULL, 10) : 0;
	const enum mistake mistake = count > 2 ? mistake_named(words[2]) : MISTAKE_NONE;
	pthread_t threads[PCPUS];

	promise_word_start(&promise, true, false);
	publish(true);
	for (unsigned i = 0; i < PCPUS; i++) {
		pcpus[i].index = i;
		pcpus[i].seed = i + 2;
		if (pthread_create(&threads[i], NULL, pcpu_run, &pcpus[i]) != 0) {
			perror("pthread_create");
			return 2;
		}
	}
	console_run(sets, mistake);
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	for (unsigned i = 0; i < PCPUS; i++)
		pthread_join(threads[i], NULL);

	const struct count c = sum_of_counts();

	printf("stress: sets=%" PRIu64 " entries=%" PRIu64 " unflushed=%" PRIu64 " owed=%" PRIu64 " restarts=%" PRIu64
	       " kicked_out=%" PRIu64 " sleeps=%" PRIu64 " told=%" PRIu64 " acks=%" PRIu64 " violations=0\n",
	       sets, c.entries, c.unflushed, c.owed, c.restarts, c.kicked_out, c.sleeps, c.told, c.acks);
	return sets == 0 || c.entries == 0 || c.unflushed == 0 || c.owed == 0 || c.restarts == 0 || c.kicked_out == 0 ||
	       c.sleeps == 0 || c.told == 0 || c.acks == 0;
}
