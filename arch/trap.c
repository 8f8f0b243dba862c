/* The IDT, and what happens to an exception. The NMI never comes here: trap_entry.asm deals with it alone. */
#include "arch/trap.h"

#include "arch/apic.h"
#include "arch/defs/apic.h"
#include "arch/defs/cr.h"
#include "arch/defs/segment.h"
#include "arch/percpu.h"

struct idt_gate {
	uint64_t low, high;
};

/* arch/trap_entry.asm, arch/msr_safe.asm */
extern const uint64_t trap_stubs[IDT_GATES];
extern const char trap_nmi[], trap_timer[], trap_spurious[], rdmsr_safe_access[], wrmsr_safe_access[],
	msr_safe_faulted[];

/* Called by trap_entry.asm. */
void trap_dispatch(struct trap_frame *frame);

_Static_assert(sizeof(struct trap_frame) % 16 == 0, "the stub's call must find the stack aligned");

static struct idt_gate idt[IDT_GATES] __attribute__((aligned(16)));

/* SDM vol. 3A, "64-Bit Mode IDT": the offset is in three pieces. */
static struct idt_gate gate_make(uint64_t offset, uint64_t ist)
{
	return (struct idt_gate){
		.low = (offset & 0xffff) | (uint64_t)SELECTOR_CODE << GATE_SELECTOR_SHIFT | ist << GATE_IST_SHIFT |
		       DESCRIPTOR_TYPE_INTERRUPT_GATE64 | DESCRIPTOR_PRESENT | (offset & 0xffff0000) << 32,
		.high = offset >> 32,
	};
}

void trap_init(void)
{
	for (unsigned vector = 0; vector < IDT_GATES; vector++)
		idt[vector] = gate_make(trap_stubs[vector], 0);
	idt[APIC_TIMER_VECTOR] = gate_make((uintptr_t)trap_timer, 0);
	idt[APIC_SPURIOUS_VECTOR] = gate_make((uintptr_t)trap_spurious, 0);
	idt[EXC_NMI] = gate_make((uintptr_t)trap_nmi, ARCH_IST_NMI);
	idt[EXC_DF] = gate_make(trap_stubs[EXC_DF], ARCH_IST_DF);
	idt[EXC_MC] = gate_make(trap_stubs[EXC_MC], ARCH_IST_MC);
}

uint64_t arch_idt_base(void)
{
	return (uintptr_t)idt;
}

void trap_dispatch(struct trap_frame *frame)
{
	/* While interrupts are on, for a sleep: nobody asked for this one. */
	if (frame->vector >= EXCEPTIONS) {
		apic_eoi();
		arch_percpu_this()->stray_fired = 1;
		return;
	}

	bool is_msr_safe = frame->rip == (uintptr_t)rdmsr_safe_access || frame->rip == (uintptr_t)wrmsr_safe_access;

	if (frame->vector != EXC_GP || !is_msr_safe)
		hv_fatal_trap(frame);
	frame->rip = (uintptr_t)msr_safe_faulted;
}
