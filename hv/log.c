#include "hv/log.h"

#include <stdatomic.h>

#include "hv/console.h"
#include "hv/policy/text.h"

#define LOG_LINE_BYTES 512

static _Atomic uint8_t highest = LOG_DEBUG;

void log_level_set(enum log_level level)
{
	atomic_store_explicit(&highest, (uint8_t)level, memory_order_relaxed);
}

void log_line(enum log_level level, const char *format, ...)
{
	static const char *const PREFIXES[] = {
		[LOG_ERROR] = "[error] ",
		[LOG_NOTICE] = "[notice] ",
		[LOG_INFO] = "[info] ",
		[LOG_DEBUG] = "[debug] ",
	};
	char text[LOG_LINE_BYTES];
	va_list args;

	if (level > atomic_load_explicit(&highest, memory_order_relaxed))
		return;
	va_start(args, format);
	console_text(PREFIXES[level], text, (unsigned)text_format_va(text, sizeof(text), format, args));
	va_end(args);
}
