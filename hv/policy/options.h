/* Boot options: the parser of the multiboot2 command line (interface.md 2). Pure. */
#ifndef HV_POLICY_OPTIONS_H
#define HV_POLICY_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/policy/apicv.h"
#include "hv/policy/cpu_caps.h"
#include "hv/policy/knob.h"

#define OPTIONS_ERRORS_MAX 32

enum console_device { CONSOLE_COM1 = 1u << 0, CONSOLE_SCREEN = 1u << 1 };

/* One thing wrong with the command line, to be shown as it is: reason and the offending word. */
struct option_error {
	char word[128];     /* cut off if longer */
	const char *reason; /* e.g. "unknown option", "not one of auto, never, cond, always", "given twice" */
};

struct options {
	struct knobs knobs;
	struct cpu_assumed assumed; /* arch_capabilities=, setcpuid=, clearcpuid= */
	uint32_t trace_rows;        /* rows for each pCPU */
	uint32_t console;           /* enum console_device */
	uint32_t maxcpus;           /* UINT32_MAX: all */
	enum apicv_level apicv;     /* at most */
	uint32_t error_count;       /* may exceed OPTIONS_ERRORS_MAX: the rest is not kept */
	struct option_error errors[OPTIONS_ERRORS_MAX];
};

/* Parses the whole line; always fills *out (defaults where nothing valid is said). No VM may start by itself when
 * error_count is not 0. */
void options_parse(struct options *out, const char *line);

#endif
