#include "hv/policy/entry_plan.h"

#include "arch/defs/msr.h"

static uint32_t l1d_step(const struct mitigation *m)
{
	if (!m->l1d_by_msr)
		return PLAN_L1D_SOFT;
	return m->l1d_by_list ? PLAN_LIST_L1D : PLAN_L1D_MSR;
}

/* The L1D: what the mode, the debt and the requests come to. */
static void decide_l1d(struct entry_plan *plan, const struct mitigation *m, const struct entry_plan_input *in)
{
	bool owed = m->l1d_mode == L1D_NEVER && m->l1d_needed && in->owed;
	bool conditional = m->l1d_mode == L1D_COND || owed;

	if (m->l1d_mode == L1D_ALWAYS)
		plan->why = WHY_ALWAYS;
	else if (conditional && in->requests != 0)
		plan->why = (uint8_t)(in->requests | (owed ? WHY_OWED : 0));

	if (plan->why != 0) {
		plan->l1d = m->l1d_by_msr ? PLAN_L1D_DID_MSR : PLAN_L1D_DID_SOFT;
		plan->steps |= l1d_step(m);
	} else if (conditional) {
		plan->l1d = PLAN_L1D_SKIPPED;
	}
}

static uint64_t without_fb_clear_dis(uint64_t mcu_opt_ctrl)
{
	return mcu_opt_ctrl & ~(uint64_t)MCU_OPT_CTRL_FB_CLEAR_DIS;
}

/* This vCPU runs with FB_CLEAR_DIS. Where the host needs VERW on this entry only the MSR-load area can set it, for that
 * is after VERW; set earlier it would make VERW clear nothing (trap 1). */
static bool gets_fb_clear_dis(const struct mitigation *m, bool wants_fb_clear_dis)
{
	switch ((enum fb_clear_dis)m->fb_clear_dis) {
	case FB_CLEAR_DIS_CACHED:
	case FB_CLEAR_DIS_TOGGLE:
		return m->mcu_opt_ctrl && wants_fb_clear_dis && !m->verw;
	case FB_CLEAR_DIS_MSRLIST:
		return m->mcu_opt_ctrl && wants_fb_clear_dis;
	case FB_CLEAR_DIS_OFF:
		break;
	}
	return false;
}

bool entry_plan_reads_mcu(const struct mitigation *m, bool wants_fb_clear_dis)
{
	return m->fb_clear_dis == FB_CLEAR_DIS_TOGGLE && gets_fb_clear_dis(m, wants_fb_clear_dis);
}

/* The ways to do it. `toggle` writes whatever the register holds; the list leaves root mode without. */
static void set_fb_clear_dis(struct entry_plan *plan, enum fb_clear_dis strategy)
{
	uint64_t disabled = plan->mcu_opt_ctrl | MCU_OPT_CTRL_FB_CLEAR_DIS;

	switch (strategy) {
	case FB_CLEAR_DIS_CACHED:
		plan->mcu_opt_ctrl = disabled;
		plan->mcu_opt_ctrl_root = disabled;
		break;
	case FB_CLEAR_DIS_TOGGLE:
		plan->mcu_opt_ctrl = disabled;
		plan->steps |= PLAN_MCU_WRITE | PLAN_MCU_RESTORE;
		break;
	case FB_CLEAR_DIS_MSRLIST:
		plan->steps |= PLAN_LIST_MCU;
		break;
	case FB_CLEAR_DIS_OFF:
		break;
	}
}

/* IA32_MCU_OPT_CTRL: this vCPU's wish against this pCPU's register (trap 19). All bits but FB_CLEAR_DIS are somebody
 * else's (trap 20). */
