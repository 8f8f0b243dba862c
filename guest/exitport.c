/* Stops its VM through the isa-debug-exit port, with the number that the command line gives as code=N (7 without). */
#include "guest/lib/guest.h"
#include "guest/lib/print.h"

#define DEFAULT_CODE 7

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	uint32_t code = mb1_number(info, "code", DEFAULT_CODE);

	(void)magic;
	print("exitport: writing %u\n", code);
	guest_exit(code);
}
