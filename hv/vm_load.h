/* Puts a VM's kernel and ramdisk into its memory. */
#ifndef HV_VM_LOAD_H
#define HV_VM_LOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "hv/vcpu_reset.h"
#include "hv/vm.h"

/* The VM has its memory, all zero. The kernel is a Linux bzImage or a multiboot 1 kernel; *out says how it is entered.
 * False: it cannot be loaded; reason's buffer says why, and begins with the key of the cfg that is to blame. */
bool vm_load(struct vm *vm, struct vcpu_entry *out, char *reason, size_t reason_size);

#endif
