/* hv/policy/cfg.c: every key, every way to get one wrong, and that the error says where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/msr.h"
#include "hv/policy/cfg.h"

#define LEAST "name = \"a\"\nkernel = \"k\"\n"

/* On the heap without slack, so that ASan sees a byte too many. */
static bool parse_bytes(struct vm_cfg *out, const char *text, size_t length, struct cfg_error *error)
{
	char *copy = malloc(length > 0 ? length : 1);

	memcpy(copy, text, length);
	bool ok = cfg_parse(out, copy, length, error);

	free(copy);
	return ok;
}

static struct vm_cfg taken(const char *text)
{
	struct vm_cfg cfg;
	struct cfg_error error;

	memset(&cfg, 0xa5, sizeof(cfg));
	if (!parse_bytes(&cfg, text, strlen(text), &error))
		fail_msg("line %u: %s", error.line, error.reason);
	return cfg;
}

static void assert_refused_bytes(const char *text, size_t length, uint32_t line, const char *reason)
{
	struct vm_cfg cfg, untouched;
	struct cfg_error error;

	memset(&cfg, 0xa5, sizeof(cfg));
	memset(&error, 0x5a, sizeof(error));
	untouched = cfg;
	assert_false(parse_bytes(&cfg, text, length, &error));
	assert_memory_equal(&cfg, &untouched, sizeof(cfg));
	assert_non_null(memchr(error.reason, '\0', sizeof(error.reason)));
	if (reason != NULL)
		assert_string_equal(error.reason, reason);
	assert_int_equal(error.line, line);
}

static void assert_refused(const char *text, uint32_t line, const char *reason)
{
	assert_refused_bytes(text, strlen(text), line, reason);
}

/* All but where it was written. */
static void assert_same(const struct vm_cfg *a, const struct vm_cfg *b)
{
	struct vm_cfg x = *a, y = *b;

	memset(x.lines, 0, sizeof(x.lines));
	memset(y.lines, 0, sizeof(y.lines));
	assert_memory_equal(&x, &y, sizeof(x));
}

/* The line among good ones, and what comes of it: in the first, in the last with and without its end. */
static struct vm_cfg taken_line(const char *line)
{
	char text[4096];
	struct vm_cfg first, last;

	snprintf(text, sizeof(text), "%s\n" LEAST, line);
	first = taken(text);
	snprintf(text, sizeof(text), LEAST "%s\n", line);
	last = taken(text);
	assert_same(&first, &last);
	snprintf(text, sizeof(text), LEAST "%s", line);
	last = taken(text);
	assert_same(&first, &last);
	return first;
}

static void assert_line_refused(const char *line, const char *reason)
{
	char text[4096];

	snprintf(text, sizeof(text), "%s\n" LEAST, line);
	assert_refused(text, 1, reason);
	snprintf(text, sizeof(text), LEAST "\n# comment\n%s\nmemory = 1\n", line);
	assert_refused(text, 5, reason);
	snprintf(text, sizeof(text), LEAST "%s", line);
	assert_refused(text, 3, reason);
}

static void defaults_are_as_promised(void **state)
{
	struct vm_cfg cfg = taken(LEAST);

	(void)state;
	assert_string_equal(cfg.name, "a");
	assert_string_equal(cfg.kernel, "k");
	assert_string_equal(cfg.ramdisk, "");
	assert_string_equal(cfg.extra, "");
	assert_string_equal(cfg.cpu, "host");
	assert_int_equal(cfg.memory_mib, 64);
	assert_int_equal(cfg.vcpus, 1);
	assert_true(cfg.cpus == UINT64_MAX);
	assert_true(cfg.caps_add == 0 && cfg.caps_remove == 0);
	assert_false(cfg.fixed);
	assert_false(cfg.unsafe);
	assert_true(cfg.autostart);
}

