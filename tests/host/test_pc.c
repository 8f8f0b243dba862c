/* hv/policy/pc.c and pc_ports.c: which port is whose, which line goes where, when there is something to wait for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/power.h"
#include "hv/policy/pc.h"
#include "hv/policy/pc_ports.h"

#define TSC_HZ     1000000000ull
#define MASKED     (1u << 16)
#define MS         (TSC_HZ / 1000)
#define PIT_PERIOD (11932 * TSC_HZ / 1193182) /* at 100 Hz */

static struct pc pc;
static uint64_t now;

static void start(void)
{
	const struct pc_start with = {
		.unix_seconds = 0, .low_bytes = 64 << 20, .high_bytes = 0, .cpu_count = 3, .tsc_hz = TSC_HZ};

	now = 1000;
	pc_reset(&pc, &with, now);
}

static uint32_t in(uint16_t port, unsigned size_bytes)
{
	return pc_ports_read(&pc, pc_ports_find(port), port, size_bytes, now);
}

static struct pc_effect out(uint16_t port, unsigned size_bytes, uint32_t value)
{
	return pc_ports_write(&pc, pc_ports_find(port), port, size_bytes, value, now);
}

static void outb(uint16_t port, uint8_t value)
{
	assert_int_equal(out(port, 1, value).end, PC_GOES_ON);
}

static void ioapic_entry(unsigned pin, uint32_t low)
{
	pc_ioapic_write(&pc, 0x00, 4, 0x10 + 2 * pin, now);
	pc_ioapic_write(&pc, 0x10, 4, low, now);
}

/* The pin of the next message, -1 if there is none. */
static int next_pin(void)
{
	struct ioapic_message message;

	return pc_take_message(&pc, &message) ? message.pin : -1;
}

static void pit_at_100_hz(unsigned mode)
{
	outb(0x43, (uint8_t)(0x30 | mode << 1));
	outb(0x40, 11932 & 0xff);
	outb(0x40, 11932 >> 8);
}

/* ---- whose port ---- */

static void every_port(void **state)
{
	static const struct {
		uint16_t first, last;
		enum pc_device device;
	} wanted[] = {
		{0x20, 0x21, PC_PIC},      {0xa0, 0xa1, PC_PIC},        {0x4d0, 0x4d1, PC_PIC},
		{0x40, 0x43, PC_PIT},      {0x61, 0x61, PC_PIT},        {0x64, 0x64, PC_KEYBOARD},
		{0x70, 0x71, PC_RTC},      {0xf4, 0xf4, PC_DEBUG_EXIT}, {0x3f8, 0x3ff, PC_UART},
		{0x510, 0x511, PC_FW_CFG}, {0x600, 0x60b, PC_ACPI},     {0xcf9, 0xcf9, PC_ACPI},
		{0xcf8, 0xcf8, PC_PCI},    {0xcfa, 0xcff, PC_PCI},      {0x8900, 0x8900, PC_SHUTDOWN},
	};

	(void)state;
	for (unsigned port = 0; port <= UINT16_MAX; port++) {
		enum pc_device device = PC_NOTHING;

		for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
			if (port >= wanted[i].first && port <= wanted[i].last)
				device = wanted[i].device;
		assert_int_equal(pc_ports_find((uint16_t)port), device);
	}
}

static void unanswered(void **state)
{
	(void)state;
	start();
	for (unsigned port = 0; port <= UINT16_MAX; port++) {
		if (pc_ports_answers_reads(pc_ports_find((uint16_t)port)))
			continue;
		assert_int_equal(in((uint16_t)port, 1), 0xff);
		assert_int_equal(in((uint16_t)port, 2), 0xffff);
		assert_int_equal(in((uint16_t)port, 4), 0xffffffff);
	}
	assert_false(pc_ports_answers_reads(PC_NOTHING));
	assert_true(pc_ports_answers_reads(PC_UART));
}

