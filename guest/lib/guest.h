/* The program's entry, and what lib/start.asm found when the loader jumped to it. */
#ifndef GUEST_LIB_GUEST_H
#define GUEST_LIB_GUEST_H

#include <stdint.h>

#include "guest/lib/multiboot1.h"

/* Each program has one. When it returns, the CPU halts for good. */
void guest_main(uint32_t magic, const struct mb1_info *info);

extern uint32_t start_cr0, start_eflags;

/* Stops the VM by QEMU's isa-debug-exit device: its exit status is (code << 1) | 1. Halts where there is no such
 * device. */
_Noreturn void guest_exit(uint32_t code);

#endif
