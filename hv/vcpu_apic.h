/* The local APICs of a VM's vCPUs: hv/policy/lapic.h, made concurrent, and what comes of it: interrupts, NMIs, INIT and
 * SIPI for other vCPUs, their delivery before an entry, timers, and waking who waits. One lock a VM guards all its
 * local APICs, its devices (hv/platform.h), and the change between running and waiting. */
#ifndef HV_VCPU_APIC_H
#define HV_VCPU_APIC_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/exit.h"
#include "hv/vcpu.h"

/* Unlocking tells those vCPUs for which something has come meanwhile. Not under the scheduler's lock. */
void vcpu_apic_lock(struct vm *vm);
void vcpu_apic_unlock(struct vm *vm);

/* ---- under the lock: what devices ask for ---- */

/* An interrupt message that no local APIC sent. */
void vcpu_apic_message(struct vm *vm, const struct lapic_ipi *ipi, bool level);

/* platform_extint() may have become true. */
void vcpu_apic_extint(struct vm *vm);

/* platform_left() may have become less. */
void vcpu_apic_platform_timers(struct vm *vm);

/* ---- these take the lock themselves ---- */

/* The VM is made: the local APIC as after power-up. */
void vcpu_apic_reset(struct vcpu *vcpu);

/* MSRs: IA32_APIC_BASE, IA32_TSC_DEADLINE and the x2APIC range. False is #GP. */
bool vcpu_apic_has_msr(uint32_t msr);
bool vcpu_apic_rdmsr(struct vcpu *vcpu, uint32_t msr, uint64_t *value);
bool vcpu_apic_wrmsr(struct vcpu *vcpu, uint32_t msr, uint64_t value);

/* The page at LAPIC_PAGE_GPA. */
bool vcpu_apic_has_page(struct vcpu *vcpu);
uint32_t vcpu_apic_page_read(struct vcpu *vcpu, uint32_t offset);
void vcpu_apic_page_write(struct vcpu *vcpu, uint32_t offset, uint32_t value);

/* The CPU has taken a write of the guest into the page at this offset, in either mode; what comes of it is ours. */
void vcpu_apic_written(struct vcpu *vcpu, uint32_t offset);

/* The CPU has ended the interrupt with this vector, one whose end others wait for. */
void vcpu_apic_ended(struct vcpu *vcpu, uint8_t vector);

uint32_t vcpu_apic_cr8(struct vcpu *vcpu);
void vcpu_apic_set_cr8(struct vcpu *vcpu, uint32_t cr8);

/* A fixed interrupt from the hypervisor itself, from any pCPU. */
void vcpu_apic_post(struct vcpu *vcpu, uint8_t vector);

/* A guest writes IA32_TSC: the time of all vCPUs of the VM moves, and their timers are told. */
void vcpu_apic_set_tsc(struct vm *vm, uint64_t value);

/* A timer is due: vcpu_apic_deliver() is to see to it. Unlocked. */
void vcpu_apic_timer_due(struct vcpu *vcpu);

/* HLT: the vCPU waits, unless something has come already. */
void vcpu_apic_halt(struct vcpu *vcpu);

/* Before an entry, when vcpu->attention has ATTENTION_EVENT: lets the timers that are due fire, delivers what can be
 * delivered, and asks for an exit when the rest can. EXIT_LEAVE: the vCPU waits. */
enum exit_action vcpu_apic_deliver(struct percpu *cpu, struct vcpu *vcpu);

/* An exception takes the place of an interrupt or NMI that was on its way: that comes after it (trap 34). */
void vcpu_apic_put_back(struct vcpu *vcpu);

/* The exit that was asked for has come: something can be delivered now. */
enum exit_action vcpu_apic_window(struct vcpu *vcpu);

#endif
