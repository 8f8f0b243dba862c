#include "hv/guest_memory.h"

#include "arch/cpu.h"
#include "arch/defs/cr.h"
#include "arch/guest_paging.h"
#include "arch/memory.h"
#include "arch/vmx.h"
#include "hv/vm.h"

#define LEVELS_MAX 4

/* The entries that a walk has read. */
struct walk {
	const struct vm *vm;
	uint8_t *entries[LEVELS_MAX];
	unsigned count;
};

static bool read_entry(void *context, gpa_t at, unsigned bytes, uint64_t *value)
{
	struct walk *walk = context;
	uint8_t *p = vm_memory(walk->vm, at, bytes);

	if (p == NULL)
		return false;
	walk->entries[walk->count++] = p;
	*value = 0;
	memcpy(value, p, bytes);
	return true;
}

/* As the CPU would: other vCPUs may be at the same entries. */
static void mark_entries(const struct guest_paging *paging, const struct walk *walk)
{
	for (unsigned i = 0; i < walk->count; i++) {
		const uint8_t marks = guest_paging_marks(paging, i, walk->count);

		if ((*walk->entries[i] & marks) != marks)
			__atomic_fetch_or(walk->entries[i], marks, __ATOMIC_RELAXED);
	}
}

static enum guest_memory_status translate(struct vcpu *vcpu, uint64_t linear, bool write, gpa_t *out)
{
	const struct guest_paging paging = {
		.cr0 = vmread(VMCS_GUEST_CR0),
		.cr3 = vmread(VMCS_GUEST_CR3),
		.cr4 = vmread(VMCS_GUEST_CR4),
		.efer = vmread(VMCS_GUEST_EFER),
		.user = vcpu_cpl() == 3,
		.write = write,
	};
	struct walk walk = {.vm = vcpu->vm};
	uint32_t error_code;

	if (guest_paging_walk(&paging, linear, read_entry, &walk, out, &error_code)) {
		mark_entries(&paging, &walk);
		return GUEST_MEMORY_OK;
	}
	vcpu->switched.cr2 = linear;
	write_cr2(linear);
	vcpu_inject_exception_error(vcpu, EXC_PF, error_code);
	return GUEST_MEMORY_FAULT;
}

/* Page by page: neighbours in linear memory need not be neighbours in physical memory. */
static enum guest_memory_status copy(struct vcpu *vcpu, uint64_t linear, uint8_t *data, unsigned bytes, bool write)
{
	enum guest_memory_status status = GUEST_MEMORY_OK;

	for (unsigned done = 0; done < bytes;) {
		const uint64_t left_in_page = PAGE_BYTES - (linear + done) % PAGE_BYTES;
		const unsigned step = left_in_page < bytes - done ? (unsigned)left_in_page : bytes - done;
		gpa_t at;
		uint8_t *p;

		if (translate(vcpu, linear + done, write, &at) != GUEST_MEMORY_OK)
			return GUEST_MEMORY_FAULT;
		p = vm_memory(vcpu->vm, at, step);
		if (p == NULL) {
			status = GUEST_MEMORY_NO_RAM;
			if (!write)
				memset(data + done, 0xff, step);
		} else if (write) {
			memcpy(p, data + done, step);
		} else {
			memcpy(data + done, p, step);
		}
		done += step;
	}
	return status;
}

enum guest_memory_status guest_memory_read(struct vcpu *vcpu, uint64_t linear, void *data, unsigned bytes)
{
	return copy(vcpu, linear, data, bytes, false);
}

enum guest_memory_status guest_memory_write(struct vcpu *vcpu, uint64_t linear, const void *data, unsigned bytes)
{
	return copy(vcpu, linear, (uint8_t *)(uintptr_t)data, bytes, true);
}
