/* hv/policy/mitigation.c: every combination of knobs on a set of machines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/msr.h"
#include "hv/policy/mitigation.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

#define NEW_FEATURES                                                                                        \
	(CPU_ARCH_CAPABILITIES | CPU_L1D_FLUSH | CPU_MD_CLEAR | CPU_IBRS | CPU_STIBP | CPU_SSBD | CPU_AVX | \
	 CPU_RDRAND_RDSEED)
#define FBCLEAR_CAPS                                                                                         \
	(ARCH_CAP(RDCL_NO) | ARCH_CAP(IBRS_ALL) | ARCH_CAP(MDS_NO) | ARCH_CAP(TAA_NO) | ARCH_CAP(FB_CLEAR) | \
	 ARCH_CAP(FB_CLEAR_CTRL))

enum {
	SKYLAKE,     /* without microcode, as Bochs gives it */
	SKYLAKE_NEW, /* with all of it */
	ICELAKE,     /* as bochs-icelake */
	FBCLEAR,     /* as bochs-fbclear */
	NESTED,      /* an outer hypervisor flushes */
	SILVERMONT,  /* store buffers only */
	CASCADELAKE, /* TAA and MMIO */
	ALDERLAKE,   /* RFDS, BHI_DIS_S */
	IMMUNE,      /* immune to everything */
	OTHER,       /* another vendor, with nothing */
	GEMINILAKE,  /* no L1TF; RFDS without microcode */
};

static const struct cpu_caps CPUS[] = {
	[SKYLAKE] = {true, 6, 0x55, 4, CPU_RTM | CPU_AVX | CPU_RDRAND_RDSEED, 0, 1},
	[SKYLAKE_NEW] = {true, 6, 0x55, 4, NEW_FEATURES | CPU_RTM, ARCH_CAP(RSBA), 1},
	[ICELAKE] = {true, 6, 0x7e, 5, NEW_FEATURES & ~(uint32_t)CPU_MD_CLEAR, ARCH_CAP(IBRS_ALL) | ARCH_CAP(SSB_NO),
		     1},
	[FBCLEAR] = {true, 6, 0x55, 4, CPU_ARCH_CAPABILITIES | CPU_L1D_FLUSH | CPU_MD_CLEAR | CPU_RTM, FBCLEAR_CAPS, 1},
	[NESTED] = {true, 6, 0x55, 4, NEW_FEATURES | CPU_HYPERVISOR, ARCH_CAP(SKIP_L1DFL_VMENTRY), 1},
	[SILVERMONT] = {true, 6, 0x37, 3, CPU_MD_CLEAR, 0, 1},
	[CASCADELAKE] = {true, 6, 0x55, 7, NEW_FEATURES | CPU_RTM | CPU_SRBDS_CTRL,
			 ARCH_CAP(RDCL_NO) | ARCH_CAP(IBRS_ALL) | ARCH_CAP(MDS_NO) | ARCH_CAP(TSX_CTRL), 1},
	[ALDERLAKE] = {true, 6, 0x9a, 4, NEW_FEATURES | CPU_BHI_CTRL | CPU_HYBRID,
		       ARCH_CAP(RDCL_NO) | ARCH_CAP(IBRS_ALL) | ARCH_CAP(MDS_NO) | ARCH_CAP(TAA_NO) |
			       ARCH_CAP(RFDS_CLEAR) | ARCH_CAP(PBRSB_NO),
		       1},
	[IMMUNE] = {true, 6, 0xad, 1, NEW_FEATURES, ~0ull & ~ARCH_CAP(RFDS_CLEAR) & ~ARCH_CAP(SKIP_L1DFL_VMENTRY), 1},
	[OTHER] = {false, 7, 0x3b, 0, 0, 0, 1},
	[GEMINILAKE] = {true, 6, 0x7a, 8, CPU_RDRAND_RDSEED, 0, 1},
};

static struct machine machine_of(unsigned cpu, uint32_t threads)
{
	struct machine machine = {.caps = CPUS[cpu]};

