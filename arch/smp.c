/* The local APIC, and the start of the other pCPUs. */
#include "arch/smp.h"

#include <stddef.h>

#include "arch/cpu.h"
#include "arch/defs/apic.h"
#include "arch/defs/cpuid.h"
#include "arch/defs/pc.h"
#include "arch/paging.h"
#include "arch/tsc.h"

/* SDM vol. 3A, "Typical BSP Initialization Sequence". */
#define INIT_WAIT_US    10000
#define SIPI_WAIT_US    200
#define ARRIVAL_WAIT_US 1000000

/* arch/ap_start.asm */
extern const uint8_t ap_trampoline[], ap_trampoline_cr3[], ap_trampoline_end[];

/* Called by ap_start.asm. */
_Noreturn void ap_main(struct arch_percpu *p);
/* Taken by ap_start.asm with XCHG. */
extern _Atomic(struct arch_percpu *) ap_claim;

_Atomic(struct arch_percpu *) ap_claim;
static void (*ap_entry)(struct arch_percpu *p);
static atomic_bool ap_arrived;
static hpa_t ap_page;

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
	apic_write(APIC_SVR, APIC_SVR_ENABLE | APIC_SPURIOUS_VECTOR);
}

uint32_t apic_id(void)
{
	return is_x2apic() ? apic_read(APIC_ID) : apic_read(APIC_ID) >> XAPIC_ID_SHIFT;
}

static void ipi_send(uint32_t apic_id, uint32_t command)
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
	ipi_send(apic_id, APIC_ICR_DELIVERY_NMI | APIC_ICR_ASSERT);
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

void smp_init(hpa_t trampoline)
{
	uint8_t *page = hpa_ptr(trampoline);
	uintptr_t start = (uintptr_t)ap_trampoline;
	uint32_t cr3 = (uint32_t)paging_cr3();

	__builtin_memcpy(page, ap_trampoline, (uintptr_t)ap_trampoline_end - start);
	__builtin_memcpy(page + ((uintptr_t)ap_trampoline_cr3 - start), &cr3, sizeof(cr3));
	paging_make_executable(trampoline.v);
	ap_page = trampoline;
}

static bool arrives_within(uint64_t us)
{
	uint64_t start = rdtsc();
	uint64_t ticks = us * tsc_hz() / 1000000;

	/* Pairs with the release in ap_main. */
	while (!atomic_load_explicit(&ap_arrived, memory_order_acquire)) {
		if (rdtsc() - start >= ticks)
			return false;
		cpu_pause();
	}
	return true;
}

bool smp_start(struct arch_percpu *p, void (*entry)(struct arch_percpu *p))
{
	uint32_t sipi = APIC_ICR_DELIVERY_SIPI | APIC_ICR_ASSERT | (uint32_t)(ap_page.v / PAGE_BYTES);

	ap_entry = entry;
	atomic_store_explicit(&ap_arrived, false, memory_order_relaxed);
	/* Publishes the two above and *p to the XCHG of ap_start.asm. */
	atomic_store_explicit(&ap_claim, p, memory_order_release);

	ipi_send(p->apic_id, APIC_ICR_DELIVERY_INIT | APIC_ICR_ASSERT);
	tsc_delay_us(INIT_WAIT_US);
	ipi_send(p->apic_id, sipi);
	if (arrives_within(SIPI_WAIT_US))
		return true;
	ipi_send(p->apic_id, sipi);
	if (arrives_within(ARRIVAL_WAIT_US))
		return true;
	/* Back to waiting for a SIPI, wherever it is: it must not come later and take what belongs to the next one. */
	atomic_store_explicit(&ap_claim, NULL, memory_order_relaxed);
	ipi_send(p->apic_id, APIC_ICR_DELIVERY_INIT | APIC_ICR_ASSERT);
	tsc_delay_us(INIT_WAIT_US);
	return false;
}

_Noreturn void ap_main(struct arch_percpu *p)
{
	void (*entry)(struct arch_percpu * p) = ap_entry;

	paging_load();
	arch_cpu_init();
	arch_percpu_load(p);
	apic_init();
	/* Pairs with the acquire in arrives_within. */
	atomic_store_explicit(&ap_arrived, true, memory_order_release);
	entry(p);
	__builtin_unreachable();
}
