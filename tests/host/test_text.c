/* hv/policy/text.c against libc, and where it promises something else, against the promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/policy/text.h"

static const char *const SAMPLES[] = {"", "a", "b", "ab", "aa", "ba", "abc", "aab", "aba", "\xff", "a\xff", " ", "0"};

#define SAMPLE_COUNT (sizeof(SAMPLES) / sizeof(SAMPLES[0]))

static void compares_like_libc(void **state)
{
	(void)state;
	for (size_t i = 0; i < SAMPLE_COUNT; i++) {
		const char *a = SAMPLES[i];

		assert_int_equal(text_length(a), strlen(a));
		for (size_t j = 0; j < SAMPLE_COUNT; j++) {
			const char *b = SAMPLES[j];

			assert_int_equal(text_equal(a, b), strcmp(a, b) == 0);
			assert_int_equal(text_contains(a, strlen(a), b), strstr(a, b) != NULL);
			for (size_t length = 0; length <= strlen(b); length++) {
				bool same = strlen(a) == length && memcmp(a, b, length) == 0;

				assert_int_equal(text_is(a, b, length), same);
			}
		}
	}
	/* A NUL inside the bytes is a byte, not an end. */
	assert_false(text_is("a", "a\0b", 3));
	assert_false(text_is("a", "a\0", 2));
	assert_true(text_contains("a\0b", 3, "b"));
}

/* Without a terminator behind them, so that ASan sees a byte too many. */
static void reads_no_further_than_told(void **state)
{
	char *bytes = malloc(3);
	uint64_t number = 0;
	char out[4];

	(void)state;
	memcpy(bytes, "123", 3);
	assert_true(text_is("123", bytes, 3));
	assert_false(text_is("1234", bytes, 3));
	assert_false(text_contains(bytes, 3, "34"));
	assert_true(text_contains(bytes, 3, "23"));
	assert_true(text_number(bytes, 3, &number));
	assert_int_equal(number, 123);
	assert_true(text_copy(out, sizeof(out), bytes, 3));
	assert_string_equal(out, "123");
	text_format(out, sizeof(out), "%.*s", 3, bytes);
	assert_string_equal(out, "123");
	free(bytes);
}

static void copies_what_fits(void **state)
{
	static const char TEXT[] = "abcdef";

	(void)state;
	for (size_t size = 0; size <= 8; size++) {
		for (size_t length = 0; length <= 6; length++) {
			char *out = malloc(size + 1);
			size_t kept = size == 0 ? 0 : length < size ? length : size - 1;

			out[size] = 'x';
			assert_int_equal(text_copy(out, size, TEXT, length), size > 0 && length < size);
			if (size > 0) {
				assert_int_equal(strlen(out), kept);
				assert_memory_equal(out, TEXT, kept);
			}
			assert_int_equal(out[size], 'x');
			free(out);
		}
	}
}

static bool number_is(const char *text, uint64_t expected)
{
	uint64_t number = ~expected;

	return text_number(text, strlen(text), &number) && number == expected;
}

static void numbers_come_back(void **state)
{
	char text[80];

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		for (int delta = -1; delta <= 1; delta++) {
			uint64_t number = (1ull << bit) + (uint64_t)delta;

			snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
			assert_true(number_is(text, number));
			snprintf(text, sizeof(text), "0x%llx", (unsigned long long)number);
			assert_true(number_is(text, number));
			snprintf(text, sizeof(text), "0x%llX", (unsigned long long)number);
			assert_true(number_is(text, number));
			snprintf(text, sizeof(text), "000%llu", (unsigned long long)number);
			assert_true(number_is(text, number));
			snprintf(text, sizeof(text), "0x000%llx", (unsigned long long)number);
			assert_true(number_is(text, number));
		}
	}
	assert_true(number_is("18446744073709551615", UINT64_MAX));
}

