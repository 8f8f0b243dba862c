#include "hv/vm_build.h"

#include "arch/cpu.h"
#include "arch/defs/cpuid.h"
#include "arch/memory.h"
#include "hv/audit.h"
#include "hv/log.h"
#include "hv/pages.h"
#include "hv/policy/acpi_build.h"
#include "hv/policy/cr_policy.h"
#include "hv/policy/msr_policy.h"
#include "hv/policy/text.h"
#include "hv/prompt.h"
#include "hv/regime.h"
#include "hv/vcpu_cpuid.h"
#include "hv/vcpu_reset.h"
#include "hv/vm_load.h"

#define LARGE_PAGES (PAGE_2M_BYTES / PAGE_BYTES)
#define MIB         (1ull << 20)

#define ZEROED_AT_ONCE 65536 /* divides a MiB; less than a millisecond */

static uint32_t starts; /* of VMs, ever */

static const struct ept_pages ept_pages = {pages_take_one, pages_give_one};

/* The reason of the last failure, where it holds more than a fixed text. */
static char reason[CPU_CAPS_NAMES_SIZE + 128];

static struct vcpu_model_request model_request(const struct vm_cfg *cfg)
{
	return (struct vcpu_model_request){
		.cpu = cfg->cpu,
		.caps_add = cfg->caps_add,
		.caps_remove = cfg->caps_remove,
		.unsafe = cfg->unsafe,
	};
}

uint64_t vm_build_caps(const struct vm *vm)
{
	const struct vcpu_model_request request = model_request(&vm->cfg);
	struct vcpu_model model;
	uint32_t masked;
	uint64_t bits;

	if (vcpu_model_make(&model, &request, regime_machine(), &masked, &bits) != VCPU_MODEL_OK)
		return 0;
	return model.arch_capabilities |
	       (mitigation_skip_l1dfl(&regime_now()->mitigation) ? ARCH_CAP(SKIP_L1DFL_VMENTRY) : 0);
}

static const char *make_model(struct vm *vm)
{
	const struct vcpu_model_request request = model_request(&vm->cfg);
	char names[CPU_CAPS_NAMES_SIZE];
	uint32_t masked = 0;
	uint64_t bits = 0;

	switch (vcpu_model_make(&vm->model, &request, regime_machine(), &masked, &bits)) {
	case VCPU_MODEL_UNKNOWN:
		text_format(reason, sizeof(reason), "cpu: no model \"%s\"", vm->cfg.cpu);
		return reason;
	case VCPU_MODEL_IMMUNITY:
		cpu_caps_names(names, sizeof(names), bits);
		text_format(reason, sizeof(reason),
			    "cpu: %s claims %s, which this machine lacks (unsafe = 1 allows it)", vm->cfg.cpu, names);
		return reason;
	case VCPU_MODEL_UNSUPPORTED:
		cpu_caps_names(names, sizeof(names), bits);
		text_format(reason, sizeof(reason), "caps: %s cannot be given to a guest here", names);
		return reason;
	case VCPU_MODEL_OK:
		break;
	}
	for (uint32_t bit = 1; bit != 0; bit <<= 1)
		if (masked & bit)
			log_line(LOG_NOTICE, "%s: cpu %s: masked out, this machine has no %s", vm->cfg.name,
				 vm->cfg.cpu, cpu_feature_name(bit) != NULL ? cpu_feature_name(bit) : "such feature");
	return NULL;
}

/* What the guest may set in CR4 and EFER follows from the CPUID that it sees. */
static void make_register_rules(struct vm *vm)
{
	const struct cpuid_words leaf1 = vcpu_cpuid_at_start(&vm->model, CPUID_FEATURES, 0);
	const struct cpuid_words leaf7 = vcpu_cpuid_at_start(&vm->model, CPUID_EXTENDED_FEATURES, 0);
	const struct cpuid_words ext1 = vcpu_cpuid_at_start(&vm->model, CPUID_EXT_FEATURES, 0);

	vm->cr4_allowed = cr_policy_cr4_allowed(leaf1.ecx, leaf1.edx, leaf7.ebx, leaf7.ecx);
	vm->efer_allowed = cr_policy_efer_allowed(ext1.edx);
}

