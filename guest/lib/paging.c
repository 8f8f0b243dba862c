#include "guest/lib/paging.h"

#include "arch/defs/cpuid.h"
#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "arch/defs/pte.h"
#include "guest/lib/cpu.h"

#define LARGE_PAGE_BYTES 0x200000u

volatile uint64_t paging_window[PAGING_WINDOW_PAGES] __attribute__((aligned(4096)));
uint64_t paging_directories[4][512] __attribute__((aligned(4096)));
uint64_t paging_pointers[512] __attribute__((aligned(4096)));

void paging_build(void)
{
	for (unsigned i = 0; i < 4 * 512; i++)
		paging_directories[i / 512][i % 512] =
			(uint64_t)i * LARGE_PAGE_BYTES | PTE_PRESENT | PTE_WRITABLE | PTE_USER | PTE_LARGE;
	for (unsigned i = 0; i < 4; i++)
		paging_pointers[i] = (uint32_t)(uintptr_t)paging_directories[i] | PTE_PRESENT;
	paging_directories[PAGING_WINDOW >> 30][PAGING_WINDOW / LARGE_PAGE_BYTES % 512] =
		(uint32_t)(uintptr_t)paging_window | PTE_PRESENT | PTE_WRITABLE | PTE_USER;
}

void paging_on(void)
{
	if (cpuid(CPUID_EXT_FEATURES, 0).edx & CPUID_EXT1_EDX_NX)
		wrmsr(MSR_IA32_EFER, rdmsr(MSR_IA32_EFER) | EFER_NXE);
	write_cr4(read_cr4() | CR4_PAE);
	write_cr3((uint32_t)(uintptr_t)paging_pointers);
	write_cr0(read_cr0() | CR0_PG | CR0_WP);
}

volatile uint8_t *paging_page(unsigned index)
{
	return (volatile uint8_t *)(uintptr_t)(PAGING_WINDOW + index * PAGING_PAGE_BYTES);
}

void paging_map(unsigned index, uint64_t entry)
{
	paging_window[index] = entry;
	invlpg(paging_page(index));
}
