/* Extended page tables of one VM: four levels, write-back, the guest's PAT ignored. Pure but for the memory of the
 * tables. SDM vol. 3C, "The Extended Page Table Mechanism (EPT)". */
#ifndef ARCH_EPT_H
#define ARCH_EPT_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/address.h"

/* Where table pages come from and go to. take() gives a zeroed page, or {0} when there is none. */
struct ept_pages {
	hpa_t (*take)(void);
	void (*give)(hpa_t page);
};

struct ept {
	hpa_t root; /* {0}: no tables */
	bool use_2m, use_1g;
};

/* Maps [gpa, gpa + bytes) to [hpa, ...), readable, writable and executable, with the largest pages that fit. All three
 * are multiples of 4 KiB. False when pages run out: what was mapped stays, ept_destroy() frees it. */
bool ept_map(struct ept *ept, gpa_t gpa, hpa_t hpa, uint64_t bytes, const struct ept_pages *pages);

/* Gives all table pages back. */
void ept_destroy(struct ept *ept, const struct ept_pages *pages);

/* The value of the VMCS field EPT_POINTER. */
uint64_t ept_pointer(const struct ept *ept);

#endif
