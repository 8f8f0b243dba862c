/* How a knob is changed: on all pCPUs, with the promises that hang on it, and told in the trace. */
#ifndef HV_KNOBS_H
#define HV_KNOBS_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/policy/knob.h"

/* Returns once no pCPU can enter a guest under the old value any more (G5). force: debts of promises are dropped.
 * Console only. */
void knobs_set(enum knob knob, uint8_t value, bool force);

/* Changes those knobs that differ from what is wanted, one after the other. */
void knobs_set_all(const struct knobs *wanted);

#endif
