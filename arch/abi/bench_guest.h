/* The guest of `bench` (arch/bench_guest.asm) and who runs it (hv/bench_vm.c): an order goes in, samples come out. */
#ifndef ARCH_ABI_BENCH_GUEST_H
#define ARCH_ABI_BENCH_GUEST_H

#include <stdint.h>

/* Guest-physical addresses, all in the second MiB; the code lies at the first. */
#define BENCH_GUEST_LOAD        0x100000
#define BENCH_GUEST_ORDER       0x110000
#define BENCH_GUEST_SAMPLES     0x120000
#define BENCH_GUEST_SAMPLES_MAX 1000

/* What nothing answers: a port, an address, a hypercall. */
#define BENCH_GUEST_PORT      0x1230
#define BENCH_GUEST_ADDRESS   0xd0000000
#define BENCH_GUEST_HYPERCALL 0x7777

enum bench_guest_op {
	BENCH_GUEST_CPUID,
	BENCH_GUEST_RDMSR,   /* IA32_ARCH_CAPABILITIES */
	BENCH_GUEST_WRMSR,   /* IA32_BIOS_SIGN_ID = 0: it exits, and is ignored */
	BENCH_GUEST_VMCALL,  /* a hypercall that there is not */
	BENCH_GUEST_IO,      /* one byte to the port */
	BENCH_GUEST_MMIO,    /* four bytes from the address */
	BENCH_GUEST_COMPUTE, /* 2 * turns instructions, then CPUID */
	BENCH_GUEST_UNTIMED, /* CPUID, without samples */
	BENCH_GUEST_OPS
};

struct bench_guest_order {
	uint32_t op;    /* enum bench_guest_op */
	uint32_t empty; /* 1: all but the instruction that exits, for the overhead. Not with BENCH_GUEST_UNTIMED */
	uint32_t count; /* how often: at least 1, and at most BENCH_GUEST_SAMPLES_MAX samples; 0 is fine untimed */
	uint32_t turns; /* of the loop of BENCH_GUEST_COMPUTE */
};

#endif
