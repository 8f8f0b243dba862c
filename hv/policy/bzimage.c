/* Linux kernels: what of an image goes where, and what the kernel is told. */
#include "hv/policy/bzimage.h"

#include "arch/defs/linux_boot.h"
#include "arch/defs/pte.h"
#include "arch/defs/segment.h"
#include "hv/policy/multiboot1.h"

#define PAGE_BYTES   4096ull
#define LOWER_END    0x9fc00ull  /* what a PC calls conventional memory, less the extended BIOS data area */
#define UPPER_START  0x100000ull /* 1 MiB */
#define BLOCK_GPA    0x10000ull  /* where PC loaders put the zero page: the kernel moves it before it uses the memory */
#define MAPPED_GIB   4
#define LARGE_BYTES  (2ull << 20)
#define HEADER_LEAST (offsetof(struct linux_setup_header, init_size) + sizeof(uint32_t))

/* Flat, as the 32-bit entry wants it. */
#define DESCRIPTOR_CODE32 (DESCRIPTOR_CODE64 ^ DESCRIPTOR_LONG ^ DESCRIPTOR_BIG)

/* What is handed to the guest; the command line follows. */
struct block {
	uint64_t pml4[PTE_PER_TABLE], pdpt[PTE_PER_TABLE], pd[MAPPED_GIB][PTE_PER_TABLE];
	struct linux_boot_params params;
	uint64_t gdt[LINUX_BOOT_DS / sizeof(uint64_t) + 1];
};

static uint64_t block_address(size_t offset)
{
	return BLOCK_GPA + offset;
}

/* The setup header's first bytes, which every kernel since 2.10 has. False if the file is too short. */
static bool header_read(struct linux_setup_header *out, const uint8_t *image, size_t size)
{
	*out = (struct linux_setup_header){0};
	if (size < LINUX_SETUP_HEADER + HEADER_LEAST)
		return false;
	__builtin_memcpy(out, image + LINUX_SETUP_HEADER, HEADER_LEAST);
	return true;
}

bool bzimage_is(const uint8_t *image, size_t size)
{
	struct linux_setup_header h;

	return header_read(&h, image, size) && h.boot_flag == LINUX_BOOT_FLAG && h.header == LINUX_HEADER_MAGIC;
}

static bool is_power_of_two(uint64_t value)
{
	return value != 0 && (value & (value - 1)) == 0;
}

/* Where the kernel runs ("Details of Header Fields", init_size): loading it there spares it moving itself. */
static const char *runtime_start(uint64_t *out, const struct linux_setup_header *h)
{
	uint64_t start = h->pref_address;

	if (h->relocatable_kernel) {
		if (!is_power_of_two(h->kernel_alignment))
			return "the Linux kernel's kernel_alignment is no power of two";
		start = (start + h->kernel_alignment - 1) & ~(h->kernel_alignment - 1ull);
	}
	if (h->pref_address < UPPER_START || start < h->pref_address || start >= MULTIBOOT1_LOW_MEMORY_END)
		return "the Linux kernel's pref_address lies below 1 MiB or above 3 GiB";
	*out = start;
	return NULL;
}

