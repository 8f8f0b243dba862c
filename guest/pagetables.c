/* Are page tables obeyed after each edit, with INVLPG and the other ways to drop translations, and do page faults and
 * the accessed and dirty bits say what the SDM says? Also where a hypervisor walks the tables itself. */
#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/cpuid.h"
#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "arch/defs/pte.h"
#include "guest/lib/answer.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/irq.h"
#include "guest/lib/paging.h"

#define PTE_GLOBAL        (1ull << 8)
#define PTE_ADDRESS_BIT51 (1ull << 51)
#define LARGE_PAGE_BYTES  0x200000u
#define ROUNDS            50
#define PORT_UNANSWERED   0x1230
#define STRING_AT         16 /* bytes before the end of the page */
#define STRING_BYTES      40

/* QEMU's fw_cfg. */
#define FW_CFG_SELECTOR  0x510
#define FW_CFG_DATA      0x511
#define FW_CFG_SIGNATURE 0

static uint8_t frames[2][PAGING_PAGE_BYTES] __attribute__((aligned(4096)));

static uint64_t frame(unsigned i)
{
	return (uint32_t)(uintptr_t)frames[i] | PTE_PRESENT | PTE_WRITABLE;
}

/* ---- edits ---- */

static void drop_invlpg(void)
{
	invlpg(paging_page(0));
}

static void drop_cr3(void)
{
	write_cr3(read_cr3());
}

static void drop_pge(void)
{
	const uint32_t cr4 = read_cr4();

	write_cr4(cr4 | CR4_PGE);
	write_cr4(cr4 & ~CR4_PGE);
}

static void drop_pg(void)
{
	const uint32_t cr0 = read_cr0();

	write_cr0(cr0 & ~CR0_PG);
	write_cr0(cr0);
}

/* The entry names the one frame and the other by turns. */
static void ask_edits(const char *name, void (*drop)(void), uint64_t flags)
{
	unsigned right = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		paging_window[0] = frame(i & 1) | flags;
		drop();
		right += *paging_page(0) == (i & 1) + 1;
	}
	answer_number(name, right);
}

static void ask_absent_to_present(void)
{
	unsigned right = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		paging_map(1, 0);
		paging_window[1] = frame(i & 1); /* nothing was cached that could be dropped */
		right += *paging_page(1) == (i & 1) + 1;
	}
	answer_number("absent_to_present", right);
}

/* A 2 MiB page becomes a table of 4 KiB pages, and again a large page. */
static void ask_split(void)
{
	static volatile uint64_t table[512] __attribute__((aligned(4096)));
	volatile uint64_t *directory = &paging_directories[2][0];
	const volatile uint8_t *linear = (const volatile uint8_t *)0x80000000u;
	const uint64_t table_entry = (uint32_t)(uintptr_t)table | PTE_PRESENT | PTE_WRITABLE;
	const uint64_t saved = *directory;
	unsigned right = 0;

	frames[0][0] = 1;
	for (unsigned i = 0; i < ROUNDS; i++) {
		/* The large page at 0 shows what the frame is at its own offset. */
		*directory = ((uint32_t)(uintptr_t)frames & ~(uint64_t)(LARGE_PAGE_BYTES - 1)) | PTE_PRESENT |
			     PTE_WRITABLE | PTE_LARGE;
		invlpg(linear);
		right += linear[(uintptr_t)frames & (LARGE_PAGE_BYTES - 1)] == 1;
		table[0] = frame(1);
		*directory = table_entry;
		invlpg(linear);
		right += linear[0] == 2;
	}
	*directory = saved;
	invlpg(linear);
	answer_number("large_page_split", right);
}

/* ---- accessed and dirty ---- */

static uint32_t bits(volatile const uint64_t *entry)
{
	return (uint32_t)(*entry & (PTE_ACCESSED | PTE_DIRTY));
}

static void ask_accessed_dirty(void)
{
	volatile uint64_t *large = &paging_directories[2][1];
	volatile uint8_t *linear = (volatile uint8_t *)(0x80000000u + LARGE_PAGE_BYTES);

	paging_map(0, frame(0));
	answer_hex("bits_at_first", bits(&paging_window[0]));
	(void)*paging_page(0);
	answer_hex("bits_after_read", bits(&paging_window[0]));
	*paging_page(0) = 1;
	answer_hex("bits_after_write", bits(&paging_window[0]));
	paging_map(0, frame(0));
	*paging_page(0) = 1;
	answer_hex("bits_after_first_write", bits(&paging_window[0]));
	paging_map(0, frame(0));
	__asm__ volatile("outsb" : : "S"(paging_page(0)), "d"(PORT_UNANSWERED) : "memory");
	answer_hex("bits_after_outs", bits(&paging_window[0]));
	paging_map(0, frame(0));
	__asm__ volatile("insb" : : "D"(paging_page(0)), "d"(PORT_UNANSWERED) : "memory");
	answer_hex("bits_after_ins", bits(&paging_window[0]));
	*large = (uint32_t)(uintptr_t)frames / LARGE_PAGE_BYTES * LARGE_PAGE_BYTES | PTE_PRESENT | PTE_WRITABLE |
		 PTE_LARGE;
	invlpg(linear);
	(void)linear[(uintptr_t)frames % LARGE_PAGE_BYTES];
	answer_hex("large_bits_after_read", bits(large));
	linear[(uintptr_t)frames % LARGE_PAGE_BYTES] = 1;
	answer_hex("large_bits_after_write", bits(large));
}

