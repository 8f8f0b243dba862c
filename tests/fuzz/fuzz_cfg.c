/* fuzz: max_len=512 runs=20000 */
/* VM configuration files: the text as it is, and each of its lines as the value of a key that exists. */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hv/policy/cfg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

#define SKIP_L1DFL_VMENTRY (1ull << 3)

#define TERMINATED(array) (memchr(array, 0, sizeof(array)) != NULL)

static void check_cfg(const struct vm_cfg *cfg)
{
	static const char *const taken[] = {"ok", "error", "sluice", "host", "supported"};

	CHECK(TERMINATED(cfg->name) && TERMINATED(cfg->kernel) && TERMINATED(cfg->ramdisk));
	CHECK(TERMINATED(cfg->extra) && TERMINATED(cfg->cpu));
	CHECK(cfg->name[0] != 0 && cfg->kernel[0] != 0 && cfg->cpu[0] != 0);
	CHECK(strspn(cfg->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") ==
	      strlen(cfg->name));
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		CHECK(strcmp(cfg->name, taken[i]) != 0);
	CHECK(cfg->memory_mib > 0 && cfg->vcpus > 0 && cfg->cpus != 0);
	CHECK(((cfg->caps_add | cfg->caps_remove) & SKIP_L1DFL_VMENTRY) == 0);
	/* what goes to a guest or a log line stays in one line */
	CHECK(strchr(cfg->extra, '\n') == NULL && strchr(cfg->kernel, '\n') == NULL);
}

static void check_error(const struct cfg_error *error)
{
	CHECK(TERMINATED(error->reason) && error->reason[0] != 0);
	CHECK(strchr(error->reason, '\n') == NULL);
}

static bool parse(struct vm_cfg *cfg, const char *text, size_t length)
{
	char *copy = malloc(length + (length == 0));
	struct vm_cfg before;
	struct cfg_error error;
	bool ok;

	memcpy(copy, text, length);
	memset(cfg, 0x5a, sizeof(*cfg));
	memset(&error, 0x5a, sizeof(error));
	memcpy(&before, cfg, sizeof(before));
	ok = cfg_parse(cfg, copy, length, &error);
	if (ok) {
		check_cfg(cfg);
	} else {
		unsigned lines = 1;

		CHECK(memcmp(cfg, &before, sizeof(before)) == 0);
		check_error(&error);
		for (size_t i = 0; i < length; i++)
			lines += copy[i] == '\n';
		CHECK(error.line <= lines);
	}
	free(copy);
	return ok;
}

static void set(struct vm_cfg *cfg, const char *key_value)
{
	char *copy = strdup(key_value);
	struct vm_cfg before;
	struct cfg_error error;

	memset(&error, 0x5a, sizeof(error));
	memcpy(&before, cfg, sizeof(before));
	if (cfg_set(cfg, copy, &error)) {
		check_cfg(cfg);
	} else {
		CHECK(memcmp(cfg, &before, sizeof(before)) == 0);
		CHECK(error.line == 0);
		check_error(&error);
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const keys[] = {"name", "kernel", "ramdisk",   "extra",  "memory",    "vcpus", "cpus",
					   "cpu",  "caps",   "caps_mode", "unsafe", "autostart", "memroy"};
	static const char good[] = "name = \"vm\"\nkernel = \"k\" # comment\n";
	struct vm_cfg cfg;
	char text[1200];
	const char *key;
	int length;

	parse(&cfg, (const char *)data, size);
	if (size == 0)
		return 0;
	key = keys[data[0] % (sizeof(keys) / sizeof(keys[0]))];
	length = snprintf(text, sizeof(text), "%s%s = %s%.*s%s\n", good, key, data[0] & 0x80 ? "\"" : "", (int)size - 1,
			  (const char *)data + 1, data[0] & 0x80 ? "\"" : "");
	parse(&cfg, text, (size_t)length);
	CHECK(parse(&cfg, good, sizeof(good) - 1));
	snprintf(text, sizeof(text), "%s=%.*s", key, (int)size - 1, (const char *)data + 1);
	set(&cfg, text);
	snprintf(text, sizeof(text), "%.*s", (int)size, (const char *)data);
	set(&cfg, text);
	return 0;
}
