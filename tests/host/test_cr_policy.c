#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/defs/cpuid.h"
#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "hv/policy/cr_policy.h"

/* The value whose bits are those of `bits` that the set bits of `choice` pick, so that counting runs through all. */
static uint64_t pick(const uint64_t *bits, unsigned count, unsigned choice)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < count; i++)
		if (choice >> i & 1)
			value |= bits[i];
	return value;
}

#define COUNT(array) ((unsigned)(sizeof(array) / sizeof((array)[0])))

static const uint64_t cr0_bits[] = {CR0_PE, CR0_NW, CR0_CD, CR0_PG};

static void for_each_cr0(void (*check)(uint64_t new_cr0, uint64_t old_cr0, uint64_t cr4, uint64_t efer, bool cs_l))
{
	for (unsigned n = 0; n < 1u << 13; n++) {
		uint64_t new_cr0 = pick(cr0_bits, 4, n & 15);
		uint64_t old_cr0 = pick(cr0_bits, 4, n >> 4 & 15);
		uint64_t cr4 = (n >> 8 & 1 ? CR4_PAE : 0) | (n >> 9 & 1 ? CR4_PCIDE : 0);
		uint64_t efer = (n >> 10 & 1 ? EFER_LME : 0) | (n >> 11 & 1 ? EFER_LMA : 0);

		check(new_cr0, old_cr0, cr4, efer, n >> 12 & 1);
	}
}

/* Each reason to refuse, stated by itself; and without any of them the write is taken. */
static void check_cr0(uint64_t new_cr0, uint64_t old_cr0, uint64_t cr4, uint64_t efer, bool cs_l)
{
	bool sets_pg = (new_cr0 & CR0_PG) && !(old_cr0 & CR0_PG);
	bool clears_pg = !(new_cr0 & CR0_PG) && (old_cr0 & CR0_PG);
	bool bad = false;

	bad |= (new_cr0 & (CR0_PG | CR0_PE)) == CR0_PG;
	bad |= (new_cr0 & (CR0_NW | CR0_CD)) == CR0_NW;
	bad |= sets_pg && (efer & EFER_LME) && !(cr4 & CR4_PAE);
	bad |= sets_pg && (efer & EFER_LME) && cs_l;
	bad |= clears_pg && (efer & EFER_LMA) && cs_l;
	bad |= clears_pg && (cr4 & CR4_PCIDE);
	assert_int_equal(cr_policy_cr0_valid(new_cr0, old_cr0, cr4, efer, cs_l), !bad);
	for (unsigned bit = 32; bit < 64; bit++)
		assert_false(cr_policy_cr0_valid(new_cr0 | 1ull << bit, old_cr0, cr4, efer, cs_l));
}

static void test_cr0(void **state)
{
	(void)state;
	for_each_cr0(check_cr0);
}

static void test_cr0_kept(void **state)
{
	(void)state;
	assert_int_equal(cr_policy_cr0_kept(0), CR0_ET);
	assert_int_equal(cr_policy_cr0_kept(0xffffffff), 0xe005003f);
	assert_true(cr_policy_cr0_valid(0x0000ffc0, 0, 0, 0, false)); /* reserved bits are ignored, not refused */
}

static void test_cr4_only_what_cpuid_shows(void **state)
{
	uint64_t everything = cr_policy_cr4_allowed(~0u, ~0u, ~0u, ~0u);

	(void)state;
	assert_int_equal(cr_policy_cr4_allowed(0, 0, 0, 0), CR4_PCE);
	assert_int_equal(everything & (CR4_VMXE | CR4_SMXE | CR4_LA57), 0);
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t value = 1ull << bit;
		bool needs_long_mode = value == CR4_PCIDE;
		bool taken = cr_policy_cr4_valid(value, 0, 0, 0, everything);

		assert_int_equal(taken, (everything & value) && !needs_long_mode);
		assert_false(cr_policy_cr4_valid(value, value, 0, 0, everything & ~value));
	}
}

/* VMXE and SMXE are refused even if a caller allowed them. */
static void test_cr4_vmxe_smxe(void **state)
{
	(void)state;
	assert_false(cr_policy_cr4_valid(CR4_VMXE, 0, 0, 0, ~0ull));
	assert_false(cr_policy_cr4_valid(CR4_VMXE, CR4_VMXE, 0, 0, ~0ull));
	assert_false(cr_policy_cr4_valid(CR4_SMXE, 0, 0, 0, ~0ull));
}

static void test_cr4_long_mode(void **state)
{
	static const uint64_t bits[] = {CR4_PAE, CR4_PCIDE};

	(void)state;
	for (unsigned n = 0; n < 1u << 6; n++) {
		uint64_t new_cr4 = pick(bits, 2, n & 3), old_cr4 = pick(bits, 2, n >> 2 & 3);
		uint64_t cr3 = n >> 4 & 1 ? 0x1001 : 0x1000;
		uint64_t efer = n >> 5 & 1 ? EFER_LME | EFER_LMA : 0;
		bool sets_pcide = (new_cr4 & CR4_PCIDE) && !(old_cr4 & CR4_PCIDE);
		bool bad = false;

		bad |= efer && !(new_cr4 & CR4_PAE);
		bad |= sets_pcide && !efer;
		bad |= sets_pcide && (cr3 & 0xfff);
		assert_int_equal(cr_policy_cr4_valid(new_cr4, old_cr4, cr3, efer, CR4_PAE | CR4_PCIDE), !bad);
	}
}

