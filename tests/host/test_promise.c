/* hv/policy/promise.c: every small word under every operation, and long random histories against a plain model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hv/policy/promise.h"

/* Words with every combination of the flags and of the told bits of vCPUs 0, 1 and 31. */
#define WORDS 64

static promise_t word_make(unsigned i)
{
	promise_t word = 0;

	word |= i & 1 ? 1ull << 0 : 0;
	word |= i & 2 ? 1ull << 1 : 0;
	word |= i & 4 ? 1ull << 31 : 0;
	word |= i & 8 ? PROMISE_SKIP : 0;
	word |= i & 16 ? PROMISE_SEALED : 0;
	word |= i & 32 ? PROMISE_BROKEN : 0;
	return word;
}

static void start_holds_the_bit_and_no_past(void **state)
{
	(void)state;
	assert_true(promise_start(false, false) == 0);
	assert_true(promise_start(true, false) == PROMISE_SKIP);
	assert_true(promise_start(false, true) == PROMISE_SEALED);
	assert_true(promise_start(true, true) == (PROMISE_SKIP | PROMISE_SEALED));
}

static void read_records_exactly_the_reader_of_a_1(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WORDS; i++) {
		for (unsigned vcpu = 0; vcpu < PROMISE_VCPUS_MAX; vcpu++) {
			promise_t word = word_make(i), after = promise_read(word, vcpu);

			assert_true(after == (word & PROMISE_SKIP ? word | 1ull << vcpu : word));
			assert_true((after & ~PROMISE_TOLD_MASK) == (word & ~PROMISE_TOLD_MASK));
			assert_true(promise_read(after, vcpu) == after);
		}
	}
}

/* Trap 11: a promise that was read outlives the bit, whatever the mode becomes and however often 0 is read. */
static void trap11_a_told_vm_stays_owed_until_it_acknowledges(void **state)
{
	(void)state;
	promise_t word = promise_read(promise_start(true, false), 3);

	assert_false(promise_owed(word, true, true));
	word = promise_set_skip(word, false);
	assert_true(promise_owed(word, true, false));
	word = promise_read(word, 3);
	assert_true(promise_owed(word, true, false));
	assert_true(promise_owed(promise_set_skip(promise_set_skip(word, true), false), true, false));
	assert_false(promise_owed(word, false, false));
	assert_false(promise_owed(promise_ack(word), true, false));
}

static void nobody_told_nothing_owed(void **state)
{
	(void)state;
	promise_t word = promise_set_skip(promise_start(true, false), false);

	assert_false(promise_owed(word, true, false));
	assert_false(promise_owed(promise_read(word, 0), true, false));
}

static void set_skip_moves_one_bit_and_none_of_a_sealed_word(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WORDS; i++) {
		promise_t word = word_make(i);

		if (word & PROMISE_SEALED) {
			assert_true(promise_set_skip(word, false) == word);
			assert_true(promise_set_skip(word, true) == word);
		} else {
			assert_true(promise_set_skip(word, false) == (word & ~PROMISE_SKIP));
			assert_true(promise_set_skip(word, true) == (word | PROMISE_SKIP));
		}
	}
}

static void ack_ends_the_debt_only_without_the_bit(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WORDS; i++) {
		promise_t word = word_make(i), after = promise_ack(word);

		assert_true((after & (PROMISE_SKIP | PROMISE_SEALED)) == (word & (PROMISE_SKIP | PROMISE_SEALED)));
		if (word & PROMISE_SKIP)
			assert_true((after & PROMISE_TOLD_MASK) == (word & PROMISE_TOLD_MASK));
		else
			assert_true(!promise_told(after) && !(after & PROMISE_BROKEN));
		assert_true(promise_ack(after) == after);
	}
}

/* A VM that relies on the bit is flushed, owed or marked: it is never unflushed and looks whole. */
static void ack_of_a_bit_that_nobody_read_again_leaves_the_breach_marked(void **state)
{
	(void)state;
	promise_t word = promise_force(promise_read(promise_start(true, true), 0), false);

	assert_true(promise_ack(word) & PROMISE_BROKEN);
	word = promise_ack(promise_read(word, 0));
	assert_false(word & PROMISE_BROKEN);
	assert_true(promise_owed(word, true, false));
}

