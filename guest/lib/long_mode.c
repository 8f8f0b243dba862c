#include "guest/lib/long_mode.h"

#include "arch/defs/pte.h"
#include "arch/defs/segment.h"
#include "guest/lib/paging.h"

#define UPPER_HALF_ENTRY 256

/* In lib/long_switch.asm. */
extern const uint32_t long_entries[EXCEPTIONS];
extern uint64_t long_level4[512];
extern uint64_t long_idt[EXCEPTIONS][2];

static uint64_t level3[512] __attribute__((aligned(4096)));

void long_prepare(void)
{
	const uint64_t rights = PTE_PRESENT | PTE_WRITABLE | PTE_USER;

	for (unsigned i = 0; i < 4; i++)
		level3[i] = (uint32_t)(uintptr_t)paging_directories[i] | rights;
	long_level4[0] = long_level4[UPPER_HALF_ENTRY] = (uint32_t)(uintptr_t)level3 | rights;
	for (unsigned i = 0; i < EXCEPTIONS; i++) {
		const uint64_t entry = long_entries[i];

		long_idt[i][0] = (entry & 0xffff) | LONG_CODE64 << GATE_SELECTOR_SHIFT | DESCRIPTOR_PRESENT |
				 DESCRIPTOR_TYPE_INTERRUPT_GATE64 | (entry & 0xffff0000) << 32;
		long_idt[i][1] = 0;
	}
}
