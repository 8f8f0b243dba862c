#include "arch/ept_overlay.h"

#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/vmx.h"

static uint64_t *take(struct ept_overlay *overlay)
{
	return hpa_ptr(hpa(overlay->pages.v + overlay->used++ * PAGE_BYTES));
}

static bool is_ours(const struct ept_overlay *overlay, uint64_t entry)
{
	return (entry & EPT_ADDRESS_MASK) - overlay->pages.v < EPT_OVERLAY_PAGES * PAGE_BYTES;
}

/* The table that the entry leads to, as one of ours. */
static uint64_t *own_table(struct ept_overlay *overlay, uint64_t *entry)
{
	uint64_t *const old = hpa_ptr(hpa(*entry & EPT_ADDRESS_MASK));
	uint64_t *table;

	if (*entry != 0 && is_ours(overlay, *entry))
		return old;
	table = take(overlay);
	if (*entry == 0)
		__builtin_memset(table, 0, PAGE_BYTES);
	else
		__builtin_memcpy(table, old, PAGE_BYTES);
	*entry = hpa_of(table).v | EPT_RIGHTS;
	return table;
}

static void put(struct ept_overlay *overlay, uint64_t *root, gpa_t at, hpa_t blank)
{
	uint64_t *table = root;

	for (unsigned level = EPT_LEVELS;; level--) {
		const unsigned shift = 12 + 9 * (level - 1);
		uint64_t *entry = &table[at.v >> shift & (EPT_ENTRIES - 1)];

		if (*entry & EPT_LARGE)
			return;
		if (level == 1) {
			if (*entry == 0)
				*entry = blank.v | EPT_RIGHTS | EPT_MEMORY_TYPE_WB | EPT_IGNORE_PAT;
			return;
		}
		table = own_table(overlay, entry);
	}
}

hpa_t ept_overlay_make(struct ept_overlay *overlay, hpa_t below, const gpa_t *at, unsigned count)
{
	uint64_t *blank, *root;

	overlay->used = 0;
	blank = take(overlay);
	root = take(overlay);
	__builtin_memset(blank, 0xff, PAGE_BYTES);
	__builtin_memcpy(root, hpa_ptr(below), PAGE_BYTES);
	for (unsigned i = 0; i < count; i++)
		put(overlay, root, at[i], hpa_of(blank));
	return hpa_of(root);
}
