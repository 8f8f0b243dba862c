#include "hv/console.h"

#include <stdatomic.h>
#include <stdint.h>

#include "arch/cpu.h"
#include "arch/serial.h"
#include "arch/tsc.h"
#include "hv/lock.h"
#include "hv/policy/text.h"

#define OUTPUT_BYTES    32768u /* a power of two */
#define TAIL_BYTES      2048
#define FORMATTED_BYTES 512
#define LAST_BYTE_US    10000 /* until the UART, or an emulator's, has passed on what it took */

#define ERASE_LINE      "\r\x1b[K" /* to the line's start, and erase from there (ECMA-48, "EL") */
#define ERASE_CHARACTER "\b \b"
#define BELL            '\a'
#define DELETE          0x7f

enum device { DEVICE_UNKNOWN, DEVICE_SERIAL, DEVICE_NONE };

/* Any pCPU prints; pCPU 0 sends and receives. */
static struct lock lock;
static _Atomic bool seized; /* a panic owns it all */
static enum device device;
static char output[OUTPUT_BYTES];
static uint32_t output_head, output_tail; /* bytes ever put in and taken out */
static char tail[TAIL_BYTES];
static uint32_t tail_length; /* what is more than TAIL_BYTES is not kept */

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

/* The unfinished line makes way; one that is too long to be shown again is broken. */
static void line_begin(void)
{
	if (tail_length > TAIL_BYTES) {
		put_string("\r\n");
		tail_length = 0;
	} else if (tail_length != 0) {
		put_string(ERASE_LINE);
	}
}

static void line_end(void)
{
	put_string("\r\n");
	put_bytes(tail, tail_length);
}

static void tail_add(char character)
{
	put(character);
	if (character == '\n') {
		tail_length = 0;
		return;
	}
	if (tail_length < TAIL_BYTES)
		tail[tail_length] = character;
	if (tail_length <= TAIL_BYTES)
		tail_length++;
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
	tail_length = 0;
}

/* ---- the unfinished line ---- */

void console_tail(const char *bytes, uint32_t length)
{
	acquire();
	for (uint32_t i = 0; i < length; i++)
		tail_add(bytes[i]);
	release();
}

void console_tail_shorten(void)
{
	acquire();
	if (tail_length != 0) {
		put_string(ERASE_CHARACTER);
		if (tail_length <= TAIL_BYTES)
			tail_length--;
	}
	release();
}

void console_tail_wipe(void)
{
	acquire();
	line_begin();
	tail_length = 0;
	release();
}

void console_tail_end(void)
{
	acquire();
	if (tail_length != 0)
		put_string("\r\n");
	tail_length = 0;
	release();
}

void console_bell(void)
{
	acquire();
	put(BELL);
	release();
}

/* ---- pCPU 0 ---- */

bool console_send(void)
{
	bool any;

	if (device != DEVICE_SERIAL)
		return false;
	acquire();
	any = send();
	release();
	return any;
}

/* Under the lock, for other pCPUs may be sending, and the overrun flag is in the register that they look at. */
int console_read(bool *overrun)
{
	int byte;

	*overrun = false;
	if (device != DEVICE_SERIAL)
		return -1;
	acquire();
	byte = serial_read(overrun);
	release();
	return byte;
}
