/* Puts a VM's kernel and ramdisk into its memory. */
#ifndef HV_VM_LOAD_H
#define HV_VM_LOAD_H

#include <stdint.h>

#include "hv/vm.h"

/* Where the first vCPU starts, and with what in EAX and EBX. */
struct vm_entry {
	uint32_t entry, eax, ebx;
};

/* The VM has its memory, all zero. NULL, or why the kernel cannot be loaded. */
const char *vm_load(struct vm *vm, struct vm_entry *out);

#endif
