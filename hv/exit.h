/* VM exits: one handler for each reason that a guest can cause. A handler may touch the vCPU, its VM, and nothing else;
 * what it reads or writes of guest memory, or of the host's own data, it notes with exit_note_host(), for the L1D is
 * then flushed before the next entry. */
#ifndef HV_EXIT_H
#define HV_EXIT_H

#include <stdbool.h>

#include "hv/percpu.h"
#include "hv/vcpu.h"

enum exit_action {
	EXIT_RESUME, /* enter again */
	EXIT_LEAVE,  /* back to the scheduler: the vCPU waits, or its VM no longer runs, or the pCPU is wanted */
};

/* The next entry on this pCPU has WHY_HOST. */
void exit_note_host(struct percpu *cpu);

/* "cpuid"; "reasonN" for one without a name is written into buffer. */
const char *exit_reason_name(unsigned reason, char *buffer, unsigned size);

/* All bits of an access of 1, 2, 4 or 8 bytes: what is read where nothing answers. */
static inline uint64_t exit_all_ones(unsigned size_bytes)
{
	return UINT64_MAX >> (64 - 8 * size_bytes);
}

/* The handlers, each in its own file. */
enum exit_action exit_cpuid(struct vcpu *vcpu);
enum exit_action exit_rdmsr(struct percpu *cpu, struct vcpu *vcpu);
enum exit_action exit_wrmsr(struct percpu *cpu, struct vcpu *vcpu);
enum exit_action exit_cr_access(struct percpu *cpu, struct vcpu *vcpu);
enum exit_action exit_task_switch(struct percpu *cpu, struct vcpu *vcpu);
enum exit_action exit_xsetbv(struct vcpu *vcpu);
enum exit_action exit_io(struct percpu *cpu, struct vcpu *vcpu);
enum exit_action exit_vmcall(struct percpu *cpu, struct vcpu *vcpu);
enum exit_action exit_event(struct percpu *cpu, struct vcpu *vcpu);
enum exit_action exit_ept_violation(struct percpu *cpu, struct vcpu *vcpu);
enum exit_action exit_apic_access(struct percpu *cpu, struct vcpu *vcpu);
enum exit_action exit_handle_rarer(struct percpu *cpu, struct vcpu *vcpu);

/* Handles the exit that the VMCS describes. The frequent ones first: they are instructions, so that no event can have
 * been on its way to the guest. */
static inline enum exit_action exit_handle(struct percpu *cpu, struct vcpu *vcpu, uint64_t reason)
{
	if (reason == EXIT_VMCALL)
		return exit_vmcall(cpu, vcpu);
	if (reason == EXIT_RDMSR)
		return exit_rdmsr(cpu, vcpu);
	if (reason == EXIT_CPUID)
		return exit_cpuid(vcpu);
	if (reason == EXIT_IO)
		return exit_io(cpu, vcpu);
	if (reason == EXIT_WRMSR)
		return exit_wrmsr(cpu, vcpu);
	return exit_handle_rarer(cpu, vcpu);
}

#endif
