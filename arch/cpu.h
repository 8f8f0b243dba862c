/* One instruction each. */
#ifndef ARCH_CPU_H
#define ARCH_CPU_H

#include <stdint.h>

struct cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid_regs cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid_regs r;

	__asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
	return r;
}

/* RDMSR and RDTSC clear the upper halves of both registers. */
static inline uint64_t rdmsr(uint32_t msr)
{
	uint64_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint64_t lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return hi << 32 | lo;
}

/* Between what stands before it and what stands after it, loads and stores included (SDM vol. 2B, "RDTSC"). */
static inline uint64_t rdtsc_ordered(void)
{
	uint64_t lo, hi;

	__asm__ volatile("mfence; lfence; rdtsc; lfence" : "=a"(lo), "=d"(hi) : : "memory");
	return hi << 32 | lo;
}

/* After the loads that stand before it. */
static inline uint64_t rdtsc_after_loads(void)
{
	__asm__ volatile("lfence" : : : "memory");
	return rdtsc();
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void outb(uint16_t port, uint8_t v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}

static inline uint16_t inw(uint16_t port)
{
	uint16_t v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline void outw(uint16_t port, uint16_t v)
{
	__asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port));
}

#define CPU_READ_REGISTER(name)                                    \
	static inline uint64_t read_##name(void)                   \
	{                                                          \
		uint64_t v;                                        \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(v)); \
		return v;                                          \
	}
#define CPU_WRITE_REGISTER(name)                                            \
	static inline void write_##name(uint64_t v)                         \
	{                                                                   \
		__asm__ volatile("mov %0, %%" #name : : "r"(v) : "memory"); \
	}
CPU_READ_REGISTER(cr0)
CPU_READ_REGISTER(cr2)
CPU_READ_REGISTER(cr3)
CPU_READ_REGISTER(cr4)
CPU_WRITE_REGISTER(cr0)
CPU_WRITE_REGISTER(cr2)
CPU_WRITE_REGISTER(cr3)
CPU_WRITE_REGISTER(cr4)
CPU_READ_REGISTER(dr0)
CPU_READ_REGISTER(dr1)
CPU_READ_REGISTER(dr2)
CPU_READ_REGISTER(dr3)
CPU_READ_REGISTER(dr6)
CPU_WRITE_REGISTER(dr0)
CPU_WRITE_REGISTER(dr1)
CPU_WRITE_REGISTER(dr2)
CPU_WRITE_REGISTER(dr3)
CPU_WRITE_REGISTER(dr6)
CPU_WRITE_REGISTER(dr7)
#undef CPU_READ_REGISTER
#undef CPU_WRITE_REGISTER

static inline uint64_t xgetbv0(void)
{
	uint32_t lo, hi;

	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return ((uint64_t)hi << 32) | lo;
}

static inline void xsetbv0(uint64_t v)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

static inline void cpu_pause(void)
{
	__asm__ volatile("pause");
}

static inline void cpu_halt(void)
{
	__asm__ volatile("hlt");
}

#endif
