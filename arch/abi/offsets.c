/* Never linked: compiled to assembly, in which the Makefile finds the lines "->NAME VALUE" and makes offsets.inc (NASM)
 * and offsets.h (for offsets_check.c) of them. */
#include "arch/abi/offsets_headers.h"

#define ABI_VALUE(name, value) __asm__ volatile("\n.ascii \"->" #name " %P0\"" : : "i"((int64_t)(value)));

__attribute__((used)) static void abi_values(void)
{
#include "arch/abi/offsets.def"
}
