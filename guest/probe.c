/* What does this VM say of itself? Prints CPUID.7.0:EDX and IA32_ARCH_CAPABILITIES with the bits by name; the latter
 * from each vCPU, and again each time it changes. Once all vCPUs have seen the new value, it is acknowledged. Words of
 * the command line: noack    never acknowledge event    sleep until the hypervisor says that the value has changed, in
 * place of looking again and again cpus=N   there are N vCPUs, if the machine does not say how many x2apic   use the
 * local APICs in this mode */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/cpuid.h"
#include "arch/defs/msr.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/hypervisor.h"
#include "guest/lib/irq.h"
#include "guest/lib/lock.h"
#include "guest/lib/print.h"
#include "guest/lib/smp.h"

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

static struct lock print_lock = LOCK_INIT, seen_lock = LOCK_INIT;
static bool acknowledges, waits_for_events, x2apic;

/* Vector of the event: nothing else here has one. */
#define EVENT_VECTOR 0x50
static atomic_bool event_came[SMP_CPUS_MAX];

/* The first vCPU's lines begin with `probe`, those of vCPU N with `probe.N`. With print_lock. */
static void print_name(unsigned index)
{
	print("probe");
	if (index)
		print(".%u", index);
}

static void print_arch_capabilities(unsigned index, uint64_t value)
{
	lock_take(&print_lock);
	print_name(index);
	print(": arch_capabilities=0x%llx skip_l1dfl_vmentry=%u fb_clear=%u", (unsigned long long)value,
	      (unsigned)(value >> ARCH_CAP_BIT_SKIP_L1DFL_VMENTRY & 1), (unsigned)(value >> ARCH_CAP_BIT_FB_CLEAR & 1));
	for (unsigned i = 0; i < COUNT(arch_caps); i++)
		if (!shown_first(arch_caps[i].bit))
			print(" %s=%u", arch_caps[i].name, (unsigned)(value >> arch_caps[i].bit & 1));
	print("\n");
	lock_give(&print_lock);
}

static void print_line(unsigned index, const char *text)
{
	lock_take(&print_lock);
	print_name(index);
	print(": %s\n", text);
	lock_give(&print_lock);
}

/* ---- acknowledging: with seen_lock ---- */

static unsigned cpu_count; /* those that run watch() or are about to */
static struct {
	bool known;
	uint64_t value;
} seen[SMP_CPUS_MAX];
static bool owes_ack; /* some vCPU has seen a change since the last one */

static bool all_saw(uint64_t value)
{
	for (unsigned i = 0; i < cpu_count; i++)
		if (!seen[i].known || seen[i].value != value)
			return false;
	return true;
}

/* The last vCPU to see a new value acknowledges it for the VM. */
static void saw(unsigned index, uint64_t value)
{
	lock_take(&seen_lock);
	owes_ack |= seen[index].known && seen[index].value != value;
	seen[index].known = true;
	seen[index].value = value;
	if (owes_ack && all_saw(value)) {
		owes_ack = false;
		if (acknowledges)
			hypervisor_call(HYPERCALL_CAPS_ACK, 0);
	}
	lock_give(&seen_lock);
}

/* ---- watching ---- */

static void note_event(uint32_t vector)
{
	(void)vector;
	atomic_store(&event_came[smp_index()], true);
}

static void wait_for_change(unsigned index)
{
	if (!waits_for_events) {
		for (unsigned i = 0; i < PAUSES_BETWEEN_READS; i++)
			cpu_pause();
		return;
	}
	while (!atomic_exchange(&event_came[index], false))
		irq_wait();
	print_line(index, "event");
}

/* On each vCPU. Events are asked for before the first look: a change between the two is not missed. */
static void watch(unsigned index)
{
	uint64_t value;

	if (waits_for_events) {
		irq_off();
		apic_enable(x2apic);
		if (hypervisor_call(HYPERCALL_CAPS_EVENT, EVENT_VECTOR) != HYPERCALL_OK)
			print_line(index, "no events");
	}
	value = rdmsr(MSR_IA32_ARCH_CAPABILITIES);
	print_arch_capabilities(index, value);
	saw(index, value);
	for (;;) {
		uint64_t before = value;

		wait_for_change(index);
		value = rdmsr(MSR_IA32_ARCH_CAPABILITIES);
		if (value == before)
			continue;
		print_arch_capabilities(index, value);
		saw(index, value);
	}
}

static void prepare_interrupts(void)
{
	fault_install();
	irq_install();
	irq_handle(EVENT_VECTOR, note_event);
	apic_enable(x2apic);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	unsigned wanted = smp_cpu_count(info);
	uint32_t edx = 0;

	(void)magic;
	acknowledges = hypervisor_is_sluice() && !mb1_has_word(info, "noack");
	waits_for_events = hypervisor_is_sluice() && mb1_has_word(info, "event");
	x2apic = mb1_has_word(info, "x2apic") && apic_has_x2apic();
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
	if (wanted > 1 || waits_for_events)
		prepare_interrupts();
	/* One that never comes must not keep the others from acknowledging. */
	cpu_count = wanted;
	cpu_count = smp_start_all(wanted, watch);
	if (cpu_count < wanted)
		print_line(cpu_count, "did not start");
	watch(0);
}
