/* Text without libc: comparing, numbers, and formatting into a fixed buffer. Pure. */
#ifndef HV_POLICY_TEXT_H
#define HV_POLICY_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

size_t text_length(const char *s);
bool text_equal(const char *a, const char *b);

/* The terminated string s is exactly the length bytes at text. */
bool text_is(const char *s, const char *text, size_t length);

/* needle occurs in the length bytes at text. */
bool text_contains(const char *text, size_t length, const char *needle);

/* Copies at most size - 1 bytes and a terminator; false if it was cut off. */
bool text_copy(char *out, size_t size, const char *text, size_t length);

/* A whole number, decimal or hexadecimal with 0x, nothing around it. False, *out untouched: no number, or over 64 bits.
 */
bool text_number(const char *text, size_t length, uint64_t *out);

/* One word after another of a line: words are separated by blanks and tabs; a word that begins with a double quote goes
 * to the next one (the quotes are not part of it). False at the end. *cursor moves. */
struct text_word {
	const char *text;
	size_t length;
};
bool text_next_word(const char **cursor, struct text_word *out);

/* One item after another of a comma list; nothing is trimmed: "" is one empty item, "a," are two. *rest is the whole
 * list at first, then what is left of it. False after the last. */
bool text_next_item(struct text_word *rest, struct text_word *out);

/* Formats into out[size], always terminated (size > 0); returns the length that was written (without the terminator;
 * what does not fit is cut off). Conversions: %s %c %d %u %x with optional l, ll or z; %% ; 0-padded or blank-padded
 * width
 * (%08x, %4u), '-' for strings; %.*s. Anything else stands as it is. */
size_t text_format(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
size_t text_format_va(char *out, size_t size, const char *format, va_list args) __attribute__((format(printf, 3, 0)));

#endif
