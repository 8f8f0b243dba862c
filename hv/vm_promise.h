/* A guest reads its IA32_ARCH_CAPABILITIES, again: the way that most readings take. */
#ifndef HV_VM_PROMISE_H
#define HV_VM_PROMISE_H

#include <stdbool.h>

#include "hv/percpu.h"
#include "hv/regime.h"
#include "hv/vm.h"

/* As vm_caps_read(), where the reading records nothing new: the bit is 0, or this vCPU has been told already. False
 * otherwise, or when a state row is due: then nothing has been done. */
static inline bool vm_caps_read_again(struct percpu *cpu, const struct vm *vm, unsigned vcpu, uint64_t *value)
{
	const promise_t word = promise_word_get(&vm->promise);

	if (promise_read(word, vcpu) != word || trace_state_is_due(&cpu->trace))
		return false;
	*value = vm_caps_of(vm, word);
	trace_capread_again(&cpu->trace, regime_gen(), vm->id, vcpu, *value);
	return true;
}

#endif
