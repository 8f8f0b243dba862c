/* The end: for what cannot happen. */
#ifndef HV_PANIC_H
#define HV_PANIC_H

#include <stdbool.h>

/* Prints `[panic] ...` and stops every pCPU. */
_Noreturn void panic(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Another pCPU has panicked: this one stops here. Called by each pCPU's loop. */
void panic_stop_if_asked(void);

#endif
