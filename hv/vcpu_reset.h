/* The state of a vCPU when its VM starts, and the VMCS that holds it. */
#ifndef HV_VCPU_RESET_H
#define HV_VCPU_RESET_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/percpu.h"
#include "hv/vcpu.h"

/* How the first vCPU starts: flat segments in ring 0, interrupts off, in protected mode without paging or in 64-bit
 * mode. Registers without a name here are zero, but for EDX (the CPU's version). That covers what the Multiboot
 * Specification 0.6.96 ("Machine state") and the Linux/x86 boot protocol (32-bit and 64-bit) ask for. */
struct vcpu_entry {
	bool is_64bit;
	uint64_t rip, rax, rbx, rsi;
	uint64_t cr3;    /* is_64bit: maps all of this where it is */
	uint16_t cs, ds; /* selectors; DS stands for SS, ES, FS and GS too */
	uint64_t gdt_gpa;
	uint16_t gdt_limit;
};

/* Makes the VMCS from nothing. vCPU 0 starts as *entry says; the others are as after INIT: they wait for SIPI. The vCPU
 * is loaded nowhere, its VM is complete otherwise. */
void vcpu_reset(struct percpu *cpu, struct vcpu *vcpu, const struct vcpu_entry *entry);

/* INIT, for the vCPU loaded here: registers as after INIT (SDM vol. 3A, "Processor State After Reset"); it waits. */
void vcpu_reset_init(struct percpu *cpu, struct vcpu *vcpu);

/* SIPI: real mode at the page that the vector names. */
void vcpu_reset_start_up(uint8_t vector);

#endif
