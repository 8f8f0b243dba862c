/* Starts the pCPUs and takes stock of them. */
#ifndef HV_CPUS_H
#define HV_CPUS_H

#include "hv/boot_info.h"
#include "hv/percpu.h"
#include "hv/policy/mitigation.h"
#include "hv/policy/options.h"

/* On the boot processor, once memory is there: makes it pCPU 0 and goes on with then() on its own stack. */
_Noreturn void cpus_init_boot(const struct boot_info *boot, const struct options *options, void (*then)(void));

/* Starts the other pCPUs (at most options->maxcpus in all), probes them all, and fills in *machine with what is true of
 * every one. They wait then until cpus_release(). */
void cpus_start(const struct boot_info *boot, struct machine *machine);

/* The regime is in force: the other pCPUs go to work. */
void cpus_release(void);

#endif
