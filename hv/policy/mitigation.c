#include "hv/policy/mitigation.h"

#include "arch/defs/msr.h"
#include "hv/policy/text.h"

static bool says(const struct machine *machine, uint64_t arch_caps)
{
	return machine->caps.arch_capabilities & arch_caps;
}

static bool has(const struct machine *machine, uint32_t features)
{
	return machine->caps.features & features;
}

static bool is_affected(const struct machine *machine, enum bug bug)
{
	return machine->bugs & bug;
}

static bool smt_on(const struct machine *machine)
{
	return machine->caps.threads_per_core > 1;
}

bool mitigation_l1d_needed(const struct machine *machine)
{
	return is_affected(machine, BUG_L1TF) && !says(machine, ARCH_CAP(SKIP_L1DFL_VMENTRY));
}

static enum l1d_mode select_l1d(const struct machine *machine, enum l1d_request request)
{
	switch (request) {
	case L1D_REQUEST_COND:
		return L1D_COND;
	case L1D_REQUEST_ALWAYS:
		return L1D_ALWAYS;
	case L1D_REQUEST_NEVER:
		return mitigation_l1d_needed(machine) ? L1D_NEVER : L1D_NOT_REQUIRED;
	case L1D_REQUEST_AUTO:
		break;
	}
	return mitigation_l1d_needed(machine) ? L1D_COND : L1D_NOT_REQUIRED;
}

/* The first bug for which every entry wants VERW, or 0. Not MMIO stale data: guests reach no host MMIO (every page of
 * an EPT is RAM of the VM, whatever else it has). TAA needs transactions, and with RTM off there are none. */
static uint32_t verw_bug(const struct machine *machine)
{
	if (is_affected(machine, BUG_MDS))
		return BUG_MDS;
	if (is_affected(machine, BUG_TAA_RTM))
		return BUG_TAA;
	return machine->bugs & BUG_RFDS;
}

/* The microcode is there that makes VERW clear what this bug leaks. MD_CLEAR stays enumerated on MDS_NO parts, where it
 * means nothing by itself (trap 14): there the microcode for TAA is the one that brought TSX_CTRL. */
static bool verw_microcode(const struct machine *machine, enum bug bug)
{
	if (bug == BUG_RFDS)
		return says(machine, ARCH_CAP(RFDS_CLEAR));
	if (bug == BUG_MMIO_STALE_DATA)
		return cpu_caps_fb_clear(machine->caps.arch_capabilities, machine->caps.features);
	if (bug == BUG_TAA && says(machine, ARCH_CAP(MDS_NO)))
		return has(machine, CPU_MD_CLEAR) && says(machine, ARCH_CAP(TSX_CTRL));
	return has(machine, CPU_MD_CLEAR);
}

static bool select_verw(const struct machine *machine, enum verw_request request)
{
	return request == VERW_ON || (request == VERW_AUTO && verw_bug(machine) != 0);
}

/* Trap 29. Fill buffers may hold stale data as long as they idle; a store buffer is handed to the sibling then. */
static bool idle_wants_verw(const struct machine *machine)
{
	return (is_affected(machine, BUG_MMIO_STALE_DATA) && !says(machine, ARCH_CAP(FBSDP_NO))) ||
	       (is_affected(machine, BUG_MSBDS_ONLY) && smt_on(machine));
}

static uint64_t select_spec_ctrl_host(const struct machine *machine, const struct knobs *knobs)
{
	uint64_t value = 0;

	if (knobs->value[KNOB_SPEC_CTRL] == OFF)
		return 0;
	if (has(machine, CPU_IBRS))
		value |= SPEC_CTRL_IBRS;
	if (knobs->value[KNOB_BHB] == AUTO && is_affected(machine, BUG_BHI) && has(machine, CPU_BHI_CTRL))
		value |= SPEC_CTRL_BHI_DIS_S;
	return value;
}

/* IBRS_ALL keeps the guest's return addresses from the host only while IBRS is set. */
static bool enhanced_ibrs(const struct machine *machine, uint64_t spec_ctrl_host)
{
	return says(machine, ARCH_CAP(IBRS_ALL)) && spec_ctrl_host & SPEC_CTRL_IBRS;
}

