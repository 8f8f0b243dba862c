/* The other CPUs: INIT-SIPI-SIPI, and a stack for each. Needs fault_install() and apic_enable() first. The local APIC's
 * id is the CPU's index. */
#ifndef GUEST_LIB_SMP_H
#define GUEST_LIB_SMP_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/lib/multiboot1.h"

#define SMP_CPUS_MAX 16

/* The word cpus=N of the command line, else what QEMU's fw_cfg says, else CPUID; at most SMP_CPUS_MAX. */
unsigned smp_cpu_count(const struct mb1_info *info);

/* The CPU that calls: 0 is the one that booted. */
unsigned smp_index(void);

/* INIT: the CPU waits for the next SIPI. */
void smp_init(unsigned index);

/* The two SIPIs to a CPU after its INIT: it starts in real mode in the page `page` below 1 MiB (SMP_PAGE_FIRST to
 * SMP_PAGE_LAST), and runs entry(index) in protected mode with interrupts off. True once it is there; false if it does
 * not come. */
#define SMP_PAGE_FIRST 0x10
#define SMP_PAGE_LAST  0x7f
bool smp_sipi(unsigned index, unsigned page, void (*entry)(unsigned index));

/* Likewise, but with one SIPI only. */
bool smp_one_sipi(unsigned index, unsigned page, void (*entry)(unsigned index));

/* INIT and one SIPI, without the pause that belongs between them. */
bool smp_init_one_sipi(unsigned index, unsigned page, void (*entry)(unsigned index));

/* smp_init() and smp_sipi(), at an arbitrary page. */
bool smp_start(unsigned index, void (*entry)(unsigned index));

/* Starts the CPUs 1 to count - 1; returns how many CPUs there are then. */
unsigned smp_start_all(unsigned count, void (*entry)(unsigned index));

/* What a CPU found in its registers at its latest start. Laid out by lib/smp_start.asm. */
struct smp_state {
	uint32_t eax, ebx, ecx, edx, esi, edi, ebp, esp;
	uint32_t cr0, cr2, cr3, cr4, eflags;
	uint32_t cs, ds, es, fs, gs, ss;
};
struct smp_state smp_state_of(unsigned index);

/* Waits until *counter is at least wanted; false: it did not come about in a very long time. */
bool smp_wait(const volatile uint32_t *counter, uint32_t wanted);

/* Long enough for an interrupt that is on its way to arrive. */
void smp_settle(void);

#endif
