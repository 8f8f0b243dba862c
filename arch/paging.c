/* The hypervisor's own page tables, made from a short list of regions: a page is as large as it may be without a
 * region's boundary inside it. */
#include "arch/paging.h"

#include <stdbool.h>

#include "arch/cpu.h"
#include "arch/defs/apic.h"
#include "arch/defs/cpuid.h"
#include "arch/defs/pte.h"
#include "arch/percpu.h"

#define MAPPED_BYTES_MIN (4 * PAGE_1G_BYTES)
#define DATA             (PTE_PRESENT | PTE_WRITABLE | PTE_NX)

enum level { LEVEL_4K, LEVEL_2M, LEVEL_1G, LEVEL_512G };

struct region {
	uint64_t start, end; /* multiples of a page */
	uint64_t flags;      /* 0: absent */
};

/* linker.ld */
extern const char image_start[], text_end[], rodata_start[], rodata_end[];

/* All else is data. Caching is the MTRRs' affair, but these devices are uncached whatever the MTRRs say. */
static const struct region regions[] = {
	{0, PAGE_BYTES, 0},
	{(uintptr_t)image_start, (uintptr_t)text_end, PTE_PRESENT},
	{(uintptr_t)rodata_start, (uintptr_t)rodata_end, PTE_PRESENT | PTE_NX},
	{APIC_DEVICES_START, APIC_DEVICES_END, DATA | PTE_PCD | PTE_PWT},
};
#define REGION_COUNT (sizeof(regions) / sizeof(regions[0]))

static uint64_t limit; /* [0, limit) is mapped */
static enum level largest_page;
static hpa_t (*page_source)(void);
static hpa_t root;

static uint64_t entry_bytes(enum level level)
{
	return PAGE_BYTES << (level * PTE_INDEX_BITS);
}

static uint64_t *table_entry(hpa_t table, enum level level, uint64_t address)
{
	return (uint64_t *)hpa_ptr(table) + address / entry_bytes(level) % PTE_PER_TABLE;
}

static uint64_t page_flags(uint64_t address)
{
	for (unsigned i = 0; i < REGION_COUNT; i++)
		if (address >= regions[i].start && address < regions[i].end)
			return regions[i].flags;
	return DATA;
}

static bool lies_inside(uint64_t boundary, uint64_t start, uint64_t end)
{
	return boundary > start && boundary < end;
}

static bool is_one_page(uint64_t start, uint64_t end)
{
	for (unsigned i = 0; i < REGION_COUNT; i++)
		if (lies_inside(regions[i].start, start, end) || lies_inside(regions[i].end, start, end))
			return false;
	return !lies_inside(limit, start, end);
}

/* The table of the given level that maps from base on. */
static hpa_t table_make(enum level level, uint64_t base)
{
	uint64_t size = entry_bytes(level);
	hpa_t table = page_source();

	for (unsigned i = 0; i < PTE_PER_TABLE && base + i * size < limit; i++) {
		uint64_t address = base + i * size;
		uint64_t *entry = table_entry(table, level, address);
		uint64_t flags = page_flags(address);

		if (level > largest_page || !is_one_page(address, address + size))
			*entry = table_make(level - 1, address).v | PTE_PRESENT | PTE_WRITABLE;
		else if (flags != 0)
			*entry = address | flags | (level > LEVEL_4K ? PTE_LARGE : 0);
	}
	return table;
}

void paging_init(uint64_t limit_bytes, hpa_t (*take_page)(void))
{
	bool has_1g_pages = cpuid(CPUID_EXT_FEATURES, 0).edx & CPUID_EXT1_EDX_PAGE1GB;

	limit = limit_bytes > MAPPED_BYTES_MIN ? limit_bytes : MAPPED_BYTES_MIN;
	largest_page = has_1g_pages ? LEVEL_1G : LEVEL_2M;
	page_source = take_page;
	root = table_make(LEVEL_512G, 0);
	paging_load();
}

void paging_load(void)
{
	wrmsr(MSR_IA32_EFER, ARCH_EFER);
	write_cr0(ARCH_CR0);
	write_cr3(root.v);
}

const uint8_t *paging_mapped(uint64_t address, size_t length)
{
	if (address < PAGE_BYTES || address > limit || length > limit - address)
		return NULL;
	return hpa_ptr(hpa(address));
}

uint64_t paging_cr3(void)
{
	return root.v;
}

/* Replaces a large page by a table of smaller ones that map the same. */
static void entry_split(uint64_t *entry, enum level level)
{
	hpa_t table = page_source();
	uint64_t *to = hpa_ptr(table);
	uint64_t from = level - 1 == LEVEL_4K ? *entry & ~PTE_LARGE : *entry;

	for (unsigned i = 0; i < PTE_PER_TABLE; i++)
		to[i] = from + i * entry_bytes(level - 1);
	*entry = table.v | PTE_PRESENT | PTE_WRITABLE;
}

static void page_set(uint64_t address, uint64_t flags)
{
	hpa_t table = root;
	enum level level = LEVEL_512G;
	uint64_t *entry = table_entry(table, level, address);

	for (; level > LEVEL_4K; level--, entry = table_entry(table, level, address)) {
		if (*entry & PTE_LARGE)
			entry_split(entry, level);
		table = hpa(*entry & PTE_ADDRESS_MASK);
	}
	*entry = flags == 0 ? 0 : address | flags;
	__asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

void paging_unmap(uint64_t address)
{
	page_set(address, 0);
}

void paging_make_executable(uint64_t address)
{
	page_set(address, PTE_PRESENT);
}
