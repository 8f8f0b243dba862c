#include "hv/policy/tsc_scale.h"

uint64_t tsc_scale_down(uint64_t tsc_ticks, uint64_t tsc_hz, uint64_t clock_hz)
{
	return tsc_ticks / tsc_hz * clock_hz + tsc_ticks % tsc_hz * clock_hz / tsc_hz;
}

uint64_t tsc_scale_up(uint64_t clock_ticks, uint64_t tsc_hz, uint64_t clock_hz)
{
	return clock_ticks / clock_hz * tsc_hz + (clock_ticks % clock_hz * tsc_hz + clock_hz - 1) / clock_hz;
}

uint64_t tsc_scale_elapsed(uint64_t since_tsc, uint64_t now_tsc)
{
	uint64_t elapsed = now_tsc - since_tsc;

	return elapsed >> 63 ? 0 : elapsed;
}
