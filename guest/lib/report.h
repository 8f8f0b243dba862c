/* Checks, one line each: `PROGRAM: NAME ok` or `PROGRAM: NAME bad got=0x.. wanted=0x..`. */
#ifndef GUEST_LIB_REPORT_H
#define GUEST_LIB_REPORT_H

#include <stdbool.h>
#include <stdint.h>

void report_start(const char *program);
void report_equal(const char *name, uint64_t got, uint64_t wanted);
void report_true(const char *name, bool good, uint64_t got);

/* `PROGRAM: NAME skip`: this CPU has nothing to check. */
void report_skip(const char *name);

/* `PROGRAM: done failed=N`, and stops the VM with exit code N. */
_Noreturn void report_end(void);

#endif
