#include "guest/lib/fpu.h"

#include "arch/defs/cpuid.h"
#include "arch/defs/cr.h"
#include "guest/lib/cpu.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What XSAVE keeps of each component outside 64-bit mode, from its start. SDM vol. 1, "XSAVE-Managed State". */
static const struct {
	uint8_t component;
	uint16_t bytes;
} avx_and_later[] = {
	{2, 8 * 16}, /* upper halves of YMM0-7 */
	{5, 8 * 8},  /* opmask */
	{6, 8 * 32}, /* upper halves of ZMM0-7 */
};

#define FXSAVE_FTW    4
#define FXSAVE_MXCSR  24
#define FXSAVE_ST     32
#define FXSAVE_XMM    160
#define XSAVE_HEADER  512
#define MXCSR_DEFAULT 0x1f80
#define FCW_DEFAULT   0x37f
#define FTW_ALL       0xff

void fpu_enable(void)
{
	write_cr0((read_cr0() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
	write_cr4(read_cr4() | CR4_OSFXSR | CR4_OSXMMEXCPT);
	if (cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_XSAVE)
		write_cr4(read_cr4() | CR4_OSXSAVE);
}

uint32_t fpu_xcr0(void)
{
	if (!(cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_OSXSAVE))
		return 0;
	return cpuid(CPUID_XSAVE, 0).eax & (XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512);
}

static void fill(uint8_t *bytes, uint32_t count, uint32_t *seed)
{
	for (uint32_t i = 0; i < count; i++) {
		*seed = *seed * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(*seed >> 8);
	}
}

static void store16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)value;
	at[1] = (uint8_t)(value >> 8);
}

static uint32_t component_offset(unsigned i)
{
	return cpuid(CPUID_XSAVE, avx_and_later[i].component).ebx;
}

void fpu_load(struct fpu *fpu, uint32_t xcr0, uint32_t seed)
{
	store16(fpu->wanted, FCW_DEFAULT);
	fpu->wanted[FXSAVE_FTW] = FTW_ALL;
	store16(fpu->wanted + FXSAVE_MXCSR, MXCSR_DEFAULT);
	for (unsigned i = 0; i < 8; i++) {
		fill(fpu->wanted + FXSAVE_ST + 16 * i, 10, &seed);
		fill(fpu->wanted + FXSAVE_XMM + 16 * i, 16, &seed);
	}
	if (!xcr0) {
		__asm__ volatile("fxrstor %0" : : "m"(fpu->wanted));
		return;
	}
	fpu->wanted[XSAVE_HEADER] = (uint8_t)xcr0;
	for (unsigned i = 0; i < COUNT(avx_and_later); i++)
		if (xcr0 >> avx_and_later[i].component & 1)
			fill(fpu->wanted + component_offset(i), avx_and_later[i].bytes, &seed);
	__asm__ volatile("xrstor %0" : : "m"(fpu->wanted), "a"(xcr0), "d"(0));
}

static bool same(const struct fpu *fpu, uint32_t offset, uint32_t bytes)
{
	for (uint32_t i = offset; i < offset + bytes; i++)
		if (fpu->wanted[i] != fpu->seen[i])
			return false;
	return true;
}

bool fpu_kept(struct fpu *fpu, uint32_t xcr0)
{
	bool good = true;

	if (xcr0)
		__asm__ volatile("xsave %0" : "+m"(fpu->seen) : "a"(xcr0), "d"(0));
	else
		__asm__ volatile("fxsave %0" : "+m"(fpu->seen));
	good &= same(fpu, 0, 2) && same(fpu, FXSAVE_MXCSR, 2);
	for (unsigned i = 0; i < 8; i++)
		good &= same(fpu, FXSAVE_ST + 16 * i, 10) && same(fpu, FXSAVE_XMM + 16 * i, 16);
	for (unsigned i = 0; i < COUNT(avx_and_later); i++)
		if (xcr0 >> avx_and_later[i].component & 1)
			good &= same(fpu, component_offset(i), avx_and_later[i].bytes);
	return good;
}
