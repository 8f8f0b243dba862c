/* The ports of a guest's machine, and what answers at them. */
#ifndef HV_PORTS_H
#define HV_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/vcpu.h"

/* IN: the value that the guest reads; all ones, counted, where nothing answers. size_bytes: 1, 2 or 4. */
uint32_t port_read(struct vcpu *vcpu, uint16_t port, unsigned size_bytes);

/* OUT. The VM may have stopped afterwards. True: data of the host was touched (WHY_HOST). */
bool port_write(struct vcpu *vcpu, uint16_t port, unsigned size_bytes, uint32_t value);

#endif
