/* The console's terminal: one stream of whole lines out, from any pCPU, with one unfinished line at its end; bytes in.
 */
#ifndef HV_CONSOLE_H
#define HV_CONSOLE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

/* Sets COM1 up. Before it, output is kept; where there is no port, it is dropped. */
void console_init(void);

/* One line, any pCPU. It never comes between the parts of another line, nor into the unfinished one. */
void console_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void console_line_va(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/* The same without formatting, for text of any length: prefix, then length bytes with control characters in caret
 * notation. */
void console_text(const char *prefix, const char *text, unsigned length);

/* The unfinished line: the prompt with what is typed, or that of the guest that has the terminal. When another line
 * comes, it is wiped off, and stands behind that line again; one of more than 2 KiB is broken. Bytes are added as they
 * are, and a line feed ends it. */
void console_tail(const char *bytes, uint32_t length);
void console_tail_shorten(void); /* by its last character */
void console_tail_wipe(void);
void console_tail_end(void); /* what comes next begins a line */

void console_bell(void);

/* Sends everything that is pending, and waits until the last byte is gone. */
void console_flush(void);

/* For panics, from the one pCPU that is left: takes no locks from here on. */
void console_seize(void);

/* pCPU 0: sends what the port takes without waiting. True: there was something to send. */
bool console_send(void);

/* pCPU 0: a byte that was received, -1 if there is none. *overrun: some were lost, somewhere behind those that the port
 * still holds. */
int console_read(bool *overrun);

#endif
