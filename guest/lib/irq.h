/* Interrupts: handlers for vectors, the same on all CPUs. Needs fault_install() first. */
#ifndef GUEST_LIB_IRQ_H
#define GUEST_LIB_IRQ_H

#include <stdint.h>

#define IRQ_VECTOR_FIRST 32

/* From here on interrupts may come; one without a handler is only acknowledged. */
void irq_install(void);

/* handler(vector) runs with interrupts off, on the stack of the CPU that takes the interrupt; afterwards the local APIC
 * gets its EOI. Also for NMI (EXC_NMI), without one. */
void irq_handle(uint8_t vector, void (*handler)(uint32_t vector));

static inline void irq_on(void)
{
	__asm__ volatile("sti" : : : "memory");
}

static inline void irq_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* Sleeps until an interrupt, with interrupts off before and after: none can slip in between a test and the HLT. */
static inline void irq_wait(void)
{
	__asm__ volatile("sti; hlt; cli" : : : "memory");
}

#endif