	machine.caps.threads_per_core = threads;
	machine.bugs = bugs_find(&machine.caps);
	machine.host_arch_capabilities = machine.caps.arch_capabilities;
	machine.supported_caps = bugs_supported_caps(&machine.caps, machine.bugs);
	return machine;
}

static struct mitigation defaults_on(unsigned cpu, uint32_t threads)
{
	struct machine machine = machine_of(cpu, threads);
	struct knobs knobs = knob_defaults();

	return mitigation_select(&machine, &knobs);
}

typedef void (*property)(const struct machine *machine, const struct knobs *knobs, const struct mitigation *m);

static void for_all(property holds)
{
	static const uint8_t VALUES[KNOB_COUNT] = {
		[KNOB_VMENTRY_L1D_FLUSH] = 4, [KNOB_VERW] = 3, [KNOB_FB_CLEAR_DIS] = 4, [KNOB_RSB] = 2, [KNOB_BHB] = 2,
		[KNOB_SPEC_CTRL] = 2,         [KNOB_IBPB] = 2, [KNOB_LOGLEVEL] = 1, /* decides nothing here */
		[KNOB_L1D_FLUSH_BY] = 2,
	};
	static const uint32_t LISTS[] = {0, CPU_MSR_FLUSH_CMD, CPU_MSR_MCU_OPT_CTRL, ~0u};
	unsigned combinations = 1;

	for (unsigned knob = 0; knob < KNOB_COUNT; knob++)
		combinations *= VALUES[knob];
	for (unsigned cpu = 0; cpu < COUNT(CPUS); cpu++) {
		for (unsigned which = 0; which < 2 * COUNT(LISTS); which++) {
			struct machine machine = machine_of(cpu, 1 + which % 2);

			machine.entry_list_msrs = LISTS[which / 2];

			for (unsigned i = 0; i < combinations; i++) {
				struct knobs knobs;
				unsigned rest = i;

				for (unsigned knob = 0; knob < KNOB_COUNT; knob++) {
					knobs.value[knob] = (uint8_t)(rest % VALUES[knob]);
					rest /= VALUES[knob];
				}

				struct mitigation m = mitigation_select(&machine, &knobs);

				holds(&machine, &knobs, &m);
			}
		}
	}
}

static void check_l1d(const struct machine *machine, const struct knobs *knobs, const struct mitigation *m)
{
	bool needed = machine->bugs & BUG_L1TF && !(machine->caps.arch_capabilities & ARCH_CAP(SKIP_L1DFL_VMENTRY));
	uint8_t none = needed ? L1D_NEVER : L1D_NOT_REQUIRED;

	assert_true(m->l1d_needed == needed);
	switch (knobs->value[KNOB_VMENTRY_L1D_FLUSH]) {
	case L1D_REQUEST_AUTO:
		assert_int_equal(m->l1d_mode, needed ? L1D_COND : L1D_NOT_REQUIRED);
		break;
	case L1D_REQUEST_NEVER:
		assert_int_equal(m->l1d_mode, none);
		break;
	case L1D_REQUEST_COND:
		assert_int_equal(m->l1d_mode, L1D_COND);
		break;
	default:
		assert_int_equal(m->l1d_mode, L1D_ALWAYS);
	}
	assert_true(m->l1d_by_msr == !!(machine->caps.features & CPU_L1D_FLUSH));
	assert_true(m->l1d_by_list == (m->l1d_by_msr && knobs->value[KNOB_L1D_FLUSH_BY] == L1D_FLUSH_BY_MSRLIST &&
				       machine->entry_list_msrs & CPU_MSR_FLUSH_CMD));
	assert_true(mitigation_skip_l1dfl(m) == (m->l1d_mode != L1D_NEVER));
}

static void l1d_modes_are_as_asked_and_auto_is_what_is_needed(void **state)
{
	(void)state;
	for_all(check_l1d);
}

static void check_verw(const struct machine *machine, const struct knobs *knobs, const struct mitigation *m)
{
	bool needed =
		machine->bugs & (BUG_MDS | BUG_RFDS) || (machine->bugs & BUG_TAA && machine->caps.features & CPU_RTM);
	uint8_t request = knobs->value[KNOB_VERW];

	assert_true(m->verw == (request == VERW_ON || (request == VERW_AUTO && needed)));
}

