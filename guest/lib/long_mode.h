/* 64-bit mode for a moment: from 32-bit code without paging, and back to it. Needs fault_install() and paging_build().
 */
#ifndef GUEST_LIB_LONG_MODE_H
#define GUEST_LIB_LONG_MODE_H

#include <stdint.h>

/* The same memory as at 0, 4 GiB of it, in the upper half. */
#define LONG_UPPER_HALF 0xffff800000000000ull

/* Once, before the first long_run(). */
void long_prepare(void);

/* Runs 64-bit code, which ends in RET, in ring 0 with interrupts off. Returns FAULT_NONE, or the vector of the
 * exception that ended it: then fault_error, long_rip and long_cr2 are that one's. The code may use all registers but
 * RSP. */
uint32_t long_run(const void *code);

extern uint64_t long_rip, long_cr2;

/* Selectors while it runs, of segments without base and limit. SYSRET wants the order of those of ring 3. */
#define LONG_CODE32      0x08
#define LONG_DATA        0x10
#define LONG_CODE64      0x18
#define LONG_USER_CODE32 0x23
#define LONG_USER_DATA   0x2b
#define LONG_USER_CODE64 0x33

#endif
