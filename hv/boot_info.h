/* What the loader handed over, in Sluice's own terms. boot/ fills it in; nothing else knows of multiboot2. */
#ifndef HV_BOOT_INFO_H
#define HV_BOOT_INFO_H

#include <stdint.h>

#define BOOT_RANGES_MAX  64
#define BOOT_MODULES_MAX 64

struct boot_range {
	uint64_t start, end; /* bytes, [start, end) */
};

struct boot_module {
	uint64_t start, end;
	const char *name; /* the module's command line: its file name */
};

struct boot_info {
	const char *error; /* why there is nothing else here; NULL: all is well */
	const char *cmdline;
	uint64_t rsdp;        /* address of a copy of the RSDP; 0: none */
	uint64_t start, end;  /* where the loader's own structure lies: strings point into it */
	uint32_t range_count; /* available RAM, ascending, not overlapping */
	uint32_t module_count;
	struct boot_range ranges[BOOT_RANGES_MAX];
	struct boot_module modules[BOOT_MODULES_MAX];
};

#endif
