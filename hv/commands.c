#include "hv/commands.h"

#include <limits.h>

#include "arch/cpu.h"
#include "arch/power.h"
#include "arch/tsc.h"
#include "hv/console.h"
#include "hv/log.h"
#include "hv/sched.h"
#include "hv/trace.h"
#include "hv/vm.h"

#define REASON_BYTES     384
#define WAIT_SECONDS_MAX 86400

struct command {
	const char *name;
	const char *usage;
	const char *summary;
	unsigned words_min, words_max;
	enum command_status (*run)(const struct command_line *line);
};

static char reason[REASON_BYTES];
static command_poll_fn *pending;
static enum { GO_ON, REBOOT, POWER_OFF } asked_for;
static struct {
	uint64_t start, ticks;
	struct vm *vm; /* NULL: only the time counts */
	char text[COMMAND_LINE_MAX + 1];
	uint32_t text_length;
} waiting;

static enum command_status command_help(const struct command_line *line);
static enum command_status command_reboot(const struct command_line *line);
static enum command_status command_poweroff(const struct command_line *line);

/* A line of `help` each; of rows with one name all but usage and summary are alike. */
static const struct command COMMANDS[] = {
	{"help", "help [COMMAND]", "the commands, or one of them", 0, 1, command_help},
	{"info", "info", "version, cpu, memory, vmx abilities in use, uptime", 0, 0, command_info},
	{"bugs", "bugs", "the cpu's bugs, what is done about them, what stays open", 0, 0, command_bugs},
	{"caps", "caps", "ia32_arch_capabilities of the host and of each vm", 0, 0, command_caps},
	{"get", "get [KNOB]", "the knobs, what they come to here and why", 0, 1, command_get},
	{"set", "set KNOB VALUE [force]", "changes a knob on all pcpus", 2, 3, command_set},
	{"cpus", "cpus", "the physical cpus and what they run", 0, 0, command_cpus},
	{"vm", "vm list", "the virtual machines", 1, UINT_MAX, command_vm},
	{"vm", "vm show NAME", "one of them, and the registers of its vcpus", 1, UINT_MAX, command_vm},
	{"vm", "vm start NAME", "starts one that is off", 1, UINT_MAX, command_vm},
	{"vm", "vm pause NAME", "its vcpus run no more", 1, UINT_MAX, command_vm},
	{"vm", "vm resume NAME", "they go on", 1, UINT_MAX, command_vm},
	{"vm", "vm stop NAME", "switches it off", 1, UINT_MAX, command_vm},
	{"vm", "vm reset NAME", "starts it anew", 1, UINT_MAX, command_vm},
	{"vm", "vm set NAME KEY=VALUE", "changes the configuration of one that is off", 1, UINT_MAX, command_vm},
	{"vm", "vm console NAME", "attaches the terminal to its serial port", 1, UINT_MAX, command_vm},
	{"vm", "vm log NAME", "what it has printed", 1, UINT_MAX, command_vm},
	{"vm", "vm type NAME [TEXT]", "types a line at its serial port", 1, UINT_MAX, command_vm},
	{"stats", "stats [NAME]", "counts of each vcpu since its vm's start", 0, 1, command_stats},
	{"trace", "trace N", "the last N vm entries and knob changes", 1, 1, command_trace},
	{"audit", "audit", "whether every vm entry kept the rules", 0, 0, command_audit},
	{"provoke", "provoke entry NAME state|vmfail", "makes an entry fail, to show what is done about it", 3, 3,
	 command_provoke},
	{"provoke", "provoke nmi CPU COUNT", "sends NMIs, to show what is done about them", 3, 3, command_provoke},
	{"bench", "bench [NAME]", "measures what exits and mitigations cost; running vms are paused meanwhile", 0, 1,
	 command_bench},
	{"bench", "bench list", "what bench can measure", 0, 1, command_bench},
	{"wait", "wait SECONDS [NAME TEXT]", "waits, with NAME until that vm has printed TEXT", 1, UINT_MAX,
	 command_wait},
	{"reboot", "reboot", "resets the machine", 0, 0, command_reboot},
	{"poweroff", "poweroff", "switches the machine off", 0, 0, command_poweroff},
};

#define COMMAND_COUNT (sizeof(COMMANDS) / sizeof(COMMANDS[0]))

/* ---- what the commands share ---- */

enum command_status command_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	text_format_va(reason, sizeof(reason), format, args);
	va_end(args);
	return COMMAND_FAILED;
}

enum command_status command_usage_fail(const char *usage)
{
	return command_fail("usage: %s", usage);
}

const char *command_error(void)
{
	return reason;
}

bool command_number(const struct text_word *word, uint64_t first, uint64_t last, uint64_t *out)
{
	uint64_t number;

	if (!text_number(word->text, word->length, &number) || number < first || number > last) {
		command_fail("\"%.*s\" is not a number from %lu to %lu", (int)word->length, word->text, first, last);
		return false;
	}
	*out = number;
	return true;
}

struct text_word command_rest(const struct text_word *word)
{
	struct text_word rest = {word->text, text_length(word->text)};

	while (rest.length > 0 && (rest.text[rest.length - 1] == ' ' || rest.text[rest.length - 1] == '\t'))
		rest.length--;
	if (word->text[-1] != '"')
		return rest;
	if (rest.length > 0 && rest.text[rest.length - 1] == '"')
		rest.length--;
	else
		rest = (struct text_word){rest.text - 1, rest.length + 1};
	return rest;
}

