/* What boot has settled for good, for those who report it. */
#ifndef HV_STATE_H
#define HV_STATE_H

#include <stdint.h>

#include "hv/policy/options.h"

/* The boot options. Set once by hv_main(). */
const struct options *state_options(void);
void state_options_set(const struct options *options);

/* The TSC when the hypervisor was started. */
uint64_t state_boot_tsc(void);
void state_boot_tsc_set(uint64_t tsc);

#endif
