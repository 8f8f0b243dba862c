/* hv/audit_rules.c: the clean traces of tests/audit/traces pass, each planted fault is found under its rule, and the
 * count is that of tests/audit/audit.py, which knows nothing of this code. Rows are read from their text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/audit_rules.h"
#include "hv/policy/mitigation.h"

#define LINE_BYTES 8192
#define PLANT      "python3 tests/audit/plant.py "
#define AUDIT      "python3 tests/audit/audit.py"

enum { EXTERNAL_INTERRUPT = 1, SOME_OTHER_EXIT = 0x7f };

static const char *const MODES[] = {
	[L1D_NEVER] = "never",
	[L1D_COND] = "cond",
	[L1D_ALWAYS] = "always",
	[L1D_NOT_REQUIRED] = "not-required",
};
static const char *const L1DS[] = {"none", "msr", "soft", "skip"};
static const char *const REASONS[] = {"always", "switch", "irq", "host", "retry", "owed"};
static const char *const FLAGS[] = {"broken", "failed", "nmi"};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* VMs in the order in which they come up. */
static char vm_names[AUDIT_VMS_MAX][64];

static unsigned vm_number(const char *name, size_t length)
{
	for (unsigned v = 0; v < AUDIT_VMS_MAX; v++) {
		if (vm_names[v][0] == '\0') {
			assert_true(length < sizeof(vm_names[v]));
			memcpy(vm_names[v], name, length);
		}
		if (strlen(vm_names[v]) == length && memcmp(vm_names[v], name, length) == 0)
			return v;
	}
	fail_msg("too many VMs");
	return 0;
}

/* The text of key=... in a row; of a static buffer. */
static const char *value(const char *line, const char *key)
{
	static char text[16][256]; /* as many may be in use */
	static unsigned turn;
	char wanted[64];
	const char *at;
	size_t length;

	snprintf(wanted, sizeof(wanted), " %s=", key);
	at = strstr(line, wanted);
	if (at == NULL)
		fail_msg("no %s in: %s", key, line);
	at += strlen(wanted);
	length = strcspn(at, " \n");
	assert_true(length < sizeof(text[0]));
	turn = (turn + 1) % COUNT(text);
	memcpy(text[turn], at, length);
	text[turn][length] = '\0';
	return text[turn];
}

static uint64_t number(const char *line, const char *key)
{
	return strtoull(value(line, key), NULL, 0);
}

static uint8_t choice(const char *text, const char *const *names, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(text, names[i]) == 0)
			return (uint8_t)i;
	fail_msg("unknown: %s", text);
	return 0;
}

/* A list of names as bits. */
static uint8_t mask(const char *text, const char *const *names, unsigned count)
{
	char copy[256], *rest = copy;
	uint8_t bits = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *word = strsep(&rest, "+"); word != NULL && strcmp(word, "-") != 0; word = strsep(&rest, "+"))
		bits |= (uint8_t)(1u << choice(word, names, count));
	return bits;
}

static uint32_t vm_mask(const char *text)
{
	uint32_t bits = 0;

	while (*text != '\0' && *text != '-') {
		const size_t length = strcspn(text, ",");

		bits |= 1u << vm_number(text, length);
		text += length + (text[length] == ',');
	}
	return bits;
}

static void vcpu_of(const char *text, uint16_t *vm, uint16_t *vcpu)
{
	const char *dot = strrchr(text, '.');

	assert_non_null(dot);
	*vm = (uint16_t)vm_number(text, (size_t)(dot - text));
	*vcpu = (uint16_t)atoi(dot + 1);
}

/* The text says nothing of the plan's steps: they are made from it, unless this is set. */
static bool steps_are_lost;

