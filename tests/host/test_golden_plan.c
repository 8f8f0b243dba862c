/* The golden table: what each entry does, decision by decision, as text. tests/host/golden_plan.txt holds what it was
 * when somebody last looked at it, docs/mitigations.md shows the same; a change of either is deliberate:
 *
 *     make golden
 *
 * writes both anew. Run from the root; with the argument `print` it prints the table instead of comparing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/msr.h"
#include "hv/policy/entry_plan.h"

#define GOLDEN_FILE "tests/host/golden_plan.txt"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define DIS          ((uint64_t)MCU_OPT_CTRL_FB_CLEAR_DIS)

static char golden[1 << 16];
static size_t golden_length;

static void put(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);

	int written = vsnprintf(golden + golden_length, sizeof(golden) - golden_length, format, arguments);

	va_end(arguments);
	if (written < 0 || (size_t)written >= sizeof(golden) - golden_length)
		abort();
	golden_length += (size_t)written;
}

/* A title, the names of the columns, then rows; cells have no blanks, "-" is nothing. */
static void table(const char *title, const char *columns)
{
	put("%s# %s\n%s\n", golden_length > 0 ? "\n" : "", title, columns);
}

static void put_steps(uint32_t steps, uint32_t among)
{
	static const struct {
		uint32_t step;
		const char *name;
	} NAMES[] = {
		/* in the order in which they are taken */
		{PLAN_MCU_WRITE, "mcu_write"},
		{PLAN_IBPB, "ibpb"},
		{PLAN_L1D_MSR, "l1d_msr"},
		{PLAN_L1D_SOFT, "l1d_soft"},
		{PLAN_SPEC_CTRL_ENTRY, "spec_ctrl_entry"},
		{PLAN_VERW, "verw"},
		{PLAN_LIST_L1D, "list_l1d"},
		{PLAN_LIST_MCU, "list_mcu"},
		{PLAN_IDLE, "hlt"},
		{PLAN_MCU_RESTORE, "mcu_restore"},
		{PLAN_SPEC_CTRL_EXIT, "spec_ctrl_exit"},
		{PLAN_RSB_FILL, "rsb_fill"},
		{PLAN_RSB_ONE, "rsb_one"},
		{PLAN_BHB_CLEAR, "bhb_clear"},
	};
	const char *plus = "";

	put(" ");
	for (size_t i = 0; i < COUNT(NAMES); i++) {
		if (steps & among & NAMES[i].step) {
			put("%s%s", plus, NAMES[i].name);
			plus = "+";
		}
	}
	put("%s", *plus == '\0' ? "-" : "");
}

static const char *yes(bool answer)
{
	return answer ? "yes" : "no";
}

static const char *const MODES[] = {
	[L1D_NEVER] = "never", [L1D_COND] = "cond", [L1D_ALWAYS] = "always", [L1D_NOT_REQUIRED] = "not-required"};
static const char *const STRATEGIES[] = {[FB_CLEAR_DIS_CACHED] = "cached",
					 [FB_CLEAR_DIS_TOGGLE] = "toggle",
					 [FB_CLEAR_DIS_MSRLIST] = "msrlist",
					 [FB_CLEAR_DIS_OFF] = "off"};

static void put_why(uint8_t why)
{
	put(" %s%s%s%s", why & WHY_ALWAYS ? "always" : "", why & WHY_IRQ ? "irq" : "", why & WHY_OWED ? "+owed" : "",
	    why == 0 ? "-" : "");
}

