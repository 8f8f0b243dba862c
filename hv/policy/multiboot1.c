/* Multiboot 1 kernels: what of an image goes where, and what the kernel is told. */
#include "hv/policy/multiboot1.h"

#include "arch/defs/elf.h"
#include "arch/defs/multiboot1.h"

#define PAGE_BYTES    4096ull
#define LOWER_END     0x9fc00ull  /* what a PC calls conventional memory, less the extended BIOS data area */
#define UPPER_START   0x100000ull /* 1 MiB */
#define MAP_ENTRY_MAX 5

/* What is handed to the guest; the command line follows. */
struct info_block {
	struct multiboot1_info info;
	struct multiboot1_module module;
	struct multiboot1_mmap_entry map[MAP_ENTRY_MAX];
	char loader_name[8];
	char module_name[MULTIBOOT1_MODULE_NAME_BYTES];
};

struct file {
	const uint8_t *at;
	size_t size;
};

/* Copies length bytes from offset. False if the file ends before. */
static bool file_read(struct file file, uint64_t offset, void *out, size_t length)
{
	if (offset > file.size || length > file.size - offset)
		return false;
	__builtin_memcpy(out, file.at + offset, length);
	return true;
}

static uint64_t low_memory_end(uint64_t memory_bytes)
{
	if (memory_bytes > MULTIBOOT1_LOW_MEMORY_END)
		memory_bytes = MULTIBOOT1_LOW_MEMORY_END;
	return memory_bytes / PAGE_BYTES * PAGE_BYTES;
}

static const char *segment_add(struct multiboot1_image *image, struct multiboot1_segment segment, struct file file,
			       uint64_t low_end)
{
	if (segment.memory_bytes == 0 && segment.file_bytes == 0)
		return NULL;
	if (segment.file_bytes > segment.memory_bytes)
		return "a segment of the kernel is larger in the file than in memory";
	if (segment.offset > file.size || segment.file_bytes > file.size - segment.offset)
		return "a segment of the kernel passes the end of the file";
	if (segment.gpa > low_end || segment.memory_bytes > low_end - segment.gpa)
		return "a segment of the kernel does not fit into the guest's memory";
	if (image->segment_count == MULTIBOOT1_SEGMENTS_MAX)
		return "the kernel has too many segments";
	image->segments[image->segment_count++] = segment;
	return NULL;
}

static bool inside(uint64_t address, uint64_t start, uint64_t bytes)
{
	return address >= start && address - start < bytes;
}

/* Takes the segments and the entry from the header's address fields (flag 16). */
static const char *addresses_read(struct multiboot1_image *image, struct file file, uint64_t header_offset,
				  uint64_t low_end)
{
	struct multiboot1_addresses a;
	struct multiboot1_segment segment;
	const char *reason;

	if (header_offset + sizeof(struct multiboot1_header) + sizeof(a) > MULTIBOOT1_HEADER_SEARCH ||
	    !file_read(file, header_offset + sizeof(struct multiboot1_header), &a, sizeof(a)))
		return "the multiboot header is cut off";
	if (a.load_addr > a.header_addr || a.header_addr - a.load_addr > header_offset)
		return "the multiboot header's load_addr lies before the start of the file or after the header";
	segment.offset = header_offset - (a.header_addr - a.load_addr);
	segment.gpa = a.load_addr;
	segment.file_bytes = file.size - segment.offset;
	if (a.load_end_addr != 0) {
		if (a.load_end_addr < a.load_addr)
			return "the multiboot header's load_end_addr lies before load_addr";
		segment.file_bytes = a.load_end_addr - a.load_addr;
	}
	segment.memory_bytes = segment.file_bytes;
	if (a.bss_end_addr != 0) {
		if (a.bss_end_addr < segment.gpa + segment.file_bytes)
			return "the multiboot header's bss_end_addr lies before the end of what is loaded";
		segment.memory_bytes = a.bss_end_addr - a.load_addr;
	}
	reason = segment_add(image, segment, file, low_end);
	if (reason != NULL)
		return reason;
	if (!inside(a.entry_addr, segment.gpa, segment.memory_bytes))
		return "the kernel's entry lies outside of what is loaded";
	image->entry = a.entry_addr;
	return NULL;
}

static bool elf32_program_header_read(struct elf64_program_header *out, struct file file, uint64_t offset)
{
	struct elf32_program_header p;

	if (!file_read(file, offset, &p, sizeof(p)))
		return false;
	*out = (struct elf64_program_header){p.type, p.flags, p.offset, p.vaddr, p.paddr, p.filesz, p.memsz, p.align};
	return true;
}

