/* The ports of a guest's PC: which device answers where, and what an access does. Pure; for the rest of the contract
 * see hv/policy/pc.h.
 *
 * An access of 2 or 4 bytes to a device with registers of a byte is as many accesses of a byte; what lies beyond the
 * device reads all ones. */
#ifndef HV_POLICY_PC_PORTS_H
#define HV_POLICY_PC_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/policy/pc.h"

enum pc_device {
	PC_NOTHING, /* nothing answers: reads give all ones, writes go nowhere */
	PC_PIC,
	PC_PIT,
	PC_KEYBOARD, /* only the reset line that hangs on its controller, and that the controller is not busy */
	PC_RTC,
	PC_DEBUG_EXIT,
	PC_UART,
	PC_FW_CFG,
	PC_ACPI,
	PC_PCI, /* the configuration ports of a bus without devices */
	PC_SHUTDOWN,
};

/* What a write asks of others. */
enum pc_end {
	PC_GOES_ON,
	PC_EXIT,      /* by PC_DEBUG_EXIT, with the value written */
	PC_SHUT_DOWN, /* by PC_SHUTDOWN */
	PC_POWER_OFF, /* by ACPI */
	PC_RESET,
};

struct pc_effect {
	enum pc_end end;
	bool sent; /* byte goes out of the serial port */
	uint8_t byte;
};

enum pc_device pc_ports_find(uint16_t port);

/* An access of size_bytes (1, 2 or 4) to a port of this device. */
uint32_t pc_ports_read(struct pc *pc, enum pc_device device, uint16_t port, unsigned size_bytes, uint64_t now_tsc);
struct pc_effect pc_ports_write(struct pc *pc, enum pc_device device, uint16_t port, unsigned size_bytes,
				uint32_t value, uint64_t now_tsc);

static inline bool pc_ports_answers_reads(enum pc_device device)
{
	return device != PC_NOTHING && device != PC_DEBUG_EXIT && device != PC_SHUTDOWN;
}

/* The access may have changed what interrupts there are, or when the next ones come. */
static inline bool pc_ports_interrupts(enum pc_device device)
{
	return device == PC_PIC || device == PC_PIT || device == PC_RTC || device == PC_UART;
}

#endif
