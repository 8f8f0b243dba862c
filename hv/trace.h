/* The trace: a ring of rows for each pCPU, written by that pCPU alone, printed by the console (interface.md 7). */
#ifndef HV_TRACE_H
#define HV_TRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/abi/entry_plan.h"

enum trace_type { TRACE_ENTRY, TRACE_MODE };

enum trace_flag {
	TRACE_BROKEN = 1u << 0,
	TRACE_FAILED = 1u << 1,
	TRACE_NMI = 1u << 2,         /* an NMI made the sequence start again before this entry */
	TRACE_MCU_CARRIED = 1u << 3, /* MCU_OPT_CTRL was written in a sequence that an NMI ended: not printed as a flag,
					but as the row's mcu= */
};

#define TRACE_AFTER_START 0xffff /* in place of an exit reason */

struct trace_row {
	uint64_t tsc;
	uint64_t gen;
	uint8_t type;  /* enum trace_type */
	uint8_t flags; /* enum trace_flag */
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
		} mode;
	};
};

struct trace_ring {
	struct trace_row *rows; /* capacity of them, a power of two */
	uint64_t capacity;
	_Atomic uint64_t
		head; /* rows ever written; the owner stores with release after the row, readers load with acquire */
};

/* rows is rounded up to a power of two. False without memory for them. */
bool trace_ring_init(struct trace_ring *ring, uint64_t rows);

/* The row to fill in next; it counts once trace_commit() has been called. */
struct trace_row *trace_next(struct trace_ring *ring);
void trace_commit(struct trace_ring *ring);

/* Prints the last row_count rows of all pCPUs, in the order of tsc, then pCPU. */
void trace_print(uint64_t row_count);

#endif
