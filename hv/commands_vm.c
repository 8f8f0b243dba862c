/* vm list, show, start, pause, resume, stop, reset, set; vm type, console and log are in commands_serial.c. */
#include "hv/commands.h"
#include "hv/console.h"
#include "hv/vm.h"

static void vm_row(const struct vm *vm)
{
	console_line("vm %s state=%s vcpus=%u memory=%uM cpu=%s", vm->cfg.name,
		     vm_state_name((enum vm_state)atomic_load_explicit(&vm->state, memory_order_relaxed)),
		     vm->cfg.vcpus, vm->cfg.memory_mib, vm->cfg.cpu);
}

/* The general-purpose registers of a vCPU that runs are those of an exit not long ago, like the snapshot. */
static void vcpu_row(const struct vm *vm, const struct vcpu *vcpu)
{
	const uint64_t *gpr = vcpu->regs.gpr;
	const struct vcpu_snapshot s = vcpu->snapshot;

	console_line("vcpu %s.%u rip=0x%lx rsp=0x%lx rflags=0x%lx cr0=0x%lx cr3=0x%lx cr4=0x%lx efer=0x%lx "
		     "rax=0x%lx rbx=0x%lx rcx=0x%lx rdx=0x%lx rsi=0x%lx rdi=0x%lx rbp=0x%lx",
		     vm->cfg.name, vcpu->index, s.rip, s.rsp, s.rflags, s.cr0, s.cr3, s.cr4, s.efer, gpr[GPR_RAX],
		     gpr[GPR_RBX], gpr[GPR_RCX], gpr[GPR_RDX], gpr[GPR_RSI], gpr[GPR_RDI], gpr[GPR_RBP]);
}

static enum command_status list(void)
{
	for (uint32_t i = 0; i < vm_count; i++)
		vm_row(&vms[i]);
	return COMMAND_OK;
}

static enum command_status show(const struct vm *vm)
{
	vm_row(vm);
	if (atomic_load_explicit(&vm->state, memory_order_acquire) == VM_OFF)
		return COMMAND_OK;
	for (uint32_t i = 0; i < vm->vcpu_count; i++)
		vcpu_row(vm, vm->vcpus[i]);
	return COMMAND_OK;
}

static const struct {
	const char *name;
	const char *usage;
	const char *(*act)(struct vm *vm);
} ACTIONS[] = {
	{"start", "vm start NAME", vm_start},    {"pause", "vm pause NAME", vm_pause},
	{"resume", "vm resume NAME", vm_resume}, {"stop", "vm stop NAME", vm_stop},
	{"reset", "vm reset NAME", vm_reset},
};

#define ACTION_COUNT (sizeof(ACTIONS) / sizeof(ACTIONS[0]))

static enum command_status act(unsigned action, const struct command_line *line)
{
	if (line->count != 2)
		return command_usage_fail(ACTIONS[action].usage);

	struct vm *vm = command_vm_named(&line->words[1]);

	if (vm == NULL)
		return COMMAND_FAILED;

	const char *why_not = ACTIONS[action].act(vm);

	return why_not == NULL ? COMMAND_OK : command_fail("%s: %s", vm->cfg.name, why_not);
}

/* The rest of the line is the assignment: a value in double quotes may hold blanks. */
static enum command_status set(const struct command_line *line)
{
	char why_not[160];

	if (line->count < 3)
		return command_usage_fail("vm set NAME KEY=VALUE");

	struct vm *vm = command_vm_named(&line->words[1]);

	if (vm == NULL)
		return COMMAND_FAILED;
	if (!vm_configure(vm, line->words[2].text, why_not, sizeof(why_not)))
		return command_fail("%s: %s", vm->cfg.name, why_not);
	return COMMAND_OK;
}

enum command_status command_vm(const struct command_line *line)
{
	const struct text_word *what = &line->words[0];

	if (text_is("list", what->text, what->length))
		return line->count == 1 ? list() : command_usage_fail("vm list");
	if (text_is("show", what->text, what->length)) {
		if (line->count != 2)
			return command_usage_fail("vm show NAME");

		const struct vm *vm = command_vm_named(&line->words[1]);

		return vm != NULL ? show(vm) : COMMAND_FAILED;
	}
	if (text_is("set", what->text, what->length))
		return set(line);
	if (text_is("type", what->text, what->length))
		return command_vm_type(line);
	if (text_is("console", what->text, what->length))
		return command_vm_console(line);
	if (text_is("log", what->text, what->length))
		return command_vm_log(line);
	for (unsigned i = 0; i < ACTION_COUNT; i++)
		if (text_is(ACTIONS[i].name, what->text, what->length))
			return act(i, line);
	return command_fail("unknown command \"vm %.*s\"; try help vm", (int)what->length, what->text);
}
