/* Does the vCPU refuse what it must, and keep what it was given? Run two with different seed=N on one pCPU to see that
 * nothing passes from one vCPU to another. rounds=N: how long it goes on looking (default 300). */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/defs/cpuid.h"
#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/fpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/hypervisor.h"
#include "guest/lib/report.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Numbers that no CPU uses: within the MSR bitmap, and outside of it. */
#define MSR_UNKNOWN_LOW       0x1fff
#define MSR_UNKNOWN_FAR       0x12345678
#define PORT_UNANSWERED       0x1230
#define PAT_TYPE_BAD          0x0007040600070402ull
#define PAUSES_BETWEEN_ROUNDS 2000
#define DEFAULT_ROUNDS        300

static void report_fault(const char *name, uint32_t vector, uint32_t wanted)
{
	report_equal(name, vector, wanted);
}

/* ---- what must be refused ---- */

static const struct {
	const char *name;
	uint32_t msr;
} unreadable[] = {
	{"rdmsr_unknown_low", MSR_UNKNOWN_LOW},
	{"rdmsr_unknown_far", MSR_UNKNOWN_FAR},
	{"rdmsr_pred_cmd", MSR_IA32_PRED_CMD},
	{"rdmsr_flush_cmd", MSR_IA32_FLUSH_CMD},
	{"rdmsr_mcu_opt_ctrl", MSR_IA32_MCU_OPT_CTRL},
	{"rdmsr_vmx_basic", MSR_IA32_VMX_BASIC},
	{"rdmsr_feature_control", MSR_IA32_FEATURE_CONTROL},
};

static const struct {
	const char *name;
	uint32_t msr;
	uint64_t value;
} unwritable[] = {
	{"wrmsr_unknown_low", MSR_UNKNOWN_LOW, 0},
	{"wrmsr_unknown_far", MSR_UNKNOWN_FAR, 0},
	{"wrmsr_arch_capabilities", MSR_IA32_ARCH_CAPABILITIES, 0},
	{"wrmsr_mcu_opt_ctrl", MSR_IA32_MCU_OPT_CTRL, 0},
	{"wrmsr_flush_cmd_reserved", MSR_IA32_FLUSH_CMD, 2},
	{"wrmsr_spec_ctrl_reserved", MSR_IA32_SPEC_CTRL, 1ull << 63},
	{"wrmsr_efer_reserved", MSR_IA32_EFER, 1ull << 32},
	{"wrmsr_pat_bad_type", MSR_IA32_PAT, PAT_TYPE_BAD},
	{"wrmsr_mtrrcap", MSR_IA32_MTRRCAP, 0},
	{"wrmsr_debugctl", MSR_IA32_DEBUGCTL, 1},
};

static const struct {
	const char *name;
	uint32_t msr;
	uint64_t value;
} constants[] = {
	{"mcg_cap", MSR_IA32_MCG_CAP, 0},
	{"mtrrcap", MSR_IA32_MTRRCAP, 0},
	{"mtrr_def_type", MSR_IA32_MTRR_DEF_TYPE, MTRR_DEF_TYPE_ENABLE | MTRR_TYPE_WB},
};

static void check_msrs(void)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < COUNT(unreadable); i++)
		report_fault(unreadable[i].name, fault_rdmsr(unreadable[i].msr, &value), EXC_GP);
	for (unsigned i = 0; i < COUNT(unwritable); i++)
		report_fault(unwritable[i].name, fault_wrmsr(unwritable[i].msr, unwritable[i].value), EXC_GP);
	for (unsigned i = 0; i < COUNT(constants); i++) {
		value = ~constants[i].value;
		fault_rdmsr(constants[i].msr, &value);
		report_equal(constants[i].name, value, constants[i].value);
	}
	report_fault("rdmsr_arch_capabilities", fault_rdmsr(MSR_IA32_ARCH_CAPABILITIES, &value), FAULT_NONE);
}

static void try_cr0(void *value)
{
	write_cr0((uint32_t)(uintptr_t)value);
}

static void try_cr4(void *value)
{
	write_cr4((uint32_t)(uintptr_t)value);
}

static void *word(uint32_t value)
{
	return (void *)(uintptr_t)value;
}

