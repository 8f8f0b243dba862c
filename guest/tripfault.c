/* A guest that cannot go on: an empty IDT, an exception, and so a triple fault. */
#include <stdint.h>

#include "guest/lib/guest.h"
#include "guest/lib/print.h"

static const struct {
	uint16_t limit;
	uint32_t base;
} __attribute__((packed)) empty_idtr;

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	(void)info;
	print("tripfault: about to fault\n");
	__asm__ volatile("lidt %0; int3" : : "m"(empty_idtr));
	print("tripfault: still here\n");
}
