/* hv/policy/entry_plan.c: every combination of policy, pCPU and vCPU state, and what must be true of each plan. The
 * guarantees G1 to G4 are those of the interface, section 5; traps have the numbers of the list of hardware facts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/msr.h"
#include "hv/policy/entry_plan.h"

#define L1D_STEPS     ((uint32_t)(PLAN_L1D_MSR | PLAN_L1D_SOFT | PLAN_LIST_L1D))
#define REQUEST_KINDS 16u /* combinations of the four kinds */

static const uint64_t MCU_VALUES[] = {
	0,
	MCU_OPT_CTRL_FB_CLEAR_DIS,
	MCU_OPT_CTRL_RNGDS_MITG_DIS | MCU_OPT_CTRL_GDS_MITG_LOCK,
	~0ull,
	~0ull & ~(uint64_t)MCU_OPT_CTRL_FB_CLEAR_DIS,
	0xa5a5a5a5a5a5a5a5ull,
	1ull << 63 | MCU_OPT_CTRL_FB_CLEAR_DIS,
};

struct spec_ctrl_case {
	bool exists, always;
	uint64_t host, guest;
};

static const struct spec_ctrl_case SPEC_CTRL_CASES[] = {
	{false, false, 0, 0},
	{true, false, 0, 0},
	{true, false, 0, SPEC_CTRL_SSBD},
	{true, true, SPEC_CTRL_IBRS, SPEC_CTRL_IBRS},
	{true, true, SPEC_CTRL_IBRS, 0},
	{true, false, SPEC_CTRL_IBRS | SPEC_CTRL_BHI_DIS_S, SPEC_CTRL_IBRS},
	{true, false, SPEC_CTRL_IBRS, SPEC_CTRL_IBRS},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static uint8_t requests_of(unsigned kinds)
{
	return (uint8_t)((kinds & 1 ? WHY_SWITCH : 0) | (kinds & 2 ? WHY_IRQ : 0) | (kinds & 4 ? WHY_HOST : 0) |
			 (kinds & 8 ? WHY_RETRY : 0));
}

static unsigned take(unsigned *digits, unsigned base)
{
	unsigned digit = *digits % base;

	*digits /= base;
	return digit;
}

/* What the L1D, VERW and the MSRs hang on. */
#define MATTERS \
	(4u * REQUEST_KINDS * (unsigned)COUNT(MCU_VALUES) * (unsigned)COUNT(SPEC_CTRL_CASES) * 3u * 4u * (1u << 5))

static void matters_make(unsigned i, struct mitigation *m, struct entry_plan_input *in)
{
	*m = (struct mitigation){.l1d_mode = (uint8_t)take(&i, 4)};
	*in = (struct entry_plan_input){.requests = requests_of(take(&i, REQUEST_KINDS))};
	in->mcu_opt_ctrl = MCU_VALUES[take(&i, COUNT(MCU_VALUES))];

	const struct spec_ctrl_case *spec_ctrl = &SPEC_CTRL_CASES[take(&i, COUNT(SPEC_CTRL_CASES))];

	m->spec_ctrl = spec_ctrl->exists;
	m->spec_ctrl_always = spec_ctrl->always;
	m->spec_ctrl_host = spec_ctrl->host;
	in->spec_ctrl_guest = spec_ctrl->guest;
	m->l1d_needed = take(&i, 2);

	unsigned mechanism = take(&i, 3);

	m->l1d_by_msr = mechanism != 0;
	m->l1d_by_list = mechanism == 2;
	m->verw = take(&i, 2);
	m->fb_clear_dis = (uint8_t)take(&i, 4);
	m->mcu_opt_ctrl = take(&i, 2);
	in->owed = take(&i, 2);
	in->wants_fb_clear_dis = take(&i, 2);
}

/* The steps that hang on one thing each: 0 is none of them, the last all of them. */
#define BYSTANDERS (3u * (1u << 5))

static void bystanders_make(unsigned i, struct mitigation *m, struct entry_plan_input *in)
{
	static const uint8_t RSB[] = {0, 1, 32};

	m->rsb_calls = RSB[take(&i, COUNT(RSB))];
	m->bhb_clear = take(&i, 2);
	m->verw_idle = take(&i, 2);
	m->ibpb = take(&i, 2);
	in->launch = take(&i, 2);
	in->other_vm = take(&i, 2);
}

typedef void (*property)(const struct mitigation *m, const struct entry_plan_input *in, const struct entry_plan *plan);

static void for_all_in_steps(property holds, unsigned bystander_step)
{
	struct mitigation m;
	struct entry_plan_input in;
	struct entry_plan plan;

	for (unsigned i = 0; i < MATTERS; i++) {
		matters_make(i, &m, &in);
		for (unsigned j = 0; j < BYSTANDERS; j += bystander_step) {
			bystanders_make(j, &m, &in);
			entry_plan_make(&plan, &m, &in);
			holds(&m, &in, &plan);
		}
	}
}

/* Every combination of what matters, with none and with all of the bystanders. */
static void for_all(property holds)
{
	for_all_in_steps(holds, BYSTANDERS - 1);
}

/* assert_true() costs too much, when it holds, for millions of checks. */
#define HOLDS(condition)                            \
	do {                                        \
		if (!(condition))                   \
			fail_msg("%s", #condition); \
	} while (0)

static bool flushes(const struct entry_plan *plan)
{
	return (plan->steps & L1D_STEPS) != 0;
}

static void check_l1d_report(const struct mitigation *m, const struct entry_plan_input *in,
			     const struct entry_plan *plan)
{
	(void)in;
	HOLDS(plan->mode == m->l1d_mode);
	uint32_t mechanism = !m->l1d_by_msr ? PLAN_L1D_SOFT : m->l1d_by_list ? PLAN_LIST_L1D : PLAN_L1D_MSR;

	HOLDS((plan->steps & L1D_STEPS) == (flushes(plan) ? mechanism : 0));
	HOLDS(!(plan->steps & (PLAN_L1D_MSR | PLAN_LIST_L1D)) == (plan->l1d != PLAN_L1D_DID_MSR));
	HOLDS(!(plan->steps & PLAN_L1D_SOFT) == (plan->l1d != PLAN_L1D_DID_SOFT));
	HOLDS(!flushes(plan) == (plan->why == 0));
}

static void l1d_steps_report_and_reasons_agree(void **state)
{
	(void)state;
	for_all(check_l1d_report);
}

static void check_l1d_modes(const struct mitigation *m, const struct entry_plan_input *in,
			    const struct entry_plan *plan)
{
	bool owed = in->owed && m->l1d_needed;

	switch (m->l1d_mode) {
	case L1D_ALWAYS:
		HOLDS(flushes(plan) && plan->why == WHY_ALWAYS);
		break;
	case L1D_COND:
		HOLDS(flushes(plan) == (in->requests != 0));
		HOLDS(plan->why == in->requests);
		HOLDS(flushes(plan) || plan->l1d == PLAN_L1D_SKIPPED);
		break;
	case L1D_NEVER:
		HOLDS(flushes(plan) == (owed && in->requests != 0));
		HOLDS(!flushes(plan) || plan->why == (in->requests | WHY_OWED));
		HOLDS((plan->l1d == PLAN_L1D_SKIPPED) == (owed && in->requests == 0));
		break;
	default:
		HOLDS(plan->l1d == PLAN_L1D_NONE);
	}
}

static void each_mode_flushes_when_it_says(void **state)
{
	(void)state;
	for_all(check_l1d_modes);
}

/* G1: a VM that is owed is flushed whenever `cond` would flush it, whatever the mode (but where no flush is needed). */
static void check_owed(const struct mitigation *m, const struct entry_plan_input *in, const struct entry_plan *plan)
{
	if (!in->owed || !m->l1d_needed || m->l1d_mode == L1D_NOT_REQUIRED)
		return;

	struct mitigation cond = *m;
	struct entry_plan under_cond;

	cond.l1d_mode = L1D_COND;
	entry_plan_make(&under_cond, &cond, in);
	HOLDS(!flushes(&under_cond) || flushes(plan));
	HOLDS(!(plan->why & WHY_OWED) == !(flushes(plan) && m->l1d_mode == L1D_NEVER));
}

static void g1_owed_is_flushed_at_least_as_cond(void **state)
{
	(void)state;
	for_all(check_owed);
}

/* Turning one thing up turns no L1D flush off. */
static void check_monotone(const struct mitigation *m, const struct entry_plan_input *in, const struct entry_plan *plan)
{
	struct mitigation stricter = *m;
	struct entry_plan_input more = *in;
	struct entry_plan up;

	if (!flushes(plan))
		return;
	for (unsigned kind = 0; kind < 4; kind++) {
		more.requests = (uint8_t)(in->requests | requests_of(1u << kind));
		entry_plan_make(&up, m, &more);
		HOLDS(flushes(&up));
		HOLDS((plan->why & ~up.why) == 0);
	}
	more = *in;
	more.owed = true;
	entry_plan_make(&up, m, &more);
	HOLDS(flushes(&up));
	stricter.l1d_mode = L1D_ALWAYS;
	entry_plan_make(&up, &stricter, in);
	HOLDS(flushes(&up));
}

static void more_requests_debts_or_a_stricter_mode_never_flush_less(void **state)
{
	(void)state;
	for_all(check_monotone);
}

/* G2: a vCPU that does not want it (its value has or implies FB_CLEAR) never runs with FB_CLEAR_DIS; and one that does
 * gets it wherever no VERW of the host stands in the way. */
static void check_fb_clear(const struct mitigation *m, const struct entry_plan_input *in, const struct entry_plan *plan)
{
	bool by_list = m->fb_clear_dis == FB_CLEAR_DIS_MSRLIST;
	bool may = m->mcu_opt_ctrl && m->fb_clear_dis != FB_CLEAR_DIS_OFF && in->wants_fb_clear_dis;

	HOLDS(plan->fb_clear_dis == (may && (by_list || !m->verw)));
	HOLDS(!(plan->steps & PLAN_LIST_MCU) == !(plan->fb_clear_dis && by_list));
	HOLDS(!(plan->steps & PLAN_MCU_RESTORE) == !(plan->fb_clear_dis && m->fb_clear_dis == FB_CLEAR_DIS_TOGGLE));
	HOLDS(entry_plan_reads_mcu(m, in->wants_fb_clear_dis) == !!(plan->steps & PLAN_MCU_RESTORE));
}

static void g2_fb_clear_dis_is_set_only_for_who_wants_it(void **state)
{
	(void)state;
	for_all(check_fb_clear);
}

/* FB_CLEAR_DIS at the moment of the VERW: what was written, or what was there. */
static uint64_t register_at_entry(const struct entry_plan_input *in, const struct entry_plan *plan)
{
	return plan->steps & PLAN_MCU_WRITE ? plan->mcu_opt_ctrl : in->mcu_opt_ctrl;
}

static void check_trap1(const struct mitigation *m, const struct entry_plan_input *in, const struct entry_plan *plan)
{
	if (m->verw && m->mcu_opt_ctrl)
		HOLDS(!(register_at_entry(in, plan) & MCU_OPT_CTRL_FB_CLEAR_DIS));
}

static void trap1_g3_fb_clear_dis_is_0_at_every_verw(void **state)
{
	(void)state;
	for_all(check_trap1);
}

/* The other decisions, as one mask: they must not depend on what became of the L1D, nor the other way round. */
static void check_trap2(const struct mitigation *m, const struct entry_plan_input *in, const struct entry_plan *plan)
{
	HOLDS(!(plan->steps & PLAN_VERW) == !m->verw);
	HOLDS(!(plan->steps & PLAN_IBPB) == !(m->ibpb && in->other_vm));
	HOLDS(!(plan->steps & PLAN_LAUNCH) == !in->launch);
	HOLDS(!(plan->steps & PLAN_BHB_CLEAR) == !m->bhb_clear);
	HOLDS(!(plan->steps & PLAN_RSB_FILL) == (m->rsb_calls != 32));
	HOLDS(!(plan->steps & PLAN_RSB_ONE) == (m->rsb_calls != 1));
}

static void trap2_a_skipped_flush_takes_no_other_step_with_it(void **state)
{
	(void)state;
	for_all_in_steps(check_trap2, 1);
}

static void check_trap3(const struct mitigation *m, const struct entry_plan_input *in, const struct entry_plan *plan)
{
	(void)in;
	if (m->verw && flushes(plan))
		HOLDS(plan->steps & PLAN_VERW);
}

static void trap3_an_l1d_flush_is_not_counted_as_verw(void **state)
{
	(void)state;
	for_all(check_trap3);
}

/* FB_CLEAR_DIS while the guest runs: after the MSR-load area has been taken. */
static uint64_t register_in_guest(const struct entry_plan_input *in, const struct entry_plan *plan)
{
	uint64_t dis = plan->steps & PLAN_LIST_MCU ? MCU_OPT_CTRL_FB_CLEAR_DIS : 0;

	return register_at_entry(in, plan) | dis;
}

static uint64_t register_after_exit(const struct entry_plan_input *in, const struct entry_plan *plan)
{
	return plan->steps & (PLAN_MCU_RESTORE | PLAN_LIST_MCU) ? plan->mcu_opt_ctrl_root : register_at_entry(in, plan);
}

static void check_mcu_write(const struct mitigation *m, const struct entry_plan_input *in,
			    const struct entry_plan *plan)
{
	const uint32_t mcu_steps = PLAN_MCU_WRITE | PLAN_MCU_RESTORE | PLAN_LIST_MCU;
	uint64_t dis = MCU_OPT_CTRL_FB_CLEAR_DIS;
	bool toggled = plan->steps & PLAN_MCU_RESTORE;

	if (!m->mcu_opt_ctrl) {
		HOLDS(!(plan->steps & mcu_steps) && !plan->fb_clear_dis);
		HOLDS(plan->mcu_opt_ctrl == 0 && plan->mcu_opt_ctrl_root == 0);
		return;
	}
	HOLDS(toggled || !(plan->steps & PLAN_MCU_WRITE) == (plan->mcu_opt_ctrl == in->mcu_opt_ctrl));
	HOLDS(!toggled || plan->steps & PLAN_MCU_WRITE);
	HOLDS(register_at_entry(in, plan) == plan->mcu_opt_ctrl);
	HOLDS(!(register_in_guest(in, plan) & dis) == !plan->fb_clear_dis);
	HOLDS(register_after_exit(in, plan) == plan->mcu_opt_ctrl_root);
	/* Only `cached` leaves the bit behind. */
	HOLDS(!(plan->mcu_opt_ctrl_root & dis) == !(plan->fb_clear_dis && m->fb_clear_dis == FB_CLEAR_DIS_CACHED));

	/* The same entry again, now that the register holds the value: nothing to write, but for `toggle`. */
	struct entry_plan_input next = *in;
	struct entry_plan again;

	next.mcu_opt_ctrl = register_after_exit(in, plan);
	entry_plan_make(&again, m, &next);
	HOLDS(!(again.steps & PLAN_MCU_WRITE) == !toggled);
}

static void g4_trap18_mcu_opt_ctrl_is_written_only_where_it_exists_and_changes(void **state)
{
	(void)state;
	for_all(check_mcu_write);
}

static void check_trap20(const struct mitigation *m, const struct entry_plan_input *in, const struct entry_plan *plan)
{
	const uint64_t others = ~(uint64_t)MCU_OPT_CTRL_FB_CLEAR_DIS;

	if (m->mcu_opt_ctrl)
		HOLDS((((plan->mcu_opt_ctrl ^ in->mcu_opt_ctrl) | (plan->mcu_opt_ctrl_root ^ in->mcu_opt_ctrl)) &
		       others) == 0);
}

static void trap20_unknown_bits_of_mcu_opt_ctrl_are_preserved(void **state)
{
	struct mitigation m = {.mcu_opt_ctrl = true, .fb_clear_dis = FB_CLEAR_DIS_CACHED};
	struct entry_plan plan;

	(void)state;
	for_all(check_trap20);
	for (unsigned bit = 0; bit < 64; bit++) {
		if (1ull << bit == MCU_OPT_CTRL_FB_CLEAR_DIS)
			continue;
		for (unsigned wants = 0; wants < 2; wants++) {
			struct entry_plan_input in = {.mcu_opt_ctrl = 1ull << bit, .wants_fb_clear_dis = wants};

			entry_plan_make(&plan, &m, &in);
			assert_true(plan.mcu_opt_ctrl == (1ull << bit | (wants ? MCU_OPT_CTRL_FB_CLEAR_DIS : 0)));
		}
	}
}

static void check_spec_ctrl(const struct mitigation *m, const struct entry_plan_input *in,
			    const struct entry_plan *plan)
{
	uint64_t now = m->spec_ctrl_host;

	if (!m->spec_ctrl) {
		HOLDS(!(plan->steps & (PLAN_SPEC_CTRL_ENTRY | PLAN_SPEC_CTRL_EXIT)));
		return;
	}
	if (plan->steps & PLAN_SPEC_CTRL_ENTRY)
		now = plan->spec_ctrl_guest;
	HOLDS(now == in->spec_ctrl_guest);
	if (plan->steps & PLAN_SPEC_CTRL_EXIT)
		now = plan->spec_ctrl_host;
	HOLDS(now == m->spec_ctrl_host);
	HOLDS(!m->spec_ctrl_always || plan->steps & PLAN_SPEC_CTRL_EXIT);
}

static void trap37_the_guest_runs_with_its_spec_ctrl_and_the_host_always_gets_its_own_back(void **state)
{
	(void)state;
	for_all(check_spec_ctrl);
}

static void check_requests_left(const struct mitigation *m, const struct entry_plan_input *in,
				const struct entry_plan *plan)
{
	uint8_t left = entry_plan_requests_left(plan, in->requests);

	HOLDS((left & ~in->requests) == 0);
	if (!flushes(plan) || m->l1d_mode == L1D_ALWAYS)
		HOLDS(left == in->requests);
	else
		HOLDS(left == 0);
	/* What arrives after the plan was made is not served by it. */
	HOLDS((entry_plan_requests_left(plan, (uint8_t)(in->requests | WHY_IRQ)) & WHY_IRQ) ||
	      (flushes(plan) && in->requests & WHY_IRQ));
}

static void a_flush_serves_the_requests_that_it_was_planned_for_and_no_other(void **state)
{
	(void)state;
	for_all(check_requests_left);
}

static void trap8_after_a_failed_entry_the_next_one_flushes_and_sets_all_again(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3 * 3; i++) {
		unsigned mode = i % 3;
		struct mitigation m = {
			.l1d_mode = (uint8_t)mode,
			.fb_clear_dis = (uint8_t)(i / 3), /* cached, toggle, msrlist */
			.l1d_needed = true,
			.mcu_opt_ctrl = true,
			.spec_ctrl = true,
			.spec_ctrl_host = SPEC_CTRL_IBRS,
		};
		struct entry_plan_input in = {
			.requests = WHY_SWITCH, .owed = true, .wants_fb_clear_dis = true, .launch = true};
		struct entry_plan failed, retry;

		entry_plan_make(&failed, &m, &in);
		assert_true(flushes(&failed));
		in.requests = (uint8_t)(entry_plan_requests_left(&failed, in.requests) | WHY_RETRY);
		in.mcu_opt_ctrl = failed.mcu_opt_ctrl_root;
		entry_plan_make(&retry, &m, &in);
		assert_true(flushes(&retry));
		assert_true(mode == L1D_ALWAYS || retry.why & WHY_RETRY);
		assert_true(retry.fb_clear_dis && register_in_guest(&in, &retry) & MCU_OPT_CTRL_FB_CLEAR_DIS);
		assert_true(!(retry.steps & PLAN_MCU_WRITE) == (m.fb_clear_dis != FB_CLEAR_DIS_TOGGLE));
		assert_true(retry.steps & PLAN_SPEC_CTRL_ENTRY && retry.steps & PLAN_SPEC_CTRL_EXIT);
	}
}

/* Two pCPUs, vCPUs of both kinds coming and going: the value written last on this pCPU decides, and each pCPU keeps its
 * own requests. */
static void trap19_vcpus_that_move_meet_the_pcpus_own_register_and_requests(void **state)
{
	struct mitigation m = {.l1d_mode = L1D_COND, .l1d_needed = true, .mcu_opt_ctrl = true};
	uint64_t registers[2] = {0x30, 0x8};
	uint8_t requests[2] = {0, WHY_IRQ};
	bool wanted[2] = {false, true};
	uint64_t seed = 19;

	(void)state;
	for (unsigned step = 0; step < 10000; step++) {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;

		unsigned cpu = seed >> 40 & 1;
		struct entry_plan_input in = {
			.wants_fb_clear_dis = seed >> 41 & 1,
			.requests = requests[cpu],
			.mcu_opt_ctrl = registers[cpu],
		};
		struct entry_plan plan;

		entry_plan_make(&plan, &m, &in);
		assert_true(!(plan.steps & PLAN_MCU_WRITE) == (wanted[cpu] == in.wants_fb_clear_dis));
		assert_true(flushes(&plan) == (requests[cpu] != 0));
		registers[cpu] = plan.mcu_opt_ctrl;
		wanted[cpu] = in.wants_fb_clear_dis;
		assert_true(registers[cpu] == ((cpu ? 0x0u : 0x30u) | (wanted[cpu] ? 0x8u : 0x0u)));
		requests[cpu] = entry_plan_requests_left(&plan, requests[cpu]);
		if (seed >> 42 & 1)
			requests[seed >> 43 & 1] |= WHY_SWITCH;
	}
}

static void trap25_requests_outlive_never_and_always_so_that_cond_starts_flushed(void **state)
{
	static const uint8_t BEFORE[] = {L1D_NEVER, L1D_NOT_REQUIRED, L1D_ALWAYS};

	(void)state;
	for (unsigned i = 0; i < COUNT(BEFORE); i++) {
		struct mitigation m = {.l1d_mode = BEFORE[i], .l1d_needed = true};
		struct entry_plan_input in = {.requests = WHY_SWITCH};
		struct entry_plan plan;

		entry_plan_make(&plan, &m, &in);
		in.requests = entry_plan_requests_left(&plan, in.requests);
		m.l1d_mode = L1D_COND;
		entry_plan_make(&plan, &m, &in);
		assert_true(flushes(&plan));
	}
}

/* A pCPU goes to sleep with the register as the last guest left it. */
static void for_all_idle(void (*holds)(const struct mitigation *m, uint64_t before, const struct entry_plan *plan))
{
	for (unsigned i = 0; i < 4 * 4 * 4; i++) {
		struct mitigation m = {
			.mcu_opt_ctrl = i & 1,
			.verw_idle = i & 2,
			.fb_clear_dis = i >> 2 & 3,
			.l1d_mode = i >> 4 & 3,
		};

		for (unsigned v = 0; v < COUNT(MCU_VALUES); v++) {
			struct entry_plan plan;

			entry_plan_idle(&plan, &m, MCU_VALUES[v]);
			HOLDS(plan.steps & PLAN_IDLE);
			HOLDS((plan.steps & ~(uint32_t)(PLAN_IDLE | PLAN_VERW | PLAN_MCU_WRITE)) == 0);
			HOLDS(plan.l1d == PLAN_L1D_NONE && plan.why == 0 && !plan.fb_clear_dis);
			holds(&m, MCU_VALUES[v], &plan);
		}
	}
}

static void check_trap21(const struct mitigation *m, uint64_t before, const struct entry_plan *plan)
{
	uint64_t now = plan->steps & PLAN_MCU_WRITE ? plan->mcu_opt_ctrl : before;

	HOLDS(!(plan->steps & PLAN_MCU_WRITE) || m->mcu_opt_ctrl);
	HOLDS(((now ^ before) & ~(uint64_t)MCU_OPT_CTRL_FB_CLEAR_DIS) == 0);
	if (plan->steps & PLAN_VERW && m->mcu_opt_ctrl)
		HOLDS(!(now & MCU_OPT_CTRL_FB_CLEAR_DIS));
	if (m->mcu_opt_ctrl)
		HOLDS(plan->mcu_opt_ctrl == now && plan->mcu_opt_ctrl_root == now);
	/* G4: no write that changes nothing. */
	HOLDS(!(plan->steps & PLAN_MCU_WRITE) || now != before);
}

static void trap21_the_verw_before_idle_finds_fb_clear_dis_0(void **state)
{
	(void)state;
	for_all_idle(check_trap21);
}

static void check_trap29(const struct mitigation *m, uint64_t before, const struct entry_plan *plan)
{
	(void)before;
	HOLDS(!(plan->steps & PLAN_VERW) == !m->verw_idle);
}

static void trap29_idle_comes_with_verw_where_it_is_wanted(void **state)
{
	(void)state;
	for_all_idle(check_trap29);
}

/* Knobs change while guests run: whatever the last strategy left in the register, the next one starts right. */
static void trap21_a_change_of_strategy_meets_what_the_last_one_left(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4 * 4 * 8; i++) {
		struct mitigation before = {.mcu_opt_ctrl = true, .fb_clear_dis = i & 3};
		struct mitigation after = {.mcu_opt_ctrl = true, .fb_clear_dis = i >> 2 & 3, .verw = i & 64};
		struct entry_plan_input in = {.mcu_opt_ctrl = 0x30, .wants_fb_clear_dis = i & 16};
		struct entry_plan plan;

		entry_plan_make(&plan, &before, &in);
		in.mcu_opt_ctrl = register_after_exit(&in, &plan);
		in.wants_fb_clear_dis = i & 32;
		entry_plan_make(&plan, &after, &in);
		if (after.verw)
			assert_false(register_at_entry(&in, &plan) & MCU_OPT_CTRL_FB_CLEAR_DIS);
		assert_true(!(register_in_guest(&in, &plan) & MCU_OPT_CTRL_FB_CLEAR_DIS) == !plan.fb_clear_dis);
		assert_true(!plan.fb_clear_dis || in.wants_fb_clear_dis);
		assert_true((register_after_exit(&in, &plan) & ~(uint64_t)MCU_OPT_CTRL_FB_CLEAR_DIS) == 0x30);
	}
}

