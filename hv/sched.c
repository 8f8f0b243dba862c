#include "hv/sched.h"

#include "arch/apic.h"
#include "arch/cpu.h"
#include "arch/tsc.h"
#include "hv/audit.h"
#include "hv/exit.h"
#include "hv/lock.h"
#include "hv/panic.h"
#include "hv/prompt.h"
#include "hv/vcpu_run.h"
#include "hv/vcpu_switch.h"

/* How long a vCPU keeps its pCPU while others wait; and how often pCPU 0 looks at the console, which has 16 bytes of
 * FIFO, filled in 1.4 ms at 115200 baud. */
#define QUANTUM_US 5000
#define CONSOLE_US 1250

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

static uint64_t timer_of(const struct vcpu *vcpu)
{
	return atomic_load_explicit(&vcpu->timer_tsc, memory_order_acquire);
}

/* One whose timer is due gets a pCPU even if it waits: the pCPU that has it lets the timer fire. */
static bool wants_to_run(const struct vcpu *vcpu, uint64_t now_tsc)
{
	return atomic_load_explicit(&vcpu->wait, memory_order_acquire) == VCPU_RUNS || timer_of(vcpu) <= now_tsc;
}

struct choice {
	struct vcpu *vcpu;  /* NULL: none */
	struct vcpu *other; /* wants to run as well; NULL: none */
	uint64_t timer_tsc; /* the first timer of those that wait and no other pCPU has */
};

/* The vCPU that was picked longest ago among those that may run here and that no other pCPU has. A VM's vCPUs are
 * looked at only while it runs: whoever takes it apart changes its state first and then waits for this lock. */
static struct choice longest_waiting(const struct percpu *cpu, uint64_t now_tsc)
{
	struct choice best = {.timer_tsc = VCPU_TIMER_NEVER};

	for (uint32_t v = 0; v < vm_count; v++) {
		for (uint32_t i = 0; vm_may_run(cpu, &vms[v]) && i < vms[v].vcpu_count; i++) {
			struct vcpu *vcpu = vms[v].vcpus[i];

			if (vcpu->cpu != VCPU_NOWHERE && vcpu->cpu != cpu->arch.index)
				continue;
			if (!wants_to_run(vcpu, now_tsc)) {
				const uint64_t timer_tsc = timer_of(vcpu);

				best.timer_tsc = timer_tsc < best.timer_tsc ? timer_tsc : best.timer_tsc;
			} else if (best.vcpu == NULL || vcpu->scheduled < best.vcpu->scheduled) {
				best.other = best.vcpu;
				best.vcpu = vcpu;
			} else {
				best.other = vcpu;
			}
		}
	}
	return best;
}

/* A pCPU that sleeps and might run this vCPU now, or when its timer is due; the console's last, for it may be busy
 * soon. It is to be told, and does not count as sleeping any more, so that the next one in need finds another. NULL:
 * there is none, or one will wake in time anyway. Under the lock. */
static const struct percpu *take_idle(const struct vcpu *vcpu)
{
	const uint64_t wanted_tsc = wants_to_run(vcpu, 0) ? 0 : timer_of(vcpu);

	for (uint32_t i = percpu_count; i-- > 0;) {
		struct percpu *cpu = &percpus[i];

		if (!cpu->idle || cpu == percpu_this() || !vm_may_run(cpu, vcpu->vm))
			continue;
		if (cpu->sleep_until_tsc <= wanted_tsc)
			return NULL;
		cpu->idle = false;
		return cpu;
	}
	return NULL;
}

static void tell(const struct percpu *cpu)
{
	if (cpu != NULL && cpu != percpu_this())
		apic_send_nmi(cpu->arch.apic_id);
}

/* Picks for this pCPU; the choice is marked as its own. The present one stays while its quantum lasts. */
static struct vcpu *pick(struct percpu *cpu, uint64_t now_tsc)
{
	struct vcpu *current = atomic_load_explicit(&cpu->current, memory_order_relaxed);
	const struct percpu *helper = NULL;
	struct choice next;

