/* A VM's capability value: its model's bits and the dynamic one, and what follows for the policy when it is read,
 * acknowledged or moved. */
#include "hv/regime.h"
#include "hv/vcpu_apic.h"
#include "hv/vm.h"

uint64_t vm_caps_read(struct percpu *cpu, struct vm *vm, unsigned vcpu)
{
	const uint64_t began_tsc = trace_begin(cpu);
	promise_t before;
	const promise_t after = promise_word_read(&vm->promise, vcpu, &before);
	const uint64_t gen = after != before ? regime_promise_changed() : regime_gen();

	trace_capread(cpu, began_tsc, gen, vm, vcpu, vm_caps_of(vm, after), after != before);
	return vm_caps_of(vm, after);
}

uint64_t vm_caps_value(const struct vm *vm)
{
	return vm_caps_of(vm, promise_word_get(&vm->promise));
}

/* Those who asked for it by caps_event. The VM may be paused: it gets them later. */
static void send_events(struct vm *vm)
{
	for (uint32_t i = 0; i < vm->vcpu_count; i++) {
		const uint8_t vector = atomic_load_explicit(&vm->vcpus[i]->event_vector, memory_order_acquire);

		if (vector != 0)
			vcpu_apic_post(vm->vcpus[i], vector);
	}
}

void vm_caps_set_skip_all(bool skip)
{
	for (uint32_t i = 0; i < vm_count; i++) {
		promise_t before;

		if (promise_word_set_skip(&vms[i].promise, skip, &before) != before)
			send_events(&vms[i]);
	}
	regime_promise_changed();
}

void vm_caps_ack(struct percpu *cpu, struct vm *vm)
{
	const uint64_t began_tsc = trace_begin(cpu);
	promise_t before;
	const promise_t after = promise_word_ack(&vm->promise, &before);
	const uint64_t gen = after != before ? regime_promise_changed() : regime_gen();

	trace_ack(cpu, began_tsc, gen, vm, vm_caps_of(vm, after));
}

void vm_caps_force_all(bool flushing)
{
	for (uint32_t i = 0; i < vm_count; i++)
		promise_word_force(&vms[i].promise, flushing, NULL);
	regime_promise_changed();
}
