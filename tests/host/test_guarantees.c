/* The guarantees G1 to G4 of the interface, section 5, end to end: machines, knobs, vCPU models, pCPU and promise
 * states go through the modules that decide, and a small machine carries the plans out, as arch/vmx_enter.asm and the
 * CPU do. What must be true is said of what that machine did, not of the plan. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/defs/msr.h"
#include "hv/policy/entry_plan.h"
#include "hv/policy/promise.h"
#include "hv/policy/vcpu_model.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define DIS          ((uint64_t)MCU_OPT_CTRL_FB_CLEAR_DIS)

/* assert_true() costs too much, when it holds, for millions of checks. */
#define HOLDS(condition)                            \
	do {                                        \
		if (!(condition))                   \
			fail_msg("%s", #condition); \
	} while (0)

/* ---- the machine that carries plans out ---- */

enum outcome { RAN, VM_FAIL, FAILED_LATE, NMI_CAME, OUTCOME_COUNT };

struct cpu {
	uint64_t mcu_opt_ctrl;
	bool l1d_dirty;     /* host data or another VM's in the L1D */
	bool buffers_dirty; /* and in the buffers that VERW clears */
	unsigned mcu_writes;
};

/* What the guest found when its first instruction ran. */
struct arrival {
	bool ran, l1d_dirty, buffers_dirty, fb_clear_dis;
};

static void cpu_wrmsr_mcu(struct cpu *cpu, uint64_t value)
{
	cpu->mcu_opt_ctrl = value;
	cpu->mcu_writes++;
}

/* The order is that of arch/abi/entry_plan.h. VERW does nothing for fill buffers while FB_CLEAR_DIS is set; the entry
 * area is taken after the guest state has been checked, the exit area also when the entry fails late. An L1D flush
 * never counts for the buffers. */
static struct arrival cpu_enter(struct cpu *cpu, const struct entry_plan *plan, enum outcome outcome)
{
	struct arrival arrival = {0};

	if (plan->steps & PLAN_MCU_WRITE)
		cpu_wrmsr_mcu(cpu, plan->mcu_opt_ctrl);
	if (outcome != NMI_CAME) {
		if (plan->steps & (PLAN_L1D_MSR | PLAN_L1D_SOFT))
			cpu->l1d_dirty = false;
		if (plan->steps & PLAN_VERW && !(cpu->mcu_opt_ctrl & DIS))
			cpu->buffers_dirty = false;
	}
	if (outcome == RAN) {
		if (plan->steps & PLAN_LIST_L1D)
			cpu->l1d_dirty = false;
		if (plan->steps & PLAN_LIST_MCU)
			cpu->mcu_opt_ctrl = plan->mcu_opt_ctrl | DIS;
		arrival = (struct arrival){true, cpu->l1d_dirty, cpu->buffers_dirty, cpu->mcu_opt_ctrl & DIS};
	}
	if ((outcome == RAN || outcome == FAILED_LATE) && plan->steps & PLAN_LIST_MCU)
		cpu->mcu_opt_ctrl = plan->mcu_opt_ctrl_root;
	if (plan->steps & PLAN_MCU_RESTORE)
		cpu_wrmsr_mcu(cpu, plan->mcu_opt_ctrl_root);
	return arrival;
}

/* ---- every machine, under every combination of the knobs that matter, with every model ---- */

/* Bits of IA32_ARCH_CAPABILITIES and CPUID on which the decisions hang. All combinations of them are tried; on real
 * parts only some occur. */
static const uint64_t CAPS_BITS[] = {
	ARCH_CAP(RDCL_NO),  ARCH_CAP(MDS_NO),        ARCH_CAP(TAA_NO),     ARCH_CAP(SKIP_L1DFL_VMENTRY),
	ARCH_CAP(FB_CLEAR), ARCH_CAP(FB_CLEAR_CTRL), ARCH_CAP(RFDS_CLEAR), ARCH_CAP(FBSDP_NO),
};
static const uint32_t FEATURE_BITS[] = {CPU_L1D_FLUSH, CPU_MD_CLEAR, CPU_RTM, CPU_HYPERVISOR};
static const uint32_t LISTS[] = {0, CPU_MSR_FLUSH_CMD | CPU_MSR_MCU_OPT_CTRL};

#define MACHINES (1u << (COUNT(CAPS_BITS) + COUNT(FEATURE_BITS) + 1))

static struct machine machine_make(unsigned i)
{
	struct machine machine = {
		.caps =
			{
				.is_intel = true,
				.family = 6,
				.model = 0x55,
				.stepping = 7,
				.features = CPU_ARCH_CAPABILITIES | CPU_AVX,
				.threads_per_core = 1,
			},
	};

	for (size_t bit = 0; bit < COUNT(CAPS_BITS); bit++, i >>= 1)
		machine.caps.arch_capabilities |= i & 1 ? CAPS_BITS[bit] : 0;
	for (size_t bit = 0; bit < COUNT(FEATURE_BITS); bit++, i >>= 1)
		machine.caps.features |= i & 1 ? FEATURE_BITS[bit] : 0;
	machine.entry_list_msrs = LISTS[i & 1];
	machine.bugs = bugs_find(&machine.caps);
	machine.supported_caps = bugs_supported_caps(&machine.caps, machine.bugs);
	return machine;
}

#define SETTINGS (4u * 3u * 4u * 2u)

static struct knobs setting_make(unsigned i)
{
	struct knobs knobs = knob_defaults();

	knobs.value[KNOB_VMENTRY_L1D_FLUSH] = i % 4;
	knobs.value[KNOB_VERW] = i / 4 % 3;
	knobs.value[KNOB_FB_CLEAR_DIS] = i / 12 % 4;
	knobs.value[KNOB_L1D_FLUSH_BY] = (uint8_t)(i / 48);
	return knobs;
}

/* All that an entry depends on, and what must be true of it, found without the modules under test. Two that are equal
 * need not both be tried. */
struct situation {
	struct mitigation m;
	bool wants;              /* the model's wish */
	bool guest_has_fb_clear; /* said or implied by the value that the guest reads */
	bool host_needs_verw;
	bool host_needs_l1d;
};

#define KEYS (1u << 13)

static unsigned situation_key(const struct situation *s)
{
	unsigned key = s->m.l1d_mode;

	key = key << 2 | s->m.fb_clear_dis;
	key = key << 1 | s->m.l1d_needed;
	key = key << 1 | s->m.l1d_by_msr;
	key = key << 1 | s->m.l1d_by_list;
	key = key << 1 | s->m.verw;
	key = key << 1 | s->m.mcu_opt_ctrl;
	key = key << 1 | s->wants;
	key = key << 1 | s->guest_has_fb_clear;
	key = key << 1 | s->host_needs_verw;
	return key << 1 | s->host_needs_l1d;
}

static struct situation situation_of(unsigned key)
{
	return (struct situation){
		.host_needs_l1d = key & 1,
		.host_needs_verw = key >> 1 & 1,
		.guest_has_fb_clear = key >> 2 & 1,
		.wants = key >> 3 & 1,
		.m =
			{
				.mcu_opt_ctrl = key >> 4 & 1,
				.verw = key >> 5 & 1,
				.l1d_by_list = key >> 6 & 1,
				.l1d_by_msr = key >> 7 & 1,
				.l1d_needed = key >> 8 & 1,
				.fb_clear_dis = key >> 9 & 3,
				.l1d_mode = key >> 11 & 3,
			},
	};
}

static bool occurs[KEYS];
static uint64_t stricter[KEYS][KEYS / 64]; /* bit b of row a: b asks for more than a, on one machine and model */

/* What the hardware facts, 3 and 4, say of the model of machine_make(), written a second time. */
static bool needs_verw(const struct machine *machine, enum verw_request request)
{
	uint64_t value = machine->caps.arch_capabilities;

	if (request != VERW_AUTO)
		return request == VERW_ON;
	return !(value & ARCH_CAP(MDS_NO)) || (!(value & ARCH_CAP(TAA_NO)) && machine->caps.features & CPU_RTM) ||
	       value & ARCH_CAP(RFDS_CLEAR);
}

static bool needs_l1d(const struct machine *machine)
{
	return !(machine->caps.arch_capabilities & (ARCH_CAP(RDCL_NO) | ARCH_CAP(SKIP_L1DFL_VMENTRY)));
}

static bool value_has_fb_clear(const struct vcpu_model *model)
{
	return model->arch_capabilities & ARCH_CAP(FB_CLEAR) ||
	       (!(model->arch_capabilities & ARCH_CAP(MDS_NO)) && model->features & CPU_L1D_FLUSH &&
		model->features & CPU_MD_CLEAR);
}

/* From the weakest to the strongest; 0 and 0 are not comparable. */
static unsigned strength_l1d(uint8_t request)
{
	static const unsigned STRENGTH[] = {
		[L1D_REQUEST_NEVER] = 0, [L1D_REQUEST_AUTO] = 1, [L1D_REQUEST_COND] = 2, [L1D_REQUEST_ALWAYS] = 3};

	return STRENGTH[request];
}

static unsigned strength_verw(uint8_t request)
{
	static const unsigned STRENGTH[] = {[VERW_OFF] = 0, [VERW_AUTO] = 1, [VERW_ON] = 2};

	return STRENGTH[request];
}

/* Knobs b ask at least for the clearing that a ask for; how it is done may differ. */
static bool asks_for_more(unsigned a, unsigned b)
{
	struct knobs less = setting_make(a), more = setting_make(b);

	return strength_l1d(more.value[KNOB_VMENTRY_L1D_FLUSH]) >= strength_l1d(less.value[KNOB_VMENTRY_L1D_FLUSH]) &&
	       strength_verw(more.value[KNOB_VERW]) >= strength_verw(less.value[KNOB_VERW]);
}

static void collect_for(const struct machine *machine, const struct vcpu_model *model)
{
	static bool more[SETTINGS][SETTINGS], filled;
	unsigned keys[SETTINGS];

	for (unsigned k = 0; k < SETTINGS; k++) {
		struct knobs knobs = setting_make(k);
		struct situation s = {
			.m = mitigation_select(machine, &knobs),
			.wants = model->wants_fb_clear_dis,
			.guest_has_fb_clear = value_has_fb_clear(model),
			.host_needs_verw = needs_verw(machine, knobs.value[KNOB_VERW]),
			.host_needs_l1d = needs_l1d(machine),
		};

		keys[k] = situation_key(&s);
		occurs[keys[k]] = true;
	}
	for (unsigned a = 0; a < SETTINGS; a++) {
		for (unsigned b = 0; b < SETTINGS; b++) {
			if (!filled)
				more[a][b] = asks_for_more(a, b);
			if (more[a][b])
				stricter[keys[a]][keys[b] / 64] |= 1ull << keys[b] % 64;
		}
	}
	filled = true;
}

static int collect_situations(void **state)
{
	static const uint64_t REMOVED[] = {0, ARCH_CAP(FB_CLEAR)};

	(void)state;
	for (unsigned i = 0; i < MACHINES; i++) {
		struct machine machine = machine_make(i);
		bool tried[4] = {false};

		for (unsigned n = 0; vcpu_model_name(n / 2) != NULL; n++) {
			struct vcpu_model_request request = {
				.cpu = vcpu_model_name(n / 2), .caps_remove = REMOVED[n % 2], .unsafe = true};
			struct vcpu_model model;
			uint32_t masked;
			uint64_t bits;

			if (vcpu_model_make(&model, &request, &machine, &masked, &bits) != VCPU_MODEL_OK)
				return -1;

			/* The mitigation knows no models, so those with the same two answers are one. */
			bool *done = &tried[model.wants_fb_clear_dis * 2 + value_has_fb_clear(&model)];

			if (!*done)
				collect_for(&machine, &model);
			*done = true;
		}
	}
	return 0;
}

/* ---- every situation, with every state of the pCPU and of the promise ---- */

static const uint64_t REGISTERS[] = {0x30, 0x30 | MCU_OPT_CTRL_FB_CLEAR_DIS, ~0ull};
#define WORDS  32u
#define INPUTS ((unsigned)COUNT(REGISTERS) * 2u * WORDS)

struct run {
	struct entry_plan plan;
	struct cpu before, after;
	struct arrival arrival;
	bool read;
	bool told;
};

static promise_t word_make(unsigned i)
{
	return (i & 3) | (i & 4 ? PROMISE_SKIP : 0) | (i & 8 ? PROMISE_SEALED : 0) | (i & 16 ? PROMISE_BROKEN : 0);
}

static struct run enter(const struct situation *s, unsigned input, enum outcome outcome)
{
	uint64_t mcu_opt_ctrl = s->m.mcu_opt_ctrl ? REGISTERS[input % COUNT(REGISTERS)] : 0;
	bool due = input / COUNT(REGISTERS) % 2;
	promise_t word = word_make(input / COUNT(REGISTERS) / 2);
	struct entry_plan_input in = {
		.requests = due ? WHY_IRQ : 0,
		.owed = promise_owed(word, s->m.l1d_needed, mitigation_flushes(&s->m)),
		.wants_fb_clear_dis = s->wants,
		.mcu_opt_ctrl = mcu_opt_ctrl,
	};
	struct run run = {
		.before = {.mcu_opt_ctrl = mcu_opt_ctrl, .l1d_dirty = due, .buffers_dirty = true},
		.read = entry_plan_reads_mcu(&s->m, s->wants),
		.told = promise_told(word),
	};

	entry_plan_make(&run.plan, &s->m, &in);
	run.after = run.before;
	run.arrival = cpu_enter(&run.after, &run.plan, outcome);
	return run;
}

static void for_all(void (*holds)(const struct situation *s, const struct run *run, enum outcome outcome))
{
	for (unsigned key = 0; key < KEYS; key++) {
		struct situation s = situation_of(key);

		if (!occurs[key])
			continue;
		for (unsigned input = 0; input < INPUTS; input++) {
			for (unsigned outcome = RAN; outcome < OUTCOME_COUNT; outcome++) {
				struct run run = enter(&s, input, (enum outcome)outcome);

				holds(&s, &run, (enum outcome)outcome);
			}
		}
	}
}

/* That the loops above are not empty, and see what they should. */
static void the_situations_are_many_and_of_every_kind(void **state)
{
	unsigned count = 0, modes = 0, strategies = 0, mechanisms = 0, mixed = 0;

	(void)state;
	for (unsigned key = 0; key < KEYS; key++) {
		struct situation s = situation_of(key);

		assert_int_equal(situation_key(&s), key);
		if (!occurs[key])
			continue;
		count++;
		modes |= 1u << s.m.l1d_mode;
		strategies |= 1u << s.m.fb_clear_dis;
		mechanisms |= 1u << (s.m.l1d_by_msr + s.m.l1d_by_list);
		mixed += s.host_needs_verw && s.wants && s.m.fb_clear_dis == FB_CLEAR_DIS_MSRLIST;
	}
	print_message("%u situations, from %u machines and %u settings of the knobs\n", count, (unsigned)MACHINES,
		      SETTINGS);
	assert_true(count > 500 && modes == 0xf && strategies == 0xf && mechanisms == 0x7 && mixed > 0);
}

static void check_g1(const struct situation *s, const struct run *run, enum outcome outcome)
{
	(void)outcome;
	/* `auto` and `cond` as asked for, or a promise: no dirty L1D meets the guest. */
	HOLDS(s->m.l1d_needed == s->host_needs_l1d);
	if (run->arrival.ran && (mitigation_flushes(&s->m) || (s->host_needs_l1d && run->told)))
		HOLDS(!run->arrival.l1d_dirty);
	/* Where no flush is needed and none asked for, none is made. */
	if (s->m.l1d_mode == L1D_NOT_REQUIRED)
		HOLDS(run->plan.l1d == PLAN_L1D_NONE);
}

static void g1_no_dirty_l1d_meets_a_vm_that_was_promised_so(void **state)
{
	(void)state;
	for_all(check_g1);
}

static void check_g2(const struct situation *s, const struct run *run, enum outcome outcome)
{
	(void)outcome;
	HOLDS(!(s->wants && s->guest_has_fb_clear));
	if (!run->arrival.ran)
		return;
	if (s->guest_has_fb_clear)
		HOLDS(!run->arrival.fb_clear_dis);
	HOLDS(run->arrival.fb_clear_dis == run->plan.fb_clear_dis);
	HOLDS(s->m.mcu_opt_ctrl || !run->arrival.fb_clear_dis);
}

static void g2_trap14_a_guest_with_fb_clear_runs_with_fb_clear_dis_0(void **state)
{
	(void)state;
	for_all(check_g2);
}

static void check_g3(const struct situation *s, const struct run *run, enum outcome outcome)
{
	(void)outcome;
	if (run->arrival.ran && s->host_needs_verw)
		HOLDS(!run->arrival.buffers_dirty);
}

static void g3_traps_1_2_3_no_dirty_buffers_meet_a_guest_where_the_host_needs_them_clear(void **state)
{
	(void)state;
	for_all(check_g3);
}

static void check_g4(const struct situation *s, const struct run *run, enum outcome outcome)
{
	bool set = run->before.mcu_opt_ctrl & DIS;
	unsigned writes = run->after.mcu_writes;

	(void)outcome;
	if (!s->m.mcu_opt_ctrl) {
		HOLDS(writes == 0 && !run->read && !(run->plan.steps & PLAN_LIST_MCU));
		return;
	}
	if (s->m.fb_clear_dis == FB_CLEAR_DIS_TOGGLE && run->plan.fb_clear_dis) {
		HOLDS(run->read && writes == 2);
		return;
	}
	HOLDS(!run->read);
	if (s->m.fb_clear_dis == FB_CLEAR_DIS_CACHED)
		HOLDS(writes == (set != run->plan.fb_clear_dis));
	else
		HOLDS(writes == set); /* only what another strategy has left */
}

static void g4_trap18_reads_and_writes_of_mcu_opt_ctrl_are_as_many_as_promised(void **state)
{
	(void)state;
	for_all(check_g4);
}

/* However the entry ended: the caller notes mcu_opt_ctrl_root as the register's value, and is right. */
static void check_after(const struct situation *s, const struct run *run, enum outcome outcome)
{
	(void)outcome;
	HOLDS(((run->after.mcu_opt_ctrl ^ run->before.mcu_opt_ctrl) & ~DIS) == 0);
	if (s->m.mcu_opt_ctrl)
		HOLDS(run->after.mcu_opt_ctrl == run->plan.mcu_opt_ctrl_root);
	if (s->m.fb_clear_dis != FB_CLEAR_DIS_CACHED)
		HOLDS(!(run->after.mcu_opt_ctrl & DIS) || !s->m.mcu_opt_ctrl);
}

static void trap8_trap20_the_register_is_as_planned_after_every_way_an_entry_can_end(void **state)
{
	(void)state;
	for_all(check_after);
}

/* Asking for more never flushes less: on one machine, every pair of settings of which the second asks for at least as
 * much, by whatever mechanism and strategy; and a debt on top. */
static void asking_for_more_never_flushes_less(void **state)
{
	unsigned pairs = 0;

	(void)state;
	for (unsigned a = 0; a < KEYS; a++) {
		struct situation less = situation_of(a);

		for (unsigned b = 0; occurs[a] && b < KEYS; b++) {
			struct situation more = situation_of(b);

			if (!(stricter[a][b / 64] >> b % 64 & 1))
				continue;
			pairs++;
			/* The register's state and the flags beside `told` are done in for_all(). */
			for (unsigned input = 0; input < INPUTS; input += 5) {
				struct run r = enter(&less, input, RAN), up = enter(&more, input, RAN);

				HOLDS(r.arrival.l1d_dirty || !up.arrival.l1d_dirty);
				HOLDS(r.arrival.buffers_dirty || !up.arrival.buffers_dirty);
			}
		}
	}
	print_message("%u pairs\n", pairs);
	assert_true(pairs > 1000);
}

static void being_told_never_flushes_less(void **state)
{
	(void)state;
	for (unsigned key = 0; key < KEYS; key++) {
		struct situation s = situation_of(key);

		for (unsigned input = 0; occurs[key] && input < INPUTS; input++) {
			unsigned word = input / COUNT(REGISTERS) / 2;
			unsigned told = input + (3 - (word & 3)) * 2 * (unsigned)COUNT(REGISTERS);
			struct run r = enter(&s, input, RAN), up = enter(&s, told, RAN);

			HOLDS(r.arrival.l1d_dirty || !up.arrival.l1d_dirty);
		}
	}
}

/* ---- G1 as a history: every order of events, with two vCPUs on two pCPUs ---- */

enum change { NO_CHANGE, BIT_TO_COME, MODE_TO_COME };

/* The word and what decides; and a witness, who keeps account of what the VM may rely on. */
struct world {
	promise_t word;
	uint8_t mode;        /* enum l1d_mode, never to always */
	uint8_t change;      /* enum change: a `set` between its two steps */
	uint8_t requests[2]; /* of each pCPU: WHY_IRQ, WHY_RETRY */
	bool dirty[2];       /* witness: the L1D of each pCPU */
	bool relies[2];      /* witness: this vCPU has read 1, and nothing has ended that */
	bool broken;         /* witness: a debt was dropped by force */
};

#define WORLDS (1u << 20)

static unsigned world_number(const struct world *w)
{
	unsigned number = (unsigned)(w->word & 3) | (unsigned)(w->word >> 32 & 7) << 2;

	number = number << 2 | w->mode;
	number = number << 2 | w->change;
	for (unsigned i = 0; i < 2; i++) {
		number = number << 1 | !!(w->requests[i] & WHY_IRQ);
		number = number << 1 | !!(w->requests[i] & WHY_RETRY);
		number = number << 1 | w->dirty[i];
		number = number << 1 | w->relies[i];
	}
	return number << 1 | w->broken;
}

static void world_enter(struct world *w, unsigned cpu, bool fails)
{
	struct mitigation m = {.l1d_mode = w->mode, .l1d_needed = true};
	struct entry_plan_input in = {
		.requests = w->requests[cpu],
		.owed = promise_owed(w->word, true, mitigation_flushes(&m)),
	};
	struct cpu machine = {.l1d_dirty = w->dirty[cpu]};
	struct entry_plan plan;

	entry_plan_make(&plan, &m, &in);

	struct arrival arrival = cpu_enter(&machine, &plan, fails ? FAILED_LATE : RAN);

	if (fails) {
		w->requests[cpu] |= WHY_RETRY;
		w->dirty[cpu] = true;
		return;
	}
	HOLDS(!arrival.l1d_dirty || !(w->relies[0] || w->relies[1]));
	HOLDS(!w->broken || w->word & PROMISE_BROKEN);
	w->requests[cpu] = entry_plan_requests_left(&plan, w->requests[cpu]);
	w->dirty[cpu] = machine.l1d_dirty;
}

static void world_read(struct world *w, unsigned vcpu)
{
	w->word = promise_read(w->word, vcpu);
	if (w->word & PROMISE_SKIP)
		w->relies[vcpu] = true;
}

static void world_ack(struct world *w)
{
	bool had_bit = w->word & PROMISE_SKIP;

	w->word = promise_ack(w->word);
	if (!had_bit)
		w->broken = w->relies[0] = w->relies[1] = false;
	else if (w->relies[0] || w->relies[1])
		w->broken = false; /* what it relies on now has been read again, and is given */
}

static void world_force(struct world *w)
{
	struct mitigation m = {.l1d_mode = w->mode};
	bool flushing = mitigation_flushes(&m);

	w->word = promise_force(w->word, flushing);
	if (!flushing && (w->relies[0] || w->relies[1])) {
		w->broken = true;
		w->relies[0] = w->relies[1] = false;
	}
}

static void world_reset(struct world *w, bool sealed)
{
	struct mitigation m = {.l1d_mode = w->mode};

	w->word = promise_start(mitigation_skip_l1dfl(&m), sealed);
	w->broken = w->relies[0] = w->relies[1] = false;
}

/* `set` in its two steps, in the order of the interface, section 5. Others go on in between. */
static void world_set(struct world *w, uint8_t mode)
{
	if (mode == L1D_NEVER && w->mode != L1D_NEVER) {
		w->word = promise_set_skip(w->word, false);
		w->change = MODE_TO_COME;
	} else if (mode != L1D_NEVER && w->mode == L1D_NEVER) {
		w->mode = mode;
		w->change = BIT_TO_COME;
	} else {
		w->mode = mode;
	}
}

static void world_finish_set(struct world *w)
{
	if (w->change == MODE_TO_COME)
		w->mode = L1D_NEVER;
	else
		w->word = promise_set_skip(w->word, true);
	w->change = NO_CHANGE;
}

#define EVENTS 16u

/* False: this event cannot come now. */
static bool world_step(struct world *w, unsigned event)
{
	bool console = w->change == NO_CHANGE; /* one command at a time */

	switch (event) {
	case 0:
	case 1:
		world_read(w, event);
		return true;
	case 2:
		world_ack(w);
		return true;
	case 3:
	case 4:
		w->requests[event - 3] |= WHY_IRQ;
		w->dirty[event - 3] = true;
		return true;
	case 5:
	case 6:
	case 7:
	case 8:
		world_enter(w, (event - 5) % 2, event >= 7);
		return true;
	case 9:
		if (!console)
			world_finish_set(w);
		return true;
	case 10:
	case 11:
	case 12:
		if (console)
			world_set(w, (uint8_t)(event - 10));
		return console;
	case 13:
		if (console)
			world_force(w);
		return console;
	default:
		if (console)
			world_reset(w, event == 15);
		return console;
	}
}

static void g1_trap11_trap25_in_every_order_of_events_no_promise_is_broken_unmarked(void **state)
{
	static bool seen[WORLDS];
	static struct world worlds[WORLDS];
	unsigned count = 0;

	(void)state;
	for (uint8_t mode = L1D_NEVER; mode <= L1D_ALWAYS; mode++) {
		worlds[count] = (struct world){.mode = mode};
		world_reset(&worlds[count], false);
		seen[world_number(&worlds[count])] = true;
		count++;
	}
	for (unsigned i = 0; i < count; i++) {
		/* The bit is shown only while the mode flushes, or by a value that is sealed. */
		HOLDS(!(worlds[i].word & PROMISE_SKIP) || worlds[i].word & PROMISE_SEALED ||
		      worlds[i].mode != L1D_NEVER);
		for (unsigned event = 0; event < EVENTS; event++) {
			struct world next = worlds[i];

			if (!world_step(&next, event) || seen[world_number(&next)])
				continue;
			seen[world_number(&next)] = true;
			worlds[count++] = next;
		}
	}
	print_message("%u worlds\n", count);
	assert_true(count > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_situations_are_many_and_of_every_kind),
		cmocka_unit_test(g1_no_dirty_l1d_meets_a_vm_that_was_promised_so),
		cmocka_unit_test(g2_trap14_a_guest_with_fb_clear_runs_with_fb_clear_dis_0),
		cmocka_unit_test(g3_traps_1_2_3_no_dirty_buffers_meet_a_guest_where_the_host_needs_them_clear),
		cmocka_unit_test(g4_trap18_reads_and_writes_of_mcu_opt_ctrl_are_as_many_as_promised),
		cmocka_unit_test(trap8_trap20_the_register_is_as_planned_after_every_way_an_entry_can_end),
		cmocka_unit_test(asking_for_more_never_flushes_less),
		cmocka_unit_test(being_told_never_flushes_less),
		cmocka_unit_test(g1_trap11_trap25_in_every_order_of_events_no_promise_is_broken_unmarked),
	};

	return cmocka_run_group_tests_name("guarantees", tests, collect_situations, NULL);
}
