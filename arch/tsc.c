/* Time by the TSC, which is measured against the 8254. */
#include "arch/tsc.h"

#include <stdbool.h>

#include "arch/cpu.h"
#include "arch/defs/cpuid.h"
#include "arch/defs/pc.h"

#define CALIBRATION_HZ        100 /* 10 ms */
/* Reads of port 0x61 take about a microsecond on a PC: a hundred times as long as it should take. */
#define CALIBRATION_READS_MAX 1000000u
/* Where neither tells: too fast for every machine, so that waits are too long rather than too short. */
#define TSC_HZ_FALLBACK       5000000000ull

#define HZ_PER_MHZ 1000000u

static uint64_t hz;

static bool pit_measure(uint64_t *out)
{
	uint32_t count = PIT_HZ / CALIBRATION_HZ;
	uint8_t idle = inb(NMI_SC_PORT) & NMI_SC_WRITABLE & ~(NMI_SC_GATE2 | NMI_SC_SPEAKER);
	uint32_t reads = 0;
	uint64_t start, end;

	outb(NMI_SC_PORT, idle);
	outb(PIT_CONTROL, PIT_CONTROL_CHANNEL2_MODE0);
	outb(PIT_CHANNEL2, count & 0xff);
	outb(PIT_CHANNEL2, count >> 8);
	outb(NMI_SC_PORT, idle | NMI_SC_GATE2);
	start = rdtsc();
	while (!(inb(NMI_SC_PORT) & NMI_SC_STATUS_OUT2) && reads < CALIBRATION_READS_MAX)
		reads++;
	end = rdtsc();
	outb(NMI_SC_PORT, idle);
	*out = (end - start) * PIT_HZ / count;
	return reads > 0 && reads < CALIBRATION_READS_MAX;
}

/* SDM vol. 2A, "CPUID--CPU Identification", leaf 15H: crystal (ECX) * EBX / EAX; any may be zero. */
static bool cpuid_tells(uint64_t *out)
{
	struct cpuid_regs r;

	if (cpuid(CPUID_VENDOR, 0).eax < CPUID_TSC_RATIO)
		return false;
	r = cpuid(CPUID_TSC_RATIO, 0);
	if (r.eax == 0 || r.ebx == 0 || r.ecx == 0)
		return false;
	*out = (uint64_t)r.ecx * r.ebx / r.eax;
	return true;
}

void tsc_calibrate(void)
{
	uint64_t measured;

	if (pit_measure(&measured) || cpuid_tells(&measured))
		hz = measured;
	else
		hz = TSC_HZ_FALLBACK;
}

uint64_t tsc_hz(void)
{
	return hz;
}

uint64_t tsc_mhz(void)
{
	return (hz + HZ_PER_MHZ / 2) / HZ_PER_MHZ;
}

void tsc_delay_us(uint64_t us)
{
	uint64_t start = rdtsc();
	uint64_t ticks = us * hz / 1000000;

	while (rdtsc() - start < ticks)
		cpu_pause();
}
