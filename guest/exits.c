/* How fast can entries be made? Leaves the guest for CPUID as often as it can, and says so each time it has done so
 * every=N times (100000 without). With the word `mix` it leaves once for each reason that can be had at will, over and
 * over, and says nothing: for whoever looks on from outside (tests/bench/exit_trace.py). */
#include "arch/defs/cpuid.h"
#include "arch/defs/msr.h"
#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/hypervisor.h"
#include "guest/lib/print.h"

#define DEFAULT_EVERY 100000

/* Nobody answers these. */
#define PORT_NOBODY      0x1230
#define ADDRESS_NOBODY   0xd0000000u
#define HYPERCALL_NOBODY 0x7777

/* Between two rounds, so that the end of a time slice does not always meet the same reason. */
#define SPIN_MAX 1024
#define STRIDE   389

static void spin(uint32_t turns)
{
	for (uint32_t i = 0; i < turns; i++)
		__asm__ volatile("");
}

static void leave_for_each_reason(void)
{
	cpuid(CPUID_VENDOR, 0);
	rdmsr(MSR_IA32_ARCH_CAPABILITIES);
	wrmsr(MSR_IA32_BIOS_SIGN_ID, 0);
	hypervisor_call(HYPERCALL_NOBODY, 0);
	outb(PORT_NOBODY, 0);
	(void)*(volatile uint32_t *)ADDRESS_NOBODY;
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	const uint32_t every = mb1_number(info, "every", DEFAULT_EVERY);

	(void)magic;
	if (mb1_has_word(info, "mix"))
		for (uint32_t round = 0;; round++) {
			leave_for_each_reason();
			spin(round * STRIDE % SPIN_MAX);
		}
	for (uint32_t round = 1;; round++) {
		for (uint32_t i = 0; i < every; i++)
			cpuid(0, 0);
		print("exits: rounds=%u\n", round);
	}
}
