/* hv/policy/options.c: every option with every value, and every way to get one wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/policy/options.h"

/* What the options that are no knobs may be called with. */
static const struct sample {
	const char *name;
	const char *value;
} SAMPLES[] = {
	{"arch_capabilities", "0x1f"}, {"setcpuid", "md_clear"}, {"clearcpuid", "rtm"}, {"trace_rows", "128"},
	{"console", "com1"},           {"maxcpus", "2"},         {"apicv", "tpr"},
};

#define SAMPLE_COUNT (sizeof(SAMPLES) / sizeof(SAMPLES[0]))

static struct options parse(const char *line)
{
	/* On the heap without slack, so that ASan sees a byte too many; *out is filled, so that nothing is taken for
	 * set. */
	char *copy = malloc(strlen(line) + 1);
	struct options options;

	memcpy(copy, line, strlen(line) + 1);
	memset(&options, 0xa5, sizeof(options));
	options_parse(&options, copy);
	free(copy);
	return options;
}

static void assert_same_settings(const struct options *a, const struct options *b)
{
	assert_memory_equal(&a->knobs, &b->knobs, sizeof(a->knobs));
	assert_int_equal(a->assumed.has_arch_capabilities, b->assumed.has_arch_capabilities);
	assert_int_equal(a->assumed.arch_capabilities, b->assumed.arch_capabilities);
	assert_int_equal(a->assumed.set, b->assumed.set);
	assert_int_equal(a->assumed.clear, b->assumed.clear);
	assert_int_equal(a->trace_rows, b->trace_rows);
	assert_int_equal(a->console, b->console);
	assert_int_equal(a->maxcpus, b->maxcpus);
	assert_int_equal(a->apicv, b->apicv);
}

/* The word alone is one error with this reason (unless NULL: any) and changes nothing, and does not keep its neighbours
 * from being taken. */
static void assert_refused(const char *word, const char *reason)
{
	struct options defaults = parse("");
	struct options alone = parse(word);
	char line[256];

	assert_int_equal(alone.error_count, 1);
	assert_string_equal(alone.errors[0].word, word);
	if (reason != NULL)
		assert_string_equal(alone.errors[0].reason, reason);
	assert_same_settings(&alone, &defaults);

	const char *before = strncmp(word, "maxcpus", 7) == 0 ? "verw=on" : "maxcpus=3";
	const char *behind = strncmp(word, "trace_rows", 10) == 0 ? "verw=off" : "trace_rows=99";

	snprintf(line, sizeof(line), "%s %s %s", before, word, behind);
	struct options among = parse(line);

	snprintf(line, sizeof(line), "%s %s", before, behind);
	struct options without = parse(line);

	assert_int_equal(among.error_count, 1);
	assert_string_equal(among.errors[0].word, word);
	assert_same_settings(&among, &without);
}

static void nothing_said_gives_the_defaults(void **state)
{
	static const char *const BLANK[] = {"", " ", "\t \t"};
	struct knobs knobs = knob_defaults();

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct options o = parse(BLANK[i]);

		assert_int_equal(o.error_count, 0);
		assert_memory_equal(&o.knobs, &knobs, sizeof(knobs));
		assert_int_equal(o.trace_rows, 65536);
		assert_int_equal(o.console, CONSOLE_COM1 | CONSOLE_SCREEN);
		assert_int_equal(o.maxcpus, UINT32_MAX);
		assert_int_equal(o.apicv, APICV_FULL);
		assert_false(o.assumed.has_arch_capabilities);
		assert_int_equal(o.assumed.set, 0);
		assert_int_equal(o.assumed.clear, 0);
	}
}

static void every_value_of_every_knob_is_taken(void **state)
{
	(void)state;
	for (unsigned k = 0; k < KNOB_COUNT; k++) {
		const char *text;

		for (unsigned v = 0; (text = knob_value_name((enum knob)k, v)) != NULL; v++) {
			struct options expected = parse("");
			char word[64];

			snprintf(word, sizeof(word), "%s=%s", knob_name((enum knob)k), text);
			struct options o = parse(word);

			expected.knobs.value[k] = (uint8_t)v;
			assert_int_equal(o.error_count, 0);
			assert_same_settings(&o, &expected);
		}
	}
}

