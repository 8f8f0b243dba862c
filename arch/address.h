/* Guest-physical and host-physical addresses: distinct types, so that one is never taken for the other. */
#ifndef ARCH_ADDRESS_H
#define ARCH_ADDRESS_H

#include <stdint.h>

#define PAGE_BYTES    4096ull
#define PAGE_2M_BYTES (2ull << 20)
#define PAGE_1G_BYTES (1ull << 30)

typedef struct {
	uint64_t v;
} gpa_t;

typedef struct {
	uint64_t v;
} hpa_t;

static inline gpa_t gpa(uint64_t v)
{
	return (gpa_t){v};
}

static inline hpa_t hpa(uint64_t v)
{
	return (hpa_t){v};
}

/* All physical memory is mapped at its own address in the hypervisor. */
static inline void *hpa_ptr(hpa_t a)
{
	return (void *)(uintptr_t)a.v;
}

static inline hpa_t hpa_of(const void *p)
{
	return hpa((uint64_t)(uintptr_t)p);
}

#endif