const char *bzimage_parse(struct bzimage *out, const uint8_t *image, size_t size)
{
	struct bzimage made = {0};
	struct linux_setup_header h;
	uint64_t setup_sects, wanted_bytes;
	const char *reason;

	if (!bzimage_is(image, size) || !header_read(&h, image, size))
		return "no Linux kernel: there is no boot sector with a setup header";
	if (h.version < LINUX_VERSION_2_10)
		return "the Linux kernel is too old: its boot protocol is below 2.10";
	if (!(h.loadflags & LINUX_LOADED_HIGH))
		return "the Linux kernel is a zImage, not a bzImage";
	made.header_bytes = LINUX_HEADER_LENGTH_TO + image[LINUX_HEADER_LENGTH] - LINUX_SETUP_HEADER;
	if (made.header_bytes < HEADER_LEAST || made.header_bytes > LINUX_SETUP_HEADER_MAX - LINUX_SETUP_HEADER)
		return "the Linux kernel's setup header has a length that its version cannot have";

	setup_sects = h.setup_sects != 0 ? h.setup_sects : LINUX_SETUP_SECTS_DEFAULT;
	made.kernel_offset = (setup_sects + 1) * LINUX_SECTOR_BYTES;
	wanted_bytes = (uint64_t)h.syssize * LINUX_PARAGRAPH_BYTES;
	if (made.kernel_offset >= size || (size - made.kernel_offset) / LINUX_PARAGRAPH_BYTES < h.syssize)
		return "the Linux kernel passes the end of the file";
	/* What comes after, such as a signature, is not the kernel's. */
	made.kernel_bytes = wanted_bytes;
	made.is_64bit = h.version >= LINUX_VERSION_2_12 && (h.xloadflags & LINUX_XLF_KERNEL_64);
	if (made.kernel_bytes <= (made.is_64bit ? LINUX_ENTRY64 : 0))
		return "the Linux kernel's entry lies outside of what is loaded";
	made.run_bytes = h.init_size > made.kernel_bytes ? h.init_size : made.kernel_bytes;

	reason = runtime_start(&made.load_gpa, &h);
	if (reason != NULL)
		return reason;
	made.ramdisk_end_max = (uint64_t)h.initrd_addr_max + 1;
	made.cmdline_max = h.cmdline_size;
	*out = made;
	return NULL;
}

