/* COM1, polled: 115200 8N1. */
#ifndef GUEST_LIB_SERIAL_H
#define GUEST_LIB_SERIAL_H

void serial_put(char c);

/* Waits for a character. */
char serial_get(void);

#endif
