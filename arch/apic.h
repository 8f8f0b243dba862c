/* The local APIC as far as the hypervisor itself needs it; and the 8259s, which it does not. */
#ifndef ARCH_APIC_H
#define ARCH_APIC_H

#include <stdbool.h>
#include <stdint.h>

/* On each pCPU: x2APIC mode where the CPU has it, else xAPIC; masks the LVTs and software-enables the local APIC. */
void apic_init(void);

/* This pCPU's APIC id. */
uint32_t apic_id(void);

/* Sends an IPI to another pCPU; command: the low half of the ICR. */
void apic_send(uint32_t apic_id, uint32_t command);
void apic_send_nmi(uint32_t apic_id);

/* Ends the interrupt that was acknowledged last. */
void apic_eoi(void);

/* The timer of this pCPU's local APIC, which ends the sleep of a pCPU that has interrupts on (PLAN_IDLE). Once, on the
 * BSP, after tsc_calibrate(): how fast it counts. */
void apic_timer_init(void);

/* One interrupt at tsc, or soon if that has passed; far away it may come early. */
void apic_timer_arm(uint64_t tsc);

/* Takes it back. True: it came, or another interrupt did. No interrupt of it is pending afterwards. */
bool apic_timer_disarm(void);

/* Masks both 8259s and leaves them so. */
void pic_mask_all(void);

#endif
