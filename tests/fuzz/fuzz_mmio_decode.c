/* fuzz: max_len=24 runs=400000 */
/* Any bytes as an instruction: nothing is read outside of them, and what is decoded makes sense. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "hv/policy/mmio_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static bool is_size(unsigned bytes)
{
	return bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
}

static void check_access(const struct mmio_access *a, enum mmio_mode mode)
{
	CHECK(a->length >= 2 && a->length <= MMIO_INSTRUCTION_BYTES_MAX);
	CHECK(a->op >= MMIO_MOV && a->op <= MMIO_BTC);
	CHECK(is_size(a->size_bytes));
	CHECK(a->is_read || a->is_write);
	CHECK(!a->is_locked || (a->is_read && a->is_write));
	CHECK(mode == MMIO_MODE_64 || (a->size_bytes <= 4 && a->reg < GPR_R8));
	if (a->has_immediate)
		return;
	CHECK(a->reg < GPR_COUNT && is_size(a->reg_bytes) && a->reg_bytes >= a->size_bytes);
	CHECK(!a->high_byte || (a->reg_bytes == 1 && a->reg <= GPR_RBX));
}

/* Only the register that is named, the status flags and as many bytes as the operand has may change. */
static void check_apply(const struct mmio_access *a, const uint8_t *data, size_t size)
{
	struct guest_regs before, after;
	uint64_t memory = 0, rflags = 0, old_rflags, stored;

	memset(&before, 0xa5, sizeof(before));
	memcpy(&before, data, size);
	memcpy(&memory, data, size < sizeof(memory) ? size : sizeof(memory));
	memcpy(&rflags, data, size < sizeof(rflags) ? size : sizeof(rflags));
	old_rflags = rflags;
	after = before;
	stored = mmio_decode_apply(a, memory, &after, &rflags);
	CHECK(((rflags ^ old_rflags) & ~0x8d5ull) == 0);
	CHECK(!a->is_write || a->size_bytes == 8 || stored >> 8 * a->size_bytes == 0);
	for (unsigned i = 0; i < GPR_COUNT; i++)
		CHECK(after.gpr[i] == before.gpr[i] || (!a->has_immediate && i == a->reg));
	if (a->is_write && a->op != MMIO_XCHG)
		CHECK(memcmp(&after, &before, sizeof(after)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (unsigned mode = MMIO_MODE_16; mode <= MMIO_MODE_64; mode++) {
		struct mmio_access a, again;
		enum mmio_status status, shorter;
		uint8_t *exact = malloc(size ? size : 1);

		memcpy(exact, data, size);
		memset(&a, 0x5a, sizeof(a));
		again = a;
		status = mmio_decode(exact, size, (enum mmio_mode)mode, &a);
		free(exact);
		CHECK(status <= MMIO_UNKNOWN);
		CHECK(status != MMIO_SHORT || size < MMIO_INSTRUCTION_BYTES_MAX);
		CHECK(status != MMIO_TOO_LONG || size >= MMIO_INSTRUCTION_BYTES_MAX);
		if (status != MMIO_DECODED) {
			CHECK(memcmp(&a, &again, sizeof(a)) == 0);
			continue;
		}
		CHECK(a.length <= size);
		check_access(&a, (enum mmio_mode)mode);
		check_apply(&a, data, size);
		/* Its own bytes are enough, one less is not. */
		exact = malloc(a.length);
		memcpy(exact, data, a.length);
		CHECK(mmio_decode(exact, a.length, (enum mmio_mode)mode, &again) == MMIO_DECODED);
		CHECK(again.length == a.length);
		shorter = mmio_decode(exact, a.length - 1u, (enum mmio_mode)mode, &again);
		CHECK(shorter == MMIO_SHORT);
		free(exact);
	}
	return 0;
}
