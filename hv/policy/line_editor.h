/* The editing of one line at the prompt: bytes of a terminal in, what to echo and finished lines out. Pure. */
#ifndef HV_POLICY_LINE_EDITOR_H
#define HV_POLICY_LINE_EDITOR_H

#include <stdbool.h>
#include <stdint.h>

#define LINE_EDITOR_MAX  256  /* a longer line is an error */
#define LINE_EDITOR_KEPT 1024 /* characters past it are counted and echoed, but not kept: they may be erased */

enum line_event {
	LINE_UNCHANGED, /* the byte means nothing, or only together with the next ones */
	LINE_TYPED,     /* a character more; it is to be echoed */
	LINE_ERASED,    /* a character less; LINE_ERASE_ECHO takes it off the screen */
	LINE_EMPTIED,   /* Ctrl-U */
	LINE_CANCELLED, /* Ctrl-C */
	LINE_OLDER,     /* the up arrow; the line stays as it is, but see line_editor_replace() */
	LINE_NEWER,     /* the down arrow */
	LINE_DONE,      /* Enter: text is the line, terminated, until the next byte is put in */
	LINE_TOO_LONG,  /* Enter after more than LINE_EDITOR_MAX characters */
	LINE_LOST,      /* Enter after line_editor_lost() */
};

#define LINE_ERASE_ECHO "\b \b"

/* All zero: an empty line. After Enter, Ctrl-C and Ctrl-U the line is empty again. */
struct line_editor {
	char text[LINE_EDITOR_KEPT + 1];
	uint32_t length;  /* characters on the line */
	bool lost;        /* some did not arrive */
	bool after_cr;    /* a line feed now belongs to the carriage return before it */
	uint8_t sequence; /* where in an escape sequence we are */
};

enum line_event line_editor_put(struct line_editor *editor, uint8_t byte);

/* Bytes were lost before they came here: the line must not be run. */
void line_editor_lost(struct line_editor *editor);

/* The line is this text now, LINE_EDITOR_MAX characters at most. */
void line_editor_replace(struct line_editor *editor, const char *text);

/* How much of text is there to be shown again. */
uint32_t line_editor_kept(const struct line_editor *editor);

#endif
