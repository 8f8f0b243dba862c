#include "hv/cpus.h"

#include "arch/acpi.h"
#include "arch/apic.h"
#include "arch/cpu.h"
#include "arch/paging.h"
#include "arch/smp.h"
#include "hv/cpu_probe.h"
#include "hv/log.h"
#include "hv/msr_lists.h"
#include "hv/pages.h"
#include "hv/panic.h"
#include "hv/sched.h"

#define LOW_MEMORY_END (640ull << 10)
#define SYNC_ROUNDS    16

struct percpu percpus[CPUS_MAX];
uint32_t percpu_count;

static const struct options *options_in_force;
static struct cpu_caps caps_of[CPUS_MAX];
static bool have_trampoline;

/* How a starting pCPU and the boot processor talk: one word each way, one pCPU at a time. */
static _Atomic uint64_t sync_question; /* round number; stored by the boot processor */
static _Atomic uint64_t sync_answer;   /* the other's TSC in answer to it */
static atomic_bool probed;             /* stored with release after the pCPU's own data */
static atomic_bool released;           /* stored with release once the regime is in force */

static bool overlaps(uint64_t start, uint64_t end, uint64_t other_start, uint64_t other_end)
{
	return start < other_end && other_start < end;
}

/* A page below 640 KiB that the loader left alone, for the pCPUs to start in. {0}: none. */
static hpa_t find_trampoline(const struct boot_info *boot)
{
	for (uint32_t i = 0; i < boot->range_count; i++) {
		uint64_t page = (boot->ranges[i].start + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);

		for (page = page == 0 ? PAGE_BYTES : page;
		     page + PAGE_BYTES <= boot->ranges[i].end && page + PAGE_BYTES <= LOW_MEMORY_END;
		     page += PAGE_BYTES) {
			bool taken = overlaps(page, page + PAGE_BYTES, boot->start, boot->end);

			for (uint32_t m = 0; m < boot->module_count; m++)
				taken |=
					overlaps(page, page + PAGE_BYTES, boot->modules[m].start, boot->modules[m].end);
			if (!taken)
				return hpa(page);
		}
	}
	return hpa(0);
}

/* A slot whose pCPU did not start is used again, with all that it holds. */
static void init_percpu(uint32_t index, uint32_t apic_id_value)
{
	struct percpu *cpu = &percpus[index];

	if (cpu->vmxon_region.v != 0) {
		cpu->arch.apic_id = apic_id_value;
		return;
	}

	const hpa_t stacks = pages_take(ARCH_PERCPU_STACK_BYTES / PAGE_BYTES, 1);

	cpu->vmxon_region = pages_take_one();
	cpu->overlay.pages = pages_take(EPT_OVERLAY_PAGES, 1);
	if (stacks.v == 0 || cpu->vmxon_region.v == 0 || cpu->overlay.pages.v == 0 ||
	    !trace_ring_init(&cpu->trace, options_in_force->trace_rows))
		panic("cpu%u: no memory for its stacks and its trace: give the machine more, or trace_rows= less",
		      index);
	arch_percpu_init(&cpu->arch, index, apic_id_value, hpa_ptr(stacks));
}

static void (*boot_then)(void);

static void boot_enter(struct arch_percpu *arch)
{
	(void)arch;
	boot_then();
}

_Noreturn void cpus_init_boot(const struct boot_info *boot, const struct options *options, void (*then)(void))
{
	const hpa_t trampoline = find_trampoline(boot);

	options_in_force = options;
	arch_cpu_init();
	percpu_count = 1;
	init_percpu(0, 0);
	arch_percpu_load(&percpus[0].arch);
	apic_init();
	percpus[0].arch.apic_id = apic_id();
	percpus[0].started = true;
	if (trampoline.v != 0)
		smp_init(trampoline);
	have_trampoline = trampoline.v != 0;
	boot_then = then;
	arch_percpu_enter(&percpus[0].arch, boot_enter);
}

/* In the order in which one leads to the next. */
static void probe(struct percpu *cpu)
{
	struct cpu_caps *caps = &caps_of[cpu->arch.index];

	*caps = cpu_probe_caps(cpu, options_in_force);
	cpu_probe_vmx(cpu, options_in_force);
	if (cpu->vmx_on)
		cpu->entry_list_msrs = msr_lists_probe(cpu, caps);
}

static void answer_sync(void)
{
	for (uint64_t round = 1; round <= SYNC_ROUNDS; round++) {
		while (atomic_load_explicit(&sync_question, memory_order_acquire) != round)
			cpu_pause();
		atomic_store_explicit(&sync_answer, rdtsc(), memory_order_release);
	}
}

