/* One channel of an 8254 as a function of time: ticks of its clock (1193182 Hz) come in, nothing is counted one by one.
 * Pure. hv/policy/pit8254.h puts three of them together.
 * Source: Intel 8254 data sheet, "Mode Definitions", "Read Operations", "Gate Pin Operations Summary". */
#ifndef HV_POLICY_PIT8254_CHANNEL_H
#define HV_POLICY_PIT8254_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

struct pit8254_channel {
	uint8_t mode;   /* 0 to 5 */
	uint8_t access; /* control word: 1 low byte, 2 high byte, 3 low then high */
	bool bcd;
	bool gate;

	/* Counts are 1 to 65536 (BCD: 10000), never 0. Counting since tick `start`, in which the counter held `count`;
	 * `start` lies one tick ahead just after a count was written. Stopped by the gate: `elapsed` ticks were
	 * counted. */
	bool loaded; /* a count was written (modes 1, 5: and the gate rose) after the control word */
	bool stopped;
	uint32_t count;
	uint64_t start;
	uint64_t elapsed;

	/* A count that was written but waits: for the gate (modes 1, 5), or for tick next_at (modes 2, 3). */
	bool has_next;
	uint32_t next;
	uint64_t next_at;

	bool writes_high, reads_high; /* access 3: the low byte has gone before */
	uint8_t written_low;
	uint8_t latched_bytes; /* of `latch` still to be read */
	uint16_t latch;
	bool status_latched;
	uint8_t status;
};

/* A count that waits takes its place if its tick has come. The functions below take it that this was done for their
 * tick; ticks never go back. */
void pit8254_channel_catch_up(struct pit8254_channel *c, uint64_t tick);

/* Writes of the control word, other than latch and read-back commands, and of a byte of the count. */
void pit8254_channel_control(struct pit8254_channel *c, uint8_t value);
void pit8254_channel_write(struct pit8254_channel *c, uint8_t byte, uint64_t tick);

/* What the latch and read-back commands do. */
void pit8254_channel_latch_count(struct pit8254_channel *c, uint64_t tick);
void pit8254_channel_latch_status(struct pit8254_channel *c, uint64_t tick);

uint8_t pit8254_channel_read(struct pit8254_channel *c, uint64_t tick);

/* Starts with a count, as if it had been written just after a control word. */
void pit8254_channel_load(struct pit8254_channel *c, uint32_t count, uint64_t tick);

void pit8254_channel_set_gate(struct pit8254_channel *c, bool gate, uint64_t tick);

/* OUT */
bool pit8254_channel_output(const struct pit8254_channel *c, uint64_t tick);

/* Rising edges of OUT after tick `from`, up to and with `to`; c as it is at `from`. */
uint64_t pit8254_channel_rises(struct pit8254_channel c, uint64_t from, uint64_t to);

#define PIT8254_NO_TICK UINT64_MAX

/* The tick of OUT's first rising edge after this one. */
uint64_t pit8254_channel_next_rise(struct pit8254_channel c, uint64_t tick);

#endif