static void every_key_is_taken(void **state)
{
	struct vm_cfg cfg = taken("# a VM\n"
				  "name = \"lin_ux-9\"\n"
				  "kernel=\"bzImage\"\n"
				  "\tramdisk\t=\t\"initrd.gz\"\t\n"
				  "extra = \"console=ttyS0 # not a comment\" # a comment\n"
				  "memory = 512 # MiB\n"
				  "vcpus = 0x2\n"
				  "cpus = \"0,2-3\"\n"
				  "cpu = \"icelake-server\"\n"
				  "caps = \"+fb_clear,-mds_no,+bit16\"#x\n"
				  "caps_mode = \"fixed\"\n"
				  "unsafe = 1\n"
				  "autostart = 0\n");

	(void)state;
	assert_string_equal(cfg.name, "lin_ux-9");
	assert_string_equal(cfg.kernel, "bzImage");
	assert_string_equal(cfg.ramdisk, "initrd.gz");
	assert_string_equal(cfg.extra, "console=ttyS0 # not a comment");
	assert_int_equal(cfg.memory_mib, 512);
	assert_int_equal(cfg.vcpus, 2);
	assert_true(cfg.cpus == 0xd);
	assert_string_equal(cfg.cpu, "icelake-server");
	assert_true(cfg.caps_add == (ARCH_CAP(FB_CLEAR) | 1ull << 16));
	assert_true(cfg.caps_remove == ARCH_CAP(MDS_NO));
	assert_true(cfg.fixed);
	assert_true(cfg.unsafe);
	assert_false(cfg.autostart);
}

/* Each key with a value that it takes. */
static const struct good {
	const char *key, *value;
} GOOD[] = {
	{"name", "\"b\""},     {"kernel", "\"b\""}, {"ramdisk", "\"b\""},       {"extra", "\"b\""},
	{"memory", "2"},       {"vcpus", "2"},      {"cpus", "\"1\""},          {"cpu", "\"b\""},
	{"caps", "\"+rsba\""}, {"unsafe", "1"},     {"caps_mode", "\"fixed\""}, {"autostart", "0"},
};

#define GOOD_COUNT (sizeof(GOOD) / sizeof(GOOD[0]))

static void a_key_twice_is_an_error(void **state)
{
	(void)state;
	for (size_t i = 0; i < GOOD_COUNT; i++) {
		char text[256], reason[64];

		snprintf(text, sizeof(text), "%s = %s\n\n%s = %s\n", GOOD[i].key, GOOD[i].value, GOOD[i].key,
			 GOOD[i].value);
		snprintf(reason, sizeof(reason), "%s: given twice", GOOD[i].key);
		assert_refused(text, 3, reason);
	}
}

/* Every proper beginning of a key, and every key with something around it. */
static void keys_match_exactly(void **state)
{
	(void)state;
	for (size_t i = 0; i < GOOD_COUNT; i++) {
		const char *key = GOOD[i].key;
		char line[256], reason[96];

		for (size_t length = 1; length < strlen(key); length++) {
			bool is_a_key = false;

			for (size_t j = 0; j < GOOD_COUNT; j++)
				is_a_key |= strlen(GOOD[j].key) == length && memcmp(GOOD[j].key, key, length) == 0;
			if (is_a_key)
				continue;
			snprintf(line, sizeof(line), "%.*s = %s", (int)length, key, GOOD[i].value);
			snprintf(reason, sizeof(reason), "unknown key \"%.*s\"", (int)length, key);
			assert_line_refused(line, reason);
		}
		snprintf(line, sizeof(line), "%sx = %s", key, GOOD[i].value);
		snprintf(reason, sizeof(reason), "unknown key \"%sx\"", key);
		assert_line_refused(line, reason);
		snprintf(line, sizeof(line), "%c%s = %s", key[0] - 'a' + 'A', key + 1, GOOD[i].value);
		assert_line_refused(line, NULL);
		snprintf(line, sizeof(line), "%s", key);
		assert_line_refused(line, "expected key = value");
		snprintf(line, sizeof(line), "%s %s", key, GOOD[i].value);
		assert_line_refused(line, "expected key = value");
	}
	assert_line_refused("memroy = 64", "unknown key \"memroy\"");
	assert_line_refused("= 64", "expected key = value");
	assert_line_refused("\"memory\" = 64", "unknown key \"\"memory\"\"");
}