/* Every pair of knob options in one line, in every combination of their values. */
static void knobs_do_not_disturb_each_other(void **state)
{
	(void)state;
	for (unsigned a = 0; a < KNOB_COUNT; a++) {
		for (unsigned b = 0; b < KNOB_COUNT; b++) {
			for (unsigned va = 0; a != b && knob_value_name((enum knob)a, va) != NULL; va++) {
				for (unsigned vb = 0; knob_value_name((enum knob)b, vb) != NULL; vb++) {
					char line[128];

					snprintf(line, sizeof(line), "%s=%s  %s=%s", knob_name((enum knob)a),
						 knob_value_name((enum knob)a, va), knob_name((enum knob)b),
						 knob_value_name((enum knob)b, vb));
					struct options o = parse(line);

					assert_int_equal(o.error_count, 0);
					assert_int_equal(o.knobs.value[a], va);
					assert_int_equal(o.knobs.value[b], vb);
				}
			}
		}
	}
}

static void a_knob_takes_only_its_own_values(void **state)
{
	static const char *const NEVER[] = {"", "AUTO", "Off", "1", "0", "auto,off", "=off", "auto=", "yes", "toggled"};

	(void)state;
	for (unsigned k = 0; k < KNOB_COUNT; k++) {
		const char *name = knob_name((enum knob)k);
		char word[64];

		for (size_t i = 0; i < sizeof(NEVER) / sizeof(NEVER[0]); i++) {
			snprintf(word, sizeof(word), "%s=%s", name, NEVER[i]);
			assert_refused(word, knob_refusal((enum knob)k));
		}
		/* Values of other knobs, and what only begins with a value or is the beginning of one. */
		for (unsigned other = 0; other < KNOB_COUNT; other++) {
			const char *text;

			for (unsigned v = 0; (text = knob_value_name((enum knob)other, v)) != NULL; v++) {
				for (size_t length = 1; length <= strlen(text) + 1; length++) {
					uint8_t ignored;
					char value[16];

					snprintf(value, sizeof(value), "%.*s%s", (int)length, text,
						 length > strlen(text) ? "n" : "");
					if (knob_value_find((enum knob)k, value, strlen(value), &ignored))
						continue;
					snprintf(word, sizeof(word), "%s=%s", name, value);
					assert_refused(word, knob_refusal((enum knob)k));
				}
			}
		}
	}
	assert_refused("verw=o", "not one of auto, on, off");
	assert_refused("verw=onn", "not one of auto, on, off");
	assert_refused("verw=", "not one of auto, on, off");
}

static void assert_name_is_exact(const char *name, const char *value)
{
	char word[96];

	snprintf(word, sizeof(word), "%s", name);
	assert_refused(word, "has no value");
	snprintf(word, sizeof(word), "%sx=%s", name, value);
	assert_refused(word, "unknown option");
	snprintf(word, sizeof(word), "x%s=%s", name, value);
	assert_refused(word, "unknown option");
	snprintf(word, sizeof(word), "%c%s=%s", name[0] - 'a' + 'A', name + 1, value);
	assert_refused(word, "unknown option");
	for (size_t length = 0; length < strlen(name); length++) {
		snprintf(word, sizeof(word), "%.*s=%s", (int)length, name, value);
		assert_refused(word, "unknown option");
	}
}

static void names_match_exactly(void **state)
{
	(void)state;
	for (unsigned k = 0; k < KNOB_COUNT; k++)
		assert_name_is_exact(knob_name((enum knob)k), knob_value_name((enum knob)k, 0));
	for (size_t i = 0; i < SAMPLE_COUNT; i++)
		assert_name_is_exact(SAMPLES[i].name, SAMPLES[i].value);
	assert_refused("debug", "unknown option");
	assert_refused("=", "unknown option");
	assert_refused("mitigations=off", "unknown option");
}

/* The first one counts, whether or not the second says the same. */
static void assert_no_duplicate(const char *first, const char *second)
{
	struct options once = parse(first);
	char line[128];

	snprintf(line, sizeof(line), "%s %s", first, second);
	struct options o = parse(line);

	assert_int_equal(o.error_count, 1);
	assert_string_equal(o.errors[0].word, second);
	assert_string_equal(o.errors[0].reason, "given twice");
	assert_same_settings(&o, &once);
}

static void duplicates_are_errors(void **state)
{
	char first[64], second[64];

	(void)state;
	for (unsigned k = 0; k < KNOB_COUNT; k++) {
		for (unsigned v = 0; knob_value_name((enum knob)k, v) != NULL; v++) {
			for (unsigned w = 0; knob_value_name((enum knob)k, w) != NULL; w++) {
				snprintf(first, sizeof(first), "%s=%s", knob_name((enum knob)k),
					 knob_value_name((enum knob)k, v));
				snprintf(second, sizeof(second), "%s=%s", knob_name((enum knob)k),
					 knob_value_name((enum knob)k, w));
				assert_no_duplicate(first, second);
			}
		}
	}
	for (size_t i = 0; i < SAMPLE_COUNT; i++) {
		snprintf(first, sizeof(first), "%s=%s", SAMPLES[i].name, SAMPLES[i].value);
		assert_no_duplicate(first, first);
	}
	assert_no_duplicate("setcpuid=ssbd", "setcpuid=stibp");

	/* After a wrong one too: which of them is meant cannot be known. */
	struct options o = parse("verw=onn verw=off");

	assert_int_equal(o.error_count, 2);
	assert_int_equal(o.knobs.value[KNOB_VERW], VERW_AUTO);
}

