#include "hv/policy/cr_policy.h"

#include "arch/defs/cpuid.h"
#include "arch/defs/cr.h"
#include "arch/defs/msr.h"

#define CR0_DEFINED \
	((uint64_t)(CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG))

#define PAT_ENTRIES 8

/* Which CPUID bit brings which CR4 bit. PCE, the bit for RDPMC, belongs to none. */
enum word { LEAF1_ECX, LEAF1_EDX, LEAF7_EBX, LEAF7_ECX, WORD_COUNT };

static const struct {
	uint32_t cr4;
	enum word word;
	uint32_t cpuid;
} cr4_bits[] = {
	{CR4_VME, LEAF1_EDX, CPUID1_EDX_VME},           {CR4_PVI, LEAF1_EDX, CPUID1_EDX_VME},
	{CR4_TSD, LEAF1_EDX, CPUID1_EDX_TSC},           {CR4_DE, LEAF1_EDX, CPUID1_EDX_DE},
	{CR4_PSE, LEAF1_EDX, CPUID1_EDX_PSE},           {CR4_PAE, LEAF1_EDX, CPUID1_EDX_PAE},
	{CR4_MCE, LEAF1_EDX, CPUID1_EDX_MCE},           {CR4_PGE, LEAF1_EDX, CPUID1_EDX_PGE},
	{CR4_OSFXSR, LEAF1_EDX, CPUID1_EDX_FXSR},       {CR4_OSXMMEXCPT, LEAF1_EDX, CPUID1_EDX_SSE},
	{CR4_PCIDE, LEAF1_ECX, CPUID1_ECX_PCID},        {CR4_OSXSAVE, LEAF1_ECX, CPUID1_ECX_XSAVE},
	{CR4_FSGSBASE, LEAF7_EBX, CPUID7_EBX_FSGSBASE}, {CR4_SMEP, LEAF7_EBX, CPUID7_EBX_SMEP},
	{CR4_SMAP, LEAF7_EBX, CPUID7_EBX_SMAP},         {CR4_UMIP, LEAF7_ECX, CPUID7_ECX_UMIP},
	{CR4_PKE, LEAF7_ECX, CPUID7_ECX_PKU},
};

bool cr_policy_cr0_valid(uint64_t new_cr0, uint64_t old_cr0, uint64_t cr4, uint64_t efer, bool cs_l)
{
	bool paging = new_cr0 & CR0_PG;
	bool was_paging = old_cr0 & CR0_PG;

	if (new_cr0 >> 32)
		return false;
	if (paging && !(new_cr0 & CR0_PE))
		return false;
	if ((new_cr0 & CR0_NW) && !(new_cr0 & CR0_CD))
		return false;
	if (paging && !was_paging && (efer & EFER_LME) && (!(cr4 & CR4_PAE) || cs_l))
		return false;
	if (!paging && was_paging && ((cr4 & CR4_PCIDE) || ((efer & EFER_LMA) && cs_l)))
		return false;
	return true;
}

uint64_t cr_policy_cr0_kept(uint64_t new_cr0)
{
	return (new_cr0 & CR0_DEFINED) | CR0_ET;
}

bool cr_policy_cr4_valid(uint64_t new_cr4, uint64_t old_cr4, uint64_t cr3, uint64_t efer, uint64_t allowed)
{
	bool long_mode = efer & EFER_LMA;
	bool sets_pcide = (new_cr4 & CR4_PCIDE) && !(old_cr4 & CR4_PCIDE);

	if (new_cr4 & (~allowed | CR4_VMXE | CR4_SMXE))
		return false;
	if (long_mode && !(new_cr4 & CR4_PAE))
		return false;
	if (sets_pcide && (!long_mode || (cr3 & CR3_PCID_MASK)))
		return false;
	return true;
}

bool cr_policy_efer_valid(uint64_t new_efer, uint64_t old_efer, uint64_t cr0, uint64_t allowed)
{
	bool changes_lme = (new_efer ^ old_efer) & EFER_LME;

	if (new_efer & ~(allowed | EFER_LMA))
		return false;
	return !(changes_lme && (cr0 & CR0_PG));
}

uint64_t cr_policy_efer_kept(uint64_t new_efer, uint64_t old_efer)
{
	return (new_efer & ~(uint64_t)EFER_LMA) | (old_efer & EFER_LMA);
}

uint64_t cr_policy_efer_after_cr0(uint64_t efer, uint64_t new_cr0)
{
	bool active = (efer & EFER_LME) && (new_cr0 & CR0_PG);

	return (efer & ~(uint64_t)EFER_LMA) | (active ? EFER_LMA : 0);
}

bool cr_policy_xcr0_valid(uint64_t xcr0, uint64_t allowed)
{
	uint64_t avx512 = xcr0 & XCR0_AVX512;

	if (xcr0 & ~allowed)
		return false;
	if (!(xcr0 & XCR0_X87))
		return false;
	if ((xcr0 & XCR0_AVX) && !(xcr0 & XCR0_SSE))
		return false;
	return !avx512 || (avx512 == XCR0_AVX512 && (xcr0 & XCR0_AVX));
}

bool cr_policy_pat_valid(uint64_t pat)
{
	for (unsigned i = 0; i < PAT_ENTRIES; i++) {
		uint8_t type = (uint8_t)(pat >> (8 * i));

		/* UC, WC, WT, WP, WB, UC-; 2 and 3 are reserved. */
		if (type > 7 || type == 2 || type == 3)
			return false;
	}
	return true;
}

uint64_t cr_policy_cr4_allowed(uint32_t leaf1_ecx, uint32_t leaf1_edx, uint32_t leaf7_ebx, uint32_t leaf7_ecx)
{
	const uint32_t words[WORD_COUNT] = {
		[LEAF1_ECX] = leaf1_ecx,
		[LEAF1_EDX] = leaf1_edx,
		[LEAF7_EBX] = leaf7_ebx,
		[LEAF7_ECX] = leaf7_ecx,
	};
	uint64_t allowed = CR4_PCE;

	for (unsigned i = 0; i < sizeof(cr4_bits) / sizeof(cr4_bits[0]); i++)
		if (words[cr4_bits[i].word] & cr4_bits[i].cpuid)
			allowed |= cr4_bits[i].cr4;
	return allowed;
}

uint64_t cr_policy_efer_allowed(uint32_t ext1_edx)
{
	return (ext1_edx & CPUID_EXT1_EDX_SYSCALL ? EFER_SCE : 0) | (ext1_edx & CPUID_EXT1_EDX_LM ? EFER_LME : 0) |
	       (ext1_edx & CPUID_EXT1_EDX_NX ? EFER_NXE : 0);
}
