/* Page tables in the PAE form: linear is physical below 4 GiB, in 2 MiB pages that ring 3 may use, but for a window of
 * 4 KiB pages. */
#ifndef GUEST_LIB_PAGING_H
#define GUEST_LIB_PAGING_H

#include <stdint.h>

#define PAGING_PAGE_BYTES   0x1000u
#define PAGING_WINDOW       0x40000000u /* linear address of the window's first page */
#define PAGING_WINDOW_PAGES 512

/* The entries of the window, all absent at first; an edit counts after INVLPG or a load of CR3. */
extern volatile uint64_t paging_window[PAGING_WINDOW_PAGES];

/* The page directories, 512 entries for each GiB. */
extern uint64_t paging_directories[4][512];

/* What CR3 takes. Also the table for the low 512 GiB of 4-level paging, but for the entries' bits there. */
extern uint64_t paging_pointers[512];

/* Writes the tables. */
void paging_build(void);

/* Switches paging on, with NX where there is any, and write protection in ring 0. */
void paging_on(void);

/* A page of the window. */
volatile uint8_t *paging_page(unsigned index);

/* Sets an entry, and INVLPG. */
void paging_map(unsigned index, uint64_t entry);

#endif
