/* hv/policy/knob.c: names and values of interface.md 2, to the letter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/policy/knob.h"

/* The page's table, written a second time: blank-separated values in the order of the enums, then the default. */
static const struct promised {
	enum knob knob;
	const char *name;
	const char *values;
	uint8_t default_value;
} PROMISED[] = {
	{KNOB_VMENTRY_L1D_FLUSH, "vmentry_l1d_flush", "auto never cond always", L1D_REQUEST_AUTO},
	{KNOB_VERW, "verw", "auto on off", VERW_AUTO},
	{KNOB_FB_CLEAR_DIS, "fb_clear_dis", "cached toggle msrlist off", FB_CLEAR_DIS_CACHED},
	{KNOB_RSB, "rsb", "auto off", AUTO},
	{KNOB_BHB, "bhb", "auto off", AUTO},
	{KNOB_SPEC_CTRL, "spec_ctrl", "auto off", AUTO},
	{KNOB_IBPB, "ibpb", "auto off", AUTO},
	{KNOB_LOGLEVEL, "loglevel", "error notice info debug", LOG_INFO},
	{KNOB_L1D_FLUSH_BY, "l1d_flush_by", "wrmsr msrlist", L1D_FLUSH_BY_WRMSR},
};

#define PROMISED_COUNT (sizeof(PROMISED) / sizeof(PROMISED[0]))

static void names_and_values_are_as_promised(void **state)
{
	struct knobs defaults = knob_defaults();

	(void)state;
	assert_int_equal(PROMISED_COUNT, KNOB_COUNT);
	for (size_t i = 0; i < PROMISED_COUNT; i++) {
		const struct promised *p = &PROMISED[i];
		char values[64] = "", refusal[80] = "not one of ";

		assert_string_equal(knob_name(p->knob), p->name);
		assert_int_equal(defaults.value[p->knob], p->default_value);
		assert_non_null(knob_value_name(p->knob, defaults.value[p->knob]));
		for (unsigned value = 0; knob_value_name(p->knob, value) != NULL; value++) {
			strcat(values, value > 0 ? " " : "");
			strcat(values, knob_value_name(p->knob, value));
			strcat(refusal, value > 0 ? ", " : "");
			strcat(refusal, knob_value_name(p->knob, value));
		}
		assert_string_equal(values, p->values);
		assert_string_equal(knob_refusal(p->knob), refusal);
	}
}

static void enums_mean_their_names(void **state)
{
	(void)state;
	assert_string_equal(knob_value_name(KNOB_VMENTRY_L1D_FLUSH, L1D_REQUEST_NEVER), "never");
	assert_string_equal(knob_value_name(KNOB_VMENTRY_L1D_FLUSH, L1D_REQUEST_COND), "cond");
	assert_string_equal(knob_value_name(KNOB_VMENTRY_L1D_FLUSH, L1D_REQUEST_ALWAYS), "always");
	assert_string_equal(knob_value_name(KNOB_VERW, VERW_ON), "on");
	assert_string_equal(knob_value_name(KNOB_VERW, VERW_OFF), "off");
	assert_string_equal(knob_value_name(KNOB_FB_CLEAR_DIS, FB_CLEAR_DIS_TOGGLE), "toggle");
	assert_string_equal(knob_value_name(KNOB_FB_CLEAR_DIS, FB_CLEAR_DIS_MSRLIST), "msrlist");
	assert_string_equal(knob_value_name(KNOB_FB_CLEAR_DIS, FB_CLEAR_DIS_OFF), "off");
	assert_string_equal(knob_value_name(KNOB_L1D_FLUSH_BY, L1D_FLUSH_BY_MSRLIST), "msrlist");
	assert_string_equal(knob_value_name(KNOB_RSB, OFF), "off");
	assert_string_equal(knob_value_name(KNOB_LOGLEVEL, LOG_ERROR), "error");
	assert_string_equal(knob_value_name(KNOB_LOGLEVEL, LOG_DEBUG), "debug");
}

static void no_value_past_the_end(void **state)
{
	(void)state;
	for (unsigned knob = 0; knob < KNOB_COUNT; knob++) {
		unsigned count = 0;

		while (knob_value_name((enum knob)knob, count) != NULL)
			count++;
		for (unsigned value = count; value < 300; value++)
			assert_null(knob_value_name((enum knob)knob, value));
		assert_null(knob_value_name((enum knob)knob, UINT32_MAX));
	}
}

/* Finds every name and value, and nothing that is longer, shorter or of another knob. */
static void finds_exactly_what_it_names(void **state)
{
	(void)state;
	for (unsigned k = 0; k < KNOB_COUNT; k++) {
		const char *name = knob_name((enum knob)k);
		char longer[64];
		enum knob found = KNOB_COUNT;

		assert_true(knob_find(name, strlen(name), &found));
		assert_int_equal(found, k);
		snprintf(longer, sizeof(longer), "%sx", name);
		found = KNOB_COUNT;
		for (size_t length = 0; length <= strlen(longer); length++) {
			if (length != strlen(name))
				assert_false(knob_find(longer, length, &found));
		}
		assert_int_equal(found, KNOB_COUNT);

		for (unsigned v = 0; knob_value_name((enum knob)k, v) != NULL; v++) {
			const char *text = knob_value_name((enum knob)k, v);

			snprintf(longer, sizeof(longer), "%sx", text);
			for (size_t length = 0; length <= strlen(longer); length++) {
				uint8_t value = 99;
				bool whole = length == strlen(text);

				assert_int_equal(knob_value_find((enum knob)k, longer, length, &value), whole);
				assert_int_equal(value, whole ? v : 99);
			}
		}
		for (unsigned other = 0; other < KNOB_COUNT; other++) {
			for (unsigned v = 0; knob_value_name((enum knob)other, v) != NULL; v++) {
				const char *text = knob_value_name((enum knob)other, v);
				uint8_t value = 99;

				if (knob_value_find((enum knob)k, text, strlen(text), &value))
					assert_string_equal(knob_value_name((enum knob)k, value), text);
				else
					assert_int_equal(value, 99);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_values_are_as_promised),
		cmocka_unit_test(enums_mean_their_names),
		cmocka_unit_test(no_value_past_the_end),
		cmocka_unit_test(finds_exactly_what_it_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
