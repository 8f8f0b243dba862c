/* The x87, SSE, AVX and AVX-512 registers of the CPU that calls, full of a pattern. */
#ifndef GUEST_LIB_FPU_H
#define GUEST_LIB_FPU_H

#include <stdbool.h>
#include <stdint.h>

#define FPU_AREA_BYTES 4096

/* What a CPU was given, and what it has now. */
struct fpu {
	uint8_t wanted[FPU_AREA_BYTES] __attribute__((aligned(64)));
	uint8_t seen[FPU_AREA_BYTES] __attribute__((aligned(64)));
};

/* CR0 and CR4 so that the registers can be used, on each CPU; XCR0 is fpu_xcr0()'s to write. */
void fpu_enable(void);

/* The components that CPUID lets XCR0 have, of those known here; 0 without XSAVE. Call with CR4.OSXSAVE set. */
uint32_t fpu_xcr0(void);

/* Fills the registers from the seed; XCR0 is xcr0, or xcr0 is 0: FXRSTOR. */
void fpu_load(struct fpu *fpu, uint32_t xcr0, uint32_t seed);

/* They still hold what they were given. */
bool fpu_kept(struct fpu *fpu, uint32_t xcr0);

#endif
