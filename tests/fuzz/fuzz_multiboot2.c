/* fuzz: max_len=1024 runs=100000 */
/* The loader's structure: the bytes as they are, and as tags of a structure whose size is right. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "boot/multiboot2.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static void check_string(const struct boot_info *info, const char *s)
{
	uint64_t at = (uintptr_t)s;

	if (at >= info->start && at < info->end)
		CHECK(at + strlen(s) < info->end);
	else
		CHECK(s[0] == 0);
}

static void parse(const uint8_t *bytes, size_t size)
{
	struct boot_info info, before;

	memset(&info, 0x5a, sizeof(info));
	before = info;
	if (multiboot2_parse(&info, bytes, size) != NULL) {
		CHECK(memcmp(&info, &before, sizeof(info)) == 0);
		return;
	}
	CHECK(info.start == (uintptr_t)bytes && info.end - info.start <= size);
	CHECK(info.range_count >= 1 && info.range_count <= BOOT_RANGES_MAX);
	CHECK(info.module_count <= BOOT_MODULES_MAX);
	for (uint32_t i = 0; i < info.range_count; i++) {
		CHECK(info.ranges[i].start % 4096 == 0 && info.ranges[i].end % 4096 == 0);
		CHECK(info.ranges[i].start < info.ranges[i].end);
		CHECK(i == 0 || info.ranges[i - 1].end < info.ranges[i].start);
	}
	for (uint32_t i = 0; i < info.module_count; i++) {
		CHECK(info.modules[i].start <= info.modules[i].end);
		check_string(&info, info.modules[i].name);
	}
	check_string(&info, info.cmdline);
	CHECK(info.rsdp == 0 || (info.rsdp > info.start && info.rsdp + 20 <= info.end));
}

/* Each byte pair of the input begins a tag: its type, and how many of the bytes that follow are its body. Then the
 * first two bytes damage one byte of the whole. */
static void parse_as_tags(const uint8_t *data, size_t size)
{
	size_t damaged_at = size >= 2 ? data[0] * 7u : 0;
	uint8_t damage = size >= 2 ? data[1] >> 4 : 0;

	static const uint8_t types[] = {1, 3, 3, 6, 6, 14, 15, 99};
	uint8_t *bytes = calloc(1, 8 * size + 64);
	uint32_t used = 8;

	while (size >= 2) {
		uint32_t type = types[data[0] % sizeof(types)], length = data[1] % 128, head;

		data += 2;
		size -= 2;
		if (length > size)
			length = (uint32_t)size;
		if (type == 6) /* a plausible map: whole entries of 24 bytes */
			length = length / 24 * 24;
		head = type == 6 ? 16 : 8;
		memcpy(bytes + used, &type, 4);
		memcpy(bytes + used + 4, &(uint32_t){head + length}, 4);
		if (type == 6)
			bytes[used + 8] = 24;
		memcpy(bytes + used + head, data, length);
		used = (used + head + length + 7) / 8 * 8;
		data += length;
		size -= length;
	}
	bytes[used + 4] = 8;
	used += 8;
	memcpy(bytes, &used, 4);
	bytes = realloc(bytes, used);
	parse(bytes, used);
	bytes[damaged_at % used] ^= damage;
	parse(bytes, used);
	free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size + 1);

	memcpy(copy, data, size);
	parse(copy, size);
	free(copy);
	parse_as_tags(data, size);
	return 0;
}
