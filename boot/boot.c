/* From the loader's words to Sluice's own. */
#include <stdint.h>

#include "arch/defs/multiboot2_header.h"
#include "boot/multiboot2.h"
#include "hv/boot_info.h"
#include "hv/main.h"

#define BOOT_MAP_BYTES (4ull << 30) /* what boot/entry.asm has mapped */

/* Called by boot/entry.asm. */
_Noreturn void boot_main(uint32_t magic, uint64_t info);

_Noreturn void boot_main(uint32_t magic, uint64_t info)
{
	static struct boot_info boot;

	boot.cmdline = "";
	if (magic != MULTIBOOT2_LOADER_MAGIC)
		boot.error = "boot: the loader does not speak multiboot2";
	else
		boot.error = multiboot2_parse(&boot, (const void *)(uintptr_t)info, BOOT_MAP_BYTES - info);
	hv_main(&boot);
}