static void each_type_is_strict(void **state)
{
	(void)state;
	for (size_t i = 0; i < GOOD_COUNT; i++) {
		const char *key = GOOD[i].key, *value = GOOD[i].value;
		bool is_string = value[0] == '"';
		char line[256], reason[96];

		if (is_string) {
			snprintf(line, sizeof(line), "%s = %.*s", key, (int)strlen(value) - 2, value + 1);
			snprintf(reason, sizeof(reason), "%s: expected text in double quotes", key);
		} else {
			snprintf(line, sizeof(line), "%s = \"%s\"", key, value);
			snprintf(reason, sizeof(reason), "%s: expected a number without quotes", key);
		}
		/* name and kernel are in the good lines too: there this would be the second one */
		snprintf(line + strlen(line), sizeof(line) - strlen(line), "\n");
		assert_refused(line, 1, reason);
		snprintf(line, sizeof(line), "%s =\n", key);
		assert_refused(line, 1, NULL);
		if (is_string) {
			snprintf(line, sizeof(line), "%s = \"b\n", key);
			snprintf(reason, sizeof(reason), "%s: no closing double quote", key);
			assert_refused(line, 1, reason);
			snprintf(line, sizeof(line), "%s = \"b\" c", key);
			snprintf(reason, sizeof(reason), "%s: \"c\": left over after the value", key);
			assert_refused(line, 1, reason);
			snprintf(line, sizeof(line), "%s = \"b\"c\"", key);
			assert_refused(line, 1, NULL);
			snprintf(line, sizeof(line), "%s = b\"c", key);
			snprintf(reason, sizeof(reason), "%s: a double quote inside the value", key);
			assert_refused(line, 1, reason);
		}
	}
}

static void numbers_keep_to_their_range(void **state)
{
	static const struct {
		const char *key;
		uint32_t min, max;
	} RANGES[] = {{"memory", 1, 1u << 20}, {"vcpus", 1, 32}, {"unsafe", 0, 1}, {"autostart", 0, 1}};
	static const char *const NEVER[] = {"-1", "1.5", "64M",        "1 1",
					    "0x", "yes", "4294967297", "18446744073709551617"};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		char line[128], reason[128];

		for (uint64_t n = 0; n <= (uint64_t)RANGES[i].max + 2;
		     n = n < 70 || n + 5 > RANGES[i].max ? n + 1 : n * 2) {
			for (unsigned hex = 0; hex < 2; hex++) {
				snprintf(line, sizeof(line), hex ? "%s = 0x%llx" : "%s = %llu", RANGES[i].key,
					 (unsigned long long)n);
				if (n < RANGES[i].min || n > RANGES[i].max) {
					assert_line_refused(line, NULL);
					continue;
				}
				struct vm_cfg cfg = taken_line(line);
				const uint64_t got[] = {cfg.memory_mib, cfg.vcpus, cfg.unsafe, cfg.autostart};

				assert_int_equal(got[i], n);
			}
		}
		for (size_t j = 0; j < sizeof(NEVER) / sizeof(NEVER[0]); j++) {
			snprintf(line, sizeof(line), "%s = %s", RANGES[i].key, NEVER[j]);
			snprintf(reason, sizeof(reason), "%s: \"%s\": expected a number from %u to %u", RANGES[i].key,
				 NEVER[j], RANGES[i].min, RANGES[i].max);
			assert_line_refused(line, reason);
		}
	}
	assert_line_refused("memory = 1048577", "memory: \"1048577\": expected a number from 1 to 1048576");
}

static bool name_is_taken(const char *bytes, size_t length)
{
	char text[256] = "name = \"";
	struct vm_cfg cfg;
	struct cfg_error error;
	size_t used = strlen(text);

	memcpy(text + used, bytes, length);
	used += length;
	strcpy(text + used, "\"\nkernel = \"k\"\n");
	used += strlen(text + used);
	bool ok = parse_bytes(&cfg, text, used, &error);

	if (ok) {
		assert_int_equal(strlen(cfg.name), length);
		assert_memory_equal(cfg.name, bytes, length);
	} else {
		assert_int_equal(error.line, 1);
	}
	return ok;
}

