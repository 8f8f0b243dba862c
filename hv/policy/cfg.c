/* VM configuration files: text in, one struct vm_cfg out. */
#include "hv/policy/cfg.h"

#include <stdarg.h>

#include "arch/defs/msr.h"
#include "hv/policy/cpu_caps.h"
#include "hv/policy/text.h"

#define MEMORY_MIB_MAX (1u << 20)
#define VCPUS_MAX      32
#define PCPUS_MAX      64
#define EXCERPT_MAX    40 /* of a text from the file in an error's reason */

/* max is 0 for a string. */
static const struct key_facts {
	const char *name;
	uint32_t min, max;
} KEYS[CFG_KEY_COUNT] = {
	[CFG_KEY_NAME] = {"name", 0, 0},
	[CFG_KEY_KERNEL] = {"kernel", 0, 0},
	[CFG_KEY_RAMDISK] = {"ramdisk", 0, 0},
	[CFG_KEY_EXTRA] = {"extra", 0, 0},
	[CFG_KEY_MEMORY] = {"memory", 1, MEMORY_MIB_MAX},
	[CFG_KEY_VCPUS] = {"vcpus", 1, VCPUS_MAX},
	[CFG_KEY_CPUS] = {"cpus", 0, 0},
	[CFG_KEY_CPU] = {"cpu", 0, 0},
	[CFG_KEY_CAPS] = {"caps", 0, 0},
	[CFG_KEY_CAPS_MODE] = {"caps_mode", 0, 0},
	[CFG_KEY_UNSAFE] = {"unsafe", 0, 1},
	[CFG_KEY_AUTOSTART] = {"autostart", 0, 1},
};

/* What the console's own words are (interface.md 3): a VM so called could not be told from them. */
static const char *const RESERVED_NAMES[] = {"ok", "error", "sluice", "host", "supported"};

static const struct vm_cfg DEFAULTS = {
	.cpu = "host",
	.memory_mib = 64,
	.vcpus = 1,
	.cpus = UINT64_MAX,
	.autostart = true,
};

/* A value as it was written. */
struct value {
	struct text_word text; /* without its quotes */
	bool quoted;
};

/* Where it was written: a file has comments and wants strings in quotes, a command line has and does neither. */
enum place { IN_FILE, TYPED };

__attribute__((format(printf, 2, 3))) static bool refuse(struct cfg_error *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_format_va(error->reason, sizeof(error->reason), format, args);
	va_end(args);
	return false;
}

/* For %.*s. */
static int excerpt(struct text_word text)
{
	return text.length < EXCERPT_MAX ? (int)text.length : EXCERPT_MAX;
}