static uint64_t page_down(uint64_t value)
{
	return value / PAGE_BYTES * PAGE_BYTES;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t bzimage_memory_least(const struct bzimage *parsed, size_t ramdisk_bytes)
{
	return page_down(parsed->load_gpa + parsed->run_bytes + PAGE_BYTES - 1) +
	       page_down(ramdisk_bytes + PAGE_BYTES - 1);
}

/* The ramdisk goes as high as it may: the kernel takes what lies above itself first. */
static bool ramdisk_place(struct bzimage_layout *layout, const struct bzimage *parsed)
{
	uint64_t end = smaller(layout->low_end, parsed->ramdisk_end_max);

	if (layout->ramdisk_bytes == 0)
		return true;
	if (layout->ramdisk_bytes > end)
		return false;
	layout->ramdisk_gpa = page_down(end - layout->ramdisk_bytes);
	return layout->ramdisk_gpa >= parsed->load_gpa + parsed->run_bytes;
}

const char *bzimage_layout_make(struct bzimage_layout *out, const struct bzimage *parsed, uint64_t memory_bytes,
				size_t cmdline_bytes, size_t ramdisk_bytes)
{
	struct bzimage_layout made = {
		.kernel_offset = parsed->kernel_offset,
		.kernel_bytes = parsed->kernel_bytes,
		.kernel_gpa = parsed->load_gpa,
		.ramdisk_bytes = ramdisk_bytes,
		.block_gpa = BLOCK_GPA,
		.low_end = page_down(smaller(memory_bytes, MULTIBOOT1_LOW_MEMORY_END)),
	};

	if (memory_bytes > MULTIBOOT1_LOW_MEMORY_END)
		made.high_bytes = page_down(memory_bytes - MULTIBOOT1_LOW_MEMORY_END);
	if (memory_bytes < bzimage_memory_least(parsed, ramdisk_bytes))
		return "memory too small for the Linux kernel, which unpacks itself, and its ramdisk";
	if (!ramdisk_place(&made, parsed))
		return "the ramdisk is larger than the Linux kernel takes";
	if (cmdline_bytes > parsed->cmdline_max || cmdline_bytes >= LOWER_END - BLOCK_GPA - sizeof(struct block))
		return "the command line is longer than the Linux kernel takes";
	made.cmdline_bytes = cmdline_bytes + 1;
	made.block_bytes = sizeof(struct block) + made.cmdline_bytes;
	made.entry = (struct bzimage_entry){
		.is_64bit = parsed->is_64bit,
		.rip = parsed->load_gpa + (parsed->is_64bit ? LINUX_ENTRY64 : 0),
		.rsi = block_address(offsetof(struct block, params)),
		.cr3 = parsed->is_64bit ? block_address(offsetof(struct block, pml4)) : 0,
		.gdt_gpa = block_address(offsetof(struct block, gdt)),
		.gdt_limit = sizeof(((struct block *)0)->gdt) - 1,
	};
	*out = made;
	return NULL;
}

static void page_tables_make(struct block *block)
{
	const uint64_t table = PTE_PRESENT | PTE_WRITABLE;

	block->pml4[0] = block_address(offsetof(struct block, pdpt)) | table;
	for (unsigned gib = 0; gib < MAPPED_GIB; gib++) {
		block->pdpt[gib] = block_address(offsetof(struct block, pd) + gib * sizeof(block->pd[0])) | table;
		for (unsigned i = 0; i < PTE_PER_TABLE; i++)
			block->pd[gib][i] = (gib * PTE_PER_TABLE + i) * LARGE_BYTES | table | PTE_LARGE;
	}
}

/* Writes the memory map; returns how many entries it has. */
static uint8_t map_make(struct linux_e820_entry *map, const struct bzimage_layout *layout)
{
	const struct {
		uint64_t start, end;
		uint32_t type;
	} ranges[] = {
		{0, LOWER_END, LINUX_E820_RAM},
		{LOWER_END, UPPER_START, LINUX_E820_RESERVED},
		{UPPER_START, layout->low_end, LINUX_E820_RAM},
		{MULTIBOOT1_HIGH_MEMORY_START, MULTIBOOT1_HIGH_MEMORY_START + layout->high_bytes, LINUX_E820_RAM},
	};
	uint8_t count = 0;

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (ranges[i].start < ranges[i].end)
			map[count++] = (struct linux_e820_entry){ranges[i].start, ranges[i].end - ranges[i].start,
								 ranges[i].type};
	return count;
}

static void params_make(struct linux_boot_params *params, const struct bzimage_layout *layout,
			const struct bzimage *parsed, const uint8_t *image, uint64_t rsdp_gpa)
{
	const uint64_t upper_kib = (layout->low_end - UPPER_START) >> 10;
	struct linux_setup_header *h = &params->header;

	/* All of the image's header, also what newer kernels have in it and this file does not know. */
	__builtin_memcpy((uint8_t *)params + LINUX_SETUP_HEADER, image + LINUX_SETUP_HEADER, parsed->header_bytes);
	h->type_of_loader = LINUX_LOADER_UNDEFINED;
	h->code32_start = (uint32_t)layout->kernel_gpa;
	h->ramdisk_image = (uint32_t)layout->ramdisk_gpa;
	h->ramdisk_size = (uint32_t)layout->ramdisk_bytes;
	h->cmd_line_ptr = (uint32_t)block_address(sizeof(struct block));
	h->setup_data = 0;
	params->ext_mem_k = (uint16_t)smaller(upper_kib, UINT16_MAX);
	params->alt_mem_k = (uint32_t)upper_kib;
	params->acpi_rsdp_addr = rsdp_gpa;
	params->e820_entries = map_make(params->e820_table, layout);
}

void bzimage_block_write(uint8_t *block, const struct bzimage_layout *layout, const struct bzimage *parsed,
			 const uint8_t *image, const char *cmdline, uint64_t rsdp_gpa)
{
	struct block *made = (struct block *)block;
	char *text = (char *)(made + 1);

	__builtin_memset(block, 0, layout->block_bytes);
	page_tables_make(made);
	params_make(&made->params, layout, parsed, image, rsdp_gpa);
	made->gdt[LINUX_BOOT_CS / sizeof(uint64_t)] = layout->entry.is_64bit ? DESCRIPTOR_CODE64 : DESCRIPTOR_CODE32;
	made->gdt[LINUX_BOOT_DS / sizeof(uint64_t)] = DESCRIPTOR_DATA;
	for (size_t i = 0; i + 1 < layout->cmdline_bytes && cmdline[i] != 0; i++)
		text[i] = cmdline[i];
}
