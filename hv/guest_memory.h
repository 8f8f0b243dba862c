/* Guest memory by linear address, for instructions that are emulated. The vCPU is loaded here. */
#ifndef HV_GUEST_MEMORY_H
#define HV_GUEST_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/vcpu.h"

enum guest_memory_status {
	GUEST_MEMORY_OK,
	GUEST_MEMORY_FAULT,  /* the guest's own page tables refuse: a #PF has been injected */
	GUEST_MEMORY_NO_RAM, /* nothing answers at the address: reads give all ones, writes go nowhere */
};

/* Copies bytes (at most a page) between *data and the linear address. */
enum guest_memory_status guest_memory_read(struct vcpu *vcpu, uint64_t linear, void *data, unsigned bytes);
enum guest_memory_status guest_memory_write(struct vcpu *vcpu, uint64_t linear, const void *data, unsigned bytes);

#endif