void command_list_add(char *list, unsigned size, const char *item, const char *separator)
{
	const size_t length = text_length(list);

	text_format(list + length, size - length, "%s%s", length != 0 ? separator : "", item);
}

struct vm *command_vm_named(const struct text_word *word)
{
	char names[REASON_BYTES / 2] = "";
	struct vm *vm = vm_find(word->text, word->length);

	if (vm != NULL)
		return vm;
	for (uint32_t i = 0; i < vm_count; i++)
		command_list_add(names, sizeof(names), vms[i].cfg.name, ", ");
	command_fail("no vm called \"%.*s\"; %s%s", (int)word->length, word->text,
		     vm_count != 0 ? "there are: " : "there is none", names);
	return NULL;
}

/* ---- from a line to its command ---- */

static const struct command *find(const struct text_word *name)
{
	for (unsigned i = 0; i < COMMAND_COUNT; i++)
		if (text_is(COMMANDS[i].name, name->text, name->length))
			return &COMMANDS[i];
	command_fail("unknown command \"%.*s\"; try help", (int)name->length, name->text);
	return NULL;
}

static bool has_row(const struct command *command, unsigned row)
{
	return text_is(COMMANDS[row].name, command->name, text_length(command->name));
}

static enum command_status usage_fail(const struct command *command)
{
	char usages[REASON_BYTES] = "";

	for (unsigned i = 0; i < COMMAND_COUNT; i++)
		if (has_row(command, i))
			command_list_add(usages, sizeof(usages), COMMANDS[i].usage, " | ");
	return command_usage_fail(usages);
}

enum command_status commands_run(const char *line)
{
	struct command_line parsed = {0};
	struct text_word name = {"", 0}, word;

	text_next_word(&line, &name);

	const struct command *command = find(&name);

	if (command == NULL)
		return COMMAND_FAILED;
	for (; text_next_word(&line, &word); parsed.count++)
		if (parsed.count < COMMAND_WORDS_MAX)
			parsed.words[parsed.count] = word;
	if (parsed.count < command->words_min || parsed.count > command->words_max)
		return usage_fail(command);
	for (uint32_t i = 0; i < vm_count && command->run != command_wait; i++)
		vm_console_mark(&vms[i]);
	return command->run(&parsed);
}

enum command_status command_pend(command_poll_fn *poll)
{
	bool busy = false;

	pending = poll;
	return poll(false, &busy);
}

enum command_status commands_poll(bool interrupt, bool *busy)
{
	return pending(interrupt, busy);
}

/* ---- help, trace ---- */

static enum command_status command_help(const struct command_line *line)
{
	const struct command *only = NULL;

	if (line->count == 1) {
		only = find(&line->words[0]);
		if (only == NULL)
			return COMMAND_FAILED;
	}
	for (unsigned i = 0; i < COMMAND_COUNT; i++)
		if (only == NULL || has_row(only, i))
			console_line("%-32s %s", COMMANDS[i].usage, COMMANDS[i].summary);
	return COMMAND_OK;
}

enum command_status command_trace(const struct command_line *line)
{
	uint64_t row_count;

	if (!command_number(&line->words[0], 1, UINT32_MAX, &row_count))
		return COMMAND_FAILED;
	sched_step_aside(); /* printing takes long */
	return trace_print(row_count) ? COMMAND_OK : command_fail("interrupted");
}

/* ---- wait ---- */

static enum command_status wait_poll(bool interrupt, bool *busy)
{
	if (interrupt)
		return command_fail("interrupted");
	if (waiting.vm != NULL && vm_console_printed(waiting.vm, waiting.text, waiting.text_length, busy))
		return COMMAND_OK;
	if (rdtsc() - waiting.start < waiting.ticks)
		return COMMAND_PENDING;
	return waiting.vm != NULL ? command_fail("timeout") : COMMAND_OK;
}

enum command_status command_wait(const struct command_line *line)
{
	uint64_t seconds;

	if (line->count == 2)
		return command_usage_fail("wait SECONDS [NAME TEXT]");
	if (!command_number(&line->words[0], 0, WAIT_SECONDS_MAX, &seconds))
		return COMMAND_FAILED;
	waiting.vm = NULL;
	if (line->count > 2) {
		const struct text_word text = command_rest(&line->words[2]);

		if (text.length == 0)
			return command_usage_fail("wait SECONDS [NAME TEXT]");
		waiting.vm = command_vm_named(&line->words[1]);
		if (waiting.vm == NULL)
			return COMMAND_FAILED;
		vm_console_seek(waiting.vm);
		text_copy(waiting.text, sizeof(waiting.text), text.text, text.length);
		waiting.text_length = (uint32_t)text_length(waiting.text);
	}
	waiting.start = rdtsc();
	waiting.ticks = seconds * tsc_hz();
	return command_pend(wait_poll);
}

/* ---- the end ---- */

static enum command_status command_reboot(const struct command_line *line)
{
	(void)line;
	asked_for = REBOOT;
	return COMMAND_OK;
}

static enum command_status command_poweroff(const struct command_line *line)
{
	(void)line;
	asked_for = POWER_OFF;
	return COMMAND_OK;
}

void commands_finish(void)
{
	if (asked_for == GO_ON)
		return;
	console_flush();
	if (asked_for == REBOOT)
		power_reset();
	power_off();
	asked_for = GO_ON;
	log_line(LOG_ERROR, "power: the machine cannot be switched off by software: use its switch");
}
