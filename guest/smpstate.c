/* How does a vCPU start, what does INIT do to a running one, and do all read the same IA32_ARCH_CAPABILITIES at the
 * same time? cpus=N if the machine does not say how many there are; `x2apic`: with the APICs in that mode; rounds=N:
 * how often the values are compared (default 200). */
#include <stdatomic.h>
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
#include "guest/lib/print.h"
#include "guest/lib/report.h"
#include "guest/lib/smp.h"

#define SECOND_PAGE    0x23
#define THIRD_PAGE     0x45
#define CR2_LANDMARK   0x51071ce0u
#define EFLAGS_INIT    RFLAGS_FIXED1
#define DEFAULT_ROUNDS 200

static bool x2apic, has_arch_caps;
static unsigned cpu_count;
static uint32_t rounds;
static volatile uint32_t beats[SMP_CPUS_MAX];
static volatile uint64_t bases[SMP_CPUS_MAX];

/* ---- the start ---- */

static void beat(unsigned index)
{
	bases[index] = rdmsr(MSR_IA32_APIC_BASE);
	write_cr2(CR2_LANDMARK);
	write_cr4(CR4_TSD);
	for (;;)
		beats[index]++;
}

static bool is_beating(unsigned index)
{
	uint32_t before = beats[index];

	return smp_wait(&beats[index], before + 2);
}

static bool is_still(unsigned index)
{
	uint32_t before = beats[index];

	smp_settle();
	return beats[index] == before;
}

/* SDM vol. 3A, "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT". */
static void report_state(unsigned index, unsigned page, bool after_init)
{
	struct smp_state s = smp_state_of(index);

	print("smpstate: cpu=%u cr0=0x%x eflags=0x%x cs=0x%x edx=0x%x\n", index, s.cr0, s.eflags, s.cs, s.edx);
	report_equal("cs", s.cs, page << 8);
	report_equal("data_segments", s.ds | s.es | s.fs | s.gs | s.ss, 0);
	/* INIT leaves CD and NW alone, but on some emulators. */
	report_equal("cr0", s.cr0 | CR0_CD | CR0_NW, CR0_CD | CR0_NW | CR0_ET);
	if (!after_init)
		report_equal("cr0_cache_off", s.cr0 & (CR0_CD | CR0_NW), CR0_CD | CR0_NW);
	report_equal("cr2_cr3_cr4", s.cr2 | s.cr3 | s.cr4, 0);
	report_equal("eflags", s.eflags, EFLAGS_INIT);
	report_equal("registers", s.eax | s.ebx | s.ecx | s.esi | s.edi | s.ebp | s.esp, 0);
	report_equal("edx_family", s.edx >> 8 & 0xf, cpuid(CPUID_FEATURES, 0).eax >> 8 & 0xf);
}

static void check_start(unsigned index)
{
	bool started, runs_again, restarted;

	report_true("waits_for_init", is_still(index), beats[index]);
	smp_init(index);
	started = smp_one_sipi(index, SMP_PAGE_FIRST, beat);
	report_true("one_sipi", started, index);
	report_true("starts", started || smp_start(index, beat), index);
	report_state(index, SMP_PAGE_FIRST, false);
	report_true("runs", is_beating(index), index);
	report_equal("base", bases[index], APIC_BASE_ENABLE | (rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_ADDRESS_MASK));
	apic_send(APIC_ICR_DELIVERY_SIPI | APIC_ICR_ASSERT | SECOND_PAGE, index);
	smp_settle();
	report_true("late_sipi_ignored", is_beating(index), index);
	smp_init(index);
	report_true("init_stops", is_still(index), index);
	report_true("sipi_after_init", smp_sipi(index, SECOND_PAGE, beat), index);
	report_state(index, SECOND_PAGE, true);
	/* Nothing is printed in between: where the CPUs take turns, this one's has just begun. */
	runs_again = is_beating(index);
	restarted = smp_init_one_sipi(index, THIRD_PAGE, beat);
	report_true("runs_again", runs_again, index);
	report_true("sipi_without_pause", restarted, index);
	if (restarted)
		report_state(index, THIRD_PAGE, true);
}

/* ---- one value ---- */

static atomic_uint gate, arrived;
static volatile uint64_t values[SMP_CPUS_MAX];

/* All go through together once the last has come. */
static void meet(uint32_t round)
{
	if (atomic_fetch_add(&arrived, 1) + 1 == cpu_count * round)
		atomic_store(&gate, round);
	while (atomic_load(&gate) < round)
		cpu_pause();
}

static uint32_t rounds_with_differences(unsigned index)
{
	uint32_t meeting = 0, differences = 0;

	for (uint32_t round = 0; round < rounds; round++) {
		meet(++meeting);
		values[index] = rdmsr(MSR_IA32_ARCH_CAPABILITIES);
		meet(++meeting);
		for (unsigned i = 0; i < cpu_count && index == 0; i++)
			if (values[i] != values[0]) {
				differences++;
				break;
			}
	}
	return differences;
}

static void read_values(unsigned index)
{
	rounds_with_differences(index);
}

static void check_one_value(void)
{
	if (!has_arch_caps) {
		report_skip("one_value");
		return;
	}
	for (unsigned i = 1; i < cpu_count; i++)
		smp_start(i, read_values);
	report_equal("one_value", rounds_with_differences(0), 0);
	print("smpstate: arch_capabilities=0x%llx\n", (unsigned long long)values[0]);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	report_start("smpstate");
	cpu_count = smp_cpu_count(info);
	rounds = mb1_number(info, "rounds", DEFAULT_ROUNDS);
	x2apic = mb1_has_word(info, "x2apic") && apic_has_x2apic();
	has_arch_caps = cpuid(CPUID_VENDOR, 0).eax >= CPUID_EXTENDED_FEATURES &&
			(cpuid(CPUID_EXTENDED_FEATURES, 0).edx & CPUID7_EDX_ARCH_CAPABILITIES);
	fault_install();
	irq_install();
	apic_enable(x2apic);
	print("smpstate: cpus=%u\n", cpu_count);
	for (unsigned i = 1; i < cpu_count; i++)
		check_start(i);
	check_one_value();
	report_end();
}
