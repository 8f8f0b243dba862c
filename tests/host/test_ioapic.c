/* hv/policy/ioapic.c: registers as software probes them, and what pins, masks and EOIs make of messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "hv/policy/ioapic.h"

#define MASKED     (1u << 16)
#define LEVEL      (1u << 15)
#define REMOTE_IRR (1u << 14)
#define ACTIVE_LOW (1u << 13)
#define LOGICAL    (1u << 11)

static uint32_t get(struct ioapic *io, uint8_t select)
{
	ioapic_write(io, 0x00, select);
	assert_int_equal(ioapic_read(io, 0x00), select);
	return ioapic_read(io, 0x10);
}

static void put(struct ioapic *io, uint8_t select, uint32_t value)
{
	ioapic_write(io, 0x00, select);
	ioapic_write(io, 0x10, value);
}

static void entry(struct ioapic *io, unsigned pin, uint32_t low, uint32_t high)
{
	put(io, (uint8_t)(0x11 + 2 * pin), high);
	put(io, (uint8_t)(0x10 + 2 * pin), low);
}

/* The vector of the next message, -1 if there is none. */
static int next(struct ioapic *io)
{
	struct ioapic_message message;

	return ioapic_take(io, &message) ? message.ipi.vector : -1;
}

static void registers(void **state)
{
	struct ioapic io;

	(void)state;
	ioapic_reset(&io, 5);
	assert_int_equal(get(&io, 0), 5u << 24);
	assert_int_equal(get(&io, 1), 0x00170020);
	assert_int_equal(get(&io, 2), 5u << 24);
	put(&io, 0, 0xffffffff);
	assert_int_equal(get(&io, 0), 0x0f000000);
	put(&io, 1, 0);
	assert_int_equal(get(&io, 1), 0x00170020);
	for (unsigned pin = 0; pin < 24; pin++) {
		assert_int_equal(get(&io, (uint8_t)(0x10 + 2 * pin)), MASKED);
		assert_int_equal(get(&io, (uint8_t)(0x11 + 2 * pin)), 0);
		entry(&io, pin, 0xffffffff, 0xffffffff);
		assert_int_equal(get(&io, (uint8_t)(0x10 + 2 * pin)), 0x1afff);
		assert_int_equal(get(&io, (uint8_t)(0x11 + 2 * pin)), 0xff000000);
	}
	for (unsigned select = 0; select < 256; select++)
		if ((select > 2 && select < 0x10) || select >= 0x40) {
			put(&io, (uint8_t)select, 0xffffffff);
			assert_int_equal(get(&io, (uint8_t)select), 0);
		}
	for (uint32_t offset = 4; offset < 4096; offset += 4)
		if (offset != 0x10) {
			ioapic_write(&io, offset, 0);
			assert_int_equal(ioapic_read(&io, offset), 0);
		}
	assert_int_equal(next(&io), -1);
}

static void an_entry_becomes_a_message(void **state)
{
	(void)state;
	for (unsigned delivery = 0; delivery < 8; delivery++)
		for (unsigned bits = 0; bits < 4; bits++) {
			struct ioapic io;
			struct ioapic_message m;
			bool level = (bits & 1) && delivery <= 1;

			ioapic_reset(&io, 0);
			entry(&io, 7, 0x77 | delivery << 8 | (bits & 1 ? LEVEL : 0) | (bits & 2 ? LOGICAL : 0),
			      0xab000000);
			ioapic_set_pin(&io, 7, true);
			if (delivery == 3 || delivery == 6) {
				assert_false(ioapic_take(&io, &m));
				continue;
			}
			assert_true(ioapic_take(&io, &m));
			assert_int_equal(m.ipi.delivery, delivery);
			assert_int_equal(m.ipi.shorthand, LAPIC_TO_DESTINATION);
			assert_int_equal(m.ipi.vector, 0x77);
			assert_int_equal(m.ipi.logical, bits >> 1);
			assert_int_equal(m.ipi.destination, 0xab);
			assert_false(m.ipi.wide);
			assert_int_equal(m.level, level);
			assert_int_equal(m.pin, 7);
			assert_int_equal(get(&io, 0x1e) & REMOTE_IRR, level ? REMOTE_IRR : 0);
			assert_false(ioapic_take(&io, &m));
		}
}

