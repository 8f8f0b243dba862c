/* Physical memory in pages of 4 KiB: one bitmap over all of it. Small and long-lived pieces come from its bottom, the
 * memory of VMs from its top, so that the former do not cut up what the latter leave. Any pCPU may call. */
#ifndef HV_PAGES_H
#define HV_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/address.h"
#include "hv/boot_info.h"

/* Takes over the ranges, less what is below 1 MiB, the image, the modules and the loader's structure. False: no place
 * for the bitmap itself. */
bool pages_init(const struct boot_info *boot, hpa_t image_start, hpa_t image_end);

/* page_count contiguous pages, zeroed, at a multiple of align_pages pages (a power of two); {0} if there are none. */
hpa_t pages_take(uint64_t page_count, uint64_t align_pages);

/* The same from the top, and not zeroed: what was there before must not be shown to anybody. */
hpa_t pages_take_high(uint64_t page_count, uint64_t align_pages);

void pages_give(hpa_t start, uint64_t page_count);

/* One zeroed page; the page-table builders take this shape. */
hpa_t pages_take_one(void);
void pages_give_one(hpa_t page);

uint64_t pages_free_count(void);
uint64_t pages_total_count(void);

/* The longest run of free ones. */
uint64_t pages_largest_count(void);

/* Boot is over: what is taken now is taken for good, and pages_boot_count() tells how much it is. */
void pages_boot_ends(void);
uint64_t pages_boot_count(void);

#endif
