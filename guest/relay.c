/* Do two vCPUs that wait for each other with PAUSE get on, even on one pCPU? They hand a token to and fro. */
#include "guest/lib/apic.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/print.h"
#include "guest/lib/smp.h"

#define TURNS 2000

static volatile uint32_t turn;

/* Takes every second turn. */
static void take_turns(uint32_t mine)
{
	for (uint32_t next = mine; next < TURNS; next += 2) {
		while (turn != next)
			__asm__ volatile("pause");
		turn = next + 1;
	}
}

static void second(unsigned index)
{
	(void)index;
	take_turns(1);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	(void)info;
	fault_install();
	apic_enable(false);
	if (!smp_start(1, second)) {
		print("relay: the second CPU does not come\n");
		return;
	}
	take_turns(0);
	while (turn != TURNS)
		__asm__ volatile("pause");
	print("relay: done turns=%u\n", TURNS);
}