static void names_follow_the_rules(void **state)
{
	static const char *const RESERVED[] = {"ok", "error", "sluice", "host", "supported"};

	(void)state;
	for (int c = 1; c < 256; c++) {
		char name[3] = {'a', (char)c, '\0'};
		bool allowed = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", c) != NULL;

		assert_int_equal(name_is_taken(name, 2), allowed);
		assert_int_equal(name_is_taken(name + 1, 1), allowed);
	}
	for (size_t length = 1; length < 100; length++) {
		char name[100];

		memset(name, 'n', length);
		name[length] = '\0';
		assert_int_equal(name_is_taken(name, length), length <= 31);
	}
	for (size_t i = 0; i < 5; i++) {
		char longer[16], text[64], reason[64];

		snprintf(text, sizeof(text), "name = \"%s\"", RESERVED[i]);
		snprintf(reason, sizeof(reason), "name: \"%s\": is reserved", RESERVED[i]);
		assert_refused(text, 1, reason);
		snprintf(longer, sizeof(longer), "%s2", RESERVED[i]);
		assert_true(name_is_taken(longer, strlen(longer)));
		assert_true(name_is_taken(longer, strlen(longer) - 2));
		longer[0] = (char)(longer[0] - 'a' + 'A');
		assert_true(name_is_taken(longer, strlen(longer) - 1));
	}
	assert_refused("name = \"\"", 1, "name: empty");
	assert_refused("name = \"a b\"", 1, "name: \"a b\": may hold only letters, digits, - and _");
}

static void what_is_required_is_missed(void **state)
{
	(void)state;
	assert_refused("", 0, "name: missing");
	assert_refused("\n\n# nothing\n", 0, "name: missing");
	assert_refused("kernel = \"k\"\n", 0, "name: missing");
	assert_refused("name = \"a\"\n", 0, "kernel: missing");
	assert_refused("name = \"a\"\nmemory = 64", 0, "kernel: missing");
	assert_refused("#name = \"a\"\nkernel = \"k\"\n", 0, "name: missing");
}

static void files_are_plain_names(void **state)
{
	static const char *const KEYS[] = {"kernel", "ramdisk"};
	static const char *const BAD[] = {"/k", "a/b", "k/", "../k", "a b", " k", "a\tb"};
	static const char *const FINE[] = {"k", "vmlinuz-6.1.0-18-amd64", "a.b.c", "k+x~1", "\xc3\xa9.elf"};

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		char text[512], reason[128];

		for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
			snprintf(text, sizeof(text), "%s = \"%s\"\n", KEYS[k], BAD[i]);
			snprintf(reason, sizeof(reason), "%s: \"%s\": expected a file name without / or blanks",
				 KEYS[k], BAD[i]);
			assert_refused(text, 1, reason);
		}
		for (size_t i = 0; i < sizeof(FINE) / sizeof(FINE[0]); i++) {
			snprintf(text, sizeof(text), "name = \"a\"\n%s%s = \"%s\"\n", k == 1 ? "kernel = \"k\"\n" : "",
				 KEYS[k], FINE[i]);
			struct vm_cfg cfg = taken(text);

			assert_string_equal(k == 0 ? cfg.kernel : cfg.ramdisk, FINE[i]);
		}
	}
	assert_refused("kernel = \"\"", 1, "kernel: empty");
	assert_string_equal(taken_line("ramdisk = \"\"").ramdisk, "");
}

/* At every length around each limit: whole or refused, never cut off. */
static void long_values_are_refused(void **state)
{
	static const struct {
		const char *key;
		size_t max;
	} LIMITS[] = {{"kernel", 127}, {"ramdisk", 127}, {"extra", 1023}, {"cpu", 31}};

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		for (size_t length = LIMITS[i].max - 2; length <= LIMITS[i].max + 3; length++) {
			char value[1100], text[1300], reason[64];

			memset(value, 'v', length);
			value[length] = '\0';
			snprintf(text, sizeof(text), "%s = \"%s\"\nname = \"a\"\n%s", LIMITS[i].key, value,
				 i == 0 ? "" : "kernel = \"k\"");
			if (length > LIMITS[i].max) {
				snprintf(reason, sizeof(reason), "%s: longer than %zu characters", LIMITS[i].key,
					 LIMITS[i].max);
				assert_refused(text, 1, reason);
				continue;
			}
			struct vm_cfg cfg = taken(text);
			const char *const got[] = {cfg.kernel, cfg.ramdisk, cfg.extra, cfg.cpu};

			assert_string_equal(got[i], value);
		}
	}
}

