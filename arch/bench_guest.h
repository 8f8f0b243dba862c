/* The guest of `bench` as bytes: a multiboot kernel for 32-bit protected mode without paging. */
#ifndef ARCH_BENCH_GUEST_H
#define ARCH_BENCH_GUEST_H

#include <stdint.h>

/* arch/bench_guest.asm. Its first act is HLT; after each it carries out the order that it finds, and halts again. */
extern const uint8_t bench_guest_start[], bench_guest_end[];

#endif