static uint8_t select_rsb_calls(const struct machine *machine, enum auto_off request, uint64_t spec_ctrl_host)
{
	if (request == OFF)
		return 0;
	if (!enhanced_ibrs(machine, spec_ctrl_host))
		return 32;
	return is_affected(machine, BUG_PBRSB) ? 1 : 0;
}

static bool entry_list_takes(const struct machine *machine, enum cpu_msr msr)
{
	return machine->entry_list_msrs & msr;
}

static bool fb_clear_dis_exists(const struct machine *machine)
{
	return says(machine, ARCH_CAP(FB_CLEAR_CTRL)) && cpu_caps_msrs(&machine->caps) & CPU_MSR_MCU_OPT_CTRL;
}

static enum fb_clear_dis select_fb_clear_dis(const struct machine *machine, enum fb_clear_dis request)
{
	if (!fb_clear_dis_exists(machine))
		return FB_CLEAR_DIS_OFF;
	if (request == FB_CLEAR_DIS_MSRLIST && !entry_list_takes(machine, CPU_MSR_MCU_OPT_CTRL))
		return FB_CLEAR_DIS_CACHED;
	return request;
}

struct mitigation mitigation_select(const struct machine *machine, const struct knobs *knobs)
{
	const uint8_t *value = knobs->value;
	uint32_t msrs = cpu_caps_msrs(&machine->caps);
	uint64_t spec_ctrl_host = select_spec_ctrl_host(machine, knobs);

	return (struct mitigation){
		.l1d_mode = (uint8_t)select_l1d(machine, value[KNOB_VMENTRY_L1D_FLUSH]),
		.l1d_needed = mitigation_l1d_needed(machine),
		.l1d_by_msr = msrs & CPU_MSR_FLUSH_CMD,
		.l1d_by_list = msrs & CPU_MSR_FLUSH_CMD && value[KNOB_L1D_FLUSH_BY] == L1D_FLUSH_BY_MSRLIST &&
			       entry_list_takes(machine, CPU_MSR_FLUSH_CMD),
		.verw = select_verw(machine, value[KNOB_VERW]),
		.verw_idle = value[KNOB_VERW] != VERW_OFF && idle_wants_verw(machine),
		.fb_clear_dis = (uint8_t)select_fb_clear_dis(machine, value[KNOB_FB_CLEAR_DIS]),
		.mcu_opt_ctrl = msrs & CPU_MSR_MCU_OPT_CTRL,
		.spec_ctrl = msrs & CPU_MSR_SPEC_CTRL,
		.spec_ctrl_always = spec_ctrl_host & SPEC_CTRL_IBRS && !enhanced_ibrs(machine, spec_ctrl_host),
		.spec_ctrl_host = spec_ctrl_host,
		.rsb_calls = select_rsb_calls(machine, value[KNOB_RSB], spec_ctrl_host),
		.bhb_clear = value[KNOB_BHB] == AUTO && is_affected(machine, BUG_BHI) && !has(machine, CPU_BHI_CTRL),
		.ibpb = value[KNOB_IBPB] == AUTO && msrs & CPU_MSR_PRED_CMD,
	};
}

bool mitigation_skip_l1dfl(const struct mitigation *m)
{
	return m->l1d_mode != L1D_NEVER;
}

