/* fuzz: max_len=256 runs=20000 */
/* The text functions against libc's. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/policy/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static void check_words(const char *line)
{
	const char *cursor = line, *end = line + strlen(line), *last = line;
	struct text_word word;
	size_t count = 0;

	while (text_next_word(&cursor, &word)) {
		CHECK(word.text >= last && word.text <= end && word.length <= (size_t)(end - word.text));
		CHECK(cursor > last && cursor <= end && cursor >= word.text + word.length);
		last = cursor;
		CHECK(++count <= strlen(line));
	}
	CHECK(cursor <= end);
}

static void check_number(const char *text, size_t length)
{
	char *copy = malloc(length + 1);
	uint64_t value = 0x5a5a;
	bool ok;

	memcpy(copy, text, length);
	copy[length] = 'z'; /* nothing may be read past the length that changes the answer */
	ok = text_number(copy, length, &value);
	copy[length] = 0;
	if (ok) {
		char *stop;
		int base = length > 2 && copy[0] == '0' && (copy[1] == 'x' || copy[1] == 'X') ? 16 : 10;

		CHECK(strlen(copy) == length && length > 0);
		CHECK(value == strtoull(copy, &stop, base) && *stop == 0);
		CHECK(copy[0] != '-' && copy[0] != '+' && copy[0] != ' ');
	} else {
		CHECK(value == 0x5a5a);
		CHECK(length == 0 || length > 20 || strspn(copy, "0123456789") != length || length == 20);
	}
	free(copy);
}

static void check_compare(const char *a, const char *b, size_t b_length)
{
	char room[40];
	bool whole;

	CHECK(text_length(a) == strlen(a));
	CHECK(text_equal(a, b) == (strcmp(a, b) == 0));
	CHECK(text_is(a, b, b_length) == (strlen(a) == b_length && memcmp(a, b, b_length) == 0));
	CHECK(text_contains(b, b_length, a) == (memmem(b, b_length, a, strlen(a)) != NULL));
	whole = text_copy(room, sizeof(room), b, b_length);
	CHECK(whole == (b_length < sizeof(room)));
	CHECK(memcmp(room, b, whole ? b_length : sizeof(room) - 1) == 0);
	CHECK(room[whole ? b_length : sizeof(room) - 1] == 0);
}

static void check_format(const char *string, uint64_t number, size_t room)
{
	char ours[128], theirs[512];
	size_t length, expected;

	snprintf(theirs, sizeof(theirs), "%s|%-6s|%.*s|%c|%d|%u|%08x|%4u|%lx|%016llx|%zu|%%", string, string, 3, string,
		 'c', (int)number, (unsigned)number, (unsigned)number, (unsigned)(number & 0xff), (unsigned long)number,
		 (unsigned long long)number, (size_t)number);
	length = text_format(ours, room, "%s|%-6s|%.*s|%c|%d|%u|%08x|%4u|%lx|%016llx|%zu|%%", string, string, 3, string,
			     'c', (int)number, (unsigned)number, (unsigned)number, (unsigned)(number & 0xff),
			     (unsigned long)number, (unsigned long long)number, (size_t)number);
	expected = strlen(theirs) < room ? strlen(theirs) : room - 1;
	CHECK(length == expected && ours[length] == 0);
	CHECK(memcmp(ours, theirs, length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = malloc(size + 1), *second;
	uint64_t number = 0;
	size_t half;

	memcpy(line, data, size);
	line[size] = 0;
	check_words(line);
	check_number(line, strlen(line));
	half = strlen(line) / 2;
	second = strdup(line + half);
	check_number(second, strlen(second));
	line[half] = 0;
	check_compare(line, second, strlen(second));
	if (size >= sizeof(number))
		memcpy(&number, data, sizeof(number));
	if (size > 0)
		check_format(line, number, 1 + data[0] % 128);
	free(second);
	free(line);
	return 0;
}