static void assumed_value_is_any_64_bit_number(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		char word[64];

		snprintf(word, sizeof(word), "arch_capabilities=0x%llx", 1ull << bit);
		assert_true(parse(word).assumed.arch_capabilities == 1ull << bit);
		snprintf(word, sizeof(word), "arch_capabilities=%llu", ~(1ull << bit));
		assert_true(parse(word).assumed.arch_capabilities == ~(1ull << bit));
		assert_true(parse(word).assumed.has_arch_capabilities);
		assert_int_equal(parse(word).error_count, 0);
	}
	assert_true(parse("arch_capabilities=0").assumed.has_arch_capabilities);
	assert_refused("arch_capabilities=", "not a 64-bit number");
	assert_refused("arch_capabilities=0x", "not a 64-bit number");
	assert_refused("arch_capabilities=rdcl_no", "not a 64-bit number");
	assert_refused("arch_capabilities=-1", "not a 64-bit number");
	assert_refused("arch_capabilities=0x10000000000000000", "not a 64-bit number");
}

static const char *const FEATURE_NAMES[] = {
	"arch_capabilities", "l1d_flush", "md_clear", "srbds_ctrl", "ibrs", "stibp", "ssbd", "rtm"};

/* The names whose bits are in set, as a comma list. */
static void feature_list(char *out, unsigned set)
{
	out[0] = '\0';
	for (unsigned i = 0; i < 8; i++) {
		if (set >> i & 1) {
			strcat(out, out[0] != '\0' ? "," : "");
			strcat(out, FEATURE_NAMES[i]);
		}
	}
}

/* Every set of names to set with every set to clear: taken exactly where they share none. */
static void every_feature_set_is_taken(void **state)
{
	(void)state;
	for (unsigned set = 1; set < 256; set++) {
		for (unsigned clear = 1; clear < 256; clear++) {
			char set_list[128], clear_list[128], line[300];

			feature_list(set_list, set);
			feature_list(clear_list, clear);
			snprintf(line, sizeof(line), "setcpuid=%s clearcpuid=%s", set_list, clear_list);

			struct options o;

			options_parse(&o, line);
			/* The first eight bits of enum cpu_feature are these names in this order. */
			assert_int_equal(o.assumed.set, set);
			assert_int_equal(o.error_count, (set & clear) != 0);
			assert_int_equal(o.assumed.clear, set & clear ? 0 : clear);
		}
	}
	struct options o = parse("clearcpuid=ssbd setcpuid=rtm,ssbd");

	assert_int_equal(o.error_count, 1);
	assert_string_equal(o.errors[0].word, "setcpuid=rtm,ssbd");
	assert_string_equal(o.errors[0].reason, "names a feature that is in setcpuid and in clearcpuid");
	assert_int_equal(o.assumed.set, 0);
	assert_int_equal(o.assumed.clear, CPU_SSBD);
}

static void bad_feature_lists_are_refused(void **state)
{
	static const char *const BAD[] = {"",   ",",    "rtm,", ",rtm", "rtm,,ssbd", "avx",
					  "rt", "rtmm", "RTM",  "0x1",  "rtm+ssbd",  "rtm,nx"};
	static const char *const OPTIONS[] = {"setcpuid", "clearcpuid"};
	char reason[160] = "not a list of ";

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		strcat(reason, i > 0 ? ", " : "");
		strcat(reason, FEATURE_NAMES[i]);
	}
	for (unsigned option = 0; option < 2; option++) {
		char word[64];

		for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
			snprintf(word, sizeof(word), "%s=%s", OPTIONS[option], BAD[i]);
			assert_refused(word, reason);
		}
		snprintf(word, sizeof(word), "%s=rtm,ssbd,rtm", OPTIONS[option]);
		assert_refused(word, "names a feature twice");
	}
}

