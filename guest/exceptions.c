/* Does each exception come with its vector and error code, and at the instruction that it belongs to? */
#include <stdint.h>

#include "arch/defs/cr.h"
#include "guest/lib/answer.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/fpu.h"
#include "guest/lib/guest.h"
#include "guest/lib/irq.h"

/* SDM vol. 3A, "Exception and Interrupt Vectors". */
#define EXC_OF 4
#define EXC_BR 5

/* A GDT like that of lib/fault.c, and entries of ours behind it. */
#define GDT_OURS         6
#define GDT_ENTRIES      10
#define SELECTOR_ABSENT  ((GDT_OURS + 0) * 8)
#define SELECTOR_LOW     ((GDT_OURS + 1) * 8) /* writable data, the first page only */
#define SELECTOR_CODE    ((GDT_OURS + 2) * 8) /* code that cannot be read */
#define SELECTOR_TSS     ((GDT_OURS + 3) * 8) /* an available TSS, too short */
#define SELECTOR_BEYOND  0x7f8
#define DATA_ABSENT      0x00cf13000000ffffull
#define DATA_LOW         0x0040930000000fffull
#define CODE_EXECUTE     0x00cf99000000ffffull
#define TSS_TOO_SHORT    0x0000890000000010ull
#define LOW_LIMIT        0xfff
#define GATE_PRESENT     (1ull << 47)
#define IDT_VECTOR_LOST  0x90 /* its gate is taken away */
#define RFLAGS_AC        (1u << 18)
#define MXCSR_ALL_RAISED 0x0000 /* nothing is masked */

static uint64_t gdt[GDT_ENTRIES];

static void install_gdt(void)
{
	const struct fault_table ours = {sizeof(gdt) - 1, (uintptr_t)gdt};

	for (unsigned i = 0; i < GDT_OURS; i++)
		gdt[i] = ((const uint64_t *)fault_gdt.base)[i];
	gdt[GDT_OURS] = DATA_ABSENT;
	gdt[GDT_OURS + 1] = DATA_LOW;
	gdt[GDT_OURS + 2] = CODE_EXECUTE;
	gdt[GDT_OURS + 3] = TSS_TOO_SHORT;
	__asm__ volatile("lgdt %0" : : "m"(ours));
}

/* ---- attempts ---- */

#define ATTEMPT(name, ...)                     \
	static void name(void *argument)       \
	{                                      \
		(void)argument;                \
		__asm__ volatile(__VA_ARGS__); \
	}

ATTEMPT(divide_by_zero, "xorl %%ecx, %%ecx; movl $1, %%eax; cltd; divl %%ecx" : : : "eax", "ecx", "edx")
ATTEMPT(divide_overflow, "movl $1, %%ecx; xorl %%eax, %%eax; movl $1, %%edx; divl %%ecx" : : : "eax", "ecx", "edx")
ATTEMPT(divide_minimum, "movl $0x80000000, %%eax; cltd; movl $-1, %%ecx; idivl %%ecx" : : : "eax", "ecx", "edx")
ATTEMPT(aam_zero, "movl $7, %%eax; aam $0" : : : "eax")
ATTEMPT(single_step, "pushfl; orl $0x100, (%%esp); popfl; nop" : : : "memory")
ATTEMPT(int1, ".byte 0xf1")
ATTEMPT(int3, "int3")
ATTEMPT(into_overflow, "movl $0x7fffffff, %%eax; incl %%eax; into" : : : "eax")
ATTEMPT(into_nothing, "xorl %%eax, %%eax; into" : : : "eax")
ATTEMPT(ud2, "ud2")
ATTEMPT(lock_register, ".byte 0xf0, 0x01, 0xc0") /* lock add eax, eax */
ATTEMPT(mov_cs, ".byte 0x8e, 0xc8")              /* mov cs, ax */
ATTEMPT(x87_add, "fadd %st(1), %st")
ATTEMPT(sse_move, "movaps %xmm0, %xmm1")
ATTEMPT(wait_x87, "fwait")
ATTEMPT(x87_divide, "fninit; fldcw %0; fld1; fldz; fdivrp %%st, %%st(1); fwait" : : "m"(*(const uint16_t[]){0x340}))
ATTEMPT(sse_divide, "ldmxcsr %0; xorps %%xmm0, %%xmm0; divss %%xmm0, %%xmm0"
	:
	: "m"(*(const uint32_t[]){MXCSR_ALL_RAISED}))
