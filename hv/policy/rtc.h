/* The clock and CMOS memory of a PC: MC146818, 128 bytes at ports 0x70 and 0x71. Pure: time comes in as a TSC. Nothing
 * here locks: one caller at a time.
 *
 * The clock runs on a 32768 Hz crystal. The update at the end of a second takes no time; UIP announces it 244 us
 * before. Setting the divider chain to reset, or SET, stops the clock as the data sheet says. A change of format (BCD
 * or binary, 12 or 24 hours) without SET converts the time, as other emulators do; the chip would leave that to
 * software.
 *
 * Sources: Motorola MC146818 data sheet, "Address Map", "Registers"; for the bytes of CMOS memory Ralf
 * Brown's CMOS.LST, and 0x5b to 0x5d as SeaBIOS and QEMU use them. */
#ifndef HV_POLICY_RTC_H
#define HV_POLICY_RTC_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/rtc.h"

#define RTC_BYTES 128
#define RTC_IRQ   8

struct rtc {
	uint8_t index;
	uint8_t bytes[RTC_BYTES]; /* as they read at tick `seen`, but for UIP, IRQF */
	uint64_t tsc_hz;
	uint64_t origin_tsc; /* crystal tick 0 */
	uint64_t seen;       /* the crystal tick up to which everything is done */
	uint64_t phase;      /* crystal ticks on the divider chain at `seen`; a second is 32768 */
};

/* Where the guest's RAM is, as the CMOS memory tells. */
struct rtc_memory {
	uint64_t below_4g_bytes; /* from address 0, with the hole below 1 MiB */
	uint64_t above_4g_bytes;
};

/* Power-up with a good battery, as firmware leaves it: the time is unix_seconds (since 1970, UTC), BCD, 24 hours.
 * tsc_hz: see tsc_scale.h. */
void rtc_reset(struct rtc *r, uint64_t unix_seconds, struct rtc_memory memory, uint64_t tsc_hz, uint64_t now_tsc);

/* Byte accesses to the two ports; the index is write-only (its NMI bit means nothing) and, as any other port, reads all
 * ones. Each may change rtc_line() and rtc_left(). */
uint8_t rtc_read(struct rtc *r, uint16_t port, uint64_t now_tsc);
void rtc_write(struct rtc *r, uint16_t port, uint8_t value, uint64_t now_tsc);

/* Lets the clock catch up. True: IRQ 8 is asserted, until register C is read. */
bool rtc_line(struct rtc *r, uint64_t now_tsc);

#define RTC_NEVER UINT64_MAX

/* TSC ticks until rtc_line() turns true by itself; 0: it is. RTC_NEVER: not before another access. */
uint64_t rtc_left(const struct rtc *r, uint64_t now_tsc);

/* The TSC that is given as now_tsc was set, by so much ahead (modulo 2^64): the time goes on undisturbed. */
void rtc_tsc_moved(struct rtc *r, uint64_t delta_tsc);

#endif
