#include "guest/lib/serial.h"

#include <stdbool.h>

#include "guest/lib/cpu.h"

/* PC16550D data sheet, "Registers". */
#define COM1         0x3f8
#define DATA         (COM1 + 0)
#define IER          (COM1 + 1)
#define DIVISOR_LOW  (COM1 + 0)
#define DIVISOR_HIGH (COM1 + 1)
#define FCR          (COM1 + 2)
#define LCR          (COM1 + 3)
#define MCR          (COM1 + 4)
#define LSR          (COM1 + 5)

#define FCR_ENABLE  0x01
#define LCR_8N1     0x03
#define LCR_DLAB    0x80
#define MCR_DTR_RTS 0x03
#define LSR_DR      0x01
#define LSR_THRE    0x20

static void init(void)
{
	outb(IER, 0);
	outb(LCR, LCR_DLAB);
	outb(DIVISOR_LOW, 1);
	outb(DIVISOR_HIGH, 0);
	outb(LCR, LCR_8N1);
	outb(FCR, FCR_ENABLE);
	outb(MCR, MCR_DTR_RTS);
}

static void init_once(void)
{
	static bool ready;

	if (!ready)
		init();
	ready = true;
}

char serial_get(void)
{
	init_once();
	while (!(inb(LSR) & LSR_DR))
		cpu_pause();
	return (char)inb(DATA);
}

void serial_put(char c)
{
	init_once();
	while (!(inb(LSR) & LSR_THRE))
		cpu_pause();
	outb(DATA, (uint8_t)c);
}
