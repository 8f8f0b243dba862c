/* Reads what a Multiboot2 loader hands over into a struct boot_info. Pure. */
#ifndef BOOT_MULTIBOOT2_H
#define BOOT_MULTIBOOT2_H

#include <stddef.h>

#include "hv/boot_info.h"

/* Parses the information structure at info; at most size_limit bytes of it can be looked at. Returns NULL, or the
 * reason why not, and then *out is untouched. Strings and the RSDP's copy stay where they are: out->start and out->end
 * tell which memory to keep. Without a command line it is "". */
const char *multiboot2_parse(struct boot_info *out, const void *info, size_t size_limit);

#endif
