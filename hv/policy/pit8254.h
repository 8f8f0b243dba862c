/* The 8254 timer of a PC with its three channels, and port 0x61, which gates channel 2 and shows its output. Pure: time
 * comes in as a TSC; all that the timer does between two calls is computed, not counted. Nothing here locks: one caller
 * at a time.
 *
 * Channel 0's output is IRQ 0. The caller turns each rising edge (or, where it was late, several at once) into a pulse
 * on that line; it need not ask while the interrupt is masked.
 * Sources: Intel 8254 data sheet, "Programming the 8254", "Mode Definitions"; ICH10 data sheet, "NMI Status and Control
 * Register". */
#ifndef HV_POLICY_PIT8254_H
#define HV_POLICY_PIT8254_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/policy/pit8254_channel.h"

#define PIT8254_CHANNEL0 0x40 /* to 0x42 */
#define PIT8254_CONTROL  0x43
#define PIT8254_PORT61   0x61
#define PIT8254_CHANNELS 3

struct pit8254 {
	struct pit8254_channel channel[PIT8254_CHANNELS];
	uint8_t port61; /* the bits that a write sets */
	uint64_t tsc_hz;
	uint64_t origin_tsc; /* tick 0 */
	uint64_t edges_tick; /* channel 0's rising edges up to this tick are in `edges` or were taken */
	uint64_t edges;
};

/* As a PC's firmware leaves it: channel 0 in mode 2 with count 65536 (18.2 Hz), channel 1 likewise with 18, channel 2
 * not started and its gate closed. tsc_hz: see tsc_scale.h. */
void pit8254_reset(struct pit8254 *p, uint64_t tsc_hz, uint64_t now_tsc);

/* Byte accesses to the five ports; any other port reads all ones. */
uint8_t pit8254_read(struct pit8254 *p, uint16_t port, uint64_t now_tsc);

/* Then ask pit8254_left() anew. */
void pit8254_write(struct pit8254 *p, uint16_t port, uint8_t value, uint64_t now_tsc);

/* Rising edges of channel 0's output since this was last asked. */
uint64_t pit8254_edges(struct pit8254 *p, uint64_t now_tsc);

#define PIT8254_NEVER UINT64_MAX

/* TSC ticks until pit8254_edges() is not 0; 0: it is not. PIT8254_NEVER: not before another write. */
uint64_t pit8254_left(const struct pit8254 *p, uint64_t now_tsc);

/* The output of a channel. */
bool pit8254_output(const struct pit8254 *p, unsigned channel, uint64_t now_tsc);

/* The TSC that is given as now_tsc was set, by so much ahead (modulo 2^64): counts go on undisturbed. */
void pit8254_tsc_moved(struct pit8254 *p, uint64_t delta_tsc);

#endif
