/* Is the machine in the state that the Multiboot 1 specification and interface.md 4 promise? Run it with
 * extra = "one two", a ramdisk that begins with "sluice ramdisk", and memory = 16 (or give the MiB as memory=N in
 * extra). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/defs/cr.h"
#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/report.h"

#define MIB            0x100000u
#define PAGE_BYTES     0x1000u
#define DEFAULT_MEMORY 16 /* MiB */
#define MODULE_TEXT    "sluice ramdisk"

/* A word in the image, with a value that is nowhere else. */
static volatile uint32_t landmark = 0x5107ce01;

static bool ends_with(const char *text, const char *end)
{
	const char *t = text, *e = end;

	while (*t)
		t++;
	while (*e)
		e++;
	while (t > text && e > end && t[-1] == e[-1]) {
		t--;
		e--;
	}
	return e == end;
}

static bool begins_with(const char *text, const char *start)
{
	while (*start)
		if (*text++ != *start++)
			return false;
	return true;
}

/* The segment is writable data (or, through CS, readable code) with base 0: it shows the landmark where we see it. */
#define CHECK_SEGMENT(name)                                                                           \
	do {                                                                                          \
		uint32_t seen;                                                                        \
		__asm__ volatile("mov %%" name ":(%1), %0" : "=r"(seen) : "r"(&landmark) : "memory"); \
		report_equal(name, seen, landmark);                                                   \
	} while (0)

static void check_cpu(uint32_t magic)
{
	volatile uint32_t *low, *high = &landmark;
	uint32_t kept;

	report_equal("magic", magic, MB1_LOADER_MAGIC);
	report_equal("cr0", start_cr0 & (CR0_PE | CR0_PG), CR0_PE);
	report_equal("eflags", start_eflags & (RFLAGS_VM | RFLAGS_IF), 0);
	CHECK_SEGMENT("cs");
	CHECK_SEGMENT("ds");
	CHECK_SEGMENT("es");
	CHECK_SEGMENT("fs");
	CHECK_SEGMENT("gs");
	CHECK_SEGMENT("ss");

	/* With A20 off, an address with bit 20 set would be the one without. */
	low = (volatile uint32_t *)((uintptr_t)high & ~(uintptr_t)MIB);
	kept = *low;
	*low = ~landmark;
	report_equal("a20", landmark, 0x5107ce01);
	*low = kept;
}

/* The range of the map that holds the address is available memory. */
static bool is_available(const struct mb1_info *info, uint32_t address)
{
	uint32_t at = info->map;

	while (at < info->map + info->map_bytes) {
		const struct mb1_range *range = (const struct mb1_range *)(uintptr_t)at;

		if (range->type == MB1_MAP_AVAILABLE && address >= range->base && address - range->base < range->bytes)
			return true;
		at += range->size + sizeof(range->size);
	}
	return false;
}

static void check_memory(const struct mb1_info *info)
{
	uint32_t upper_end = MIB + info->mem_upper_kib * 1024;
	uint32_t memory_bytes = mb1_number(info, "memory", DEFAULT_MEMORY) * MIB;
	volatile uint32_t *last = (volatile uint32_t *)(uintptr_t)(upper_end - PAGE_BYTES);

	report_true("mem_lower", info->mem_lower_kib >= 512 && info->mem_lower_kib <= 640, info->mem_lower_kib);
	report_true("mem_upper", upper_end <= memory_bytes && upper_end > memory_bytes - MIB, info->mem_upper_kib);
	report_true("map_size", info->map_bytes >= 2 * sizeof(struct mb1_range), info->map_bytes);
	report_true("map_low", is_available(info, PAGE_BYTES), 0);
	report_true("map_hole", !is_available(info, 0xa0000) && !is_available(info, 0xfffff), 0);
	report_true("map_first", is_available(info, MIB), MIB);
	report_true("map_last", is_available(info, upper_end - 1), upper_end - 1);
	report_true("map_end", !is_available(info, upper_end), upper_end);
	*last = 0xa5a5a5a5;
	report_equal("memory_last", *last, 0xa5a5a5a5);
}

/* Neither in page 0 nor where the kernel could take its heap. */
static void check_place(const char *name, const struct mb1_info *info, uint32_t address)
{
	report_true(name, address >= MIB && !is_available(info, address), address);
}

static void check_module(const struct mb1_info *info)
{
	const struct mb1_module *module = (const struct mb1_module *)(uintptr_t)info->modules;

	report_equal("module_count", info->module_count, 1);
	if (info->module_count != 1)
		return;
	check_place("modules_place", info, info->modules);
	check_place("module_place", info, module->start);
	check_place("module_string_place", info, module->string);
	report_equal("module_aligned", module->start % PAGE_BYTES, 0);
	report_true("module_bytes", module->end - module->start >= sizeof(MODULE_TEXT) - 1,
		    module->end - module->start);
	report_true("module_text", begins_with((const char *)(uintptr_t)module->start, MODULE_TEXT), module->start);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	const uint32_t wanted = MB1_FLAG_MEMORY | MB1_FLAG_CMDLINE | MB1_FLAG_MODULES | MB1_FLAG_MAP | MB1_FLAG_LOADER;

	report_start("state");
	check_cpu(magic);
	report_equal("flags", info->flags & wanted, wanted);
	check_place("info_place", info, (uint32_t)(uintptr_t)info);
	check_place("map_place", info, info->map);
	check_place("cmdline_place", info, info->cmdline);
	check_memory(info);
	report_true("cmdline", ends_with(mb1_cmdline(info), "state.elf one two"), 0);
	check_module(info);
	report_end();
}
