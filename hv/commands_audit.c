/* audit. */
#include "hv/audit.h"
#include "hv/commands.h"
#include "hv/sched.h"

enum command_status command_audit(const struct command_line *line)
{
	(void)line;
	sched_step_aside(); /* what has been left waiting takes long */
	switch (audit_catch_up()) {
	case AUDIT_INTERRUPTED:
		return command_fail("interrupted");
	case AUDIT_STUCK:
		return command_fail("a pcpu has not left its guest: what it wrote last is not in");
	case AUDIT_DONE:
		break;
	}
	audit_print();
	return COMMAND_OK;
}
