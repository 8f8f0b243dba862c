/* The console: one stream of whole lines out, from any pCPU; a prompt with line editing in, on pCPU 0. */
#ifndef HV_CONSOLE_H
#define HV_CONSOLE_H

#include <stdarg.h>
#include <stdbool.h>

#define CONSOLE_LINE_MAX 256 /* characters of a command */

/* Sets COM1 up. Before it, output is kept; where there is no port, it is dropped. */
void console_init(void);

/* One line, any pCPU. It never comes between the parts of another line, nor into what is being typed. */
void console_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
void console_line_va(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/* The same without formatting, for text of any length: prefix, then length bytes with control characters in caret
 * notation. */
void console_text(const char *prefix, const char *text, unsigned length);

/* For a command that runs long: Ctrl-C has been typed since it began. pCPU 0. */
bool console_interrupted(void);

/* pCPU 0, often: sends, receives, runs commands. True: something was done but looking (the L1D may hold host data). */
bool console_poll(void);

/* pCPU 0: there is output to send, or a command to go on with; the sooner the next poll, the better (each sends one
 * FIFO full). */
bool console_wants_poll(void);

/* Sends everything that is pending, and waits until the last byte is gone. */
void console_flush(void);

/* For panics, from the one pCPU that is left: takes no locks from here on. */
void console_seize(void);

/* Shows the prompt for the first time: commands are taken from here on. */
void console_start(void);

#endif
