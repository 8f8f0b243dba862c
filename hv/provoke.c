#include "hv/provoke.h"

#include "arch/apic.h"
#include "arch/cpu.h"
#include "arch/defs/cr.h"
#include "arch/vmx.h"

/* NMIs come after pauses of 0 to GAP_TURNS - 1 turns, so that they fall everywhere. */
#define GAP_TURNS 61

void provoke_entry_failure(struct vcpu *vcpu, enum provoked how)
{
	atomic_store_explicit(&vcpu->provoked, (uint8_t)how, memory_order_relaxed);
	atomic_fetch_or_explicit(&vcpu->attention, ATTENTION_PROVOKED, memory_order_release);
}

void provoke_nmis(struct percpu *cpu, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		apic_send_nmi(cpu->arch.apic_id);
		for (uint64_t turn = i % GAP_TURNS; turn > 0; turn--)
			cpu_pause();
	}
}

enum provoked provoke_spoil(struct vcpu *vcpu, struct entry_plan *plan)
{
	const enum provoked how = atomic_exchange_explicit(&vcpu->provoked, PROVOKE_NONE, memory_order_relaxed);

	atomic_fetch_and_explicit(&vcpu->attention, ~ATTENTION_PROVOKED, memory_order_relaxed);
	if (how == PROVOKE_GUEST_STATE) /* bit 1 of RFLAGS must be 1 */
		vmwrite(VMCS_GUEST_RFLAGS, vmread(VMCS_GUEST_RFLAGS) & ~(uint64_t)RFLAGS_FIXED1);
	if (how == PROVOKE_VMFAIL) /* VMLAUNCH of a launched VMCS, or VMRESUME of a clear one */
		plan->steps ^= PLAN_LAUNCH;
	return how;
}

void provoke_mend(enum provoked how)
{
	if (how == PROVOKE_GUEST_STATE)
		vmwrite(VMCS_GUEST_RFLAGS, vmread(VMCS_GUEST_RFLAGS) | RFLAGS_FIXED1);
}
