/* Do the leaves of CPUID agree with each other, with the registers that they speak of, and on all CPUs? cpus=N if the
 * machine does not say how many there are. */
#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/cpuid.h"
#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "guest/lib/answer.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/fpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/irq.h"
#include "guest/lib/smp.h"

#define TOPOLOGY_LEVELS_MAX 8
#define XSAVE_LEGACY_BYTES  576 /* with its header */
#define XSAVE_COMPONENTS    32

static unsigned cpu_count;
static volatile uint32_t ids[SMP_CPUS_MAX], ids_x2apic[SMP_CPUS_MAX], ids_apic[SMP_CPUS_MAX];
static volatile uint32_t features[SMP_CPUS_MAX], arrived;

static bool has_leaf(uint32_t leaf)
{
	return cpuid(CPUID_VENDOR, 0).eax >= leaf;
}

/* ---- each CPU's id ---- */

static void note_ids(unsigned index)
{
	apic_enable(false);
	ids[index] = cpuid(CPUID_FEATURES, 0).ebx >> 24;
	ids_x2apic[index] = cpuid(CPUID_TOPOLOGY, 0).edx;
	ids_apic[index] = apic_id();
	features[index] = cpuid(CPUID_FEATURES, 0).edx ^ cpuid(CPUID_EXTENDED_FEATURES, 0).ebx;
	__atomic_fetch_add(&arrived, 1, __ATOMIC_SEQ_CST);
}

static void ask_ids(void)
{
	bool own = true, leaves = true, alike = true;

	note_ids(0);
	cpu_count = smp_start_all(cpu_count, note_ids);
	smp_wait(&arrived, cpu_count);
	for (unsigned i = 0; i < cpu_count; i++) {
		own &= ids_apic[i] == i;
		leaves &= ids[i] == i && (!has_leaf(CPUID_TOPOLOGY) || ids_x2apic[i] == i);
		alike &= features[i] == features[0];
	}
	answer_number("cpus", cpu_count);
	answer_yes("apic_ids_are_indices", own);
	answer_yes("leaf_1_and_leaf_b_say_the_apic_id", leaves);
	answer_yes("all_cpus_have_one_set_of_features", alike);
}

/* ---- topology ---- */

/* Leaf 0xb: levels in order, counts that do not fall, the last one all; the widths hold all ids. */
static bool topology_good(void)
{
	uint32_t before = 0, type_before = 0, width = 0;

	if (!has_leaf(CPUID_TOPOLOGY))
		return true;
	for (unsigned level = 0; level < TOPOLOGY_LEVELS_MAX; level++) {
		const struct cpuid_regs r = cpuid(CPUID_TOPOLOGY, level);
		const uint32_t type = r.ecx >> 8 & 0xff;

		if ((r.ecx & 0xff) != level)
			return false;
		if (type == 0)
			return level > 0 && (r.ebx & 0xffff) == 0 && before == cpu_count && cpu_count <= 1u << width;
		if (type <= type_before || (r.ebx & 0xffff) < before || (r.eax & 0x1f) < width)
			return false;
		type_before = type;
		before = r.ebx & 0xffff;
		width = r.eax & 0x1f;
	}
	return false;
}

/* Leaf 4: each cache is shared by no more ids than there can be, its numbers make a size, the list ends. */
static bool caches_good(void)
{
	if (!has_leaf(CPUID_CACHE_PARAMETERS))
		return true;
	for (unsigned i = 0; i < TOPOLOGY_LEVELS_MAX; i++) {
		const struct cpuid_regs r = cpuid(CPUID_CACHE_PARAMETERS, i);

		if ((r.eax & 0x1f) == 0)
			return true;
		if ((r.eax >> 5 & 7) == 0 || (r.eax >> 5 & 7) > 4 || (r.ebx & 0xfff) + 1 < 32)
			return false;
	}
	return false;
}

static void ask_topology(void)
{
	const struct cpuid_regs r = cpuid(CPUID_FEATURES, 0);
	const bool several = r.edx & CPUID1_EDX_HTT;

	answer_yes("htt_says_if_there_are_several", several == (cpu_count > 1));
	answer_yes("leaf_1_has_room_for_all_ids", !several || (r.ebx >> 16 & 0xff) >= cpu_count);
	answer_yes("leaf_b_is_a_topology_of_all", topology_good());
	answer_yes("leaf_4_is_a_list_of_caches", caches_good());
}

/* ---- ranges, hypervisor ---- */

static bool same_regs(struct cpuid_regs a, struct cpuid_regs b)
{
	return a.eax == b.eax && a.ebx == b.ebx && a.ecx == b.ecx && a.edx == b.edx;
}