/* Trap 3 as a policy: nothing about the L1D flush, and no missing microcode, turns VERW off. */
static void trap3_verw_hangs_on_the_bugs_alone(void **state)
{
	(void)state;
	for_all(check_verw);
	assert_true(defaults_on(SKYLAKE, 1).verw);
	assert_true(defaults_on(ICELAKE, 1).verw);
	assert_true(defaults_on(CASCADELAKE, 1).verw);
	assert_true(defaults_on(ALDERLAKE, 1).verw);
	assert_true(defaults_on(GEMINILAKE, 1).verw);
	assert_false(defaults_on(FBCLEAR, 1).verw);
	assert_false(defaults_on(IMMUNE, 1).verw);
}

static void check_idle(const struct machine *machine, const struct knobs *knobs, const struct mitigation *m)
{
	bool buffers = machine->bugs & BUG_MMIO_STALE_DATA && !(machine->caps.arch_capabilities & ARCH_CAP(FBSDP_NO));
	bool sibling = machine->bugs & BUG_MSBDS_ONLY && machine->caps.threads_per_core > 1;

	assert_true(m->verw_idle == (knobs->value[KNOB_VERW] != VERW_OFF && (buffers || sibling)));
}

static void trap29_idle_clears_buffers_where_fbsdp_no_is_0(void **state)
{
	(void)state;
	for_all(check_idle);
	assert_true(defaults_on(FBCLEAR, 1).verw_idle);
	assert_false(defaults_on(SILVERMONT, 1).verw_idle);
	assert_true(defaults_on(SILVERMONT, 2).verw_idle);
	assert_false(defaults_on(IMMUNE, 2).verw_idle);
}

static void check_mcu(const struct machine *machine, const struct knobs *knobs, const struct mitigation *m)
{
	bool control = machine->caps.arch_capabilities & ARCH_CAP(FB_CLEAR_CTRL);
	uint8_t asked = knobs->value[KNOB_FB_CLEAR_DIS];

	if (asked == FB_CLEAR_DIS_MSRLIST && !(machine->entry_list_msrs & CPU_MSR_MCU_OPT_CTRL))
		asked = FB_CLEAR_DIS_CACHED;

	assert_true(m->mcu_opt_ctrl == !!(cpu_caps_msrs(&machine->caps) & CPU_MSR_MCU_OPT_CTRL));
	assert_true(!control || m->mcu_opt_ctrl);
	assert_int_equal(m->fb_clear_dis, control ? asked : FB_CLEAR_DIS_OFF);
}

static void trap18_mcu_opt_ctrl_is_used_only_where_it_exists(void **state)
{
	(void)state;
	for_all(check_mcu);
	assert_int_equal(defaults_on(FBCLEAR, 1).fb_clear_dis, FB_CLEAR_DIS_CACHED);
	assert_true(defaults_on(CASCADELAKE, 1).mcu_opt_ctrl);
	assert_int_equal(defaults_on(CASCADELAKE, 1).fb_clear_dis, FB_CLEAR_DIS_OFF);
}

static void check_spec_ctrl(const struct machine *machine, const struct knobs *knobs, const struct mitigation *m)
{
	bool on = knobs->value[KNOB_SPEC_CTRL] == AUTO;
	bool ibrs = on && machine->caps.features & CPU_IBRS;
	bool bhi = on && knobs->value[KNOB_BHB] == AUTO && machine->bugs & BUG_BHI &&
		   machine->caps.features & CPU_BHI_CTRL;
	bool ibrs_all = machine->caps.arch_capabilities & ARCH_CAP(IBRS_ALL);

	assert_true(m->spec_ctrl_host == ((ibrs ? SPEC_CTRL_IBRS : 0u) | (bhi ? SPEC_CTRL_BHI_DIS_S : 0u)));
	assert_true(m->spec_ctrl_always == (ibrs && !ibrs_all));
	/* The guest's value stays the guest's, whatever the knob. */
	assert_true(m->spec_ctrl == !!(machine->caps.features & (CPU_IBRS | CPU_STIBP | CPU_SSBD)));
	assert_true(m->spec_ctrl_host == 0 || m->spec_ctrl);
}

