/* The Linux/x86 boot protocol: a bzImage's setup header, the "zero page" that the kernel is handed, and the state in
 * which it is entered. Facts only.
 * Source: Linux, Documentation/arch/x86/boot.rst ("The Linux/x86 Boot Protocol") and zero-page.rst ("Zero Page"). */
#ifndef ARCH_DEFS_LINUX_BOOT_H
#define ARCH_DEFS_LINUX_BOOT_H

#include <stddef.h>
#include <stdint.h>

#define LINUX_SECTOR_BYTES        512
#define LINUX_SETUP_SECTS_DEFAULT 4 /* what setup_sects 0 means */
#define LINUX_PARAGRAPH_BYTES     16

/* The setup header lies at the same offset in the image and in the zero page. */
#define LINUX_SETUP_HEADER     0x1f1
#define LINUX_SETUP_HEADER_MAX 0x290 /* in the zero page something else begins here */
#define LINUX_HEADER_LENGTH    0x201 /* a byte: the header ends so many bytes after */
#define LINUX_HEADER_LENGTH_TO 0x202

#define LINUX_BOOT_FLAG    0xaa55u
#define LINUX_HEADER_MAGIC 0x53726448u /* "HdrS" */

#define LINUX_VERSION_2_10 0x020au /* pref_address and init_size; Linux 2.6.31 */
#define LINUX_VERSION_2_12 0x020cu /* xloadflags; Linux 3.8 */

#define LINUX_LOADED_HIGH   (1u << 0) /* loadflags: a bzImage, for 1 MiB and up */
#define LINUX_XLF_KERNEL_64 (1u << 0) /* xloadflags: has a 64-bit entry */

#define LINUX_LOADER_UNDEFINED 0xffu /* type_of_loader without an assigned number */

struct linux_setup_header {
	uint8_t setup_sects;
	uint16_t root_flags;
	uint32_t syssize; /* of the protected-mode kernel, in paragraphs */
	uint16_t ram_size;
	uint16_t vid_mode;
	uint16_t root_dev;
	uint16_t boot_flag;
	uint16_t jump;
	uint32_t header;
	uint16_t version;
	uint32_t realmode_swtch;
	uint16_t start_sys_seg;
	uint16_t kernel_version;
	uint8_t type_of_loader;
	uint8_t loadflags;
	uint16_t setup_move_size;
	uint32_t code32_start;
	uint32_t ramdisk_image, ramdisk_size;
	uint32_t bootsect_kludge;
	uint16_t heap_end_ptr;
	uint8_t ext_loader_ver, ext_loader_type;
	uint32_t cmd_line_ptr;
	uint32_t initrd_addr_max; /* the highest address that the ramdisk's last byte may have */
	uint32_t kernel_alignment;
	uint8_t relocatable_kernel;
	uint8_t min_alignment;
	uint16_t xloadflags;
	uint32_t cmdline_size; /* longest command line, without terminator */
	uint32_t hardware_subarch;
	uint64_t hardware_subarch_data;
	uint32_t payload_offset, payload_length;
	uint64_t setup_data;
	uint64_t pref_address;
	uint32_t init_size; /* what the kernel needs from its runtime start before it knows its memory map */
	uint32_t handover_offset;
	uint32_t kernel_info_offset;
} __attribute__((packed));

#define LINUX_E820_RAM      1u
#define LINUX_E820_RESERVED 2u
#define LINUX_E820_MAX      128

struct linux_e820_entry {
	uint64_t start, bytes;
	uint32_t type;
} __attribute__((packed));

/* The zero page (struct boot_params); what is not named here is left zero. */
struct linux_boot_params {
	uint8_t screen_info_cursor[2];
	uint16_t ext_mem_k; /* KiB from 1 MiB, as far as 16 bits go */
	uint8_t screen_info_rest[0x070 - 0x004];
	uint64_t acpi_rsdp_addr; /* protocol 2.14 */
	uint8_t until_ext_ramdisk[0x0c0 - 0x078];
	uint32_t ext_ramdisk_image, ext_ramdisk_size, ext_cmd_line_ptr; /* upper halves */
	uint8_t until_alt_mem_k[0x1e0 - 0x0cc];
	uint32_t alt_mem_k; /* KiB from 1 MiB */
	uint8_t until_e820_entries[0x1e8 - 0x1e4];
	uint8_t e820_entries;
	uint8_t until_header[LINUX_SETUP_HEADER - 0x1e9];
	struct linux_setup_header header;
	uint8_t until_e820_table[0x2d0 - LINUX_SETUP_HEADER - sizeof(struct linux_setup_header)];
	struct linux_e820_entry e820_table[LINUX_E820_MAX];
	uint8_t rest[0x1000 - 0x2d0 - LINUX_E820_MAX * sizeof(struct linux_e820_entry)];
} __attribute__((packed));

_Static_assert(offsetof(struct linux_setup_header, header) == 0x202 - LINUX_SETUP_HEADER, "setup header: header");
_Static_assert(offsetof(struct linux_setup_header, cmd_line_ptr) == 0x228 - LINUX_SETUP_HEADER, "setup header: middle");
_Static_assert(offsetof(struct linux_setup_header, init_size) == 0x260 - LINUX_SETUP_HEADER, "setup header: end");
_Static_assert(offsetof(struct linux_boot_params, header) == LINUX_SETUP_HEADER, "boot_params: header");
_Static_assert(offsetof(struct linux_boot_params, e820_table) == 0x2d0, "boot_params: e820_table");
_Static_assert(sizeof(struct linux_boot_params) == 0x1000, "boot_params: a page");

/* "32-bit Boot Protocol", "64-bit Boot Protocol": flat segments, interrupts off, (R)SI: the zero page; EBP, EDI, EBX
 * are zero. 64-bit: paging on, with the kernel, the zero page and the command line mapped as they are. */
#define LINUX_BOOT_CS 0x10u
#define LINUX_BOOT_DS 0x18u
#define LINUX_ENTRY64 0x200u /* offset in the protected-mode kernel; the 32-bit entry is its start */

#endif