/* Long text in an error is shortened: the reason keeps its end. */
static void reasons_keep_their_end(void **state)
{
	static const struct {
		const char *before, *after, *end;
	} CASES[] = {
		{"", " = 1", "w\""},
		{"name = \"/", "\"", "may hold only letters, digits, - and _"},
		{"kernel = \"/", "\"", "expected a file name without / or blanks"},
		{"cpus = \"", "\"", "expected numbers from 0 to 63 or ranges like 2-3"},
		{"cpu = \"/", "\"", "may hold only letters, digits, - and _"},
		{"caps = \"+", "\"", "no such capability"},
		{"caps = \"", "\"", "expected + or - and a name"},
		{"caps_mode = \"", "\"", "not one of live, fixed"},
		{"autostart = ", "", "expected a number from 0 to 1"},
		{"memory = ", "", "expected a number from 1 to 1048576"},
		{"caps_mode = \"live\"", "", "left over after the value"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
		char text[4096], filler[3001];
		struct vm_cfg cfg;
		struct cfg_error error;

		memset(filler, 'w', 3000);
		filler[3000] = '\0';
		snprintf(text, sizeof(text), "%s%s%s", CASES[i].before, filler, CASES[i].after);
		assert_false(parse_bytes(&cfg, text, strlen(text), &error));
		assert_true(strlen(error.reason) > strlen(CASES[i].end));
		assert_string_equal(error.reason + strlen(error.reason) - strlen(CASES[i].end), CASES[i].end);
	}
}

static uint64_t cpus_of(const char *list)
{
	char line[1024];

	snprintf(line, sizeof(line), "cpus = \"%s\"", list);
	return taken_line(line).cpus;
}

static void cpus_are_a_list_of_ranges(void **state)
{
	static const char *const BAD[] = {"",    ",",    "0,", ",0",  "64",   "0-64",
					  "3-2", "-",    "-1", "1-",  "1--2", "1-2-3",
					  "a",   "0, 1", " 0", "0;1", "all",  "18446744073709551616"};

	(void)state;
	for (unsigned first = 0; first < 64; first++) {
		for (unsigned last = first; last < 64; last++) {
			uint64_t expected = 0;
			char list[32];

			for (unsigned cpu = first; cpu <= last; cpu++)
				expected |= 1ull << cpu;
			snprintf(list, sizeof(list), "%u-%u", first, last);
			assert_true(cpus_of(list) == expected);
			/* every other pair of single numbers */
			snprintf(list, sizeof(list), "%u,%u", last, first);
			assert_true(cpus_of(list) == (1ull << first | 1ull << last));
		}
	}
	assert_true(cpus_of("0,2-3") == 0xd);
	assert_true(cpus_of("0-3,2-5,63") == (0x3f | 1ull << 63));
	for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
		char line[64];

		snprintf(line, sizeof(line), "cpus = \"%s\"", BAD[i]);
		assert_line_refused(line, NULL);
	}
	assert_line_refused("cpus = \"0,64\"", "cpus: \"64\": expected numbers from 0 to 63 or ranges like 2-3");
}