static void what_is_no_number_is_refused(void **state)
{
	static const char *const REFUSED[] = {
		"",
		"0x",
		" 1",
		"1 ",
		"-1",
		"+1",
		"1.",
		"0X10",
		"a",
		"0xg",
		"10x",
		"x10",
		"1a",
		"0x 1",
		"1,2",
		"0x0x1",
		"1_",
		"18446744073709551616",
		"18446744073709551625",
		"99999999999999999999",
		"0x10000000000000000",
		"0xfffffffffffffffff",
		"28446744073709551616",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(REFUSED) / sizeof(REFUSED[0]); i++) {
		uint64_t number = 77;

		assert_false(text_number(REFUSED[i], strlen(REFUSED[i]), &number));
		assert_int_equal(number, 77);
	}
	/* Every byte alone: a digit or nothing. */
	for (int c = 0; c < 256; c++) {
		char byte = (char)c;
		uint64_t number = 77;

		assert_int_equal(text_number(&byte, 1, &number), c >= '0' && c <= '9');
	}
}

/* The words of a line, each in brackets. */
static const char *words(const char *line)
{
	static char out[256];
	struct text_word word;
	size_t used = 0;

	out[0] = '\0';
	while (text_next_word(&line, &word))
		used += (size_t)snprintf(out + used, sizeof(out) - used, "[%.*s]", (int)word.length, word.text);
	assert_false(text_next_word(&line, &word));
	return out;
}

static void splits_words(void **state)
{
	(void)state;
	assert_string_equal(words(""), "");
	assert_string_equal(words(" \t "), "");
	assert_string_equal(words("a"), "[a]");
	assert_string_equal(words("  a\t\tbc  "), "[a][bc]");
	assert_string_equal(words("a \"b c\" d"), "[a][b c][d]");
	assert_string_equal(words("\"\""), "[]");
	assert_string_equal(words("\"a\"b"), "[a][b]");
	assert_string_equal(words("a\"b c\""), "[a\"b][c\"]");
	assert_string_equal(words("\"a b"), "[a b]");
	assert_string_equal(words("\""), "[]");
}

static const char *items(const char *list)
{
	static char out[256];
	struct text_word rest = {list, strlen(list)};
	struct text_word item;
	size_t used = 0;

	out[0] = '\0';
	while (text_next_item(&rest, &item))
		used += (size_t)snprintf(out + used, sizeof(out) - used, "[%.*s]", (int)item.length, item.text);
	assert_false(text_next_item(&rest, &item));
	return out;
}

static void splits_lists(void **state)
{
	(void)state;
	assert_string_equal(items(""), "[]");
	assert_string_equal(items("a"), "[a]");
	assert_string_equal(items("a,"), "[a][]");
	assert_string_equal(items(",a"), "[][a]");
	assert_string_equal(items("a,bc, d"), "[a][bc][ d]");
	assert_string_equal(items(",,"), "[][][]");
}

/* The same format and argument through ours and libc's, at every size of the buffer. */
#define CHECK_AS_LIBC(format, ...)                                                               \
	do {                                                                                     \
		char expected[128], out[128];                                                    \
		size_t full = (size_t)snprintf(expected, sizeof(expected), format, __VA_ARGS__); \
		for (size_t size = 1; size <= full + 2; size++) {                                \
			size_t kept = full < size ? full : size - 1;                             \
			memset(out, 'x', sizeof(out));                                           \
			assert_int_equal(text_format(out, size, format, __VA_ARGS__), kept);     \
			assert_int_equal(strlen(out), kept);                                     \
			assert_memory_equal(out, expected, kept);                                \
			assert_int_equal(out[size], 'x');                                        \
		}                                                                                \
	} while (0)

