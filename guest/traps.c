/* Does an emulated instruction end as the CPU would end it, is an event that an exit interrupted delivered after all,
 * and is the host's MMIO out of reach? The names carry the number of the trap in tests/traps/table.py. */
#include <stdint.h>

#include "arch/defs/cr.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/eip.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/irq.h"
#include "guest/lib/report.h"

#define VECTOR             0x50
#define SELECTOR_USER_CODE 0x1bull
#define GATE_INTERRUPT     0x8e00ull
#define RFLAGS_IOPL_3      (3u << 12)
#define RFLAGS_AC          (1u << 18)
#define HPET_GPA           0xfed00000u /* where PCs have one, and a guest has nothing */

static void send_self(void)
{
	apic_send(APIC_ICR_TO_SELF | APIC_ICR_ASSERT | VECTOR, 0);
}

/* ---- trap 36: CPUID is emulated, whoever the hypervisor is ---- */

static void check_sti_shadow(void)
{
	uint32_t after;

	eip_note(VECTOR);
	send_self();
	__asm__ volatile("movl $1f, %0\n\t"
			 "sti\n\t"
			 "cpuid\n"
			 "1:	nop\n\t"
			 "nop\n\t"
			 "cli"
			 : "=&S"(after)
			 :
			 : "eax", "ebx", "ecx", "edx", "memory");
	report_equal("trap36_sti_shadow_interrupts", eip_count, 1);
	report_equal("trap36_sti_shadow", eips[0], after);
	apic_eoi();
}

static void check_single_step(void)
{
	uint32_t after;

	eip_note(EXC_DB);
	__asm__ volatile("movl $1f, %0\n\t"
			 "pushfl\n\t"
			 "orl %1, (%%esp)\n\t"
			 "popfl\n\t"
			 "cpuid\n"
			 "1:	nop\n\t"
			 "pushfl\n\t"
			 "andl %2, (%%esp)\n\t"
			 "popfl"
			 : "=&S"(after)
			 : "i"(RFLAGS_TF), "i"(~RFLAGS_TF)
			 : "eax", "ebx", "ecx", "edx", "memory");
	report_equal("trap36_single_step", eips[0], after);
}

/* ---- trap 34: #AC exits while an interrupt is being delivered to ring 3 ---- */

static volatile uint32_t interrupts;

static void count_interrupt(uint32_t vector)
{
	(void)vector;
	interrupts++;
}

static void set_ring3_gate(uint8_t vector, uint32_t entry)
{
	struct fault_table idtr;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	((volatile uint64_t *)idtr.base)[vector] =
		(entry & 0xffff) | SELECTOR_USER_CODE << 16 | (GATE_INTERRUPT | (entry & 0xffff0000ull)) << 32;
}

static void ring3_handler(void)
{
	__asm__ volatile("int3");
}

/* The interrupt finds a stack that is not aligned, and no inner ring to push its frame to. */
static void ring3_misaligned(void)
{
	__asm__ volatile("pushfl\n\t"
			 "orl %0, (%%esp)\n\t"
			 "popfl\n\t"
			 "subl $2, %%esp\n\t"
			 "sti\n\t"
			 "nop\n\t"
			 "nop\n\t"
			 "int3"
			 :
			 : "i"(RFLAGS_AC)
			 : "memory");
}

static uint32_t read_flags(void)
{
	uint32_t flags;

	__asm__ volatile("pushfl; popl %0" : "=r"(flags));
	return flags;
}

static void write_flags(uint32_t flags)
{
	__asm__ volatile("pushl %0; popfl" : : "r"(flags) : "memory", "cc");
}

static void check_interrupted_delivery(void)
{
	const uint32_t flags = read_flags();

	write_cr0(read_cr0() | CR0_AM);
	set_ring3_gate(VECTOR, (uint32_t)(uintptr_t)ring3_handler);
	write_flags(flags | RFLAGS_IOPL_3);
	send_self();
	report_equal("trap34_alignment_check", fault_try_ring3(ring3_misaligned), EXC_AC);
	write_flags(flags);
	irq_handle(VECTOR, count_interrupt);
	irq_on();
	for (unsigned i = 0; i < 1000 && interrupts == 0; i++)
		cpu_pause();
	irq_off();
	report_equal("trap34_event_not_lost", interrupts, 1);
}

/* ---- trap 28 ---- */

static void check_mmio(void)
{
	report_equal("trap28_no_host_mmio", *(volatile uint32_t *)HPET_GPA, 0xffffffff);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	(void)info;
	report_start("traps");
	fault_install();
	irq_install();
	apic_enable(false);
	check_mmio();
	check_sti_shadow();
	check_interrupted_delivery();
	check_single_step();
	report_end();
}
