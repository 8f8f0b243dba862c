/* The promise of skip_l1dfl_vmentry (interface.md 5, G1): one word for each VM holds the dynamic bit and who was told.
 * Pure: each function maps a word to a word; hv/vm.c applies them with compare-and-swap, so that every reader, every
 * acknowledgement and every change of the bit is one step in one order. */
#ifndef HV_POLICY_PROMISE_H
#define HV_POLICY_PROMISE_H

#include <stdbool.h>
#include <stdint.h>

#define PROMISE_VCPUS_MAX 32

typedef uint64_t promise_t;

#define PROMISE_TOLD_MASK 0xffffffffull /* bit v: vCPU v has read the bit as 1 since the last acknowledgement */
#define PROMISE_SKIP      (1ull << 32)  /* the value's skip_l1dfl_vmentry now */
#define PROMISE_SEALED    (1ull << 33)  /* caps_mode = fixed: the bit does not follow the knob */
#define PROMISE_BROKEN    (1ull << 34)  /* `force` dropped a debt */

/* At the VM's start or reset. */
promise_t promise_start(bool skip, bool sealed);

/* A vCPU (by number, less than PROMISE_VCPUS_MAX) reads the value: the word after it, with "told" recorded where the
 * bit is 1. The value that it gets has the bit of the word. */
static inline promise_t promise_read(promise_t word, unsigned vcpu)
{
	return (word & PROMISE_SKIP) ? word | 1ull << vcpu : word;
}

/* The knob moves the bit (no effect on a sealed one). */
promise_t promise_set_skip(promise_t word, bool skip);

/* caps_ack: the VM relies on the present value alone. Ends the debt, and `broken`, if the present value has no bit. If
 * it has the bit, the debt stays, and `broken` ends only if the bit has been read again since the breach: a VM that
 * relies on the bit unseen and unflushed must not look whole. */
promise_t promise_ack(promise_t word);

/* `set ... force`: the debt is dropped and the breach is marked, if there is a debt under this mode (flushing: as for
 * promise_owed; true where no flush is needed, see mitigation_skip_l1dfl). */
promise_t promise_force(promise_t word, bool flushing);

/* Somebody was told 1. Whether that is a debt depends on the mode: promise_owed(). */
static inline bool promise_told(promise_t word)
{
	return (word & PROMISE_TOLD_MASK) != 0;
}

/* The value shows the bit, and no `force` has broken it: any vCPU may read it as 1 at any time. */
static inline bool promise_shown(promise_t word)
{
	return (word & (PROMISE_SKIP | PROMISE_BROKEN)) == PROMISE_SKIP;
}

/* The VM is owed flushes that the mode alone does not give. l1d_needed, flushing: of the mitigation in force. A bit
 * that is shown counts before it is read, as that of a sealed word under `never`: while one vCPU reads it, another may
 * already be inside an entry (tests/model/handshake.pml found this). */
static inline bool promise_owed(promise_t word, bool l1d_needed, bool flushing)
{
	return l1d_needed && !flushing && (promise_told(word) || promise_shown(word));
}

#endif
