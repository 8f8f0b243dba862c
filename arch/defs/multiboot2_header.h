/* Multiboot2: the header by which the image announces itself, and the loader's answer in EAX. Facts only.
 * Source: Multiboot2 Specification version 2.0, "OS image format", "Machine state". */
#ifndef ARCH_DEFS_MULTIBOOT2_HEADER_H
#define ARCH_DEFS_MULTIBOOT2_HEADER_H

#define MULTIBOOT2_LOADER_MAGIC 0x36d76289u

#define MULTIBOOT2_HEADER_MAGIC      0xe85250d6u
#define MULTIBOOT2_ARCHITECTURE_I386 0
#define MULTIBOOT2_CHECKSUM_MODULUS  (1ull << 32) /* magic, architecture, length and checksum add up to it */

#define MULTIBOOT2_HEADER_TAG_END          0
#define MULTIBOOT2_HEADER_TAG_INFORMATION  1
#define MULTIBOOT2_HEADER_TAG_MODULE_ALIGN 6
#define MULTIBOOT2_HEADER_TAG_OPTIONAL     (1u << 0) /* flag */

#endif
