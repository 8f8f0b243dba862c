/* Extended page tables like others, but with one blank page at a few addresses where those have nothing: all its bits
 * are set. Pure but for the memory of the tables. */
#ifndef ARCH_EPT_OVERLAY_H
#define ARCH_EPT_OVERLAY_H

#include "arch/address.h"

/* An instruction that copies, with both operands on two pages, fetched from two more. */
#define EPT_OVERLAY_ADDRESSES 6

/* The blank page, the root, and three tables for each address at most. */
#define EPT_OVERLAY_PAGES (2 + 3 * EPT_OVERLAY_ADDRESSES)

/* Addresses have so many bits. */
#define EPT_ADDRESS_BITS 48

struct ept_overlay {
	hpa_t pages; /* EPT_OVERLAY_PAGES, contiguous */
	unsigned used;
};

/* Makes them anew over the tables at `below`, which must stay as they are while the overlay is used. at: count page
 * addresses, at most EPT_OVERLAY_ADDRESSES; one that the tables below do map stays mapped so. Returns the root. */
hpa_t ept_overlay_make(struct ept_overlay *overlay, hpa_t below, const gpa_t *at, unsigned count);

#endif
