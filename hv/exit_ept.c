/* EPT violations and APIC accesses: an address of the guest where there is no RAM. What answers there (the pages of
 * local APIC and I/O APIC) gets the access; where nothing does, reads give all ones, writes go nowhere, and both are
 * counted. What the decoder does not carry out at such an address, the guest does on a blank page (hv/vcpu_blank.h). */
#include "arch/cpu.h"
#include "arch/defs/cr.h"
#include "arch/defs/msr.h"
#include "arch/vmx.h"
#include "hv/exit.h"
#include "hv/guest_memory.h"
#include "hv/policy/lapic.h"
#include "hv/policy/mmio_decode.h"
#include "hv/policy/text.h"
#include "hv/vcpu_apic.h"
#include "hv/vcpu_blank.h"
#include "hv/vm.h"

static enum exit_action give_up(struct vcpu *vcpu, uint64_t at, const char *why)
{
	char buffer[16], text[96];

	text_format(text, sizeof(text), "unhandled exit: reason=%s gpa=0x%lx: %s",
		    exit_reason_name(vcpu->exit_reason & EXIT_REASON_BASIC_MASK, buffer, sizeof(buffer)), at, why);
	vm_crash(vcpu, text);
	return EXIT_LEAVE;
}

static enum mmio_mode mode_now(void)
{
	const uint64_t cs = vmread(VMCS_GUEST_CS_ACCESS_RIGHTS);

	if ((cs & AR_CS_L) && (vmread(VMCS_GUEST_EFER) & EFER_LMA))
		return MMIO_MODE_64;
	return cs & AR_CS_D ? MMIO_MODE_32 : MMIO_MODE_16;
}

/* The bytes at RIP as far as they are there: the instruction may end before a page that is not. *count: how many.
 * False: none, and a #PF is on its way. */
static bool fetch(struct vcpu *vcpu, uint8_t bytes[MMIO_INSTRUCTION_BYTES_MAX], unsigned *count)
{
	const uint64_t base = mode_now() == MMIO_MODE_64 ? 0 : vmread(VMCS_GUEST_CS_BASE);
	const uint64_t linear = base + vmread(VMCS_GUEST_RIP);
	const unsigned left_in_page = (unsigned)(PAGE_BYTES - linear % PAGE_BYTES);

	*count = MMIO_INSTRUCTION_BYTES_MAX;
	if (left_in_page >= MMIO_INSTRUCTION_BYTES_MAX)
		return guest_memory_read(vcpu, linear, bytes, *count) != GUEST_MEMORY_FAULT;
	if (guest_memory_read(vcpu, linear, bytes, left_in_page) == GUEST_MEMORY_FAULT)
		return false;

	/* A fault on the next page is not the guest's yet: it leaves no trace. */
	const uint64_t cr2 = read_cr2();

	if (guest_memory_read(vcpu, linear + left_in_page, bytes + left_in_page,
			      MMIO_INSTRUCTION_BYTES_MAX - left_in_page) == GUEST_MEMORY_FAULT) {
		vcpu->event.info = 0;
		vcpu->switched.cr2 = cr2;
		write_cr2(cr2);
		*count = left_in_page;
	}
	return true;
}

static bool is_apic_page(struct vcpu *vcpu, uint64_t at)
{
	return (at & ~(PAGE_BYTES - 1)) == LAPIC_PAGE_GPA && vcpu_apic_has_page(vcpu);
}

static bool is_ioapic_page(uint64_t at)
{
	return (at & ~(PAGE_BYTES - 1)) == IOAPIC_PAGE_GPA;
}

static uint64_t read_device(struct vcpu *vcpu, uint64_t at, unsigned size_bytes)
{
	if (is_apic_page(vcpu, at))
		return vcpu_apic_page_read(vcpu, (uint32_t)(at % PAGE_BYTES)) & exit_all_ones(size_bytes);
	if (is_ioapic_page(at))
		return platform_ioapic_read(vcpu->vm, (uint32_t)(at % PAGE_BYTES)) & exit_all_ones(size_bytes);
	vcpu->stats.unanswered++;
	return exit_all_ones(size_bytes);
}