/* Every bit with every other bit, in all four pairs of signs. */
static void caps_name_bits(void **state)
{
	static const char *const NAMES[64] = {
#define ARCH_CAP_DEF(bit, NAME, name) [bit] = #name,
#include "arch/defs/arch_caps.def"
#undef ARCH_CAP_DEF
	};
	char name[64][32];

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		if (NAMES[bit] != NULL)
			snprintf(name[bit], sizeof(name[bit]), "%s", NAMES[bit]);
		else
			snprintf(name[bit], sizeof(name[bit]), "bit%u", bit);
	}
	for (unsigned a = 0; a < 64; a++) {
		for (unsigned b = 0; b < 64; b++) {
			for (unsigned signs = 0; signs < 4; signs++) {
				bool minus_a = signs & 1, minus_b = signs & 2;
				char text[256];
				struct vm_cfg cfg;
				struct cfg_error error;

				snprintf(text, sizeof(text), LEAST "caps = \"%c%.31s,%c%.31s\"\n", minus_a ? '-' : '+',
					 name[a], minus_b ? '-' : '+', name[b]);
				if (a == 3 || b == 3 || a == b) {
					assert_false(cfg_parse(&cfg, text, strlen(text), &error));
					assert_int_equal(error.line, 3);
					continue;
				}
				assert_true(cfg_parse(&cfg, text, strlen(text), &error));
				uint64_t add = (minus_a ? 0 : 1ull << a) | (minus_b ? 0 : 1ull << b);

				assert_true(cfg.caps_add == add);
				assert_true(cfg.caps_remove == ((1ull << a | 1ull << b) & ~add));
			}
		}
	}
	assert_true(taken_line("caps = \"\"").caps_add == 0);
	assert_line_refused("caps = \"+skip_l1dfl_vmentry\"",
			    "caps: \"+skip_l1dfl_vmentry\": is dynamic: it follows vmentry_l1d_flush");
	assert_line_refused("caps = \"-rsba,-skip_l1dfl_vmentry\"",
			    "caps: \"-skip_l1dfl_vmentry\": is dynamic: it follows vmentry_l1d_flush");
	assert_line_refused("caps = \"+rsba,-rsba\"", "caps: \"-rsba\": named before");
	assert_line_refused("caps = \"+fb_claer\"", "caps: \"+fb_claer\": no such capability");
	assert_line_refused("caps = \"fb_clear\"", "caps: \"fb_clear\": expected + or - and a name");
	assert_line_refused("caps = \"+rsba,\"", "caps: \"\": expected + or - and a name");
	assert_line_refused("caps = \",\"", "caps: \"\": expected + or - and a name");
	assert_line_refused("caps = \"+\"", "caps: \"+\": no such capability");
	assert_line_refused("caps = \"+bit3\"", "caps: \"+bit3\": no such capability");
	assert_line_refused("caps = \"+bit64\"", "caps: \"+bit64\": no such capability");
	assert_line_refused("caps = \"+rsba, -ssb_no\"", "caps: \" -ssb_no\": expected + or - and a name");
}

static void caps_mode_has_two_values(void **state)
{
	(void)state;
	assert_true(taken_line("caps_mode = \"fixed\"").fixed);
	assert_false(taken_line("caps_mode = \"live\"").fixed);
	assert_line_refused("caps_mode = \"\"", "caps_mode: \"\": not one of live, fixed");
	assert_line_refused("caps_mode = \"Live\"", "caps_mode: \"Live\": not one of live, fixed");
	assert_line_refused("caps_mode = \"fixed \"", NULL);
	assert_line_refused("caps_mode = \"liv\"", NULL);
}

static void line_ends_of_all_kinds(void **state)
{
	struct vm_cfg unix_ends = taken("name = \"a\"\n\nkernel = \"k\" # c\nmemory = 8\n");
	struct vm_cfg dos_ends = taken("name = \"a\"\r\n\r\nkernel = \"k\" # c\r\nmemory = 8\r\n");
	struct vm_cfg no_end = taken("name = \"a\"\n\nkernel = \"k\" # c\nmemory = 8");
	struct vm_cfg dos_no_end = taken("name = \"a\"\r\n\r\nkernel = \"k\" # c\r\nmemory = 8\r");

	(void)state;
	assert_memory_equal(&unix_ends, &dos_ends, sizeof(unix_ends));
	assert_memory_equal(&unix_ends, &no_end, sizeof(unix_ends));
	assert_memory_equal(&unix_ends, &dos_no_end, sizeof(unix_ends));
	assert_refused("name = \"a\"\r\n\r\nbad\r\n", 3, "expected key = value");
	assert_refused("\n\n\nbad", 4, "expected key = value");
	assert_refused("name = \"a\"\r\r\n", 1, "control character 0x0d");
	assert_refused("name = \"a\rb\"\n", 1, "control character 0x0d");
}

/* A binary file, or a NUL in any place, is told as such. */
static void control_characters_are_refused(void **state)
{
	static const char TEXT[] = "name = \"a\"\n# comment\nkernel = \"k\"\nextra = \"x\"\n";

	(void)state;
	for (int c = 0; c < 256; c++) {
		for (size_t at = 0; at < sizeof(TEXT) - 1; at++) {
			bool is_control = (c < 32 && c != '\t' && c != '\n' && c != '\r') || c == 127;
			char bytes[sizeof(TEXT)], reason[64];
			uint32_t line = 1;

			if (!is_control)
				continue;
			memcpy(bytes, TEXT, at);
			bytes[at] = (char)c;
			memcpy(bytes + at + 1, TEXT + at, sizeof(TEXT) - 1 - at);
			for (size_t i = 0; i < at; i++)
				line += TEXT[i] == '\n';
			snprintf(reason, sizeof(reason), "control character 0x%02x", (unsigned)c);
			assert_refused_bytes(bytes, sizeof(TEXT), line, reason);
		}
	}
}

