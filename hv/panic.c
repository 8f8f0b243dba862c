#include "hv/panic.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/apic.h"
#include "arch/cpu.h"
#include "arch/defs/msr.h"
#include "arch/trap.h"
#include "arch/tsc.h"
#include "hv/console.h"
#include "hv/percpu.h"
#include "hv/policy/text.h"

#define PANIC_TEXT_BYTES 448
#define STOP_PATIENCE_US 100000 /* for the others to finish their lines */

static atomic_flag panicking = ATOMIC_FLAG_INIT;
static _Atomic bool stop_asked;
static _Atomic uint32_t stopped_count;
static const struct percpu *_Atomic panicking_cpu;

/* An NMI ends HLT, so again. IF is always 0. */
static _Noreturn void halt(void)
{
	for (;;)
		cpu_halt();
}

static _Noreturn void stop_here(void)
{
	atomic_fetch_add_explicit(&stopped_count, 1, memory_order_relaxed);
	halt();
}

void panic_stop_if_asked(void)
{
	if (atomic_load_explicit(&stop_asked, memory_order_relaxed))
		stop_here();
}

/* NULL early in the boot: percpu_this() must not be used before the GS base is set. */
static const struct percpu *self_or_null(void)
{
	return (const struct percpu *)(uintptr_t)rdmsr(MSR_IA32_GS_BASE);
}

/* Others finish the line that they are printing, unless they wait for a lock that we hold. */
static void stop_others(const struct percpu *self)
{
	const uint64_t start = rdtsc();
	const uint64_t patience = tsc_hz() / 1000000 * STOP_PATIENCE_US;
	uint32_t others = 0;

	atomic_store_explicit(&stop_asked, true, memory_order_relaxed);
	for (uint32_t i = 0; i < percpu_count && self != NULL; i++) {
		if (&percpus[i] == self)
			continue;
		apic_send_nmi(percpus[i].arch.apic_id);
		others++;
	}
	while (atomic_load_explicit(&stopped_count, memory_order_relaxed) < others && rdtsc() - start < patience)
		cpu_pause();
}

/* The first pCPU that comes here goes on, alone. One that panics while it panics says no more. */
static void begin(void)
{
	const struct percpu *self = self_or_null();

	if (atomic_flag_test_and_set_explicit(&panicking, memory_order_relaxed)) {
		if (self == atomic_load_explicit(&panicking_cpu, memory_order_relaxed))
			halt();
		stop_here();
	}
	atomic_store_explicit(&panicking_cpu, self, memory_order_relaxed);
	stop_others(self);
	console_seize();
}

static _Noreturn void end(void)
{
	console_flush();
	halt();
}

void panic(const char *format, ...)
{
	char text[PANIC_TEXT_BYTES];
	va_list args;

	begin();
	va_start(args, format);
	console_text("[panic] ", text, (unsigned)text_format_va(text, sizeof(text), format, args));
	va_end(args);
	end();
}

/* SDM vol. 3A, "Exception and Interrupt Vectors". */
static const char *vector_name(uint64_t vector)
{
	static const char *const NAMES[] = {
		"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "coprocessor overrun",
		"#TS", "#NP", "#SS", "#GP", "#PF", "",    "#MF", "#AC", "#MC", "#XM",
		"#VE", "#CP",
	};

	return vector < sizeof(NAMES) / sizeof(NAMES[0]) ? NAMES[vector] : "";
}

void hv_fatal_trap(const struct trap_frame *f)
{
	const struct percpu *self = self_or_null();

	begin();
	console_line("[panic] fatal trap: vector=%lu name=\"%s\" error_code=0x%lx rip=0x%lx cr2=0x%lx cpu=%u",
		     f->vector, vector_name(f->vector), f->error_code, f->rip, read_cr2(),
		     self != NULL ? self->arch.index : 0);
	console_line("[panic] rax=0x%lx rbx=0x%lx rcx=0x%lx rdx=0x%lx rsi=0x%lx rdi=0x%lx rbp=0x%lx rsp=0x%lx", f->rax,
		     f->rbx, f->rcx, f->rdx, f->rsi, f->rdi, f->rbp, f->rsp);
	console_line("[panic] r8=0x%lx r9=0x%lx r10=0x%lx r11=0x%lx r12=0x%lx r13=0x%lx r14=0x%lx r15=0x%lx", f->r8,
		     f->r9, f->r10, f->r11, f->r12, f->r13, f->r14, f->r15);
	console_line("[panic] cs=0x%lx ss=0x%lx rflags=0x%lx cr0=0x%lx cr3=0x%lx cr4=0x%lx", f->cs, f->ss, f->rflags,
		     read_cr0(), read_cr3(), read_cr4());
	end();
}
