/* Multiboot2: the information structure that the loader hands over. Facts only.
 * Source: Multiboot2 Specification version 2.0, "Boot information format". */
#ifndef ARCH_DEFS_MULTIBOOT2_H
#define ARCH_DEFS_MULTIBOOT2_H

#include <stdint.h>

#define MULTIBOOT2_TAG_ALIGN 8

#define MULTIBOOT2_TAG_END      0
#define MULTIBOOT2_TAG_CMDLINE  1
#define MULTIBOOT2_TAG_MODULE   3
#define MULTIBOOT2_TAG_MMAP     6
#define MULTIBOOT2_TAG_ACPI_OLD 14
#define MULTIBOOT2_TAG_ACPI_NEW 15

struct multiboot2_fixed {
	uint32_t total_size;
	uint32_t reserved;
};

/* Before each tag's body. */
struct multiboot2_tag {
	uint32_t type;
	uint32_t size; /* with this head, without padding */
};

/* The body of a module's tag; its command line follows. */
struct multiboot2_module {
	uint32_t mod_start, mod_end;
};

/* The body of the memory map's tag; its entries follow. */
struct multiboot2_mmap {
	uint32_t entry_size;
	uint32_t entry_version;
};

#define MULTIBOOT2_MEMORY_AVAILABLE 1
struct multiboot2_mmap_entry {
	uint64_t base_addr, length;
	uint32_t type;
	uint32_t reserved;
};

#endif