/* Wider accesses are bytes at successive ports, as far as the device reaches. */
static void wide_accesses(void **state)
{
	(void)state;
	start();
	out(0x3fb, 1, 0x80);
	out(0x3f8, 2, 0x1234); /* the divisor */
	assert_int_equal(in(0x3f8, 2), 0x1234);
	out(0x3ff, 4, 0xabcdef5a);
	assert_int_equal(in(0x3ff, 2), 0xff5a);
	out(0x70, 2, 0x7750); /* index, then data */
	assert_int_equal(in(0x71, 1), 0x77);
	assert_int_equal(in(0x71, 4), 0xffffff77);
	outb(0x21, 0xa5);
	assert_int_equal(in(0x20, 2) >> 8, 0xa5);
	assert_int_equal(in(0x43, 2), 0xffff); /* write-only, and the end */
}

static void devices_of_other_widths(void **state)
{
	(void)state;
	start();
	out(0x510, 1, 5); /* only a write of 2 bytes selects */
	out(0x510, 4, 5);
	out(0x511, 1, 5);
	assert_int_equal(in(0x511, 1), 'Q');
	out(0x510, 2, 5);
	assert_int_equal(in(0x511, 2), 0);
	assert_int_equal(in(0x511, 1), 3);
	assert_int_equal(in(0x510, 1), 0);

	out(0xcf8, 4, 0x80001234);
	outb(0xcfb, 0);
	outb(0xcf8, 0);
	assert_int_equal(in(0xcf8, 4), 0x80001234);
	assert_int_equal(in(0xcf8, 2), 0xffff);
	assert_int_equal(in(0xcfc, 4), 0xffffffff);
	assert_int_equal(in(0xcfe, 2), 0xffff);
	assert_int_equal(in(0xcf9, 2), 0xffff);
	assert_int_equal(in(0x604, 2), 1);
}

/* ---- ends ---- */

static void ends(void **state)
{
	static const char word[] = "Shut.Shutdown";

	(void)state;
	start();
	assert_int_equal(out(0xf4, 4, 7).end, PC_EXIT);
	for (unsigned i = 0; word[i] != '\0'; i++)
		assert_int_equal(out(0x8900, 1, (uint8_t)word[i]).end, word[i + 1] ? PC_GOES_ON : PC_SHUT_DOWN);
	assert_int_equal(out(0x8900, 1, 'n').end, PC_GOES_ON);
	assert_int_equal(out(0x604, 2, 0x2400).end, PC_GOES_ON); /* a sleeping state that is none */
	assert_int_equal(out(0x604, 2, 0x2000).end, PC_POWER_OFF);
	assert_int_equal(out(0xcf9, 2, 6).end, PC_GOES_ON);
	assert_int_equal(out(0xcf9, 1, 2).end, PC_GOES_ON);
	assert_int_equal(out(0xcf9, 1, 6).end, PC_RESET);
	assert_int_equal(in(0x64, 1) & (I8042_STATUS_BUSY | I8042_STATUS_OUTPUT), 0);
	assert_int_equal(in(0x64, 2) & 0xff00, 0xff00);
	assert_int_equal(out(0x64, 1, 0xd1).end, PC_GOES_ON);
	assert_int_equal(out(0x64, 1, 0xfe).end, PC_RESET);
	start();
	assert_int_equal(in(0xcf9, 1), 0);
}

static void sent_bytes(void **state)
{
	struct pc_effect effect;

	(void)state;
	start();
	effect = out(0x3f8, 1, 'a');
	assert_true(effect.sent);
	assert_int_equal(effect.byte, 'a');
	assert_false(out(0x3f9, 1, 'a').sent);
	effect = out(0x3f8, 2, 'b');
	assert_true(effect.sent);
	assert_int_equal(effect.byte, 'b');
}

/* ---- lines ---- */