/* Every beginning of a good file is either good or refused, without a read past its end. */
static void truncated_files_are_safe(void **state)
{
	static const char TEXT[] = "name = \"a\"\nkernel = \"k\"\nextra = \"x y\" # c\ncpus = \"0,2-3\"\n"
				   "caps = \"+fb_clear,-mds_no\"\nmemory = 0x10\nautostart = 0\n";

	(void)state;
	for (size_t length = 0; length < sizeof(TEXT); length++) {
		struct vm_cfg cfg;
		struct cfg_error error = {.line = 0};

		if (!parse_bytes(&cfg, TEXT, length, &error))
			assert_true(error.reason[0] != '\0' && error.line <= 7);
		else
			assert_string_equal(cfg.kernel, "k");
	}
}

static void assert_set_refused(const char *key_value, const char *reason)
{
	struct vm_cfg cfg = taken(LEAST), untouched = cfg;
	struct cfg_error error;

	memset(&error, 0x5a, sizeof(error));
	assert_false(cfg_set(&cfg, key_value, &error));
	assert_memory_equal(&cfg, &untouched, sizeof(cfg));
	assert_int_equal(error.line, 0);
	assert_non_null(memchr(error.reason, '\0', sizeof(error.reason)));
	if (reason != NULL)
		assert_string_equal(error.reason, reason);
}