static void trap37_host_ibrs_is_written_after_each_exit_without_ibrs_all(void **state)
{
	(void)state;
	for_all(check_spec_ctrl);
	assert_true(defaults_on(SKYLAKE_NEW, 1).spec_ctrl_always);
	assert_false(defaults_on(ICELAKE, 1).spec_ctrl_always);
	assert_true(defaults_on(ALDERLAKE, 1).spec_ctrl_host == (SPEC_CTRL_IBRS | SPEC_CTRL_BHI_DIS_S));
}

static void check_branches(const struct machine *machine, const struct knobs *knobs, const struct mitigation *m)
{
	bool enhanced = machine->caps.arch_capabilities & ARCH_CAP(IBRS_ALL) && m->spec_ctrl_host & SPEC_CTRL_IBRS;
	int calls = !enhanced ? 32 : machine->bugs & BUG_PBRSB ? 1 : 0;

	assert_int_equal(m->rsb_calls, knobs->value[KNOB_RSB] == OFF ? 0 : calls);
	assert_true(m->bhb_clear == (knobs->value[KNOB_BHB] == AUTO && machine->bugs & BUG_BHI &&
				     !(machine->caps.features & CPU_BHI_CTRL)));
	assert_false(m->bhb_clear && m->spec_ctrl_host & SPEC_CTRL_BHI_DIS_S);
	assert_true(m->ibpb == (knobs->value[KNOB_IBPB] == AUTO && machine->caps.features & CPU_IBRS));
}

static void rsb_bhb_and_ibpb(void **state)
{
	(void)state;
	for_all(check_branches);
	assert_int_equal(defaults_on(SKYLAKE, 1).rsb_calls, 32);
	assert_int_equal(defaults_on(ICELAKE, 1).rsb_calls, 1);
	assert_int_equal(defaults_on(ALDERLAKE, 1).rsb_calls, 0);
	assert_true(defaults_on(ICELAKE, 1).bhb_clear);
}

/* Trap 26: what is not as requested is never said to have been asked for; what is automatic has a cause. */
static void check_reasons(const struct machine *machine, const struct knobs *knobs, const struct mitigation *m)
{
	for (unsigned i = 0; i < KNOB_COUNT; i++) {
		enum knob knob = (enum knob)i;
		const char *effective = mitigation_effective(m, knobs, knob);
		const char *reason = mitigation_reason(machine, knobs, knob);
		const char *requested = knob_value_name(knob, knobs->value[knob]);
		bool as_requested = strcmp(effective, requested) == 0;

		assert_true(strcmp(reason, "asked for") != 0 || as_requested);
		assert_true(strcmp(requested, "auto") == 0 || as_requested || strstr(reason, "cpu") != NULL ||
			    strstr(reason, "hypervisor") != NULL);
		assert_in_range(strlen(reason), 5, 120);
		for (const char *c = reason; *c != '\0'; c++)
			assert_false(*c == '"' || (*c >= 'A' && *c <= 'Z'));
	}
}

static void trap26_a_coerced_value_is_never_reported_as_asked_for(void **state)
{
	(void)state;
	for_all(check_reasons);
}