/* ---- faults ---- */

static void read_at(void *address)
{
	(void)*(volatile uint8_t *)address;
}

static void write_at(void *address)
{
	*(volatile uint8_t *)address = 1;
}

static void read_long_at(void *address)
{
	(void)*(volatile uint32_t *)address;
}

static void call_at(void *address)
{
	((void (*)(void))(uintptr_t)address)();
}

static void ring3_read(void)
{
	__asm__ volatile("movb %c0, %%al; int3" : : "i"(PAGING_WINDOW) : "eax", "memory");
}

static void ring3_write(void)
{
	__asm__ volatile("movb $1, %c0; int3" : : "i"(PAGING_WINDOW) : "memory");
}

static const struct {
	const char *name;
	uint64_t flags; /* of the entry of page 0; page 1 is absent */
	uint16_t offset;
	uint32_t cr0_wp;
	void (*access)(void *); /* or */
	void (*ring3)(void);
} faults[] = {
	{"read_absent", 0, 0, CR0_WP, read_at, 0},
	{"write_absent", 0, 0, CR0_WP, write_at, 0},
	{"read_present", PTE_PRESENT, 0, CR0_WP, read_at, 0},
	{"write_read_only_with_wp", PTE_PRESENT, 0, CR0_WP, write_at, 0},
	{"write_read_only_without_wp", PTE_PRESENT, 0, 0, write_at, 0},
	{"read_across_into_absent", PTE_PRESENT, PAGING_PAGE_BYTES - 2, CR0_WP, read_long_at, 0},
	{"ring3_read_absent", 0, 0, CR0_WP, 0, ring3_read},
	{"ring3_read_supervisor", PTE_PRESENT | PTE_WRITABLE, 0, CR0_WP, 0, ring3_read},
	{"ring3_read_user", PTE_PRESENT | PTE_USER, 0, CR0_WP, 0, ring3_read},
	{"ring3_write_read_only", PTE_PRESENT | PTE_USER, 0, 0, 0, ring3_write},
	{"ring3_write_user", PTE_PRESENT | PTE_USER | PTE_WRITABLE, 0, CR0_WP, 0, ring3_write},
	{"read_reserved_bit", PTE_PRESENT | PTE_ADDRESS_BIT51, 0, CR0_WP, read_at, 0},
	{"write_reserved_bit", PTE_PRESENT | PTE_ADDRESS_BIT51, 0, CR0_WP, write_at, 0},
	{"fetch_nx", PTE_PRESENT | PTE_NX, 8, CR0_WP, call_at, 0},
	{"fetch_absent", 0, 8, CR0_WP, call_at, 0},
	{"fetch_present", PTE_PRESENT, 8, CR0_WP, call_at, 0},
};

static void ask_faults(void)
{
	paging_map(1, 0);
	frames[0][8] = 0xc3; /* ret */
	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		uint32_t vector;

		paging_map(0, faults[i].flags ? (uint32_t)(uintptr_t)frames[0] | faults[i].flags : 0);
		write_cr2(0);
		write_cr0((read_cr0() & ~CR0_WP) | faults[i].cr0_wp);
		if (faults[i].access)
			vector = fault_try(faults[i].access, (void *)((uintptr_t)paging_page(0) + faults[i].offset));
		else
			vector = fault_try_ring3(faults[i].ring3);
		write_cr0(read_cr0() | CR0_WP);
		answer_fault(faults[i].name, vector);
	}
}

/* SMEP and SMAP: nothing is said where CPUID has neither, so that machines with and without can be compared. */
static void ask_smep_smap(void)
{
	const uint32_t has = cpuid(CPUID_EXTENDED_FEATURES, 0).ebx, cr4 = read_cr4();
	bool good = true;

	/* This program's own pages are ring 3's: for a moment they must not be. */
	for (unsigned i = 0; i < 512; i++)
		paging_directories[0][i] &= ~PTE_USER;
	drop_cr3();
	paging_map(0, frame(0) | PTE_USER);
	if (has & CPUID7_EBX_SMEP) {
		write_cr4(cr4 | CR4_SMEP);
		good &= fault_try(call_at, (void *)((uintptr_t)paging_page(0) + 8)) == EXC_PF && fault_error == 0x11;
		write_cr4(cr4);
	}
	if (has & CPUID7_EBX_SMAP) {
		write_cr4(cr4 | CR4_SMAP);
		good &= fault_try(read_at, (void *)(uintptr_t)paging_page(0)) == EXC_PF && fault_error == 0x1;
		__asm__ volatile(".byte 0x0f, 0x01, 0xcb"); /* stac */
		good &= fault_try(read_at, (void *)(uintptr_t)paging_page(0)) == FAULT_NONE;
		__asm__ volatile(".byte 0x0f, 0x01, 0xca"); /* clac */
		write_cr4(cr4);
	}
	good &= fault_try(read_at, (void *)(uintptr_t)paging_page(0)) == FAULT_NONE;
	for (unsigned i = 0; i < 512; i++)
		paging_directories[0][i] |= PTE_USER;
	drop_cr3();
	answer_yes("each_of_smep_and_smap_that_cpuid_shows_works", good);
}