ATTEMPT(ldmxcsr_reserved, "ldmxcsr %0" : : "m"(*(const uint32_t[]){0x10000}))
ATTEMPT(int_lost, "int $0x90")
ATTEMPT(load_absent_ds, "movw %w0, %%ds" : : "r"(SELECTOR_ABSENT))
ATTEMPT(load_absent_ss, "movw %w0, %%ss" : : "r"(SELECTOR_ABSENT))
ATTEMPT(load_null_ss, "movw %w0, %%ss" : : "r"(0))
ATTEMPT(load_beyond_es, "movw %w0, %%es" : : "r"(SELECTOR_BEYOND))
ATTEMPT(load_code_ss, "movw %w0, %%ss" : : "r"(SELECTOR_CODE))
ATTEMPT(jump_short_tss, "ljmp %0, $0" : : "i"(SELECTOR_TSS))
ATTEMPT(read_beyond_limit, "movw %w0, %%fs; movl %%fs:%c1, %%eax" : : "r"(SELECTOR_LOW), "i"(LOW_LIMIT) : "eax")
ATTEMPT(read_within_limit, "movw %w0, %%fs; movb %%fs:%c1, %%al" : : "r"(SELECTOR_LOW), "i"(LOW_LIMIT) : "eax")
ATTEMPT(read_null_segment, "movw %w0, %%gs; movl %%gs:0, %%eax" : : "r"(0) : "eax")
ATTEMPT(read_code_segment, "movw %w0, %%gs; movl %%gs:0, %%eax" : : "r"(SELECTOR_CODE) : "eax")
ATTEMPT(ltr_busy, "ltr %w0" : : "r"(5 * 8))
ATTEMPT(long_instruction, ".fill 15, 1, 0x66; nop")

static const uint32_t bounds[2] = {10, 20};
ATTEMPT(bound_below, "boundl %0, %1" : : "r"(9), "m"(bounds))
ATTEMPT(bound_within, "boundl %0, %1" : : "r"(20), "m"(bounds))

/* ---- attempts in ring 3; each ends in INT3 ---- */

#define RING3(name, text)                                       \
	static void name(void)                                  \
	{                                                       \
		__asm__ volatile(text "; int3" : : : "memory"); \
	}

RING3(ring3_nothing, "nop")
RING3(ring3_hlt, "hlt")
RING3(ring3_cli, "cli")
/* The TSS has its bitmap of ports at its own beginning: 0x80 is in it and clear, the other beyond its limit. */
RING3(ring3_in, "inb $0x80, %%al")
RING3(ring3_in_beyond, "movl $0x1230, %%edx; inb %%dx, %%al")
RING3(ring3_mov_cr0, "movl %%cr0, %%eax")
RING3(ring3_rdmsr, "rdmsr")
RING3(ring3_invlpg, "invlpg (%%esp)")
RING3(ring3_int_gate, "int $0x80")
RING3(ring3_misaligned, "pushfl; orl $0x40000, (%%esp); popfl; movl 1(%%esp), %%eax")
RING3(ring3_misaligned_without_ac, "movl 1(%%esp), %%eax")
RING3(ring3_rdtsc, "rdtsc")

static const struct {
	const char *name;
	void (*attempt)(void *);
} attempts[] = {
	{"de_divide_by_zero", divide_by_zero},
	{"de_divide_overflow", divide_overflow},
	{"de_divide_minimum", divide_minimum},
	{"de_aam_zero", aam_zero},
	{"db_single_step", single_step},
	{"db_int1", int1},
	{"bp_int3", int3},
	{"of_into", into_overflow},
	{"of_into_without_overflow", into_nothing},
	{"br_below", bound_below},
	{"br_within", bound_within},
	{"ud_ud2", ud2},
	{"ud_lock_on_register", lock_register},
	{"ud_mov_to_cs", mov_cs},
	{"ts_jump_to_short_tss", jump_short_tss},
	{"np_load_absent_ds", load_absent_ds},
	{"np_int_without_gate", int_lost},
	{"ss_load_absent_ss", load_absent_ss},
	{"gp_load_null_ss", load_null_ss},
	{"gp_load_code_ss", load_code_ss},
	{"gp_load_beyond_gdt", load_beyond_es},
	{"gp_beyond_limit", read_beyond_limit},
	{"gp_within_limit", read_within_limit},
	{"gp_null_segment", read_null_segment},
	{"gp_execute_only_segment", read_code_segment},
	{"gp_ltr_busy", ltr_busy},
	{"gp_16_byte_instruction", long_instruction},
	{"gp_mxcsr_reserved", ldmxcsr_reserved},
	{"mf_division", x87_divide},
	{"xm_division", sse_divide},
};

