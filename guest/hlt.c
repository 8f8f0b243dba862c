/* Halts with interrupts off: nothing of its own wakes this CPU again. */
#include "guest/lib/guest.h"
#include "guest/lib/print.h"

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	(void)info;
	print("hlt: halting\n");
	for (;;) {
		__asm__ volatile("cli; hlt");
		print("hlt: woke up\n");
	}
}