const char *mitigation_effective(const struct mitigation *m, const struct knobs *knobs, enum knob knob)
{
	static const char *const L1D_MODES[] = {
		[L1D_NEVER] = "never",
		[L1D_COND] = "cond",
		[L1D_ALWAYS] = "always",
		[L1D_NOT_REQUIRED] = "not-required",
	};

	switch (knob) {
	case KNOB_VMENTRY_L1D_FLUSH:
		return L1D_MODES[m->l1d_mode];
	case KNOB_VERW:
		return m->verw ? "on" : "off";
	case KNOB_FB_CLEAR_DIS:
		return knob_value_name(KNOB_FB_CLEAR_DIS, m->fb_clear_dis);
	case KNOB_RSB:
		return m->rsb_calls == 32 ? "fill" : m->rsb_calls == 1 ? "one" : "off";
	case KNOB_BHB:
		return m->bhb_clear ? "loop" : m->spec_ctrl_host & SPEC_CTRL_BHI_DIS_S ? "hardware" : "off";
	case KNOB_SPEC_CTRL:
		return !(m->spec_ctrl_host & SPEC_CTRL_IBRS) ? "off" : m->spec_ctrl_always ? "ibrs" : "eibrs";
	case KNOB_IBPB:
		return m->ibpb ? "on" : "off";
	case KNOB_L1D_FLUSH_BY:
		return !m->l1d_by_msr ? "software" : m->l1d_by_list ? "msrlist" : "wrmsr";
	case KNOB_LOGLEVEL:
	case KNOB_COUNT:
		break;
	}
	return knob_value_name(knob, knobs->value[knob]);
}

static const char *const ASKED_FOR = "asked for";

static const char *l1d_reason(const struct machine *machine, enum l1d_request request)
{
	if (request == L1D_REQUEST_COND || request == L1D_REQUEST_ALWAYS)
		return ASKED_FOR;
	if (!is_affected(machine, BUG_L1TF))
		return "cpu is not affected by l1tf";
	if (!mitigation_l1d_needed(machine))
		return "an outer hypervisor flushes";
	return request == L1D_REQUEST_NEVER ? ASKED_FOR : "cpu is affected by l1tf";
}

static const char *verw_reason(const struct machine *machine, enum verw_request request)
{
	uint32_t bug = verw_bug(machine);
	bool microcode = verw_microcode(machine, bug);

	if (request != VERW_AUTO)
		return ASKED_FOR;
	switch (bug) {
	case BUG_MDS:
		return microcode ? "cpu is affected by mds"
				 : "cpu is affected by mds; no microcode (md_clear) seen, tried all the same";
	case BUG_TAA:
		return microcode ? "cpu is affected by taa"
				 : "cpu is affected by taa; no microcode (md_clear, and tsx_ctrl on mds_no) seen, "
				   "tried all the same";
	case BUG_RFDS:
		return microcode ? "cpu is affected by rfds"
				 : "cpu is affected by rfds; no microcode (rfds_clear) seen, tried all the same";
	default:
		return is_affected(machine, BUG_MMIO_STALE_DATA)
			       ? "cpu is affected by mmio_stale_data only, and guests reach no host mmio"
			       : "cpu is not affected by mds, taa or rfds";
	}
}

static const char *fb_clear_dis_reason(const struct machine *machine, enum fb_clear_dis request)
{
	if (request == FB_CLEAR_DIS_OFF)
		return ASKED_FOR;
	if (!(cpu_caps_msrs(&machine->caps) & CPU_MSR_MCU_OPT_CTRL))
		return "cpu has no ia32_mcu_opt_ctrl";
	if (!says(machine, ARCH_CAP(FB_CLEAR_CTRL)))
		return "cpu has no fb_clear_ctrl";
	return select_fb_clear_dis(machine, request) == request
		       ? ASKED_FOR
		       : "cpu does not take ia32_mcu_opt_ctrl in the vm-entry msr-load area";
}

static const char *l1d_flush_by_reason(const struct machine *machine, enum l1d_flush_by request)
{
	if (!(cpu_caps_msrs(&machine->caps) & CPU_MSR_FLUSH_CMD))
		return "cpu has no l1d_flush";
	return request == L1D_FLUSH_BY_WRMSR || entry_list_takes(machine, CPU_MSR_FLUSH_CMD)
		       ? ASKED_FOR
		       : "cpu does not take ia32_flush_cmd in the vm-entry msr-load area";
}

static const char *rsb_reason(const struct machine *machine, const struct mitigation *m)
{
	if (!says(machine, ARCH_CAP(IBRS_ALL)))
		return "cpu has no ibrs_all";
	if (!enhanced_ibrs(machine, m->spec_ctrl_host))
		return "cpu has ibrs_all, but ibrs is not set";
	return is_affected(machine, BUG_PBRSB) ? "cpu is affected by pbrsb" : "cpu is not affected by pbrsb";
}

