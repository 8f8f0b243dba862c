#include "hv/policy/cpuid_cache.h"

void cpuid_cache_forget(struct cpuid_cache *cache)
{
	*cache = (struct cpuid_cache){0};
	/* A slot of zeros answers for nothing, leaf 0 being kept in slot 0: that one gets a leaf of another slot. */
	cache->slots[0].leaf = 1;
}
