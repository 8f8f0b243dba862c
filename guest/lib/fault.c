#include "guest/lib/fault.h"

#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/print.h"

#define EXCEPTIONS  32
#define VECTORS     256
#define VECTOR_INT3 3

/* SDM vol. 3A, "Segment Descriptors", "IDT Descriptors", "32-Bit Task-State Segment (TSS)". lib/fault_entry.asm knows
 * the selectors. */
#define SELECTOR_CODE 0x08
#define SELECTOR_TSS  0x28

#define FLAT_CODE     0x00cf9b000000ffffull
#define FLAT_DATA     0x00cf93000000ffffull
#define DPL_3         0x0000600000000000ull
#define TSS_AVAILABLE 0x0000890000000000ull

#define GATE_INTERRUPT       0x8e00
#define GATE_INTERRUPT_DPL_3 0xee00

#define RING0_STACK_BYTES 4096

struct tss {
	uint32_t link, esp0, ss0;
	uint32_t unused[23];
};

/* In lib/fault_entry.asm. */
extern const uint32_t fault_entries[EXCEPTIONS];
extern const uint32_t fault_vectors_with_error;
void fault_load_gdt(const struct fault_table *gdtr);
_Noreturn void fault_unexpected(uint32_t vector, uint32_t error, uint32_t eip);

static uint8_t ring0_stack[RING0_STACK_BYTES] __attribute__((aligned(16)));
static struct tss tss;
static uint64_t gdt[6];
static uint64_t idt[VECTORS];

static uint64_t tss_descriptor(uint32_t base, uint32_t limit)
{
	return TSS_AVAILABLE | limit | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(base >> 24) << 56;
}

const struct fault_table fault_gdt = {sizeof(gdt) - 1, (uintptr_t)gdt};

static void set_gate(uint8_t vector, uint32_t entry, uint32_t type)
{
	idt[vector] = (entry & 0xffff) | SELECTOR_CODE << 16 | (uint64_t)(type | (entry & 0xffff0000)) << 32;
}

void fault_set_gate(uint8_t vector, uint32_t entry)
{
	set_gate(vector, entry, GATE_INTERRUPT);
}

void fault_join(void)
{
	const struct fault_table idtr = {sizeof(idt) - 1, (uintptr_t)idt};

	__asm__ volatile("lidt %0" : : "m"(idtr));
}

void fault_install(void)
{
	tss.ss0 = SELECTOR_CODE + 8;
	tss.esp0 = (uint32_t)(uintptr_t)(ring0_stack + RING0_STACK_BYTES);
	gdt[1] = FLAT_CODE;
	gdt[2] = FLAT_DATA;
	gdt[3] = FLAT_CODE | DPL_3;
	gdt[4] = FLAT_DATA | DPL_3;
	gdt[5] = tss_descriptor((uint32_t)(uintptr_t)&tss, sizeof(tss) - 1);
	for (unsigned v = 0; v < EXCEPTIONS; v++)
		set_gate((uint8_t)v, fault_entries[v], v == VECTOR_INT3 ? GATE_INTERRUPT_DPL_3 : GATE_INTERRUPT);
	fault_load_gdt(&fault_gdt);
	fault_join();
	__asm__ volatile("ltr %w0" : : "r"(SELECTOR_TSS));
}

void fault_unexpected(uint32_t vector, uint32_t error, uint32_t eip)
{
	print("fault: unexpected: vector=%u error=0x%x eip=0x%x\n", vector, error, eip);
	guest_exit(vector);
}

bool fault_has_error(uint32_t vector)
{
	return vector < EXCEPTIONS && (fault_vectors_with_error >> vector & 1);
}

struct msr_access {
	uint32_t msr;
	uint64_t value;
};

static void read_msr(void *argument)
{
	struct msr_access *access = argument;

	access->value = rdmsr(access->msr);
}

static void write_msr(void *argument)
{
	const struct msr_access *access = argument;

	wrmsr(access->msr, access->value);
}

uint32_t fault_rdmsr(uint32_t msr, uint64_t *value)
{
	struct msr_access access = {.msr = msr};
	uint32_t vector = fault_try(read_msr, &access);

	if (vector == FAULT_NONE)
		*value = access.value;
	return vector;
}

uint32_t fault_wrmsr(uint32_t msr, uint64_t value)
{
	struct msr_access access = {.msr = msr, .value = value};

	return fault_try(write_msr, &access);
}
