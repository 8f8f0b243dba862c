/* COM1, 115200 8N1, polled. */
#ifndef ARCH_SERIAL_H
#define ARCH_SERIAL_H

#include <stdbool.h>
#include <stdint.h>

#define SERIAL_FIFO_BYTES 16

/* Sets line and FIFOs up. False: no UART answers at the port. */
bool serial_init(void);

/* How many bytes may be written now without waiting: SERIAL_FIFO_BYTES or 0. */
unsigned serial_room(void);

/* Writes one byte; call serial_room() first. */
void serial_write(uint8_t byte);

/* Takes a received byte, -1 if there is none. *overrun is set if one was lost. */
int serial_read(bool *overrun);

#endif
