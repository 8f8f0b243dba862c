#include "guest/lib/irq.h"

#include "arch/defs/apic.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"

#define VECTORS 256

/* The 8259 pair's masks: firmware leaves its timer on, with vectors among the exceptions. */
#define PIC_MASTER_MASK 0x21
#define PIC_SLAVE_MASK  0xa1
#define PIC_ALL         0xff

/* In lib/irq_entry.asm. */
extern const uint32_t irq_entries[VECTORS];
/* Called by lib/irq_entry.asm. */
void irq_dispatch(uint32_t vector);

static void (*handlers[VECTORS])(uint32_t vector);

void irq_install(void)
{
	outb(PIC_MASTER_MASK, PIC_ALL);
	outb(PIC_SLAVE_MASK, PIC_ALL);
	for (unsigned v = IRQ_VECTOR_FIRST; v < VECTORS; v++)
		fault_set_gate((uint8_t)v, irq_entries[v]);
}

void irq_handle(uint8_t vector, void (*handler)(uint32_t vector))
{
	handlers[vector] = handler;
	fault_set_gate(vector, irq_entries[vector]);
}

void irq_dispatch(uint32_t vector)
{
	if (handlers[vector])
		handlers[vector](vector);
	if (vector >= IRQ_VECTOR_FIRST && vector != APIC_SPURIOUS_VECTOR)
		apic_eoi();
}
