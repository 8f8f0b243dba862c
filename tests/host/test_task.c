/* hv/policy/task.c: what is saved is found again, at the offsets that the SDM gives; and which segments a task may
 * have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/cr.h"
#include "arch/defs/segment.h"
#include "hv/policy/task.h"

static struct task_state some_state(void)
{
	struct task_state state = {
		.pointer = 0x11112222, .flags = 0x33334444, .ldt = 0x28, .cr3 = 0x55556000, .trap = true};

	for (unsigned i = 0; i < TASK_GPRS; i++)
		state.gpr[i] = 0x01010101u * (i + 1);
	for (unsigned i = 0; i < TASK_SEGMENTS; i++)
		state.segment[i] = (uint16_t)(0x100 + i);
	return state;
}

static uint32_t word(const uint8_t *tss, unsigned at, unsigned bytes)
{
	uint32_t value = 0;

	memcpy(&value, tss + at, bytes);
	return value;
}

/* "32-Bit Task-State Segment (TSS)": EIP 32, EFLAGS 36, EAX 40, EDI 68, ES 72, GS 92. */
static void a_task_of_32_bits_lies_where_the_sdm_says(void **unused)
{
	const struct task_state state = some_state();
	uint8_t tss[TASK_TSS_BYTES] = {0}, bytes[TASK_TSS_BYTES];
	struct task_state loaded;
	unsigned start, count;

	(void)unused;
	assert_int_equal(task_tss_bytes(true), 104);
	count = task_save(&state, true, bytes, &start);
	assert_int_equal(start, 32);
	assert_int_equal(start + count, 96);
	memcpy(tss + start, bytes, count);
	assert_int_equal(word(tss, 32, 4), state.pointer);
	assert_int_equal(word(tss, 36, 4), state.flags);
	assert_int_equal(word(tss, 40, 4), state.gpr[0]);
	assert_int_equal(word(tss, 68, 4), state.gpr[7]);
	assert_int_equal(word(tss, 72, 4), state.segment[TASK_ES]);
	assert_int_equal(word(tss, 76, 4), state.segment[TASK_CS]);
	assert_int_equal(word(tss, 92, 4), state.segment[TASK_GS]);
	memcpy(tss + 28, &state.cr3, 4);
	memcpy(tss + 96, &state.ldt, 2);
	tss[100] = 1;
	memset(&loaded, 0xee, sizeof(loaded));
	task_load(&loaded, tss, true);
	assert_memory_equal(loaded.gpr, state.gpr, sizeof(state.gpr));
	assert_memory_equal(loaded.segment, state.segment, sizeof(state.segment));
	assert_int_equal(loaded.pointer, state.pointer);
	assert_int_equal(loaded.flags, state.flags);
	assert_int_equal(loaded.cr3, state.cr3);
	assert_int_equal(loaded.ldt, state.ldt);
	assert_true(loaded.trap);
}

/* "16-Bit Task-State Segment (TSS)": IP 14, FLAG 16, AX 18, DI 32, ES 34, DS 40, LDT 42. */
static void a_task_of_16_bits_has_less(void **unused)
{
	const struct task_state state = some_state();
	uint8_t tss[TASK_TSS_BYTES], bytes[TASK_TSS_BYTES];
	struct task_state loaded;
	unsigned start, count;

	(void)unused;
	memset(tss, 0xff, sizeof(tss));
	assert_int_equal(task_tss_bytes(false), 44);
	count = task_save(&state, false, bytes, &start);
	assert_int_equal(start, 14);
	assert_int_equal(start + count, 42);
	memcpy(tss + start, bytes, count);
	assert_int_equal(word(tss, 16, 2), 0x4444);
	assert_int_equal(word(tss, 32, 2), 0x0808);
	assert_int_equal(word(tss, 40, 2), state.segment[TASK_DS]);
	memcpy(tss + 42, &state.ldt, 2);
	task_load(&loaded, tss, false);
	assert_int_equal(loaded.pointer, 0x2222);
	assert_int_equal(loaded.gpr[7], 0x0808);
	assert_int_equal(loaded.segment[TASK_DS], state.segment[TASK_DS]);
	assert_int_equal(loaded.segment[TASK_FS], 0);
	assert_int_equal(loaded.ldt, state.ldt);
	assert_int_equal(loaded.cr3, 0);
	assert_false(loaded.trap);
}

static void descriptors_are_taken_apart(void **unused)
{
	const struct task_hidden flat = task_hidden_of(0x00cf93000000ffffull),
				 odd = task_hidden_of(0x12409b345678abcdull);

	(void)unused;
	assert_int_equal(flat.base, 0);
	assert_int_equal(flat.limit, 0xffffffff);
	assert_int_equal(flat.access_rights, 0xc093);
	assert_int_equal(odd.base, 0x12345678);
	assert_int_equal(odd.limit, 0xabcd);
	assert_int_equal(odd.access_rights, 0x409b);
}