/* In pieces, for it may take seconds: meanwhile characters are typed, and traces fill. */
static void zero(hpa_t memory, uint64_t bytes)
{
	for (uint64_t done = 0; done < bytes; done += ZEROED_AT_ONCE) {
		memset(hpa_ptr(hpa(memory.v + done)), 0, ZEROED_AT_ONCE);
		audit_poll();
		prompt_receive();
	}
}

static bool map_memory(const struct vm *vm, struct ept *ept)
{
	const struct vmx_config *config = &percpus[0].vmx_config;
	const uint64_t low = vm_low_bytes(vm);

	*ept = (struct ept){.use_2m = config->ept_2m, .use_1g = config->ept_1g};
	return ept_map(ept, gpa(0), vm->memory, low, &ept_pages) &&
	       ept_map(ept, gpa(MULTIBOOT1_HIGH_MEMORY_START), hpa(vm->memory.v + low), vm->memory_bytes - low,
		       &ept_pages);
}

static hpa_t take_msr_bitmap(const struct vm *vm)
{
	const hpa_t page = pages_take_one();

	if (page.v != 0)
		msr_policy_bitmap_make(hpa_ptr(page), &vm->model, vcpu_cpuid_msr_instructions());
	return page;
}

/* Page tables of their own for the vCPUs in xAPIC mode: to all others nothing answers at LAPIC_PAGE_GPA. */
static bool take_apicv(struct vm *vm)
{
	vm->apic_access = pages_take_one();
	vm->msr_bitmap_x2apic = take_msr_bitmap(vm);
	if (vm->apic_access.v == 0 || vm->msr_bitmap_x2apic.v == 0)
		return false;
	apicv_bitmap_open(hpa_ptr(vm->msr_bitmap_x2apic));
	return map_memory(vm, &vm->ept_apic) &&
	       ept_map(&vm->ept_apic, gpa(LAPIC_PAGE_GPA), vm->apic_access, PAGE_BYTES, &ept_pages);
}

static const char *take_memory(struct vm *vm)
{
	const uint64_t bytes = vm->cfg.memory_mib * MIB;
	const uint64_t page_count = bytes / PAGE_BYTES;

	vm->memory = pages_take_high(page_count, page_count >= LARGE_PAGES ? LARGE_PAGES : 1);
	if (vm->memory.v == 0) {
		text_format(reason, sizeof(reason), "memory: %uM wanted in one piece, %luM free, at most %luM of it so",
			    vm->cfg.memory_mib, (uint64_t)(pages_free_count() * PAGE_BYTES / MIB),
			    (uint64_t)(pages_largest_count() * PAGE_BYTES / MIB));
		return reason;
	}
	vm->memory_bytes = bytes;
	zero(vm->memory, bytes);
	atomic_store_explicit(&vm->ept_fresh, 0, memory_order_relaxed);
	if (!map_memory(vm, &vm->ept))
		return "memory: none left for page tables";
	vm->msr_bitmap = take_msr_bitmap(vm);
	if (vm->msr_bitmap.v == 0)
		return "memory: none left for the MSR bitmap";
	if (percpus[0].vmx_config.apicv == APICV_FULL && !take_apicv(vm))
		return "memory: none left for the APIC-access page";
	return NULL;
}

/* VPIDs: one for each vCPU of each slot, so that no two vCPUs that are on ever share one; 0 is the host's. */
static uint16_t vpid_of(const struct vm *vm, uint32_t index)
{
	return (uint16_t)(1 + vm->id * PROMISE_VCPUS_MAX + index);
}

