/* Switches of tasks: CALL, JMP and IRET to a TSS, and events whose gate in the IDT names one. The CPU leaves the whole
 * of it to us, but for the checks of the gate. SDM vol. 3A, "Task Switching"; vol. 3C, "Treatment of Task Switches". */
#include "arch/cpu.h"
#include "arch/defs/cr.h"
#include "arch/defs/segment.h"
#include "arch/defs/task.h"
#include "arch/vmx.h"
#include "hv/exit.h"
#include "hv/guest_memory.h"
#include "hv/policy/task.h"
#include "hv/vcpu_cr.h"
#include "hv/vcpu_segment.h"
#include "hv/vm.h"

#define DESCRIPTOR_BYTES sizeof(uint64_t)
#define TYPE_AT          5 /* the byte of a descriptor that holds type, DPL and presence */
#define V86_LIMIT        0xffffu

struct task_switch {
	uint16_t selector;       /* of the new TSS */
	unsigned source;         /* TASK_BY_CALL .. */
	struct vcpu_event event; /* by a gate: what came */
	uint64_t new_descriptor;
	struct task_hidden new_tss;
	bool new_is_32bit;
	struct task_state state; /* the new task's */
};

static bool is_by_event(const struct task_switch *s)
{
	return s->source == TASK_BY_GATE;
}

/* CALL and events lead back: the new task is linked to the old one. */
static bool nests(const struct task_switch *s)
{
	return s->source == TASK_BY_CALL || is_by_event(s);
}

/* An instruction of the guest's own, which it returns behind. */
static bool is_by_instruction(const struct task_switch *s)
{
	const uint32_t type = s->event.info & INTR_INFO_TYPE_MASK;

	return !is_by_event(s) || type == INTR_INFO_TYPE_SOFTWARE || type == INTR_INFO_TYPE_PRIVILEGED ||
	       type == INTR_INFO_TYPE_SOFTWARE_EXC;
}

/* An exception about this selector. */
static bool fault(struct vcpu *vcpu, const struct task_switch *s, unsigned vector, uint16_t selector)
{
	const bool external = is_by_event(s) && !is_by_instruction(s);

	vcpu_inject_exception_error(vcpu, vector,
				    (selector & SELECTOR_ERROR_MASK) | (external ? ERROR_CODE_EXTERNAL : 0));
	return false;
}

/* ---- memory: what the CPU itself reads and writes; false: a #PF is on its way ---- */

static bool read_memory(struct vcpu *vcpu, uint64_t linear, void *data, unsigned bytes)
{
	struct guest_memory_place place;

	if (guest_memory_find(vcpu, linear, bytes, GUEST_MEMORY_SYSTEM, &place) == GUEST_MEMORY_FAULT)
		return false;
	guest_memory_take(&place, data);
	return true;
}

static bool write_memory(struct vcpu *vcpu, uint64_t linear, const void *data, unsigned bytes)
{
	struct guest_memory_place place;

	if (guest_memory_find(vcpu, linear, bytes, GUEST_MEMORY_SYSTEM | GUEST_MEMORY_WRITE, &place) ==
	    GUEST_MEMORY_FAULT)
		return false;
	guest_memory_put(&place, data);
	return true;
}

/* Where the selector's descriptor is. False: beyond the table. */
static bool find_descriptor(uint16_t selector, uint64_t *linear)
{
	const bool is_local = selector & SELECTOR_LDT;
	const uint64_t at = selector & SELECTOR_INDEX;

	if (is_local && (vmread(VMCS_GUEST_LDTR_ACCESS_RIGHTS) & AR_UNUSABLE))
		return false;
	if (at + DESCRIPTOR_BYTES - 1 > vmread(is_local ? VMCS_GUEST_LDTR_LIMIT : VMCS_GUEST_GDTR_LIMIT))
		return false;
	*linear = vmread(is_local ? VMCS_GUEST_LDTR_BASE : VMCS_GUEST_GDTR_BASE) + at;
	return true;
}

