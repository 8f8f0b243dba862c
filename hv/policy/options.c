/* Boot options: the parser of the multiboot2 command line. */
#include "hv/policy/options.h"

#include "hv/policy/text.h"

#define TRACE_ROWS_LEAST   64 /* fewer would be state rows for the most part */
#define TRACE_ROWS_MAX     1048576
#define TRACE_ROWS_DEFAULT 65536

/* Every knob is an option of the same number; these come after them. */
enum option {
	OPTION_ARCH_CAPABILITIES = KNOB_COUNT,
	OPTION_SETCPUID,
	OPTION_CLEARCPUID,
	OPTION_TRACE_ROWS,
	OPTION_CONSOLE,
	OPTION_MAXCPUS,
	OPTION_APICV,
	OPTION_COUNT
};

static const char *const NAMES[OPTION_COUNT - KNOB_COUNT] = {
	[OPTION_ARCH_CAPABILITIES - KNOB_COUNT] = "arch_capabilities",
	[OPTION_SETCPUID - KNOB_COUNT] = "setcpuid",
	[OPTION_CLEARCPUID - KNOB_COUNT] = "clearcpuid",
	[OPTION_TRACE_ROWS - KNOB_COUNT] = "trace_rows",
	[OPTION_CONSOLE - KNOB_COUNT] = "console",
	[OPTION_MAXCPUS - KNOB_COUNT] = "maxcpus",
	[OPTION_APICV - KNOB_COUNT] = "apicv",
};

static bool find_option(const char *name, size_t length, unsigned *out)
{
	enum knob knob;

	if (knob_find(name, length, &knob)) {
		*out = knob;
		return true;
	}
	for (unsigned option = KNOB_COUNT; option < OPTION_COUNT; option++) {
		if (text_is(NAMES[option - KNOB_COUNT], name, length)) {
			*out = option;
			return true;
		}
	}
	return false;
}

/* The take_ functions return NULL, or the reason why the value cannot be taken; then nothing of it is. */

static const char *take_knob(struct knobs *knobs, enum knob knob, struct text_word value)
{
	if (!knob_value_find(knob, value.text, value.length, &knobs->value[knob]))
		return knob_refusal(knob);
	return NULL;
}

static const char *take_arch_capabilities(struct cpu_assumed *assumed, struct text_word value)
{
	if (!text_number(value.text, value.length, &assumed->arch_capabilities))
		return "not a 64-bit number";
	assumed->has_arch_capabilities = true;
	return NULL;
}

static const char *take_features(uint32_t *features, uint32_t contrary, struct text_word list)
{
	struct text_word item;
	uint32_t named = 0;

	while (text_next_item(&list, &item)) {
		uint32_t feature;

		if (!cpu_feature_find(item.text, item.length, &feature))
			return "not a list of arch_capabilities, l1d_flush, md_clear, srbds_ctrl, ibrs, stibp, ssbd, "
			       "rtm";
		if (named & feature)
			return "names a feature twice";
		if (contrary & feature)
			return "names a feature that is in setcpuid and in clearcpuid";
		named |= feature;
	}
	*features = named;
	return NULL;
}

static const char *take_number(uint32_t *out, uint32_t min, uint32_t max, struct text_word value, const char *refusal)
{
	uint64_t number;

	if (!text_number(value.text, value.length, &number) || number < min || number > max)
		return refusal;
	*out = (uint32_t)number;
	return NULL;
}

static const char *take_trace_rows(uint32_t *out, struct text_word value)
{
	const char *refusal = take_number(out, 1, TRACE_ROWS_MAX, value, "not a number from 1 to 1048576");

	if (*out < TRACE_ROWS_LEAST)
		*out = TRACE_ROWS_LEAST;
	return refusal;
}

static const char *take_console(uint32_t *console, struct text_word list)
{
	struct text_word item;
	uint32_t named = 0;

	while (text_next_item(&list, &item)) {
		uint32_t device = 0;

		if (text_is("com1", item.text, item.length))
			device = CONSOLE_COM1;
		else if (text_is("screen", item.text, item.length))
			device = CONSOLE_SCREEN;
		else
			return "not a list of com1, screen";
		if (named & device)
			return "names a device twice";
		named |= device;
	}
	*console = named;
	return NULL;
}

static const char *take_apicv(enum apicv_level *out, struct text_word value)
{
	if (text_is("auto", value.text, value.length))
		*out = APICV_FULL;
	else if (text_is("tpr", value.text, value.length))
		*out = APICV_TPR;
	else if (text_is("off", value.text, value.length))
		*out = APICV_OFF;
	else
		return "not one of auto, tpr, off";
	return NULL;
}

static const char *take_value(struct options *out, unsigned option, struct text_word value)
{
	switch (option) {
	case OPTION_ARCH_CAPABILITIES:
		return take_arch_capabilities(&out->assumed, value);
	case OPTION_SETCPUID:
		return take_features(&out->assumed.set, out->assumed.clear, value);
	case OPTION_CLEARCPUID:
		return take_features(&out->assumed.clear, out->assumed.set, value);
	case OPTION_TRACE_ROWS:
		return take_trace_rows(&out->trace_rows, value);
	case OPTION_CONSOLE:
		return take_console(&out->console, value);
	case OPTION_MAXCPUS:
		return take_number(&out->maxcpus, 1, UINT32_MAX, value, "not a number from 1 to 4294967295");
	case OPTION_APICV:
		return take_apicv(&out->apicv, value);
	default:
		return take_knob(&out->knobs, (enum knob)option, value);
	}
}

/* *seen: the options that have been named so far, right or wrong. */
static const char *take_word(struct options *out, uint32_t *seen, struct text_word word)
{
	size_t name_length = 0;
	unsigned option;

	while (name_length < word.length && word.text[name_length] != '=')
		name_length++;
	if (!find_option(word.text, name_length, &option))
		return "unknown option";
	if (name_length == word.length)
		return "has no value";
	if (*seen & 1u << option)
		return "given twice";
	*seen |= 1u << option;

	return take_value(out, option, (struct text_word){word.text + name_length + 1, word.length - name_length - 1});
}

void options_parse(struct options *out, const char *line)
{
	struct text_word word;
	uint32_t seen = 0;

	*out = (struct options){
		.knobs = knob_defaults(),
		.trace_rows = TRACE_ROWS_DEFAULT,
		.console = CONSOLE_COM1 | CONSOLE_SCREEN,
		.maxcpus = UINT32_MAX,
		.apicv = APICV_FULL,
	};
	while (text_next_word(&line, &word)) {
		const char *reason = take_word(out, &seen, word);

		if (reason == NULL)
			continue;
		if (out->error_count < OPTIONS_ERRORS_MAX) {
			struct option_error *error = &out->errors[out->error_count];

			text_copy(error->word, sizeof(error->word), word.text, word.length);
			error->reason = reason;
		}
		out->error_count++;
	}
}
