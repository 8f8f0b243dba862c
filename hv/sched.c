#include "hv/sched.h"

#include "arch/cpu.h"
#include "arch/smp.h"
#include "arch/tsc.h"
#include "hv/audit.h"
#include "hv/console.h"
#include "hv/exit.h"
#include "hv/lock.h"
#include "hv/panic.h"
#include "hv/vcpu_run.h"
#include "hv/vcpu_switch.h"

/* How long a vCPU keeps its pCPU while others wait; and how often pCPU 0 looks at the console, which has 16 bytes of
 * FIFO, filled in 1.4 ms at 115200 baud. */
#define QUANTUM_US 5000
#define CONSOLE_US 1000

static struct lock lock; /* over vcpu->cpu and vcpu->scheduled */
static uint64_t picks;

static uint64_t tsc_of_us(uint64_t us)
{
	return tsc_hz() / 1000000 * us;
}

static bool vm_may_run(const struct percpu *cpu, const struct vm *vm)
{
	return atomic_load_explicit(&vm->state, memory_order_acquire) == VM_RUNNING &&
	       (vm->cfg.cpus >> cpu->arch.index & 1) != 0;
}

static bool wants_to_run(const struct vcpu *vcpu)
{
	return atomic_load_explicit(&vcpu->wait, memory_order_acquire) == VCPU_RUNS;
}

/* The vCPU that was picked longest ago among those that may run here and that no other pCPU has. A VM's vCPUs are
 * looked at only while it runs: whoever takes it apart changes its state first and then waits for this lock. */
static struct vcpu *longest_waiting(const struct percpu *cpu)
{
	struct vcpu *best = NULL;

	for (uint32_t v = 0; v < vm_count; v++) {
		for (uint32_t i = 0; vm_may_run(cpu, &vms[v]) && i < vms[v].vcpu_count; i++) {
			struct vcpu *vcpu = vms[v].vcpus[i];

			if (vcpu->cpu != VCPU_NOWHERE && vcpu->cpu != cpu->arch.index)
				continue;
			if (wants_to_run(vcpu) && (best == NULL || vcpu->scheduled < best->scheduled))
				best = vcpu;
		}
	}
	return best;
}

/* Picks for this pCPU; the choice is marked as its own. The present one stays while its quantum lasts. */
static struct vcpu *pick(struct percpu *cpu, uint64_t now_tsc)
{
	struct vcpu *current = atomic_load_explicit(&cpu->current, memory_order_relaxed);
	struct vcpu *next;

	if (current != NULL && now_tsc < cpu->quantum_end_tsc && vm_may_run(cpu, current->vm) && wants_to_run(current))
		return current;
	lock_acquire(&lock);
	next = longest_waiting(cpu);
	cpu->idle = next == NULL;
	if (next != NULL) {
		next->cpu = cpu->arch.index;
		next->scheduled = ++picks;
	}
	lock_release(&lock);
	cpu->quantum_end_tsc = now_tsc + tsc_of_us(QUANTUM_US);
	return next;
}

/* A pCPU that sleeps and might run this vCPU; NULL if there is none. Under the lock. */
static const struct percpu *idle_for(const struct vcpu *vcpu)
{
	if (!wants_to_run(vcpu))
		return NULL;
	for (uint32_t i = 0; i < percpu_count; i++)
		if (percpus[i].idle && &percpus[i] != percpu_this() && vm_may_run(&percpus[i], vcpu->vm))
			return &percpus[i];
	return NULL;
}

/* After vcpu_put(): another pCPU may have it, and one that looked for work while this one still held it is told. */
static void release(struct vcpu *vcpu)
{
	const struct percpu *idle_cpu;

	lock_acquire(&lock);
	vcpu->cpu = VCPU_NOWHERE;
	idle_cpu = idle_for(vcpu);
	lock_release(&lock);
	if (idle_cpu != NULL)
		apic_send_nmi(idle_cpu->arch.apic_id);
}

static void switch_to(struct percpu *cpu, struct vcpu *next)
{
	struct vcpu *current = atomic_load_explicit(&cpu->current, memory_order_relaxed);

	if (current == next)
		return;
	if (current != NULL) {
		vcpu_put(cpu);
		release(current);
	}
	if (next != NULL)
		vcpu_load(cpu, next);
}

static void idle(struct percpu *cpu)
{
	if (percpu_is_console(cpu) || !cpu->vmx_on) {
		handshake_leave(&cpu->handshake);
		cpu_pause();
	} else {
		vcpu_run_idle(cpu);
	}
}

_Noreturn void sched_loop(struct percpu *cpu)
{
	for (;;) {
		/* Before looking for work: an NMI from here on ends the sleep that is entered when there is none. */
		cpu->arch.nmi_pending = 0;
		panic_stop_if_asked();
		if (percpu_is_console(cpu)) {
			const bool reaped = vm_reap();

			audit_poll();
			if (console_poll() || reaped)
				exit_note_host(cpu);
		}

		const uint64_t now_tsc = rdtsc();
		struct vcpu *next = cpu->vmx_on ? pick(cpu, now_tsc) : NULL;

		switch_to(cpu, next);
		if (next == NULL) {
			idle(cpu);
			continue;
		}

		uint64_t until_tsc = cpu->quantum_end_tsc;

		if (percpu_is_console(cpu) && until_tsc > now_tsc + tsc_of_us(CONSOLE_US))
			until_tsc = now_tsc + tsc_of_us(CONSOLE_US);
		vcpu_run(cpu, next, until_tsc);
	}
}

static bool is_held(const struct vm *vm)
{
	bool held = false;

	lock_acquire(&lock);
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		held |= vm->vcpus[i]->cpu != VCPU_NOWHERE;
	lock_release(&lock);
	return held;
}

void sched_quiesce(struct vm *vm)
{
	struct percpu *self = percpu_this();
	struct vcpu *mine = atomic_load_explicit(&self->current, memory_order_relaxed);

	if (mine != NULL && mine->vm == vm)
		switch_to(self, NULL);
	sched_wake_all();
	while (is_held(vm))
		cpu_pause();
}

void sched_kick(const struct vcpu *vcpu)
{
	const struct percpu *cpu;

	lock_acquire(&lock);
	cpu = vcpu->cpu == VCPU_NOWHERE ? idle_for(vcpu) : &percpus[vcpu->cpu];
	lock_release(&lock);
	if (cpu != NULL && cpu != percpu_this())
		apic_send_nmi(cpu->arch.apic_id);
}

void sched_wake_all(void)
{
	for (uint32_t i = 0; i < percpu_count; i++)
		if (&percpus[i] != percpu_this())
			apic_send_nmi(percpus[i].arch.apic_id);
}
