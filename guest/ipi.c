/* Do interrupts between vCPUs arrive, each once and only where it was sent? In xAPIC mode, or with the word `x2apic` in
 * x2APIC mode. cpus=N if the machine does not say how many there are. */
#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/cpuid.h"
#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/irq.h"
#include "guest/lib/report.h"
#include "guest/lib/smp.h"

enum vector {
	VECTOR_COUNT = 0x40, /* counted */
	VECTOR_LOW = 0x51,   /* counted, and its place in the order noted */
	VECTOR_MIDDLE = 0x61,
	VECTOR_HIGH = 0x71,
	VECTOR_ECHO = 0x80, /* its handler sends VECTOR_COUNT to CPU 0 */
};

#define ECHO_ROUNDS    100
#define ID_REGISTER(i) (1u << (i))
#define ORDER_MAX      8

static bool x2apic;
static unsigned cpu_count;
static volatile uint32_t interrupts[SMP_CPUS_MAX], nmis[SMP_CPUS_MAX], ready;
static volatile uint32_t order[ORDER_MAX], order_count;

static void count_interrupt(uint32_t vector)
{
	(void)vector;
	interrupts[smp_index()]++;
}

static void count_nmi(uint32_t vector)
{
	(void)vector;
	nmis[smp_index()]++;
}

static void note_order(uint32_t vector)
{
	if (order_count < ORDER_MAX)
		order[order_count] = vector;
	order_count++;
}

static void echo(uint32_t vector)
{
	(void)vector;
	apic_send(APIC_ICR_ASSERT | VECTOR_COUNT, 0);
}

static void join(void)
{
	apic_enable(x2apic);
	if (!x2apic) {
		apic_write(APIC_DFR, APIC_DFR_FLAT);
		apic_write(APIC_LDR, ID_REGISTER(smp_index()) << XAPIC_ID_SHIFT);
	}
}

static void other_cpu(unsigned index)
{
	(void)index;
	join();
	irq_off();
	__atomic_fetch_add(&ready, 1, __ATOMIC_SEQ_CST);
	for (;;)
		irq_wait();
}

/* ---- counting what one message brings ---- */

static void clear(void)
{
	for (unsigned i = 0; i < cpu_count; i++)
		interrupts[i] = nmis[i] = 0;
	order_count = 0;
}

/* The CPUs in mask have got one, the others none. */
static void report_arrived(const char *name, const volatile uint32_t *counters, uint32_t mask)
{
	uint32_t arrived = 0, more = 0;

	for (unsigned i = 0; i < cpu_count; i++)
		if (mask >> i & 1)
			smp_wait(&counters[i], 1);
	smp_settle();
	for (unsigned i = 0; i < cpu_count; i++) {
		arrived |= (uint32_t)(counters[i] != 0) << i;
		more |= (uint32_t)(counters[i] > 1) << i;
	}
	report_equal(name, (uint64_t)more << 32 | arrived, mask);
}

static void check_send(const char *name, uint32_t icr, uint32_t destination, uint32_t mask)
{
	clear();
	irq_on();
	apic_send(icr | APIC_ICR_ASSERT | VECTOR_COUNT, destination);
	report_arrived(name, interrupts, mask);
	irq_off();
}

static void check_nmi(const char *name, uint32_t icr, uint32_t destination, uint32_t mask)
{
	clear();
	apic_send(icr | APIC_ICR_DELIVERY_NMI | APIC_ICR_ASSERT, destination);
	report_arrived(name, nmis, mask);
}

/* ---- one CPU ---- */

static void check_self(void)
{
	report_equal("id", apic_id(), 0);
	report_true("version", (apic_read(APIC_VERSION) & 0xf0) == 0x10, apic_read(APIC_VERSION));
	check_send("self_shorthand", APIC_ICR_TO_SELF, 0, 1);
	check_send("self_physical", 0, 0, 1);
	/* In x2APIC mode it follows from the id. */
	report_equal("ldr", apic_read(APIC_LDR), x2apic ? ID_REGISTER(0) : ID_REGISTER(0) << XAPIC_ID_SHIFT);
	check_send("self_logical", APIC_ICR_LOGICAL, ID_REGISTER(0), 1);
	check_send("nobody", 0, cpu_count, 0);
	if (!x2apic) {
		report_skip("self_ipi_msr");
		return;
	}
	clear();
	irq_on();
	apic_write(APIC_SELF_IPI, VECTOR_COUNT);
	report_arrived("self_ipi_msr", interrupts, 1);
	irq_off();
}

static void send_self(uint32_t vector)
{
	apic_send(APIC_ICR_TO_SELF | APIC_ICR_ASSERT | vector, 0);
}

static uint32_t order_seen(void)
{
	uint32_t seen = 0;

	for (unsigned i = 0; i < order_count && i < 4; i++)
		seen = seen << 8 | order[i];
	return seen;
}

