/* IN, OUT, INS and OUTS of a guest. */
#include "arch/defs/cr.h"
#include "arch/vmx.h"
#include "hv/exit.h"
#include "hv/guest_memory.h"
#include "hv/ports.h"
#include "hv/vm.h"

struct exit_io {
	uint16_t port;
	unsigned size_bytes;
	bool is_in, is_string, is_rep;
};

/* SDM vol. 3C, "Exit Qualification for I/O Instructions". */
static struct exit_io decode(uint64_t qualification)
{
	return (struct exit_io){
		.port = (uint16_t)(qualification >> IO_PORT_SHIFT),
		.size_bytes = (unsigned)(qualification & IO_SIZE_MASK) + 1,
		.is_in = (qualification & IO_IN) != 0,
		.is_string = (qualification & IO_STRING) != 0,
		.is_rep = (qualification & IO_REP) != 0,
	};
}

/* IN to AL or AX leaves the rest of RAX; to EAX it clears the upper half. */
static void set_accumulator(struct vcpu *vcpu, unsigned size_bytes, uint32_t value)
{
	const uint64_t keep = size_bytes == 4 ? 0 : ~0ull << (8 * size_bytes);

	vcpu->regs.gpr[GPR_RAX] = (vcpu->regs.gpr[GPR_RAX] & keep) | value;
}

/* Adds step to a register as an instruction with that address size does: 16 bits leave the rest, 32 bits clear it. */
static void step_register(struct vcpu *vcpu, enum gpr number, int64_t step, uint64_t address_mask)
{
	const uint64_t old = vcpu->regs.gpr[number];
	const uint64_t keep = address_mask == 0xffff ? ~0xffffull : 0;

	vcpu->regs.gpr[number] = (old & keep) | ((old + (uint64_t)step) & address_mask);
}

/* The address size stands in the instruction information (SDM vol. 3C, "VM-Exit Instruction-Information Field"). */
static uint64_t address_mask_of_exit(void)
{
	static const uint64_t masks[] = {0xffff, 0xffffffff, ~0ull, ~0ull};

	return masks[(vmread(VMCS_EXIT_INSTRUCTION_INFO) >> 7) & 3];
}

/* One element, so that a long REP neither holds the pCPU nor loses its place: RIP moves on when the count is used up.
 */
__attribute__((noinline)) static enum exit_action string_io(struct percpu *cpu, struct vcpu *vcpu, struct exit_io io)
{
	const uint64_t linear = vmread(VMCS_GUEST_LINEAR_ADDRESS);
	const uint64_t address_mask = address_mask_of_exit();
	const bool down = (vmread(VMCS_GUEST_RFLAGS) & RFLAGS_DF) != 0;
	const int64_t step = down ? -(int64_t)io.size_bytes : (int64_t)io.size_bytes;
	struct guest_memory_place place;
	uint32_t value = 0;

	exit_note_host(cpu);
	if (io.is_rep && (vcpu->regs.gpr[GPR_RCX] & address_mask) == 0) {
		vcpu_skip_instruction(vcpu);
		return EXIT_RESUME;
	}
	/* A fault comes before the port is touched: a device may give each byte once. */
	if (guest_memory_find(vcpu, linear, io.size_bytes, io.is_in ? GUEST_MEMORY_WRITE : GUEST_MEMORY_READ, &place) ==
	    GUEST_MEMORY_FAULT)
		return EXIT_RESUME;
	if (io.is_in) {
		value = port_read(vcpu, io.port, io.size_bytes);
		guest_memory_put(&place, &value);
	} else {
		guest_memory_take(&place, &value);
		port_write(vcpu, io.port, io.size_bytes, value);
	}
	step_register(vcpu, io.is_in ? GPR_RDI : GPR_RSI, step, address_mask);
	if (io.is_rep)
		step_register(vcpu, GPR_RCX, -1, address_mask);
	if (!io.is_rep || (vcpu->regs.gpr[GPR_RCX] & address_mask) == 0)
		vcpu_skip_instruction(vcpu);
	return EXIT_RESUME;
}

enum exit_action exit_io(struct percpu *cpu, struct vcpu *vcpu)
{
	const struct exit_io io = decode(vmread(VMCS_EXIT_QUALIFICATION));
	const uint32_t out = (uint32_t)(vcpu->regs.gpr[GPR_RAX] & exit_all_ones(io.size_bytes));
	enum exit_action action;

	if (io.is_string) {
		action = string_io(cpu, vcpu, io);
	} else {
		if (io.is_in)
			set_accumulator(vcpu, io.size_bytes, port_read(vcpu, io.port, io.size_bytes));
		else if (port_write(vcpu, io.port, io.size_bytes, out))
			exit_note_host(cpu);
		vcpu_skip_instruction(vcpu);
		action = EXIT_RESUME;
	}
	if (atomic_load_explicit(&vcpu->vm->state, memory_order_relaxed) != VM_RUNNING)
		return EXIT_LEAVE;
	return action;
}
