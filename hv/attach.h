/* The terminal attached to one guest's serial port (`vm console`). While it is, that guest's bytes come as they are and
 * not as `NAME| ` lines; other lines stay whole, and come between. pCPU 0. */
#ifndef HV_ATTACH_H
#define HV_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

struct vm;

/* A VM that runs or is paused gets the terminal; first comes the line that it has not finished. */
void attach_begin(struct vm *vm);

bool attach_active(void);

/* Typed while attached: goes to the guest, or, Ctrl-], ends it. */
void attach_take(uint8_t byte);

/* Ends it if the VM has come to an end; a VM that resets itself keeps the terminal. */
void attach_poll(void);

#endif
