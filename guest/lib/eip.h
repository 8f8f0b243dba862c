/* Where the program was to go on when an event came. For vectors that push no error code. */
#ifndef GUEST_LIB_EIP_H
#define GUEST_LIB_EIP_H

#include <stdint.h>

#define EIPS_MAX 8 /* older ones are overwritten */

extern volatile uint32_t eip_count, eips[EIPS_MAX];

/* From now on the vector's handler only notes the address; of an interrupt without EOI. The count begins anew. */
void eip_note(uint8_t vector);

#endif
