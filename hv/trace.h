/* The trace: a ring of rows for each pCPU, written by that pCPU alone, printed by the console (interface.md 7). */
#ifndef HV_TRACE_H
#define HV_TRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/abi/entry_plan.h"
#include "arch/cpu.h"
#include "hv/policy/knob.h"

struct percpu;
struct vm;

enum trace_type { TRACE_ENTRY, TRACE_MODE, TRACE_CAPREAD, TRACE_ACK, TRACE_RESET, TRACE_STATE };

/* In the ring alone: an entry that is like an earlier one of this pCPU but for tsc, after and n. trace_take() makes it
 * a TRACE_ENTRY. */
#define TRACE_AGAIN (TRACE_STATE + 1)

enum trace_flag {
	TRACE_BROKEN = 1u << 0,
	TRACE_FAILED = 1u << 1,
	TRACE_NMI = 1u << 2,         /* an NMI made the sequence start again before this entry */
	TRACE_MCU_CARRIED = 1u << 3, /* MCU_OPT_CTRL was written in a sequence that an NMI ended: not printed as a flag,
					but as the row's mcu= */
};

#define TRACE_AFTER_START 0xffff /* in place of an exit reason */

/* What the rules of an audit need to know of the machine, and cannot see in the entries. */
enum trace_machine {
	TRACE_L1D_NEEDED = 1u << 0,    /* affected by L1TF, and nobody outside flushes */
	TRACE_VERW_NEEDED = 1u << 1,   /* the host needs VERW on each entry */
	TRACE_MCU_OPT_CTRL = 1u << 2,  /* the MSR exists */
	TRACE_FB_CLEAR_CTRL = 1u << 3, /* and has FB_CLEAR_DIS */
};

/* Of a TRACE_AGAIN row: where the TRACE_ENTRY row is that it is like. */
struct trace_again {
	uint16_t others; /* rows between the two that are no entries: all others count in n */
	uint32_t first;  /* its number, modulo 2^32 */
};

struct trace_row {
	uint64_t tsc; /* see "Time" below */
	uint64_t gen;
	uint8_t type;  /* enum trace_type */
	uint8_t flags; /* enum trace_flag */
	struct trace_again again;
	union {
		struct {
			uint16_t after; /* exit reason */
			uint16_t vm, vcpu;
			uint64_t n;
			uint64_t caps;
			struct entry_plan plan;
		} entry;
		struct {
			uint8_t knob, old, new, done;
			uint8_t force; /* the debts are dropped between begin and done */
		} mode;
		struct {
			uint8_t told_now; /* TRACE_CAPREAD: this reading recorded "told", nobody's before it did */
			uint16_t vm, vcpu;
			uint64_t until_tsc; /* the step was done */
			uint64_t value;
		} promise; /* TRACE_CAPREAD, TRACE_ACK, TRACE_RESET */
		struct {
			uint8_t machine;      /* enum trace_machine */
			uint8_t fb_clear_dis; /* enum fb_clear_dis: the strategy in force */
			bool settled;         /* no `set` was between begin and done */
			uint8_t knob[KNOB_COUNT];
			uint32_t told, broken, fixed; /* bit v: VM v */
			uint32_t md_clear;     /* its CPUID has MD_CLEAR and L1D_FLUSH: FB_CLEAR may be implied */
			uint64_t until_tsc;    /* all of it was read between tsc and here */
			uint64_t mcu_opt_ctrl; /* of this pCPU */
		} state;
	};
};

struct trace_ring {
	struct trace_row *rows; /* capacity of them, a power of two */
	uint64_t capacity;
	uint64_t state_every; /* row numbers that are multiples of this are TRACE_STATE: at most 256, and two a ring */
	_Atomic uint64_t
		head; /* rows ever written; the owner stores with release after the row, readers load with acquire */
	/* The owner's. */
	struct trace_row *next;   /* the row to fill in */
	struct trace_row *due;    /* before that one is filled in, a state row is due */
	struct trace_again again; /* for the next TRACE_AGAIN row */
	uint64_t others;          /* rows ever written that are no entries */
};

/* Time. Rows of one pCPU stand in the order of what happened, and their tsc never goes back. Between pCPUs, an auditor
 * must be able to tell what came first without ever wronging a correct run, though the pCPUs' TSCs may differ by
 * TRACE_SKEW_TSC. So:
 *
 * - An entry's tsc is read AFTER its plan has been made from the regime and the VM's promise: whatever the plan did see
 *   came before it. Its gen is read BEFORE these: whatever was published as gen or earlier, the plan did see.
 * - A step on a promise (capread, ack, reset) has a tsc that is BEFORE the step on any pCPU's clock, an until that is
 *   after it, and a gen: the policy's number that was published after the step; where it changed nothing, the number in
 *   force after it.
 * - mode: the tsc of `begin` is before anything changes on any clock. The tsc of `done` is after every pCPU has
 *   answered, and its gen is the number that they answered for.
 * - state: everything in it was read between its tsc and its until; its gen after that.
 *
 * It follows: an entry with gen >= that of a capread with value 1 and told_now must flush (with gen > of one without,
 * or of a state row that says told); an entry with tsc < that of an ack cannot excuse itself with it; an entry with tsc
 * > that of `done` has at least its gen. A capread that was under way when an acknowledgement was (tsc of the capread
 * <= until of the ack) may have come before it: no debt follows from it alone; the next state row knows. */