static void l1d_table(void)
{
	static const char *const MECHANISMS[] = {"software", "wrmsr", "msrlist"};
	static const char *const DONE[] = {
		[PLAN_L1D_NONE] = "none",
		[PLAN_L1D_DID_MSR] = "msr",
		[PLAN_L1D_DID_SOFT] = "soft",
		[PLAN_L1D_SKIPPED] = "skip",
	};

	table("L1D flush", "mode owed due by step l1d why request_left");
	for (unsigned mode = L1D_NEVER; mode <= L1D_NOT_REQUIRED; mode++) {
		for (unsigned i = 0; i < 2 * 2 * COUNT(MECHANISMS); i++) {
			unsigned mechanism = i % COUNT(MECHANISMS);
			bool due = i / COUNT(MECHANISMS) % 2, owed = i / COUNT(MECHANISMS) / 2;
			struct mitigation m = {
				.l1d_mode = (uint8_t)mode,
				.l1d_needed = mode != L1D_NOT_REQUIRED,
				.l1d_by_msr = mechanism > 0,
				.l1d_by_list = mechanism == 2,
			};
			struct entry_plan_input in = {.owed = owed, .requests = due ? WHY_IRQ : 0};
			struct entry_plan plan;

			entry_plan_make(&plan, &m, &in);
			put("%s %s %s %s", MODES[mode], yes(owed), yes(due), MECHANISMS[mechanism]);
			put_steps(plan.steps, ~0u);
			put(" %s", DONE[plan.l1d]);
			put_why(plan.why);
			put(" %s\n", yes(entry_plan_requests_left(&plan, in.requests) != 0));
		}
	}
}

static unsigned dis_of(uint64_t mcu_opt_ctrl)
{
	return mcu_opt_ctrl & DIS ? 1 : 0;
}

static void mcu_table(void)
{
	table("VERW and FB_CLEAR_DIS",
	      "verw wants fb_clear_dis dis_before reads steps dis_at_verw dis_in_guest dis_after");
	for (unsigned i = 0; i < 2 * 2 * 4 * 2; i++) {
		struct mitigation m = {.mcu_opt_ctrl = true, .fb_clear_dis = i / 2 % 4, .verw = i / 16};
		struct entry_plan_input in = {.wants_fb_clear_dis = i / 8 % 2, .mcu_opt_ctrl = i % 2 ? DIS : 0};
		struct entry_plan plan;

		entry_plan_make(&plan, &m, &in);
		put("%s %s %s %u %u", yes(m.verw), yes(in.wants_fb_clear_dis), STRATEGIES[m.fb_clear_dis], i % 2,
		    entry_plan_reads_mcu(&m, in.wants_fb_clear_dis) ? 1u : 0u);
		put_steps(plan.steps, ~0u);
		put(" %u %u %u\n", dis_of(plan.mcu_opt_ctrl), plan.fb_clear_dis, dis_of(plan.mcu_opt_ctrl_root));
	}
	for (unsigned i = 0; i < 2 * 2; i++) {
		struct mitigation m = {.fb_clear_dis = FB_CLEAR_DIS_OFF, .verw = i / 2};
		struct entry_plan_input in = {.wants_fb_clear_dis = i % 2};
		struct entry_plan plan;

		entry_plan_make(&plan, &m, &in);
		put("%s %s no-msr - 0", yes(m.verw), yes(in.wants_fb_clear_dis));
		put_steps(plan.steps, ~0u);
		put(" - %u -\n", plan.fb_clear_dis);
	}
}

