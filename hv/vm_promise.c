/* A VM's capability value and its promises: hv/policy/promise.h, made atomic. One word changes in one step, so reading
 * the value and recording that it was read cannot be torn apart, and every acknowledgement and every move of the knob
 * comes before or after a reading. */
#include "hv/regime.h"
#include "hv/vm.h"

/* Applies one of the pure functions; the words before and after. Acquire and release: what a pCPU did before its change
 * is seen by whoever sees the change. */
#define PROMISE_UPDATE(vm, before, after, expression)                                                         \
	promise_t before = atomic_load_explicit(&(vm)->promise, memory_order_acquire), after;                 \
	do {                                                                                                  \
		after = (expression);                                                                         \
	} while (after != before &&                                                                           \
		 !atomic_compare_exchange_weak_explicit(&(vm)->promise, &before, after, memory_order_acq_rel, \
							memory_order_acquire))

static uint64_t value_of(const struct vm *vm, promise_t word)
{
	return vm->model.arch_capabilities | (word & PROMISE_SKIP ? ARCH_CAP(SKIP_L1DFL_VMENTRY) : 0);
}

uint64_t vm_caps_read(struct vm *vm, unsigned vcpu)
{
	PROMISE_UPDATE(vm, before, after, promise_read(before, vcpu));
	return value_of(vm, after);
}

uint64_t vm_caps_value(const struct vm *vm)
{
	return value_of(vm, atomic_load_explicit(&vm->promise, memory_order_acquire));
}

void vm_caps_set_skip_all(bool skip)
{
	for (uint32_t i = 0; i < vm_count; i++) {
		PROMISE_UPDATE(&vms[i], before, after, promise_set_skip(before, skip));
	}
	regime_promise_changed();
}

void vm_caps_ack(struct vm *vm)
{
	PROMISE_UPDATE(vm, before, after, promise_ack(before));
	if (after != before)
		regime_promise_changed();
}

void vm_caps_force_all(bool flushing)
{
	for (uint32_t i = 0; i < vm_count; i++) {
		PROMISE_UPDATE(&vms[i], before, after, promise_force(before, flushing));
	}
	regime_promise_changed();
}
