/* hv/policy/line_history.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "hv/policy/line_history.h"

static void nothing_is_an_empty_line(void **state)
{
	struct line_history h = {0};

	(void)state;
	assert_string_equal(line_history_older(&h), "");
	assert_string_equal(line_history_newer(&h), "");
}

static void older_and_newer_walk_and_stop(void **state)
{
	struct line_history h = {0};

	(void)state;
	line_history_add(&h, "one");
	line_history_add(&h, "two");
	assert_string_equal(line_history_older(&h), "two");
	assert_string_equal(line_history_older(&h), "one");
	assert_string_equal(line_history_older(&h), "one");
	assert_string_equal(line_history_newer(&h), "two");
	assert_string_equal(line_history_newer(&h), "");
	assert_string_equal(line_history_newer(&h), "");
	assert_string_equal(line_history_older(&h), "two");
	line_history_add(&h, "three");
	assert_string_equal(line_history_older(&h), "three");
}

static void blank_and_repeated_lines_are_not_kept(void **state)
{
	struct line_history h = {0};

	(void)state;
	line_history_add(&h, "one");
	line_history_add(&h, "one");
	line_history_add(&h, " \t");
	line_history_add(&h, "");
	line_history_add(&h, "two");
	line_history_older(&h);
	assert_string_equal(line_history_older(&h), "one");
	assert_int_equal(h.count, 2);
}

static void the_oldest_go(void **state)
{
	struct line_history h = {0};
	char line[LINE_EDITOR_MAX + 1];

	(void)state;
	for (unsigned i = 0; i < 3 * LINE_HISTORY_MAX + 5; i++) {
		snprintf(line, sizeof(line), "%0*u", LINE_EDITOR_MAX, i);
		line_history_add(&h, line);
	}
	for (unsigned i = 0; i < LINE_HISTORY_MAX; i++) {
		snprintf(line, sizeof(line), "%0*u", LINE_EDITOR_MAX, 3 * LINE_HISTORY_MAX + 4 - i);
		assert_string_equal(line_history_older(&h), line);
	}
	assert_string_equal(line_history_older(&h), line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_an_empty_line),
		cmocka_unit_test(older_and_newer_walk_and_stop),
		cmocka_unit_test(blank_and_repeated_lines_are_not_kept),
		cmocka_unit_test(the_oldest_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
