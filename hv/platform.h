/* The devices of a VM's PC (hv/policy/pc.h), made concurrent and joined to its vCPUs. All of them are guarded by the
 * VM's apic_lock (hv/vcpu_apic.h); times are the VM's (vm_tsc()). */
#ifndef HV_PLATFORM_H
#define HV_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/policy/pc.h"
#include "hv/policy/pc_ports.h"

struct vm;

struct platform {
	struct pc pc;
};

/* The VM is made, its vCPUs are reset: all devices as firmware leaves them, also the local APIC of vCPU 0, through
 * which the 8259s' interrupts come ("virtual wire"). */
void platform_reset(struct vm *vm);

/* ---- under the lock ---- */

#define PLATFORM_NEVER PC_NEVER

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

/* ---- these take the lock themselves ---- */

/* A byte arrives at the serial port. False: no room now; keep it and try again. Console only. */
bool platform_receive(struct vm *vm, uint8_t byte);

/* An access to a port of this device, as hv/policy/pc_ports.h has it. */
uint32_t platform_port_read(struct vm *vm, enum pc_device device, uint16_t port, unsigned size_bytes);
struct pc_effect platform_port_write(struct vm *vm, enum pc_device device, uint16_t port, unsigned size_bytes,
				     uint32_t value);

/* An access to the I/O APIC's page. */
uint32_t platform_ioapic_read(struct vm *vm, uint32_t offset);
void platform_ioapic_write(struct vm *vm, uint32_t offset, unsigned size_bytes, uint32_t value);

#endif