static void decide_mcu_opt_ctrl(struct entry_plan *plan, const struct mitigation *m, const struct entry_plan_input *in)
{
	if (!m->mcu_opt_ctrl)
		return;

	uint64_t base = without_fb_clear_dis(in->mcu_opt_ctrl);

	plan->fb_clear_dis = gets_fb_clear_dis(m, in->wants_fb_clear_dis);
	plan->mcu_opt_ctrl = base;
	plan->mcu_opt_ctrl_root = base;
	if (plan->fb_clear_dis)
		set_fb_clear_dis(plan, m->fb_clear_dis);
	/* No wish, or one that the list grants: but another vCPU may have left FB_CLEAR_DIS behind. */
	if (plan->mcu_opt_ctrl != in->mcu_opt_ctrl)
		plan->steps |= PLAN_MCU_WRITE;
}

/* In root mode IA32_SPEC_CTRL always holds the host's value, so that alone is what the guest's is compared with. */
static void decide_spec_ctrl(struct entry_plan *plan, const struct mitigation *m, const struct entry_plan_input *in)
{
	if (!m->spec_ctrl)
		return;

	bool differs = in->spec_ctrl_guest != m->spec_ctrl_host;

	plan->spec_ctrl_guest = in->spec_ctrl_guest;
	plan->spec_ctrl_host = m->spec_ctrl_host;
	if (differs)
		plan->steps |= PLAN_SPEC_CTRL_ENTRY;
	if (differs || m->spec_ctrl_always)
		plan->steps |= PLAN_SPEC_CTRL_EXIT;
}

void entry_plan_make(struct entry_plan *out, const struct mitigation *m, const struct entry_plan_input *in)
{
	struct entry_plan plan = {.mode = m->l1d_mode};

	decide_mcu_opt_ctrl(&plan, m, in);
	if (m->ibpb && in->other_vm)
		plan.steps |= PLAN_IBPB;
	decide_l1d(&plan, m, in);
	decide_spec_ctrl(&plan, m, in);
	/* Whatever became of the L1D: a skipped flush clears nothing (trap 2), and one by MSR clears the buffers on
	 * some parts only (trap 3), so that it never counts for VERW here. */
	if (m->verw)
		plan.steps |= PLAN_VERW;
	if (in->launch)
		plan.steps |= PLAN_LAUNCH;
	if (m->rsb_calls == 32)
		plan.steps |= PLAN_RSB_FILL;
	if (m->rsb_calls == 1)
		plan.steps |= PLAN_RSB_ONE;
	if (m->bhb_clear)
		plan.steps |= PLAN_BHB_CLEAR;
	*out = plan;
}

/* The reasons of a flush are the requests that it serves. `always` has a reason of its own and serves none (trap 25); a
 * plan without a flush has no reason. */
uint8_t entry_plan_requests_left(const struct entry_plan *plan, uint8_t requests)
{
	return (uint8_t)(requests & ~plan->why);
}

bool entry_plan_stands(const struct entry_plan *plan)
{
	const bool written_for_good = (plan->steps & PLAN_MCU_WRITE) && !(plan->steps & PLAN_MCU_RESTORE);

	return !(plan->steps & (PLAN_LAUNCH | PLAN_IBPB)) && !written_for_good && !(plan->why & ~WHY_ALWAYS);
}

void entry_plan_idle(struct entry_plan *out, const struct mitigation *m, uint64_t mcu_opt_ctrl)
{
	struct entry_plan plan = {.steps = PLAN_IDLE, .mode = m->l1d_mode};

	if (m->verw_idle)
		plan.steps |= PLAN_VERW;
	if (m->mcu_opt_ctrl) {
		/* A FB_CLEAR_DIS left behind by a guest would make this VERW void (trap 21). */
		plan.mcu_opt_ctrl = m->verw_idle ? without_fb_clear_dis(mcu_opt_ctrl) : mcu_opt_ctrl;
		plan.mcu_opt_ctrl_root = plan.mcu_opt_ctrl;
		if (plan.mcu_opt_ctrl != mcu_opt_ctrl)
			plan.steps |= PLAN_MCU_WRITE;
	}
	*out = plan;
}
