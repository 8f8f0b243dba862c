#include "hv/state.h"

static const struct options *boot_options;
static uint64_t boot_tsc;

const struct options *state_options(void)
{
	return boot_options;
}

void state_options_set(const struct options *options)
{
	boot_options = options;
}

uint64_t state_boot_tsc(void)
{
	return boot_tsc;
}

void state_boot_tsc_set(uint64_t tsc)
{
	boot_tsc = tsc;
}
