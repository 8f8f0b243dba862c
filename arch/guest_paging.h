/* Walks a guest's page tables as the CPU would. Pure but for the reads of guest memory, which the caller makes.
 * SDM vol. 3A, "Paging". */
#ifndef ARCH_GUEST_PAGING_H
#define ARCH_GUEST_PAGING_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/address.h"

struct guest_paging {
	uint64_t cr0, cr3, cr4, efer;
	bool user; /* the access is made at CPL 3 */
	bool write;
};

/* Reads `bytes` (4 or 8) at a guest-physical address into *value. False: no RAM there. */
typedef bool (*guest_paging_read_fn)(void *context, gpa_t gpa, unsigned bytes, uint64_t *value);

/* Translates a linear address. True: *out is its GPA. False: the access faults, and *error_code is that of the #PF
 * (SDM vol. 3A, "Page-Fault Exceptions"). Accessed and dirty bits are the caller's to set: guest_paging_marks(). */
bool guest_paging_walk(const struct guest_paging *paging, uint64_t linear, guest_paging_read_fn read, void *context,
		       gpa_t *out, uint32_t *error_code);

/* The accessed and dirty bits that an access which does not fault sets in the index-th of the `count` entries that its
 * walk has read. They are in the entry's lowest byte. SDM vol. 3A, "Accessed and Dirty Flags". */
uint8_t guest_paging_marks(const struct guest_paging *paging, unsigned index, unsigned count);

#endif