static void check_effective(const struct machine *machine, const struct knobs *knobs, const struct mitigation *m)
{
	static const char *const L1D[] = {"never", "cond", "always", "not-required"};
	static const char *const STRATEGIES[] = {"cached", "toggle", "msrlist", "off"};

	(void)machine;
	assert_string_equal(mitigation_effective(m, knobs, KNOB_VMENTRY_L1D_FLUSH), L1D[m->l1d_mode]);
	assert_string_equal(mitigation_effective(m, knobs, KNOB_VERW), m->verw ? "on" : "off");
	assert_string_equal(mitigation_effective(m, knobs, KNOB_FB_CLEAR_DIS), STRATEGIES[m->fb_clear_dis]);
	assert_string_equal(mitigation_effective(m, knobs, KNOB_L1D_FLUSH_BY), !m->l1d_by_msr   ? "software"
									       : m->l1d_by_list ? "msrlist"
												: "wrmsr");
	assert_string_equal(mitigation_effective(m, knobs, KNOB_RSB), m->rsb_calls == 32  ? "fill"
								      : m->rsb_calls == 1 ? "one"
											  : "off");
	assert_string_equal(mitigation_effective(m, knobs, KNOB_BHB), m->bhb_clear ? "loop"
								      : m->spec_ctrl_host & SPEC_CTRL_BHI_DIS_S
									      ? "hardware"
									      : "off");
	assert_string_equal(mitigation_effective(m, knobs, KNOB_SPEC_CTRL), !(m->spec_ctrl_host & 1) ? "off"
									    : m->spec_ctrl_always    ? "ibrs"
												     : "eibrs");
	assert_string_equal(mitigation_effective(m, knobs, KNOB_IBPB), m->ibpb ? "on" : "off");
	assert_string_equal(mitigation_effective(m, knobs, KNOB_LOGLEVEL),
			    knob_value_name(KNOB_LOGLEVEL, knobs->value[KNOB_LOGLEVEL]));
}

static void effective_values_say_what_is_in_force(void **state)
{
	(void)state;
	for_all(check_effective);
}

/* What every CPU took in the entry area is used; what one refused is coerced and said. */
static void trap26_what_the_entry_list_does_not_take_is_coerced_and_said(void **state)
{
	struct machine machine = machine_of(FBCLEAR, 1);
	struct knobs knobs = knob_defaults();
	struct mitigation m;

	(void)state;
	knobs.value[KNOB_FB_CLEAR_DIS] = FB_CLEAR_DIS_MSRLIST;
	knobs.value[KNOB_L1D_FLUSH_BY] = L1D_FLUSH_BY_MSRLIST;
	m = mitigation_select(&machine, &knobs);
	assert_string_equal(mitigation_effective(&m, &knobs, KNOB_FB_CLEAR_DIS), "cached");
	assert_string_equal(mitigation_reason(&machine, &knobs, KNOB_FB_CLEAR_DIS),
			    "cpu does not take ia32_mcu_opt_ctrl in the vm-entry msr-load area");
	assert_string_equal(mitigation_effective(&m, &knobs, KNOB_L1D_FLUSH_BY), "wrmsr");
	assert_string_equal(mitigation_reason(&machine, &knobs, KNOB_L1D_FLUSH_BY),
			    "cpu does not take ia32_flush_cmd in the vm-entry msr-load area");
	machine.entry_list_msrs = CPU_MSR_FLUSH_CMD | CPU_MSR_MCU_OPT_CTRL;
	m = mitigation_select(&machine, &knobs);
	assert_string_equal(mitigation_effective(&m, &knobs, KNOB_FB_CLEAR_DIS), "msrlist");
	assert_string_equal(mitigation_reason(&machine, &knobs, KNOB_FB_CLEAR_DIS), "asked for");
	assert_string_equal(mitigation_effective(&m, &knobs, KNOB_L1D_FLUSH_BY), "msrlist");
	assert_string_equal(mitigation_reason(&machine, &knobs, KNOB_L1D_FLUSH_BY), "asked for");
	machine = machine_of(SKYLAKE, 1);
	m = mitigation_select(&machine, &knobs);
	assert_string_equal(mitigation_effective(&m, &knobs, KNOB_L1D_FLUSH_BY), "software");
	assert_string_equal(mitigation_reason(&machine, &knobs, KNOB_L1D_FLUSH_BY), "cpu has no l1d_flush");
}

static const char *reason_on(unsigned cpu, enum knob knob, uint8_t value)
{
	struct machine machine = machine_of(cpu, 1);
	struct knobs knobs = knob_defaults();

	knobs.value[knob] = value;
	return mitigation_reason(&machine, &knobs, knob);
}

