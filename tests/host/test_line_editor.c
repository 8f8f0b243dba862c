/* hv/policy/line_editor.c against a model that looks at the whole stream at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/policy/line_editor.h"

#define STREAM_MAX 3000

struct line {
	enum line_event end; /* DONE, TOO_LONG or CANCELLED; UNCHANGED for what was still being typed */
	size_t length;
	char text[STREAM_MAX];
};

/* ---- the model: three passes ---- */

static size_t join_cr_lf(uint8_t *out, const uint8_t *in, size_t length)
{
	size_t kept = 0;

	for (size_t i = 0; i < length; i++)
		if (!(in[i] == '\n' && i > 0 && in[i - 1] == '\r'))
			out[kept++] = in[i];
	return kept;
}

static size_t drop_sequences(uint8_t *bytes, size_t length)
{
	size_t kept = 0, i = 0;

	while (i < length) {
		if (bytes[i] != 0x1b) {
			bytes[kept++] = bytes[i++];
			continue;
		}
		i++;
		if (i == length || bytes[i] < 0x20)
			continue;
		uint8_t kind = bytes[i++];

		if (kind == 'O' && i < length && bytes[i] >= 0x20)
			i++;
		if (kind == '[') {
			while (i < length && bytes[i] >= 0x20 && bytes[i] < 0x40)
				i++;
			if (i < length && bytes[i] >= 0x40)
				i++;
		}
	}
	return kept;
}

static size_t edit(struct line *lines, const uint8_t *bytes, size_t length)
{
	size_t count = 0;

	memset(&lines[0], 0, sizeof(lines[0]));
	for (size_t i = 0; i < length; i++) {
		struct line *line = &lines[count];

		if (bytes[i] == '\r' || bytes[i] == '\n')
			line->end = line->length > 256 ? LINE_TOO_LONG : LINE_DONE;
		else if (bytes[i] == 3)
			line->end = LINE_CANCELLED;
		else if (bytes[i] == 21)
			line->length = 0;
		else if ((bytes[i] == 8 || bytes[i] == 127) && line->length > 0)
			line->length--;
		else if (bytes[i] >= ' ' && bytes[i] <= '~')
			line->text[line->length++] = (char)bytes[i];
		if (line->end != LINE_UNCHANGED)
			memset(&lines[++count], 0, sizeof(lines[0]));
	}
	return count;
}

/* ---- a screen that does what the events say ---- */

static void show(struct line *screen, enum line_event event, uint8_t byte)
{
	switch (event) {
	case LINE_TYPED:
		screen->text[screen->length++] = (char)byte;
		break;
	case LINE_ERASED:
		assert_true(screen->length > 0);
		screen->length--;
		break;
	case LINE_UNCHANGED:
	case LINE_OLDER:
	case LINE_NEWER:
		break;
	default:
		screen->length = 0;
	}
}

static void check_kept(const struct line_editor *editor, const struct line *screen)
{
	assert_int_equal(editor->length, screen->length);
	assert_true(line_editor_kept(editor) <= LINE_EDITOR_KEPT);
	assert_memory_equal(editor->text, screen->text, line_editor_kept(editor));
}

static void check_stream(const uint8_t *bytes, size_t length)
{
	static struct line lines[STREAM_MAX + 1], screen;
	static uint8_t plain[STREAM_MAX];
	static struct line_editor editor;
	size_t expected = edit(lines, plain, drop_sequences(plain, join_cr_lf(plain, bytes, length)));
	size_t count = 0;

	memset(&editor, 0, sizeof(editor));
	screen.length = 0;
	for (size_t i = 0; i < length; i++) {
		enum line_event event = line_editor_put(&editor, bytes[i]);

		show(&screen, event, bytes[i]);
		check_kept(&editor, &screen);
		if (event != LINE_DONE && event != LINE_TOO_LONG && event != LINE_CANCELLED)
			continue;
		assert_true(count < expected);
		assert_int_equal(event, lines[count].end);
		if (event == LINE_DONE) {
			lines[count].text[lines[count].length] = '\0';
			assert_string_equal(editor.text, lines[count].text);
		}
		count++;
	}
	assert_int_equal(count, expected);
	assert_int_equal(screen.length, lines[count].length);
	assert_memory_equal(screen.text, lines[count].text, screen.length);
}

static void agrees_with_the_model_on_all_short_streams(void **state)
{
	static const uint8_t ALPHABET[] = {'a', '[', 'O', '1', '~', ' ', 3, 8, '\n', '\r', 21, 27, 127, 0, 9, 128, 255};
	enum { LETTERS = sizeof(ALPHABET), LENGTH = 4 };
	uint8_t bytes[LENGTH];
	unsigned long streams = 1;

	(void)state;
	for (int i = 0; i < LENGTH; i++)
		streams *= LETTERS;
	for (unsigned long number = 0; number < streams; number++) {
		unsigned long rest = number;

		for (int i = 0; i < LENGTH; i++, rest /= LETTERS)
			bytes[i] = ALPHABET[rest % LETTERS];
		check_stream(bytes, LENGTH);
	}
}

