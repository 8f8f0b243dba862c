/* The four functions that the compiler may call by itself. A compiler that recognised their loops would make them call
 * themselves: hence string instructions, and a barrier in each loop. */
#include "arch/memory.h"

#include <stdint.h>

/* By words: an emulator counts each turn of a string instruction, and so do CPUs without ERMS. */
#define WORD_BYTES sizeof(uint64_t)
#define EACH_BYTE  0x0101010101010101ull

#define BARRIER() __asm__ volatile("" : : : "memory")

void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
	void *at = to;
	size_t words = length / WORD_BYTES, rest = length % WORD_BYTES;

	__asm__ volatile("rep movsq" : "+D"(at), "+S"(from), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(rest) : : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t length)
{
	uint8_t *t = to;
	const uint8_t *f = from;

	/* As unsigned numbers: to lies before from, or past its end. */
	if ((uintptr_t)to - (uintptr_t)from >= length) {
		__asm__ volatile("rep movsb" : "+D"(t), "+S"(f), "+c"(length) : : "memory");
		return to;
	}
	/* Not with the direction flag: an NMI handler would find it set. */
	while (length-- > 0) {
		t[length] = f[length];
		BARRIER();
	}
	return to;
}

void *memset(void *at, int byte, size_t length)
{
	void *next = at;
	size_t words = length / WORD_BYTES, rest = length % WORD_BYTES;
	const uint64_t pattern = (uint8_t)byte * EACH_BYTE;

	__asm__ volatile("rep stosq" : "+D"(next), "+c"(words) : "a"(pattern) : "memory");
	__asm__ volatile("rep stosb" : "+D"(next), "+c"(rest) : "a"(pattern) : "memory");
	return at;
}

int memcmp(const void *a, const void *b, size_t length)
{
	const uint8_t *x = a, *y = b;

	for (size_t i = 0; i < length; i++) {
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
		BARRIER();
	}
	return 0;
}
