#include "guest/lib/print.h"

#include <stdarg.h>
#include <stdint.h>

#include "guest/lib/serial.h"

static void print_text(const char *text)
{
	while (*text)
		serial_put(*text++);
}

static void print_hex(uint64_t value)
{
	unsigned shift = 60;

	while (shift && !(value >> shift))
		shift -= 4;
	for (;; shift -= 4) {
		serial_put("0123456789abcdef"[value >> shift & 0xf]);
		if (shift == 0)
			return;
	}
}

static void print_decimal(uint32_t value)
{
	char digits[11];
	char *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do {
		*--p = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	print_text(p);
}

void print(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	for (; *format; format++) {
		if (*format != '%') {
			serial_put(*format);
			continue;
		}
		switch (*++format) {
		case 's':
			print_text(va_arg(args, const char *));
			break;
		case 'c':
			serial_put((char)va_arg(args, int));
			break;
		case 'u':
			print_decimal(va_arg(args, unsigned));
			break;
		case 'x':
			print_hex(va_arg(args, unsigned));
			break;
		case 'l': /* %llx */
			format += 2;
			print_hex(va_arg(args, unsigned long long));
			break;
		default:
			serial_put(*format);
		}
	}
	va_end(args);
}