static bool elf_header_read(struct elf64_header *out, struct file file)
{
	struct elf_ident ident;
	struct elf32_header h;

	if (!file_read(file, 0, &ident, sizeof(ident)) || ident.magic != ELF_MAGIC || ident.data != ELF_DATA_LSB)
		return false;
	if (ident.class == ELF_CLASS_64)
		return file_read(file, 0, out, sizeof(*out)) && out->machine == ELF_EM_X86_64 &&
		       out->phentsize >= sizeof(struct elf64_program_header);
	if (ident.class != ELF_CLASS_32 || !file_read(file, 0, &h, sizeof(h)))
		return false;
	*out = (struct elf64_header){.ident = h.ident,
				     .machine = h.machine,
				     .entry = h.entry,
				     .phoff = h.phoff,
				     .phentsize = h.phentsize,
				     .phnum = h.phnum};
	return out->machine == ELF_EM_386 && out->phentsize >= sizeof(struct elf32_program_header);
}

/* Takes the segments and the entry from the ELF program headers. */
static const char *elf_read(struct multiboot1_image *image, struct file file, uint64_t low_end)
{
	struct elf64_header header;
	bool entry_found = false, entry_is_virtual = false;

	if (!elf_header_read(&header, file))
		return "the kernel is neither ELF for x86 nor has load addresses in its multiboot header";
	for (uint32_t i = 0; i < header.phnum; i++) {
		struct elf64_program_header p;
		uint64_t offset;
		const char *reason;

		if (__builtin_add_overflow(header.phoff, (uint64_t)i * header.phentsize, &offset) ||
		    !(header.ident.class == ELF_CLASS_64 ? file_read(file, offset, &p, sizeof(p))
							 : elf32_program_header_read(&p, file, offset)))
			return "the kernel's ELF program headers pass the end of the file";
		if (p.type != ELF_PT_LOAD)
			continue;
		reason = segment_add(image, (struct multiboot1_segment){p.offset, p.filesz, p.paddr, p.memsz}, file,
				     low_end);
		if (reason != NULL)
			return reason;
		/* The entry should be physical, but kernels linked for high addresses give the virtual one. */
		if (!entry_is_virtual && inside(header.entry, p.vaddr, p.memsz)) {
			entry_is_virtual = entry_found = true;
			image->entry = (uint32_t)(header.entry - p.vaddr + p.paddr);
		} else if (!entry_found && inside(header.entry, p.paddr, p.memsz)) {
			entry_found = true;
			image->entry = (uint32_t)header.entry;
		}
	}
	if (image->segment_count == 0)
		return "the kernel has nothing to load";
	return entry_found ? NULL : "the kernel's entry lies outside of what is loaded";
}

/* Finds the header. *offset is where it begins. */
static const char *header_find(struct multiboot1_header *out, uint64_t *offset, struct file file)
{
	const char *reason = "no multiboot header in the first 8192 bytes";
	struct multiboot1_header header;

	for (uint64_t at = 0; at + sizeof(header) <= MULTIBOOT1_HEADER_SEARCH; at += MULTIBOOT1_HEADER_ALIGN) {
		if (!file_read(file, at, &header, sizeof(header)))
			break;
		if (header.magic != MULTIBOOT1_HEADER_MAGIC)
			continue;
		if (header.magic + header.flags + header.checksum == 0) {
			*out = header;
			*offset = at;
			return NULL;
		}
		reason = "the multiboot header's checksum is wrong";
	}
	return reason;
}

const char *multiboot1_parse(struct multiboot1_image *out, const uint8_t *image, size_t size, uint64_t memory_bytes)
{
	/* A video mode is a wish that is not granted: the information structure says so, as under QEMU. */
	const uint32_t known = MULTIBOOT1_PAGE_ALIGN | MULTIBOOT1_MEMORY_INFO | MULTIBOOT1_VIDEO_MODE;
	struct file file = {image, size};
	struct multiboot1_image made = {0};
	struct multiboot1_header header;
	uint64_t header_offset, low_end = low_memory_end(memory_bytes);
	const char *reason = header_find(&header, &header_offset, file);

	if (reason != NULL)
		return reason;
	if (header.flags & MULTIBOOT1_REQUIRED_MASK & ~known)
		return "the multiboot header requires a feature that is not known";
	made.flags = header.flags;
	if (header.flags & MULTIBOOT1_ADDRESSES)
		reason = addresses_read(&made, file, header_offset, low_end);
	else
		reason = elf_read(&made, file, low_end);
	if (reason != NULL)
		return reason;
	*out = made;
	return NULL;
}

/* Takes bytes off the top, down to a page boundary. False if that much is not there. */
static bool take_from_top(uint64_t *end, uint64_t bytes)
{
	if (bytes > *end)
		return false;
	*end = (*end - bytes) / PAGE_BYTES * PAGE_BYTES;
	return true;
}

