/* Text without libc: comparing, numbers, and formatting into a fixed buffer. */
#include "hv/policy/text.h"

size_t text_length(const char *s)
{
	size_t length = 0;

	while (s[length] != '\0')
		length++;
	return length;
}

bool text_equal(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

bool text_is(const char *s, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (s[i] == '\0' || s[i] != text[i])
			return false;
	}
	return s[length] == '\0';
}

bool text_contains(const char *text, size_t length, const char *needle)
{
	size_t needle_length = text_length(needle);

	for (size_t start = 0; start + needle_length <= length; start++) {
		if (text_is(needle, text + start, needle_length))
			return true;
	}
	return false;
}

bool text_copy(char *out, size_t size, const char *text, size_t length)
{
	if (size == 0)
		return false;

	size_t kept = length < size ? length : size - 1;

	for (size_t i = 0; i < kept; i++)
		out[i] = text[i];
	out[kept] = '\0';
	return kept == length;
}

/* The value of a digit of this base, or base if it is none. */
static unsigned digit_value(char c, unsigned base)
{
	unsigned value = base;

	if (c >= '0' && c <= '9')
		value = (unsigned)(c - '0');
	else if (c >= 'a' && c <= 'f')
		value = (unsigned)(c - 'a') + 10;
	else if (c >= 'A' && c <= 'F')
		value = (unsigned)(c - 'A') + 10;
	return value < base ? value : base;
}

bool text_number(const char *text, size_t length, uint64_t *out)
{
	unsigned base = 10;
	uint64_t number = 0;

	if (length > 2 && text[0] == '0' && text[1] == 'x') {
		base = 16;
		text += 2;
		length -= 2;
	}
	if (length == 0)
		return false;
	for (size_t i = 0; i < length; i++) {
		unsigned digit = digit_value(text[i], base);

		if (digit == base || number > (UINT64_MAX - digit) / base)
			return false;
		number = number * base + digit;
	}
	*out = number;
	return true;
}

bool text_next_word(const char **cursor, struct text_word *out)
{
	const char *start = *cursor;

	while (*start == ' ' || *start == '\t')
		start++;
	*cursor = start;
	if (*start == '\0')
		return false;

	bool quoted = *start == '"';
	const char *end = quoted ? ++start : start;

	while (*end != '\0' && (quoted ? *end != '"' : *end != ' ' && *end != '\t'))
		end++;
	*out = (struct text_word){start, (size_t)(end - start)};
	*cursor = quoted && *end == '"' ? end + 1 : end;
	return true;
}

bool text_next_item(struct text_word *rest, struct text_word *out)
{
	if (rest->text == NULL)
		return false;

	struct text_word item = {rest->text, 0};

	while (item.length < rest->length && item.text[item.length] != ',')
		item.length++;
	if (item.length < rest->length)
		*rest = (struct text_word){rest->text + item.length + 1, rest->length - item.length - 1};
	else
		*rest = (struct text_word){NULL, 0};
	*out = item;
	return true;
}

struct output {
	char *out;
	size_t size;
	size_t length;
};

static void put(struct output *o, char c)
{
	if (o->length + 1 < o->size)
		o->out[o->length++] = c;
}

static void put_text(struct output *o, const char *text, size_t length)
{
	for (size_t i = 0; i < length; i++)
		put(o, text[i]);
}

static void put_blanks(struct output *o, size_t width, size_t used)
{
	for (; used < width; used++)
		put(o, ' ');
}

/* One conversion of a format: %[- or 0][width][.*][l, ll or z]letter */
struct conversion {
	bool left, zero;
	size_t width;
	bool has_precision;
	bool wide; /* the argument has 64 bits */
	char letter;
};

#define WIDTH_MAX 1024

/* Reads what follows the '%'. Returns where it ends, or NULL where it is no conversion that we know. */
static const char *conversion_read(struct conversion *c, const char *s)
{
	*c = (struct conversion){0};
	if (*s == '-') {
		c->left = true;
		s++;
	} else if (*s == '0') {
		c->zero = true;
		s++;
	}
	for (; *s >= '0' && *s <= '9'; s++) {
		if (c->width < WIDTH_MAX)
			c->width = c->width * 10 + (size_t)(*s - '0');
	}
	if (s[0] == '.' && s[1] == '*') {
		c->has_precision = true;
		s += 2;
	}
	if (*s == 'l' || *s == 'z') {
		c->wide = true;
		s += s[0] == 'l' && s[1] == 'l' ? 2 : 1;
	}
	c->letter = *s;

	bool known = false;

	if (c->letter == 's')
		known = !c->wide;
	else if (c->letter == 'c' || c->letter == '%')
		known = !c->wide && !c->has_precision;
	else if (c->letter == 'd' || c->letter == 'u' || c->letter == 'x')
		known = !c->has_precision;
	return known ? s + 1 : NULL;
}

static void put_padded(struct output *o, const struct conversion *c, const char *text, size_t length)
{
	if (!c->left)
		put_blanks(o, c->width, length);
	put_text(o, text, length);
	if (c->left)
		put_blanks(o, c->width, length);
}

static void put_number(struct output *o, const struct conversion *c, uint64_t number, bool negative)
{
	static const char DIGITS[] = "0123456789abcdef";
	unsigned base = c->letter == 'x' ? 16 : 10;
	char reversed[20]; /* the decimal digits of UINT64_MAX */
	size_t digits = 0;

	do {
		reversed[digits++] = DIGITS[number % base];
		number /= base;
	} while (number != 0);

	size_t length = digits + negative;

	if (!c->zero && !c->left)
		put_blanks(o, c->width, length);
	if (negative)
		put(o, '-');
	for (size_t i = length; c->zero && i < c->width; i++)
		put(o, '0');
	while (digits > 0)
		put(o, reversed[--digits]);
	if (c->left)
		put_blanks(o, c->width, length);
}

size_t text_format_va(char *out, size_t size, const char *format, va_list args)
{
	struct output o = {out, size, 0};
	va_list rest;

	va_copy(rest, args);
	while (*format != '\0') {
		struct conversion c;
		const char *next = *format == '%' ? conversion_read(&c, format + 1) : NULL;

		if (next == NULL) {
			put(&o, *format++);
			continue;
		}
		format = next;
		if (c.letter == '%') {
			put(&o, '%');
		} else if (c.letter == 'c') {
			char character = (char)va_arg(rest, int);

			put_padded(&o, &c, &character, 1);
		} else if (c.letter == 's') {
			/* As in C: a negative precision is none, and with one the text needs no terminator. */
			int precision = c.has_precision ? va_arg(rest, int) : -1;
			const char *text = va_arg(rest, const char *);
			size_t length = 0;

			if (text == NULL)
				text = "(null)";
			while ((precision < 0 || length < (size_t)precision) && text[length] != '\0')
				length++;
			put_padded(&o, &c, text, length);
		} else if (c.letter == 'd') {
			int64_t number = c.wide ? va_arg(rest, long) : va_arg(rest, int);

			put_number(&o, &c, number < 0 ? 0 - (uint64_t)number : (uint64_t)number, number < 0);
		} else {
			put_number(&o, &c, c.wide ? va_arg(rest, unsigned long) : va_arg(rest, unsigned), false);
		}
	}
	va_end(rest);
	if (size > 0)
		out[o.length] = '\0';
	return o.length;
}

size_t text_format(char *out, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);

	size_t length = text_format_va(out, size, format, args);

	va_end(args);
	return length;
}
