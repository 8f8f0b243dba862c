#include "hv/policy/pit8254_channel.h"

/* ---- the registers ---- */

#define CONTROL_ACCESS(v) ((v) >> 4 & 3)
#define CONTROL_MODE(v)   ((v) >> 1 & 7)
#define CONTROL_BCD       (1u << 0)

#define ACCESS_LOW      1
#define ACCESS_HIGH     2
#define ACCESS_LOW_HIGH 3

#define STATUS_OUT  (1u << 7)
#define STATUS_NULL (1u << 6)

/* ---- one channel, at a tick ----
 *
 * What the data sheet's "Mode Definitions" say clock by clock, as functions of the ticks that were counted since the
 * count was loaded. Only the waiting count of modes 2 and 3 changes by itself: pit8254_channel_catch_up() puts it in
 * its place. */

static bool is_periodic(const struct pit8254_channel *c)
{
	return c->mode == 2 || c->mode == 3;
}

static bool is_triggered(const struct pit8254_channel *c)
{
	return c->mode == 1 || c->mode == 5;
}

static uint32_t modulus(const struct pit8254_channel *c)
{
	return c->bcd ? 10000 : 65536;
}

/* Mode 3: the output is high for the first half, the longer one if they differ. */
static uint32_t high_half(uint32_t count)
{
	return (count + 1) / 2;
}

static uint64_t counted(const struct pit8254_channel *c, uint64_t tick)
{
	uint64_t ticks = tick - c->start;

	if (c->stopped)
		return c->elapsed;
	return ticks >> 63 ? 0 : ticks;
}

/* The count was written, but the tick that puts it into the counter is yet to come. */
static bool is_before_load(const struct pit8254_channel *c, uint64_t tick)
{
	return !c->stopped && (tick - c->start) >> 63;
}

/* Where a new count may take the place of the old one: mode 2 at the end of the period, mode 3 of the half. */
static uint64_t next_boundary(const struct pit8254_channel *c, uint64_t tick)
{
	uint64_t ticks = counted(c, tick), in_period = ticks % c->count;

	if (c->mode == 3 && in_period < high_half(c->count))
		return c->start + (ticks - in_period) + high_half(c->count);
	return c->start + (ticks - in_period) + c->count;
}

void pit8254_channel_catch_up(struct pit8254_channel *c, uint64_t tick)
{
	bool low_half;

	if (!c->has_next || !is_periodic(c) || c->stopped || tick < c->next_at)
		return;
	low_half = counted(c, c->next_at) % c->count != 0;
	c->count = c->next;
	c->start = c->next_at - (low_half ? high_half(c->count) : 0);
	c->has_next = false;
}

/* OUT */
bool pit8254_channel_output(const struct pit8254_channel *c, uint64_t tick)
{
	uint64_t ticks = counted(c, tick);

	if (!c->loaded)
		return c->mode != 0;
	switch (c->mode) {
	case 0:
	case 1:
		return ticks >= c->count;
	case 2:
		return c->stopped || ticks % c->count != c->count - 1;
	case 3:
		return c->stopped || ticks % c->count < high_half(c->count);
	default:
		return ticks != c->count;
	}
}

/* The ticks, counted since the load, after which OUT rises: once, or again and again. */
static uint64_t rises_after(const struct pit8254_channel *c)
{
	return c->mode >= 4 ? c->count + 1 : c->count;
}

/* Rising edges after tick `from`, up to and with `to`; no count waits to take its place before `to`. */
static uint64_t rises_of_one_count(const struct pit8254_channel *c, uint64_t from, uint64_t to)
{
	uint64_t before = counted(c, from), after = counted(c, to);

	if (!c->loaded || c->stopped)
		return 0;
	if (is_periodic(c))
		return after / c->count - before / c->count;
	return before < rises_after(c) && rises_after(c) <= after;
}

uint64_t pit8254_channel_rises(struct pit8254_channel c, uint64_t from, uint64_t to)
{
	uint64_t next_at = c.next_at, rises;

	if (!c.has_next || !is_periodic(&c) || c.stopped || next_at > to)
		return rises_of_one_count(&c, from, to);
	rises = rises_of_one_count(&c, from, next_at);
	pit8254_channel_catch_up(&c, next_at);
	return rises + rises_of_one_count(&c, next_at, to);
}

uint64_t pit8254_channel_next_rise(struct pit8254_channel c, uint64_t tick)
{
	uint64_t ticks, rise;

	pit8254_channel_catch_up(&c, tick);
	ticks = counted(&c, tick);
	if (!c.loaded || c.stopped)
		return PIT8254_NO_TICK;
	if (!is_periodic(&c))
		return ticks < rises_after(&c) ? c.start + rises_after(&c) : PIT8254_NO_TICK;
	rise = c.start + (ticks / c.count + 1) * c.count;
	return c.has_next && rise > c.next_at ? pit8254_channel_next_rise(c, c.next_at) : rise;
}

