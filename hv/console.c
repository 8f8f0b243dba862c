#include "hv/console.h"

#include <stdatomic.h>
#include <stdint.h>

#include "arch/cpu.h"
#include "arch/serial.h"
#include "arch/tsc.h"
#include "hv/commands.h"
#include "hv/lock.h"
#include "hv/policy/line_editor.h"
#include "hv/policy/text.h"
#include "hv/vm.h"

#define OUTPUT_BYTES      32768u /* a power of two */
#define INPUT_COUNT       1024u  /* a power of two */
#define FORMATTED_BYTES   512
#define RECEIVE_AT_ONCE   (2 * SERIAL_FIFO_BYTES)
#define LAST_BYTE_US      10000 /* until the UART, or an emulator's, has passed on what it took */
#define LINE_CHECKS_A_SEC 16    /* how often unfinished lines of guests are looked at */

#define PROMPT     "sluice> "
#define ERASE_LINE "\r\x1b[K" /* to the line's start, and erase from there (ECMA-48, "EL") */
#define CTRL_C     0x03
#define DELETE     0x7f

_Static_assert(CONSOLE_LINE_MAX == LINE_EDITOR_MAX, "the editor holds the limit");

enum device { DEVICE_UNKNOWN, DEVICE_SERIAL, DEVICE_NONE };

/* What is shared: any pCPU prints, pCPU 0 sends and edits. */
static struct lock lock;
static _Atomic bool seized; /* a panic owns it all */
static enum device device;
static char output[OUTPUT_BYTES];
static uint32_t output_head, output_tail; /* bytes ever put in and taken out */
static bool prompt_shown;                 /* prompt and partial input stand at the end of the output */
static struct line_editor editor;

/* What belongs to pCPU 0 alone. */
#define INPUT_LOST 0x100 /* in place of a byte: here some are missing */
static uint16_t input[INPUT_COUNT];
static uint32_t input_head, input_tail;
static bool command_pending;
static bool interrupted; /* Ctrl-C was typed while a command was pending */
static uint64_t lines_checked_tsc;

static void acquire(void)
{
	if (!atomic_load_explicit(&seized, memory_order_relaxed))
		lock_acquire(&lock);
}

/* A lock that the panicking pCPU held stays taken: who waits for it prints no more. */
static void release(void)
{
	if (!atomic_load_explicit(&seized, memory_order_relaxed))
		lock_release(&lock);
}

/* ---- output; the caller holds the lock ---- */

/* Sends what the UART takes without waiting. True: something was sent. */
static bool send(void)
{
	if (output_tail == output_head)
		return false;

	unsigned room = serial_room();

	if (room == 0)
		return false;
	for (; room > 0 && output_tail != output_head; room--)
		serial_write((uint8_t)output[output_tail++ % OUTPUT_BYTES]);
	return true;
}

static void make_room(void)
{
	if (device == DEVICE_SERIAL)
		while (!send())
			cpu_pause();
	else
		output_tail++;
}

static void put(char character)
{
	if (device == DEVICE_NONE)
		return;
	if (output_head - output_tail == OUTPUT_BYTES)
		make_room();
	output[output_head++ % OUTPUT_BYTES] = character;
}

static void put_bytes(const char *text, uint32_t length)
{
	for (uint32_t i = 0; i < length; i++)
		put(text[i]);
}

static void put_string(const char *text)
{
	while (*text != '\0')
		put(*text++);
}

static void put_prompt(void)
{
	put_string(PROMPT);
	put_bytes(editor.text, line_editor_kept(&editor));
	prompt_shown = true;
}

static void line_begin(void)
{
	if (prompt_shown)
		put_string(ERASE_LINE);
}

static void line_end(void)
{
	put_string("\r\n");
	if (prompt_shown)
		put_prompt();
}

/* Caret notation, so that a guest can neither move the cursor nor forge lines. */
static void put_visible(char character)
{
	const uint8_t byte = (uint8_t)character;

	if ((byte >= ' ' && byte != DELETE) || byte == '\t') {
		put(character);
	} else {
		put('^');
		put((char)(byte ^ 0x40));
	}
}

static void send_all(void)
{
	if (device != DEVICE_SERIAL)
		return;
	while (output_tail != output_head)
		if (!send())
			cpu_pause();
	while (serial_room() == 0)
		cpu_pause();
}

/* ---- for everybody ---- */

void console_init(void)
{
	acquire();
	device = serial_init() ? DEVICE_SERIAL : DEVICE_NONE;
	if (device == DEVICE_NONE)
		output_tail = output_head;
	release();
}

void console_line_va(const char *format, va_list args)
{
	char text[FORMATTED_BYTES];
	const size_t length = text_format_va(text, sizeof(text), format, args);

	acquire();
	line_begin();
	put_bytes(text, (uint32_t)length);
	line_end();
	release();
}

