/* A guest that gives nothing back: interrupts off, and a loop without an exit of its own. */
#include "guest/lib/guest.h"
#include "guest/lib/print.h"

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	(void)info;
	print("spin: started\n");
	for (;;)
		__asm__ volatile("");
}