/* The counter as it reads. */
static uint16_t count_of(const struct pit8254_channel *c, uint64_t tick)
{
	uint64_t ticks = counted(c, tick), in_period;
	uint32_t value;

	if (!c->loaded)
		return 0;
	in_period = ticks % c->count;
	if (c->mode == 2)
		value = c->count - (uint32_t)in_period;
	else if (c->mode == 3) /* by twos, in each half from the even number at or below the count */
		value = (c->count & ~1u) - 2 * (uint32_t)(in_period % high_half(c->count));
	else
		value = c->count + modulus(c) - (uint32_t)(ticks % modulus(c));
	value %= modulus(c);
	if (c->bcd)
		value = value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 | value % 10;
	return (uint16_t)value;
}

static uint8_t status_of(const struct pit8254_channel *c, uint64_t tick)
{
	/* The count that was written last is not in the counter yet. */
	bool is_null = !c->loaded || c->has_next || is_before_load(c, tick);

	return (uint8_t)((pit8254_channel_output(c, tick) ? STATUS_OUT : 0) | (is_null ? STATUS_NULL : 0) |
			 (unsigned)c->access << 4 | (unsigned)c->mode << 1 | c->bcd);
}

/* ---- what changes a channel ---- */

/* The next tick puts it into the counter. */
void pit8254_channel_load(struct pit8254_channel *c, uint32_t count, uint64_t tick)
{
	c->loaded = true;
	c->has_next = false;
	c->count = count;
	c->start = tick + 1;
	c->elapsed = 0;
	c->stopped = !c->gate && !is_triggered(c);
}

void pit8254_channel_set_gate(struct pit8254_channel *c, bool gate, uint64_t tick)
{
	if (gate == c->gate)
		return;
	c->gate = gate;
	if (is_triggered(c)) {
		if (gate && (c->loaded || c->has_next))
			pit8254_channel_load(c, c->has_next ? c->next : c->count, tick);
	} else if (c->loaded && !gate) {
		c->elapsed = counted(c, tick);
		c->stopped = true;
	} else if (c->loaded && is_periodic(c)) {
		pit8254_channel_load(c, c->has_next ? c->next : c->count, tick);
	} else if (c->loaded) {
		c->start = tick - c->elapsed;
		c->stopped = false;
	}
}

static void count_write(struct pit8254_channel *c, uint16_t raw, uint64_t tick)
{
	uint32_t count = raw;

	if (c->bcd)
		count = ((raw >> 12) * 1000u + (raw >> 8 & 15) * 100u + (raw >> 4 & 15) * 10u + (raw & 15)) % 10000;
	if (!count)
		count = modulus(c);
	/* "Minimum and Maximum Initial Counts" */
	if (is_periodic(c) && count < 2)
		count = 2;

	if (is_triggered(c)) {
		c->has_next = true;
		c->next = count;
	} else if (!is_periodic(c) || !c->loaded || is_before_load(c, tick)) {
		pit8254_channel_load(c, count, tick);
	} else {
		if (!c->stopped)
			c->next_at = next_boundary(c, tick);
		c->has_next = true;
		c->next = count;
	}
}

void pit8254_channel_write(struct pit8254_channel *c, uint8_t byte, uint64_t tick)
{
	if (c->access == ACCESS_LOW_HIGH && !c->writes_high) {
		c->written_low = byte;
		c->writes_high = true;
		/* "Mode 0: Interrupt on Terminal Count": the first byte stops the counting. */
		if (c->mode == 0)
			c->loaded = false;
		return;
	}
	c->writes_high = false;
	if (c->access == ACCESS_LOW)
		count_write(c, byte, tick);
	else
		count_write(c, (uint16_t)(byte << 8 | (c->access == ACCESS_HIGH ? 0 : c->written_low)), tick);
}

void pit8254_channel_control(struct pit8254_channel *c, uint8_t value)
{
	uint8_t mode = CONTROL_MODE(value);

	*c = (struct pit8254_channel){
		.mode = mode > 5 ? mode & 3 : mode, /* 6 and 7 are other names of 2 and 3 */
		.access = CONTROL_ACCESS(value),
		.bcd = value & CONTROL_BCD,
		.gate = c->gate,
	};
}

void pit8254_channel_latch_count(struct pit8254_channel *c, uint64_t tick)
{
	if (c->latched_bytes)
		return;
	c->latch = count_of(c, tick);
	c->latched_bytes = c->access == ACCESS_LOW_HIGH ? 2 : 1;
}

void pit8254_channel_latch_status(struct pit8254_channel *c, uint64_t tick)
{
	if (c->status_latched)
		return;
	c->status = status_of(c, tick);
	c->status_latched = true;
}

uint8_t pit8254_channel_read(struct pit8254_channel *c, uint64_t tick)
{
	bool high = c->access == ACCESS_HIGH;
	uint16_t count;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	if (c->latched_bytes) {
		count = c->latch;
		c->latched_bytes--;
		high |= c->access == ACCESS_LOW_HIGH && !c->latched_bytes;
	} else {
		count = count_of(c, tick);
		high |= c->reads_high;
		c->reads_high = c->access == ACCESS_LOW_HIGH && !c->reads_high;
	}
	return (uint8_t)(high ? count >> 8 : count);
}
