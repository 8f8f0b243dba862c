/* Does what is typed reach the guest, whole and in order? A prompt, the characters as they come, and each line again
 * with its length; a line `exit` ends the VM. */
#include <stdbool.h>

#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/print.h"
#include "guest/lib/serial.h"

#define LINE_MAX 512

static char line[LINE_MAX + 1];

/* What is beyond LINE_MAX is counted, but not kept. */
static unsigned read_line(void)
{
	unsigned length = 0;

	for (;;) {
		const char c = serial_get();

		if (c == '\r' || c == '\n')
			break;
		serial_put(c);
		if (length < LINE_MAX)
			line[length] = c;
		length++;
	}
	line[length < LINE_MAX ? length : LINE_MAX] = '\0';
	print("\r\n");
	return length;
}

static bool is_exit(void)
{
	return line[0] == 'e' && line[1] == 'x' && line[2] == 'i' && line[3] == 't' && line[4] == '\0';
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	(void)info;
	print("echo: ready\r\n");
	do {
		print("echo> ");
		print("echo: bytes=%u text=\"%s\"\r\n", read_line(), line);
	} while (!is_exit());
	guest_exit(0);
}
