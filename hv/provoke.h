/* Faults on purpose: entries that fail and NMIs in the wrong place, so that what is done about them can be seen.
 * Nothing happens here unless the console asks for it. */
#ifndef HV_PROVOKE_H
#define HV_PROVOKE_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/abi/entry_plan.h"
#include "hv/percpu.h"
#include "hv/vcpu.h"

enum provoked { PROVOKE_NONE, PROVOKE_GUEST_STATE, PROVOKE_VMFAIL };

/* Console: the next entry of this vCPU fails: in the checks of the guest's state (VM exit with reason 33), or
 * VMfailValid. The VM goes on after it. */
void provoke_entry_failure(struct vcpu *vcpu, enum provoked how);

/* Console: sends count NMIs to another pCPU, one close after the other. */
void provoke_nmis(struct percpu *cpu, uint64_t count);

/* Entry path, when vcpu->attention says so: spoils the entry that is about to be made; says how. */
enum provoked provoke_spoil(struct vcpu *vcpu, struct entry_plan *plan);

/* And makes the vCPU as it was, after the entry has failed. */
void provoke_mend(enum provoked how);

#endif