/* The other's TSC must lie between two readings of ours: the largest miss is reported. */
static void ask_sync(uint32_t index)
{
	uint64_t worst = 0;

	for (uint64_t round = 1; round <= SYNC_ROUNDS; round++) {
		const uint64_t before = rdtsc();
		uint64_t theirs, after, miss = 0;

		atomic_store_explicit(&sync_answer, 0, memory_order_relaxed);
		atomic_store_explicit(&sync_question, round, memory_order_release);
		while ((theirs = atomic_load_explicit(&sync_answer, memory_order_acquire)) == 0)
			cpu_pause();
		after = rdtsc();
		if (theirs < before)
			miss = before - theirs;
		if (theirs > after)
			miss = theirs - after;
		if (miss > worst)
			worst = miss;
	}
	if (worst != 0)
		log_line(LOG_NOTICE,
			 "cpu%u: its TSC is not in step with cpu0's: ticks=%lu; guests may see time go back", index,
			 worst);
}

/* Every other pCPU, on its own stack. */
static void cpu_main(struct arch_percpu *arch)
{
	struct percpu *cpu = (struct percpu *)arch;

	answer_sync();
	probe(cpu);
	atomic_store_explicit(&probed, true, memory_order_release);
	while (!atomic_load_explicit(&released, memory_order_acquire))
		cpu_pause();
	sched_loop(cpu);
}

static bool start_one(uint32_t index, uint32_t apic_id_value)
{
	init_percpu(index, apic_id_value);
	atomic_store_explicit(&probed, false, memory_order_relaxed);
	atomic_store_explicit(&sync_question, 0, memory_order_relaxed);
	if (!smp_start(&percpus[index].arch, cpu_main)) {
		log_line(LOG_NOTICE, "cpu%u: did not start: apic=%u", index, apic_id_value);
		return false;
	}
	ask_sync(index);
	while (!atomic_load_explicit(&probed, memory_order_acquire))
		cpu_pause();
	percpus[index].started = true;
	return true;
}

static void start_others(const struct boot_info *boot)
{
	struct acpi_madt madt;
	const char *why =
		boot->rsdp == 0 ? "no RSDP from the loader" : acpi_madt_find(&madt, boot->rsdp, paging_mapped);

	if (why == NULL && !have_trampoline)
		why = "no free page below 640 KiB to start them in";
	if (why != NULL) {
		log_line(LOG_NOTICE, "acpi: only the boot processor is used: %s", why);
		return;
	}
	for (uint32_t i = 0; i < madt.cpu_count; i++) {
		if (madt.apic_ids[i] == percpus[0].arch.apic_id)
			continue;
		if (percpu_count >= options_in_force->maxcpus || percpu_count == CPUS_MAX)
			return;
		if (start_one(percpu_count, madt.apic_ids[i]))
			percpu_count++;
	}
}

/* All pCPUs run the same VMX configuration, or none is used. */
static void compare_vmx(void)
{
	for (uint32_t i = 1; i < percpu_count && percpus[0].vmx_missing == NULL; i++) {
		if (percpus[i].vmx_missing != NULL)
			percpus[0].vmx_missing = percpus[i].vmx_missing;
		else if (!vmx_ctl_equal(&percpus[0].vmx_config, &percpus[i].vmx_config))
			percpus[0].vmx_missing = "the pCPUs do not have the same VMX abilities";
	}
	if (percpus[0].vmx_missing != NULL)
		for (uint32_t i = 0; i < percpu_count; i++)
			percpus[i].vmx_on = false;
}

void cpus_start(const struct boot_info *boot, struct machine *machine)
{
	probe(&percpus[0]);
	start_others(boot);
	compare_vmx();

	machine->caps = caps_of[0];
	machine->bugs = bugs_find(&caps_of[0]);
	machine->entry_list_msrs = percpus[0].entry_list_msrs;
	for (uint32_t i = 1; i < percpu_count; i++) {
		machine->caps = cpu_caps_common(&machine->caps, &caps_of[i]);
		machine->bugs |= bugs_find(&caps_of[i]);
		machine->entry_list_msrs &= percpus[i].entry_list_msrs;
	}
	machine->host_arch_capabilities = machine->caps.arch_capabilities;
	machine->supported_caps = bugs_supported_caps(&machine->caps, machine->bugs);
}

void cpus_release(void)
{
	atomic_store_explicit(&released, true, memory_order_release);
}