/* What the entry and its accounting (hv/vcpu_run.c) make of the input, nothing else being changed. */
static struct entry_plan_input input_after(const struct entry_plan_input *in, const struct entry_plan *plan)
{
	struct entry_plan_input after = *in;

	after.launch = false;
	after.other_vm = false;
	after.requests = entry_plan_requests_left(plan, in->requests);
	if (plan->steps & PLAN_MCU_WRITE)
		after.mcu_opt_ctrl = plan->mcu_opt_ctrl;
	if (plan->steps & PLAN_MCU_RESTORE)
		after.mcu_opt_ctrl = plan->mcu_opt_ctrl_root;
	return after;
}

static void check_stands(const struct mitigation *m, const struct entry_plan_input *in, const struct entry_plan *plan)
{
	const struct entry_plan_input after = input_after(in, plan);
	struct entry_plan anew = {0};

	entry_plan_make(&anew, m, &after);
	HOLDS(!entry_plan_stands(plan) || memcmp(&anew, plan, sizeof(anew)) == 0);
	/* Where the register is read before each entry, the exit has left what the plan says. */
	HOLDS(!(plan->steps & PLAN_MCU_RESTORE) || after.mcu_opt_ctrl == plan->mcu_opt_ctrl_root);
	/* It is worth it: two entries on, with nothing new, every plan stands. */
	HOLDS(entry_plan_stands(&anew));
}