static void read_entry(struct trace_row *row, const char *line)
{
	const char *mcu = value(line, "mcu"), *after = value(line, "after");
	struct entry_plan *plan = &row->entry.plan;

	row->type = TRACE_ENTRY;
	row->flags = mask(value(line, "flags"), FLAGS, COUNT(FLAGS));
	row->entry.n = number(line, "n");
	row->entry.caps = number(line, "caps");
	row->entry.after = strcmp(after, "external_interrupt") == 0 ? EXTERNAL_INTERRUPT : SOME_OTHER_EXIT;
	if (mcu[0] == '0') {
		plan->steps |= PLAN_MCU_WRITE;
		plan->mcu_opt_ctrl = strtoull(mcu, NULL, 0);
	}
	vcpu_of(value(line, "vcpu"), &row->entry.vm, &row->entry.vcpu);
	plan->mode = choice(value(line, "mode"), MODES, COUNT(MODES));
	plan->l1d = choice(value(line, "l1d"), L1DS, COUNT(L1DS));
	if (plan->l1d == PLAN_L1D_DID_SOFT && !steps_are_lost)
		plan->steps |= PLAN_L1D_SOFT;
	if (plan->l1d == PLAN_L1D_DID_MSR && !steps_are_lost)
		plan->steps |= PLAN_L1D_MSR;
	plan->why = mask(value(line, "why"), REASONS, COUNT(REASONS));
	plan->fb_clear_dis = (uint8_t)number(line, "dis");
	if (number(line, "verw") != 0)
		plan->steps |= PLAN_VERW;
}

static uint8_t knob_value(enum knob knob, const char *text)
{
	uint8_t out;

	assert_true(knob_value_find(knob, text, strlen(text), &out));
	return out;
}

static void read_mode(struct trace_row *row, const char *line)
{
	const char *name = value(line, "knob");
	enum knob knob;

	assert_true(knob_find(name, strlen(name), &knob));
	row->type = TRACE_MODE;
	row->mode.knob = (uint8_t)knob;
	row->mode.old = knob_value(knob, value(line, "old"));
	row->mode.new = knob_value(knob, value(line, "new"));
	row->mode.done = strcmp(value(line, "phase"), "done") == 0;
	row->mode.force = (uint8_t)number(line, "force");
}

static void read_capread(struct trace_row *row, const char *line)
{
	row->type = TRACE_CAPREAD;
	row->promise.told_now = (uint8_t)number(line, "told_now");
	vcpu_of(value(line, "vcpu"), &row->promise.vm, &row->promise.vcpu);
}

/* ack and reset. */
static void read_vm_row(struct trace_row *row, const char *line, enum trace_type type)
{
	const char *name = value(line, "vm");

	row->type = (uint8_t)type;
	row->promise.vm = (uint16_t)vm_number(name, strlen(name));
}

static void read_state(struct trace_row *row, const char *line)
{
	row->type = TRACE_STATE;
	row->state.machine = (uint8_t)((number(line, "l1d_needed") ? TRACE_L1D_NEEDED : 0) |
				       (number(line, "verw_needed") ? TRACE_VERW_NEEDED : 0) |
				       (number(line, "fb_clear_ctrl") ? TRACE_FB_CLEAR_CTRL : 0));
	if (value(line, "mcu")[0] == '0') {
		row->state.machine |= TRACE_MCU_OPT_CTRL;
		row->state.mcu_opt_ctrl = number(line, "mcu");
	}
	for (unsigned knob = 0; knob < KNOB_COUNT; knob++)
		row->state.knob[knob] = knob_value((enum knob)knob, value(line, knob_name((enum knob)knob)));
	row->state.fb_clear_dis = knob_value(KNOB_FB_CLEAR_DIS, value(line, "strategy"));
	row->state.settled = number(line, "settled") != 0;
	row->state.until_tsc = number(line, "until");
	for (const char *at = strstr(line, " told."); at != NULL; at = strstr(at + 1, " told.")) {
		const char *name = at + strlen(" told.");
		const size_t length = strcspn(name, "=");

		if (name[length + 1] != '-')
			row->state.told |= 1u << vm_number(name, length);
	}
	row->state.broken = vm_mask(value(line, "broken"));
	row->state.fixed = vm_mask(value(line, "fixed"));
	row->state.md_clear = vm_mask(value(line, "md_clear"));
}