	if (current != NULL && now_tsc < cpu->quantum_end_tsc && vm_may_run(cpu, current->vm) &&
	    wants_to_run(current, now_tsc))
		return current;
	lock_acquire(&lock);
	next = longest_waiting(cpu, now_tsc);
	cpu->idle = next.vcpu == NULL;
	cpu->sleep_until_tsc = next.timer_tsc;
	if (next.vcpu != NULL) {
		next.vcpu->cpu = cpu->arch.index;
		next.vcpu->scheduled = ++picks;
	}
	/* Two may have come at once, and this pCPU was told of both. The present one is let go by release(). */
	if (next.other != NULL && next.other != current)
		helper = take_idle(next.other);
	lock_release(&lock);
	tell(helper);
	cpu->quantum_end_tsc = next.vcpu == NULL ? 0 : now_tsc + tsc_of_us(QUANTUM_US);
	return next.vcpu;
}

/* After vcpu_put(): another pCPU may have it, and one that looked for work while this one still held it is told. */
static void release(struct vcpu *vcpu)
{
	const struct percpu *idle_cpu;

	lock_acquire(&lock);
	vcpu->cpu = VCPU_NOWHERE;
	idle_cpu = take_idle(vcpu);
	lock_release(&lock);
	tell(idle_cpu);
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

static uint64_t earlier(uint64_t a_tsc, uint64_t b_tsc)
{
	return a_tsc < b_tsc ? a_tsc : b_tsc;
}

/* Nobody wants to run. The vCPU that ran last stays loaded, for it will often be the next one, too; unless its VM no
 * longer runs. */
static void idle(struct percpu *cpu, uint64_t now_tsc)
{
	const struct vcpu *current = atomic_load_explicit(&cpu->current, memory_order_relaxed);

	if (!cpu->vmx_on) {
		handshake_leave(&cpu->handshake);
		cpu_pause();
		return;
	}
	if (current != NULL && !vm_may_run(cpu, current->vm))
		switch_to(cpu, NULL);
	vcpu_run_idle(cpu, percpu_is_console(cpu) ? earlier(cpu->sleep_until_tsc, now_tsc + tsc_of_us(CONSOLE_US))
						  : cpu->sleep_until_tsc);
}

_Noreturn void sched_loop(struct percpu *cpu)
{
	cpu->account_tsc = rdtsc();
	for (;;) {
		/* Before looking for work: an NMI from here on ends the sleep that is entered when there is none. */
		cpu->arch.nmi_pending = 0;
		panic_stop_if_asked();
		if (percpu_is_console(cpu)) {
			const bool reaped = vm_reap(false);

			audit_poll();
			if (prompt_poll() || reaped)
				exit_note_host(cpu);
			vcpu_run_account_root(cpu);
		}

		const uint64_t now_tsc = rdtsc();
		struct vcpu *next = cpu->vmx_on ? pick(cpu, now_tsc) : NULL;

		if (next == NULL) {
			idle(cpu, now_tsc);
			continue;
		}
		switch_to(cpu, next);
		vcpu_run(cpu, next,
			 percpu_is_console(cpu) ? earlier(cpu->quantum_end_tsc, now_tsc + tsc_of_us(CONSOLE_US))
						: cpu->quantum_end_tsc);
	}
}

void sched_step_aside(void)
{
	struct percpu *self = percpu_this();

	lock_acquire(&lock);
	self->idle = false;
	lock_release(&lock);
	switch_to(self, NULL);
	sched_wake_all();
}

void sched_yield(struct percpu *cpu)
{
	cpu->quantum_end_tsc = 0;
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
	cpu = vcpu->cpu == VCPU_NOWHERE ? take_idle(vcpu) : &percpus[vcpu->cpu];
	lock_release(&lock);
	tell(cpu);
}

void sched_wake_all(void)
{
	for (uint32_t i = 0; i < percpu_count; i++)
		if (&percpus[i] != percpu_this())
			apic_send_nmi(percpus[i].arch.apic_id);
}
