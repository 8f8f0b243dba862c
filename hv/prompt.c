#include "hv/prompt.h"

#include <stdint.h>

#include "arch/cpu.h"
#include "arch/serial.h"
#include "arch/tsc.h"
#include "hv/attach.h"
#include "hv/commands.h"
#include "hv/console.h"
#include "hv/policy/line_editor.h"
#include "hv/policy/line_history.h"
#include "hv/policy/text.h"
#include "hv/vm.h"

#define INPUT_COUNT       1024u /* a power of two */
#define RECEIVE_AT_ONCE   (2 * SERIAL_FIFO_BYTES)
#define LINE_CHECKS_A_SEC 16 /* how often unfinished lines of guests are looked at */

#define PROMPT "sluice> "
#define CTRL_C 0x03

_Static_assert(COMMAND_LINE_MAX == LINE_EDITOR_MAX, "the editor holds the limit");

#define INPUT_LOST 0x100 /* in place of a byte: here some are missing */
static uint16_t input[INPUT_COUNT];
static uint32_t input_head, input_tail;
static struct line_editor editor;
static struct line_history history;
static bool command_pending;
static bool interrupted; /* Ctrl-C was typed while a command was pending */
static uint64_t lines_checked_tsc;

void prompt_start(void)
{
	console_tail(PROMPT, sizeof(PROMPT) - 1);
}

/* ---- running commands ---- */

static void command_answered(enum command_status status)
{
	command_pending = status == COMMAND_PENDING;
	if (command_pending)
		return;
	if (status == COMMAND_OK) {
		console_line("ok");
		commands_finish();
	} else {
		console_line("error: %s", command_error());
	}
	prompt_start();
}

static bool is_blank(const char *line)
{
	struct text_word word;

	return !text_next_word(&line, &word);
}

static void run(const char *line)
{
	if (is_blank(line)) {
		prompt_start();
		return;
	}
	interrupted = false;
	command_pending = true; /* Ctrl-C is for it */
	command_answered(commands_run(line));
}

static void refuse(const char *reason)
{
	console_line("error: %s", reason);
	prompt_start();
}

/* ---- editing ---- */

static void recall(const char *line)
{
	line_editor_replace(&editor, line);
	console_tail_wipe();
	prompt_start();
	console_tail(editor.text, line_editor_kept(&editor));
}

static void echo(enum line_event event, char character)
{
	switch (event) {
	case LINE_UNCHANGED:
		break;
	case LINE_TYPED:
		console_tail(&character, 1);
		break;
	case LINE_ERASED:
		console_tail_shorten();
		break;
	case LINE_EMPTIED:
		console_tail_wipe();
		prompt_start();
		break;
	case LINE_CANCELLED:
		console_tail("^C\r\n", 4);
		prompt_start();
		break;
	case LINE_OLDER:
		recall(line_history_older(&history));
		break;
	case LINE_NEWER:
		recall(line_history_newer(&history));
		break;
	case LINE_DONE:
	case LINE_TOO_LONG:
	case LINE_LOST:
		console_tail_end();
		break;
	}
}

/* True: that was the end of a line, and what it asked for has been begun. */
static bool edit(uint16_t item)
{
	enum line_event event = LINE_UNCHANGED;

	if (item == INPUT_LOST)
		line_editor_lost(&editor);
	else
		event = line_editor_put(&editor, (uint8_t)item);
	echo(event, (char)item);

	if (event == LINE_DONE) {
		line_history_add(&history, editor.text);
		run(editor.text);
	} else if (event == LINE_TOO_LONG) {
		refuse("line longer than 256 characters");
	} else if (event == LINE_LOST) {
		refuse("characters were lost on the serial line; type it again");
	}
	return event == LINE_DONE || event == LINE_TOO_LONG || event == LINE_LOST;
}

/* ---- input ---- */

/* When there is one place left, it says that what follows is lost. */
static void input_put(uint16_t item)
{
	const uint32_t used = input_head - input_tail;

	if (used == INPUT_COUNT)
		return;
	input[input_head++ % INPUT_COUNT] = used == INPUT_COUNT - 1 ? INPUT_LOST : item;
}

/* Ctrl-C goes to the command that is pending, and takes what was typed ahead with it; but a guest that has the terminal
 * gets it like any other character. */
static void receive_byte(uint8_t byte)
{
	if (command_pending && !attach_active() && byte == CTRL_C) {
		interrupted = true;
		input_tail = input_head;
		return;
	}
	input_put(byte);
}

static bool receive(void)
{
	static bool overran; /* what the FIFO held then is not all read yet */
	int byte = 0;
	bool any = false;

	for (int i = 0; i < RECEIVE_AT_ONCE && byte >= 0; i++) {
		bool overrun;

		byte = console_read(&overrun);
		/* The bytes are missing somewhere behind those that the FIFO holds: every line from here to its end is
		 * suspect. */
		if (overrun)
			input_put(INPUT_LOST);
		overran |= overrun;
		if (byte >= 0)
			receive_byte((uint8_t)byte);
		if (overran && byte == '\r')
			input_put(INPUT_LOST);
		if (overran && byte < 0) {
			input_put(INPUT_LOST);
			overran = false;
		}
		any |= byte >= 0;
	}
	return any;
}

void prompt_receive(void)
{
	receive();
}

bool prompt_interrupted(void)
{
	receive();
	return interrupted;
}

/* ---- often ---- */

static bool show_unfinished_lines(void)
{
	bool shown = false;
	const uint64_t now = rdtsc();

	if (now - lines_checked_tsc < tsc_hz() / LINE_CHECKS_A_SEC)
		return false;
	lines_checked_tsc = now;
	for (uint32_t i = 0; i < vm_count; i++)
		shown |= vm_console_flush(&vms[i], false);
	return shown;
}

static bool go_on_with_command(void)
{
	bool busy = false;

	command_answered(commands_poll(interrupted, &busy));
	return busy || !command_pending;
}

/* At most one line: between two of them bytes are received. */
static bool take_typed(void)
{
	bool any = false;

	for (bool ended = false; !ended && input_tail != input_head; any = true)
		ended = edit(input[input_tail++ % INPUT_COUNT]);
	return any;
}

/* What is behind the character that returns to the prompt stays for the prompt. */
static bool take_typed_for_guest(void)
{
	bool any = false;

	for (; attach_active() && input_tail != input_head; any = true) {
		const uint16_t item = input[input_tail++ % INPUT_COUNT];

		if (item == INPUT_LOST)
			console_bell();
		else
			attach_take((uint8_t)item);
	}
	return any;
}

bool prompt_poll(void)
{
	bool busy = receive();

	busy |= show_unfinished_lines();
	if (attach_active())
		busy |= take_typed_for_guest();
	busy |= command_pending ? go_on_with_command() : take_typed();
	busy |= vm_console_pump();
	return console_send() || busy;
}
