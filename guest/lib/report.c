#include "guest/lib/report.h"

#include "guest/lib/guest.h"
#include "guest/lib/print.h"

static const char *program;
static uint32_t failed;

void report_start(const char *name)
{
	program = name;
}

void report_equal(const char *name, uint64_t got, uint64_t wanted)
{
	if (got == wanted) {
		print("%s: %s ok\n", program, name);
		return;
	}
	print("%s: %s bad got=0x%llx wanted=0x%llx\n", program, name, (unsigned long long)got,
	      (unsigned long long)wanted);
	failed++;
}

void report_true(const char *name, bool good, uint64_t got)
{
	if (good) {
		print("%s: %s ok\n", program, name);
		return;
	}
	print("%s: %s bad got=0x%llx\n", program, name, (unsigned long long)got);
	failed++;
}

void report_skip(const char *name)
{
	print("%s: %s skip\n", program, name);
}

void report_end(void)
{
	print("%s: done failed=%u\n", program, failed);
	guest_exit(failed);
}
