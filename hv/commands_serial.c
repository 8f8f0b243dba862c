/* vm type, console, log: a guest's serial port. */
#include "hv/attach.h"
#include "hv/commands.h"
#include "hv/console.h"
#include "hv/vm.h"

static bool listens(const struct vm *vm)
{
	const enum vm_state state = (enum vm_state)atomic_load_explicit(&vm->state, memory_order_acquire);

	if (state == VM_OFF)
		command_fail("%s: it is off: use `vm start`", vm->cfg.name);
	else if (state == VM_CRASHED)
		command_fail("%s: it has crashed: use `vm log`, then `vm reset`", vm->cfg.name);
	return state == VM_RUNNING || state == VM_PAUSED;
}

/* The rest of the line and Enter; without TEXT, Enter alone. */
enum command_status command_vm_type(const struct command_line *line)
{
	char text[COMMAND_LINE_MAX + sizeof("\r")] = "";

	if (line->count < 2)
		return command_usage_fail("vm type NAME [TEXT]");

	struct vm *vm = command_vm_named(&line->words[1]);

	if (vm == NULL || !listens(vm))
		return COMMAND_FAILED;
	if (line->count > 2) {
		const struct text_word rest = command_rest(&line->words[2]);

		text_copy(text, sizeof(text), rest.text, rest.length);
	}

	const size_t length = text_length(text);

	text[length] = '\r';
	if (!vm_console_type(vm, text, (uint32_t)length + 1))
		return command_fail("%s: it has not read what was typed before; try again later", vm->cfg.name);
	return COMMAND_OK;
}

static enum command_status console_poll(bool interrupt, bool *busy)
{
	(void)interrupt; /* Ctrl-C is the guest's */
	(void)busy;
	attach_poll();
	return attach_active() ? COMMAND_PENDING : COMMAND_OK;
}

enum command_status command_vm_console(const struct command_line *line)
{
	if (line->count != 2)
		return command_usage_fail("vm console NAME");

	struct vm *vm = command_vm_named(&line->words[1]);

	if (vm == NULL || !listens(vm))
		return COMMAND_FAILED;
	attach_begin(vm);
	return command_pend(console_poll);
}

static struct {
	struct vm *vm;
	uint64_t at, end; /* bytes of the log */
} logged;

/* A line a round, for the terminal is slow, and guests run on. */
static enum command_status log_poll(bool interrupt, bool *busy)
{
	char text[VM_CONSOLE_LINE_MAX], prefix[CFG_NAME_MAX + sizeof("| ")];
	uint32_t length;

	if (interrupt)
		return command_fail("interrupted");
	if (!vm_console_log_line(logged.vm, &logged.at, logged.end, text, &length))
		return COMMAND_OK;
	text_format(prefix, sizeof(prefix), "%s| ", logged.vm->cfg.name);
	console_text(prefix, text, length);
	*busy = true;
	return COMMAND_PENDING;
}

enum command_status command_vm_log(const struct command_line *line)
{
	if (line->count != 2)
		return command_usage_fail("vm log NAME");
	logged.vm = command_vm_named(&line->words[1]);
	if (logged.vm == NULL)
		return COMMAND_FAILED;
	logged.at = 0;
	logged.end = vm_console_log_end(logged.vm);
	return command_pend(log_poll);
}
