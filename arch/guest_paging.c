#include "arch/guest_paging.h"

#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "arch/defs/pte.h"

/* One kind of paging: how many levels, how wide an entry, which entries may map a page. */
struct format {
	unsigned levels;
	unsigned entry_bytes;
	unsigned index_bits;
	uint64_t root_mask;    /* of CR3 */
	uint64_t address_mask; /* of an entry */
	bool large_level2;     /* PS counts in level 2 */
};

static const struct format format_32 = {2, 4, 10, 0xfffff000, 0xfffff000, false};
static const struct format format_32_pse = {2, 4, 10, 0xfffff000, 0xfffff000, true};
static const struct format format_pae = {3, 8, 9, 0xffffffe0, PTE_ADDRESS_MASK, true};
static const struct format format_64 = {4, 8, 9, PTE_ADDRESS_MASK, PTE_ADDRESS_MASK, true};

static const struct format *format_of(const struct guest_paging *paging)
{
	if (paging->efer & EFER_LMA)
		return &format_64;
	if (paging->cr4 & CR4_PAE)
		return &format_pae;
	return paging->cr4 & CR4_PSE ? &format_32_pse : &format_32;
}

static bool is_leaf(const struct format *format, unsigned level, uint64_t entry)
{
	if (level == 1)
		return true;
	if (!(entry & PTE_LARGE))
		return false;
	return (level == 2 && format->large_level2) || (level == 3 && format == &format_64);
}

/* The permission bits of a PAE top entry do not exist: they count as given. */
static uint64_t rights_of(const struct format *format, unsigned level, uint64_t entry)
{
	return format == &format_pae && level == 3 ? PTE_WRITABLE | PTE_USER : entry;
}

static bool refused(const struct guest_paging *paging, uint64_t rights)
{
	if (paging->user && !(rights & PTE_USER))
		return true;
	return paging->write && !(rights & PTE_WRITABLE) && (paging->user || (paging->cr0 & CR0_WP));
}

/* 4 MiB pages of 32-bit paging hold bits 32-39 of the address in bits 13-20 (PSE-36). */
static uint64_t leaf_base(const struct format *format, unsigned level, uint64_t entry, uint64_t page_bytes)
{
	uint64_t base = entry & format->address_mask & ~(page_bytes - 1);

	if (format->entry_bytes == 4 && level == 2)
		base |= (entry >> 13 & 0xff) << 32;
	return base;
}

bool guest_paging_walk(const struct guest_paging *paging, uint64_t linear, guest_paging_read_fn read, void *context,
		       gpa_t *out, uint32_t *error_code)
{
	const struct format *format = format_of(paging);
	const uint32_t access = (paging->write ? PF_WRITE : 0) | (paging->user ? PF_USER : 0);
	uint64_t table = paging->cr3 & format->root_mask;
	uint64_t rights = PTE_WRITABLE | PTE_USER;

	if (!(paging->efer & EFER_LMA))
		linear = (uint32_t)linear;
	if (!(paging->cr0 & CR0_PG)) {
		*out = gpa(linear);
		return true;
	}
	for (unsigned level = format->levels; level > 0; level--) {
		const unsigned shift = 12 + format->index_bits * (level - 1);
		const uint64_t index = (linear >> shift) & ((1ull << format->index_bits) - 1);
		uint64_t entry;

		if (!read(context, gpa(table + index * format->entry_bytes), format->entry_bytes, &entry) ||
		    !(entry & PTE_PRESENT)) {
			*error_code = access;
			return false;
		}
		rights &= rights_of(format, level, entry);
		if (is_leaf(format, level, entry)) {
			const uint64_t page_bytes = 1ull << shift;

			if (refused(paging, rights)) {
				*error_code = access | PF_PRESENT;
				return false;
			}
			*out = gpa(leaf_base(format, level, entry, page_bytes) | (linear & (page_bytes - 1)));
			return true;
		}
		table = entry & format->address_mask;
	}
	return false; /* level 1 is a leaf */
}

/* A PAE top entry has neither bit: there they are reserved. */
uint8_t guest_paging_marks(const struct guest_paging *paging, unsigned index, unsigned count)
{
	if (index == 0 && format_of(paging) == &format_pae)
		return 0;
	return PTE_ACCESSED | (paging->write && index + 1 == count ? PTE_DIRTY : 0);
}
