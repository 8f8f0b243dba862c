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

enum guest_memory_access {
	GUEST_MEMORY_READ = 0,
	GUEST_MEMORY_WRITE = 1u << 0,
	GUEST_MEMORY_SYSTEM = 1u << 1, /* the CPU's own, of descriptors and the like: privileged whatever the CPL */
};

/* Where bytes at a linear address lie: they may begin on one page and end on the next. */
struct guest_memory_place {
	struct {
		uint8_t *at; /* NULL: no RAM there */
		unsigned bytes;
	} piece[2];
};

/* Finds the place of at most a page of bytes, and marks the entries that lead there as the access would. access: enum
 * guest_memory_access. */
enum guest_memory_status guest_memory_find(struct vcpu *vcpu, uint64_t linear, unsigned bytes, unsigned access,
					   struct guest_memory_place *place);

/* Cannot fault any more. */
void guest_memory_take(const struct guest_memory_place *place, void *data);
void guest_memory_put(const struct guest_memory_place *place, const void *data);

/* Both in one, with the rights of the guest's CPL. */
enum guest_memory_status guest_memory_read(struct vcpu *vcpu, uint64_t linear, void *data, unsigned bytes);
enum guest_memory_status guest_memory_write(struct vcpu *vcpu, uint64_t linear, const void *data, unsigned bytes);

#endif
