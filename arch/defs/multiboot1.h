/* Multiboot 1: a kernel's header and the structure it is handed (Multiboot Specification version 0.6.96). */
#ifndef ARCH_DEFS_MULTIBOOT1_H
#define ARCH_DEFS_MULTIBOOT1_H

#include <stdint.h>

#define MULTIBOOT1_HEADER_MAGIC  0x1badb002u
#define MULTIBOOT1_HEADER_SEARCH 8192 /* the header lies in the first so many bytes */
#define MULTIBOOT1_HEADER_ALIGN  4

/* Header flags: 0-15 must be understood by the loader, 16-31 need not. */
#define MULTIBOOT1_PAGE_ALIGN    (1u << 0)
#define MULTIBOOT1_MEMORY_INFO   (1u << 1)
#define MULTIBOOT1_VIDEO_MODE    (1u << 2)
#define MULTIBOOT1_REQUIRED_MASK 0xffffu
#define MULTIBOOT1_ADDRESSES     (1u << 16)

struct multiboot1_header {
	uint32_t magic, flags, checksum;
};

/* After the header, with MULTIBOOT1_ADDRESSES. */
struct multiboot1_addresses {
	uint32_t header_addr, load_addr;
	uint32_t load_end_addr; /* 0: to the end of the file */
	uint32_t bss_end_addr;  /* 0: no bss */
	uint32_t entry_addr;
};

/* Flags of the information structure. */
#define MULTIBOOT1_INFO_MEMORY      (1u << 0)
#define MULTIBOOT1_INFO_CMDLINE     (1u << 2)
#define MULTIBOOT1_INFO_MODULES     (1u << 3)
#define MULTIBOOT1_INFO_MMAP        (1u << 6)
#define MULTIBOOT1_INFO_LOADER_NAME (1u << 9)

struct multiboot1_info {
	uint32_t flags;
	uint32_t mem_lower, mem_upper; /* KiB from 0, and from 1 MiB to the first hole */
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t mods_count, mods_addr;
	uint32_t syms[4];
	uint32_t mmap_length, mmap_addr;
	uint32_t drives_length, drives_addr;
	uint32_t config_table;
	uint32_t boot_loader_name;
	uint32_t apm_table;
	uint32_t vbe[4];
	uint32_t framebuffer[7];
};

struct multiboot1_module {
	uint32_t mod_start, mod_end;
	uint32_t string;
	uint32_t reserved;
};

#define MULTIBOOT1_MEMORY_AVAILABLE 1
#define MULTIBOOT1_MEMORY_RESERVED  2
struct multiboot1_mmap_entry {
	uint32_t size; /* of what follows */
	uint64_t base_addr, length;
	uint32_t type;
} __attribute__((packed));

#endif
