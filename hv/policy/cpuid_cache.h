/* The answers that a vCPU's CPUID gave last, so that one that asks again gets them without the policy. An answer is
 * kept without the bits that follow CR4, for a guest changes CR4 without an exit: these are put in each time. Pure. */
#ifndef HV_POLICY_CPUID_CACHE_H
#define HV_POLICY_CPUID_CACHE_H

#include <stdint.h>

#include "hv/policy/cpuid_policy.h"

#define CPUID_CACHE_SLOTS 16 /* a power of two */

struct cpuid_cached {
	uint32_t leaf, subleaf; /* what the guest asked for */
	struct cpuid_words words;
	struct cpuid_cr4_bit cr4_bit;
};

struct cpuid_cache {
	struct cpuid_cached slots[CPUID_CACHE_SLOTS];
};

/* Forgets all: also to be called when something else changes that answers depend on (struct cpuid_view). */
void cpuid_cache_forget(struct cpuid_cache *cache);

/* Where the answer to (leaf, subleaf) is kept, in the place of another one's perhaps. */
static inline struct cpuid_cached *cpuid_cache_slot(struct cpuid_cache *cache, uint32_t leaf, uint32_t subleaf)
{
	return &cache->slots[(leaf ^ subleaf) % CPUID_CACHE_SLOTS];
}

static inline bool cpuid_cache_has(const struct cpuid_cached *slot, uint32_t leaf, uint32_t subleaf)
{
	return slot->leaf == leaf && slot->subleaf == subleaf;
}

/* ECX of an answer that has such a bit; cr4: the guest's. */
static inline uint32_t cpuid_cache_ecx(const struct cpuid_cached *slot, uint64_t cr4)
{
	return slot->words.ecx | (cr4 & slot->cr4_bit.cr4 ? slot->cr4_bit.ecx : 0);
}

#endif