#define TRACE_SKEW_TSC 64

/* What state rows say of the machine. Once, before the first row is written. */
struct machine;
void trace_init(const struct machine *machine);

/* rows is rounded up to a power of two. False without memory for them. */
bool trace_ring_init(struct trace_ring *ring, uint64_t rows);

/* An entry's row to fill in, but for its number n, before its plan is made: a state row may be written first. It counts
 * once trace_commit() has been called. Own pCPU only, as all that follow. */
struct trace_row *trace_entry(struct percpu *cpu);

/* In its place, where the plan of the last entry row, its gen, flags and vCPU are also this one's: fills in the rest.
 * Not when a state row is due: an entry that repeats another one is not far from it. */
static inline bool trace_state_is_due(const struct trace_ring *ring)
{
	return ring->next == ring->due;
}

static inline void trace_entry_again(struct trace_ring *ring, uint64_t tsc, uint16_t after)
{
	struct trace_row *row = ring->next;

	/* Pairs with trace_take(): who sees a part of it also sees that the row before it counts. */
	atomic_thread_fence(memory_order_release);
	row->tsc = tsc;
	row->type = TRACE_AGAIN;
	row->flags = 0;
	row->again = ring->again;
	row->entry.after = after;
}

static inline void trace_commit(struct trace_ring *ring)
{
	const uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

	ring->next++;
	atomic_store_explicit(&ring->head, head + 1, memory_order_release);
}

/* The same for a row that is no entry. */
static inline void trace_commit_other(struct trace_ring *ring)
{
	ring->again.others++;
	ring->others++;
	trace_commit(ring);
}

/* Before a step on a promise: the tsc to hand to trace_capread() and so on, which write the row after the step. No
 * other row may be written in between. gen: see "Time". Each does nothing where the pCPU has no ring.
 *
 *	began = trace_begin(cpu);
 *	word = promise_word_read(&vm->promise, vcpu, &before);
 *	gen = word != before ? regime_promise_changed() : regime_gen();
 *	trace_capread(cpu, began, gen, vm, vcpu, value, word != before);
 */
uint64_t trace_begin(struct percpu *cpu);

/* In the handler of a guest's RDMSR of IA32_ARCH_CAPABILITIES. */
void trace_capread(struct percpu *cpu, uint64_t began_tsc, uint64_t gen, const struct vm *vm, uint32_t vcpu,
		   uint64_t value, bool told_now);

/* The same, without trace_begin(), for a reading that recorded nothing new. The row of the entry before it is the last
 * one here: a VM entry and an exit ago, which is longer than TRACE_SKEW_TSC, so that its tsc serves. Not when a state
 * row is due. */
static inline void trace_capread_again(struct trace_ring *ring, uint64_t gen, uint32_t vm, uint32_t vcpu,
				       uint64_t value)
{
	struct trace_row *row = ring->next;

	atomic_thread_fence(memory_order_release); /* as in trace_entry_again() */
	row->tsc = row[-1].tsc;
	row->gen = gen;
	row->type = TRACE_CAPREAD;
	row->flags = 0;
	row->promise.told_now = false;
	row->promise.vm = (uint16_t)vm;
	row->promise.vcpu = (uint16_t)vcpu;
	row->promise.until_tsc = rdtsc_after_loads() + TRACE_SKEW_TSC;
	row->promise.value = value;
	trace_commit_other(ring);
}

/* In the handler of caps_ack; value: what is acknowledged. */
void trace_ack(struct percpu *cpu, uint64_t began_tsc, uint64_t gen, const struct vm *vm, uint64_t value);

/* The VM starts (also for the first time): around promise_word_start(), with its model made; value: what it starts
 * with. A state row follows by itself. */
void trace_reset(struct percpu *cpu, uint64_t began_tsc, uint64_t gen, const struct vm *vm, uint64_t value);

/* `set`: begin (done = false) before anything is changed, gen: the number in force; done after all, gen: the number
 * that every pCPU answered for. A state row follows `done` by itself. */
void trace_knob(struct percpu *cpu, uint64_t gen, enum knob knob, uint8_t old, uint8_t new, bool done, bool force);

/* A row of what is in force and what was told now. For those who write IA32_MCU_OPT_CTRL outside an entry: after
 * cpu->mcu_opt_ctrl has its new value, and before handshake_leave(). */
void trace_state(struct percpu *cpu);

/* Row number index of a ring that is being written. False: it has been overwritten. */
bool trace_take(struct trace_ring *ring, uint64_t index, struct trace_row *out);

/* Prints the last row_count rows of all pCPUs, in the order of tsc, then pCPU. False: Ctrl-C ended it. */
bool trace_print(uint64_t row_count);

#endif
