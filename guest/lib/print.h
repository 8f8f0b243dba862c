/* Text on the serial port. */
#ifndef GUEST_LIB_PRINT_H
#define GUEST_LIB_PRINT_H

/* Conversions: %s %c %u %x %llx. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