/* False: the line is no row. */
static bool read_row(struct trace_row *row, uint32_t *cpu, const char *line)
{
	*row = (struct trace_row){0};
	if (strncmp(line, "entry ", 6) == 0)
		read_entry(row, line);
	else if (strncmp(line, "mode ", 5) == 0)
		read_mode(row, line);
	else if (strncmp(line, "capread ", 8) == 0)
		read_capread(row, line);
	else if (strncmp(line, "ack ", 4) == 0)
		read_vm_row(row, line, TRACE_ACK);
	else if (strncmp(line, "reset ", 6) == 0)
		read_vm_row(row, line, TRACE_RESET);
	else if (strncmp(line, "state ", 6) == 0)
		read_state(row, line);
	else
		return false;
	*cpu = (uint32_t)number(line, "cpu");
	row->tsc = number(line, "tsc");
	row->gen = number(line, "gen");
	if (row->type == TRACE_CAPREAD || row->type == TRACE_ACK || row->type == TRACE_RESET) {
		row->promise.value = number(line, "value");
		row->promise.until_tsc = number(line, "until");
	}
	return true;
}

static void command_make(char *out, size_t size, const char *name, const char *then)
{
	assert_true(snprintf(out, size, PLANT "%s%s", name, then) < (int)size);
}

/* Feeds the trace of this name; the rules that were broken, as bits. */
static unsigned audit(const char *name, struct audit_rules *rules)
{
	static char line[LINE_BYTES];
	struct audit_verdict verdict;
	struct trace_row row;
	unsigned broken = 0;
	char command[256];
	uint32_t cpu;
	FILE *in;

	memset(vm_names, 0, sizeof(vm_names));
	audit_rules_init(rules);
	command_make(command, sizeof(command), name, "");
	in = popen(command, "r");
	assert_non_null(in);
	while (fgets(line, sizeof(line), in) != NULL) {
		if (!read_row(&row, &cpu, line))
			continue;
		assert_true(cpu < AUDIT_CPUS_MAX);
		audit_rules_feed(rules, cpu, &row, &verdict);
		for (unsigned rule = 0; rule < AUDIT_RULE_COUNT; rule++)
			broken |= verdict.why[rule] != NULL ? 1u << rule : 0;
	}
	assert_int_equal(pclose(in), 0);
	return broken;
}

/* The last row that the other audit prints of the same trace. */
static void assert_agrees(const char *name, const struct audit_rules *rules)
{
	char command[256], line[LINE_BYTES], last[LINE_BYTES] = "", mine[256];
	FILE *in;

	command_make(command, sizeof(command), name, " | " AUDIT);
	in = popen(command, "r");
	assert_non_null(in);
	while (fgets(line, sizeof(line), in) != NULL)
		memcpy(last, line, sizeof(last));
	pclose(in);
	snprintf(mine, sizeof(mine), "audit entries=%llu violations=%llu lost=0\n",
		 (unsigned long long)rules->entry_count, (unsigned long long)rules->violation_count);
	if (strcmp(last, mine) != 0)
		fail_msg("%s: here %s, audit.py %s", name, mine, last);
}

/* The clean traces that plant.py lists, or those with a fault; how many. */
static unsigned for_each(bool clean)
{
	static struct audit_rules rules;
	char name[64], rule[16];
	FILE *list = popen(PLANT "--list", "r");
	unsigned count = 0;

	assert_non_null(list);
	while (fscanf(list, "%63s %15s", name, rule) == 2) {
		unsigned broken, wanted = 0;

		if ((strcmp(rule, "-") == 0) != clean)
			continue;
		for (unsigned i = 0; i < AUDIT_RULE_COUNT; i++)
			wanted |= strcmp(rule, audit_rule_name((enum audit_rule)i)) == 0 ? 1u << i : 0;
		broken = audit(name, &rules);
		assert_true(rules.entry_count > 0);
		if (clean ? broken != 0 : !(broken & wanted))
			fail_msg("%s: rule %s, broken: %x", name, rule, broken);
		assert_agrees(name, &rules);
		count++;
	}
	assert_int_equal(pclose(list), 0);
	return count;
}

static void clean_traces_pass(void **state)
{
	(void)state;
	assert_true(for_each(true) >= 3);
}

static void every_planted_fault_is_found(void **state)
{
	(void)state;
	assert_true(for_each(false) >= 12);
}