static void ask_ranges(void)
{
	const struct cpuid_regs vendor = cpuid(CPUID_VENDOR, 0), hypervisor = cpuid(CPUID_HYPERVISOR, 0);
	const uint32_t highest = vendor.eax, extended = cpuid(CPUID_EXT_MAX, 0).eax;

	answer_yes("highest_leaf_at_least_d", highest >= CPUID_XSAVE && highest < 0x100);
	answer_yes("highest_extended_leaf_at_least_8",
		   extended >= CPUID_EXT_ADDRESS_SIZES && extended < CPUID_EXT_MAX + 0x100);
	answer_yes("subleaf_is_ignored_where_there_is_none",
		   same_regs(vendor, cpuid(CPUID_VENDOR, 7)) &&
			   same_regs(cpuid(CPUID_EXT_FEATURES, 0), cpuid(CPUID_EXT_FEATURES, 9)));
	answer_yes("hypervisor_bit", cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_HYPERVISOR);
	answer_yes("hypervisor_range", hypervisor.eax >= CPUID_HYPERVISOR && hypervisor.eax < CPUID_HYPERVISOR + 0x100);
	answer_yes("hypervisor_has_a_name", hypervisor.ebx && hypervisor.ecx && hypervisor.edx);
	answer_yes("no_vmx", !(cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_VMX));
}

/* ---- what follows control registers ---- */

static void ask_dynamic(void)
{
	const uint32_t cr4 = read_cr4();
	const uint64_t base = rdmsr(MSR_IA32_APIC_BASE);
	bool pke = true;

	write_cr4(cr4 & ~CR4_OSXSAVE);
	answer_yes("osxsave_clear", !(cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_OSXSAVE));
	write_cr4(cr4 | CR4_OSXSAVE);
	answer_yes("osxsave_set", cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_OSXSAVE);
	if (cpuid(CPUID_EXTENDED_FEATURES, 0).ecx & CPUID7_ECX_PKU) {
		pke &= !(cpuid(CPUID_EXTENDED_FEATURES, 0).ecx & CPUID7_ECX_OSPKE);
		write_cr4(read_cr4() | CR4_PKE);
		pke &= (cpuid(CPUID_EXTENDED_FEATURES, 0).ecx & CPUID7_ECX_OSPKE) != 0;
		write_cr4(read_cr4() & ~CR4_PKE);
	}
	answer_yes("ospke_follows_cr4_where_there_is_pku", pke);
	answer_yes("apic_bit_set", cpuid(CPUID_FEATURES, 0).edx & CPUID1_EDX_APIC);
	answer_yes("apic_base_is_where_it_always_is", (base & APIC_BASE_ADDRESS_MASK) == 0xfee00000);
}

/* ---- XSAVE ---- */

/* The bytes that the components of this XCR0 need, in the standard format. */
static uint32_t bytes_for(uint32_t xcr0)
{
	uint32_t end = XSAVE_LEGACY_BYTES;

	for (unsigned i = 2; i < XSAVE_COMPONENTS; i++) {
		const struct cpuid_regs r = cpuid(CPUID_XSAVE, i);

		if ((xcr0 >> i & 1) && r.ebx + r.eax > end)
			end = r.ebx + r.eax;
	}
	return end;
}

static void ask_xsave(void)
{
	const struct cpuid_regs r = cpuid(CPUID_XSAVE, 0);
	const uint32_t usable = fpu_xcr0();
	bool steps = true, absent = true, placed = true;

	answer_yes("xsave_has_x87_and_sse", (r.eax & 3) == 3);
	answer_yes("xsave_avx_as_leaf_1_says", !(r.eax & XCR0_AVX) == !(cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_AVX));
	answer_yes("xsave_size_of_all", r.ecx == bytes_for(r.eax));
	xsetbv(0, XCR0_X87);
	answer_number("xsave_size_of_x87", cpuid(CPUID_XSAVE, 0).ebx);
	xsetbv(0, XCR0_X87 | XCR0_SSE);
	answer_number("xsave_size_of_sse", cpuid(CPUID_XSAVE, 0).ebx);
	if (usable & XCR0_AVX) {
		xsetbv(0, XCR0_X87 | XCR0_SSE | XCR0_AVX);
		steps &= cpuid(CPUID_XSAVE, 0).ebx == bytes_for(XCR0_X87 | XCR0_SSE | XCR0_AVX);
	}
	xsetbv(0, usable);
	steps &= cpuid(CPUID_XSAVE, 0).ebx == bytes_for(usable);
	answer_yes("xsave_size_follows_xcr0", steps);
	for (unsigned i = 2; i < XSAVE_COMPONENTS; i++)
		if (!(r.eax >> i & 1) && !(cpuid(CPUID_XSAVE, 1).ecx >> i & 1))
			absent &= cpuid(CPUID_XSAVE, i).eax == 0;
		else if (r.eax >> i & 1)
			placed &= cpuid(CPUID_XSAVE, i).eax != 0 && cpuid(CPUID_XSAVE, i).ebx >= XSAVE_LEGACY_BYTES;
	answer_yes("components_have_a_place", placed);
	answer_yes("absent_components_have_no_size", absent);
}