static void reasons_that_people_read(void **state)
{
	const enum knob l1d = KNOB_VMENTRY_L1D_FLUSH;

	(void)state;
	assert_string_equal(reason_on(SKYLAKE, l1d, L1D_REQUEST_AUTO), "cpu is affected by l1tf");
	assert_string_equal(reason_on(SKYLAKE, l1d, L1D_REQUEST_NEVER), "asked for");
	assert_string_equal(reason_on(FBCLEAR, l1d, L1D_REQUEST_NEVER), "cpu is not affected by l1tf");
	assert_string_equal(reason_on(NESTED, l1d, L1D_REQUEST_AUTO), "an outer hypervisor flushes");
	assert_string_equal(reason_on(SKYLAKE, KNOB_VERW, VERW_AUTO),
			    "cpu is affected by mds; no microcode (md_clear) seen, tried all the same");
	assert_string_equal(reason_on(SKYLAKE_NEW, KNOB_VERW, VERW_AUTO), "cpu is affected by mds");
	assert_string_equal(reason_on(CASCADELAKE, KNOB_VERW, VERW_AUTO), "cpu is affected by taa");
	assert_string_equal(reason_on(ALDERLAKE, KNOB_VERW, VERW_AUTO), "cpu is affected by rfds");
	assert_string_equal(reason_on(SKYLAKE, KNOB_FB_CLEAR_DIS, FB_CLEAR_DIS_CACHED), "cpu has no ia32_mcu_opt_ctrl");
	assert_string_equal(reason_on(CASCADELAKE, KNOB_FB_CLEAR_DIS, FB_CLEAR_DIS_CACHED), "cpu has no fb_clear_ctrl");
}

static const char *state_on(unsigned cpu, uint32_t threads, enum knob knob, uint8_t value, enum bug bug)
{
	static char text[256];
	struct machine machine = machine_of(cpu, threads);
	struct knobs knobs = knob_defaults();

	knobs.value[knob] = value;

	struct mitigation m = mitigation_select(&machine, &knobs);

	mitigation_bug_state(text, sizeof(text), &machine, &m, bug);
	return text;
}

static const char *default_state(unsigned cpu, uint32_t threads, enum bug bug)
{
	return state_on(cpu, threads, KNOB_LOGLEVEL, LOG_INFO, bug);
}

static void states_in_the_words_of_linux(void **state)
{
	const enum knob l1d = KNOB_VMENTRY_L1D_FLUSH;

	(void)state;
	assert_string_equal(default_state(IMMUNE, 1, BUG_L1TF), "Not affected");
	assert_string_equal(default_state(SKYLAKE_NEW, 1, BUG_L1TF),
			    "Mitigation: VMX: conditional cache flushes, SMT disabled");
	assert_string_equal(default_state(SKYLAKE, 1, BUG_L1TF),
			    "Mitigation: VMX: conditional cache flushes, SMT disabled; by software, no microcode "
			    "(L1D_FLUSH)");
	assert_string_equal(state_on(SKYLAKE_NEW, 2, l1d, L1D_REQUEST_ALWAYS, BUG_L1TF),
			    "Mitigation: VMX: cache flushes, SMT vulnerable");
	assert_string_equal(state_on(SKYLAKE, 1, l1d, L1D_REQUEST_NEVER, BUG_L1TF),
			    "Vulnerable: VMX: vulnerable, SMT disabled");
	assert_string_equal(default_state(NESTED, 1, BUG_L1TF),
			    "Mitigation: VMX: flush not necessary, SMT Host state unknown");
	assert_string_equal(default_state(SKYLAKE_NEW, 1, BUG_MDS), "Mitigation: Clear CPU buffers; SMT disabled");
	assert_string_equal(default_state(SKYLAKE, 1, BUG_MDS),
			    "Vulnerable: Clear CPU buffers attempted, no microcode; SMT disabled");
	assert_string_equal(state_on(SKYLAKE_NEW, 2, KNOB_VERW, VERW_OFF, BUG_MDS), "Vulnerable; SMT vulnerable");
	assert_string_equal(default_state(SILVERMONT, 2, BUG_MDS), "Mitigation: Clear CPU buffers; SMT mitigated");
	assert_string_equal(default_state(CASCADELAKE, 1, BUG_TAA), "Mitigation: Clear CPU buffers; SMT disabled");
	assert_string_equal(default_state(ALDERLAKE, 1, BUG_RFDS), "Mitigation: Clear Register File");
	assert_string_equal(default_state(GEMINILAKE, 1, BUG_RFDS),
			    "Vulnerable: Clear Register File attempted, no microcode");
	assert_string_equal(default_state(ICELAKE, 1, BUG_SRBDS), "Vulnerable: No microcode");
	assert_string_equal(default_state(NESTED, 1, BUG_GDS), "Unknown: Dependent on hypervisor status");
	assert_string_equal(default_state(ICELAKE, 1, BUG_BHI), "Mitigation: VMX: SW loop");
	assert_string_equal(default_state(ALDERLAKE, 1, BUG_BHI), "Mitigation: BHI_DIS_S");
	assert_string_equal(state_on(ICELAKE, 1, KNOB_BHB, OFF, BUG_BHI), "Vulnerable");
}

