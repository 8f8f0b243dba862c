/* The devices of a VM's PC, and the lines between them: 8259 pair, 8254, I/O APIC, clock, serial port, fw_cfg, ACPI
 * registers. The models are in hv/policy; here they become one machine. All of it is guarded by the VM's apic_lock
 * (hv/vcpu_apic.h); times are the VM's (vm_tsc()). */
#ifndef HV_PLATFORM_H
#define HV_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/policy/acpi_pm.h"
#include "hv/policy/fw_cfg.h"
#include "hv/policy/ioapic.h"
#include "hv/policy/pic8259.h"
#include "hv/policy/pit8254.h"
#include "hv/policy/rtc.h"
#include "hv/policy/uart16550.h"

struct vm;

struct platform {
	struct pic8259 pic;
	struct pit8254 pit;
	struct ioapic ioapic;
	struct rtc rtc;
	struct uart16550 uart;
	struct fw_cfg fw_cfg;
	struct acpi_pm acpi_pm;
};

/* The VM is made: all devices as firmware leaves them, the ACPI tables in its memory. */
void platform_reset(struct vm *vm);

/* ---- under the lock ---- */

#define PLATFORM_NEVER UINT64_MAX

/* TSC ticks until platform_fire() has something to do; 0: it has; PLATFORM_NEVER: not before another access. */
uint64_t platform_left(const struct vm *vm, uint64_t now_tsc);

/* Raises the interrupts of the devices whose time has come. */
void platform_fire(struct vm *vm, uint64_t now_tsc);

/* The 8259s want an interrupt, and what the CPU is to take then. */
bool platform_extint(const struct vm *vm);
uint8_t platform_extint_take(struct vm *vm);

/* The handler of a level-triggered interrupt is through. */
void platform_eoi(struct vm *vm, uint8_t vector);

/* The VM's TSC was set, by so much ahead (modulo 2^64). */
void platform_tsc_moved(struct vm *vm, uint64_t delta_tsc);

/* ---- takes the lock itself ---- */

/* A byte arrives at the serial port. False: no room now; keep it and try again. Console only. */
bool platform_receive(struct vm *vm, uint8_t byte);

#endif