static void force_drops_a_debt_and_marks_it_but_only_a_debt(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WORDS; i++) {
		promise_t word = word_make(i), after = promise_force(word, false);

		assert_true(promise_force(word, true) == word);
		assert_false(promise_told(after));
		assert_true((after & (PROMISE_SKIP | PROMISE_SEALED)) == (word & (PROMISE_SKIP | PROMISE_SEALED)));
		assert_true(!(after & PROMISE_BROKEN) ==
			    !(promise_told(word) || word & (PROMISE_BROKEN | PROMISE_SKIP)));
	}
}

static void owed_is_needed_and_not_flushing_and_told_or_shown(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WORDS; i++) {
		promise_t word = word_make(i);
		bool shown = word & PROMISE_SKIP && !(word & PROMISE_BROKEN);

		for (unsigned needed = 0; needed < 2; needed++) {
			for (unsigned flushing = 0; flushing < 2; flushing++) {
				assert_true(promise_owed(word, needed, flushing) ==
					    (needed && !flushing && (promise_told(word) || shown)));
			}
		}
	}
}

/* The same rules as a story: who saw what, in plain variables. */
struct story {
	bool skip, sealed, broken;
	bool told[PROMISE_VCPUS_MAX];
};

static bool story_told(const struct story *s)
{
	for (unsigned v = 0; v < PROMISE_VCPUS_MAX; v++) {
		if (s->told[v])
			return true;
	}
	return false;
}

static void story_forget(struct story *s)
{
	for (unsigned v = 0; v < PROMISE_VCPUS_MAX; v++)
		s->told[v] = false;
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void random_histories_agree_with_the_story(void **state)
{
	(void)state;
	uint64_t seed = 0x5107ce;

	for (unsigned run = 0; run < 200; run++) {
		uint64_t r = next_random(&seed);
		struct story s = {.skip = r >> 8 & 1, .sealed = (r >> 9 & 3) == 0};
		promise_t word = promise_start(s.skip, s.sealed);

		for (unsigned step = 0; step < 500; step++) {
			r = next_random(&seed);
			unsigned vcpu = r >> 16 & 31;
			bool flag = r >> 24 & 1;

			switch (r >> 32 & 3) {
			case 0:
				word = promise_read(word, vcpu);
				if (s.skip)
					s.told[vcpu] = true;
				break;
			case 1:
				word = promise_set_skip(word, flag);
				if (!s.sealed)
					s.skip = flag;
				break;
			case 2:
				word = promise_ack(word);
				if (!s.skip || story_told(&s))
					s.broken = false;
				if (!s.skip)
					story_forget(&s);
				break;
			default:
				word = promise_force(word, flag);
				if (!flag && (story_told(&s) || (s.skip && !s.broken))) {
					s.broken = true;
					story_forget(&s);
				}
			}
			assert_true(!(word & PROMISE_SKIP) == !s.skip);
			assert_true(!(word & PROMISE_SEALED) == !s.sealed);
			assert_true(!(word & PROMISE_BROKEN) == !s.broken);
			for (unsigned v = 0; v < PROMISE_VCPUS_MAX; v++)
				assert_true((word >> v & 1) == s.told[v]);
			assert_true(word >> 35 == 0);
			assert_true(promise_owed(word, true, false) == (story_told(&s) || (s.skip && !s.broken)));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_holds_the_bit_and_no_past),
		cmocka_unit_test(read_records_exactly_the_reader_of_a_1),
		cmocka_unit_test(trap11_a_told_vm_stays_owed_until_it_acknowledges),
		cmocka_unit_test(nobody_told_nothing_owed),
		cmocka_unit_test(set_skip_moves_one_bit_and_none_of_a_sealed_word),
		cmocka_unit_test(ack_ends_the_debt_only_without_the_bit),
		cmocka_unit_test(ack_of_a_bit_that_nobody_read_again_leaves_the_breach_marked),
		cmocka_unit_test(force_drops_a_debt_and_marks_it_but_only_a_debt),
		cmocka_unit_test(owed_is_needed_and_not_flushing_and_told_or_shown),
		cmocka_unit_test(random_histories_agree_with_the_story),
	};

	return cmocka_run_group_tests_name("promise", tests, NULL, NULL);
}