static const char *take_vcpus(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->cfg.vcpus; i++) {
		const hpa_t page = pages_take_one();
		struct vcpu *vcpu = hpa_ptr(page);

		if (page.v == 0)
			return "memory: none left for vCPUs";
		vm->vcpus[vm->vcpu_count++] = vcpu;
		vcpu->vm = vm;
		vcpu->index = i;
		vcpu->vpid = vpid_of(vm, i);
		vcpu->cpu = VCPU_NOWHERE;
		vcpu->vmcs = pages_take_one();
		vcpu->switched.fpu = hpa_ptr(pages_take_one());
		vcpu->lapic.page = hpa_ptr(pages_take_one());
		if (vcpu->vmcs.v == 0 || vcpu->switched.fpu == NULL || vcpu->lapic.page == NULL)
			return "memory: none left for vCPUs";
	}
	return NULL;
}

static const char *build(struct vm *vm)
{
	struct vcpu_entry entry;
	const char *why = make_model(vm);

	if (why == NULL && (vm->cfg.cpus & ((1ull << (percpu_count - 1) << 1) - 1)) == 0)
		why = "cpus: none of them exists on this machine";
	if (why != NULL)
		return why;
	vm->incarnation = ++starts;
	make_register_rules(vm);
	why = take_memory(vm);
	if (why == NULL)
		why = take_vcpus(vm);
	if (why != NULL)
		return why;
	vm_console_start(vm);
	/* First, for a kernel may want that memory. */
	acpi_build_write(vm_memory(vm, gpa(ACPI_BUILD_GPA), ACPI_BUILD_BYTES), ACPI_BUILD_GPA, vm->vcpu_count);
	if (!vm_load(vm, &entry, reason, sizeof(reason)))
		return reason;

	const struct mitigation *m;

	m = &regime_now()->mitigation;
	const uint64_t began_tsc = trace_begin(percpu_this());

	promise_word_start(&vm->promise, mitigation_skip_l1dfl(m), vm->cfg.fixed);
	trace_reset(percpu_this(), began_tsc, regime_promise_changed(), vm, vm_caps_value(vm));
	vm->began_tsc = rdtsc();
	atomic_store_explicit(&vm->tsc_offset, -vm->began_tsc, memory_order_relaxed);
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		vcpu_reset(percpu_this(), vm->vcpus[i], &entry);
	platform_reset(vm);
	return NULL;
}

const char *vm_build(struct vm *vm)
{
	if (!vm_console_make(vm))
		return "memory: none left for the log";

	const uint64_t free_count = pages_free_count();
	const char *why = build(vm);

	vm->page_count = free_count - pages_free_count();
	if (why != NULL)
		vm_build_undo(vm);
	return why;
}

static void give(hpa_t page)
{
	if (page.v != 0)
		pages_give_one(page);
}

void vm_build_undo(struct vm *vm)
{
	const uint64_t free_count = pages_free_count();

	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		give(vm->vcpus[i]->vmcs);
		give(hpa_of(vm->vcpus[i]->switched.fpu));
		give(hpa_of(vm->vcpus[i]->lapic.page));
		give(hpa_of(vm->vcpus[i]));
		vm->vcpus[i] = NULL;
	}
	vm->vcpu_count = 0;
	give(vm->msr_bitmap);
	vm->msr_bitmap = hpa(0);
	give(vm->msr_bitmap_x2apic);
	vm->msr_bitmap_x2apic = hpa(0);
	give(vm->apic_access);
	vm->apic_access = hpa(0);
	ept_destroy(&vm->ept_apic, &ept_pages);
	ept_destroy(&vm->ept, &ept_pages);
	if (vm->memory.v != 0)
		pages_give(vm->memory, vm->memory_bytes / PAGE_BYTES);
	vm->memory = hpa(0);
	vm->memory_bytes = 0;

	const uint64_t given = pages_free_count() - free_count;

	if (given != vm->page_count)
		log_line(LOG_ERROR, "%s: memory: pages taken=%lu given back=%lu", vm->cfg.name, vm->page_count, given);
	vm->page_count = 0;
}