static void numbers_keep_to_their_range(void **state)
{
	char word[64];

	(void)state;
	assert_refused("trace_rows=0", "not a number from 1 to 1048576");
	for (unsigned rows = 1; rows < 200; rows++) {
		snprintf(word, sizeof(word), "trace_rows=%u", rows);
		assert_int_equal(parse(word).error_count, 0);
		assert_int_equal(parse(word).trace_rows, rows < 64 ? 64 : rows);
	}
	assert_int_equal(parse("trace_rows=1048576").trace_rows, 1048576);
	assert_int_equal(parse("trace_rows=0x100000").error_count, 0);
	assert_refused("trace_rows=1048577", "not a number from 1 to 1048576");
	assert_refused("trace_rows=4294967424", NULL); /* 128 in the low 32 bits */
	assert_refused("trace_rows=", NULL);
	assert_refused("trace_rows=64k", NULL);

	assert_refused("maxcpus=0", "not a number from 1 to 4294967295");
	for (unsigned cpus = 1; cpus < 100; cpus++) {
		snprintf(word, sizeof(word), "maxcpus=%u", cpus);
		assert_int_equal(parse(word).error_count, 0);
		assert_int_equal(parse(word).maxcpus, cpus);
	}
	assert_int_equal(parse("maxcpus=4294967295").error_count, 0);
	assert_refused("maxcpus=all", NULL);
	assert_refused("maxcpus=4294967298", NULL);
}

static void apicv_is_a_limit(void **state)
{
	(void)state;
	assert_int_equal(parse("apicv=auto").apicv, APICV_FULL);
	assert_int_equal(parse("apicv=tpr").apicv, APICV_TPR);
	assert_int_equal(parse("apicv=off").apicv, APICV_OFF);
	assert_int_equal(parse("apicv=off").error_count, 0);
	assert_refused("apicv=full", "not one of auto, tpr, off");
	assert_refused("apicv=", "not one of auto, tpr, off");
}

static void console_is_a_list(void **state)
{
	(void)state;
	assert_int_equal(parse("console=com1").console, CONSOLE_COM1);
	assert_int_equal(parse("console=screen").console, CONSOLE_SCREEN);
	assert_int_equal(parse("console=com1,screen").console, CONSOLE_COM1 | CONSOLE_SCREEN);
	assert_int_equal(parse("console=screen,com1").console, CONSOLE_COM1 | CONSOLE_SCREEN);
	assert_refused("console=", "not a list of com1, screen");
	assert_refused("console=com", "not a list of com1, screen");
	assert_refused("console=com2", "not a list of com1, screen");
	assert_refused("console=com1,", "not a list of com1, screen");
	assert_refused("console=com1,com1", "names a device twice");
}

/* Words of every length around the size that is kept. */
static void long_words_are_cut_off(void **state)
{
	(void)state;
	for (size_t length = 1; length < 200; length++) {
		char word[201];
		size_t kept = length < 127 ? length : 127;

		memset(word, 'w', length);
		word[length] = '\0';
		struct options o = parse(word);

		assert_int_equal(o.error_count, 1);
		assert_int_equal(strlen(o.errors[0].word), kept);
		assert_memory_equal(o.errors[0].word, word, kept);
	}
}

static void errors_are_counted_beyond_what_is_kept(void **state)
{
	char line[512] = "";

	(void)state;
	for (unsigned count = 1; count < 2 * OPTIONS_ERRORS_MAX + 2; count++) {
		char word[8];

		snprintf(word, sizeof(word), " w%u", count);
		strcat(line, word);
		struct options o = parse(line);

		assert_int_equal(o.error_count, count);
		for (unsigned i = 0; i < count && i < OPTIONS_ERRORS_MAX; i++) {
			snprintf(word, sizeof(word), "w%u", i + 1);
			assert_string_equal(o.errors[i].word, word);
			assert_string_equal(o.errors[i].reason, "unknown option");
		}
	}
}

static void a_quoted_word_is_one_word(void **state)
{
	struct options o = parse("\"verw=on rsb=off\" rsb=off");

	(void)state;
	assert_int_equal(o.error_count, 1);
	assert_string_equal(o.errors[0].word, "verw=on rsb=off");
	assert_int_equal(o.knobs.value[KNOB_VERW], VERW_AUTO);
	assert_int_equal(o.knobs.value[KNOB_RSB], OFF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_said_gives_the_defaults),
		cmocka_unit_test(every_value_of_every_knob_is_taken),
		cmocka_unit_test(knobs_do_not_disturb_each_other),
		cmocka_unit_test(a_knob_takes_only_its_own_values),
		cmocka_unit_test(names_match_exactly),
		cmocka_unit_test(duplicates_are_errors),
		cmocka_unit_test(assumed_value_is_any_64_bit_number),
		cmocka_unit_test(every_feature_set_is_taken),
		cmocka_unit_test(bad_feature_lists_are_refused),
		cmocka_unit_test(numbers_keep_to_their_range),
		cmocka_unit_test(apicv_is_a_limit),
		cmocka_unit_test(console_is_a_list),
		cmocka_unit_test(long_words_are_cut_off),
		cmocka_unit_test(errors_are_counted_beyond_what_is_kept),
		cmocka_unit_test(a_quoted_word_is_one_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
