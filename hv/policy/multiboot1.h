/* Multiboot 1 kernels (Multiboot Specification 0.6.96): reads an image, says what goes where. Pure: no memory is
 * written here. */
#ifndef HV_POLICY_MULTIBOOT1_H
#define HV_POLICY_MULTIBOOT1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MULTIBOOT1_SEGMENTS_MAX 16
#define MULTIBOOT1_EAX          0x2badb002u

/* Guest memory lies in [0, 3 GiB), and what is left of it from 4 GiB up: devices have the gap. */
#define MULTIBOOT1_LOW_MEMORY_END    (3ull << 30)
#define MULTIBOOT1_HIGH_MEMORY_START (4ull << 30)

/* Room for the module's string, with its terminator; a longer one is cut off. */
#define MULTIBOOT1_MODULE_NAME_BYTES 128

struct multiboot1_segment {
	uint64_t offset;       /* in the image */
	uint64_t file_bytes;   /* to copy */
	uint64_t gpa;          /* to */
	uint64_t memory_bytes; /* the rest is zeroed */
};

struct multiboot1_image {
	uint32_t flags; /* of the header */
	uint32_t entry; /* GPA */
	uint32_t segment_count;
	struct multiboot1_segment segments[MULTIBOOT1_SEGMENTS_MAX];
};

/* Finds the header in the first 8192 bytes, and the segments: from the header's load addresses (flag 16), else from
 * ELF32 (or ELF64 with a 32-bit entry) program headers. Every segment lies inside the image and inside the guest memory
 * below 3 GiB, and the entry in a segment. Returns NULL, or the reason why not ("no multiboot header in the first 8192
 * bytes", ...), and then *out is untouched. */
const char *multiboot1_parse(struct multiboot1_image *out, const uint8_t *image, size_t size, uint64_t memory_bytes);

/* Where the loader's data for the guest goes: at the top of guest memory, outside what the map calls available. */
struct multiboot1_layout {
	uint64_t available_end; /* the memory map's upper range is [1 MiB, available_end) */
	uint64_t module_gpa;    /* 0 without a ramdisk; page-aligned */
	uint64_t info_gpa;      /* one block: info structure, map, strings, module list */
	uint64_t info_bytes;
	uint64_t low_end;       /* end of the memory below 3 GiB: [available_end, low_end) is reserved */
	uint64_t high_bytes;    /* memory from 4 GiB up */
	uint64_t cmdline_bytes; /* room for the command line, with its terminator */
};

/* Lays out module and info for a guest with memory_bytes. cmdline_bytes: the command line's length without terminator.
 * False, *out untouched, if they do not fit above the kernel's segments. */
bool multiboot1_layout_make(struct multiboot1_layout *out, const struct multiboot1_image *image, uint64_t memory_bytes,
			    size_t cmdline_bytes, size_t module_bytes);

/* Writes the info block (layout->info_bytes bytes) for address layout->info_gpa: mem_lower/mem_upper, memory map,
 * command line, the module with its string (as qemu -initrd gives it: the file name), boot loader name "sluice".
 * module_bytes as laid out; module_name is not looked at without a module. A longer command line than was laid out is
 * cut off. */
void multiboot1_info_write(uint8_t *block, const struct multiboot1_layout *layout, const char *cmdline,
			   size_t module_bytes, const char *module_name);

#endif