static void branch_table(void)
{
	static const struct {
		const char *cpu;
		bool always;
		uint64_t host;
		uint8_t rsb;
		bool bhb;
	} CASES[] = {
		{"no-ibrs", false, 0, 32, false},
		{"ibrs", true, SPEC_CTRL_IBRS, 32, false},
		{"ibrs_all+pbrsb+bhi", false, SPEC_CTRL_IBRS, 1, true},
		{"ibrs_all+bhi_ctrl", false, SPEC_CTRL_IBRS | SPEC_CTRL_BHI_DIS_S, 0, false},
	};

	table("Branch predictors", "cpu guest_spec_ctrl other_vm before_entry after_exit");
	for (size_t i = 0; i < COUNT(CASES) * 2 * 2; i++) {
		unsigned c = (unsigned)i / 4;
		bool same = i / 2 % 2, other = i % 2, exists = CASES[c].host != 0;
		struct mitigation m = {
			.spec_ctrl = exists,
			.spec_ctrl_always = CASES[c].always,
			.spec_ctrl_host = CASES[c].host,
			.rsb_calls = CASES[c].rsb,
			.bhb_clear = CASES[c].bhb,
			.ibpb = exists,
		};
		struct entry_plan_input in = {.other_vm = other,
					      .spec_ctrl_guest = same ? m.spec_ctrl_host : SPEC_CTRL_SSBD};
		struct entry_plan plan;

		if (!exists && !same)
			continue;
		entry_plan_make(&plan, &m, &in);
		put("%s %s %s", CASES[c].cpu, !exists ? "-" : same ? "as-host" : "other", yes(other));
		put_steps(plan.steps, PLAN_IBPB | PLAN_SPEC_CTRL_ENTRY);
		put_steps(plan.steps, PLAN_SPEC_CTRL_EXIT | PLAN_RSB_FILL | PLAN_RSB_ONE | PLAN_BHB_CLEAR);
		put("\n");
	}
}

static void idle_table(void)
{
	table("Idle", "verw_idle msr dis_before steps dis_after");
	for (unsigned i = 0; i < 2 * 3; i++) {
		struct mitigation m = {.verw_idle = i / 3, .mcu_opt_ctrl = i % 3 > 0};
		struct entry_plan plan;

		entry_plan_idle(&plan, &m, i % 3 == 2 ? DIS : 0);
		put("%s %s %s", yes(m.verw_idle), yes(m.mcu_opt_ctrl), i % 3 == 0 ? "-" : i % 3 == 2 ? "1" : "0");
		put_steps(plan.steps, ~0u);
		put(" %s\n", i % 3 == 0 ? "-" : dis_of(plan.mcu_opt_ctrl_root) ? "1" : "0");
	}
}

#define MODERN (CPU_ARCH_CAPABILITIES | CPU_L1D_FLUSH | CPU_MD_CLEAR | CPU_IBRS | CPU_STIBP | CPU_SSBD | CPU_AVX)

