/* Stacks, descriptor tables and control registers of a pCPU. */
#include "arch/percpu.h"

#include "arch/address.h"
#include "arch/cpu.h"
#include "arch/defs/cpuid.h"
#include "arch/defs/segment.h"
#include "arch/paging.h"

/* LGDT, LIDT. */
struct table_pointer {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

#define GDT_CODE (SELECTOR_CODE / 8)
#define GDT_DATA (SELECTOR_DATA / 8)
#define GDT_TSS  (SELECTOR_TSS / 8)

/* The stack block, in pages from its start. A guard page lies below each stack. */
enum stack_page {
	STACK_GUARD_MAIN,
	STACK_TOP_MAIN = STACK_GUARD_MAIN + 6, /* first page after the stack */
	STACK_GUARD_NMI = STACK_TOP_MAIN,
	STACK_TOP_NMI = STACK_GUARD_NMI + 2,
	STACK_GUARD_DF = STACK_TOP_NMI,
	STACK_TOP_DF = STACK_GUARD_DF + 2,
	STACK_GUARD_MC = STACK_TOP_DF,
	STACK_TOP_MC = STACK_GUARD_MC + 2,
};
_Static_assert(STACK_TOP_MC *PAGE_BYTES == ARCH_PERCPU_STACK_BYTES, "the stacks fill the block");
_Static_assert(sizeof(struct tss64) == 104, "SDM vol. 3A, \"64-Bit Task State Segment (TSS)\"");

void arch_cpu_init(void)
{
	struct cpuid_regs basic = cpuid(CPUID_FEATURES, 0);
	struct cpuid_regs extended = {0};
	uint64_t cr4 = CR4_PAE | CR4_MCE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	if (cpuid(CPUID_VENDOR, 0).eax >= CPUID_EXTENDED_FEATURES)
		extended = cpuid(CPUID_EXTENDED_FEATURES, 0);
	if (basic.ecx & CPUID1_ECX_XSAVE)
		cr4 |= CR4_OSXSAVE;
	if (extended.ebx & CPUID7_EBX_SMEP)
		cr4 |= CR4_SMEP;
	if (extended.ecx & CPUID7_ECX_UMIP)
		cr4 |= CR4_UMIP;
	write_cr0(ARCH_CR0);
	write_cr4(cr4);
}

/* SDM vol. 3A, "TSS Descriptor in 64-bit Mode": the base is in three pieces. */
static void gdt_set_tss(struct arch_percpu *p)
{
	uint64_t base = (uintptr_t)&p->tss;

	p->gdt[GDT_TSS] = (sizeof(p->tss) - 1) | (base & 0xffffff) << 16 | DESCRIPTOR_TYPE_TSS64_AVAILABLE |
			  DESCRIPTOR_PRESENT | (base & 0xff000000) << 32;
	p->gdt[GDT_TSS + 1] = base >> 32;
}

void arch_percpu_init(struct arch_percpu *p, uint32_t index, uint32_t apic_id, uint8_t *stacks)
{
	static const enum stack_page guards[] = {STACK_GUARD_MAIN, STACK_GUARD_NMI, STACK_GUARD_DF, STACK_GUARD_MC};
	uint64_t base = (uintptr_t)stacks;

	for (unsigned i = 0; i < sizeof(guards) / sizeof(guards[0]); i++)
		paging_unmap(base + guards[i] * PAGE_BYTES);
	*p = (struct arch_percpu){
		.self = p,
		.index = index,
		.apic_id = apic_id,
		.stack_top = base + STACK_TOP_MAIN * PAGE_BYTES,
		.gdt[GDT_CODE] = DESCRIPTOR_CODE64,
		.gdt[GDT_DATA] = DESCRIPTOR_DATA,
		.tss.ist[ARCH_IST_NMI - 1] = base + STACK_TOP_NMI * PAGE_BYTES,
		.tss.ist[ARCH_IST_DF - 1] = base + STACK_TOP_DF * PAGE_BYTES,
		.tss.ist[ARCH_IST_MC - 1] = base + STACK_TOP_MC * PAGE_BYTES,
		.tss.io_map_base = sizeof(p->tss),
	};
	gdt_set_tss(p);
}

void arch_percpu_load(struct arch_percpu *p)
{
	struct table_pointer gdt = {sizeof(p->gdt) - 1, (uintptr_t)p->gdt};
	struct table_pointer idt = {IDT_GATES * 16 - 1, arch_idt_base()};

	__asm__ volatile("lgdt %0\n\t"
			 "pushq %1\n\t"
			 "leaq 1f(%%rip), %%rax\n\t"
			 "pushq %%rax\n\t"
			 "lretq\n"
			 "1:\n\t"
			 "movl %2, %%ds\n\t"
			 "movl %2, %%es\n\t"
			 "movl %2, %%ss\n\t"
			 "movl %3, %%fs\n\t"
			 "movl %3, %%gs\n\t"
			 "ltr %w4"
			 :
			 : "m"(gdt), "i"(SELECTOR_CODE), "r"(SELECTOR_DATA), "r"(0), "r"(SELECTOR_TSS)
			 : "rax", "memory");
	wrmsr(MSR_IA32_FS_BASE, 0);
	/* GS base before the IDT: the NMI handler counts by it. */
	wrmsr(MSR_IA32_GS_BASE, (uintptr_t)p);
	__asm__ volatile("lidt %0" : : "m"(idt) : "memory");
}

void arch_percpu_enter(struct arch_percpu *p, void (*entry)(struct arch_percpu *p))
{
	__asm__ volatile("movq %0, %%rsp\n\t"
			 "xorl %%ebp, %%ebp\n\t"
			 "call *%1\n\t"
			 "ud2"
			 :
			 : "r"(p->stack_top), "r"(entry), "D"(p)
			 : "memory");
	__builtin_unreachable();
}
