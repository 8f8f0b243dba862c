/* audit. */
#include "hv/audit.h"
#include "hv/commands.h"

enum command_status command_audit(const struct command_line *line)
{
	(void)line;
	if (!audit_catch_up())
		return command_fail("a pcpu has not left its guest: what it wrote last is not in");
	audit_print();
	return COMMAND_OK;
}