bool multiboot1_layout_make(struct multiboot1_layout *out, const struct multiboot1_image *image, uint64_t memory_bytes,
			    size_t cmdline_bytes, size_t module_bytes)
{
	struct multiboot1_layout made = {.low_end = low_memory_end(memory_bytes)};
	uint64_t end = made.low_end;

	if (memory_bytes > MULTIBOOT1_LOW_MEMORY_END)
		made.high_bytes = (memory_bytes - MULTIBOOT1_LOW_MEMORY_END) / PAGE_BYTES * PAGE_BYTES;
	if (cmdline_bytes > end)
		return false;
	made.cmdline_bytes = cmdline_bytes + 1;
	if (!take_from_top(&end, sizeof(struct info_block) + made.cmdline_bytes))
		return false;
	made.info_gpa = end;
	made.info_bytes = made.low_end - end;
	if (module_bytes != 0) {
		if (!take_from_top(&end, module_bytes))
			return false;
		made.module_gpa = end;
	}
	made.available_end = end;
	if (end <= UPPER_START)
		return false;
	for (uint32_t i = 0; i < image->segment_count; i++)
		if (image->segments[i].gpa + image->segments[i].memory_bytes > end)
			return false;
	*out = made;
	return true;
}

/* Writes the memory map; returns how many entries it has. */
static uint32_t map_make(struct multiboot1_mmap_entry map[MAP_ENTRY_MAX], const struct multiboot1_layout *layout)
{
	const struct {
		uint64_t start, end;
		uint32_t type;
	} ranges[MAP_ENTRY_MAX] = {
		{0, LOWER_END, MULTIBOOT1_MEMORY_AVAILABLE},
		{LOWER_END, UPPER_START, MULTIBOOT1_MEMORY_RESERVED},
		{UPPER_START, layout->available_end, MULTIBOOT1_MEMORY_AVAILABLE},
		{layout->available_end, layout->low_end, MULTIBOOT1_MEMORY_RESERVED},
		{MULTIBOOT1_HIGH_MEMORY_START, MULTIBOOT1_HIGH_MEMORY_START + layout->high_bytes,
		 MULTIBOOT1_MEMORY_AVAILABLE},
	};
	uint32_t count = 0;

	for (uint32_t i = 0; i < MAP_ENTRY_MAX; i++)
		if (ranges[i].start < ranges[i].end)
			map[count++] = (struct multiboot1_mmap_entry){
				.size = sizeof(map[0]) - sizeof(map[0].size),
				.base_addr = ranges[i].start,
				.length = ranges[i].end - ranges[i].start,
				.type = ranges[i].type,
			};
	return count;
}

/* Copies as much of the string as there is room for; what it is copied into is zero. */
static void string_write(char *out, size_t room, const char *string)
{
	for (size_t i = 0; i + 1 < room && string[i] != 0; i++)
		out[i] = string[i];
}

void multiboot1_info_write(uint8_t *block, const struct multiboot1_layout *layout, const char *cmdline,
			   size_t module_bytes, const char *module_name)
{
	struct info_block made = {.loader_name = "sluice"};
	uint32_t gpa = (uint32_t)layout->info_gpa;
	uint32_t map_entries = map_make(made.map, layout);

	made.info = (struct multiboot1_info){
		.flags = MULTIBOOT1_INFO_MEMORY | MULTIBOOT1_INFO_CMDLINE | MULTIBOOT1_INFO_MODULES |
			 MULTIBOOT1_INFO_MMAP | MULTIBOOT1_INFO_LOADER_NAME,
		.mem_lower = (uint32_t)(LOWER_END >> 10),
		.mem_upper = (uint32_t)((layout->available_end - UPPER_START) >> 10),
		.cmdline = gpa + (uint32_t)sizeof(made),
		.mods_addr = gpa + (uint32_t)offsetof(struct info_block, module),
		.mmap_length = map_entries * (uint32_t)sizeof(made.map[0]),
		.mmap_addr = gpa + (uint32_t)offsetof(struct info_block, map),
		.boot_loader_name = gpa + (uint32_t)offsetof(struct info_block, loader_name),
	};
	if (layout->module_gpa != 0) {
		made.info.mods_count = 1;
		made.module.mod_start = (uint32_t)layout->module_gpa;
		made.module.mod_end = (uint32_t)(layout->module_gpa + module_bytes);
		made.module.string = gpa + (uint32_t)offsetof(struct info_block, module_name);
		string_write(made.module_name, sizeof(made.module_name), module_name);
	}
	__builtin_memset(block, 0, layout->info_bytes);
	__builtin_memcpy(block, &made, sizeof(made));
	string_write((char *)block + sizeof(made), layout->cmdline_bytes, cmdline);
}
