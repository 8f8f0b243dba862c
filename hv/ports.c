#include "hv/ports.h"

#include "arch/defs/power.h"
#include "hv/console.h"
#include "hv/exit.h"
#include "hv/vm.h"

/* Who asks a port that nothing answers asks it again: that one need not be looked for. */
static enum pc_device find(struct vcpu *vcpu, uint16_t port)
{
	enum pc_device device;

	if (port == vcpu->silent_port)
		return PC_NOTHING;
	device = pc_ports_find(port);
	if (device == PC_NOTHING)
		vcpu->silent_port = port;
	return device;
}

uint32_t port_read(struct vcpu *vcpu, uint16_t port, unsigned size_bytes)
{
	const enum pc_device device = find(vcpu, port);

	if (pc_ports_answers_reads(device))
		return platform_port_read(vcpu->vm, device, port, size_bytes);
	vcpu->stats.unanswered++;
	return (uint32_t)exit_all_ones(size_bytes);
}

/* The VM ends, or begins anew. */
static void end(struct vm *vm, enum pc_end how, uint32_t value)
{
	const char *name = vm->cfg.name;

	switch (how) {
	case PC_GOES_ON:
		return;
	case PC_EXIT:
		console_line("[%s] exit code %lu", name, (uint64_t)value << 1 | 1);
		break;
	case PC_SHUT_DOWN:
		console_line("[%s] shutdown by port 0x%x", name, BOCHS_SHUTDOWN_PORT);
		break;
	case PC_POWER_OFF:
		console_line("[%s] powered off", name);
		break;
	case PC_RESET:
		console_line("[%s] reset by the guest", name);
		vm_reset_itself(vm);
		return;
	}
	vm_power_off(vm);
}

bool port_write(struct vcpu *vcpu, uint16_t port, unsigned size_bytes, uint32_t value)
{
	const enum pc_device device = find(vcpu, port);
	struct pc_effect effect;
	bool shown = false;

	if (device == PC_NOTHING) {
		vcpu->stats.unanswered++;
		return false;
	}
	effect = platform_port_write(vcpu->vm, device, port, size_bytes, value);
	if (effect.sent)
		shown = vm_console_put(vcpu->vm, effect.byte);
	end(vcpu->vm, effect.end, value);
	return shown || effect.end != PC_GOES_ON;
}
