#include "guest/lib/apic.h"

#include "arch/defs/cpuid.h"
#include "arch/defs/msr.h"
#include "guest/lib/cpu.h"

static bool x2apic_mode;

static volatile uint32_t *page_register(uint32_t offset)
{
	return (volatile uint32_t *)(uintptr_t)((rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDRESS_MASK) + offset);
}

uint32_t apic_read(uint32_t offset)
{
	return x2apic_mode ? (uint32_t)rdmsr(MSR_IA32_X2APIC_FIRST + offset / 16) : *page_register(offset);
}

void apic_write(uint32_t offset, uint32_t value)
{
	if (x2apic_mode)
		wrmsr(MSR_IA32_X2APIC_FIRST + offset / 16, value);
	else
		*page_register(offset) = value;
}

bool apic_has_x2apic(void)
{
	return cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_X2APIC;
}

void apic_enable(bool x2apic)
{
	uint64_t base = rdmsr(MSR_IA32_APIC_BASE);

	if (!(base & APIC_BASE_ENABLE))
		wrmsr(MSR_IA32_APIC_BASE, base |= APIC_BASE_ENABLE);
	if (x2apic)
		wrmsr(MSR_IA32_APIC_BASE, base | APIC_BASE_X2APIC_ENABLE);
	x2apic_mode = x2apic;
	apic_write(APIC_SVR, APIC_SVR_ENABLE | APIC_SPURIOUS_VECTOR);
}

uint32_t apic_id(void)
{
	return x2apic_mode ? apic_read(APIC_ID) : apic_read(APIC_ID) >> XAPIC_ID_SHIFT;
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

void apic_send(uint32_t icr, uint32_t destination)
{
	if (x2apic_mode) {
		/* Unlike a store to the page, this WRMSR does not wait for earlier stores to be seen: SDM vol. 3A,
		 * "MSR Access in x2APIC Mode". */
		__asm__ volatile("mfence; lfence" : : : "memory");
		wrmsr(MSR_IA32_X2APIC_FIRST + APIC_ICR / 16, (uint64_t)destination << X2APIC_ICR_TARGET_SHIFT | icr);
		return;
	}
	apic_write(APIC_ICR_HIGH, destination << XAPIC_ID_SHIFT);
	apic_write(APIC_ICR, icr);
	while (apic_read(APIC_ICR) & APIC_ICR_PENDING)
		cpu_pause();
}
