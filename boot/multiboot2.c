/* Reads what a Multiboot2 loader hands over: a list of tags, each checked against the size of the whole. */
#include "boot/multiboot2.h"

#include <stdbool.h>

#include "arch/address.h"
#include "arch/defs/acpi.h"
#include "arch/defs/multiboot2.h"

struct tag {
	uint32_t type;
	const uint8_t *body;
	size_t size; /* of the body */
};

/* Reads the tag at *offset and moves *offset to the next one. False if it does not lie in the structure. */
static bool tag_next(struct tag *out, const uint8_t *info, size_t total_size, size_t *offset)
{
	struct multiboot2_tag head;

	if (*offset > total_size || total_size - *offset < sizeof(head))
		return false;
	__builtin_memcpy(&head, info + *offset, sizeof(head));
	if (head.size < sizeof(head) || head.size > total_size - *offset)
		return false;
	out->type = head.type;
	out->body = info + *offset + sizeof(head);
	out->size = head.size - sizeof(head);
	*offset += ((size_t)head.size + MULTIBOOT2_TAG_ALIGN - 1) / MULTIBOOT2_TAG_ALIGN * MULTIBOOT2_TAG_ALIGN;
	return true;
}

/* The string that begins at offset of the tag's body, or NULL if it does not end there. */
static const char *tag_string(const struct tag *tag, size_t offset)
{
	for (size_t i = offset; i < tag->size; i++)
		if (tag->body[i] == 0)
			return (const char *)tag->body + offset;
	return NULL;
}

/* Puts count (at most 2) ranges in the place of the ranges [first, last). False if there is no room. */
static bool ranges_replace(struct boot_info *info, uint32_t first, uint32_t last, const struct boot_range *with,
			   uint32_t count)
{
	uint32_t tail = info->range_count - last;

	if (first + count + tail > BOOT_RANGES_MAX)
		return false;
	__builtin_memmove(&info->ranges[first + count], &info->ranges[last], tail * sizeof(info->ranges[0]));
	for (uint32_t i = 0; i < count; i++)
		info->ranges[first + i] = with[i];
	info->range_count = first + count + tail;
	return true;
}

/* Unites the range with those that it overlaps or touches. */
static bool ranges_add(struct boot_info *info, struct boot_range range)
{
	uint32_t first = 0, last;

	while (first < info->range_count && info->ranges[first].end < range.start)
		first++;
	for (last = first; last < info->range_count && info->ranges[last].start <= range.end; last++) {
		if (info->ranges[last].start < range.start)
			range.start = info->ranges[last].start;
		if (info->ranges[last].end > range.end)
			range.end = info->ranges[last].end;
	}
	return ranges_replace(info, first, last, &range, 1);
}

/* Cuts the range out of those that it overlaps. */
static bool ranges_remove(struct boot_info *info, struct boot_range range)
{
	struct boot_range left[2];
	uint32_t first = 0, last, count = 0;

	while (first < info->range_count && info->ranges[first].end <= range.start)
		first++;
	for (last = first; last < info->range_count && info->ranges[last].start < range.end; last++)
		;
	if (first == last)
		return true;
	if (info->ranges[first].start < range.start)
		left[count++] = (struct boot_range){info->ranges[first].start, range.start};
	if (info->ranges[last - 1].end > range.end)
		left[count++] = (struct boot_range){range.end, info->ranges[last - 1].end};
	return ranges_replace(info, first, last, left, count);
}

/* Drops partial pages, and ranges that have no whole one. */
static void ranges_to_pages(struct boot_info *info)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < info->range_count; i++) {
		struct boot_range r = info->ranges[i];
		uint64_t first_page = r.start / PAGE_BYTES + (r.start % PAGE_BYTES != 0);
		uint64_t end_page = r.end / PAGE_BYTES;

		if (first_page < end_page)
			info->ranges[kept++] = (struct boot_range){first_page * PAGE_BYTES, end_page * PAGE_BYTES};
	}
	info->range_count = kept;
}

/* Adds the entries that say "available", or takes out the others. */
static const char *mmap_apply(struct boot_info *info, const struct tag *tag, size_t entry_size, bool available)
{
	for (size_t at = sizeof(struct multiboot2_mmap); at < tag->size; at += entry_size) {
		struct multiboot2_mmap_entry entry;
		struct boot_range range;
		bool passes_end;

		__builtin_memcpy(&entry, tag->body + at, sizeof(entry));
		if ((entry.type == MULTIBOOT2_MEMORY_AVAILABLE) != available || entry.length == 0)
			continue;
		range.start = entry.base_addr;
		passes_end = __builtin_add_overflow(entry.base_addr, entry.length, &range.end);
		if (passes_end && available)
			return "multiboot2: an available range of the memory map passes the end of the address space";
		if (passes_end)
			range.end = UINT64_MAX;
		if (!(available ? ranges_add(info, range) : ranges_remove(info, range)))
			return "multiboot2: the memory map has too many separate ranges";
	}
	return NULL;
}

