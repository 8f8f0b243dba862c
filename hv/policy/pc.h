/* A guest's PC: its devices, and the lines between them. Pure: time comes in as the guest's TSC. Nothing here locks:
 * one caller at a time. hv/policy/pc_ports.h has the port side of it.
 *
 * Each ISA interrupt goes to both the 8259 pair and the I/O APIC, number to pin, but 0, which arrives at pin
 * ACPI_IRQ0_GSI. After any function that changes something, ask pc_take_message() until it gives false, then
 * pc_extint() and pc_left() anew. */
#ifndef HV_POLICY_PC_H
#define HV_POLICY_PC_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/policy/acpi_pm.h"
#include "hv/policy/fw_cfg.h"
#include "hv/policy/ioapic.h"
#include "hv/policy/pic8259.h"
#include "hv/policy/pit8254.h"
#include "hv/policy/rtc.h"
#include "hv/policy/uart16550.h"

struct pc {
	struct pic8259 pic;
	struct pit8254 pit;
	struct ioapic ioapic;
	struct rtc rtc;
	struct uart16550 uart;
	struct fw_cfg fw_cfg;
	struct acpi_pm acpi_pm;
	uint32_t pci_address;     /* what CONFIG_ADDRESS reads */
	uint8_t shutdown_letters; /* of port 0x8900 seen so far */
	uint64_t tsc_hz;
	uint64_t moved_tsc; /* how far ahead the TSC was set */
};

struct pc_start {
	uint64_t unix_seconds;
	uint64_t low_bytes, high_bytes; /* RAM from 0, and from 4 GiB up */
	uint16_t cpu_count;
	uint64_t tsc_hz; /* see tsc_scale.h */
};

/* Power-up, as firmware leaves it. */
void pc_reset(struct pc *pc, const struct pc_start *start, uint64_t now_tsc);

#define PC_NEVER UINT64_MAX

/* TSC ticks until pc_fire() has something to do; 0: it has; PC_NEVER: not before another access. What nobody would hear
 * of, because it is masked or requested already, does not count. */
uint64_t pc_left(const struct pc *pc, uint64_t now_tsc);

/* Lets all that happens up to now happen. */
void pc_fire(struct pc *pc, uint64_t now_tsc);

/* The CPU takes the 8259s' interrupt: its vector. */
uint8_t pc_acknowledge(struct pc *pc, uint64_t now_tsc);

/* The TSC that is given as now_tsc was set, by so much ahead (modulo 2^64). */
void pc_tsc_moved(struct pc *pc, uint64_t delta_tsc);

/* The serial port's interrupt line is anew what the UART says; fell: it was low meanwhile. */
void pc_uart_line(struct pc *pc, bool fell);

/* Accesses of 1, 2, 4 or 8 bytes to the I/O APIC's page, offset below 4096. Its registers have 32 bits: a read gives
 * the bytes from offset to the register's end, and zeros; a write of another size does nothing but to the first of
 * them, where the lowest byte is what counts. */
uint32_t pc_ioapic_read(const struct pc *pc, uint32_t offset);
void pc_ioapic_write(struct pc *pc, uint32_t offset, unsigned size_bytes, uint32_t value, uint64_t now_tsc);

/* The I/O APIC's next message. */
static inline bool pc_take_message(struct pc *pc, struct ioapic_message *message)
{
	return ioapic_take(&pc->ioapic, message);
}

/* The 8259s ask for an interrupt. */
static inline bool pc_extint(const struct pc *pc)
{
	return pic8259_output(&pc->pic);
}

#endif
