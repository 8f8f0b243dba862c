/* What a Multiboot 1 loader hands over. Source: Multiboot Specification 0.6.96, "Boot information format". */
#ifndef GUEST_LIB_MULTIBOOT1_H
#define GUEST_LIB_MULTIBOOT1_H

#include <stdbool.h>
#include <stdint.h>

#define MB1_LOADER_MAGIC 0x2badb002u

#define MB1_FLAG_MEMORY  (1u << 0)
#define MB1_FLAG_CMDLINE (1u << 2)
#define MB1_FLAG_MODULES (1u << 3)
#define MB1_FLAG_MAP     (1u << 6)
#define MB1_FLAG_LOADER  (1u << 9)

#define MB1_MAP_AVAILABLE 1u

struct mb1_info {
	uint32_t flags;
	uint32_t mem_lower_kib, mem_upper_kib;
	uint32_t boot_device;
	uint32_t cmdline;
	uint32_t module_count, modules;
	uint32_t symbols[4];
	uint32_t map_bytes, map;
	uint32_t drives_bytes, drives;
	uint32_t config_table;
	uint32_t loader_name;
};

struct mb1_module {
	uint32_t start, end;
	uint32_t string;
	uint32_t reserved;
};

struct mb1_range {
	uint32_t size; /* of what follows this field */
	uint64_t base, bytes;
	uint32_t type;
} __attribute__((packed));

/* The command line, "" without one. */
const char *mb1_cmdline(const struct mb1_info *info);

/* The blank-separated words of the command line hold this one. */
bool mb1_has_word(const struct mb1_info *info, const char *word);

/* The decimal number of the word key=NUMBER ("seed=7"), or otherwise. */
uint32_t mb1_number(const struct mb1_info *info, const char *key, uint32_t otherwise);

#endif
