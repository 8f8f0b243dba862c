/* A spinlock. Interrupts are always off in the hypervisor and the NMI handler takes none, so that is all it needs. */
#ifndef HV_LOCK_H
#define HV_LOCK_H

#include <stdatomic.h>

#include "arch/cpu.h"

struct lock {
	atomic_flag taken;
};

/* Pairs with lock_release(): what the last holder wrote is seen. */
static inline void lock_acquire(struct lock *lock)
{
	while (atomic_flag_test_and_set_explicit(&lock->taken, memory_order_acquire))
		cpu_pause();
}

static inline void lock_release(struct lock *lock)
{
	atomic_flag_clear_explicit(&lock->taken, memory_order_release);
}

#endif
