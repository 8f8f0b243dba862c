/* What a switch of tasks moves and checks: the layout of task-state segments, and which segments a new task may have.
 * Pure. SDM vol. 3A, "Task Management", "Task Switching". */
#ifndef HV_POLICY_TASK_H
#define HV_POLICY_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/task.h"

/* In the order of the TSS. */
enum task_segment { TASK_ES, TASK_CS, TASK_SS, TASK_DS, TASK_FS, TASK_GS, TASK_SEGMENTS };

#define TASK_GPRS      8 /* in the order of their numbers */
#define TASK_TSS_BYTES TSS32_BYTES

struct task_state {
	uint32_t pointer, flags;
	uint32_t gpr[TASK_GPRS];
	uint16_t segment[TASK_SEGMENTS];
	uint16_t ldt;
	uint32_t cr3; /* 0 in a TSS of 16 bits, which has none */
	bool trap;
};

/* How much of a TSS the processor needs. */
unsigned task_tss_bytes(bool is_32bit);

/* What a switch away writes: from *start, which is an offset in the TSS, so many bytes, which it returns, to bytes. */
unsigned task_save(const struct task_state *state, bool is_32bit, uint8_t bytes[TASK_TSS_BYTES], unsigned *start);

/* What a switch to the TSS finds in it. */
void task_load(struct task_state *out, const uint8_t *tss, bool is_32bit);

/* A descriptor as the processor keeps it beside the selector. */
struct task_hidden {
	uint32_t base, limit;
	uint32_t access_rights; /* as in the VMCS */
};

struct task_hidden task_hidden_of(uint64_t descriptor);

#define TASK_SEGMENT_GOOD 256u

/* Whether a new task may have the segment: TASK_SEGMENT_GOOD, or the vector of the exception, whose error code is the
 * selector. Not for null selectors, and those beyond their table. cpl: of the new task, the RPL of its CS. */
unsigned task_segment_check(enum task_segment which, uint16_t selector, uint64_t descriptor, unsigned cpl);

/* May that segment register be loaded with a null selector? */
bool task_segment_may_be_null(enum task_segment which);

/* The same of an LDT's descriptor. */
unsigned task_ldt_check(uint64_t descriptor);

#endif
