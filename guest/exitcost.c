/* What does an exit cost? Of each kind COUNT in a row, by the TSC: the mean with the loop's own cost taken off, and the
 * least of some that are timed one by one. The hypervisor's other work on this pCPU is in the mean. The budget for
 * each: docs/measuring.md. only=N on the command line: makes exits of kind N for ever, for those who look at them from
 * outside. */
#include "arch/defs/cpuid.h"
#include "arch/defs/msr.h"
#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/hypervisor.h"
#include "guest/lib/print.h"
#include "guest/lib/report.h"

#define COUNT        1000
#define SINGLE_COUNT 100 /* timed one by one */

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define PORT_UNANSWERED     0x1230
#define ADDRESS_UNANSWERED  0xd0000000u
#define HYPERCALL_OF_NOBODY 0x7777

struct cost {
	uint32_t loop, least;
};

/* All of a hypercall but the VMCALL. */
static int32_t hypervisor_operands(uint32_t number, uint32_t argument)
{
	int32_t result;

	__asm__ volatile("" : "=a"(result) : "a"(number), "b"(argument), "c"(0), "d"(0) : "memory");
	return result;
}

static uint32_t now(void)
{
	return (uint32_t)rdtsc();
}

/* One function for each kind, so that what is measured stands in the loop itself. */
#define KIND(name, statement)                                                 \
	static struct cost name(void)                                         \
	{                                                                     \
		struct cost cost = {.least = UINT32_MAX};                     \
		uint32_t start = now();                                       \
                                                                              \
		for (uint32_t i = 0; i < COUNT; i++) {                        \
			statement;                                            \
			__asm__ volatile("");                                 \
		}                                                             \
		cost.loop = now() - start;                                    \
		for (uint32_t i = 0; i < SINGLE_COUNT; i++) {                 \
			uint32_t spent;                                       \
                                                                              \
			start = now();                                        \
			statement;                                            \
			spent = now() - start;                                \
			cost.least = spent < cost.least ? spent : cost.least; \
		}                                                             \
		return cost;                                                  \
	}
KIND(nothing, (void)0)
KIND(vmcall_operands, hypervisor_operands(HYPERCALL_OF_NOBODY, 0))
KIND(cpuid_vendor, cpuid(CPUID_VENDOR, 0))
KIND(cpuid_features, cpuid(CPUID_FEATURES, 0))
KIND(cpuid_extended, cpuid(CPUID_EXTENDED_FEATURES, 0))
KIND(cpuid_xsave, cpuid(CPUID_XSAVE, 0))
KIND(rdmsr_caps, rdmsr(MSR_IA32_ARCH_CAPABILITIES))
KIND(out_unanswered, outb(PORT_UNANSWERED, 0))
KIND(vmcall_unknown, hypervisor_call(HYPERCALL_OF_NOBODY, 0))
KIND(read_unanswered, (void)*(volatile uint32_t *)ADDRESS_UNANSWERED)
#undef KIND

static const struct {
	const char *name;
	struct cost (*measure)(void);
	struct cost (*overhead)(void); /* the loop, and what sets the operands */
} kinds[] = {
	{"cpuid", cpuid_vendor, nothing},
	{"cpuid-1", cpuid_features, nothing},
	{"cpuid-7", cpuid_extended, nothing},
	{"cpuid-d", cpuid_xsave, nothing},
	{"rdmsr", rdmsr_caps, nothing},
	{"io", out_unanswered, nothing},
	{"vmcall", vmcall_unknown, vmcall_operands},
	{"mmio", read_unanswered, nothing},
};

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	const uint32_t only = mb1_number(info, "only", COUNT_OF(kinds));

	(void)magic;
	while (only < COUNT_OF(kinds))
		kinds[only].measure();
	report_start("exitcost");
	for (unsigned i = 0; i < COUNT_OF(kinds); i++) {
		struct cost cost, overhead;

		kinds[i].measure(); /* what is made at the first time */
		cost = kinds[i].measure();
		overhead = kinds[i].overhead();
		print("exitcost: %s mean=%u least=%u\n", kinds[i].name, (cost.loop - overhead.loop) / COUNT,
		      cost.least - overhead.least);
	}
	report_end();
}