/* The rows of the hypervisor itself hold the steps too: one that claims a flush which no step made is found. */
static void a_flush_that_no_step_made_is_found(void **state)
{
	static struct audit_rules rules;
	char name[64], rule[16];
	FILE *list = popen(PLANT "--list", "r");
	unsigned found = 0;

	(void)state;
	assert_non_null(list);
	steps_are_lost = true;
	while (fscanf(list, "%63s %15s", name, rule) == 2)
		if (strcmp(rule, "-") == 0)
			found += (audit(name, &rules) & 1u << AUDIT_G1) != 0;
	assert_int_equal(pclose(list), 0);
	assert_true(found >= 1);
	steps_are_lost = false;
}

/* What was forgotten with lost rows is no reproach; what comes after counts again. */
static void lost_rows_are_no_violation(void **state)
{
	static struct audit_rules rules;
	struct trace_row row = {.tsc = 100, .gen = 1, .type = TRACE_ENTRY};
	struct audit_verdict verdict;

	(void)state;
	audit_rules_init(&rules);
	row.entry.plan.mode = L1D_NOT_REQUIRED;
	assert_true(audit_rules_feed(&rules, 0, &row, &verdict));
	row.tsc = 200;
	row.entry.n = 7;
	audit_rules_lost(&rules);
	assert_true(audit_rules_feed(&rules, 0, &row, &verdict));
	row.tsc = 300;
	row.entry.n = 9;
	assert_false(audit_rules_feed(&rules, 0, &row, &verdict));
	assert_non_null(verdict.why[AUDIT_ROWS]);
	assert_true(rules.entry_count == 3 && rules.violation_count == 1);
}

/* An entry like the one before is judged without the rules: but not once something has happened, nor before what has
 * happened is over. */
static void entries_that_repeat_are_judged_by_what_is_known(void **state)
{
	static struct audit_rules rules;
	struct trace_row entry = {.tsc = 100, .gen = 2, .type = TRACE_ENTRY};
	struct trace_row told = {.tsc = 1000, .gen = 3, .type = TRACE_CAPREAD};
	struct trace_row machine = {.tsc = 1, .gen = 1, .type = TRACE_STATE};
	struct audit_verdict verdict;

	(void)state;
	audit_rules_init(&rules);
	machine.state.machine = TRACE_L1D_NEEDED;
	assert_true(audit_rules_feed(&rules, 0, &machine, &verdict));
	entry.entry.plan.mode = L1D_NEVER;
	for (unsigned i = 0; i < 5; i++, entry.tsc += 100, entry.entry.n++)
		assert_true(audit_rules_feed(&rules, 0, &entry, &verdict));
	assert_int_equal(rules.entry_count, 5);

	/* Another pCPU reads a 1; the reading may not be over before 2000. Until then an entry under the old policy may
	 * be without a flush, after that it may not, however often it was right before. */
	told.promise.told_now = true;
	told.promise.value = ARCH_CAP(SKIP_L1DFL_VMENTRY);
	told.promise.until_tsc = 2000;
	assert_true(audit_rules_feed(&rules, 1, &told, &verdict));
	for (entry.tsc = 1100; entry.tsc <= 2000; entry.tsc += 100, entry.entry.n++)
		assert_true(audit_rules_feed(&rules, 0, &entry, &verdict));
	entry.tsc = 2200;
	audit_rules_feed(&rules, 0, &entry, &verdict);
	entry.entry.n++;
	entry.tsc = 2300;
	assert_false(audit_rules_feed(&rules, 0, &entry, &verdict));
	assert_non_null(verdict.why[AUDIT_G1]);
	/* What breaks a rule is no model for the next. */
	entry.entry.n++;
	entry.tsc = 2400;
	assert_false(audit_rules_feed(&rules, 0, &entry, &verdict));
	entry.entry.n += 2;
	assert_false(audit_rules_feed(&rules, 0, &entry, &verdict));
	assert_non_null(verdict.why[AUDIT_ROWS]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clean_traces_pass),
		cmocka_unit_test(every_planted_fault_is_found),
		cmocka_unit_test(a_flush_that_no_step_made_is_found),
		cmocka_unit_test(lost_rows_are_no_violation),
		cmocka_unit_test(entries_that_repeat_are_judged_by_what_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
