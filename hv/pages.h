/* Physical memory in pages of 4 KiB: one bitmap over all of it, first fit. Any pCPU may call. */
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
void pages_give(hpa_t start, uint64_t page_count);

/* One zeroed page; the page-table builders take this shape. */
hpa_t pages_take_one(void);
void pages_give_one(hpa_t page);

uint64_t pages_free_count(void);
uint64_t pages_total_count(void);

#endif
