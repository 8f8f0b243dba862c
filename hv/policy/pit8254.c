#include "hv/policy/pit8254.h"

#include "arch/defs/pc.h"
#include "hv/policy/tsc_scale.h"

/* ---- the registers ---- */

#define CONTROL_CHANNEL(v) ((v) >> 6)
#define CONTROL_READ_BACK  3             /* in place of a channel */
#define CONTROL_LATCH(v)   (!((v)&0x30)) /* no access is chosen: the counter latch command */

#define READ_BACK_NO_COUNT   (1u << 5)
#define READ_BACK_NO_STATUS  (1u << 4)
#define READ_BACK_CHANNEL(i) (1u << ((i) + 1))

#define PORT61_REFRESH (1u << 4)

/* Memory refresh every 15 us toggles a bit that programs use to measure time. */
#define REFRESH_TICKS 18

/* What firmware writes to the control word: low byte then high byte, mode 2. */
#define FIRMWARE_CONTROL 0x34
#define FIRMWARE_COUNT   65536

/* ---- the three of them ---- */

/* Never before the tick that was seen last, though the TSC may have fallen back a little. */
static uint64_t tick_at(const struct pit8254 *p, uint64_t now_tsc)
{
	uint64_t tick = tsc_scale_down(tsc_scale_elapsed(p->origin_tsc, now_tsc), p->tsc_hz, PIT_HZ);

	return tick > p->edges_tick ? tick : p->edges_tick;
}

/* Lets all that happens up to now happen; returns the tick. */
static uint64_t advance(struct pit8254 *p, uint64_t now_tsc)
{
	uint64_t tick = tick_at(p, now_tsc);

	p->edges += pit8254_channel_rises(p->channel[0], p->edges_tick, tick);
	p->edges_tick = tick;
	for (unsigned i = 0; i < PIT8254_CHANNELS; i++)
		pit8254_channel_catch_up(&p->channel[i], tick);
	return tick;
}

static void read_back(struct pit8254 *p, uint8_t value, uint64_t tick)
{
	for (unsigned i = 0; i < PIT8254_CHANNELS; i++) {
		if (!(value & READ_BACK_CHANNEL(i)))
			continue;
		if (!(value & READ_BACK_NO_COUNT))
			pit8254_channel_latch_count(&p->channel[i], tick);
		if (!(value & READ_BACK_NO_STATUS))
			pit8254_channel_latch_status(&p->channel[i], tick);
	}
}

static void port43_write(struct pit8254 *p, uint8_t value, uint64_t tick)
{
	struct pit8254_channel *c;

	if (CONTROL_CHANNEL(value) == CONTROL_READ_BACK) {
		read_back(p, value, tick);
		return;
	}
	c = &p->channel[CONTROL_CHANNEL(value)];
	if (CONTROL_LATCH(value))
		pit8254_channel_latch_count(c, tick);
	else
		pit8254_channel_control(c, value);
}

void pit8254_write(struct pit8254 *p, uint16_t port, uint8_t value, uint64_t now_tsc)
{
	uint64_t tick = advance(p, now_tsc);
	bool was_high = pit8254_channel_output(&p->channel[0], tick);

	if (port == PIT8254_PORT61) {
		p->port61 = value & NMI_SC_WRITABLE;
		pit8254_channel_set_gate(&p->channel[2], value & NMI_SC_GATE2, tick);
	} else if (port == PIT8254_CONTROL) {
		port43_write(p, value, tick);
	} else if (port >= PIT8254_CHANNEL0 && port < PIT8254_CHANNEL0 + PIT8254_CHANNELS) {
		pit8254_channel_write(&p->channel[port - PIT8254_CHANNEL0], value, tick);
	}
	/* A change of mode may raise it, too. */
	p->edges += !was_high && pit8254_channel_output(&p->channel[0], tick);
}

uint8_t pit8254_read(struct pit8254 *p, uint16_t port, uint64_t now_tsc)
{
	uint64_t tick = advance(p, now_tsc);

	if (port >= PIT8254_CHANNEL0 && port < PIT8254_CHANNEL0 + PIT8254_CHANNELS)
		return pit8254_channel_read(&p->channel[port - PIT8254_CHANNEL0], tick);
	if (port != PIT8254_PORT61)
		return 0xff;
	return (uint8_t)(p->port61 | (tick / REFRESH_TICKS % 2 ? PORT61_REFRESH : 0) |
			 (pit8254_channel_output(&p->channel[2], tick) ? NMI_SC_STATUS_OUT2 : 0));
}

uint64_t pit8254_edges(struct pit8254 *p, uint64_t now_tsc)
{
	uint64_t edges;

	advance(p, now_tsc);
	edges = p->edges;
	p->edges = 0;
	return edges;
}

uint64_t pit8254_left(const struct pit8254 *p, uint64_t now_tsc)
{
	uint64_t elapsed = tsc_scale_elapsed(p->origin_tsc, now_tsc), rise, rise_tsc;

	if (p->edges)
		return 0;
	/* From edges_tick on: one that has passed since then is due. */
	rise = pit8254_channel_next_rise(p->channel[0], p->edges_tick);
	if (rise == PIT8254_NO_TICK)
		return PIT8254_NEVER;
	rise_tsc = tsc_scale_up(rise, p->tsc_hz, PIT_HZ);
	return rise_tsc > elapsed ? rise_tsc - elapsed : 0;
}

bool pit8254_output(const struct pit8254 *p, unsigned channel, uint64_t now_tsc)
{
	struct pit8254_channel c = p->channel[channel];
	uint64_t tick = tick_at(p, now_tsc);

	pit8254_channel_catch_up(&c, tick);
	return pit8254_channel_output(&c, tick);
}

void pit8254_tsc_moved(struct pit8254 *p, uint64_t delta_tsc)
{
	p->origin_tsc += delta_tsc;
}

void pit8254_reset(struct pit8254 *p, uint64_t tsc_hz, uint64_t now_tsc)
{
	*p = (struct pit8254){.tsc_hz = tsc_hz, .origin_tsc = now_tsc};
	for (unsigned i = 0; i < PIT8254_CHANNELS; i++) {
		p->channel[i].gate = i != 2;
		pit8254_channel_control(&p->channel[i], FIRMWARE_CONTROL);
	}
	pit8254_channel_load(&p->channel[0], FIRMWARE_COUNT, 0);
	pit8254_channel_load(&p->channel[1], REFRESH_TICKS, 0);
}
