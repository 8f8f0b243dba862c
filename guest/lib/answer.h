/* Answers, one line each: `PROGRAM: QUESTION ANSWER`. They must be the same on every machine that is right, so that two
 * machines can be compared: properties, not figures in which machines may differ. */
#ifndef GUEST_LIB_ANSWER_H
#define GUEST_LIB_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

void answer_start(const char *program);
void answer_yes(const char *question, bool yes);
void answer_number(const char *question, uint32_t number);
void answer_hex(const char *question, uint64_t number);

/* What fault_try() returned: the vector, the error code if any, and CR2 of a page fault. */
void answer_fault(const char *question, uint32_t vector);

/* measured is within percent of wanted: `yes`; else `no` and both. */
void answer_within(const char *question, uint64_t measured, uint64_t wanted, uint32_t percent);

/* `PROGRAM: done`, and stops the VM with exit code 0. */
_Noreturn void answer_end(void);

#endif
