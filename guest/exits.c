/* How fast can entries be made? Leaves the guest for CPUID as often as it can, and says so each time it has done so
 * every=N times (100000 without). */
#include "guest/lib/cpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/print.h"

#define DEFAULT_EVERY 100000

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	const uint32_t every = mb1_number(info, "every", DEFAULT_EVERY);

	(void)magic;
	for (uint32_t round = 1;; round++) {
		for (uint32_t i = 0; i < every; i++)
			cpuid(0, 0);
		print("exits: rounds=%u\n", round);
	}
}
