/* The hypervisor proper, from the end of the boot to the end of the machine. */
#ifndef HV_MAIN_H
#define HV_MAIN_H

#include "hv/boot_info.h"

/* On the boot processor and the boot stack, under the boot's map of the first 4 GiB; interrupts are off. */
_Noreturn void hv_main(const struct boot_info *boot);

#endif