void console_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	console_line_va(format, args);
	va_end(args);
}

void console_text(const char *prefix, const char *text, unsigned length)
{
	acquire();
	line_begin();
	put_string(prefix);
	for (unsigned i = 0; i < length; i++)
		put_visible(text[i]);
	line_end();
	release();
}

void console_flush(void)
{
	acquire();
	send_all();
	release();
	if (device == DEVICE_SERIAL)
		tsc_delay_us(LAST_BYTE_US);
}

void console_seize(void)
{
	atomic_store_explicit(&seized, true, memory_order_relaxed);
	if (device == DEVICE_UNKNOWN)
		console_init();
	line_begin();
	prompt_shown = false;
}

void console_start(void)
{
	acquire();
	put_prompt();
	release();
}

/* ---- running commands; pCPU 0 ---- */

static void prompt_again(void)
{
	acquire();
	put_prompt();
	release();
}

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
	prompt_again();
}

static bool is_blank(const char *line)
{
	struct text_word word;

	return !text_next_word(&line, &word);
}

static void run(const char *line)
{
	if (is_blank(line)) {
		prompt_again();
		return;
	}
	interrupted = false;
	command_pending = true; /* Ctrl-C is for it */
	command_answered(commands_run(line));
}

static void refuse(const char *reason)
{
	console_line("error: %s", reason);
	prompt_again();
}

/* ---- input; pCPU 0 ---- */

static void put_echo(enum line_event event, char character)
{
	switch (event) {
	case LINE_UNCHANGED:
		break;
	case LINE_TYPED:
		put(character);
		break;
	case LINE_ERASED:
		put_string(LINE_ERASE_ECHO);
		break;
	case LINE_EMPTIED:
		put_string(ERASE_LINE);
		put_prompt();
		break;
	case LINE_CANCELLED:
		put_string("^C\r\n");
		put_prompt();
		break;
	case LINE_DONE:
	case LINE_TOO_LONG:
	case LINE_LOST:
		put_string("\r\n");
		prompt_shown = false;
		break;
	}
}

/* True: that was the end of a line, and what it asked for has been begun. */
static bool take_input(uint16_t item)
{
	enum line_event event = LINE_UNCHANGED;

	acquire();
	if (item == INPUT_LOST)
		line_editor_lost(&editor);
	else
		event = line_editor_put(&editor, (uint8_t)item);
	put_echo(event, (char)item);
	release();

	if (event == LINE_DONE)
		run(editor.text);
	else if (event == LINE_TOO_LONG)
		refuse("line longer than 256 characters");
	else if (event == LINE_LOST)
		refuse("characters were lost on the serial line; type it again");
	return event == LINE_DONE || event == LINE_TOO_LONG || event == LINE_LOST;
}

/* When there is one place left, it says that what follows is lost. */
static void input_put(uint16_t item)
{
	const uint32_t used = input_head - input_tail;

	if (used == INPUT_COUNT)
		return;
	input[input_head++ % INPUT_COUNT] = used == INPUT_COUNT - 1 ? INPUT_LOST : item;
}

/* Ctrl-C goes to the command that is pending, and takes what was typed ahead with it. */
static void receive_byte(uint8_t byte)
{
	if (command_pending && byte == CTRL_C) {
		interrupted = true;
		input_tail = input_head;
		return;
	}
	input_put(byte);
}

/* Under the lock, for other pCPUs may be sending, and the overrun flag is in the register that they look at. */
static bool receive(void)
{
	static bool overran; /* what the FIFO held then is not all read yet */
	int byte = 0;
	bool any = false;

	if (device != DEVICE_SERIAL)
		return false;
	acquire();
	for (int i = 0; i < RECEIVE_AT_ONCE && byte >= 0; i++) {
		bool overrun;

		byte = serial_read(&overrun);
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
	release();
	return any;
}

bool console_interrupted(void)
{
	receive();
	return interrupted;
}

/* ---- pCPU 0, often ---- */

static bool send_some(void)
{
	bool any;

	if (device != DEVICE_SERIAL)
		return false;
	acquire();
	any = send();
	release();
	return any;
}

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

static bool pump_typed(void)
{
	bool any = false;

	for (uint32_t i = 0; i < vm_count; i++)
		any |= vm_console_pump(&vms[i]);
	return any;
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
		ended = take_input(input[input_tail++ % INPUT_COUNT]);
	return any;
}

bool console_poll(void)
{
	bool busy = receive();

	busy |= show_unfinished_lines();
	busy |= pump_typed();
	busy |= command_pending ? go_on_with_command() : take_typed();
	return send_some() || busy;
}

bool console_wants_poll(void)
{
	return command_pending || input_tail != input_head || (device == DEVICE_SERIAL && output_tail != output_head);
}