static void a_plan_that_stands_is_the_one_that_would_be_made_anew(void **state)
{
	(void)state;
	for_all(check_stands);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(l1d_steps_report_and_reasons_agree),
		cmocka_unit_test(each_mode_flushes_when_it_says),
		cmocka_unit_test(g1_owed_is_flushed_at_least_as_cond),
		cmocka_unit_test(more_requests_debts_or_a_stricter_mode_never_flush_less),
		cmocka_unit_test(g2_fb_clear_dis_is_set_only_for_who_wants_it),
		cmocka_unit_test(trap1_g3_fb_clear_dis_is_0_at_every_verw),
		cmocka_unit_test(trap2_a_skipped_flush_takes_no_other_step_with_it),
		cmocka_unit_test(trap3_an_l1d_flush_is_not_counted_as_verw),
		cmocka_unit_test(g4_trap18_mcu_opt_ctrl_is_written_only_where_it_exists_and_changes),
		cmocka_unit_test(trap20_unknown_bits_of_mcu_opt_ctrl_are_preserved),
		cmocka_unit_test(trap37_the_guest_runs_with_its_spec_ctrl_and_the_host_always_gets_its_own_back),
		cmocka_unit_test(a_flush_serves_the_requests_that_it_was_planned_for_and_no_other),
		cmocka_unit_test(trap8_after_a_failed_entry_the_next_one_flushes_and_sets_all_again),
		cmocka_unit_test(trap19_vcpus_that_move_meet_the_pcpus_own_register_and_requests),
		cmocka_unit_test(trap25_requests_outlive_never_and_always_so_that_cond_starts_flushed),
		cmocka_unit_test(trap21_the_verw_before_idle_finds_fb_clear_dis_0),
		cmocka_unit_test(trap21_a_change_of_strategy_meets_what_the_last_one_left),
		cmocka_unit_test(trap29_idle_comes_with_verw_where_it_is_wanted),
		cmocka_unit_test(a_plan_that_stands_is_the_one_that_would_be_made_anew),
	};

	return cmocka_run_group_tests_name("entry_plan", tests, NULL, NULL);
}
