/* Trying an instruction that may fault, and seeing the vector. */
#ifndef GUEST_LIB_FAULT_H
#define GUEST_LIB_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* fault_try: there was no fault. */
#define FAULT_NONE 256u

/* Loads a GDT, IDT and TSS of our own on the first CPU; needed before the others. A fault outside of fault_try() is
 * then reported on the serial port and ends the program. */
void fault_install(void);

/* The same IDT for another CPU, which has the GDT already. fault_try() is for one CPU at a time, and ring 3 for the
 * first one. */
void fault_join(void);

/* What LGDT takes. */
struct fault_table {
	uint16_t limit;
	uintptr_t base;
} __attribute__((packed));
extern const struct fault_table fault_gdt;

/* Puts another interrupt gate into the IDT. */
void fault_set_gate(uint8_t vector, uint32_t entry);

/* Calls attempt(argument). Returns FAULT_NONE, or the vector of the exception that ended it. */
uint32_t fault_try(void (*attempt)(void *), void *argument);

/* Runs code in ring 3, which must end in INT3. Returns the vector of the exception that ended it: that of INT3 if it
 * ran through. */
uint32_t fault_try_ring3(void (*code)(void));

/* Of the exception that ended the latest attempt: its error code (0 where the vector has none), where it was, and the
 * registers of the string instructions. */
extern uint32_t fault_error, fault_eip, fault_ecx, fault_esi, fault_edi;
bool fault_has_error(uint32_t vector);

/* RDMSR and WRMSR in this manner. *value is untouched if RDMSR faults. */
uint32_t fault_rdmsr(uint32_t msr, uint64_t *value);
uint32_t fault_wrmsr(uint32_t msr, uint64_t value);

#endif
