/* provoke: faults on purpose (hv/provoke.h). */
#include "hv/commands.h"
#include "hv/provoke.h"
#include "hv/vm.h"

#define USAGE    "provoke entry NAME state|vmfail | provoke nmi CPU COUNT"
#define NMIS_MAX 1000000

static enum command_status entry(const struct command_line *line)
{
	const struct text_word *how = &line->words[2];
	struct vm *vm = command_vm_named(&line->words[1]);

	if (vm == NULL)
		return COMMAND_FAILED;
	if (atomic_load_explicit(&vm->state, memory_order_acquire) != VM_RUNNING)
		return command_fail("%s: it is not running", vm->cfg.name);
	if (text_is("state", how->text, how->length))
		provoke_entry_failure(vm->vcpus[0], PROVOKE_GUEST_STATE);
	else if (text_is("vmfail", how->text, how->length))
		provoke_entry_failure(vm->vcpus[0], PROVOKE_VMFAIL);
	else
		return command_usage_fail(USAGE);
	return COMMAND_OK;
}

static enum command_status nmi(const struct command_line *line)
{
	uint64_t index, count;

	if (!command_number(&line->words[1], 0, percpu_count - 1, &index) ||
	    !command_number(&line->words[2], 1, NMIS_MAX, &count))
		return COMMAND_FAILED;
	if (&percpus[index] == percpu_this())
		return command_fail("cpu %lu has the console and cannot interrupt itself: name another", index);
	provoke_nmis(&percpus[index], count);
	return COMMAND_OK;
}

enum command_status command_provoke(const struct command_line *line)
{
	const struct text_word *what = &line->words[0];

	if (text_is("entry", what->text, what->length))
		return entry(line);
	if (text_is("nmi", what->text, what->length))
		return nmi(line);
	return command_usage_fail(USAGE);
}