static bool refuse_text(struct cfg_error *error, enum cfg_key key, struct text_word text, const char *why)
{
	return refuse(error, "%s: \"%.*s\": %s", KEYS[key].name, excerpt(text), text.text, why);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct text_word trim(struct text_word text)
{
	while (text.length > 0 && is_blank(text.text[0])) {
		text.text++;
		text.length--;
	}
	while (text.length > 0 && is_blank(text.text[text.length - 1]))
		text.length--;
	return text;
}

/* The length bytes at the start of text are cut off. */
static struct text_word after(struct text_word text, size_t length)
{
	return (struct text_word){text.text + length, text.length - length};
}

/* Where c first occurs, or the length. */
static size_t find(struct text_word text, char c)
{
	size_t at = 0;

	while (at < text.length && text.text[at] != c)
		at++;
	return at;
}

static bool check_characters(struct text_word text, struct cfg_error *error)
{
	for (size_t i = 0; i < text.length; i++) {
		unsigned char c = (unsigned char)text.text[i];

		if ((c < ' ' && c != '\t') || c == 0x7f)
			return refuse(error, "control character 0x%02x", c);
	}
	return true;
}

static bool is_name_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* A string of at most size - 1 characters. */
static bool set_string(char *out, size_t size, enum cfg_key key, struct text_word text, struct cfg_error *error)
{
	if (text.length >= size)
		return refuse(error, "%s: longer than %zu characters", KEYS[key].name, size - 1);
	return text_copy(out, size, text.text, text.length);
}

static bool set_word(char *out, size_t size, enum cfg_key key, struct text_word text, struct cfg_error *error)
{
	if (text.length == 0)
		return refuse(error, "%s: empty", KEYS[key].name);
	for (size_t i = 0; i < text.length; i++) {
		if (!is_name_character(text.text[i]))
			return refuse_text(error, key, text, "may hold only letters, digits, - and _");
	}
	return set_string(out, size, key, text, error);
}

static bool set_name(struct vm_cfg *cfg, struct text_word text, struct cfg_error *error)
{
	for (size_t i = 0; i < sizeof(RESERVED_NAMES) / sizeof(RESERVED_NAMES[0]); i++) {
		if (text_is(RESERVED_NAMES[i], text.text, text.length))
			return refuse_text(error, CFG_KEY_NAME, text, "is reserved");
	}
	return set_word(cfg->name, sizeof(cfg->name), CFG_KEY_NAME, text, error);
}

static bool set_file(char out[CFG_FILE_MAX + 1], enum cfg_key key, struct text_word text, struct cfg_error *error)
{
	for (size_t i = 0; i < text.length; i++) {
		if (text.text[i] == '/' || is_blank(text.text[i]))
			return refuse_text(error, key, text, "expected a file name without / or blanks");
	}
	return set_string(out, CFG_FILE_MAX + 1, key, text, error);
}

/* "3" or "0-3": the bits from first to last. */
static bool read_cpu_range(struct text_word item, uint64_t *out)
{
	size_t dash = find(item, '-');
	uint64_t first, last;

	if (!text_number(item.text, dash, &first))
		return false;
	if (dash == item.length)
		last = first;
	else if (!text_number(item.text + dash + 1, item.length - dash - 1, &last))
		return false;
	if (first > last || last >= PCPUS_MAX)
		return false;
	*out = (UINT64_MAX >> (PCPUS_MAX - 1 - (last - first))) << first;
	return true;
}

static bool set_cpus(struct vm_cfg *cfg, struct text_word text, struct cfg_error *error)
{
	struct text_word item;
	uint64_t cpus = 0;

	while (text_next_item(&text, &item)) {
		uint64_t range;

		if (!read_cpu_range(item, &range))
			return refuse_text(error, CFG_KEY_CPUS, item,
					   "expected numbers from 0 to 63 or ranges like 2-3");
		cpus |= range;
	}
	cfg->cpus = cpus;
	return true;
}

static bool set_caps(struct vm_cfg *cfg, struct text_word text, struct cfg_error *error)
{
	struct text_word item;
	uint64_t add = 0, remove = 0;

	if (text.length == 0)
		text.text = NULL; /* no change, not one empty item */
	while (text_next_item(&text, &item)) {
		unsigned bit;

		if (item.length == 0 || (item.text[0] != '+' && item.text[0] != '-'))
			return refuse_text(error, CFG_KEY_CAPS, item, "expected + or - and a name");
		if (!cpu_caps_bit_find(item.text + 1, item.length - 1, &bit))
			return refuse_text(error, CFG_KEY_CAPS, item, "no such capability");
		if (bit == ARCH_CAP_BIT_SKIP_L1DFL_VMENTRY)
			return refuse_text(error, CFG_KEY_CAPS, item, "is dynamic: it follows vmentry_l1d_flush");
		if ((add | remove) >> bit & 1)
			return refuse_text(error, CFG_KEY_CAPS, item, "named before");
		if (item.text[0] == '+')
			add |= 1ull << bit;
		else
			remove |= 1ull << bit;
	}
	cfg->caps_add = add;
	cfg->caps_remove = remove;
	return true;
}

static bool set_caps_mode(struct vm_cfg *cfg, struct text_word text, struct cfg_error *error)
{
	if (text_is("fixed", text.text, text.length))
		cfg->fixed = true;
	else if (text_is("live", text.text, text.length))
		cfg->fixed = false;
	else
		return refuse_text(error, CFG_KEY_CAPS_MODE, text, "not one of live, fixed");
	return true;
}

static bool read_number(uint32_t *out, enum cfg_key key, const struct value *value, struct cfg_error *error)
{
	const struct key_facts *facts = &KEYS[key];
	uint64_t number;

	if (value->quoted)
		return refuse(error, "%s: expected a number without quotes", facts->name);
	if (!text_number(value->text.text, value->text.length, &number) || number < facts->min || number > facts->max)
		return refuse(error, "%s: \"%.*s\": expected a number from %u to %u", facts->name, excerpt(value->text),
			      value->text.text, facts->min, facts->max);
	*out = (uint32_t)number;
	return true;
}

/* On failure *cfg is untouched. */
static bool set_value(struct vm_cfg *cfg, enum cfg_key key, const struct value *value, enum place place,
		      struct cfg_error *error)
{
	uint32_t number = 0;

	if (KEYS[key].max > 0 && !read_number(&number, key, value, error))
		return false;
	if (KEYS[key].max == 0 && !value->quoted && place == IN_FILE)
		return refuse(error, "%s: expected text in double quotes", KEYS[key].name);

	switch (key) {
	case CFG_KEY_NAME:
		return set_name(cfg, value->text, error);
	case CFG_KEY_KERNEL:
		if (value->text.length == 0)
			return refuse(error, "kernel: empty");
		return set_file(cfg->kernel, key, value->text, error);
	case CFG_KEY_RAMDISK:
		return set_file(cfg->ramdisk, key, value->text, error);
	case CFG_KEY_EXTRA:
		return set_string(cfg->extra, sizeof(cfg->extra), key, value->text, error);
	case CFG_KEY_CPUS:
		return set_cpus(cfg, value->text, error);
	case CFG_KEY_CPU:
		return set_word(cfg->cpu, sizeof(cfg->cpu), key, value->text, error);
	case CFG_KEY_CAPS:
		return set_caps(cfg, value->text, error);
	case CFG_KEY_CAPS_MODE:
		return set_caps_mode(cfg, value->text, error);
	case CFG_KEY_MEMORY:
		cfg->memory_mib = number;
		return true;
	case CFG_KEY_VCPUS:
		cfg->vcpus = number;
		return true;
	case CFG_KEY_UNSAFE:
		cfg->unsafe = number == 1;
		return true;
	case CFG_KEY_AUTOSTART:
		cfg->autostart = number == 1;
		return true;
	case CFG_KEY_COUNT:
		break;
	}
	return false;
}

/* A value and nothing after it, but a comment in a file. */
static bool read_value(struct value *out, enum cfg_key key, struct text_word text, enum place place,
		       struct cfg_error *error)
{
	const char *name = KEYS[key].name;
	bool quoted = text.length > 0 && text.text[0] == '"';

	if (!quoted) {
		if (place == IN_FILE)
			text = trim((struct text_word){text.text, find(text, '#')});
		if (find(text, '"') < text.length)
			return refuse(error, "%s: a double quote inside the value", name);
		*out = (struct value){text, false};
		return true;
	}

	struct text_word inside = after(text, 1);
	size_t end = find(inside, '"');

	if (end == inside.length)
		return refuse(error, "%s: no closing double quote", name);

	struct text_word rest = trim(after(inside, end + 1));

	if (rest.length > 0 && !(place == IN_FILE && rest.text[0] == '#'))
		return refuse_text(error, key, rest, "left over after the value");
	inside.length = end;
	*out = (struct value){inside, true};
	return true;
}

/* "key = value" to its parts. */
static bool read_assignment(enum cfg_key *key, struct value *value, struct text_word line, enum place place,
			    struct cfg_error *error)
{
	size_t equals = find(line, '=');
	struct text_word name = trim((struct text_word){line.text, equals});

	if (equals == line.length || name.length == 0)
		return refuse(error, place == IN_FILE ? "expected key = value" : "expected KEY=VALUE");
	for (unsigned i = 0; i < CFG_KEY_COUNT; i++) {
		if (text_is(KEYS[i].name, name.text, name.length)) {
			*key = (enum cfg_key)i;
			return read_value(value, *key, trim(after(line, equals + 1)), place, error);
		}
	}
	return refuse(error, "unknown key \"%.*s\"", excerpt(name), name.text);
}

/* One line of a file, without its end. number: counted from 1. */
static bool take_line(struct vm_cfg *cfg, uint32_t number, struct text_word line, struct cfg_error *error)
{
	struct value value;
	enum cfg_key key = CFG_KEY_COUNT;

	if (!check_characters(line, error))
		return false;
	line = trim(line);
	if (line.length == 0 || line.text[0] == '#')
		return true;
	if (!read_assignment(&key, &value, line, IN_FILE, error))
		return false;
	if (cfg->lines[key] != 0)
		return refuse(error, "%s: given twice", KEYS[key].name);
	cfg->lines[key] = number;
	return set_value(cfg, key, &value, IN_FILE, error);
}

bool cfg_parse(struct vm_cfg *out, const char *text, size_t length, struct cfg_error *error)
{
	struct text_word rest = {text, length};
	struct vm_cfg cfg = DEFAULTS;

	for (uint32_t number = 1; rest.length > 0; number++) {
		size_t end = find(rest, '\n');
		struct text_word line = {rest.text, end};

		rest = after(rest, end < rest.length ? end + 1 : end);
		if (line.length > 0 && line.text[line.length - 1] == '\r')
			line.length--;
		if (!take_line(&cfg, number, line, error)) {
			error->line = number;
			return false;
		}
	}
	for (unsigned key = CFG_KEY_NAME; key <= CFG_KEY_KERNEL; key++) {
		if (cfg.lines[key] == 0) {
			error->line = 0;
			return refuse(error, "%s: missing", KEYS[key].name);
		}
	}
	*out = cfg;
	return true;
}

bool cfg_set(struct vm_cfg *cfg, const char *key_value, struct cfg_error *error)
{
	struct text_word text = {key_value, text_length(key_value)};
	struct value value;
	enum cfg_key key = CFG_KEY_COUNT;

	if (check_characters(text, error) && read_assignment(&key, &value, text, TYPED, error) &&
	    set_value(cfg, key, &value, TYPED, error))
		return true;
	error->line = 0;
	return false;
}

uint32_t cfg_line_of(const struct vm_cfg *cfg, const char *reason)
{
	for (unsigned key = 0; key < CFG_KEY_COUNT; key++) {
		const size_t length = text_length(KEYS[key].name);

		if (text_length(reason) > length && text_is(KEYS[key].name, reason, length) && reason[length] == ':')
			return cfg->lines[key];
	}
	return 0;
}
