/* Makes a VM out of its configuration, and takes it apart. Console only; the VM is off and no pCPU has its vCPUs. */
#ifndef HV_VM_BUILD_H
#define HV_VM_BUILD_H

#include <stdint.h>

#include "hv/policy/multiboot1.h"
#include "hv/vm.h"

/* Guest RAM is [0, MULTIBOOT1_LOW_MEMORY_END) and, what is more, from MULTIBOOT1_HIGH_MEMORY_START up: the addresses
 * between belong to devices. */
static inline uint64_t vm_low_bytes(const struct vm *vm)
{
	return vm->memory_bytes < MULTIBOOT1_LOW_MEMORY_END ? vm->memory_bytes : MULTIBOOT1_LOW_MEMORY_END;
}

/* NULL, or why not; all that was taken has been given back then. */
const char *vm_build(struct vm *vm);

void vm_build_undo(struct vm *vm);

/* IA32_ARCH_CAPABILITIES of a VM that is off, if it started now; 0 if its model cannot be had here. */
uint64_t vm_build_caps(const struct vm *vm);

#endif
