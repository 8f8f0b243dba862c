/* The log: lines `[level] who: what: key=value` on the console. The level goes by the cause: a guest's fault is never
 * an error of ours. */
#ifndef HV_LOG_H
#define HV_LOG_H

#include "hv/policy/knob.h"

/* What is above the level is dropped; until the first call everything is shown. */
void log_level_set(enum log_level level);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
