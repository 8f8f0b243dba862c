/* The hypervisor's own page tables: all physical memory at its own address; the image's text is read-only and
 * executable, its rodata read-only, everything else writable and not executable; the first page is absent. */
#ifndef ARCH_PAGING_H
#define ARCH_PAGING_H

#include <stddef.h>
#include <stdint.h>

#include "arch/address.h"

/* Builds the tables for [0, limit_bytes) (at least the first 4 GiB, for devices) and loads them on this pCPU. Table
 * pages come from take_page(), which returns a zeroed page that is mapped already (at boot: below 4 GiB) and is kept
 * for later splits. Uses 1 GiB pages where the CPU has them, 2 MiB else, and 4 KiB around the first page and the image.
 */
void paging_init(uint64_t limit_bytes, hpa_t (*take_page)(void));

/* Loads the tables on this pCPU, with EFER and CR0 as they need them (NXE, WP). */
void paging_load(void);

/* The length bytes at a physical address, NULL unless all of them are mapped; never for the first page. */
const uint8_t *paging_mapped(uint64_t address, size_t length);

/* The CR3 of every pCPU. */
uint64_t paging_cr3(void);

/* Takes one 4 KiB page away (a guard page). Before any other pCPU runs on it. Panics are impossible: splits large pages
 * as needed with pages from take_page(). */
void paging_unmap(uint64_t address);

/* Makes one 4 KiB page executable and read-only (the AP trampoline, once written). */
void paging_make_executable(uint64_t address);

#endif