static const char *bhb_reason(const struct machine *machine, const struct mitigation *m)
{
	if (!is_affected(machine, BUG_BHI))
		return "cpu is not affected by bhi";
	return m->bhb_clear || m->spec_ctrl_host & SPEC_CTRL_BHI_DIS_S
		       ? "cpu is affected by bhi"
		       : "cpu is affected by bhi; its bhi_dis_s is not used, for spec_ctrl is off";
}

static const char *spec_ctrl_reason(const struct machine *machine)
{
	if (!has(machine, CPU_IBRS))
		return "cpu has no ibrs";
	return says(machine, ARCH_CAP(IBRS_ALL)) ? "cpu has ibrs_all" : "cpu has ibrs";
}

const char *mitigation_reason(const struct machine *machine, const struct knobs *knobs, enum knob knob)
{
	struct mitigation m = mitigation_select(machine, knobs);
	uint8_t request = knobs->value[knob];

	switch (knob) {
	case KNOB_VMENTRY_L1D_FLUSH:
		return l1d_reason(machine, request);
	case KNOB_VERW:
		return verw_reason(machine, request);
	case KNOB_FB_CLEAR_DIS:
		return fb_clear_dis_reason(machine, request);
	case KNOB_RSB:
		return request == OFF ? ASKED_FOR : rsb_reason(machine, &m);
	case KNOB_BHB:
		return request == OFF ? ASKED_FOR : bhb_reason(machine, &m);
	case KNOB_SPEC_CTRL:
		return request == OFF ? ASKED_FOR : spec_ctrl_reason(machine);
	case KNOB_IBPB:
		return request == OFF ? ASKED_FOR : m.ibpb ? "cpu has ibpb" : "cpu has no ibpb";
	case KNOB_L1D_FLUSH_BY:
		return l1d_flush_by_reason(machine, request);
	case KNOB_LOGLEVEL:
	case KNOB_COUNT:
		break;
	}
	return ASKED_FOR;
}

/* What no clearing on this thread helps against (trap 30). */
static const char *smt_words(const struct machine *machine)
{
	if (has(machine, CPU_HYPERVISOR))
		return "SMT Host state unknown";
	return smt_on(machine) ? "SMT vulnerable" : "SMT disabled";
}

static void l1tf_state(char *out, size_t size, const struct machine *machine, const struct mitigation *m)
{
	static const char *const MODES[] = {
		[L1D_NEVER] = "Vulnerable: VMX: vulnerable",
		[L1D_COND] = "Mitigation: VMX: conditional cache flushes",
		[L1D_ALWAYS] = "Mitigation: VMX: cache flushes",
		[L1D_NOT_REQUIRED] = "Mitigation: VMX: flush not necessary",
	};
	bool flushing = m->l1d_mode == L1D_COND || m->l1d_mode == L1D_ALWAYS;

	text_format(out, size, "%s, %s%s", MODES[m->l1d_mode], smt_words(machine),
		    flushing && !m->l1d_by_msr ? "; by software, no microcode (L1D_FLUSH)" : "");
}

/* mds and taa. A part that leaks only store buffers has nothing to share but when one thread goes idle. */
static void buffers_state(char *out, size_t size, const struct machine *machine, const struct mitigation *m,
			  enum bug bug)
{
	bool microcode = verw_microcode(machine, bug);
	bool idle_helps = bug == BUG_MDS && is_affected(machine, BUG_MSBDS_ONLY) && m->verw_idle && microcode;
	const char *smt = smt_words(machine);

	if (idle_helps && m->verw && smt_on(machine) && !has(machine, CPU_HYPERVISOR))
		smt = "SMT mitigated";
	text_format(out, size, "%s; %s",
		    !m->verw    ? "Vulnerable"
		    : microcode ? "Mitigation: Clear CPU buffers"
				: "Vulnerable: Clear CPU buffers attempted, no microcode",
		    smt);
}

