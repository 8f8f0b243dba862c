/* get, set. */
#include "hv/commands.h"
#include "hv/console.h"
#include "hv/knobs.h"
#include "hv/policy/promise.h"
#include "hv/regime.h"
#include "hv/vm.h"

#define LIST_BYTES 160

static void knob_row(const struct regime *regime, enum knob knob)
{
	console_line("%s=%s requested=%s reason=\"%s\"", knob_name(knob),
		     mitigation_effective(&regime->mitigation, &regime->knobs, knob),
		     knob_value_name(knob, regime->knobs.value[knob]),
		     mitigation_reason(regime_machine(), &regime->knobs, knob));
}

/* interface.md 5, G1: who was told that we flush, while the mode alone does not. */
static void owed_rows(const struct mitigation *m)
{
	for (uint32_t i = 0; i < vm_count; i++) {
		const promise_t word = promise_word_get(&vms[i].promise);
		char told[LIST_BYTES] = "", number[4];

		if (atomic_load_explicit(&vms[i].state, memory_order_relaxed) == VM_OFF ||
		    !promise_owed(word, m->l1d_needed, mitigation_skip_l1dfl(m)))
			continue;
		for (unsigned vcpu = 0; vcpu < PROMISE_VCPUS_MAX; vcpu++) {
			if (!((word & PROMISE_TOLD_MASK) >> vcpu & 1))
				continue;
			text_format(number, sizeof(number), "%u", vcpu);
			command_list_add(told, sizeof(told), number, ",");
		}
		if (told[0] != '\0')
			console_line("owed %s vcpus=%s", vms[i].cfg.name, told);
	}
}

static bool knob_named(const struct text_word *word, enum knob *out)
{
	char names[LIST_BYTES] = "";

	if (knob_find(word->text, word->length, out))
		return true;
	for (unsigned knob = 0; knob < KNOB_COUNT; knob++)
		command_list_add(names, sizeof(names), knob_name((enum knob)knob), ", ");
	command_fail("unknown knob \"%.*s\"; there are: %s", (int)word->length, word->text, names);
	return false;
}

enum command_status command_get(const struct command_line *line)
{
	const struct regime *regime = regime_now();
	enum knob only = KNOB_COUNT;

	if (line->count == 1) {
		if (!knob_named(&line->words[0], &only))
			return COMMAND_FAILED;
		knob_row(regime, only);
	}
	for (unsigned knob = 0; line->count == 0 && knob < KNOB_COUNT; knob++)
		knob_row(regime, (enum knob)knob);
	if (line->count == 0 || only == KNOB_VMENTRY_L1D_FLUSH)
		owed_rows(&regime->mitigation);
	return COMMAND_OK;
}

/* The machine does something else than what was asked for by name: success must not hide it (facts.md, trap 26). */
static bool is_coerced(const struct regime *regime, enum knob knob)
{
	const char *asked = knob_value_name(knob, regime->knobs.value[knob]);

	return !text_equal(asked, "auto") &&
	       !text_equal(asked, mitigation_effective(&regime->mitigation, &regime->knobs, knob));
}

enum command_status command_set(const struct command_line *line)
{
	const struct text_word *value = &line->words[1];
	const bool force = line->count == 3;
	enum knob knob;
	uint8_t new;

	if (!knob_named(&line->words[0], &knob))
		return COMMAND_FAILED;
	if (!knob_value_find(knob, value->text, value->length, &new))
		return command_fail("%s=%.*s: %s", knob_name(knob), (int)value->length, value->text,
				    knob_refusal(knob));
	if (force && !text_is("force", line->words[2].text, line->words[2].length))
		return command_usage_fail("set KNOB VALUE [force]");
	if (force && knob != KNOB_VMENTRY_L1D_FLUSH)
		return command_usage_fail("set vmentry_l1d_flush VALUE force (no other knob has debts to drop)");

	knobs_set(knob, new, force);

	const struct regime *regime = regime_now();

	if (is_coerced(regime, knob))
		knob_row(regime, knob);
	owed_rows(&regime->mitigation);
	return COMMAND_OK;
}