static void formats_numbers_like_libc(void **state)
{
	static const uint64_t NUMBERS[] = {
		0,          1,          9,          10,        42,         0xff,       0x7fffffff,     0x80000000,
		0xffffffff, 1ull << 32, 1ull << 62, INT64_MAX, 1ull << 63, UINT64_MAX, 0xdeadbeefcafe, 12345678901234,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(NUMBERS) / sizeof(NUMBERS[0]); i++) {
		uint64_t n = NUMBERS[i];

		CHECK_AS_LIBC("%d", (int)n);
		CHECK_AS_LIBC("%u", (unsigned)n);
		CHECK_AS_LIBC("%x", (unsigned)n);
		CHECK_AS_LIBC("%ld|", (long)n);
		CHECK_AS_LIBC("%lu|", (unsigned long)n);
		CHECK_AS_LIBC("%lx|", (unsigned long)n);
		CHECK_AS_LIBC("%lld", (long long)n);
		CHECK_AS_LIBC("%llu", (unsigned long long)n);
		CHECK_AS_LIBC("%llx", (unsigned long long)n);
		CHECK_AS_LIBC("%zu %zx", (size_t)n, (size_t)n);
		CHECK_AS_LIBC("%4u|%4d|%4x", (unsigned)n, (int)n, (unsigned)n);
		CHECK_AS_LIBC("%08x|%08d|%08u", (unsigned)n, (int)n, (unsigned)n);
		CHECK_AS_LIBC("%-8x|%-8d|%-8u|", (unsigned)n, (int)n, (unsigned)n);
		CHECK_AS_LIBC("%016llx|%20lld|%030lld", (unsigned long long)n, (long long)n, (long long)n);
	}
}

static void formats_text_like_libc(void **state)
{
	(void)state;
	CHECK_AS_LIBC("%s", "");
	CHECK_AS_LIBC("%s=%s;", "key", "value");
	CHECK_AS_LIBC("%8s|%-8s|%2s|%-2s", "abc", "abc", "abc", "abc");
	CHECK_AS_LIBC("%c%c|%3c|%-3c|", 'a', 'b', 'c', 'd');
	CHECK_AS_LIBC("100%% of %s", "it");
	for (int precision = -1; precision <= 5; precision++) {
		CHECK_AS_LIBC("[%.*s]", precision, "abc");
		CHECK_AS_LIBC("[%6.*s|%-6.*s]", precision, "abc", precision, "abc");
	}
	CHECK_AS_LIBC("%s row=%u at=0x%lx %s", "entry", 7u, 0x1234ul, "end");
}

/* What libc would take and we do not know must not eat arguments or text. */
static void what_is_no_conversion_stands(void **state)
{
	static const char *const FORMATS[] = {"%",   "%q",   "a%", "%-",  "%08", "%l",  "%.*",
					      "%ls", "%.3s", "%5", "%lc", "% d", "%.*d"};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(FORMATS) / sizeof(FORMATS[0]); i++) {
		const char *format = FORMATS[i]; /* not a literal: the compilers would object to these */

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-security"
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		assert_int_equal(text_format(out, sizeof(out), format), strlen(format));
#pragma GCC diagnostic pop
		assert_string_equal(out, format);
	}
}

static void formats_nothing_for_null(void **state)
{
	const char *volatile nothing = NULL;
	char out[16];

	(void)state;
	text_format(out, sizeof(out), "%s", nothing);
	assert_string_equal(out, "(null)");
}

static void blanks_behind_a_number_are_no_zeros(void **state)
{
	const char *volatile format = "%-04u|"; /* volatile: the compilers would object to the 0 */
	char out[16];

	(void)state;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	text_format(out, sizeof(out), format, 1u);
#pragma GCC diagnostic pop
	assert_string_equal(out, "1   |");
}

static void a_huge_width_only_fills_the_buffer(void **state)
{
	const char *volatile format = "%99999999999999999999u"; /* volatile: gcc would object to the width */
	char out[16];

	(void)state;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	assert_int_equal(text_format(out, sizeof(out), format, 1u), 15);
#pragma GCC diagnostic pop
	assert_string_equal(out, "               ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compares_like_libc),
		cmocka_unit_test(reads_no_further_than_told),
		cmocka_unit_test(copies_what_fits),
		cmocka_unit_test(numbers_come_back),
		cmocka_unit_test(what_is_no_number_is_refused),
		cmocka_unit_test(splits_words),
		cmocka_unit_test(splits_lists),
		cmocka_unit_test(formats_numbers_like_libc),
		cmocka_unit_test(formats_text_like_libc),
		cmocka_unit_test(what_is_no_conversion_stands),
		cmocka_unit_test(formats_nothing_for_null),
		cmocka_unit_test(blanks_behind_a_number_are_no_zeros),
		cmocka_unit_test(a_huge_width_only_fills_the_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
