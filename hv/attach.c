#include "hv/attach.h"

#include <stddef.h>

#include "hv/console.h"
#include "hv/vm.h"

#define CTRL_BRACKET 0x1d /* Ctrl-] */

static struct vm *attached; /* NULL: the prompt has the terminal */

static enum vm_state state_of(const struct vm *vm)
{
	return (enum vm_state)atomic_load_explicit(&vm->state, memory_order_acquire);
}

void attach_begin(struct vm *vm)
{
	console_line("console %s state=%s attached=yes return=\"Ctrl-]\"", vm->cfg.name, vm_state_name(state_of(vm)));
	attached = vm;
	vm_console_attach(vm);
}

static void end(void)
{
	struct vm *vm = attached;

	attached = NULL;
	vm_console_detach(vm);
	console_line("console %s state=%s attached=no", vm->cfg.name, vm_state_name(state_of(vm)));
}

bool attach_active(void)
{
	return attached != NULL;
}

void attach_take(uint8_t byte)
{
	const char character = (char)byte;

	if (byte == CTRL_BRACKET)
		end();
	else if (!vm_console_type(attached, &character, 1))
		console_bell();
}

void attach_poll(void)
{
	if (attached == NULL)
		return;

	if (vm_has_ended(attached))
		end();
}
