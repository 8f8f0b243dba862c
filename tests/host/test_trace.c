/* hv/trace.c as it is, with a pCPU that makes entries as hv/vcpu_run.c does: what was written last can be read,
 * wherever the state rows fall. The rest of the hypervisor is what the linker asks for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hv/trace.c"

/* ---- the rest of the hypervisor ---- */

struct percpu percpus[CPUS_MAX];
uint32_t percpu_count = 1;
struct vm vms[VMS_MAX];
uint32_t vm_count = 1;
struct handshake regime_handshake = {.gen = 1};

static struct regime regime;

const struct regime *regime_now(void)
{
	return &regime;
}

struct vm *vm_built_in(unsigned number)
{
	return &vms[VMS_MAX - VMS_BUILT_IN + number];
}

hpa_t pages_take(uint64_t count, uint64_t align_pages)
{
	return hpa((uintptr_t)aligned_alloc(align_pages * PAGE_BYTES, count * PAGE_BYTES));
}

/* ---- a pCPU ---- */

#define ROUNDS 3000

/* The plan of the last entry stands, as hv/vcpu_run.c sees it. */
static void enter(struct percpu *cpu, uint64_t n)
{
	struct trace_ring *ring = &cpu->trace;

	if (cpu->standing.stands_gen == regime_gen() && !trace_state_is_due(ring)) {
		trace_entry_again(ring, n, (uint16_t)n);
	} else {
		struct trace_row *row = trace_entry(cpu);

		assert_int_equal(row->entry.n, n);
		row->tsc = n;
		row->gen = regime_gen();
		row->type = TRACE_ENTRY;
		row->flags = 0;
		row->entry.after = (uint16_t)n;
		cpu->standing.stands_gen = regime_gen();
	}
	trace_commit(ring);
}

/* A reading of the capabilities that records nothing new, as hv/exit_msr.c. */
static void read_caps(struct percpu *cpu)
{
	if (!trace_state_is_due(&cpu->trace))
		trace_capread_again(&cpu->trace, regime_gen(), 0, 0, 0);
	else
		trace_capread(cpu, trace_begin(cpu), regime_gen(), &vms[0], 0, 0, false);
}

static void assert_last_is_entry(struct percpu *cpu, uint64_t n)
{
	struct trace_row row;

	assert_true(trace_take(&cpu->trace, cpu->trace.head - 1, &row));
	assert_int_equal(row.type, TRACE_ENTRY);
	assert_int_equal(row.entry.n, n);
	assert_int_equal(row.entry.after, (uint16_t)n);
	assert_int_equal(row.tsc, n);
}

/* In some of these rhythms every state row comes before a capread, and no entry would write one. */
static void what_was_written_last_can_be_read(void **state)
{
	(void)state;
	for (unsigned capacity = 4; capacity <= 1024; capacity *= 4)
		for (unsigned phase = 0; phase < 4; phase++)
			for (unsigned each = 1; each <= 3; each++) {
				struct percpu *cpu = &percpus[0];
				uint64_t n = 0;

				*cpu = (struct percpu){0};
				assert_true(trace_ring_init(&cpu->trace, capacity));
				for (unsigned i = 0; i < phase; i++)
					enter(cpu, n++);
				for (unsigned round = 0; round < ROUNDS; round++) {
					for (unsigned i = 0; i < each; i++) {
						enter(cpu, n);
						assert_last_is_entry(cpu, n++);
					}
					read_caps(cpu);
				}
				free(cpu->trace.rows);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_last_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
