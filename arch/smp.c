/* The start of the other pCPUs. */
#include "arch/smp.h"

#include <stddef.h>

#include "arch/apic.h"
#include "arch/cpu.h"
#include "arch/defs/apic.h"
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

	apic_send(p->apic_id, APIC_ICR_DELIVERY_INIT | APIC_ICR_ASSERT);
	tsc_delay_us(INIT_WAIT_US);
	apic_send(p->apic_id, sipi);
	if (arrives_within(SIPI_WAIT_US))
		return true;
	apic_send(p->apic_id, sipi);
	if (arrives_within(ARRIVAL_WAIT_US))
		return true;
	/* Back to waiting for a SIPI, wherever it is: it must not come later and take what belongs to the next one. */
	atomic_store_explicit(&ap_claim, NULL, memory_order_relaxed);
	apic_send(p->apic_id, APIC_ICR_DELIVERY_INIT | APIC_ICR_ASSERT);
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