/* Each round draws how often lines end, so that there are short lines and lines past every limit. */
static void agrees_with_the_model_on_random_streams(void **state)
{
	static uint8_t bytes[STREAM_MAX - 1];
	static const uint8_t EDITING[] = {3, 8, 8, 21, 27, 127, '\n', '\r'};

	(void)state;
	srand(1);
	for (int round = 0; round < 400; round++) {
		int rarity = 2 << rand() % 12;

		for (size_t i = 0; i < sizeof(bytes); i++) {
			if (rand() % rarity == 0)
				bytes[i] = EDITING[(size_t)rand() % sizeof(EDITING)];
			else
				bytes[i] = (uint8_t)(rand() % 8 == 0 && rarity < 64 ? rand() : ' ' + rand() % 95);
		}
		check_stream(bytes, sizeof(bytes));
	}
}

static enum line_event put_all(struct line_editor *editor, const char *text)
{
	enum line_event event = LINE_UNCHANGED;

	while (*text != '\0')
		event = line_editor_put(editor, (uint8_t)*text++);
	return event;
}

static void put_many(struct line_editor *editor, unsigned count, uint8_t byte)
{
	while (count-- > 0)
		line_editor_put(editor, byte);
}

static void the_longest_line_is_256_characters(void **state)
{
	struct line_editor editor = {0};

	(void)state;
	put_many(&editor, 256, 'x');
	assert_int_equal(put_all(&editor, "\r"), LINE_DONE);
	assert_int_equal(strlen(editor.text), 256);
	put_many(&editor, 257, 'x');
	assert_int_equal(put_all(&editor, "\r"), LINE_TOO_LONG);
	assert_int_equal(put_all(&editor, "help\r"), LINE_DONE);
	assert_string_equal(editor.text, "help");
	put_many(&editor, 100000, 'x');
	put_many(&editor, 100000 - 200, 127);
	assert_int_equal(put_all(&editor, "\r"), LINE_DONE);
	assert_int_equal(strlen(editor.text), 200);
}

static void cr_lf_is_one_enter(void **state)
{
	struct line_editor editor = {0};

	(void)state;
	assert_int_equal(put_all(&editor, "ok\r"), LINE_DONE);
	assert_int_equal(put_all(&editor, "\n"), LINE_UNCHANGED);
	assert_int_equal(put_all(&editor, "\n"), LINE_DONE);
	assert_string_equal(editor.text, "");
	assert_int_equal(put_all(&editor, "\r"), LINE_DONE);
	assert_int_equal(put_all(&editor, "\r"), LINE_DONE);
}

static void editing_keys_edit(void **state)
{
	struct line_editor editor = {0};

	(void)state;
	assert_int_equal(put_all(&editor, "ger\b\x7f"), LINE_ERASED);
	assert_int_equal(put_all(&editor, "et\x1b[A\x1bOP\x1b[15~ v\n"), LINE_DONE);
	assert_string_equal(editor.text, "get v");
	assert_int_equal(put_all(&editor, "\b"), LINE_UNCHANGED);
	assert_int_equal(put_all(&editor, "set verw off\x15"), LINE_EMPTIED);
	assert_int_equal(put_all(&editor, "x\x03"), LINE_CANCELLED);
	assert_int_equal(put_all(&editor, "info\n"), LINE_DONE);
	assert_string_equal(editor.text, "info");
}

static void a_line_with_a_gap_is_not_run(void **state)
{
	struct line_editor editor = {0};

	(void)state;
	put_all(&editor, "set verw o");
	line_editor_lost(&editor);
	assert_int_equal(put_all(&editor, "n\r"), LINE_LOST);
	assert_int_equal(put_all(&editor, "info\r"), LINE_DONE);
	line_editor_lost(&editor);
	put_all(&editor, "\x15");
	assert_int_equal(put_all(&editor, "caps\r"), LINE_DONE);
}

static void arrows_ask_for_other_lines(void **state)
{
	struct line_editor editor = {0};

	(void)state;
	assert_int_equal(put_all(&editor, "abc\x1b[A"), LINE_OLDER);
	line_editor_replace(&editor, "vm list");
	assert_int_equal(put_all(&editor, "\b\x1bOB"), LINE_NEWER);
	assert_int_equal(put_all(&editor, "e\r"), LINE_DONE);
	assert_string_equal(editor.text, "vm lise");
	assert_int_equal(put_all(&editor, "A\x1b[C"), LINE_UNCHANGED);
	assert_int_equal(put_all(&editor, "B"), LINE_TYPED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_the_model_on_all_short_streams),
		cmocka_unit_test(agrees_with_the_model_on_random_streams),
		cmocka_unit_test(the_longest_line_is_256_characters),
		cmocka_unit_test(cr_lf_is_one_enter),
		cmocka_unit_test(editing_keys_edit),
		cmocka_unit_test(arrows_ask_for_other_lines),
		cmocka_unit_test(a_line_with_a_gap_is_not_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
