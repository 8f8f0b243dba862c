/* Trying an instruction that may fault, and seeing the vector. */
#ifndef GUEST_LIB_FAULT_H
#define GUEST_LIB_FAULT_H

#include <stdint.h>

/* fault_try: there was no fault. */
#define FAULT_NONE 256u

/* Loads a GDT, IDT and TSS of our own; needed before the others. A fault outside of fault_try() is then reported on the
 * serial port and ends the program. */
void fault_install(void);

/* Calls attempt(argument). Returns FAULT_NONE, or the vector of the exception that ended it. */
uint32_t fault_try(void (*attempt)(void *), void *argument);

/* Runs code in ring 3, which must end in INT3. Returns the vector of the exception that ended it: that of INT3 if it
 * ran through. */
uint32_t fault_try_ring3(void (*code)(void));

/* RDMSR and WRMSR in this manner. *value is untouched if RDMSR faults. */
uint32_t fault_rdmsr(uint32_t msr, uint64_t *value);
uint32_t fault_wrmsr(uint32_t msr, uint64_t value);

#endif
