#include "hv/platform.h"

#include "arch/clock.h"
#include "arch/defs/apic.h"
#include "arch/tsc.h"
#include "hv/vcpu_apic.h"
#include "hv/vm.h"
#include "hv/vm_build.h"

/* What firmware leaves in the boot processor's local APIC: on, LINT0 takes the 8259s' interrupts, LINT1 is NMI. */
static void virtual_wire(struct lapic *lapic, uint64_t now_tsc)
{
	lapic_write(lapic, APIC_SVR, lapic_read(lapic, APIC_SVR, now_tsc) | APIC_SVR_ENABLE, now_tsc);
	lapic_write(lapic, APIC_LVT_LINT0, APIC_LVT_DELIVERY_EXTINT, now_tsc);
	lapic_write(lapic, APIC_LVT_LINT1, APIC_LVT_DELIVERY_NMI, now_tsc);
}

void platform_reset(struct vm *vm)
{
	const uint64_t now_tsc = vm_tsc(vm);
	const struct pc_start start = {
		.unix_seconds = clock_unix_seconds(),
		.low_bytes = vm_low_bytes(vm),
		.high_bytes = vm->memory_bytes - vm_low_bytes(vm),
		.cpu_count = (uint16_t)vm->vcpu_count,
		.tsc_hz = tsc_hz(),
	};

	pc_reset(&vm->platform.pc, &start, now_tsc);
	virtual_wire(&vm->vcpus[0]->lapic, now_tsc);
}

/* ---- under the lock ---- */

/* Sends on what a change has made of the interrupts. */
static void settle(struct vm *vm)
{
	struct ioapic_message message;

	while (pc_take_message(&vm->platform.pc, &message))
		vcpu_apic_message(vm, &message.ipi, message.level);
	if (platform_extint(vm))
		vcpu_apic_extint(vm);
}

uint64_t platform_left(const struct vm *vm, uint64_t now_tsc)
{
	return pc_left(&vm->platform.pc, now_tsc);
}

void platform_fire(struct vm *vm, uint64_t now_tsc)
{
	pc_fire(&vm->platform.pc, now_tsc);
	settle(vm);
}

bool platform_extint(const struct vm *vm)
{
	return pc_extint(&vm->platform.pc);
}

uint8_t platform_extint_take(struct vm *vm)
{
	const uint8_t vector = pc_acknowledge(&vm->platform.pc, vm_tsc(vm));

	settle(vm);
	vcpu_apic_platform_timers(vm);
	return vector;
}

void platform_eoi(struct vm *vm, uint8_t vector)
{
	ioapic_eoi(&vm->platform.pc.ioapic, vector);
	settle(vm);
}

void platform_tsc_moved(struct vm *vm, uint64_t delta_tsc)
{
	pc_tsc_moved(&vm->platform.pc, delta_tsc);
}

/* ---- accesses ---- */

bool platform_receive(struct vm *vm, uint8_t byte)
{
	struct pc *pc = &vm->platform.pc;
	bool taken;

	if (vm->vcpu_count == 0) /* off: nobody to interrupt */
		return false;
	vcpu_apic_lock(vm);
	taken = uart16550_receive(&pc->uart, byte);
	if (taken) {
		pc_uart_line(pc, false);
		settle(vm);
	}
	vcpu_apic_unlock(vm);
	return taken;
}

static void settle_after(struct vm *vm, enum pc_device device)
{
	if (!pc_ports_interrupts(device))
		return;
	settle(vm);
	vcpu_apic_platform_timers(vm);
}

uint32_t platform_port_read(struct vm *vm, enum pc_device device, uint16_t port, unsigned size_bytes)
{
	uint32_t value;

	vcpu_apic_lock(vm);
	value = pc_ports_read(&vm->platform.pc, device, port, size_bytes, vm_tsc(vm));
	settle_after(vm, device);
	vcpu_apic_unlock(vm);
	return value;
}

struct pc_effect platform_port_write(struct vm *vm, enum pc_device device, uint16_t port, unsigned size_bytes,
				     uint32_t value)
{
	struct pc_effect effect;

	vcpu_apic_lock(vm);
	effect = pc_ports_write(&vm->platform.pc, device, port, size_bytes, value, vm_tsc(vm));
	settle_after(vm, device);
	vcpu_apic_unlock(vm);
	return effect;
}

uint32_t platform_ioapic_read(struct vm *vm, uint32_t offset)
{
	uint32_t value;

	vcpu_apic_lock(vm);
	value = pc_ioapic_read(&vm->platform.pc, offset);
	vcpu_apic_unlock(vm);
	return value;
}

void platform_ioapic_write(struct vm *vm, uint32_t offset, unsigned size_bytes, uint32_t value)
{
	vcpu_apic_lock(vm);
	pc_ioapic_write(&vm->platform.pc, offset, size_bytes, value, vm_tsc(vm));
	settle(vm);
	vcpu_apic_platform_timers(vm);
	vcpu_apic_unlock(vm);
}