/* What a file takes, `vm set` takes, in quotes or (text too) without. */
static void set_is_as_the_file(void **state)
{
	static const struct {
		const char *line, *typed, *bare;
	} SAME[] = {
		{"ramdisk = \"r\"", "ramdisk=\"r\"", "ramdisk=r"},
		{"extra = \"a b=c\"", "extra=\"a b=c\"", "extra=a b=c"},
		{"extra = \"a#b\"", "extra=\"a#b\"", "extra=a#b"},
		{"extra = \"\"", "extra=\"\"", "extra="},
		{"ramdisk = \"\"", "ramdisk=\"\"", "ramdisk="},
		{"memory = 128", "memory = 128", "memory=128"},
		{"memory = 0x80", "memory= 0x80", "memory=0x80"},
		{"vcpus = 4", "vcpus =4", "vcpus=4"},
		{"cpus = \"0,2-3\"", "cpus=\"0,2-3\"", "cpus=0,2-3"},
		{"cpu = \"skylake-server\"", "cpu=\"skylake-server\"", "cpu=skylake-server"},
		{"caps = \"+fb_clear,-mds_no\"", "caps=\"+fb_clear,-mds_no\"", "caps=+fb_clear,-mds_no"},
		{"caps = \"\"", "caps=\"\"", "caps="},
		{"caps_mode = \"fixed\"", "caps_mode=\"fixed\"", "caps_mode=fixed"},
		{"unsafe = 1", "unsafe=1", "unsafe=1"},
		{"autostart = 0", "autostart=0", "autostart=0"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(SAME) / sizeof(SAME[0]); i++) {
		struct vm_cfg from_file = taken_line(SAME[i].line);

		for (unsigned form = 0; form < 2; form++) {
			struct vm_cfg cfg = taken(LEAST);
			struct cfg_error error;

			if (!cfg_set(&cfg, form == 0 ? SAME[i].typed : SAME[i].bare, &error))
				fail_msg("%s", error.reason);
			assert_same(&cfg, &from_file);
		}
	}
	/* A second time, and back: nothing is left of the first. */
	struct vm_cfg cfg = taken(LEAST), at_first = cfg;
	struct cfg_error error;

	assert_true(cfg_set(&cfg, "caps=+rsba", &error));
	assert_true(cfg_set(&cfg, "caps=-ssb_no", &error));
	assert_true(cfg.caps_add == 0 && cfg.caps_remove == ARCH_CAP(SSB_NO));
	assert_true(cfg_set(&cfg, "caps=", &error));
	assert_true(cfg_set(&cfg, "caps_mode=fixed", &error));
	assert_true(cfg_set(&cfg, "caps_mode=live", &error));
	assert_memory_equal(&cfg, &at_first, sizeof(cfg));
}

static void set_refuses_what_the_file_would(void **state)
{
	(void)state;
	assert_set_refused("", "expected KEY=VALUE");
	assert_set_refused("memory", "expected KEY=VALUE");
	assert_set_refused("=64", "expected KEY=VALUE");
	assert_set_refused("# memory", "expected KEY=VALUE");
	assert_set_refused("memroy=64", "unknown key \"memroy\"");
	assert_set_refused("memory=", "memory: \"\": expected a number from 1 to 1048576");
	assert_set_refused("memory=0", "memory: \"0\": expected a number from 1 to 1048576");
	assert_set_refused("memory=64 # MiB", "memory: \"64 # MiB\": expected a number from 1 to 1048576");
	assert_set_refused("memory=\"64\"", "memory: expected a number without quotes");
	assert_set_refused("vcpus=33", "vcpus: \"33\": expected a number from 1 to 32");
	assert_set_refused("name=host", "name: \"host\": is reserved");
	assert_set_refused("name=", "name: empty");
	assert_set_refused("kernel=", "kernel: empty");
	assert_set_refused("kernel=a/b", "kernel: \"a/b\": expected a file name without / or blanks");
	assert_set_refused("extra=\"a", "extra: no closing double quote");
	assert_set_refused("extra=\"a\" b", "extra: \"b\": left over after the value");
	assert_set_refused("extra=\"a\" # b", "extra: \"# b\": left over after the value");
	assert_set_refused("extra=a\"b", "extra: a double quote inside the value");
	assert_set_refused("extra=a\x01", "control character 0x01");
	assert_set_refused("extra=a\nb", "control character 0x0a");
	assert_set_refused("cpus=64", NULL);
	assert_set_refused("caps=+rsba,+skip_l1dfl_vmentry", NULL);
	assert_set_refused("caps=+rsba,-rsba", "caps: \"-rsba\": named before");
	assert_set_refused("caps_mode=on", "caps_mode: \"on\": not one of live, fixed");
	assert_set_refused("unsafe=2", "unsafe: \"2\": expected a number from 0 to 1");
}

/* What is found wrong later on is reported with the line of the key that its reason begins with. */
static void reasons_lead_to_lines(void **state)
{
	struct vm_cfg cfg = taken("# a comment\nkernel = \"k\"\n\nname = \"n\"\nmemory = 5\n");

	(void)state;
	assert_int_equal(cfg_line_of(&cfg, "kernel: absent"), 2);
	assert_int_equal(cfg_line_of(&cfg, "name: taken"), 4);
	assert_int_equal(cfg_line_of(&cfg, "memory: none left"), 5);
	assert_int_equal(cfg_line_of(&cfg, "cpu: not given"), 0);
	assert_int_equal(cfg_line_of(&cfg, "memory"), 0);
	assert_int_equal(cfg_line_of(&cfg, "no key at all"), 0);
	assert_int_equal(cfg_line_of(&cfg, ""), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_as_promised), cmocka_unit_test(every_key_is_taken),
		cmocka_unit_test(a_key_twice_is_an_error),  cmocka_unit_test(keys_match_exactly),
		cmocka_unit_test(each_type_is_strict),      cmocka_unit_test(numbers_keep_to_their_range),
		cmocka_unit_test(names_follow_the_rules),   cmocka_unit_test(what_is_required_is_missed),
		cmocka_unit_test(files_are_plain_names),    cmocka_unit_test(long_values_are_refused),
		cmocka_unit_test(reasons_keep_their_end),   cmocka_unit_test(cpus_are_a_list_of_ranges),
		cmocka_unit_test(caps_name_bits),           cmocka_unit_test(caps_mode_has_two_values),
		cmocka_unit_test(line_ends_of_all_kinds),   cmocka_unit_test(control_characters_are_refused),
		cmocka_unit_test(truncated_files_are_safe), cmocka_unit_test(reasons_lead_to_lines),
		cmocka_unit_test(set_is_as_the_file),       cmocka_unit_test(set_refuses_what_the_file_would),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
