/* Linux kernels (bzImage, the Linux/x86 boot protocol 2.10 or later): reads an image, says what goes where and how it
 * is entered. Pure: no memory is written here but the block. */
#ifndef HV_POLICY_BZIMAGE_H
#define HV_POLICY_BZIMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bzimage {
	uint64_t kernel_offset, kernel_bytes; /* the protected-mode kernel in the image */
	uint64_t load_gpa;                    /* where it goes, and runs */
	uint64_t run_bytes;                   /* from there on nothing else may lie in so many bytes */
	uint64_t ramdisk_end_max;             /* the ramdisk ends at or below this address */
	uint32_t cmdline_max;                 /* longest command line, without terminator */
	uint32_t header_bytes;                /* of its setup header */
	bool is_64bit;                        /* has a 64-bit entry */
};

/* The image is meant to be a bzImage (or an older kind of Linux kernel): bzimage_parse() is the one to ask. */
bool bzimage_is(const uint8_t *image, size_t size);

/* Returns NULL, or the reason why not, and then *out is untouched. */
const char *bzimage_parse(struct bzimage *out, const uint8_t *image, size_t size);

/* How the first vCPU enters the kernel: interrupts off, all other general registers zero, DS ES SS = LINUX_BOOT_DS and
 * CS = LINUX_BOOT_CS (arch/defs/linux_boot.h), flat, as the GDT has them. */
struct bzimage_entry {
	bool is_64bit;     /* CR0 PG PE, CR4 PAE, EFER LMA LME, CS.L; else CR0 PE, no paging, CS.D */
	uint64_t rip, rsi; /* rsi: the zero page */
	uint64_t cr3;      /* identity mapping of the first 4 GiB; 0: 32-bit entry */
	uint64_t gdt_gpa;
	uint16_t gdt_limit;
};

struct bzimage_layout {
	/* Copy kernel_bytes of the image from kernel_offset to kernel_gpa, the ramdisk to ramdisk_gpa. */
	uint64_t kernel_offset, kernel_bytes, kernel_gpa;
	uint64_t ramdisk_gpa; /* page-aligned; 0 without a ramdisk */
	uint64_t ramdisk_bytes;
	/* Write the block there: page tables, zero page, GDT, command line. It lies below 640 KiB. */
	uint64_t block_gpa, block_bytes;
	struct bzimage_entry entry;

	uint64_t low_end;       /* end of the memory below 3 GiB */
	uint64_t high_bytes;    /* memory from 4 GiB up */
	uint64_t cmdline_bytes; /* room for the command line, with its terminator */
};

/* The least memory in which kernel and ramdisk have room. */
uint64_t bzimage_memory_least(const struct bzimage *parsed, size_t ramdisk_bytes);

/* Lays out a guest with memory_bytes. cmdline_bytes: the command line's length without terminator. NULL, or why not
 * (the guest's memory is too small, the command line too long), and then *out is untouched. */
const char *bzimage_layout_make(struct bzimage_layout *out, const struct bzimage *parsed, uint64_t memory_bytes,
				size_t cmdline_bytes, size_t ramdisk_bytes);

/* Writes the block (layout->block_bytes bytes, page-aligned) for address layout->block_gpa. image: the file that was
 * parsed. rsdp_gpa: the ACPI tables' RSDP, in [0x9fc00, 1 MiB), which the memory map calls reserved. A longer command
 * line than was laid out is cut off. */
void bzimage_block_write(uint8_t *block, const struct bzimage_layout *layout, const struct bzimage *parsed,
			 const uint8_t *image, const char *cmdline, uint64_t rsdp_gpa);

#endif
