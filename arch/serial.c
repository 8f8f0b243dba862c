/* COM1, polled. */
#include "arch/serial.h"

#include "arch/cpu.h"
#include "arch/defs/uart.h"

_Static_assert(SERIAL_FIFO_BYTES == UART_FIFO_BYTES, "a 16550's");

/* Reading LSR clears its overrun bit, whoever reads it. */
static bool overrun_seen;

static uint8_t lsr_read(void)
{
	uint8_t lsr = inb(UART_COM1 + UART_LSR);

	if (lsr & UART_LSR_OE)
		overrun_seen = true;
	return lsr;
}

static bool scratch_keeps(uint8_t value)
{
	outb(UART_COM1 + UART_SCR, value);
	return inb(UART_COM1 + UART_SCR) == value;
}

bool serial_init(void)
{
	if (!scratch_keeps(0x5a) || !scratch_keeps(0xa5))
		return false;
	outb(UART_COM1 + UART_IER, 0);
	outb(UART_COM1 + UART_LCR, UART_LCR_DLAB | UART_LCR_8N1);
	outb(UART_COM1 + UART_DLL, UART_DIVISOR_115200);
	outb(UART_COM1 + UART_DLM, 0);
	outb(UART_COM1 + UART_LCR, UART_LCR_8N1);
	outb(UART_COM1 + UART_FCR, UART_FCR_ENABLE | UART_FCR_CLEAR_RX | UART_FCR_CLEAR_TX);
	outb(UART_COM1 + UART_MCR, UART_MCR_DTR | UART_MCR_RTS);
	return true;
}

unsigned serial_room(void)
{
	return (lsr_read() & UART_LSR_THRE) ? SERIAL_FIFO_BYTES : 0;
}

void serial_write(uint8_t byte)
{
	outb(UART_COM1 + UART_THR, byte);
}

int serial_read(bool *overrun)
{
	uint8_t lsr = lsr_read();

	*overrun = overrun_seen;
	overrun_seen = false;
	return (lsr & UART_LSR_DR) ? inb(UART_COM1 + UART_RBR) : -1;
}