/* No entry needs VERW for this one, but an idle CPU may. */
static void mmio_state(char *out, size_t size, const struct machine *machine, const struct mitigation *m)
{
	const char *idle = "";

	if (m->verw_idle)
		idle = verw_microcode(machine, BUG_MMIO_STALE_DATA)
			       ? ", CPU buffers cleared before idle"
			       : ", clearing CPU buffers before idle attempted, no microcode";
	else if (!says(machine, ARCH_CAP(FBSDP_NO)))
		idle = ", CPU buffers not cleared before idle";
	text_format(out, size, "Mitigation: guests reach no host MMIO%s; %s", idle, smt_words(machine));
}

static const char *rfds_state(const struct machine *machine, const struct mitigation *m)
{
	if (!m->verw)
		return "Vulnerable";
	return verw_microcode(machine, BUG_RFDS) ? "Mitigation: Clear Register File"
						 : "Vulnerable: Clear Register File attempted, no microcode";
}

/* srbds and gds: the microcode mitigates by itself. A firmware can have turned that off, in a bit that is not ours. */
static const char *microcode_state(const struct machine *machine, bool microcode, const char *mitigated)
{
	if (microcode)
		return mitigated;
	return has(machine, CPU_HYPERVISOR) ? "Unknown: Dependent on hypervisor status" : "Vulnerable: No microcode";
}

static const char *bhi_state(const struct mitigation *m)
{
	if (m->spec_ctrl_host & SPEC_CTRL_BHI_DIS_S)
		return "Mitigation: BHI_DIS_S";
	return m->bhb_clear ? "Mitigation: VMX: SW loop" : "Vulnerable";
}

/* The state of a bug that the CPU has. */
static void affected_state(char *out, size_t size, const struct machine *machine, const struct mitigation *m,
			   enum bug bug)
{
	switch (bug) {
	case BUG_L1TF:
		l1tf_state(out, size, machine, m);
		return;
	case BUG_TAA:
		if (!is_affected(machine, BUG_TAA_RTM)) {
			text_format(out, size, "Mitigation: TSX disabled");
			return;
		}
		buffers_state(out, size, machine, m, bug);
		return;
	case BUG_MDS:
		buffers_state(out, size, machine, m, bug);
		return;
	case BUG_MMIO_STALE_DATA:
		mmio_state(out, size, machine, m);
		return;
	case BUG_RFDS:
		text_format(out, size, "%s", rfds_state(machine, m));
		return;
	case BUG_SRBDS:
		text_format(out, size, "%s",
			    microcode_state(machine, has(machine, CPU_SRBDS_CTRL),
					    "Mitigation: Microcode (unless RNGDS_MITG_DIS is set: see cpus)"));
		return;
	case BUG_GDS:
		text_format(out, size, "%s",
			    microcode_state(machine, says(machine, ARCH_CAP(GDS_CTRL)),
					    "Mitigation: Microcode (unless GDS_MITG_DIS is set: see cpus)"));
		return;
	case BUG_ITS:
		text_format(out, size, "%s",
			    is_affected(machine, BUG_ITS_HOST_ONLY)
				    ? "Mitigation: VMX: Not affected, the host has no user mode"
				    : "Vulnerable: branches of the host are not aligned");
		return;
	case BUG_BHI:
		text_format(out, size, "%s", bhi_state(m));
		return;
	case BUG_MSBDS_ONLY:
	case BUG_PBRSB:
	case BUG_RETBLEED:
	case BUG_ITS_HOST_ONLY:
	case BUG_TAA_RTM:
		break;
	}
	text_format(out, size, "Affected");
}

void mitigation_bug_state(char *out, size_t size, const struct machine *machine, const struct mitigation *m,
			  enum bug bug)
{
	if (is_affected(machine, bug))
		affected_state(out, size, machine, m, bug);
	else
		text_format(out, size, "Not affected");

	if (bug == BUG_MMIO_STALE_DATA && m->fb_clear_dis != FB_CLEAR_DIS_OFF && smt_on(machine)) {
		size_t length = text_length(out);

		text_format(out + length, size - length,
			    "; what FB_CLEAR_DIS does when siblings differ is not documented");
	}
}
