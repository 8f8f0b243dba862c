/* How a change of the L1D mode reaches every pCPU, and what a guest was told meanwhile: G1 and G5 of the promises.
 *
 * Modelled after hv/knobs.c (regime_change), hv/regime.c, hv/handshake.c, hv/vm_promise.c, hv/promise_word.c,
 * hv/vcpu_run.c and the window of arch/vmx_enter.asm, step by step in their order. docs/model.md tells what is left out,
 * and what the macros (APART, SEALED, BUG_...) are for. Run by tests/model/model.py. */

#define PCPUS 2 /* pCPU c runs vCPU c of the one VM */
#ifdef APART
#define CONSOLE PCPUS /* the console's pCPU has no vCPU; the other two have, and do not sleep */
#define CPUS    (PCPUS + 1)
#define SETS    1
#else
#define CONSOLE 0 /* the console works on pCPU 0 between two entries, as in hv/sched.c */
#define CPUS    PCPUS
#define SETS    2
#endif

/* A policy: its number times 2, plus 1 where the mode flushes (`cond`). */
#define POLICY(number, flushes) ((number) * 2 + (flushes))
#define FLUSHES(policy)         ((policy) & 1)

/* The promise word (hv/policy/promise.h). */
#define TOLD(vcpu) (1 << (vcpu))
#define TOLD_MASK  3
#define SKIP       4
#define OWED(word) ((word) != 0)
#ifdef SEALED
#define SET_SKIP(word, shown) (word)
#else
#define SET_SKIP(word, shown) (((word) & TOLD_MASK) | ((shown) * SKIP))
#endif

/* ---- memory, with a store buffer on each CPU ---- */

#define REGIME    0 /* two slots */
#define IN_FORCE  2 /* which of them */
#define GEN       3
#define WORD      4
#define SEEN(cpu) (5 + (cpu))
#define OUTSIDE   0

byte memory[7];

/* Stores leave in order, whenever it pleases the hardware. Deep enough for all that a pCPU stores between two fences. */
#define BUFFER_DEPTH 4
chan buffer[CPUS] = [BUFFER_DEPTH] of { byte, byte };

#define drained(cpu) (len(buffer[cpu]) == 0)

inline store(cpu, address, value)
{
	buffer[cpu]!address,value
}

/* A locked instruction drains the buffer of its CPU: it is guarded by drained(). No CPU loads what stands in its own
 * buffer: each keeps in a local variable what it has stored itself. */
proctype drain(byte cpu)
{
	byte address, value;

end:	do
	:: atomic { buffer[cpu]?address,value; memory[address] = value; address = 0; value = 0 }
	od
}

/* ---- what is asserted; no step of the program depends on it ---- */

byte planned[PCPUS];    /* the policy of the entry */
bool flushed[PCPUS];    /* it was made as `cond` makes it */
bool believes;          /* a vCPU has read 1, and the VM has not acknowledged a value without the bit */
byte answered_ok;       /* number of the last policy that `set` has answered ok to */

/* ---- where each pCPU is, as its NMI handler and the processor know it ---- */

mtype = { ROOT, WINDOW, HALTED, GUEST };

mtype where[PCPUS] = ROOT;
bool nmi_sent[PCPUS];
bool nmi_pending[PCPUS];

inline back_to_root(cpu)
{
	where[cpu] = ROOT;
	planned[cpu] = 0;
	flushed[cpu] = false
}

/* An NMI arrives at any step after it was sent; two that are on their way are one. In root mode it is noted; from the
 * window on it takes the pCPU back, to where nmi_pending is cleared anyhow. */
proctype nmi(byte cpu)
{
end:	do
	:: atomic {
		nmi_sent[cpu] ->
		nmi_sent[cpu] = false;
		if
		:: where[cpu] == ROOT -> nmi_pending[cpu] = true
		:: else -> back_to_root(cpu)
		fi
	}
	od
}

inline check_entry(cpu)
{
	assert(planned[cpu] / 2 >= answered_ok); /* G5 */
	assert(!believes || flushed[cpu])        /* G1 */
}

inline check_ok()
{
	assert(where[0] != GUEST || planned[0] / 2 >= answered_ok); /* G5 */
	assert(where[1] != GUEST || planned[1] / 2 >= answered_ok)
}