/* What `auto` comes to on CPUs of each kind. */
static void cpu_table(void)
{
	static const struct {
		const char *name;
		struct cpu_caps caps;
	} CPUS[] = {
		{"skylake-server(no-microcode)", {true, 6, 0x55, 4, CPU_RTM | CPU_AVX, 0, 1}},
		{"skylake-server", {true, 6, 0x55, 4, MODERN | CPU_RTM, 0, 1}},
		{"skylake-server(as-a-guest)",
		 {true, 6, 0x55, 4, MODERN | CPU_HYPERVISOR, ARCH_CAP(SKIP_L1DFL_VMENTRY), 1}},
		{"cascadelake-server(rtm-on)",
		 {true, 6, 0x55, 7, MODERN | CPU_RTM,
		  ARCH_CAP(RDCL_NO) | ARCH_CAP(IBRS_ALL) | ARCH_CAP(MDS_NO) | ARCH_CAP(TSX_CTRL), 1}},
		{"cascadelake-server(rtm-off)",
		 {true, 6, 0x55, 7, MODERN,
		  ARCH_CAP(RDCL_NO) | ARCH_CAP(IBRS_ALL) | ARCH_CAP(MDS_NO) | ARCH_CAP(TSX_CTRL), 1}},
		{"icelake-server(fb_clear_ctrl)",
		 {true, 6, 0x6a, 6, MODERN,
		  ARCH_CAP(RDCL_NO) | ARCH_CAP(IBRS_ALL) | ARCH_CAP(MDS_NO) | ARCH_CAP(TAA_NO) | ARCH_CAP(FB_CLEAR) |
			  ARCH_CAP(FB_CLEAR_CTRL),
		  1}},
		{"alderlake",
		 {true, 6, 0x9a, 4, MODERN | CPU_BHI_CTRL | CPU_HYBRID,
		  ARCH_CAP(RDCL_NO) | ARCH_CAP(IBRS_ALL) | ARCH_CAP(MDS_NO) | ARCH_CAP(TAA_NO) | ARCH_CAP(PBRSB_NO) |
			  ARCH_CAP(RFDS_CLEAR) | ARCH_CAP(SBDR_SSDP_NO) | ARCH_CAP(FBSDP_NO) | ARCH_CAP(PSDP_NO),
		  1}},
		{"silvermont(smt-off)", {true, 6, 0x37, 8, CPU_MD_CLEAR, 0, 1}},
		{"silvermont(smt-on)", {true, 6, 0x37, 8, CPU_MD_CLEAR, 0, 2}},
		{"sapphirerapids",
		 {true, 6, 0x8f, 8, MODERN,
		  ARCH_CAP(RDCL_NO) | ARCH_CAP(IBRS_ALL) | ARCH_CAP(MDS_NO) | ARCH_CAP(TAA_NO) |
			  ARCH_CAP(SBDR_SSDP_NO) | ARCH_CAP(FBSDP_NO) | ARCH_CAP(PSDP_NO) | ARCH_CAP(BHI_NO) |
			  ARCH_CAP(PBRSB_NO),
		  1}},
	};
	static const enum knob SHOWN[] = {KNOB_VMENTRY_L1D_FLUSH, KNOB_L1D_FLUSH_BY, KNOB_VERW,
					  KNOB_FB_CLEAR_DIS,      KNOB_RSB,          KNOB_BHB,
					  KNOB_SPEC_CTRL,         KNOB_IBPB};
	struct knobs knobs = knob_defaults();

	table("Defaults", "cpu vmentry_l1d_flush l1d_flush_by verw fb_clear_dis rsb bhb spec_ctrl ibpb verw_idle");
	for (size_t i = 0; i < COUNT(CPUS); i++) {
		struct machine machine = {.caps = CPUS[i].caps, .bugs = bugs_find(&CPUS[i].caps)};
		struct mitigation m = mitigation_select(&machine, &knobs);

		put("%s", CPUS[i].name);
		for (size_t k = 0; k < COUNT(SHOWN); k++)
			put(" %s", mitigation_effective(&m, &knobs, SHOWN[k]));
		put(" %s\n", yes(m.verw_idle));
	}
}

static void make_golden(void)
{
	cpu_table();
	l1d_table();
	mcu_table();
	branch_table();
	idle_table();
}

static void the_plans_are_those_of_the_golden_table(void **state)
{
	static char stored[sizeof(golden)];
	FILE *file = fopen(GOLDEN_FILE, "r");
	unsigned line = 1;
	size_t i = 0;

	(void)state;
	if (file == NULL)
		fail_msg("cannot read %s: run this from the root", GOLDEN_FILE);
	stored[fread(stored, 1, sizeof(stored) - 1, file)] = '\0';
	fclose(file);
	while (stored[i] != '\0' && stored[i] == golden[i])
		line += stored[i++] == '\n';
	if (stored[i] == golden[i])
		return;
	/* Both lines as far as they are told apart. */
	while (i > 0 && golden[i - 1] != '\n')
		i--;
	fail_msg("%s, line %u: \"%.*s\", now \"%.*s\"; if that is meant: make golden", GOLDEN_FILE, line,
		 (int)strcspn(stored + i, "\n"), stored + i, (int)strcspn(golden + i, "\n"), golden + i);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_plans_are_those_of_the_golden_table),
	};

	make_golden();
	if (argc == 2 && strcmp(argv[1], "print") == 0) {
		fputs(golden, stdout);
		return 0;
	}
	return cmocka_run_group_tests_name("golden_plan", tests, NULL, NULL);
}