/* The selector's descriptor gets another type: these bits set, those clear. */
static bool retype(struct vcpu *vcpu, uint16_t selector, uint8_t set, uint8_t clear)
{
	uint64_t linear;
	uint8_t type;

	if (!find_descriptor(selector, &linear))
		return true;
	if (!read_memory(vcpu, linear + TYPE_AT, &type, sizeof(type)))
		return false;
	type = (uint8_t)((type | set) & ~clear);
	return write_memory(vcpu, linear + TYPE_AT, &type, sizeof(type));
}

/* ---- the old task ---- */

static bool find_new_tss(struct vcpu *vcpu, struct task_switch *s)
{
	const bool may_be_gp = s->source == TASK_BY_CALL || s->source == TASK_BY_JMP;
	uint8_t tss[TASK_TSS_BYTES];
	uint64_t linear;

	if ((s->selector & SELECTOR_LDT) || !find_descriptor(s->selector, &linear))
		return fault(vcpu, s, may_be_gp ? EXC_GP : EXC_TS, s->selector);
	if (!read_memory(vcpu, linear, &s->new_descriptor, sizeof(s->new_descriptor)))
		return false;
	s->new_tss = task_hidden_of(s->new_descriptor);
	s->new_is_32bit = s->new_tss.access_rights & SYSTEM_TYPE_TSS32;
	if (!(s->new_descriptor & DESCRIPTOR_PRESENT))
		return fault(vcpu, s, EXC_NP, s->selector);
	if (s->new_tss.limit + 1ull < task_tss_bytes(s->new_is_32bit))
		return fault(vcpu, s, EXC_TS, s->selector);
	if (!read_memory(vcpu, s->new_tss.base, tss, task_tss_bytes(s->new_is_32bit)))
		return false;
	task_load(&s->state, tss, s->new_is_32bit);
	return true;
}

/* A fault's own return address gets RF, so that a breakpoint on it is not met twice. */
static bool sets_rf(const struct task_switch *s)
{
	const unsigned vector = s->event.info & INTR_INFO_VECTOR_MASK;

	return is_by_event(s) && (s->event.info & INTR_INFO_TYPE_MASK) == INTR_INFO_TYPE_HARDWARE && vector != EXC_DB &&
	       vector != EXC_DF && vector != EXC_MC;
}

static bool save_old_task(struct vcpu *vcpu, const struct task_switch *s)
{
	const bool is_32bit = vmread(VMCS_GUEST_TR_ACCESS_RIGHTS) & SYSTEM_TYPE_TSS32;
	struct task_state old = {
		.pointer = (uint32_t)vmread(VMCS_GUEST_RIP),
		.flags = (uint32_t)vmread(VMCS_GUEST_RFLAGS),
	};
	uint8_t bytes[TASK_TSS_BYTES];
	unsigned start, count;

	if (is_by_instruction(s))
		old.pointer += (uint32_t)vmread(VMCS_EXIT_INSTRUCTION_LENGTH);
	if (s->source == TASK_BY_IRET)
		old.flags &= ~RFLAGS_NT;
	if (sets_rf(s))
		old.flags |= RFLAGS_RF;
	for (unsigned i = 0; i < TASK_GPRS; i++)
		old.gpr[i] = (uint32_t)vcpu_gpr(vcpu, i);
	for (unsigned i = 0; i < TASK_SEGMENTS; i++)
		old.segment[i] = (uint16_t)vmread(vcpu_segment_fields[i].selector);
	count = task_save(&old, is_32bit, bytes, &start);
	return write_memory(vcpu, vmread(VMCS_GUEST_TR_BASE) + start, bytes, count);
}

/* The link, and who is busy. */
static bool hand_over(struct vcpu *vcpu, const struct task_switch *s)
{
	const uint16_t old_selector = (uint16_t)vmread(VMCS_GUEST_TR_SELECTOR);

	if (nests(s) && !write_memory(vcpu, s->new_tss.base + TSS_LINK, &old_selector, sizeof(old_selector)))
		return false;
	if (!nests(s) && !retype(vcpu, old_selector, 0, SYSTEM_TYPE_TSS_BUSY))
		return false;
	return s->source == TASK_BY_IRET || retype(vcpu, s->selector, SYSTEM_TYPE_TSS_BUSY, 0);
}

/* ---- the new task; what faults from here on, faults in it ---- */

