#include "arch/ept.h"

#include "arch/defs/vmx.h"

/* Level 1 maps 4 KiB an entry, level 2 2 MiB, level 3 1 GiB. */
static uint64_t entry_bytes(unsigned level)
{
	return PAGE_BYTES << (9 * (level - 1));
}

static bool may_be_leaf(const struct ept *ept, unsigned level)
{
	return level == 1 || (level == 2 && ept->use_2m) || (level == 3 && ept->use_1g);
}

static uint64_t *table_of(uint64_t entry)
{
	return hpa_ptr(hpa(entry & EPT_ADDRESS_MASK));
}

/* Maps the one entry that covers gpa at the highest level where it fits; returns the bytes mapped, 0 without memory. */
static uint64_t map_one(struct ept *ept, uint64_t gpa, uint64_t hpa, uint64_t bytes, const struct ept_pages *pages)
{
	uint64_t *table = hpa_ptr(ept->root);

	for (unsigned level = EPT_LEVELS;; level--) {
		const uint64_t size = entry_bytes(level);
		uint64_t *entry = &table[(gpa / size) % EPT_ENTRIES];

		if (may_be_leaf(ept, level) && ((gpa | hpa) & (size - 1)) == 0 && bytes >= size && *entry == 0) {
			*entry = hpa | EPT_RIGHTS | EPT_MEMORY_TYPE_WB | EPT_IGNORE_PAT | (level > 1 ? EPT_LARGE : 0);
			return size;
		}
		if (*entry == 0) {
			const hpa_t page = pages->take();

			if (page.v == 0)
				return 0;
			*entry = page.v | EPT_RIGHTS;
		}
		table = table_of(*entry);
	}
}

bool ept_map(struct ept *ept, gpa_t gpa, hpa_t hpa, uint64_t bytes, const struct ept_pages *pages)
{
	if (ept->root.v == 0)
		ept->root = pages->take();
	if (ept->root.v == 0)
		return false;
	for (uint64_t done = 0; done < bytes;) {
		const uint64_t step = map_one(ept, gpa.v + done, hpa.v + done, bytes - done, pages);

		if (step == 0)
			return false;
		done += step;
	}
	return true;
}

static void destroy_table(uint64_t *table, unsigned level, const struct ept_pages *pages)
{
	for (unsigned i = 0; i < EPT_ENTRIES; i++)
		if (level > 1 && table[i] != 0 && !(table[i] & EPT_LARGE))
			destroy_table(table_of(table[i]), level - 1, pages);
	pages->give(hpa_of(table));
}

void ept_destroy(struct ept *ept, const struct ept_pages *pages)
{
	if (ept->root.v != 0)
		destroy_table(hpa_ptr(ept->root), EPT_LEVELS, pages);
	ept->root = hpa(0);
}

uint64_t ept_pointer(const struct ept *ept)
{
	return ept->root.v | EPTP_WB | EPTP_WALK_4;
}