static void check_control_registers(void)
{
	uint32_t cr0 = read_cr0(), cr4 = read_cr4();

	report_fault("cr0_pg_without_pe", fault_try(try_cr0, word((cr0 | CR0_PG) & ~CR0_PE)), EXC_GP);
	report_fault("cr0_nw_without_cd", fault_try(try_cr0, word((cr0 | CR0_NW) & ~CR0_CD)), EXC_GP);
	report_fault("cr4_vmxe", fault_try(try_cr4, word(cr4 | CR4_VMXE)), EXC_GP);
	report_fault("cr4_smxe", fault_try(try_cr4, word(cr4 | CR4_SMXE)), EXC_GP);
	report_fault("cr4_reserved", fault_try(try_cr4, word(cr4 | 1u << 31)), EXC_GP);
	report_fault("cr4_pcide_outside_long_mode", fault_try(try_cr4, word(cr4 | CR4_PCIDE)), EXC_GP);
	report_equal("cr0_unchanged", read_cr0(), cr0);
	report_equal("cr4_unchanged", read_cr4(), cr4);
	report_fault("cr4_tsd", fault_try(try_cr4, word(cr4 | CR4_TSD)), FAULT_NONE);
	report_equal("cr4_tsd_kept", read_cr4(), cr4 | CR4_TSD);
	write_cr4(cr4);
	report_fault("cr0_ts", fault_try(try_cr0, word(cr0 | CR0_TS)), FAULT_NONE);
	report_equal("cr0_ts_kept", read_cr0(), cr0 | CR0_TS);
	write_cr0(cr0);
}

static void try_vmxon(void *region)
{
	__asm__ volatile("vmxon (%0)" : : "r"(region) : "memory");
}

static void ring3_vmcall(void)
{
	__asm__ volatile("vmcall; int3" : : "a"(HYPERCALL_CAPS_ACK));
}

static void ring3_nothing(void)
{
	__asm__ volatile("int3");
}

static void check_instructions(void)
{
	static uint64_t vmxon_region;

	report_equal("cpuid_no_vmx", cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_VMX, 0);
	report_fault("vmxon", fault_try(try_vmxon, &vmxon_region), EXC_UD);
	report_fault("ring3", fault_try_ring3(ring3_nothing), EXC_BP);
	report_fault("ring3_vmcall", fault_try_ring3(ring3_vmcall), EXC_UD);
	if (hypervisor_is_sluice())
		report_equal("hypercall_unknown", (uint32_t)hypervisor_call(0x7777, 0), (uint32_t)HYPERCALL_UNKNOWN);
	else
		report_skip("hypercall_unknown");
	report_equal("port_8", inb(PORT_UNANSWERED), 0xff);
	report_equal("port_16", inw(PORT_UNANSWERED), 0xffff);
	report_equal("port_32", inl(PORT_UNANSWERED), 0xffffffff);
}

/* ---- extended state ---- */

static struct fpu fpu;
static uint32_t xcr0;

struct xcr_write {
	uint32_t index, value;
};

static void try_xsetbv(void *argument)
{
	const struct xcr_write *write = argument;

	xsetbv(write->index, write->value);
}

static uint32_t xsetbv_vector(uint32_t index, uint32_t value)
{
	struct xcr_write write = {index, value};

	return fault_try(try_xsetbv, &write);
}