static void check_priority(void)
{
	clear();
	send_self(VECTOR_LOW);
	send_self(VECTOR_HIGH);
	send_self(VECTOR_MIDDLE);
	send_self(VECTOR_HIGH);
	smp_settle();
	report_equal("held_with_if_0", order_count, 0);
	irq_on();
	smp_wait(&order_count, 3);
	smp_settle();
	irq_off();
	report_equal("highest_first", order_seen(), VECTOR_HIGH << 16 | VECTOR_MIDDLE << 8 | VECTOR_LOW);

	clear();
	apic_write(APIC_TPR, VECTOR_MIDDLE & 0xf0);
	irq_on();
	send_self(VECTOR_LOW);
	send_self(VECTOR_MIDDLE);
	send_self(VECTOR_HIGH);
	smp_settle();
	report_equal("tpr_holds", order_seen(), VECTOR_HIGH);
	apic_write(APIC_TPR, 0);
	smp_wait(&order_count, 3);
	smp_settle();
	irq_off();
	report_equal("tpr_lets_go", order_seen(), VECTOR_HIGH << 16 | VECTOR_MIDDLE << 8 | VECTOR_LOW);
}

static void check_modes(void)
{
	uint64_t base = rdmsr(MSR_IA32_APIC_BASE);
	uint64_t value;

	report_equal("base", base & (APIC_BASE_BSP | APIC_BASE_ENABLE | APIC_BASE_X2APIC_ENABLE),
		     APIC_BASE_BSP | APIC_BASE_ENABLE | (x2apic ? APIC_BASE_X2APIC_ENABLE : 0));
	if (!x2apic) {
		if (apic_has_x2apic())
			report_equal("x2apic_msr", fault_rdmsr(MSR_IA32_X2APIC_FIRST + APIC_ID / 16, &value), EXC_GP);
		else
			report_skip("x2apic_msr");
		report_skip("back_to_xapic");
		report_skip("msr_reserved");
		report_skip("msr_icr_high");
		return;
	}
	report_equal("x2apic_msr", fault_rdmsr(MSR_IA32_X2APIC_FIRST + APIC_ID / 16, &value), FAULT_NONE);
	report_equal("back_to_xapic", fault_wrmsr(MSR_IA32_APIC_BASE, base & ~(uint64_t)APIC_BASE_X2APIC_ENABLE),
		     EXC_GP);
	report_equal("msr_reserved", fault_wrmsr(MSR_IA32_X2APIC_FIRST + APIC_EOI / 16, 1), EXC_GP);
	report_equal("msr_icr_high", fault_rdmsr(MSR_IA32_X2APIC_FIRST + APIC_ICR_HIGH / 16, &value), EXC_GP);
}

/* ---- several ---- */

static void check_others(void)
{
	uint32_t all = (1u << cpu_count) - 1, last = cpu_count - 1;
	uint32_t everybody = x2apic ? APIC_BROADCAST_X2APIC : APIC_BROADCAST_XAPIC;
	uint32_t done = 0;

	check_send("physical", 0, last, 1u << last);
	/* All are in the first cluster, or flat: the same numbers. */
	check_send("logical_one", APIC_ICR_LOGICAL, ID_REGISTER(last), 1u << last);
	check_send("logical_two", APIC_ICR_LOGICAL, ID_REGISTER(last) | ID_REGISTER(0), 1u << last | 1);
	check_send("others", APIC_ICR_TO_OTHERS, 0, all & ~1u);
	check_send("all", APIC_ICR_TO_ALL, 0, all);
	check_send("broadcast", 0, everybody, all);
	check_nmi("nmi", 0, last, 1u << last);
	check_nmi("nmi_others", APIC_ICR_TO_OTHERS, 0, all & ~1u);

	clear();
	irq_on();
	for (unsigned round = 0; round < ECHO_ROUNDS; round++) {
		unsigned other = 1 + round % last;

		apic_send(APIC_ICR_ASSERT | VECTOR_ECHO, other);
		done += smp_wait(&interrupts[0], round + 1);
	}
	irq_off();
	report_equal("echo", done, ECHO_ROUNDS);
	report_equal("echo_count", interrupts[0], ECHO_ROUNDS);
}

/* Last, for it loses all that was set up. CPUID says whether the local APIC is on. */
static void check_off(void)
{
	const uint64_t base = rdmsr(MSR_IA32_APIC_BASE) & ~(uint64_t)APIC_BASE_X2APIC_ENABLE;

	wrmsr(MSR_IA32_APIC_BASE, base & ~(uint64_t)APIC_BASE_ENABLE);
	report_equal("cpuid_off", cpuid(CPUID_FEATURES, 0).edx & CPUID1_EDX_APIC, 0);
	wrmsr(MSR_IA32_APIC_BASE, base);
	report_equal("cpuid_on", cpuid(CPUID_FEATURES, 0).edx & CPUID1_EDX_APIC, CPUID1_EDX_APIC);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	unsigned wanted = smp_cpu_count(info);

	(void)magic;
	report_start("ipi");
	x2apic = mb1_has_word(info, "x2apic");
	if (x2apic && !apic_has_x2apic()) {
		report_skip("x2apic");
		report_end();
	}
	fault_install();
	irq_install();
	irq_handle(VECTOR_COUNT, count_interrupt);
	irq_handle(VECTOR_ECHO, echo);
	irq_handle(VECTOR_LOW, note_order);
	irq_handle(VECTOR_MIDDLE, note_order);
	irq_handle(VECTOR_HIGH, note_order);
	irq_handle(EXC_NMI, count_nmi);
	join();
	cpu_count = smp_start_all(wanted, other_cpu);
	report_equal("cpus", cpu_count, wanted);
	report_true("ready", smp_wait(&ready, cpu_count - 1), ready);
	check_self();
	check_priority();
	check_modes();
	if (cpu_count > 1)
		check_others();
	else
		report_skip("others");
	check_off();
	report_end();
}
