/* What loading an executable needs of ELF (System V ABI, "Object Files"). */
#ifndef ARCH_DEFS_ELF_H
#define ARCH_DEFS_ELF_H

#include <stdint.h>

#define ELF_MAGIC     0x464c457fu /* 7f 'E' 'L' 'F', little-endian */
#define ELF_CLASS_32  1
#define ELF_CLASS_64  2
#define ELF_DATA_LSB  1
#define ELF_EM_386    3
#define ELF_EM_X86_64 62
#define ELF_PT_LOAD   1

struct elf_ident {
	uint32_t magic;
	uint8_t class, data, version, os_abi;
	uint8_t padding[8];
};

struct elf32_header {
	struct elf_ident ident;
	uint16_t type, machine;
	uint32_t version;
	uint32_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf64_header {
	struct elf_ident ident;
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf32_program_header {
	uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};

struct elf64_program_header {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

#endif