inline check_told()
{
	assert(where[0] != GUEST || flushed[0]); /* G1 */
	assert(where[1] != GUEST || flushed[1])
}

/* ---- the console: hv/knobs.c, hv/regime.c ---- */

byte sets_done;
byte in_force;        /* regimes[] slot and policy, as the console has stored them last */
byte policy_in_force;

inline set_skip_all(shown)
{
	atomic { drained(CONSOLE) -> memory[WORD] = SET_SKIP(memory[WORD], shown) }
	atomic { drained(CONSOLE) -> memory[GEN]++ }
}

inline publish()
{
	atomic {
		in_force = 1 - in_force;
		policy_in_force = POLICY(policy_in_force / 2 + 1, 1 - FLUSHES(policy_in_force));
		store(CONSOLE, REGIME + in_force, policy_in_force);
		store(CONSOLE, IN_FORCE, in_force)
	}
	atomic { drained(CONSOLE) -> memory[GEN]++; gen = memory[GEN] }
#ifndef BUG_NO_FENCE
	drained(CONSOLE) /* the fence: the locked addition before it has left nothing to drain */
#endif
}

/* One NMI is enough: the code sends more, the model shows (no invalid end state) that it need not. */
inline wait_for(cpu)
{
	if
	:: memory[SEEN(cpu)] == OUTSIDE || memory[SEEN(cpu)] >= gen
	:: memory[SEEN(cpu)] != OUTSIDE && memory[SEEN(cpu)] < gen ->
		drained(CONSOLE); /* MFENCE, LFENCE, then the ICR */
		nmi_sent[cpu] = true;
		memory[SEEN(cpu)] == OUTSIDE || memory[SEEN(cpu)] >= gen
	fi
}

inline regime_set()
{
	publish();
#ifdef APART
	wait_for(0);
#endif
#ifndef BUG_EARLY_OK
	wait_for(1);
#endif
}

/* One `set`: from a mode that flushes to `never`, or back. */
inline console_set()
{
	if
	:: FLUSHES(policy_in_force) ->
		set_skip_all(0);
		regime_set()
	:: else ->
#ifdef BUG_BIT_FIRST
		set_skip_all(1);
#endif
		regime_set();
#ifndef BUG_BIT_FIRST
		set_skip_all(1)
#endif
	fi;
	atomic { sets_done++; answered_ok = policy_in_force / 2; gen = 0; check_ok() }
}

/* ---- a pCPU: hv/handshake.c, hv/vcpu_run.c, arch/vmx_enter.asm ---- */

/* A load and the stores after it are one step where nobody can tell: a store goes into the buffer first. */

/* handshake_enter(). seen: what this pCPU has stored last. */
inline enter(cpu)
{
	if
	:: before == OUTSIDE ->
		atomic { seen = memory[GEN]; store(cpu, SEEN(cpu), seen) }
#ifndef BUG_NO_FENCE
		drained(cpu)
#endif
	:: else
	fi;
	atomic {
		seen = memory[GEN];
		if
		:: seen != before -> store(cpu, SEEN(cpu), seen)
		:: else
		fi;
		before = 0
	}
}

/* handshake_leave() */
inline leave(cpu)
{
	seen = OUTSIDE;
	store(cpu, SEEN(cpu), seen)
}

/* take_up_regime(). The slot is looked at again before the entry, so that one step for both loads hides nothing. */
inline take_up_regime(cpu)
{
	atomic { nmi_pending[cpu] = false; before = seen }
	enter(cpu);
	atomic { slot = memory[IN_FORCE]; policy = memory[REGIME + slot] }
}

/* A regime does not change in the hands of its reader: the end of the plan. */
inline let_go_of_regime()
{
	assert(memory[REGIME + slot] == policy);
	slot = 0;
	policy = 0
}

/* The rest of plan_entry(), then vmx_enter() from its window on: nmi_pending is tested, and the pCPU is in the window,
 * then inside. */
inline enter_guest(cpu)
{
	atomic {
		planned[cpu] = policy;
		flushed[cpu] = FLUSHES(policy) || OWED(memory[WORD])
	}
	atomic {
		let_go_of_regime();
		if
#ifndef BUG_LOST_KICK
		:: nmi_pending[cpu] -> nmi_pending[cpu] = false; back_to_root(cpu)
#endif
		:: else -> where[cpu] = WINDOW
		fi
	}
	if
	:: atomic { where[cpu] == WINDOW -> where[cpu] = GUEST; check_entry(cpu) }
	:: where[cpu] == ROOT -> goto root
	fi
}

