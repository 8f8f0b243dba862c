/* A lock between CPUs. Never taken in an interrupt handler. */
#ifndef GUEST_LIB_LOCK_H
#define GUEST_LIB_LOCK_H

#include <stdatomic.h>

#include "guest/lib/cpu.h"

struct lock {
	atomic_flag taken;
};

#define LOCK_INIT                \
	{                        \
		ATOMIC_FLAG_INIT \
	}

static inline void lock_take(struct lock *lock)
{
	while (atomic_flag_test_and_set_explicit(&lock->taken, memory_order_acquire))
		cpu_pause();
}

static inline void lock_give(struct lock *lock)
{
	atomic_flag_clear_explicit(&lock->taken, memory_order_release);
}

#endif
