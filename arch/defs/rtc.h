/* The clock of a PC: its ports, registers and bits. Facts only.
 * Source: Motorola MC146818 data sheet, "Address Map", "Registers"; for the century Ralf Brown's CMOS.LST. */
#ifndef ARCH_DEFS_RTC_H
#define ARCH_DEFS_RTC_H

#define RTC_INDEX 0x70
#define RTC_DATA  0x71

#define RTC_SECONDS       0x00
#define RTC_SECONDS_ALARM 0x01
#define RTC_MINUTES       0x02
#define RTC_MINUTES_ALARM 0x03
#define RTC_HOURS         0x04
#define RTC_HOURS_ALARM   0x05
#define RTC_WEEKDAY       0x06
#define RTC_DAY           0x07
#define RTC_MONTH         0x08
#define RTC_YEAR          0x09
#define RTC_A             0x0a
#define RTC_B             0x0b
#define RTC_C             0x0c
#define RTC_D             0x0d
#define RTC_CENTURY       0x32

#define RTC_A_UIP      (1u << 7) /* an update comes within 244 us, or is under way */
#define RTC_B_SET      (1u << 7)
#define RTC_B_UIE      (1u << 4)
#define RTC_B_BINARY   (1u << 2) /* else BCD */
#define RTC_B_24_HOURS (1u << 1)
#define RTC_HOURS_PM   (1u << 7) /* without RTC_B_24_HOURS */

#endif
