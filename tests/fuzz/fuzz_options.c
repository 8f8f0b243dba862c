/* fuzz: max_len=256 runs=20000 */
/* Boot options: the line as it is, and as the value of an option that exists. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/policy/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static void parse(struct options *out, const char *line)
{
	char *copy = strdup(line);
	const uint32_t nameable = CPU_ARCH_CAPABILITIES | CPU_L1D_FLUSH | CPU_MD_CLEAR | CPU_SRBDS_CTRL | CPU_IBRS |
				  CPU_STIBP | CPU_SSBD | CPU_RTM;
	uint32_t kept;

	memset(out, 0x5a, sizeof(*out));
	options_parse(out, copy);
	for (unsigned knob = 0; knob < KNOB_COUNT; knob++)
		CHECK(knob_value_name((enum knob)knob, out->knobs.value[knob]) != NULL);
	CHECK(((out->assumed.set | out->assumed.clear) & ~nameable) == 0);
	CHECK(out->assumed.has_arch_capabilities == 0 || out->assumed.has_arch_capabilities == 1);
	CHECK(out->trace_rows > 0 && out->maxcpus > 0);
	CHECK((out->console & ~(uint32_t)(CONSOLE_COM1 | CONSOLE_SCREEN)) == 0);
	kept = out->error_count < OPTIONS_ERRORS_MAX ? out->error_count : OPTIONS_ERRORS_MAX;
	for (uint32_t i = 0; i < kept; i++) {
		CHECK(memchr(out->errors[i].word, 0, sizeof(out->errors[i].word)) != NULL);
		CHECK(out->errors[i].reason != NULL && strlen(out->errors[i].reason) > 0);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"vmentry_l1d_flush", "verw",     "fb_clear_dis", "rsb",
					    "arch_capabilities", "setcpuid", "clearcpuid",   "trace_rows",
					    "console",           "maxcpus",  "loglevel",     "bhb"};
	struct options options;
	char line[1024];

	snprintf(line, sizeof(line), "%.*s", (int)size, (const char *)data);
	parse(&options, line);
	if (size == 0)
		return 0;
	snprintf(line, sizeof(line), "%s=%.*s", names[data[0] % (sizeof(names) / sizeof(names[0]))], (int)size - 1,
		 (const char *)data + 1);
	parse(&options, line);

	/* the same option twice is never silent */
	snprintf(line, sizeof(line), "verw=on %.*s verw=off", (int)size, (const char *)data);
	parse(&options, line);
	CHECK(options.error_count != 0);
	return 0;
}
