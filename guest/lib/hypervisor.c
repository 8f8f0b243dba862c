#include "guest/lib/hypervisor.h"

#include "arch/defs/cpuid.h"
#include "guest/lib/cpu.h"

/* "SluiceSluice" in the byte order of the registers. */
#define SIGNATURE_EBX 0x69756c53u
#define SIGNATURE_ECX 0x6c536563u
#define SIGNATURE_EDX 0x65636975u

bool hypervisor_is_sluice(void)
{
	struct cpuid_regs r;

	if (!(cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_HYPERVISOR))
		return false;
	r = cpuid(CPUID_HYPERVISOR, 0);
	return r.ebx == SIGNATURE_EBX && r.ecx == SIGNATURE_ECX && r.edx == SIGNATURE_EDX;
}