static bool load_cr3(const struct percpu *cpu, struct vcpu *vcpu, const struct task_switch *s)
{
	const uint64_t old = vmread(VMCS_GUEST_CR3);

	if (!s->new_is_32bit || !(vmread(VMCS_GUEST_CR0) & CR0_PG))
		return true;
	vmwrite(VMCS_GUEST_CR3, s->state.cr3);
	if (!vcpu_cr_load_pdptes(cpu, vcpu)) {
		vmwrite(VMCS_GUEST_CR3, old);
		vcpu_inject_gp(vcpu);
		return false;
	}
	invvpid(INVVPID_SINGLE, vcpu->vpid);
	return true;
}

static void load_registers(struct vcpu *vcpu, const struct task_switch *s)
{
	const uint32_t flags = (s->state.flags & RFLAGS_ALL) | RFLAGS_FIXED1 | (nests(s) ? RFLAGS_NT : 0);

	vcpu_segment_set(SEGMENT_TR, s->selector, s->new_tss.base, s->new_tss.limit,
			 s->new_tss.access_rights | SYSTEM_TYPE_TSS_BUSY);
	vmwrite(VMCS_GUEST_CR0, vmread(VMCS_GUEST_CR0) | CR0_TS);
	vmwrite(VMCS_GUEST_DR7, vmread(VMCS_GUEST_DR7) & ~(uint64_t)DR7_LOCAL);
	vmwrite(VMCS_GUEST_RIP, s->state.pointer);
	vmwrite(VMCS_GUEST_RFLAGS, flags);
	for (unsigned i = 0; i < TASK_GPRS; i++)
		vcpu_gpr_set(vcpu, i, s->state.gpr[i]);
}

static void load_v86_segments(const struct task_switch *s)
{
	for (unsigned i = 0; i < TASK_SEGMENTS; i++)
		vcpu_segment_set((enum vcpu_segment)i, s->state.segment[i], (uint64_t)s->state.segment[i] << 4,
				 V86_LIMIT, AR_V86);
}

static bool load_ldt(struct vcpu *vcpu, const struct task_switch *s)
{
	const uint16_t selector = s->state.ldt;
	struct task_hidden hidden;
	uint64_t linear, descriptor;

	vcpu_segment_set(SEGMENT_LDTR, selector, 0, 0, AR_UNUSABLE);
	if ((selector & SELECTOR_ERROR_MASK) == 0)
		return true;
	if ((selector & SELECTOR_LDT) || !find_descriptor(selector, &linear))
		return fault(vcpu, s, EXC_TS, selector);
	if (!read_memory(vcpu, linear, &descriptor, sizeof(descriptor)))
		return false;
	if (task_ldt_check(descriptor) != TASK_SEGMENT_GOOD)
		return fault(vcpu, s, task_ldt_check(descriptor), selector);
	hidden = task_hidden_of(descriptor);
	vcpu_segment_set(SEGMENT_LDTR, selector, hidden.base, hidden.limit, hidden.access_rights);
	return true;
}

static bool load_segment(struct vcpu *vcpu, const struct task_switch *s, enum task_segment which, unsigned cpl)
{
	const uint16_t selector = s->state.segment[which];
	struct task_hidden hidden;
	uint64_t linear, descriptor;
	unsigned vector;

	if ((selector & SELECTOR_ERROR_MASK) == 0)
		return task_segment_may_be_null(which) || fault(vcpu, s, EXC_TS, selector);
	if (!find_descriptor(selector, &linear))
		return fault(vcpu, s, EXC_TS, selector);
	if (!read_memory(vcpu, linear, &descriptor, sizeof(descriptor)))
		return false;
	vector = task_segment_check(which, selector, descriptor, cpl);
	if (vector != TASK_SEGMENT_GOOD)
		return fault(vcpu, s, vector, selector);
	if (!(descriptor & DESCRIPTOR_ACCESSED) &&
	    !retype(vcpu, selector, DESCRIPTOR_ACCESSED >> DESCRIPTOR_TYPE_SHIFT, 0))
		return false;
	hidden = task_hidden_of(descriptor | DESCRIPTOR_ACCESSED);
	vcpu_segment_set((enum vcpu_segment)which, selector, hidden.base, hidden.limit, hidden.access_rights);
	return true;
}