static void all_masked_at_first(void **state)
{
	(void)state;
	start();
	assert_true(pc_left(&pc, now) == PC_NEVER);
	now += TSC_HZ;
	pc_fire(&pc, now);
	assert_false(pc_extint(&pc));
	assert_int_equal(next_pin(), -1);
}

static void timer_through_the_8259(void **state)
{
	(void)state;
	start();
	pit_at_100_hz(2);
	outb(0x21, 0xfe);
	/* What came while it was masked was kept: firmware's period was not over. */
	assert_false(pc_extint(&pc));
	for (unsigned i = 0; i < 5; i++) {
		const uint64_t left = pc_left(&pc, now);

		assert_true(left > 0 && left <= PIT_PERIOD + 2000);
		assert_false(pc_extint(&pc));
		now += left;
		assert_true(pc_left(&pc, now) == 0);
		pc_fire(&pc, now);
		assert_true(pc_extint(&pc));
		/* Requested already: more of them would change nothing. */
		assert_true(pc_left(&pc, now) == PC_NEVER);
		assert_int_equal(pc_acknowledge(&pc, now), 8);
		outb(0x20, 0x20);
	}
	assert_int_equal(next_pin(), -1);
}

/* Periods that pass between request and acknowledgement are part of that request. */
static void late_acknowledgement(void **state)
{
	(void)state;
	start();
	pit_at_100_hz(2);
	outb(0x21, 0xfe);
	now += PIT_PERIOD + MS;
	pc_fire(&pc, now);
	assert_true(pc_extint(&pc));
	now += 3 * PIT_PERIOD;
	assert_int_equal(pc_acknowledge(&pc, now), 8);
	assert_true(pc_left(&pc, now) > 0);
	pc_fire(&pc, now);
	outb(0x20, 0x20);
	assert_false(pc_extint(&pc));
}

/* An 8259 keeps an edge that comes while it is masked, an I/O APIC does not. */
static void masked_edges(void **state)
{
	(void)state;
	start();
	pit_at_100_hz(2);
	now += 2 * PIT_PERIOD;
	ioapic_entry(2, 0x50);
	assert_int_equal(next_pin(), -1);
	outb(0x21, 0xfe);
	assert_true(pc_extint(&pc));
}

static void timer_through_the_ioapic(void **state)
{
	(void)state;
	start();
	pit_at_100_hz(2);
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic_entry(pin, 0x40 + pin);
	for (unsigned i = 0; i < 5; i++) {
		now += pc_left(&pc, now);
		pc_fire(&pc, now);
		assert_int_equal(next_pin(), 2);
		assert_int_equal(next_pin(), -1);
	}
	assert_false(pc_extint(&pc));
	ioapic_entry(2, 0x50 | MASKED);
	assert_true(pc_left(&pc, now) == PC_NEVER);
}

static void clock_line(void **state)
{
	(void)state;
	start();
	out(0x70, 2, 0x420b); /* periodic, 1024 Hz */
	assert_true(pc_left(&pc, now) == PC_NEVER);
	now += 2 * MS;
	ioapic_entry(8, 0x58);
	outb(0x21, 0xfb);
	outb(0xa1, 0xfe);
	/* It is asserted already: requested from the 8259, lost to the I/O APIC. */
	assert_int_equal(next_pin(), -1);
	assert_true(pc_extint(&pc));
	assert_true(pc_left(&pc, now) == PC_NEVER);
	assert_int_equal(pc_acknowledge(&pc, now), 0x70);
	outb(0xa0, 0x20);
	outb(0x20, 0x20);
	outb(0x70, 0x0c);
	assert_int_equal(in(0x71, 1) & 0xc0, 0xc0);
	assert_true(pc_left(&pc, now) < MS);
	now += pc_left(&pc, now);
	pc_fire(&pc, now);
	assert_int_equal(next_pin(), 8);
	assert_true(pc_extint(&pc));

	/* The master's mask of the other one counts. */
	in(0x71, 1);
	ioapic_entry(8, 0x58 | MASKED);
	pc_acknowledge(&pc, now);
	assert_true(pc_left(&pc, now) != PC_NEVER);
	outb(0x21, 0xff);
	assert_true(pc_left(&pc, now) == PC_NEVER);
}

