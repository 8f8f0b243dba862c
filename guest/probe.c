/* What does this vCPU say of itself? Prints CPUID.7.0:EDX and IA32_ARCH_CAPABILITIES with the bits by name, the latter
 * again each time it changes; then acknowledges the new value, unless the command line holds `noack`. */
#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/cpuid.h"
#include "arch/defs/msr.h"
#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/hypervisor.h"
#include "guest/lib/print.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* About a millisecond where PAUSE takes 140 cycles. */
#define PAUSES_BETWEEN_READS 20000

static const struct {
	uint32_t bit;
	const char *name;
} leaf7_edx[] = {
	{CPUID7_EDX_SRBDS_CTRL, "srbds_ctrl"},
	{CPUID7_EDX_MD_CLEAR, "md_clear"},
	{CPUID7_EDX_RTM_ALWAYS_ABORT, "rtm_always_abort"},
	{CPUID7_EDX_TSX_FORCE_ABORT, "tsx_force_abort"},
	{CPUID7_EDX_SERIALIZE, "serialize"},
	{CPUID7_EDX_HYBRID, "hybrid"},
	{CPUID7_EDX_IBRS, "ibrs"},
	{CPUID7_EDX_STIBP, "stibp"},
	{CPUID7_EDX_L1D_FLUSH, "l1d_flush"},
	{CPUID7_EDX_ARCH_CAPABILITIES, "arch_capabilities"},
	{CPUID7_EDX_CORE_CAPABILITIES, "core_capabilities"},
	{CPUID7_EDX_SSBD, "ssbd"},
};

static const struct {
	uint8_t bit;
	const char *name;
} arch_caps[] = {
#define ARCH_CAP_DEF(bit, NAME, name) {bit, #name},
#include "arch/defs/arch_caps.def"
#undef ARCH_CAP_DEF
};

static bool shown_first(unsigned bit)
{
	return bit == ARCH_CAP_BIT_SKIP_L1DFL_VMENTRY || bit == ARCH_CAP_BIT_FB_CLEAR;
}

static void print_arch_capabilities(uint64_t value)
{
	print("probe: arch_capabilities=0x%llx skip_l1dfl_vmentry=%u fb_clear=%u", (unsigned long long)value,
	      (unsigned)(value >> ARCH_CAP_BIT_SKIP_L1DFL_VMENTRY & 1), (unsigned)(value >> ARCH_CAP_BIT_FB_CLEAR & 1));
	for (unsigned i = 0; i < COUNT(arch_caps); i++)
		if (!shown_first(arch_caps[i].bit))
			print(" %s=%u", arch_caps[i].name, (unsigned)(value >> arch_caps[i].bit & 1));
	print("\n");
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	bool acknowledges = hypervisor_is_sluice() && !mb1_has_word(info, "noack");
	uint32_t edx = 0;
	uint64_t value;

	(void)magic;
	if (cpuid(CPUID_VENDOR, 0).eax >= CPUID_EXTENDED_FEATURES)
		edx = cpuid(CPUID_EXTENDED_FEATURES, 0).edx;
	print("probe: cpuid.7.0:edx=0x%x", edx);
	for (unsigned i = 0; i < COUNT(leaf7_edx); i++)
		if (edx & leaf7_edx[i].bit)
			print(" %s", leaf7_edx[i].name);
	print("\n");
	if (!(edx & CPUID7_EDX_ARCH_CAPABILITIES)) {
		print("probe: no arch_capabilities\n");
		return;
	}
	value = rdmsr(MSR_IA32_ARCH_CAPABILITIES);
	print_arch_capabilities(value);
	for (;;) {
		uint64_t before = value;

		for (unsigned i = 0; i < PAUSES_BETWEEN_READS; i++)
			cpu_pause();
		value = rdmsr(MSR_IA32_ARCH_CAPABILITIES);
		if (value == before)
			continue;
		print_arch_capabilities(value);
		if (acknowledges)
			hypervisor_call(HYPERCALL_CAPS_ACK, 0);
	}
}
