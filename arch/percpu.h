/* What the hardware wants of each pCPU: stacks, descriptor tables, and what the NMI handler notes. It is the first
 * member of struct percpu (hv/percpu.h) and found by the GS base; the assembly knows the offsets
 * (arch/abi/offsets.def). */
#ifndef ARCH_PERCPU_H
#define ARCH_PERCPU_H

#include <stdatomic.h>
#include <stdint.h>

#include "arch/defs/cr.h"
#include "arch/defs/msr.h"

#define CPUS_MAX 64

/* What every pCPU runs with. */
#define ARCH_CR0  (CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG)
#define ARCH_EFER (EFER_LME | EFER_NXE)

/* SDM vol. 3A, "64-Bit Task State Segment (TSS)". */
struct tss64 {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7]; /* ist[0] is IST1 */
	uint64_t reserved2;
	uint16_t reserved3;
	uint16_t io_map_base;
} __attribute__((packed));

struct arch_percpu {
	struct arch_percpu *self;
	uint32_t index; /* 0 is the boot processor */
	uint32_t apic_id;
	uint64_t stack_top; /* 16-byte aligned; a guard page lies below each stack */
	uint64_t enter_rsp; /* of vmx_enter, for the way back from the guest */
	/* Written by the NMI handler of this pCPU alone. */
	volatile uint64_t nmi_count;
	volatile uint64_t nmi_window_count; /* of these: hit the window between plan and entry, which was abandoned */
	volatile uint32_t nmi_pending;      /* an NMI came since C last cleared it: do not enter a guest, plan again */
	volatile uint32_t timer_fired;      /* written by the timer's interrupt of this pCPU: it wants an EOI */
	uint64_t stray_fired;               /* so did another interrupt, which has had it */
	uint64_t gdt[8] __attribute__((aligned(16)));
	struct tss64 tss __attribute__((aligned(16)));
};

/* Selectors of every pCPU's GDT. */
#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS  0x18 /* 16 bytes */

/* Exceptions with a stack of their own: IST number in the gate. */
#define ARCH_IST_NMI 1
#define ARCH_IST_DF  2
#define ARCH_IST_MC  3

/* This pCPU's. */
static inline struct arch_percpu *arch_percpu_this(void)
{
	struct arch_percpu *p;

	__asm__("movq %%gs:0, %0" : "=r"(p));
	return p;
}

/* On each pCPU first: CR0, and CR4 with the FPU and SSE on, MCE, PGE, and OSXSAVE, SMEP and UMIP where the CPU has
 * them; CR4.VMXE is off after it. smp_start does it for the others. */
void arch_cpu_init(void);

/* Allocates nothing: stacks is one block of ARCH_PERCPU_STACK_BYTES, page-aligned, for this pCPU alone. Fills in *p,
 * unmaps the guard pages in the stack block (paging_unmap, so after paging_init), and sets up stack_top, GDT and TSS.
 * May run on another pCPU. */
#define ARCH_PERCPU_STACK_BYTES (12 * 4096)
void arch_percpu_init(struct arch_percpu *p, uint32_t index, uint32_t apic_id, uint8_t *stacks);

/* On the pCPU itself: loads GDT, TR, IDT and GS base. Does not change the stack. */
void arch_percpu_load(struct arch_percpu *p);

/* Leaves the stack that this pCPU came on and runs entry(p) on p->stack_top. */
_Noreturn void arch_percpu_enter(struct arch_percpu *p, void (*entry)(struct arch_percpu *p));

/* The IDT's base, the same on all pCPUs, for the VMCS's host-state area. */
uint64_t arch_idt_base(void);

#endif