/* ---- strings that fault in their middle ---- */

#define STRING(name, instruction)                                    \
	static void name(void *at)                                   \
	{                                                            \
		void *from = at, *to = at;                           \
		uint32_t count = STRING_BYTES;                       \
		__asm__ volatile("rep " instruction                  \
				 : "+c"(count), "+S"(from), "+D"(to) \
				 : "a"(0x55), "d"(PORT_UNANSWERED)   \
				 : "memory");                        \
	}
STRING(rep_stos, "stosb")
STRING(rep_ins, "insb")
STRING(rep_outs, "outsb")
STRING(rep_insl, "insl")

static void rep_ins_stream(void *at)
{
	uint32_t count = 4;

	__asm__ volatile("rep insb" : "+c"(count), "+D"(at) : "d"(FW_CFG_DATA) : "memory");
}

static const struct {
	const char *name;
	void (*run)(void *at);
	uint8_t element_bytes, fill;
} strings[] = {
	{"rep_stos_into_absent", rep_stos, 1, 0x55},
	{"rep_ins_into_absent", rep_ins, 1, 0xff},
	{"rep_insl_into_absent", rep_insl, 4, 0xff},
	{"rep_outs_from_absent", rep_outs, 1, 0},
};

/* What was done before the fault is done, and the registers say how far. */
static void ask_strings(void)
{
	paging_map(0, frame(0));
	paging_map(1, 0);
	for (unsigned i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		volatile uint8_t *start = paging_page(1) - STRING_AT;
		const bool stores = strings[i].run != rep_outs;
		unsigned filled = 0;

		for (unsigned j = 0; j < STRING_AT; j++)
			start[j] = 0;
		write_cr2(0);
		answer_fault(strings[i].name, fault_try(strings[i].run, (void *)(uintptr_t)start));
		for (unsigned j = 0; j < STRING_AT; j++)
			filled += start[j] == strings[i].fill;
		answer_number("elements_left", fault_ecx);
		answer_hex("pointer", stores ? fault_edi : fault_esi);
		answer_number("bytes_right", filled);
	}
}

/* What a device gives but once, here the letters of fw_cfg's signature, is not lost where memory refuses it. */
static void ask_stream(void)
{
	paging_map(0, frame(0));
	paging_map(1, 0);
	outw(FW_CFG_SELECTOR, FW_CFG_SIGNATURE);
	answer_fault("rep_ins_of_a_stream", fault_try(rep_ins_stream, (void *)(uintptr_t)(paging_page(1) - 2)));
	answer_number("elements_left", fault_ecx);
	answer_hex("next_of_the_stream", inb(FW_CFG_DATA));
}

/* ---- a device's page through the window ---- */

static void ask_mmio(void)
{
	const uint32_t version = apic_read(APIC_VERSION);
	const uint64_t apic = (rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDRESS_MASK) | PTE_PRESENT | PTE_WRITABLE;
	unsigned right = 0;

	frames[0][APIC_VERSION] = frames[0][APIC_VERSION + 1] = 0xee;
	frames[0][APIC_VERSION + 2] = frames[0][APIC_VERSION + 3] = 0xee;
	for (unsigned i = 0; i < ROUNDS; i++) {
		const volatile uint32_t *window = (const volatile uint32_t *)(uintptr_t)(paging_page(2) + APIC_VERSION);

		paging_map(2, i & 1 ? frame(0) : apic);
		right += *window == (i & 1 ? 0xeeeeeeee : version);
	}
	answer_number("device_or_memory_in_one_place", right);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	(void)info;
	answer_start("pagetables");
	fault_install();
	irq_install();
	apic_enable(false);
	frames[0][0] = 1;
	frames[1][0] = 2;
	paging_build();
	paging_on();
	ask_edits("invlpg", drop_invlpg, 0);
	ask_edits("load_of_cr3", drop_cr3, 0);
	ask_edits("global_invlpg", drop_invlpg, PTE_GLOBAL);
	ask_edits("global_cr4_pge", drop_pge, PTE_GLOBAL);
	ask_edits("paging_off_and_on", drop_pg, 0);
	ask_absent_to_present();
	ask_split();
	ask_accessed_dirty();
	ask_faults();
	ask_smep_smap();
	ask_strings();
	ask_stream();
	ask_mmio();
	answer_end();
}
