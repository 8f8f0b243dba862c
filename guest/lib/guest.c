#include "guest/lib/guest.h"

#include "guest/lib/cpu.h"

#define DEBUG_EXIT_PORT 0xf4

void guest_exit(uint32_t code)
{
	outl(DEBUG_EXIT_PORT, code);
	for (;;)
		__asm__ volatile("cli; hlt");
}
