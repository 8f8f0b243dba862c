/* Makes a VM out of its configuration, and takes it apart. Console only; the VM is off and no pCPU has its vCPUs. */
#ifndef HV_VM_BUILD_H
#define HV_VM_BUILD_H

#include <stdint.h>

#include "hv/vm.h"

/* Guest RAM is [0, 3 GiB) and, what is more, from 4 GiB up: the addresses between belong to devices. */
#define VM_LOW_MEMORY_MAX (3ull << 30)
#define VM_HIGH_MEMORY    (4ull << 30)

static inline uint64_t vm_low_bytes(const struct vm *vm)
{
	return vm->memory_bytes < VM_LOW_MEMORY_MAX ? vm->memory_bytes : VM_LOW_MEMORY_MAX;
}

/* NULL, or why not; all that was taken has been given back then. */
const char *vm_build(struct vm *vm);

void vm_build_undo(struct vm *vm);

#endif