static const char *mmap_read(struct boot_info *info, const struct tag *tag)
{
	struct multiboot2_mmap mmap;
	const char *reason;

	if (info->range_count != 0)
		return "multiboot2: more than one memory map";
	if (tag->size < sizeof(mmap))
		return "multiboot2: the memory map is cut off";
	__builtin_memcpy(&mmap, tag->body, sizeof(mmap));
	if (mmap.entry_size < sizeof(struct multiboot2_mmap_entry) || (tag->size - sizeof(mmap)) % mmap.entry_size != 0)
		return "multiboot2: the memory map's entries do not fill it";
	/* Available first: where firmware says both of the same memory, it must not be used. */
	reason = mmap_apply(info, tag, mmap.entry_size, true);
	if (reason == NULL)
		reason = mmap_apply(info, tag, mmap.entry_size, false);
	if (reason != NULL)
		return reason;
	ranges_to_pages(info);
	return info->range_count == 0 ? "multiboot2: the memory map has no available memory" : NULL;
}

static const char *cmdline_read(struct boot_info *info, const struct tag *tag)
{
	info->cmdline = tag_string(tag, 0);
	return info->cmdline == NULL ? "multiboot2: the command line does not end" : NULL;
}

static const char *module_read(struct boot_info *info, const struct tag *tag)
{
	struct multiboot2_module module;
	const char *name = tag_string(tag, sizeof(module));

	if (name == NULL)
		return "multiboot2: a module's command line does not end";
	__builtin_memcpy(&module, tag->body, sizeof(module));
	if (module.mod_start > module.mod_end)
		return "multiboot2: a module ends before it starts";
	if (info->module_count == BOOT_MODULES_MAX)
		return "multiboot2: too many modules";
	info->modules[info->module_count++] = (struct boot_module){module.mod_start, module.mod_end, name};
	return NULL;
}

static const char *rsdp_read(struct boot_info *info, const struct tag *tag, size_t least_bytes, bool preferred)
{
	if (tag->size < least_bytes)
		return "multiboot2: the copy of the RSDP is cut off";
	if (preferred)
		info->rsdp = (uintptr_t)tag->body;
	return NULL;
}

static const char *tag_read(struct boot_info *info, const struct tag *tag, bool *rsdp_is_new)
{
	switch (tag->type) {
	case MULTIBOOT2_TAG_CMDLINE:
		return cmdline_read(info, tag);
	case MULTIBOOT2_TAG_MODULE:
		return module_read(info, tag);
	case MULTIBOOT2_TAG_MMAP:
		return mmap_read(info, tag);
	case MULTIBOOT2_TAG_ACPI_OLD:
		return rsdp_read(info, tag, ACPI_RSDP_V1_BYTES, !*rsdp_is_new);
	case MULTIBOOT2_TAG_ACPI_NEW:
		*rsdp_is_new = true;
		return rsdp_read(info, tag, ACPI_RSDP_V2_BYTES, true);
	default:
		return NULL;
	}
}

const char *multiboot2_parse(struct boot_info *out, const void *info, size_t size_limit)
{
	struct multiboot2_fixed fixed;
	struct boot_info made = {.cmdline = "", .start = (uintptr_t)info};
	size_t offset = sizeof(fixed);
	bool rsdp_is_new = false;

	if (size_limit < sizeof(fixed))
		return "multiboot2: no information structure";
	__builtin_memcpy(&fixed, info, sizeof(fixed));
	if (fixed.total_size < sizeof(fixed) || fixed.total_size > size_limit)
		return "multiboot2: the information structure is larger than what can be read";
	made.end = made.start + fixed.total_size;

	for (;;) {
		struct tag tag;
		const char *reason;

		if (!tag_next(&tag, info, fixed.total_size, &offset))
			return "multiboot2: a tag passes the end of the information structure";
		if (tag.type == MULTIBOOT2_TAG_END)
			break;
		reason = tag_read(&made, &tag, &rsdp_is_new);
		if (reason != NULL)
			return reason;
	}
	if (made.range_count == 0)
		return "multiboot2: the loader gave no memory map";
	*out = made;
	return NULL;
}