static void check_states(const struct machine *machine, const struct knobs *knobs, const struct mitigation *m)
{
	static const char *const STARTS[] = {"Mitigation: ", "Vulnerable", "Unknown: "};

	(void)knobs;
	for (unsigned row = 0; row < BUG_ROW_COUNT; row++) {
		enum bug bug = (enum bug)(1u << row);
		bool affected = machine->bugs & bug;
		char text[256];
		bool known_start = false;

		mitigation_bug_state(text, sizeof(text), machine, m, bug);
		assert_true(strlen(text) < 200);
		assert_null(strchr(text, '"'));
		assert_true((strncmp(text, "Not affected", 12) == 0) == !affected);
		for (size_t i = 0; i < COUNT(STARTS); i++)
			known_start |= strncmp(text, STARTS[i], strlen(STARTS[i])) == 0;
		assert_true(known_start == affected);

		/* What no VERW and no flush on this thread helps against. */
		bool shared = bug == BUG_L1TF || bug == BUG_MDS || bug == BUG_MMIO_STALE_DATA ||
			      (bug == BUG_TAA && machine->caps.features & CPU_RTM);

		if (affected && shared)
			assert_non_null(strstr(text, "SMT "));
		if (affected && shared && machine->caps.threads_per_core > 1)
			assert_null(strstr(text, "SMT disabled"));

		/* Missing microcode is named, and does not pass for a mitigation. */
		if (bug == BUG_MDS && affected && m->verw && !(machine->caps.features & CPU_MD_CLEAR)) {
			assert_non_null(strstr(text, "no microcode"));
			assert_int_equal(strncmp(text, "Vulnerable", 10), 0);
		}
		if (bug == BUG_L1TF && affected && !(machine->caps.features & CPU_L1D_FLUSH) &&
		    (m->l1d_mode == L1D_COND || m->l1d_mode == L1D_ALWAYS))
			assert_non_null(strstr(text, "no microcode"));

		char cut[8];

		mitigation_bug_state(cut, sizeof(cut), machine, m, bug);
		assert_int_equal(strlen(cut), 7);
	}
}

static void trap30_states_are_not_silent_about_smt_and_microcode(void **state)
{
	(void)state;
	for_all(check_states);
}

static void trap30_fb_clear_dis_with_smt_is_said_to_be_undocumented(void **state)
{
	(void)state;
	assert_non_null(strstr(default_state(FBCLEAR, 2, BUG_MMIO_STALE_DATA), "FB_CLEAR_DIS"));
	assert_null(strstr(default_state(FBCLEAR, 1, BUG_MMIO_STALE_DATA), "FB_CLEAR_DIS"));
	assert_null(
		strstr(state_on(FBCLEAR, 2, KNOB_FB_CLEAR_DIS, FB_CLEAR_DIS_OFF, BUG_MMIO_STALE_DATA), "FB_CLEAR_DIS"));
}