static void a_message_finds_its_local_apic(void **state)
{
	struct ioapic io;
	struct ioapic_message m;
	static _Atomic uint32_t page[LAPIC_PAGE_BYTES / sizeof(uint32_t)];
	struct lapic l = {.page = page};

	(void)state;
	ioapic_reset(&io, 0);
	lapic_reset(&l, 3, false, 1);
	lapic_write(&l, 0xf0, 0x1ff, 0);
	entry(&io, 4, 0x44, 3u << 24);
	ioapic_set_pin(&io, 4, true);
	assert_true(ioapic_take(&io, &m));
	assert_true(lapic_is_target(&l, &m.ipi, LAPIC_NO_SENDER));
	assert_true(lapic_accept(&l, m.ipi.vector, m.level));
	assert_int_equal(lapic_pending(&l), 0x44);
	entry(&io, 4, 0x44, 2u << 24);
	ioapic_set_pin(&io, 4, false);
	ioapic_set_pin(&io, 4, true);
	assert_true(ioapic_take(&io, &m));
	assert_false(lapic_is_target(&l, &m.ipi, LAPIC_NO_SENDER));
}

static void edges(void **state)
{
	struct ioapic io;

	(void)state;
	ioapic_reset(&io, 0);
	entry(&io, 4, 0x44 | ACTIVE_LOW, 0);
	ioapic_set_pin(&io, 4, true);
	ioapic_set_pin(&io, 4, true);
	assert_int_equal(next(&io), 0x44);
	assert_int_equal(next(&io), -1);
	ioapic_set_pin(&io, 4, false);
	assert_int_equal(next(&io), -1);
	/* Masked, it is lost, even if the pin is still asserted when the mask goes. */
	entry(&io, 4, 0x44 | MASKED, 0);
	ioapic_set_pin(&io, 4, true);
	entry(&io, 4, 0x44, 0);
	assert_int_equal(next(&io), -1);
	ioapic_set_pin(&io, 24, true);
	assert_int_equal(next(&io), -1);
}

static void levels(void **state)
{
	struct ioapic io;

	(void)state;
	ioapic_reset(&io, 0);
	entry(&io, 9, 0x99 | LEVEL | MASKED, 0);
	ioapic_set_pin(&io, 9, true);
	assert_int_equal(next(&io), -1);
	entry(&io, 9, 0x99 | LEVEL, 0);
	assert_int_equal(next(&io), 0x99);
	assert_int_equal(next(&io), -1);
	ioapic_eoi(&io, 0x98);
	assert_int_equal(next(&io), -1);
	ioapic_eoi(&io, 0x99);
	assert_int_equal(next(&io), 0x99);
	/* Masking and unmasking in service sends nothing anew. */
	entry(&io, 9, 0x99 | LEVEL | MASKED, 0);
	entry(&io, 9, 0x99 | LEVEL, 0);
	assert_int_equal(next(&io), -1);
	assert_int_equal(get(&io, 0x22), 0x99 | LEVEL | REMOTE_IRR);
	ioapic_set_pin(&io, 9, false);
	ioapic_eoi(&io, 0x99);
	assert_int_equal(get(&io, 0x22), 0x99 | LEVEL);
	assert_int_equal(next(&io), -1);
	/* It fell before the message was taken. */
	ioapic_set_pin(&io, 9, true);
	ioapic_set_pin(&io, 9, false);
	assert_int_equal(next(&io), -1);
}

