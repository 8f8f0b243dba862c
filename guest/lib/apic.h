/* The local APIC of the CPU that calls, in either mode. */
#ifndef GUEST_LIB_APIC_H
#define GUEST_LIB_APIC_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/apic.h"

/* SDM vol. 3A, "Local APIC Register Address Map", "Interrupt Command Register (ICR)". */
#define APIC_DFR_FLAT         0xffffffffu
#define APIC_ICR_LOGICAL      (1u << 11)
#define APIC_ICR_TO_SELF      (1u << 18)
#define APIC_ICR_TO_ALL       (2u << 18)
#define APIC_ICR_TO_OTHERS    (3u << 18)
#define APIC_BROADCAST_XAPIC  0xffu
#define APIC_BROADCAST_X2APIC 0xffffffffu

/* CPUID has it. */
bool apic_has_x2apic(void);

/* Switches this APIC on, in the mode that is wanted; each CPU does so, all with the same mode. */
void apic_enable(bool x2apic);

uint32_t apic_read(uint32_t offset);
void apic_write(uint32_t offset, uint32_t value);
uint32_t apic_id(void);
void apic_eoi(void);

/* Sends the interrupt that the low half of an ICR describes; in xAPIC mode, returns once it was sent. */
void apic_send(uint32_t icr, uint32_t destination);

#endif
