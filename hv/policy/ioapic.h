/* The I/O APIC: 24 pins, each with a redirection entry that says which message its interrupt becomes. Pure. Nothing
 * here locks: one caller at a time.
 *
 * What is to be sent is pulled: after ioapic_set_pin(), ioapic_write() and ioapic_eoi() call ioapic_take() until it
 * gives false, and deliver each message to the local APICs (lapic_is_target() with LAPIC_NO_SENDER, lapic_accept()). A
 * pin is asserted or not: the polarity bit is kept, but means nothing here. A level-triggered message counts as
 * accepted whether or not a local APIC took it.
 *
 * Sources: Intel 82093AA data sheet, "Register Description"; ICH10 data sheet, "APIC Registers" (EOI
 * register). */
#ifndef HV_POLICY_IOAPIC_H
#define HV_POLICY_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/policy/lapic.h"

#define IOAPIC_PAGE_GPA 0xfec00000ull
#define IOAPIC_PINS     24

struct ioapic {
	uint32_t id;    /* the register: bits 24-27 */
	uint8_t select; /* IOREGSEL */
	uint64_t redirection[IOAPIC_PINS];
	uint32_t asserted; /* bit n: pin n */
	uint32_t edges;    /* edge-triggered pins whose message was not yet taken */
};

struct ioapic_message {
	struct lapic_ipi ipi; /* to a destination; delivery: FIXED LOWEST SMI NMI INIT EXTINT */
	bool level;           /* level-triggered: its EOI is to be broadcast */
	uint8_t pin;
};

/* All pins masked; id is its APIC ID, 0 to 15. */
void ioapic_reset(struct ioapic *io, uint8_t id);

/* 32-bit accesses to the page, offset below 4096. Where there is no register, reads give 0 and writes do nothing. */
uint32_t ioapic_read(const struct ioapic *io, uint32_t offset);
void ioapic_write(struct ioapic *io, uint32_t offset, uint32_t value);

void ioapic_set_pin(struct ioapic *io, unsigned pin, bool asserted);

bool ioapic_pin(const struct ioapic *io, unsigned pin);

/* An edge on this pin, which is one, would not be lost. */
bool ioapic_hears(const struct ioapic *io, unsigned pin);

/* A local APIC broadcasts that the handler of a level-triggered interrupt is through. */
void ioapic_eoi(struct ioapic *io, uint8_t vector);

/* The next message, pins in ascending order. False: none is left. */
bool ioapic_take(struct ioapic *io, struct ioapic_message *message);

#endif
