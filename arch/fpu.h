/* The x87, SSE and AVX state: the hypervisor uses none, so a guest's stays in the registers until another's comes.
 * SDM vol. 1, "Managing State Using the XSAVE Feature Set". */
#ifndef ARCH_FPU_H
#define ARCH_FPU_H

#include <stdint.h>

/* The state components that guests may have here: those that the CPU has among x87, SSE, AVX, AVX-512 and PKRU; 0
 * without XSAVE. Their area fits a page. */
uint64_t fpu_components(void);

/* What CPUID says that all of these take in the compacted format; there is XSAVE. XCR0 is fpu_components() afterwards.
 */
uint32_t fpu_compacted_bytes(void);

/* All components, whatever the guest's XCR0 says: XCR0 is set for the transfer and is fpu_components() afterwards.
 * area: one page, 64-byte aligned. */
void fpu_save(void *area);
void fpu_load(const void *area);

/* The state after power-up. */
void fpu_area_init(void *area);

#endif
