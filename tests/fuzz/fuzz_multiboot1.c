/* fuzz: max_len=512 runs=100000 */
/* Multiboot 1 images: the bytes as they are, and with a good header stamped over them, for each kind of image. */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/defs/elf.h"
#include "arch/defs/multiboot1.h"
#include "hv/policy/multiboot1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

#define LOW_END (3ull << 30)

static void check_layout(const struct multiboot1_image *image, uint64_t memory_bytes, const uint8_t *data, size_t size)
{
	struct multiboot1_layout l;
	size_t module_bytes = (size_t)data[size / 2] << (size % 3 * 8);
	char cmdline[64] = "kernel ", name[] = "initrd";
	uint8_t *block;

	for (size_t i = 7; i + 1 < sizeof(cmdline) && i < size; i++)
		cmdline[i] = (char)data[i];
	if (!multiboot1_layout_make(&l, image, memory_bytes, strlen(cmdline), module_bytes))
		return;
	CHECK(l.info_gpa >= l.available_end && l.info_gpa + l.info_bytes <= l.low_end);
	CHECK(module_bytes == 0 || (l.module_gpa >= l.available_end && l.module_gpa + module_bytes <= l.info_gpa));
	CHECK(l.low_end <= LOW_END && l.low_end <= memory_bytes);
	for (uint32_t i = 0; i < image->segment_count; i++)
		CHECK(image->segments[i].gpa + image->segments[i].memory_bytes <= l.available_end);
	block = malloc(l.info_bytes);
	multiboot1_info_write(block, &l, cmdline, module_bytes, name);
	CHECK(memmem(block, l.info_bytes, cmdline, strlen(cmdline) + 1) != NULL);
	free(block);
}

static void parse(const uint8_t *bytes, size_t size, uint64_t memory_bytes)
{
	struct multiboot1_image image, before;
	bool entry_inside = false;

	memset(&image, 0x5a, sizeof(image));
	memcpy(&before, &image, sizeof(image));
	if (multiboot1_parse(&image, bytes, size, memory_bytes) != NULL) {
		CHECK(memcmp(&image, &before, sizeof(image)) == 0);
		return;
	}
	CHECK(image.segment_count >= 1 && image.segment_count <= MULTIBOOT1_SEGMENTS_MAX);
	for (uint32_t i = 0; i < image.segment_count; i++) {
		const struct multiboot1_segment *s = &image.segments[i];

		CHECK(s->offset <= size && s->file_bytes <= size - s->offset && s->file_bytes <= s->memory_bytes);
		CHECK(s->gpa <= LOW_END && s->memory_bytes <= LOW_END - s->gpa);
		CHECK(s->gpa + s->memory_bytes <= memory_bytes);
		entry_inside = entry_inside || (image.entry >= s->gpa && image.entry - s->gpa < s->memory_bytes);
	}
	CHECK(entry_inside);
	check_layout(&image, memory_bytes, bytes, size);
}

/* Makes small numbers of an address field likely: without that, nearly every image is refused at once. */
static void tame(uint8_t *bytes, size_t size, size_t offset, size_t width, uint32_t base)
{
	uint64_t value = 0;

	if (offset + width > size)
		return;
	memcpy(&value, bytes + offset, 2);
	value = base + value % 0x400;
	memcpy(bytes + offset, &value, width);
}

static void stamp_header(uint8_t *bytes, size_t size, size_t at, uint32_t flags)
{
	struct multiboot1_header h = {MULTIBOOT1_HEADER_MAGIC, flags, 0u - MULTIBOOT1_HEADER_MAGIC - flags};

	if (at + sizeof(h) <= size)
		memcpy(bytes + at, &h, sizeof(h));
}

static void stamp_elf(uint8_t *bytes, size_t size, bool is_64)
{
	const struct elf_ident ident = {ELF_MAGIC, is_64 ? ELF_CLASS_64 : ELF_CLASS_32, ELF_DATA_LSB, 1, 0, {0}};
	size_t header = is_64 ? sizeof(struct elf64_header) : sizeof(struct elf32_header);
	size_t stride = is_64 ? sizeof(struct elf64_program_header) : sizeof(struct elf32_program_header);
	size_t width = is_64 ? 8 : 4;

	if (size < header)
		return;
	memcpy(bytes, &ident, sizeof(ident));
	bytes[18] = is_64 ? ELF_EM_X86_64 : ELF_EM_386;
	bytes[19] = 0;
	tame(bytes, size, 24, width, 0x100000);                 /* entry */
	memcpy(bytes + 24 + width, &(uint64_t){header}, width); /* phoff */
	bytes[header - 10] = (uint8_t)stride;
	bytes[header - 9] = 0;
	bytes[header - 8] %= 4; /* phnum */
	bytes[header - 7] = 0;
	for (size_t at = header; at + stride <= size && at < header + 3 * stride; at += stride) {
		size_t offset = is_64 ? 8 : 4;

		memcpy(bytes + at, &(uint32_t){ELF_PT_LOAD}, 4);
		tame(bytes, size, at + offset, width, 0);
		tame(bytes, size, at + offset + width, width, 0x100000);
		tame(bytes, size, at + offset + 2 * width, width, 0x100000);
		tame(bytes, size, at + offset + 3 * width, width, 0);
		tame(bytes, size, at + offset + 4 * width, width, 0x100);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t memories[] = {2ull << 20, 64ull << 20, 3ull << 30, 8ull << 30};
	uint64_t memory_bytes;
	uint8_t *copy;
	size_t at;

	if (size < 64)
		return 0;
	memory_bytes = memories[data[0] % 4];
	copy = malloc(size);
	memcpy(copy, data, size);
	parse(copy, size, memory_bytes);

	at = data[1] % 16 * 4;
	stamp_header(copy, size, at, MULTIBOOT1_ADDRESSES | data[2] % 9);
	parse(copy, size, memory_bytes);
	tame(copy, size, at + 12, 4, 0x100000);
	tame(copy, size, at + 16, 4, 0x100000);
	if (data[3] & 1)
		tame(copy, size, at + 20, 4, 0x100000);
	tame(copy, size, at + 24, 4, 0x100200);
	tame(copy, size, at + 28, 4, 0x100000);
	parse(copy, size, memory_bytes);

	for (unsigned is_64 = 0; is_64 < 2; is_64++) {
		memcpy(copy, data, size);
		stamp_elf(copy, size, is_64 != 0);
		stamp_header(copy, size, (size - sizeof(struct multiboot1_header)) / 4 * 4, data[2] % 9);
		parse(copy, size, memory_bytes);
		/* one byte of it damaged, more often than not one of the headers' */
		copy[(data[4] & 1 ? data[5] : data[5] * 256u + data[6]) % size] ^= data[7];
		parse(copy, size, memory_bytes);
	}
	free(copy);
	return 0;
}