/* Linux, clear_IO_APIC_pin() and __eoi_ioapic_pin(): two ways to end what was in service. */
static void remote_irr_can_be_cleared(void **state)
{
	struct ioapic io;

	(void)state;
	ioapic_reset(&io, 0);
	entry(&io, 9, 0x99 | LEVEL, 0);
	ioapic_set_pin(&io, 9, true);
	assert_int_equal(next(&io), 0x99);
	entry(&io, 9, 0x99 | LEVEL | MASKED, 0);
	ioapic_write(&io, 0x40, 0x99);
	assert_int_equal(get(&io, 0x22), 0x99 | LEVEL | MASKED);
	entry(&io, 9, 0x99 | LEVEL, 0);
	assert_int_equal(next(&io), 0x99);
	entry(&io, 9, 0x99 | MASKED, 0);
	assert_int_equal(get(&io, 0x22), 0x99 | MASKED);
	entry(&io, 9, 0x99 | LEVEL, 0);
	assert_int_equal(next(&io), 0x99);
}

static void pins_that_share_a_vector(void **state)
{
	struct ioapic io;

	(void)state;
	ioapic_reset(&io, 0);
	for (unsigned pin = 16; pin < 20; pin++) {
		entry(&io, pin, 0x50 | LEVEL, 0);
		ioapic_set_pin(&io, pin, true);
	}
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned pin = 16; pin < 20; pin++) {
			struct ioapic_message m;

			assert_true(ioapic_take(&io, &m));
			assert_int_equal(m.pin, pin);
		}
		assert_int_equal(next(&io), -1);
		ioapic_eoi(&io, 0x50);
	}
}

/* ---- random programs: messages are counted pin by pin ---- */

struct model_pin {
	uint32_t low;
	bool asserted, irr, edge;
};

static unsigned model_messages(struct model_pin *pins)
{
	unsigned sent = 0;

	for (unsigned i = 0; i < 24; i++) {
		struct model_pin *p = &pins[i];

		if (p->low & MASKED)
			continue;
		if (p->low & LEVEL ? p->asserted && !p->irr : p->edge) {
			sent |= 1u << i;
			p->irr = p->low & LEVEL;
			p->edge = false;
		}
	}
	return sent;
}

static void random_programs(void **state)
{
	struct model_pin pins[24] = {{0}};
	struct ioapic io;

	(void)state;
	srand(82093);
	ioapic_reset(&io, 0);
	for (unsigned i = 0; i < 24; i++)
		pins[i].low = MASKED;
	for (unsigned step = 0; step < 200000; step++) {
		unsigned pin = (unsigned)rand() % 24, sent = 0;
		struct model_pin *p = &pins[pin];
		struct ioapic_message m;
		bool asserted = rand() % 2;

		switch (rand() % 4) {
		default:
			p->edge |= asserted && !p->asserted && !(p->low & (LEVEL | MASKED));
			p->asserted = asserted;
			ioapic_set_pin(&io, pin, asserted);
			break;
		case 0:
			p->low = (0x20 + (unsigned)rand() % 8) | (rand() % 2 ? LEVEL : 0) | (rand() % 3 ? 0 : MASKED);
			p->irr = p->irr && (p->low & LEVEL);
			p->edge = p->edge && !(p->low & (LEVEL | MASKED));
			put(&io, (uint8_t)(0x10 + 2 * pin), p->low);
			break;
		case 1:
			for (unsigned i = 0; i < 24; i++)
				if ((pins[i].low & 0xff) == 0x20 + pin % 8)
					pins[i].irr = false;
			ioapic_eoi(&io, (uint8_t)(0x20 + pin % 8));
			break;
		}
		if (rand() % 4 == 0)
			continue;
		while (ioapic_take(&io, &m)) {
			assert_false(sent >> m.pin & 1);
			sent |= 1u << m.pin;
		}
		assert_int_equal(sent, model_messages(pins));
		for (unsigned i = 0; i < 24; i++)
			assert_int_equal(get(&io, (uint8_t)(0x10 + 2 * i)),
					 pins[i].low | (pins[i].irr ? REMOTE_IRR : 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(registers),
		cmocka_unit_test(an_entry_becomes_a_message),
		cmocka_unit_test(a_message_finds_its_local_apic),
		cmocka_unit_test(edges),
		cmocka_unit_test(levels),
		cmocka_unit_test(remote_irr_can_be_cleared),
		cmocka_unit_test(pins_that_share_a_vector),
		cmocka_unit_test(random_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
