/* Do the x87, SSE and AVX registers of each CPU stay what they are, over exits, halts and while other CPUs and VMs use
 * theirs? Wants two CPUs, and another VM beside it with another seed=N. */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/cpuid.h"
#include "arch/defs/cr.h"
#include "guest/lib/answer.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/fpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/irq.h"
#include "guest/lib/smp.h"

#define CPUS            2
#define ROUNDS          300
#define PORT_UNANSWERED 0x1230
#define VECTOR          0x50
#define FCW_MASKED      0x37f
#define FCW_SINGLE      0x07f
#define MXCSR_ROUND_UP  0x5f80

static uint32_t seed;
static struct fpu fpu[CPUS];
static volatile uint32_t lost[CPUS], xcr0_lost[CPUS];
static volatile uint32_t done;
static uint32_t interrupts;

/* By turns, what makes a hypervisor take the CPU: instructions, MMIO, a pause that lasts. */
static void disturb(uint32_t round)
{
	switch (round % 5) {
	case 0:
		cpuid(0, 0);
		break;
	case 1:
		(void)inb(PORT_UNANSWERED);
		break;
	case 2:
		(void)apic_read(APIC_VERSION);
		break;
	case 3:
		for (unsigned i = 0; i < 1000; i++)
			cpu_pause();
		break;
	default:
		write_cr0(read_cr0() | CR0_TS);
		write_cr0(read_cr0() & ~CR0_TS);
	}
}

static void work(unsigned index)
{
	uint32_t xcr0;

	fpu_enable();
	xcr0 = fpu_xcr0();
	if (xcr0)
		xsetbv(0, xcr0);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		if (round % 20 == 0)
			fpu_load(&fpu[index], xcr0, seed + index * 77 + round);
		disturb(round + index);
		lost[index] += !fpu_kept(&fpu[index], xcr0);
		xcr0_lost[index] += xcr0 && xgetbv(0) != xcr0;
	}
}

static void other_cpu(unsigned index)
{
	apic_enable(false);
	work(index);
	done = 1;
	for (;;) {
		smp_settle();
		apic_send(APIC_ICR_ASSERT | VECTOR, 0);
	}
}

static void count_interrupt(uint32_t vector)
{
	(void)vector;
	interrupts++;
}

/* Over sleeps that the other CPU ends. */
static unsigned lost_over_halts(void)
{
	const uint32_t xcr0 = fpu_xcr0();
	unsigned count = 0;

	fpu_load(&fpu[0], xcr0, seed);
	for (unsigned i = 0; i < 5; i++) {
		irq_wait();
		count += !fpu_kept(&fpu[0], xcr0);
	}
	return count;
}

static void ask_x87(void)
{
	uint16_t control = FCW_SINGLE, status = 0;
	uint32_t third = 0;
	uint64_t wide = 0;

	__asm__ volatile("fninit; fnstcw %0; fnstsw %1" : "=m"(control), "=m"(status));
	answer_hex("control_word_after_fninit", control);
	answer_hex("status_word_after_fninit", status);
	control = FCW_SINGLE;
	__asm__ volatile("fldcw %0" : : "m"(control));
	cpuid(0, 0);
	__asm__ volatile("fnstcw %0" : "=m"(control));
	answer_hex("control_word_over_an_exit", control);
	control = FCW_MASKED;
	__asm__ volatile("fldcw %2; fld1; fld1; fadd %%st(1), %%st; fadd %%st(1), %%st; fdivrp; fsts %0; fstpl %1"
			 : "=m"(third), "=m"(wide)
			 : "m"(control));
	answer_hex("a_third_in_32_bits", third);
	answer_hex("a_third_in_64_bits", wide);
}

static void ask_sse(void)
{
	static const float one[4] __attribute__((aligned(16))) = {1, 1, 1, 1};
	static const float three[4] __attribute__((aligned(16))) = {3, 3, 3, 3};
	static uint32_t third[4] __attribute__((aligned(16)));
	uint32_t mxcsr = MXCSR_ROUND_UP;

	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	cpuid(0, 0);
	__asm__ volatile("movaps %1, %%xmm0; divps %2, %%xmm0; movaps %%xmm0, %0; stmxcsr %3"
			 : "=m"(third)
			 : "m"(one), "m"(three), "m"(mxcsr)
			 : "memory");
	answer_hex("a_third_rounded_up", third[0]);
	answer_hex("mxcsr_says_inexact", mxcsr);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	answer_start("fpu");
	seed = mb1_number(info, "seed", 1);
	fault_install();
	irq_install();
	irq_handle(VECTOR, count_interrupt);
	apic_enable(false);
	answer_yes("second_cpu_starts", smp_start(1, other_cpu));
	work(0);
	answer_number("lost_on_cpu_0", lost[0]);
	answer_number("xcr0_lost_on_cpu_0", xcr0_lost[0]);
	answer_yes("cpu_1_is_through", smp_wait(&done, 1));
	answer_number("lost_on_cpu_1", lost[1]);
	answer_number("xcr0_lost_on_cpu_1", xcr0_lost[1]);
	answer_number("lost_over_halts", lost_over_halts());
	ask_x87();
	ask_sse();
	answer_end();
}