/* Trap 14: MD_CLEAR on an MDS_NO part is no sign that VERW helps against TAA. */
static void trap14_md_clear_alone_is_no_microcode_for_taa(void **state)
{
	struct machine machine = machine_of(CASCADELAKE, 1);
	struct knobs knobs = knob_defaults();
	char text[256];

	(void)state;
	machine.caps.arch_capabilities &= ~ARCH_CAP(TSX_CTRL);
	machine.bugs = bugs_find(&machine.caps);

	struct mitigation m = mitigation_select(&machine, &knobs);

	assert_true(m.verw);
	mitigation_bug_state(text, sizeof(text), &machine, &m, BUG_TAA);
	assert_string_equal(text, "Vulnerable: Clear CPU buffers attempted, no microcode; SMT disabled");
	/* TSX off by its switch. */
	machine.caps.features &= ~(uint32_t)CPU_RTM;
	machine.caps.arch_capabilities |= ARCH_CAP(TSX_CTRL);
	machine.bugs = bugs_find(&machine.caps);
	assert_true(machine.bugs & BUG_TAA);
	m = mitigation_select(&machine, &knobs);
	assert_false(m.verw);
	mitigation_bug_state(text, sizeof(text), &machine, &m, BUG_TAA);
	assert_string_equal(text, "Mitigation: TSX disabled");
}

/* Trap 15: one pCPU with transactions is enough for TAA, though no guest is shown RTM then. */
static void trap15_rtm_of_some_pcpus_only_does_not_make_taa_forgotten(void **state)
{
	const struct cpu_caps with = machine_of(CASCADELAKE, 1).caps;
	struct knobs knobs = knob_defaults();
	struct cpu_caps without = with;
	char text[256];

	(void)state;
	without.features &= ~(uint32_t)CPU_RTM;
	for (unsigned order = 0; order < 2; order++) {
		struct machine machine = {
			.caps = order ? cpu_caps_common(&with, &without) : cpu_caps_common(&without, &with),
			.bugs = bugs_find(&with) | bugs_find(&without),
		};

		machine.supported_caps = bugs_supported_caps(&machine.caps, machine.bugs);
		assert_false(machine.caps.features & CPU_RTM);
		assert_false(machine.supported_caps & (ARCH_CAP(TAA_NO) | ARCH_CAP(TSX_CTRL)));

		struct mitigation m = mitigation_select(&machine, &knobs);

		assert_true(m.verw);
		assert_string_equal(mitigation_reason(&machine, &knobs, KNOB_VERW), "cpu is affected by taa");
		mitigation_bug_state(text, sizeof(text), &machine, &m, BUG_TAA);
		assert_string_equal(text, "Mitigation: Clear CPU buffers; SMT disabled");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l1d_modes_are_as_asked_and_auto_is_what_is_needed),
		cmocka_unit_test(trap3_verw_hangs_on_the_bugs_alone),
		cmocka_unit_test(trap29_idle_clears_buffers_where_fbsdp_no_is_0),
		cmocka_unit_test(trap18_mcu_opt_ctrl_is_used_only_where_it_exists),
		cmocka_unit_test(trap37_host_ibrs_is_written_after_each_exit_without_ibrs_all),
		cmocka_unit_test(rsb_bhb_and_ibpb),
		cmocka_unit_test(trap26_a_coerced_value_is_never_reported_as_asked_for),
		cmocka_unit_test(effective_values_say_what_is_in_force),
		cmocka_unit_test(reasons_that_people_read),
		cmocka_unit_test(states_in_the_words_of_linux),
		cmocka_unit_test(trap30_states_are_not_silent_about_smt_and_microcode),
		cmocka_unit_test(trap30_fb_clear_dis_with_smt_is_said_to_be_undocumented),
		cmocka_unit_test(trap14_md_clear_alone_is_no_microcode_for_taa),
		cmocka_unit_test(trap15_rtm_of_some_pcpus_only_does_not_make_taa_forgotten),
		cmocka_unit_test(trap26_what_the_entry_list_does_not_take_is_coerced_and_said),
	};

	return cmocka_run_group_tests_name("mitigation", tests, NULL, NULL);
}
