#include "arch/fpu.h"

#include "arch/cpu.h"
#include "arch/defs/cpuid.h"
#include "arch/defs/cr.h"

/* Where FCW and MXCSR lie in the FXSAVE and the XSAVE area alike, and their values after reset (SDM vol. 1, "FXSAVE
 * Area"; vol. 3A, "Processor State After Reset"). */
#define AREA_FCW_WORD        0
#define AREA_MXCSR_DWORD     6
#define FCW_RESET            0x37f
#define MXCSR_RESET          0x1f80
/* XSTATE_BV, the first word of the header after the 512 bytes of the legacy area. */
#define AREA_XSTATE_BV_QWORD 64

#define GUEST_COMPONENTS (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU)

uint64_t fpu_components(void)
{
	if (!(cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_XSAVE))
		return 0;
	return cpuid(CPUID_XSAVE, 0).eax & GUEST_COMPONENTS;
}

uint32_t fpu_compacted_bytes(void)
{
	xsetbv0(fpu_components());
	return cpuid(CPUID_XSAVE, 1).ebx;
}

void fpu_save(void *area)
{
	if (!(read_cr4() & CR4_OSXSAVE)) {
		__asm__ volatile("fxsave64 (%0)" : : "r"(area) : "memory");
		return;
	}
	xsetbv0(fpu_components());
	__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
}

void fpu_load(const void *area)
{
	if (!(read_cr4() & CR4_OSXSAVE)) {
		__asm__ volatile("fxrstor64 (%0)" : : "r"(area) : "memory");
		return;
	}
	xsetbv0(fpu_components());
	__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(UINT32_MAX), "d"(UINT32_MAX) : "memory");
}

void fpu_area_init(void *area)
{
	((uint16_t *)area)[AREA_FCW_WORD] = FCW_RESET;
	((uint32_t *)area)[AREA_MXCSR_DWORD] = MXCSR_RESET;
	((uint64_t *)area)[AREA_XSTATE_BV_QWORD] = XCR0_X87 | XCR0_SSE;
}