/* The compacted format: what was saved in it comes back. */
struct compacted {
	struct fpu own, other;
	uint8_t area[FPU_AREA_BYTES] __attribute__((aligned(64)));
	uint32_t xcr0;
	bool supervisor; /* XSAVES, not XSAVEC */
	bool kept;
};

static void try_compacted(void *argument)
{
	struct compacted *c = argument;

	fpu_load(&c->own, c->xcr0, 1);
	if (c->supervisor)
		__asm__ volatile("xsaves %0" : "+m"(c->area) : "a"(c->xcr0), "d"(0));
	else
		__asm__ volatile("xsavec %0" : "+m"(c->area) : "a"(c->xcr0), "d"(0));
	fpu_load(&c->other, c->xcr0, 2);
	if (c->supervisor)
		__asm__ volatile("xrstors %0" : : "m"(c->area), "a"(c->xcr0), "d"(0));
	else
		__asm__ volatile("xrstor %0" : : "m"(c->area), "a"(c->xcr0), "d"(0));
	c->kept = fpu_kept(&c->own, c->xcr0);
}

static bool compacted_good(struct compacted *c, uint32_t bit, bool supervisor)
{
	if (!(cpuid(CPUID_XSAVE, 1).eax & bit))
		return true;
	c->xcr0 = fpu_xcr0();
	c->supervisor = supervisor;
	return fault_try(try_compacted, c) == FAULT_NONE && c->kept;
}

static void ask_compacted(void)
{
	static struct compacted by_xsavec, by_xsaves;

	answer_yes("xsavec_keeps_all_where_there_is_such", compacted_good(&by_xsavec, CPUID_XSAVE1_EAX_XSAVEC, false));
	answer_yes("xsaves_keeps_all_where_there_is_such", compacted_good(&by_xsaves, CPUID_XSAVE1_EAX_XSAVES, true));
}

/* ---- a bit that is set can be used ---- */

static void try_rdtscp(void *argument)
{
	(void)argument;
	__asm__ volatile(".byte 0x0f, 0x01, 0xf9" : : : "eax", "ecx", "edx");
}

static void try_rdrand(void *argument)
{
	(void)argument;
	__asm__ volatile(".byte 0x0f, 0xc7, 0xf0" : : : "eax", "cc");
}

static void try_popcnt(void *argument)
{
	(void)argument;
	__asm__ volatile(".byte 0xf3, 0x0f, 0xb8, 0xc0" : : : "eax", "cc");
}

static void try_xgetbv(void *argument)
{
	(void)argument;
	(void)xgetbv(0);
}

static void try_monitor(void *argument)
{
	(void)argument;
	__asm__ volatile(".byte 0x0f, 0x01, 0xc8" : : "a"(&cpu_count), "c"(0), "d"(0));
}

static bool bit_is_true(uint32_t bit, void (*instruction)(void *))
{
	return (fault_try(instruction, 0) == FAULT_NONE) == (bit != 0);
}

static void ask_instructions(void)
{
	const struct cpuid_regs one = cpuid(CPUID_FEATURES, 0);
	uint64_t value;

	answer_yes("rdtscp_as_said", bit_is_true(cpuid(CPUID_EXT_FEATURES, 0).edx & CPUID_EXT1_EDX_RDTSCP, try_rdtscp));
	answer_yes("rdrand_as_said", bit_is_true(one.ecx & CPUID1_ECX_RDRAND, try_rdrand));
	answer_yes("popcnt_as_said", bit_is_true(one.ecx & CPUID1_ECX_POPCNT, try_popcnt));
	answer_yes("xgetbv_as_said", bit_is_true(one.ecx & CPUID1_ECX_XSAVE, try_xgetbv));
	answer_yes("monitor_as_said", bit_is_true(one.ecx & CPUID1_ECX_MONITOR, try_monitor));
	answer_yes("efer_is_there_with_long_mode", fault_rdmsr(MSR_IA32_EFER, &value) == FAULT_NONE &&
							   (cpuid(CPUID_EXT_FEATURES, 0).edx & CPUID_EXT1_EDX_LM));
	answer_yes("arch_capabilities_as_said",
		   !(cpuid(CPUID_EXTENDED_FEATURES, 0).edx & CPUID7_EDX_ARCH_CAPABILITIES) ||
			   fault_rdmsr(MSR_IA32_ARCH_CAPABILITIES, &value) == FAULT_NONE);
	answer_yes("address_sizes", (cpuid(CPUID_EXT_ADDRESS_SIZES, 0).eax & 0xff) >= 36 &&
					    (cpuid(CPUID_EXT_ADDRESS_SIZES, 0).eax >> 8 & 0xff) >= 48);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	answer_start("cpuidleaves");
	cpu_count = smp_cpu_count(info);
	fault_install();
	irq_install();
	fpu_enable();
	ask_ids();
	ask_topology();
	ask_ranges();
	ask_dynamic();
	ask_xsave();
	ask_compacted();
	ask_instructions();
	answer_end();
}
