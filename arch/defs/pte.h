/* Page-table entries of 4-level paging. Facts only.
 * Source: SDM vol. 3A, "4-Level Paging and 5-Level Paging". */
#ifndef ARCH_DEFS_PTE_H
#define ARCH_DEFS_PTE_H

#define PTE_PRESENT      (1ull << 0)
#define PTE_WRITABLE     (1ull << 1)
#define PTE_USER         (1ull << 2)
#define PTE_PWT          (1ull << 3)
#define PTE_PCD          (1ull << 4)
#define PTE_ACCESSED     (1ull << 5)
#define PTE_DIRTY        (1ull << 6) /* in an entry that maps a page */
#define PTE_LARGE        (1ull << 7) /* in a PDE or PDPTE: maps a page */
#define PTE_NX           (1ull << 63)
#define PTE_ADDRESS_MASK 0x000ffffffffff000ull

/* Error code of a page fault. */
#define PF_PRESENT (1u << 0)
#define PF_WRITE   (1u << 1)
#define PF_USER    (1u << 2)

#define PTE_PER_TABLE  512
#define PTE_INDEX_BITS 9

#endif