/* One that cannot be loaded leaves its selector, and nothing to use. But without a whole CS, and a privilege in SS,
 * there is no entry: until the new ones are there, the privilege is the old one. */
static void forget_segments(const struct task_switch *s)
{
	const uint32_t privilege = (uint32_t)vmread(VMCS_GUEST_SS_ACCESS_RIGHTS) & AR_DPL_MASK << AR_DPL_SHIFT;

	for (unsigned i = 0; i < TASK_SEGMENTS; i++)
		vcpu_segment_set((enum vcpu_segment)i, s->state.segment[i], 0, i == TASK_CS ? UINT32_MAX : 0,
				 (i == TASK_CS ? AR_CODE32 : AR_UNUSABLE) | privilege);
}

static bool load_segments(struct vcpu *vcpu, const struct task_switch *s)
{
	static const enum task_segment others[] = {TASK_SS, TASK_DS, TASK_ES, TASK_FS, TASK_GS};
	const unsigned cpl = s->state.segment[TASK_CS] & SELECTOR_RPL;

	forget_segments(s);
	if (!load_ldt(vcpu, s))
		return false;
	if (s->state.flags & RFLAGS_VM) {
		load_v86_segments(s);
		return true;
	}
	if (!load_segment(vcpu, s, TASK_CS, cpl))
		return false;
	vmwrite(VMCS_GUEST_SS_ACCESS_RIGHTS, AR_UNUSABLE | cpl << AR_DPL_SHIFT);
	for (unsigned i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!load_segment(vcpu, s, others[i], cpl))
			return false;
	return true;
}

/* The error code of an exception goes onto the new task's stack. */
static bool push_error_code(struct vcpu *vcpu, const struct task_switch *s)
{
	const unsigned bytes = s->new_is_32bit ? sizeof(uint32_t) : sizeof(uint16_t);
	const uint64_t mask = vmread(VMCS_GUEST_SS_ACCESS_RIGHTS) & AR_CS_D ? UINT32_MAX : UINT16_MAX;
	const uint64_t rsp = vmread(VMCS_GUEST_RSP), top = (rsp - bytes) & mask;

	if (!is_by_event(s) || !(s->event.info & INTR_INFO_ERROR_CODE))
		return true;
	if (guest_memory_write(vcpu, vmread(VMCS_GUEST_SS_BASE) + top, &s->event.error_code, bytes) ==
	    GUEST_MEMORY_FAULT)
		return false;
	vmwrite(VMCS_GUEST_RSP, (rsp & ~mask) | top);
	return true;
}

/* An NMI blocks the next until IRET; and IRET is what this may be. STI's and MOV SS's shadows are over. */
static void settle_blocking(const struct task_switch *s)
{
	const bool is_nmi = is_by_event(s) && (s->event.info & INTR_INFO_TYPE_MASK) == INTR_INFO_TYPE_NMI;
	uint64_t blocked = vmread(VMCS_GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI;

	if (s->source == TASK_BY_IRET)
		blocked = 0;
	vmwrite(VMCS_GUEST_INTERRUPTIBILITY, is_nmi ? INTERRUPTIBILITY_NMI : blocked);
}

enum exit_action exit_task_switch(struct percpu *cpu, struct vcpu *vcpu)
{
	const uint64_t qualification = vmread(VMCS_EXIT_QUALIFICATION);
	struct task_switch s = {
		.selector = qualification & TASK_SELECTOR_MASK,
		.source = qualification >> TASK_SOURCE_SHIFT & TASK_SOURCE_MASK,
		.event = vcpu->event,
	};

	exit_note_host(cpu);
	vcpu->event.info = 0;
	if (!find_new_tss(vcpu, &s) || !save_old_task(vcpu, &s) || !hand_over(vcpu, &s) || !load_cr3(cpu, vcpu, &s))
		return EXIT_RESUME;
	settle_blocking(&s);
	load_registers(vcpu, &s);
	if (!load_segments(vcpu, &s) || !push_error_code(vcpu, &s))
		return EXIT_RESUME;
	if (s.state.trap) {
		write_dr6(read_dr6() | DR6_BT);
		vcpu_inject_exception(vcpu, EXC_DB);
	}
	return EXIT_RESUME;
}