static const struct {
	const char *name;
	void (*code)(void);
} ring3_attempts[] = {
	{"ring3_nothing", ring3_nothing},
	{"ring3_hlt", ring3_hlt},
	{"ring3_cli", ring3_cli},
	{"ring3_in_allowed_by_tss", ring3_in},
	{"ring3_in_beyond_tss", ring3_in_beyond},
	{"ring3_mov_cr0", ring3_mov_cr0},
	{"ring3_rdmsr", ring3_rdmsr},
	{"ring3_invlpg", ring3_invlpg},
	{"ring3_int_through_ring0_gate", ring3_int_gate},
	{"ring3_misaligned_without_ac", ring3_misaligned_without_ac},
	{"ac_ring3_misaligned", ring3_misaligned},
};

/* CR0 bits make x87 and SSE instructions fault. */
static void ask_not_available(void)
{
	const uint32_t cr0 = read_cr0();

	write_cr0(cr0 | CR0_TS);
	answer_fault("nm_x87_with_ts", fault_try(x87_add, 0));
	answer_fault("nm_sse_with_ts", fault_try(sse_move, 0));
	answer_fault("nm_wait_with_ts", fault_try(wait_x87, 0));
	write_cr0(cr0 | CR0_EM);
	answer_fault("nm_x87_with_em", fault_try(x87_add, 0));
	answer_fault("ud_sse_with_em", fault_try(sse_move, 0));
	write_cr0(cr0);
	write_cr4(read_cr4() | CR4_TSD);
	answer_fault("gp_ring3_rdtsc_with_tsd", fault_try_ring3(ring3_rdtsc));
	write_cr4(read_cr4() & ~CR4_TSD);
}

static uint64_t *idt(void)
{
	struct fault_table idtr;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	return (uint64_t *)idtr.base;
}

/* A #GP whose gate is absent makes #NP, and the two together #DF. */
static void ask_double_fault(void)
{
	volatile uint64_t *gate = &idt()[EXC_GP];

	*gate &= ~GATE_PRESENT;
	answer_fault("df_gp_without_gate", fault_try(load_beyond_es, 0));
	*gate |= GATE_PRESENT;
}

static uint32_t nmis;

static void count_nmi(uint32_t vector)
{
	(void)vector;
	nmis++;
}

static void ask_nmi(void)
{
	irq_handle(EXC_NMI, count_nmi);
	apic_send(APIC_ICR_DELIVERY_NMI | APIC_ICR_ASSERT, apic_id());
	for (unsigned i = 0; i < 1000 && *(volatile uint32_t *)&nmis == 0; i++)
		cpu_pause();
	answer_number("nmi_to_self", nmis);
}

extern const char place_ud2[], place_int3[], place_after_int3[];
__asm__(".text\n"
	"place_ud2:	ud2\n"
	"place_int3:	int3\n"
	"place_after_int3: ret\n");

static void ask_places(void)
{
	fault_try((void (*)(void *))(uintptr_t)place_ud2, 0);
	answer_yes("fault_is_at_the_instruction", fault_eip == (uint32_t)(uintptr_t)place_ud2);
	fault_try((void (*)(void *))(uintptr_t)place_int3, 0);
	answer_yes("trap_is_after_the_instruction", fault_eip == (uint32_t)(uintptr_t)place_after_int3);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	(void)info;
	answer_start("exceptions");
	fault_install();
	irq_install();
	install_gdt();
	apic_enable(false);
	fpu_enable();
	write_cr0(read_cr0() | CR0_AM);
	idt()[IDT_VECTOR_LOST] &= ~GATE_PRESENT;
	for (unsigned i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++)
		answer_fault(attempts[i].name, fault_try(attempts[i].attempt, 0));
	for (unsigned i = 0; i < sizeof(ring3_attempts) / sizeof(ring3_attempts[0]); i++)
		answer_fault(ring3_attempts[i].name, fault_try_ring3(ring3_attempts[i].code));
	ask_not_available();
	ask_places();
	ask_double_fault();
	ask_nmi();
	answer_end();
}
