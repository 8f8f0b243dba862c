/* The local APIC of this pCPU. */
#include "arch/apic.h"

#include "arch/address.h"
#include "arch/cpu.h"
#include "arch/defs/apic.h"
#include "arch/defs/cpuid.h"
#include "arch/defs/pc.h"
#include "arch/percpu.h"
#include "arch/tsc.h"

/* How long the timer's clock is measured. */
#define TIMER_MEASURE_US 1000

static bool timer_has_deadline;
/* Without that: ticks of the timer in 2^32 of the TSC. */
static uint64_t timer_rate;

static bool is_x2apic(void)
{
	return rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_X2APIC_ENABLE;
}

static volatile uint32_t *xapic_register(uint32_t offset)
{
	return hpa_ptr(hpa((rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDRESS_MASK) + offset));
}

static uint32_t x2apic_msr(uint32_t offset)
{
	return MSR_IA32_X2APIC_FIRST + offset / 16;
}

static uint32_t apic_read(uint32_t offset)
{
	return is_x2apic() ? (uint32_t)rdmsr(x2apic_msr(offset)) : *xapic_register(offset);
}

static void apic_write(uint32_t offset, uint32_t value)
{
	if (is_x2apic())
		wrmsr(x2apic_msr(offset), value);
	else
		*xapic_register(offset) = value;
}

void apic_init(void)
{
	/* In the order in which CPUs got them: the version says how many there are. */
	static const uint32_t lvts[] = {APIC_LVT_TIMER,   APIC_LVT_LINT0,   APIC_LVT_LINT1, APIC_LVT_ERROR,
					APIC_LVT_PERFMON, APIC_LVT_THERMAL, APIC_LVT_CMCI};
	uint64_t base = rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_ENABLE;
	uint32_t last;

	/* SDM vol. 3A, "x2APIC State Transitions": enabled first, then x2APIC. */
	wrmsr(MSR_IA32_APIC_BASE, base);
	if (cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_X2APIC)
		wrmsr(MSR_IA32_APIC_BASE, base | APIC_BASE_X2APIC_ENABLE);
	last = APIC_VERSION_MAX_LVT(apic_read(APIC_VERSION));
	for (uint32_t i = 0; i < sizeof(lvts) / sizeof(lvts[0]) && i <= last; i++)
		apic_write(lvts[i], APIC_LVT_MASKED);
	apic_write(APIC_TPR, 0);
	apic_write(APIC_SVR, APIC_SVR_ENABLE | APIC_SPURIOUS_VECTOR);
}

uint32_t apic_id(void)
{
	return is_x2apic() ? apic_read(APIC_ID) : apic_read(APIC_ID) >> XAPIC_ID_SHIFT;
}

void apic_send(uint32_t apic_id, uint32_t command)
{
	if (is_x2apic()) {
		/* SDM vol. 3A, "MSR Access in x2APIC Mode": the write orders nothing by itself. */
		__asm__ volatile("mfence; lfence" : : : "memory");
		wrmsr(x2apic_msr(APIC_ICR), (uint64_t)apic_id << X2APIC_ICR_TARGET_SHIFT | command);
		return;
	}
	*xapic_register(APIC_ICR_HIGH) = apic_id << XAPIC_ID_SHIFT;
	*xapic_register(APIC_ICR) = command;
	while (*xapic_register(APIC_ICR) & APIC_ICR_PENDING)
		cpu_pause();
}

void apic_send_nmi(uint32_t apic_id)
{
	apic_send(apic_id, APIC_ICR_DELIVERY_NMI | APIC_ICR_ASSERT);
}

void apic_eoi(void)
{
	apic_write(APIC_EOI, 0);
}

void pic_mask_all(void)
{
	outb(PIC_MASTER_DATA, PIC_MASK_ALL);
	outb(PIC_SLAVE_DATA, PIC_MASK_ALL);
}

/* SDM vol. 3A, "TSC-Deadline Mode", "APIC Timer". */
void apic_timer_init(void)
{
	timer_has_deadline = (cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_TSC_DEADLINE) != 0;
	if (timer_has_deadline)
		return;
	apic_write(APIC_TIMER_DIVIDE, APIC_TIMER_DIVIDE_BY_1);
	apic_write(APIC_TIMER_INITIAL, UINT32_MAX);

	const uint64_t began_tsc = rdtsc();

	tsc_delay_us(TIMER_MEASURE_US);

	const uint64_t counted = UINT32_MAX - apic_read(APIC_TIMER_CURRENT);

	timer_rate = (counted << 32) / (rdtsc() - began_tsc);
	apic_write(APIC_TIMER_INITIAL, 0);
}

/* Ticks of the timer from now to tsc: at least one, at most a second's, so that nothing overflows. */
static uint32_t timer_count_to(uint64_t tsc)
{
	const uint64_t now_tsc = rdtsc();
	const uint64_t left = tsc > now_tsc ? tsc - now_tsc : 0;
	const uint64_t count = ((left < tsc_hz() ? left : tsc_hz()) * timer_rate >> 32) + 1;

	return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

void apic_timer_arm(uint64_t tsc)
{
	if (timer_has_deadline) {
		apic_write(APIC_LVT_TIMER, APIC_TIMER_VECTOR | APIC_LVT_TSC_DEADLINE);
		/* "TSC-Deadline Mode": in xAPIC mode the store above need not have arrived before the WRMSR. */
		__asm__ volatile("mfence" : : : "memory");
		wrmsr(MSR_IA32_TSC_DEADLINE, tsc);
	} else {
		apic_write(APIC_TIMER_DIVIDE, APIC_TIMER_DIVIDE_BY_1);
		apic_write(APIC_LVT_TIMER, APIC_TIMER_VECTOR);
		apic_write(APIC_TIMER_INITIAL, timer_count_to(tsc));
	}
}

bool apic_timer_disarm(void)
{
	struct arch_percpu *p = arch_percpu_this();

	if (timer_has_deadline)
		wrmsr(MSR_IA32_TSC_DEADLINE, 0);
	else
		apic_write(APIC_TIMER_INITIAL, 0);
	/* One that is on its way comes here: STI lets it in after the NOP. */
	__asm__ volatile("sti; nop; cli" : : : "memory");

	const bool fired = p->timer_fired != 0;

	if (fired)
		apic_eoi();
	const bool any = fired || p->stray_fired != 0;

	p->timer_fired = 0;
	p->stray_fired = 0;
	return any;
}
