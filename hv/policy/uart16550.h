/* A 16550A UART. Pure. Nothing here locks: one caller at a time.
 *
 * No time passes in it: a byte is sent the moment it is written, and received bytes below the trigger level cause the
 * character timeout interrupt at once, not after four character times. The baud rate and the word length mean nothing.
 * The interrupt does not depend on OUT2, which on a PC's card opens the way to the bus: programs that never set it run
 * on other emulators. The other side of the line is always ready: CTS, DSR and DCD are set, outside loopback.
 *
 * Source: National Semiconductor PC16550D data sheet, "Registers", "FIFO Interrupt Mode Operation". */
#ifndef HV_POLICY_UART16550_H
#define HV_POLICY_UART16550_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/uart.h"

struct uart16550 {
	uint8_t ier, lcr, mcr, scratch, dll, dlm;
	uint8_t fcr;   /* FIFO enable and trigger level */
	uint8_t error; /* LSR: overrun, until it is read */
	uint8_t delta; /* MSR: the four bits that say what changed */
	bool thre;     /* the interrupt: the transmitter has become empty, and nobody was told */
	uint8_t fifo_first, fifo_count;
	uint8_t fifo[UART_FIFO_BYTES]; /* received; one place of it without FIFO */
};

/* What a write asks of others. */
struct uart16550_effect {
	bool sent; /* byte goes out on the line */
	uint8_t byte;
	/* The interrupt line fell and rose again meanwhile: lower it before you set it to uart16550_line(), so that an
	 * edge is seen. */
	bool line_fell;
};

/* As firmware leaves it: 115200 8N1, no FIFO, no interrupts. */
void uart16550_reset(struct uart16550 *u);

/* Byte accesses; reg is the port less the base, 0 to 7. A read, too, may change uart16550_line(). */
uint8_t uart16550_read(struct uart16550 *u, unsigned reg);
struct uart16550_effect uart16550_write(struct uart16550 *u, unsigned reg, uint8_t value);

/* A byte arrives from the line. False: there is no room (or the guest has turned the UART to loopback); keep the byte
 * and try again after a read of register 0 or a write. */
bool uart16550_receive(struct uart16550 *u, uint8_t byte);

/* The interrupt output. */
bool uart16550_line(const struct uart16550 *u);

#endif
