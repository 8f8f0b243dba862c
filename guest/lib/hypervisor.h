/* The hypervisor beneath, if it is Sluice. */
#ifndef GUEST_LIB_HYPERVISOR_H
#define GUEST_LIB_HYPERVISOR_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/policy/hypercall.h"

/* CPUID says SluiceSluice: hypercalls are answered. Elsewhere VMCALL is #UD. */
bool hypervisor_is_sluice(void);

static inline int32_t hypervisor_call(uint32_t number, uint32_t argument)
{
	int32_t result;

	__asm__ volatile("vmcall" : "=a"(result) : "a"(number), "b"(argument), "c"(0), "d"(0) : "memory");
	return result;
}

#endif
