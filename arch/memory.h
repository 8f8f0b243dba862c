/* The four functions that the compiler may call by itself (GCC manual, "Language Standards": freestanding
 * environments). As in C; the address space is flat and the direction flag is clear. */
#ifndef ARCH_MEMORY_H
#define ARCH_MEMORY_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *at, int byte, size_t length);
int memcmp(const void *a, const void *b, size_t length);

#endif
