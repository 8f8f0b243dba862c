#include "guest/lib/answer.h"

#include "arch/defs/cr.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/print.h"

static const char *program;

void answer_start(const char *name)
{
	program = name;
}

void answer_yes(const char *question, bool yes)
{
	print("%s: %s %s\n", program, question, yes ? "yes" : "no");
}

void answer_number(const char *question, uint32_t number)
{
	print("%s: %s %u\n", program, question, number);
}

void answer_hex(const char *question, uint64_t number)
{
	print("%s: %s 0x%llx\n", program, question, (unsigned long long)number);
}

void answer_fault(const char *question, uint32_t vector)
{
	if (vector == FAULT_NONE)
		print("%s: %s none\n", program, question);
	else if (vector == EXC_PF)
		print("%s: %s vector=%u error=0x%x cr2=0x%x\n", program, question, vector, fault_error, read_cr2());
	else if (fault_has_error(vector))
		print("%s: %s vector=%u error=0x%x\n", program, question, vector, fault_error);
	else
		print("%s: %s vector=%u\n", program, question, vector);
}

void answer_within(const char *question, uint64_t measured, uint64_t wanted, uint32_t percent)
{
	const uint64_t apart = measured > wanted ? measured - wanted : wanted - measured;

	if (apart * 100 <= wanted * percent)
		print("%s: %s yes\n", program, question);
	else
		print("%s: %s no measured=0x%llx wanted=0x%llx\n", program, question, (unsigned long long)measured,
		      (unsigned long long)wanted);
}

void answer_end(void)
{
	print("%s: done\n", program);
	guest_exit(0);
}