/* Present, read and write, ring 0; code; conforming code. */
#define DATA(dpl) \
	(DESCRIPTOR_PRESENT | DESCRIPTOR_CODE_DATA | DESCRIPTOR_WRITABLE | (uint64_t)(dpl) << DESCRIPTOR_DPL_SHIFT)
#define CODE(dpl)       (DATA(dpl) | DESCRIPTOR_EXECUTABLE)
#define CONFORMING(dpl) (CODE(dpl) | DESCRIPTOR_CONFORMING)

static const struct {
	enum task_segment which;
	uint16_t selector;
	uint64_t descriptor;
	unsigned cpl, vector;
} cases[] = {
	{TASK_CS, 0x08, CODE(0), 0, TASK_SEGMENT_GOOD},
	{TASK_CS, 0x0b, CODE(3), 3, TASK_SEGMENT_GOOD},
	{TASK_CS, 0x0b, CODE(0), 3, EXC_TS},
	{TASK_CS, 0x08, CODE(3), 0, EXC_TS},
	{TASK_CS, 0x0b, CONFORMING(0), 3, TASK_SEGMENT_GOOD},
	{TASK_CS, 0x08, CONFORMING(3), 0, EXC_TS},
	{TASK_CS, 0x08, DATA(0), 0, EXC_TS},
	{TASK_CS, 0x08, CODE(0) & ~DESCRIPTOR_PRESENT, 0, EXC_NP},
	{TASK_CS, 0x08, CODE(0) & ~DESCRIPTOR_CODE_DATA, 0, EXC_TS},
	{TASK_SS, 0x10, DATA(0), 0, TASK_SEGMENT_GOOD},
	{TASK_SS, 0x10, DATA(0) & ~DESCRIPTOR_WRITABLE, 0, EXC_TS},
	{TASK_SS, 0x10, CODE(0), 0, EXC_TS},
	{TASK_SS, 0x13, DATA(0), 0, EXC_TS},
	{TASK_SS, 0x13, DATA(3), 3, TASK_SEGMENT_GOOD},
	{TASK_SS, 0x10, DATA(3), 0, EXC_TS},
	{TASK_SS, 0x10, DATA(0) & ~DESCRIPTOR_PRESENT, 0, EXC_SS},
	{TASK_DS, 0x10, DATA(0), 0, TASK_SEGMENT_GOOD},
	{TASK_DS, 0x10, DATA(0) & ~DESCRIPTOR_WRITABLE, 0, TASK_SEGMENT_GOOD},
	{TASK_DS, 0x13, DATA(0), 0, EXC_TS},
	{TASK_DS, 0x13, DATA(3), 3, TASK_SEGMENT_GOOD},
	{TASK_ES, 0x10, DATA(0), 3, EXC_TS},
	{TASK_FS, 0x08, CODE(0), 0, TASK_SEGMENT_GOOD},
	{TASK_FS, 0x08, CODE(0) & ~DESCRIPTOR_WRITABLE, 0, EXC_TS}, /* code that cannot be read */
	{TASK_GS, 0x0b, CONFORMING(0), 3, TASK_SEGMENT_GOOD},
	{TASK_GS, 0x10, DATA(0) & ~DESCRIPTOR_PRESENT, 0, EXC_NP},
	{TASK_GS, 0x10, DATA(0) & ~DESCRIPTOR_CODE_DATA, 0, EXC_TS},
};

static void a_task_has_only_segments_that_fit(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (task_segment_check(cases[i].which, cases[i].selector, cases[i].descriptor, cases[i].cpl) !=
		    cases[i].vector)
			fail_msg("case %u", i);
	assert_false(task_segment_may_be_null(TASK_CS));
	assert_false(task_segment_may_be_null(TASK_SS));
	assert_true(task_segment_may_be_null(TASK_DS));
	assert_int_equal(task_ldt_check(0x0000820000000007ull), TASK_SEGMENT_GOOD);
	assert_int_equal(task_ldt_check(0x0000020000000007ull), EXC_TS); /* absent */
	assert_int_equal(task_ldt_check(0x0000890000000007ull), EXC_TS); /* a TSS */
	assert_int_equal(task_ldt_check(0x0000920000000007ull), EXC_TS); /* data */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_task_of_32_bits_lies_where_the_sdm_says),
		cmocka_unit_test(a_task_of_16_bits_has_less),
		cmocka_unit_test(descriptors_are_taken_apart),
		cmocka_unit_test(a_task_has_only_segments_that_fit),
	};

	return cmocka_run_group_tests_name("task", tests, NULL, NULL);
}