static void write_device(struct vcpu *vcpu, uint64_t at, unsigned size_bytes, uint64_t value)
{
	if (is_apic_page(vcpu, at))
		vcpu_apic_page_write(vcpu, (uint32_t)(at % PAGE_BYTES), (uint32_t)value);
	else if (is_ioapic_page(at))
		platform_ioapic_write(vcpu->vm, (uint32_t)(at % PAGE_BYTES), size_bytes, (uint32_t)value);
	else
		vcpu->stats.unanswered++;
}

static void carry_out(struct vcpu *vcpu, const struct mmio_access *access, uint64_t at)
{
	const uint64_t memory = access->is_read ? read_device(vcpu, at, access->size_bytes) : 0;
	uint64_t rflags = vmread(VMCS_GUEST_RFLAGS);
	uint64_t result;

	vcpu->regs.gpr[GPR_RSP] = vmread(VMCS_GUEST_RSP);
	result = mmio_decode_apply(access, memory, &vcpu->regs, &rflags);
	vmwrite(VMCS_GUEST_RSP, vcpu->regs.gpr[GPR_RSP]);
	vmwrite(VMCS_GUEST_RFLAGS, rflags);
	if (access->is_write)
		write_device(vcpu, at, access->size_bytes, result);
	vcpu_skip_bytes(vcpu, access->length);
}

/* A device has registers and no memory: its pages cannot be blank. */
static enum exit_action without_decoding(struct percpu *cpu, struct vcpu *vcpu, uint64_t at, const char *what)
{
	if (is_apic_page(vcpu, at) || is_ioapic_page(at))
		return give_up(vcpu, at, what);
	if (!vcpu_blank_want(cpu, vcpu, at))
		return give_up(vcpu, at, "no address, or too many for an instruction");
	return EXIT_RESUME;
}

/* The instruction at RIP accesses a device at this address. */
static enum exit_action emulate(struct percpu *cpu, struct vcpu *vcpu, uint64_t at)
{
	uint8_t bytes[MMIO_INSTRUCTION_BYTES_MAX];
	struct mmio_access access;
	unsigned count;

	if (!fetch(vcpu, bytes, &count))
		return EXIT_RESUME;
	if (mmio_decode(bytes, count, mode_now(), &access) != MMIO_DECODED)
		return without_decoding(cpu, vcpu, at, "an instruction that is not emulated on a device");
	carry_out(vcpu, &access, at);
	return EXIT_RESUME;
}

enum exit_action exit_ept_violation(struct percpu *cpu, struct vcpu *vcpu)
{
	const uint64_t qualification = vmread(VMCS_EXIT_QUALIFICATION);
	const uint64_t at = vmread(VMCS_GUEST_PHYSICAL_ADDRESS);

	exit_note_host(cpu);
	if (qualification & EPT_VIOLATION_FETCH)
		return without_decoding(cpu, vcpu, at, "instruction fetch from a device");
	if ((qualification & EPT_VIOLATION_LINEAR) && !(qualification & EPT_VIOLATION_FINAL))
		return without_decoding(cpu, vcpu, at, "page tables in a device");
	if (!(qualification & EPT_VIOLATION_LINEAR) || (vcpu->event.info & INTR_INFO_VALID))
		return without_decoding(cpu, vcpu, at, "event delivery or descriptor access in a device");
	return emulate(cpu, vcpu, at);
}

/* What the CPU does not serve of the page. */
enum exit_action exit_apic_access(struct percpu *cpu, struct vcpu *vcpu)
{
	const uint64_t qualification = vmread(VMCS_EXIT_QUALIFICATION);
	const unsigned type = qualification >> APIC_ACCESS_TYPE_SHIFT & APIC_ACCESS_TYPE_MASK;
	const uint64_t at = LAPIC_PAGE_GPA + (qualification & APIC_ACCESS_OFFSET_MASK);

	exit_note_host(cpu);
	if (type == APIC_ACCESS_FETCH)
		return give_up(vcpu, at, "instruction fetch from a device");
	if (type != APIC_ACCESS_READ && type != APIC_ACCESS_WRITE)
		return give_up(vcpu, at, "event delivery or page tables in a device");
	return emulate(cpu, vcpu, at);
}
