#include "guest/lib/eip.h"

#include "guest/lib/fault.h"

volatile uint32_t eip_count, eips[EIPS_MAX];
extern const char eip_handler[];

_Static_assert(EIPS_MAX == 8, "the handler's mask");
__asm__(".text\n"
	"eip_handler:\n"
	"	pushl %eax\n"
	"	movl eip_count, %eax\n"
	"	andl $7, %eax\n"
	"	pushl 4(%esp)\n"
	"	popl eips(,%eax,4)\n"
	"	incl eip_count\n"
	"	popl %eax\n"
	"	iretl\n");

void eip_note(uint8_t vector)
{
	eip_count = 0;
	fault_set_gate(vector, (uint32_t)(uintptr_t)eip_handler);
}
