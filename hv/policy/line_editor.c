#include "hv/policy/line_editor.h"

enum {
	CTRL_C = 0x03,
	BACKSPACE = 0x08,
	LINE_FEED = 0x0a,
	CARRIAGE_RETURN = 0x0d,
	CTRL_U = 0x15,
	ESCAPE = 0x1b,
	FIRST_PRINTABLE = 0x20,
	DELETE = 0x7f,
};

/* What an arrow key and its like send (ECMA-48, "Control sequences"): ESC [ parameters final; ESC O one; ESC one. */
enum { OUTSIDE, AFTER_ESCAPE, IN_CONTROL_SEQUENCE, BEFORE_LAST };

#define FINAL_FIRST 0x40 /* ends a control sequence; what comes before it is a parameter */
#define ARROW_UP    'A'
#define ARROW_DOWN  'B'

/* The byte ends a sequence that arrow keys send, with or without "application cursor keys" (DECCKM). */
static enum line_event arrow(uint8_t before, uint8_t byte)
{
	if (before != IN_CONTROL_SEQUENCE && before != BEFORE_LAST)
		return LINE_UNCHANGED;
	return byte == ARROW_UP ? LINE_OLDER : byte == ARROW_DOWN ? LINE_NEWER : LINE_UNCHANGED;
}

/* True: the byte is part of an escape sequence. A control character ends a sequence and is taken for itself. */
static bool swallow(struct line_editor *editor, uint8_t byte)
{
	const uint8_t before = editor->sequence;

	if (byte == ESCAPE) {
		editor->sequence = AFTER_ESCAPE;
		return true;
	}
	editor->sequence = OUTSIDE;
	if (before == OUTSIDE || byte < FIRST_PRINTABLE)
		return false;
	if (before == AFTER_ESCAPE && byte == '[')
		editor->sequence = IN_CONTROL_SEQUENCE;
	else if (before == AFTER_ESCAPE && byte == 'O')
		editor->sequence = BEFORE_LAST;
	else if (before == IN_CONTROL_SEQUENCE && byte < FINAL_FIRST)
		editor->sequence = IN_CONTROL_SEQUENCE;
	return true;
}

static void empty(struct line_editor *editor)
{
	editor->length = 0;
	editor->lost = false;
}

static enum line_event enter(struct line_editor *editor)
{
	const bool lost = editor->lost;
	const uint32_t length = editor->length;

	editor->text[line_editor_kept(editor)] = '\0';
	empty(editor);
	if (lost)
		return LINE_LOST;
	return length > LINE_EDITOR_MAX ? LINE_TOO_LONG : LINE_DONE;
}

static enum line_event erase(struct line_editor *editor)
{
	if (editor->length == 0)
		return LINE_UNCHANGED;
	editor->length--;
	return LINE_ERASED;
}

static enum line_event type(struct line_editor *editor, char character)
{
	if (editor->length == UINT32_MAX)
		return LINE_UNCHANGED;
	if (editor->length < LINE_EDITOR_KEPT)
		editor->text[editor->length] = character;
	editor->length++;
	return LINE_TYPED;
}

enum line_event line_editor_put(struct line_editor *editor, uint8_t byte)
{
	const bool after_cr = editor->after_cr;
	const uint8_t sequence = editor->sequence;

	editor->after_cr = byte == CARRIAGE_RETURN;
	if (swallow(editor, byte))
		return arrow(sequence, byte);
	switch (byte) {
	case CARRIAGE_RETURN:
		return enter(editor);
	case LINE_FEED:
		return after_cr ? LINE_UNCHANGED : enter(editor);
	case BACKSPACE:
	case DELETE:
		return erase(editor);
	case CTRL_U:
		empty(editor);
		return LINE_EMPTIED;
	case CTRL_C:
		empty(editor);
		return LINE_CANCELLED;
	default:
		return byte >= FIRST_PRINTABLE && byte < DELETE ? type(editor, (char)byte) : LINE_UNCHANGED;
	}
}

void line_editor_lost(struct line_editor *editor)
{
	editor->lost = true;
}

void line_editor_replace(struct line_editor *editor, const char *text)
{
	for (editor->length = 0; text[editor->length] != '\0'; editor->length++)
		editor->text[editor->length] = text[editor->length];
}

uint32_t line_editor_kept(const struct line_editor *editor)
{
	return editor->length < LINE_EDITOR_KEPT ? editor->length : LINE_EDITOR_KEPT;
}
