/* The start of the other pCPUs. */
#ifndef ARCH_SMP_H
#define ARCH_SMP_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/address.h"
#include "arch/percpu.h"

/* Gives the other pCPUs the page where they start in real mode: page-aligned, below 1 MiB, RAM, and theirs from now on
 * (it becomes executable and read-only). Once, after paging_init. */
void smp_init(hpa_t trampoline);

/* Starts the pCPU described by p with INIT-SIPI-SIPI: it comes up in long mode on p->stack_top, with the page tables,
 * arch_cpu_init(), arch_percpu_load() and apic_init() done, and calls entry(p), which does not return. False: it did
 * not arrive within a second. One at a time, after smp_init() and tsc_calibrate(). */
bool smp_start(struct arch_percpu *p, void (*entry)(struct arch_percpu *p));

#endif
