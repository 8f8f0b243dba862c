/* The VMs of the boot medium: each cfg among the modules becomes one. */
#ifndef HV_VMS_BOOT_H
#define HV_VMS_BOOT_H

#include <stdbool.h>

#include "hv/boot_info.h"

/* Takes all cfgs in; a bad one is reported with file, line and reason, and the others go on. */
void vms_boot_add(const struct boot_info *boot);

/* Starts those with autostart = 1. */
void vms_boot_start(void);

#endif