static void test_cr4_allowed_single(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 32; bit++) {
		uint32_t word = 1u << bit;
		uint64_t by_word[] = {
			cr_policy_cr4_allowed(word, 0, 0, 0),
			cr_policy_cr4_allowed(0, word, 0, 0),
			cr_policy_cr4_allowed(0, 0, word, 0),
			cr_policy_cr4_allowed(0, 0, 0, word),
		};

		/* At most VME brings two (VME and PVI). */
		for (unsigned i = 0; i < COUNT(by_word); i++)
			assert_true(__builtin_popcountll(by_word[i] & ~(uint64_t)CR4_PCE) <= 2);
	}
	assert_int_equal(cr_policy_cr4_allowed(0, CPUID1_EDX_PAE, 0, 0), CR4_PCE | CR4_PAE);
	assert_int_equal(cr_policy_cr4_allowed(CPUID1_ECX_XSAVE, 0, 0, 0), CR4_PCE | CR4_OSXSAVE);
	assert_int_equal(cr_policy_cr4_allowed(0, 0, CPUID7_EBX_SMEP, 0), CR4_PCE | CR4_SMEP);
	assert_int_equal(cr_policy_cr4_allowed(0, 0, 0, CPUID7_ECX_PKU), CR4_PCE | CR4_PKE);
	assert_int_equal(cr_policy_cr4_allowed(CPUID1_ECX_VMX | CPUID1_ECX_SMX, 0, 0, CPUID7_ECX_LA57), CR4_PCE);
}

static void test_efer(void **state)
{
	static const uint64_t bits[] = {EFER_SCE, EFER_LME, EFER_LMA, EFER_NXE};

	(void)state;
	for (unsigned n = 0; n < 1u << 13; n++) {
		uint64_t new_efer = pick(bits, 4, n & 15), old_efer = pick(bits, 4, n >> 4 & 15);
		uint64_t allowed = pick(bits, 4, n >> 8 & 15);
		uint64_t cr0 = n >> 12 & 1 ? CR0_PG | CR0_PE : 0;
		bool changes_lme = (new_efer & EFER_LME) != (old_efer & EFER_LME);
		bool bad = (new_efer & ~allowed & ~(uint64_t)EFER_LMA) || (cr0 && changes_lme);
		uint64_t kept = cr_policy_efer_kept(new_efer, old_efer);

		assert_int_equal(cr_policy_efer_valid(new_efer, old_efer, cr0, allowed), !bad);
		assert_int_equal(kept & EFER_LMA, old_efer & EFER_LMA);
		assert_int_equal(kept | EFER_LMA, new_efer | EFER_LMA);
	}
	assert_int_equal(cr_policy_efer_allowed(0), 0);
	assert_int_equal(cr_policy_efer_allowed(~0u), EFER_SCE | EFER_LME | EFER_NXE);
	assert_int_equal(cr_policy_efer_allowed(CPUID_EXT1_EDX_NX), EFER_NXE);
	assert_int_equal(cr_policy_efer_allowed(CPUID_EXT1_EDX_LM), EFER_LME);
}

static void test_efer_after_cr0(void **state)
{
	(void)state;
	assert_int_equal(cr_policy_efer_after_cr0(EFER_LME, CR0_PG | CR0_PE), EFER_LME | EFER_LMA);
	assert_int_equal(cr_policy_efer_after_cr0(EFER_LME | EFER_LMA, CR0_PE), EFER_LME);
	assert_int_equal(cr_policy_efer_after_cr0(EFER_NXE, CR0_PG | CR0_PE), EFER_NXE);
}

static void test_xcr0(void **state)
{
	const uint64_t known = XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_AVX512 | XCR0_PKRU;

	(void)state;
	for (uint64_t xcr0 = 0; xcr0 < 1u << 11; xcr0++) {
		uint64_t avx512 = xcr0 & XCR0_AVX512;
		bool good = (xcr0 & XCR0_X87) && !(xcr0 & ~known);

		good &= !(xcr0 & XCR0_AVX) || (xcr0 & XCR0_SSE);
		good &= avx512 == 0 || avx512 == XCR0_AVX512;
		good &= avx512 == 0 || (xcr0 & XCR0_AVX);
		assert_int_equal(cr_policy_xcr0_valid(xcr0, known), good);
		if (good)
			for (unsigned bit = 0; bit < 11; bit++)
				if (xcr0 >> bit & 1)
					assert_false(cr_policy_xcr0_valid(xcr0, known & ~(1ull << bit)));
	}
	assert_false(cr_policy_xcr0_valid(known | 1ull << 63, known));
}

static void test_pat(void **state)
{
	const uint64_t reset = 0x0007040600070406;

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		for (uint64_t type = 0; type < 256; type++) {
			uint64_t pat = (reset & ~(0xffull << 8 * i)) | type << 8 * i;
			bool good = type == 0 || type == 1 || (type >= 4 && type <= 7);

			assert_int_equal(cr_policy_pat_valid(pat), good);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cr0),
		cmocka_unit_test(test_cr0_kept),
		cmocka_unit_test(test_cr4_only_what_cpuid_shows),
		cmocka_unit_test(test_cr4_vmxe_smxe),
		cmocka_unit_test(test_cr4_long_mode),
		cmocka_unit_test(test_cr4_allowed_single),
		cmocka_unit_test(test_efer),
		cmocka_unit_test(test_efer_after_cr0),
		cmocka_unit_test(test_xcr0),
		cmocka_unit_test(test_pat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