static void serial_line(void **state)
{
	(void)state;
	start();
	outb(0x21, 0xef);
	ioapic_entry(4, 0x54);
	outb(0x3f9, 2); /* the transmitter is empty */
	assert_true(pc_extint(&pc));
	assert_int_equal(next_pin(), 4);
	assert_int_equal(pc_acknowledge(&pc, now), 12);
	outb(0x20, 0x20);
	assert_int_equal(in(0x3fa, 1) & 7, 2);
	assert_false(pc_extint(&pc));
	out(0x3f8, 1, 'x');
	assert_true(pc_extint(&pc));
	assert_int_equal(next_pin(), 4);
	/* Sent while it is asserted: it fell meanwhile. */
	out(0x3f8, 1, 'y');
	assert_int_equal(next_pin(), 4);
	in(0x3fa, 1);
	pc_acknowledge(&pc, now);
	outb(0x20, 0x20);
	outb(0x3f9, 1);
	assert_true(uart16550_receive(&pc.uart, 'z'));
	pc_uart_line(&pc, false);
	assert_true(pc_extint(&pc));
	assert_int_equal(next_pin(), 4);
	assert_int_equal(in(0x3f8, 1), 'z');
	assert_false(ioapic_pin(&pc.ioapic, 4));
}

/* ---- time, and the I/O APIC's page ---- */

static void time_goes_on(void **state)
{
	uint32_t pm;

	(void)state;
	start();
	pit_at_100_hz(2);
	outb(0x21, 0xfe);
	now += MS;
	pm = in(0x608, 4);

	const uint64_t left = pc_left(&pc, now);

	for (unsigned i = 0; i < 2; i++) {
		const uint64_t delta = i == 0 ? 123456789012345 : -(uint64_t)987654321098765;

		now += delta;
		pc_tsc_moved(&pc, delta);
		assert_int_equal(in(0x608, 4), pm);
		assert_true(pc_left(&pc, now) == left);
	}
	now += TSC_HZ;
	assert_in_range(in(0x608, 4) - pm, 3579544, 3579546);
}

static void ioapic_page(void **state)
{
	(void)state;
	start();
	pc_ioapic_write(&pc, 0x00, 1, 0x01, now);
	assert_int_equal(pc_ioapic_read(&pc, 0x00), 1);
	assert_int_equal(pc_ioapic_read(&pc, 0x10), 0x00170020);
	assert_int_equal(pc_ioapic_read(&pc, 0x11), 0x001700);
	assert_int_equal(pc_ioapic_read(&pc, 0x12), 0x0017);
	assert_int_equal(pc_ioapic_read(&pc, 0x20), 0);
	ioapic_entry(5, 0x45);
	pc_ioapic_write(&pc, 0x10, 1, 0x99, now);
	pc_ioapic_write(&pc, 0x10, 2, 0x99, now);
	pc_ioapic_write(&pc, 0x10, 8, 0x99, now);
	assert_int_equal(pc_ioapic_read(&pc, 0x10), 0x45);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_port),
		cmocka_unit_test(unanswered),
		cmocka_unit_test(wide_accesses),
		cmocka_unit_test(devices_of_other_widths),
		cmocka_unit_test(ends),
		cmocka_unit_test(sent_bytes),
		cmocka_unit_test(all_masked_at_first),
		cmocka_unit_test(timer_through_the_8259),
		cmocka_unit_test(late_acknowledgement),
		cmocka_unit_test(masked_edges),
		cmocka_unit_test(timer_through_the_ioapic),
		cmocka_unit_test(clock_line),
		cmocka_unit_test(serial_line),
		cmocka_unit_test(time_goes_on),
		cmocka_unit_test(ioapic_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
