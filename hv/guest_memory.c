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

static enum guest_memory_status translate(struct vcpu *vcpu, uint64_t linear, unsigned access, gpa_t *out)
{
	const struct guest_paging paging = {
		.cr0 = vmread(VMCS_GUEST_CR0),
		.cr3 = vmread(VMCS_GUEST_CR3),
		.cr4 = vmread(VMCS_GUEST_CR4),
		.efer = vmread(VMCS_GUEST_EFER),
		.user = !(access & GUEST_MEMORY_SYSTEM) && vcpu_cpl() == 3,
		.write = (access & GUEST_MEMORY_WRITE) != 0,
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
enum guest_memory_status guest_memory_find(struct vcpu *vcpu, uint64_t linear, unsigned bytes, unsigned access,
					   struct guest_memory_place *place)
{
	const uint64_t left_in_page = PAGE_BYTES - linear % PAGE_BYTES;
	const unsigned first = bytes < left_in_page ? bytes : (unsigned)left_in_page;
	enum guest_memory_status status = GUEST_MEMORY_OK;

	place->piece[0].bytes = first;
	place->piece[1].bytes = bytes - first;
	for (unsigned i = 0; i < 2 && place->piece[i].bytes != 0; i++) {
		gpa_t at;

		if (translate(vcpu, linear + i * first, access, &at) != GUEST_MEMORY_OK)
			return GUEST_MEMORY_FAULT;
		place->piece[i].at = vm_memory(vcpu->vm, at, place->piece[i].bytes);
		if (place->piece[i].at == NULL)
			status = GUEST_MEMORY_NO_RAM;
	}
	return status;
}

void guest_memory_take(const struct guest_memory_place *place, void *data)
{
	uint8_t *to = data;

	for (unsigned i = 0; i < 2; i++) {
		if (place->piece[i].bytes == 0)
			continue;
		if (place->piece[i].at == NULL)
			memset(to, 0xff, place->piece[i].bytes);
		else
			memcpy(to, place->piece[i].at, place->piece[i].bytes);
		to += place->piece[i].bytes;
	}
}

void guest_memory_put(const struct guest_memory_place *place, const void *data)
{
	const uint8_t *from = data;

	for (unsigned i = 0; i < 2; i++) {
		if (place->piece[i].bytes != 0 && place->piece[i].at != NULL)
			memcpy(place->piece[i].at, from, place->piece[i].bytes);
		from += place->piece[i].bytes;
	}
}

/* Most often an instruction's bytes, on one page. */
enum guest_memory_status guest_memory_read(struct vcpu *vcpu, uint64_t linear, void *data, unsigned bytes)
{
	struct guest_memory_place place;
	enum guest_memory_status status;
	const uint8_t *p;
	gpa_t at;

	if (bytes > PAGE_BYTES - linear % PAGE_BYTES) {
		status = guest_memory_find(vcpu, linear, bytes, GUEST_MEMORY_READ, &place);
		if (status != GUEST_MEMORY_FAULT)
			guest_memory_take(&place, data);
		return status;
	}
	if (translate(vcpu, linear, GUEST_MEMORY_READ, &at) != GUEST_MEMORY_OK)
		return GUEST_MEMORY_FAULT;
	p = vm_memory(vcpu->vm, at, bytes);
	if (p == NULL) {
		memset(data, 0xff, bytes);
		return GUEST_MEMORY_NO_RAM;
	}
	memcpy(data, p, bytes);
	return GUEST_MEMORY_OK;
}

enum guest_memory_status guest_memory_write(struct vcpu *vcpu, uint64_t linear, const void *data, unsigned bytes)
{
	struct guest_memory_place place;
	const enum guest_memory_status status = guest_memory_find(vcpu, linear, bytes, GUEST_MEMORY_WRITE, &place);

	if (status != GUEST_MEMORY_FAULT)
		guest_memory_put(&place, data);
	return status;
}
