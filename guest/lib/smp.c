#include "guest/lib/smp.h"

#include <stdatomic.h>

#include "arch/defs/cpuid.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"

#define STACK_BYTES 8192
#define PAGE_SHIFT  12

/* Waits are counted in PAUSEs, for nothing is known about the clock. The long one is seconds on an emulator. */
#define PAUSES_SETTLE    300000
#define PAUSES_FOR_SIPI  3000000
#define PAUSES_FOR_EVENT 30000000

/* QEMU's docs/specs/fw_cfg.rst. */
#define FW_CFG_SELECTOR  0x510
#define FW_CFG_DATA      0x511
#define FW_CFG_SIGNATURE 0x0000
#define FW_CFG_NB_CPUS   0x0005

#define TOPOLOGY_LEVELS 4 /* of leaf 0xb, at most */

/* In lib/smp_start.asm: the code that is copied, and the places in it that the copy has. */
extern const uint8_t smp_trampoline[], smp_trampoline_end[];
extern const uint8_t smp_trampoline_state[], smp_trampoline_gdt[];
/* Called by lib/smp_start.asm on the stack that smp_stack_top names. */
_Noreturn void smp_main(void);
extern uint32_t smp_stack_top;

uint32_t smp_stack_top;
static uint8_t stacks[SMP_CPUS_MAX][STACK_BYTES] __attribute__((aligned(16)));
static struct smp_state states[SMP_CPUS_MAX];
static void (*entries[SMP_CPUS_MAX])(unsigned index);
static volatile uint32_t arrivals[SMP_CPUS_MAX];

static void copy(void *to, const void *from, uint32_t bytes)
{
	for (uint32_t i = 0; i < bytes; i++)
		((uint8_t *)to)[i] = ((const uint8_t *)from)[i];
}

static uint32_t trampoline_offset(const uint8_t *place)
{
	return (uint32_t)((uintptr_t)place - (uintptr_t)smp_trampoline);
}

static uint32_t fw_cfg_read(uint16_t item, unsigned bytes)
{
	uint32_t value = 0;

	outw(FW_CFG_SELECTOR, item);
	for (unsigned i = 0; i < bytes; i++)
		value |= (uint32_t)inb(FW_CFG_DATA) << 8 * i;
	return value;
}

static bool has_fw_cfg(void)
{
	const char *signature = "QEMU";
	uint32_t found = fw_cfg_read(FW_CFG_SIGNATURE, 4);

	for (unsigned i = 0; i < 4; i++)
		if ((found >> 8 * i & 0xff) != (uint8_t)signature[i])
			return false;
	return true;
}

/* The logical processors that the package has: leaf 0xb, or leaf 1. */
static uint32_t cpuid_count(void)
{
	struct cpuid_regs features = cpuid(CPUID_FEATURES, 0);
	uint32_t count = 0;

	if (cpuid(CPUID_VENDOR, 0).eax >= CPUID_TOPOLOGY)
		for (unsigned level = 0; level < TOPOLOGY_LEVELS; level++) {
			uint32_t here = cpuid(CPUID_TOPOLOGY, level).ebx & 0xffff;

			count = here > count ? here : count;
		}
	if (!count && (features.edx & CPUID1_EDX_HTT))
		count = features.ebx >> 16 & 0xff;
	return count ? count : 1;
}

unsigned smp_cpu_count(const struct mb1_info *info)
{
	uint32_t count = mb1_number(info, "cpus", 0);

	if (!count)
		count = has_fw_cfg() ? fw_cfg_read(FW_CFG_NB_CPUS, 2) : cpuid_count();
	return count < SMP_CPUS_MAX ? count : SMP_CPUS_MAX;
}

unsigned smp_index(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0), first = (uintptr_t)stacks;

	return here >= first && here < first + sizeof(stacks) ? (unsigned)((here - first) / STACK_BYTES) : 0;
}

static bool wait(const volatile uint32_t *counter, uint32_t wanted, uint32_t pauses)
{
	while (*counter < wanted && pauses--)
		cpu_pause();
	return *counter >= wanted;
}

bool smp_wait(const volatile uint32_t *counter, uint32_t wanted)
{
	return wait(counter, wanted, PAUSES_FOR_EVENT);
}

void smp_settle(void)
{
	for (uint32_t i = 0; i < PAUSES_SETTLE; i++)
		cpu_pause();
}

static void send_init(unsigned index)
{
	apic_send(APIC_ICR_DELIVERY_INIT | APIC_ICR_ASSERT, index);
}

/* "MP Initialization Example" of SDM vol. 3A: INIT, 10 ms, SIPI, 200 us, SIPI. */
void smp_init(unsigned index)
{
	send_init(index);
	smp_settle();
}

static uint8_t *trampoline_at(unsigned page)
{
	return (uint8_t *)(uintptr_t)(page << PAGE_SHIFT);
}

/* What arrivals[index] will be once the CPU is there. */
static uint32_t prepare(unsigned index, unsigned page, void (*entry)(unsigned index))
{
	uint8_t *trampoline = trampoline_at(page);

	copy(trampoline, smp_trampoline, trampoline_offset(smp_trampoline_end));
	copy(trampoline + trampoline_offset(smp_trampoline_gdt), &fault_gdt, sizeof(fault_gdt));
	entries[index] = entry;
	smp_stack_top = (uint32_t)(uintptr_t)stacks[index] + STACK_BYTES;
	return arrivals[index] + 1;
}

static void send_sipi(unsigned index, unsigned page)
{
	apic_send(APIC_ICR_DELIVERY_SIPI | APIC_ICR_ASSERT | page, index);
}

static bool arrives(unsigned index, unsigned page, uint32_t wanted)
{
	bool here = smp_wait(&arrivals[index], wanted);

	copy(&states[index], trampoline_at(page) + trampoline_offset(smp_trampoline_state), sizeof(states[index]));
	return here;
}

bool smp_sipi(unsigned index, unsigned page, void (*entry)(unsigned index))
{
	uint32_t wanted = prepare(index, page, entry);

	send_sipi(index, page);
	if (!wait(&arrivals[index], wanted, PAUSES_FOR_SIPI))
		send_sipi(index, page);
	return arrives(index, page, wanted);
}

bool smp_one_sipi(unsigned index, unsigned page, void (*entry)(unsigned index))
{
	uint32_t wanted = prepare(index, page, entry);

	send_sipi(index, page);
	return arrives(index, page, wanted);
}

bool smp_init_one_sipi(unsigned index, unsigned page, void (*entry)(unsigned index))
{
	uint32_t wanted = prepare(index, page, entry);

	send_init(index);
	send_sipi(index, page);
	return arrives(index, page, wanted);
}

bool smp_start(unsigned index, void (*entry)(unsigned index))
{
	smp_init(index);
	return smp_sipi(index, SMP_PAGE_FIRST, entry);
}

unsigned smp_start_all(unsigned count, void (*entry)(unsigned index))
{
	unsigned index = 1;

	while (index < count && smp_start(index, entry))
		index++;
	return index;
}

struct smp_state smp_state_of(unsigned index)
{
	return states[index];
}

void smp_main(void)
{
	unsigned index = smp_index();

	fault_join();
	arrivals[index]++;
	entries[index](index);
	for (;;)
		__asm__ volatile("cli; hlt");
}
