/* fuzz: max_len=160 runs=100000 */
/* Linux images: the input as the setup header and all that follows it (again and again), as it is and with likely
 * values stamped over it. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/defs/linux_boot.h"
#include "hv/policy/bzimage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

#define LOW_END (3ull << 30)
#define RSDP    0xe0000ull
#define PAGE    4096u

static void check_block(const struct bzimage_layout *l, const struct bzimage *image, const uint8_t *bytes,
			const char *cmdline)
{
	uint8_t *block = aligned_alloc(PAGE, (l->block_bytes + PAGE - 1) / PAGE * PAGE);
	const struct linux_boot_params *params;
	uint64_t end = 0;

	bzimage_block_write(block, l, image, bytes, cmdline, RSDP);
	params = (const void *)(block + (l->entry.rsi - l->block_gpa));
	CHECK(strcmp((const char *)block + (params->header.cmd_line_ptr - l->block_gpa), cmdline) == 0);
	for (unsigned i = 0; i < params->e820_entries; i++) {
		CHECK(params->e820_table[i].start >= end);
		end = params->e820_table[i].start + params->e820_table[i].bytes;
	}
	free(block);
}

static void parse(const uint8_t *bytes, size_t size, uint64_t memory_bytes, size_t ramdisk_bytes)
{
	const char cmdline[] = "console=ttyS0";
	struct bzimage image, before;
	struct bzimage_layout l;

	memset(&image, 0x5a, sizeof(image));
	memcpy(&before, &image, sizeof(image));
	if (bzimage_parse(&image, bytes, size) != NULL) {
		CHECK(memcmp(&image, &before, sizeof(image)) == 0);
		return;
	}
	CHECK(bzimage_is(bytes, size));
	CHECK(image.kernel_bytes != 0 && image.kernel_offset <= size);
	CHECK(image.kernel_bytes <= size - image.kernel_offset);
	if (bzimage_layout_make(&l, &image, memory_bytes, strlen(cmdline), ramdisk_bytes) != NULL)
		return;
	CHECK(l.low_end <= memory_bytes && l.low_end <= LOW_END);
	CHECK(l.kernel_gpa >= 1u << 20 && l.kernel_gpa + image.run_bytes <= l.low_end);
	CHECK(l.entry.rip >= l.kernel_gpa && l.entry.rip < l.kernel_gpa + l.kernel_bytes);
	CHECK(l.block_gpa + l.block_bytes <= 0x9fc00);
	if (ramdisk_bytes != 0)
		CHECK(l.ramdisk_gpa >= l.kernel_gpa + image.run_bytes && l.ramdisk_gpa + ramdisk_bytes <= l.low_end);
	check_block(&l, &image, bytes, cmdline);
}

/* Without this nearly every image is refused at once. */
static void stamp(uint8_t *bytes, size_t size, const uint8_t *data)
{
	struct linux_setup_header h;

	if (size < LINUX_SETUP_HEADER + sizeof(h))
		return;
	memcpy(&h, bytes + LINUX_SETUP_HEADER, sizeof(h));
	h.boot_flag = LINUX_BOOT_FLAG;
	h.header = LINUX_HEADER_MAGIC;
	h.version = (uint16_t)(LINUX_VERSION_2_10 - 1 + data[0] % 8);
	h.loadflags |= data[1] % 16 != 0;
	h.jump = (uint16_t)((0x60 + data[2] % 0x34) << 8 | 0xeb);
	h.setup_sects = 1 + data[3] % 3;
	h.syssize = data[4] % 0x80;
	h.kernel_alignment = 1u << data[5] % 32;
	h.pref_address = (uint64_t)data[6] << 20;
	h.init_size = (uint32_t)(data[7] * 0x10001u);
	memcpy(bytes + LINUX_SETUP_HEADER, &h, sizeof(h));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t memories[] = {0, 2ull << 20, 64ull << 20, 3ull << 30, 8ull << 30};
	uint64_t memory_bytes;
	size_t ramdisk_bytes, image_bytes;
	uint8_t *image;

	if (size < 16)
		return 0;
	memory_bytes = memories[data[8] % 5] + data[9];
	ramdisk_bytes = (size_t)data[10] << data[11] % 32;
	image_bytes = LINUX_SETUP_HEADER + data[12] * 12u;
	image = malloc(image_bytes);
	for (size_t i = 0; i < image_bytes; i++)
		image[i] = data[(i + size - LINUX_SETUP_HEADER % size) % size];
	parse(image, image_bytes, memory_bytes, ramdisk_bytes);
	stamp(image, image_bytes, data);
	parse(image, image_bytes, memory_bytes, ramdisk_bytes);
	/* one byte of the header damaged */
	image[(LINUX_SETUP_HEADER + data[13] % 128u) % image_bytes] ^= data[14];
	parse(image, image_bytes, memory_bytes, ramdisk_bytes);
	free(image);
	return 0;
}
