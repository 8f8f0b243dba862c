#include "hv/policy/task.h"

#include "arch/defs/cr.h"
#include "arch/defs/segment.h"

/* ---- task-state segments ---- */

struct layout {
	uint8_t pointer, element_bytes, segments, bytes;
};

static const struct layout layout_16 = {TSS16_POINTER, 2, TSS16_SEGMENTS, TSS16_BYTES};
static const struct layout layout_32 = {TSS32_POINTER, 4, TASK_SEGMENTS, TSS32_BYTES};

static const struct layout *layout_of(bool is_32bit)
{
	return is_32bit ? &layout_32 : &layout_16;
}

static void put(uint8_t **at, const struct layout *layout, uint32_t value)
{
	__builtin_memcpy(*at, &value, layout->element_bytes);
	*at += layout->element_bytes;
}

static uint32_t get(const uint8_t **at, const struct layout *layout)
{
	uint32_t value = 0;

	__builtin_memcpy(&value, *at, layout->element_bytes);
	*at += layout->element_bytes;
	return value;
}

unsigned task_tss_bytes(bool is_32bit)
{
	return layout_of(is_32bit)->bytes;
}

unsigned task_save(const struct task_state *state, bool is_32bit, uint8_t bytes[TASK_TSS_BYTES], unsigned *start)
{
	const struct layout *layout = layout_of(is_32bit);
	uint8_t *at = bytes;

	put(&at, layout, state->pointer);
	put(&at, layout, state->flags);
	for (unsigned i = 0; i < TASK_GPRS; i++)
		put(&at, layout, state->gpr[i]);
	for (unsigned i = 0; i < layout->segments; i++)
		put(&at, layout, state->segment[i]);
	*start = layout->pointer;
	return (unsigned)(at - bytes);
}

void task_load(struct task_state *out, const uint8_t *tss, bool is_32bit)
{
	const struct layout *layout = layout_of(is_32bit);
	const uint8_t *at = tss + layout->pointer;

	*out = (struct task_state){.pointer = get(&at, layout)};
	out->flags = get(&at, layout);
	for (unsigned i = 0; i < TASK_GPRS; i++)
		out->gpr[i] = get(&at, layout);
	for (unsigned i = 0; i < layout->segments; i++)
		out->segment[i] = (uint16_t)get(&at, layout);
	out->ldt = (uint16_t)get(&at, layout);
	if (!is_32bit)
		return;
	__builtin_memcpy(&out->cr3, tss + TSS32_CR3, sizeof(out->cr3));
	out->trap = tss[TSS32_TRAP] & 1;
}

/* ---- segments ---- */

#define ACCESS_RIGHTS_MASK 0xf0ffu

static unsigned dpl_of(uint64_t descriptor)
{
	return descriptor >> DESCRIPTOR_DPL_SHIFT & SELECTOR_RPL;
}

struct task_hidden task_hidden_of(uint64_t descriptor)
{
	uint32_t limit = (uint32_t)(descriptor & 0xffff) | (uint32_t)(descriptor >> 32 & 0xf0000);

	if (descriptor & DESCRIPTOR_GRANULARITY)
		limit = limit << 12 | 0xfff;
	return (struct task_hidden){
		.base = (uint32_t)(descriptor >> 16 & 0xffffff) | (uint32_t)(descriptor >> 32 & 0xff000000),
		.limit = limit,
		.access_rights = (uint32_t)(descriptor >> DESCRIPTOR_TYPE_SHIFT) & ACCESS_RIGHTS_MASK,
	};
}

bool task_segment_may_be_null(enum task_segment which)
{
	return which != TASK_CS && which != TASK_SS;
}

static bool fits_code(uint16_t selector, uint64_t descriptor)
{
	const unsigned rpl = selector & SELECTOR_RPL;

	if (!(descriptor & DESCRIPTOR_EXECUTABLE))
		return false;
	return descriptor & DESCRIPTOR_CONFORMING ? dpl_of(descriptor) <= rpl : dpl_of(descriptor) == rpl;
}

static bool fits_stack(uint16_t selector, uint64_t descriptor, unsigned cpl)
{
	return !(descriptor & DESCRIPTOR_EXECUTABLE) && (descriptor & DESCRIPTOR_WRITABLE) &&
	       (selector & SELECTOR_RPL) == cpl && dpl_of(descriptor) == cpl;
}

/* Conforming code that can be read may be used as data at any level. */
static bool fits_data(uint16_t selector, uint64_t descriptor, unsigned cpl)
{
	const unsigned rpl = selector & SELECTOR_RPL;

	if (descriptor & DESCRIPTOR_EXECUTABLE) {
		if (!(descriptor & DESCRIPTOR_WRITABLE))
			return false;
		if (descriptor & DESCRIPTOR_CONFORMING)
			return true;
	}
	return dpl_of(descriptor) >= cpl && dpl_of(descriptor) >= rpl;
}

unsigned task_segment_check(enum task_segment which, uint16_t selector, uint64_t descriptor, unsigned cpl)
{
	bool fits = which == TASK_CS   ? fits_code(selector, descriptor)
		    : which == TASK_SS ? fits_stack(selector, descriptor, cpl)
				       : fits_data(selector, descriptor, cpl);

	if (!(descriptor & DESCRIPTOR_CODE_DATA) || !fits)
		return EXC_TS;
	if (!(descriptor & DESCRIPTOR_PRESENT))
		return which == TASK_SS ? EXC_SS : EXC_NP;
	return TASK_SEGMENT_GOOD;
}

unsigned task_ldt_check(uint64_t descriptor)
{
	const bool is_ldt =
		!(descriptor & DESCRIPTOR_CODE_DATA) && (descriptor >> DESCRIPTOR_TYPE_SHIFT & 0xf) == SYSTEM_TYPE_LDT;

	return is_ldt && (descriptor & DESCRIPTOR_PRESENT) ? TASK_SEGMENT_GOOD : EXC_TS;
}