/* The rest of vcpu_run_idle(). */
inline halt(cpu)
{
	atomic { let_go_of_regime(); leave(cpu) }
	atomic {
		if
		:: nmi_pending[cpu] -> nmi_pending[cpu] = false; goto root
		:: else -> where[cpu] = HALTED
		fi
	}
}

/* vm_caps_read(): a locked instruction where the word changes, a load where it does not. (A change has a number of its
 * own, left out here: it would be what that of the acknowledgement is, for five times the states.) */
inline guest_reads(cpu)
{
	if
	:: !(memory[WORD] & SKIP) ->
#ifdef BUG_FIRST_READER
		drained(cpu);
		memory[WORD] = memory[WORD] & ~TOLD_MASK
#endif
	:: (memory[WORD] & SKIP) && (memory[WORD] & TOLD(cpu))
	:: (memory[WORD] & SKIP) && !(memory[WORD] & TOLD(cpu)) && drained(cpu) ->
		memory[WORD] = memory[WORD] | TOLD(cpu)
	fi;
	if
	:: memory[WORD] & SKIP -> believes = true; check_told()
	:: else
	fi
}

/* vm_caps_ack(): a change of the promise has a number of its own. */
inline guest_acknowledges(cpu)
{
	if
	:: atomic {
		!(memory[WORD] & SKIP) && (memory[WORD] & TOLD_MASK) && drained(cpu) ->
		memory[WORD] = memory[WORD] & ~TOLD_MASK;
		believes = false
	   }
	   atomic { drained(cpu) -> memory[GEN]++ }
	:: !(memory[WORD] & SKIP) && !(memory[WORD] & TOLD_MASK) -> believes = false
	:: memory[WORD] & SKIP
	fi
}

proctype pcpu(byte cpu)
{
	byte seen, before, slot, policy;
#ifndef APART
	byte gen;
#endif

root:	if
#ifndef APART
	:: cpu == CONSOLE && sets_done < SETS -> console_set(); goto root
	:: cpu == CONSOLE && seen != OUTSIDE -> atomic { leave(cpu) } goto root /* it sleeps with its eyes open */
#endif
	:: true
	fi;

	take_up_regime(cpu);
	if
	:: enter_guest(cpu); goto guest
#ifndef APART
	:: cpu != CONSOLE -> halt(cpu); goto halted
#endif
	fi;

	/* It exits by itself, or runs until it is taken out. pCPU 0 has a timer, for the console's sake. */
guest:	if
	:: atomic { where[cpu] == GUEST -> back_to_root(cpu); guest_reads(cpu) }
	:: atomic { where[cpu] == GUEST -> back_to_root(cpu); guest_acknowledges(cpu) }
	:: cpu != CONSOLE -> goto spin
	fi;
	goto root;

end_spin:
spin:	where[cpu] == ROOT -> goto root;

#ifndef APART
	/* Only an NMI wakes it; others may send one for reasons of their own. */
end_halted:
halted:	if
	:: where[cpu] == ROOT
	:: atomic { where[cpu] == HALTED -> where[cpu] = ROOT }
	fi;
	goto root
#endif
}

#ifdef APART
proctype console()
{
	byte gen;

	do
	:: sets_done < SETS -> console_set()
	:: else -> break
	od
}
#endif

/* Either mode, shown as it should be, and both vCPUs told or none: what earlier `set`s can have left. */
init
{
	atomic {
		byte cpu;
		bool flushes;

		select (flushes : 0 .. 1);
		policy_in_force = POLICY(1, flushes);
		answered_ok = 1;
		memory[REGIME] = policy_in_force;
		memory[GEN] = 1;
		memory[WORD] = flushes * SKIP;
		if
		:: true -> memory[WORD] = memory[WORD] | TOLD_MASK; believes = true
		:: true
		fi;
		for (cpu : 0 .. PCPUS - 1) { run drain(cpu); run nmi(cpu); run pcpu(cpu) }
#ifdef APART
		run drain(CONSOLE);
		run console()
#endif
		cpu = 0;
		flushes = false
	}
}