static void check_xcr0(void)
{
	report_equal("osxsave_before", cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_OSXSAVE, 0);
	fpu_enable();
	if (!(cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_XSAVE)) {
		report_skip("xcr0");
		return;
	}
	report_equal("osxsave_after", cpuid(CPUID_FEATURES, 0).ecx & CPUID1_ECX_OSXSAVE, CPUID1_ECX_OSXSAVE);
	xcr0 = fpu_xcr0();
	report_equal("xcr0_reset", xgetbv(0), XCR0_X87);
	report_fault("xsetbv_0", xsetbv_vector(0, 0), EXC_GP);
	report_fault("xsetbv_no_sse", xsetbv_vector(0, XCR0_X87 | XCR0_AVX), EXC_GP);
	report_fault("xsetbv_not_allowed", xsetbv_vector(0, XCR0_X87 | 1u << 31), EXC_GP);
	report_fault("xsetbv_half_avx512", xsetbv_vector(0, XCR0_X87 | XCR0_SSE | XCR0_AVX | XCR0_OPMASK), EXC_GP);
	report_fault("xsetbv_index_2", xsetbv_vector(2, XCR0_X87), EXC_GP);
	report_fault("xsetbv", xsetbv_vector(0, xcr0), FAULT_NONE);
	report_equal("xcr0", xgetbv(0), xcr0);
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* ---- what must be kept ---- */

static struct kept_msr {
	const char *name;
	uint32_t msr;
	uint64_t mask; /* bits that any value may be written to */
	bool present;
	uint64_t value;
	uint32_t lost;
} kept_msrs[] = {
	{.name = "tsc_aux_kept", .msr = MSR_IA32_TSC_AUX, .mask = 0xffffffff},
	{.name = "star_kept", .msr = MSR_IA32_STAR, .mask = ~0ull},
	{.name = "lstar_kept", .msr = MSR_IA32_LSTAR, .mask = 0x7fffffff},
	{.name = "fmask_kept", .msr = MSR_IA32_FMASK, .mask = 0xffffffff},
	{.name = "kernel_gs_base_kept", .msr = MSR_IA32_KERNEL_GS_BASE, .mask = 0x7fffffff},
	{.name = "sysenter_cs_kept", .msr = MSR_IA32_SYSENTER_CS, .mask = 0xffff},
	{.name = "sysenter_esp_kept", .msr = MSR_IA32_SYSENTER_ESP, .mask = 0x7fffffff},
	{.name = "sysenter_eip_kept", .msr = MSR_IA32_SYSENTER_EIP, .mask = 0x7fffffff},
	{.name = "pat_kept", .msr = MSR_IA32_PAT, .mask = 0x0101010101010101ull},
	{.name = "spec_ctrl_kept", .msr = MSR_IA32_SPEC_CTRL, .mask = SPEC_CTRL_IBRS},
};

static struct kept_register {
	const char *name;
	uint32_t (*read)(void);
	void (*write)(uint32_t value);
	uint32_t mask, fixed;
	uint32_t value;
	uint32_t lost;
} kept_registers[] = {
	{.name = "cr2_kept", .read = read_cr2, .write = write_cr2, .mask = ~0u},
	{.name = "dr0_kept", .read = read_dr0, .write = write_dr0, .mask = ~0u},
	{.name = "dr1_kept", .read = read_dr1, .write = write_dr1, .mask = ~0u},
	{.name = "dr2_kept", .read = read_dr2, .write = write_dr2, .mask = ~0u},
	{.name = "dr3_kept", .read = read_dr3, .write = write_dr3, .mask = ~0u},
	{.name = "dr6_kept", .read = read_dr6, .write = write_dr6, .mask = 0xf, .fixed = DR6_INIT},
};

/* The general-purpose registers over an exit (IN): the number of those that changed. */
static uint32_t gprs_lost(uint32_t pattern)
{
	uint32_t ebx = pattern, ecx = ~pattern, esi = pattern ^ 0x55555555, edi = pattern ^ 0x33333333, eax;

	__asm__ volatile("in %%dx, %%al"
			 : "=a"(eax), "+b"(ebx), "+c"(ecx), "+S"(esi), "+D"(edi)
			 : "d"(PORT_UNANSWERED));
	return (ebx != pattern) + (ecx != ~pattern) + (esi != (pattern ^ 0x55555555)) + (edi != (pattern ^ 0x33333333));
}

static void load_all(uint32_t seed)
{
	for (unsigned i = 0; i < COUNT(kept_msrs); i++) {
		struct kept_msr *m = &kept_msrs[i];

		m->value =
			((uint64_t)next_random(&seed) << 40 ^ (uint64_t)next_random(&seed) << 20 ^ next_random(&seed)) &
			m->mask;
		m->present = fault_wrmsr(m->msr, m->value) == FAULT_NONE;
	}
	for (unsigned i = 0; i < COUNT(kept_registers); i++) {
		struct kept_register *r = &kept_registers[i];

		r->value = ((next_random(&seed) << 16 ^ next_random(&seed)) & r->mask) | r->fixed;
		r->write(r->value);
	}
	fpu_load(&fpu, xcr0, seed);
}

static void check_kept(uint32_t rounds)
{
	uint32_t fpu_lost = 0, xcr0_lost = 0, gpr_lost = 0;

	for (uint32_t round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < PAUSES_BETWEEN_ROUNDS; i++)
			cpu_pause();
		gpr_lost += gprs_lost(round * 0x01010101);
		fpu_lost += !fpu_kept(&fpu, xcr0);
		xcr0_lost += xcr0 && xgetbv(0) != xcr0;
		for (unsigned i = 0; i < COUNT(kept_msrs); i++)
			if (kept_msrs[i].present)
				kept_msrs[i].lost += rdmsr(kept_msrs[i].msr) != kept_msrs[i].value;
		for (unsigned i = 0; i < COUNT(kept_registers); i++)
			kept_registers[i].lost += kept_registers[i].read() != kept_registers[i].value;
	}
	report_equal("gpr_kept", gpr_lost, 0);
	report_equal("fpu_kept", fpu_lost, 0);
	report_equal("xcr0_kept", xcr0_lost, 0);
	for (unsigned i = 0; i < COUNT(kept_msrs); i++)
		if (kept_msrs[i].present)
			report_equal(kept_msrs[i].name, kept_msrs[i].lost, 0);
		else
			report_skip(kept_msrs[i].name);
	for (unsigned i = 0; i < COUNT(kept_registers); i++)
		report_equal(kept_registers[i].name, kept_registers[i].lost, 0);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	report_start("cpustate");
	fault_install();
	check_msrs();
	check_control_registers();
	check_instructions();
	check_xcr0();
	load_all(mb1_number(info, "seed", 1));
	check_kept(mb1_number(info, "rounds", DEFAULT_ROUNDS));
	report_end();
}
