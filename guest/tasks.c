/* Do switches of tasks work: by CALL, JMP, IRET and gates, to and fro, with all that belongs to a task? Few CPUs
 * emulate them well under a hypervisor, which must carry them out itself. SDM vol. 3A, "Task Management". */
#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/cr.h"
#include "arch/defs/task.h"
#include "guest/lib/answer.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/paging.h"

/* A GDT like that of lib/fault.c, and entries of ours behind it. */
enum gdt_entry { OURS = 6, MAIN = OURS, OTHER, LDT, ABSENT_DATA, CODE_16, GDT_ENTRIES };

#define SELECTOR(entry) ((entry)*8)
#define SELECTOR_CODE   0x08
#define SELECTOR_DATA   0x10
#define SELECTOR_BEYOND 0x7f8
#define SELECTOR_LOCAL  (0 | SELECTOR_LDT)

#define TSS32_AVAILABLE 0x89ull
#define TSS16_AVAILABLE 0x81ull
#define LDT_PRESENT     0x82ull
#define DATA_ABSENT     0x00cf13000000ffffull
#define DATA_LOW        0x0040930000000fffull
#define CODE_16_FLAT    0x00009b000000ffffull
#define TYPE_SHIFT      40
#define TASK_GATE       0x0000e50000000000ull
#define GATE_VECTOR     0x90
#define EXC_GP_VECTOR   13

/* Below 1 MiB, where a task of 16 bits and one in virtual-8086 mode can run. */
#define LOW_CODE  0x7000u
#define LOW_DATA  0x7800u
#define LOW_STACK 0x7f00u

#define WORD_BY_FS       0x800u
#define ALTERED_PAGE     0x20000000u
#define LARGE_PAGE_BYTES 0x200000u
#define STACK_BYTES      4096

struct tss32 {
	uint32_t link, esp0, ss0, unused[4], cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi;
	uint32_t es, cs, ss, ds, fs, gs, ldt;
	uint16_t trap, ports;
};

struct tss16 {
	uint16_t link, unused[6], ip, flags, ax, cx, dx, bx, sp, bp, si, di, es, cs, ss, ds, ldt;
};

/* The compiler is not to reason about what no object of C is at. */
static volatile uint8_t *at_address(uint32_t address)
{
	__asm__("" : "+r"(address));
	return (volatile uint8_t *)address;
}

static volatile uint32_t *word_at(uint32_t address)
{
	return (volatile uint32_t *)at_address(address);
}

static uint64_t gdt[GDT_ENTRIES], ldt[1];
static struct tss32 main_task, other;
static struct tss16 other_16;
static uint8_t other_stack[STACK_BYTES] __attribute__((aligned(16)));

static uint64_t system_descriptor(const void *at, uint32_t limit, uint64_t type)
{
	const uint32_t base = (uint32_t)(uintptr_t)at;

	return limit | (uint64_t)(base & 0xffffff) << 16 | type << TYPE_SHIFT | (uint64_t)(base >> 24) << 56;
}

/* MAIN is this program again, busy. */
static void start_anew(void)
{
	gdt[MAIN] = system_descriptor(&main_task, sizeof(main_task) - 1, TSS32_AVAILABLE);
	__asm__ volatile("ltr %w0" : : "r"(SELECTOR(MAIN)) : "memory");
	__asm__ volatile("clts");
}

/* OTHER begins at the entry. */
static void prepare(void (*entry)(void))
{
	other = (struct tss32){
		.eip = (uint32_t)(uintptr_t)entry,
		.eflags = RFLAGS_FIXED1,
		.esp = (uint32_t)(uintptr_t)(other_stack + STACK_BYTES),
		.ebx = 0x12345678,
		.cs = SELECTOR_CODE,
		.es = SELECTOR_DATA,
		.ss = SELECTOR_DATA,
		.ds = SELECTOR_DATA,
		.fs = SELECTOR_DATA,
		.gs = SELECTOR_DATA,
		.cr3 = read_cr3(),
	};
	main_task.cr3 = read_cr3();
	gdt[OTHER] = system_descriptor(&other, sizeof(other) - 1, TSS32_AVAILABLE);
}

static void install(void)
{
	const struct fault_table ours = {sizeof(gdt) - 1, (uintptr_t)gdt};

	for (unsigned i = 0; i < OURS; i++)
		gdt[i] = ((const uint64_t *)fault_gdt.base)[i];
	gdt[LDT] = system_descriptor(ldt, sizeof(ldt) - 1, LDT_PRESENT);
	gdt[ABSENT_DATA] = DATA_ABSENT;
	gdt[CODE_16] = CODE_16_FLAT;
	ldt[0] = DATA_LOW;
	__asm__ volatile("lgdt %0" : : "m"(ours));
	start_anew();
}

static uint32_t types(void)
{
	const volatile uint64_t *g = gdt;

	return (uint32_t)(g[MAIN] >> TYPE_SHIFT & 0xff) << 8 | (uint32_t)(g[OTHER] >> TYPE_SHIFT & 0xff);
}

/* ---- what the other task does ---- */

static volatile uint32_t visits, seen_flags, seen_cr0, seen_types, seen_link, seen_ebx, seen_error, seen_word;

/* Each visit notes what it finds, and goes back as from a call. A word of `load` is looked at by a segment or address.
 */
#define VISITOR(name, load, leave)                                                             \
	static void name(void)                                                                 \
	{                                                                                      \
		uint32_t flags, ebx, word = 0;                                                 \
		__asm__ volatile("" : "=b"(ebx));                                              \
		for (;;) {                                                                     \
			__asm__ volatile("pushfl; popl %0; " load : "=&r"(flags), "+r"(word)); \
			visits++;                                                              \
			seen_flags = flags;                                                    \
			seen_cr0 = (uint32_t)read_cr0();                                       \
			seen_types = types();                                                  \
			seen_link = ((volatile struct tss32 *)&other)->link;                   \
			seen_ebx = ebx;                                                        \
			seen_word = word;                                                      \
			__asm__ volatile(leave : : : "memory");                                \
		}                                                                              \
	}
VISITOR(visit, "", "iretl")
VISITOR(visit_and_jump, "", "ljmp $0x30, $0")
VISITOR(visit_altered, "movl 0x20000000, %1", "iretl")
VISITOR(visit_local, "movl %%fs:0x800, %1", "iretl")
_Static_assert(SELECTOR(MAIN) == 0x30 && ALTERED_PAGE == 0x20000000 && WORD_BY_FS == 0x800, "they stand in the text");

/* By a gate: the error code lies on its stack. It goes back behind what faulted. */
static volatile uint32_t go_on_at;

static void visit_fault(void)
{
	for (;;) {
		uint32_t error;

		__asm__ volatile("popl %0" : "=r"(error));
		visits++;
		seen_error = error;
		((volatile struct tss32 *)&main_task)->eip = go_on_at;
		__asm__ volatile("iretl" : : : "memory");
	}
}

static void answer_visit(const char *how)
{
	answer_number(how, visits);
	answer_hex("nested_flag", seen_flags & RFLAGS_NT);
	answer_hex("task_switched", seen_cr0 & CR0_TS);
	answer_hex("types_in_it", seen_types);
	answer_hex("types_after", types());
	answer_hex("link", seen_link);
	visits = 0;
	__asm__ volatile("clts");
}

/* ---- questions ---- */

static void ask_ways(void)
{
	uint32_t a = 1, b = 2, c = 3, d = 4, source = 5, target = 6;

	prepare(visit);
	__asm__ volatile("lcall $0x38, $0"
			 : "+a"(a), "+b"(b), "+c"(c), "+d"(d), "+S"(source), "+D"(target)
			 :
			 : "memory");
	answer_visit("call");
	answer_hex("register_of_its_tss", seen_ebx);
	answer_hex("registers_kept", a << 20 | b << 16 | c << 12 | d << 8 | source << 4 | target);
	__asm__ volatile("lcall $0x38, $0" : : : "memory");
	answer_visit("call_again");
	__asm__ volatile("int $0x90" : : : "memory");
	answer_visit("int");
	prepare(visit_and_jump);
	__asm__ volatile("ljmp $0x38, $0" : : : "memory");
	answer_visit("jump_there_and_back");
}
_Static_assert(SELECTOR(OTHER) == 0x38 && GATE_VECTOR == 0x90, "they stand in the text");

static void set_task_gate(uint8_t vector)
{
	struct fault_table idtr;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	((volatile uint64_t *)idtr.base)[vector] = TASK_GATE | (uint64_t)SELECTOR(OTHER) << 16;
}

static void ask_exception(void)
{
	struct fault_table idtr;
	uint64_t kept;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	kept = ((volatile uint64_t *)idtr.base)[EXC_GP_VECTOR];
	prepare(visit_fault);
	set_task_gate(EXC_GP_VECTOR);
	__asm__ volatile("movl $1f, %0; movw %w1, %%fs; 1:" : "=m"(go_on_at) : "r"(SELECTOR_BEYOND) : "memory");
	((volatile uint64_t *)idtr.base)[EXC_GP_VECTOR] = kept;
	answer_number("exception", visits);
	answer_hex("error_code_on_its_stack", seen_error);
	answer_hex("types_after", types());
	visits = 0;
	__asm__ volatile("clts");
}

static void ask_state(void)
{
	write_dr7(0x603);
	prepare(visit_local);
	other.ldt = SELECTOR(LDT);
	other.fs = SELECTOR_LOCAL;
	*word_at(WORD_BY_FS) = 0x5107ce02;
	__asm__ volatile("lcall $0x38, $0" : : : "memory");
	answer_hex("word_by_its_ldt", seen_word);
	answer_hex("ldt_entry_accessed", ((volatile uint64_t *)ldt)[0] >> TYPE_SHIFT & 0xff);
	answer_hex("dr7", read_dr7());
	write_dr7(DR7_INIT);
	start_anew();

	/* 16 bits: mov [LOW_DATA], ax; iret. */
	static const uint8_t code[] = {0xa3, LOW_DATA & 0xff, LOW_DATA >> 8, 0xcf};

	for (unsigned i = 0; i < sizeof(code); i++)
		at_address(LOW_CODE)[i] = code[i];
	other_16 = (struct tss16){
		.ip = LOW_CODE,
		.flags = RFLAGS_FIXED1,
		.ax = 0xabcd,
		.sp = LOW_STACK,
		.es = SELECTOR_DATA,
		.cs = SELECTOR(CODE_16),
		.ss = SELECTOR_DATA,
		.ds = SELECTOR_DATA,
	};
	gdt[OTHER] = system_descriptor(&other_16, sizeof(other_16) - 1, TSS16_AVAILABLE);
	__asm__ volatile("lcall $0x38, $0" : : : "memory");
	answer_hex("word_of_16_bits", *word_at(LOW_DATA) & 0xffff);
	answer_hex("ip_of_16_bits", ((volatile struct tss16 *)&other_16)->ip - LOW_CODE);
	answer_hex("types_after", types());
	start_anew();
}

/* HLT in virtual-8086 mode is #GP: what its handler finds on the stack of the new task's ring 0. */
static volatile uint32_t v86_frame[9];

__asm__(".pushsection .text\n"
	"v86_fault:\n\t"
	"popl %ss:v86_error\n\t"
	"movw $0x10, %ax; movw %ax, %ds; movw %ax, %es\n\t"
	"movl %esp, %esi; movl $v86_frame, %edi; movl $9, %ecx; rep movsl\n\t"
	"pushfl; orl $0x4000, (%esp); popfl; iretl\n\t"
	".popsection\n\t"
	".local v86_error; .comm v86_error, 4, 4");
extern const uint8_t v86_fault[];

static void ask_v86(void)
{
	struct fault_table idtr;
	uint64_t kept;

	__asm__ volatile("sidt %0" : "=m"(idtr));
	kept = ((volatile uint64_t *)idtr.base)[EXC_GP_VECTOR];
	fault_set_gate(EXC_GP_VECTOR, (uint32_t)(uintptr_t)v86_fault);
	prepare(visit);
	at_address(LOW_CODE)[0] = 0x90;
	at_address(LOW_CODE)[1] = 0xf4;
	other.esp0 = other.esp;
	other.ss0 = SELECTOR_DATA;
	other.eflags = RFLAGS_FIXED1 | RFLAGS_VM;
	other.eip = 0;
	other.esp = 0x100;
	other.cs = LOW_CODE >> 4;
	other.ss = LOW_STACK >> 4;
	other.ds = 0x222;
	other.es = 0x111;
	other.fs = 0x333;
	other.gs = 0x444;
	__asm__ volatile("lcall $0x38, $0" : : : "memory");
	((volatile uint64_t *)idtr.base)[EXC_GP_VECTOR] = kept;
	answer_hex("v86_eip_cs", (uint64_t)v86_frame[0] << 32 | v86_frame[1]);
	answer_hex("v86_mode", v86_frame[2] & RFLAGS_VM);
	answer_hex("v86_esp_ss", (uint64_t)v86_frame[3] << 32 | v86_frame[4]);
	answer_hex("v86_es_ds", (uint64_t)v86_frame[5] << 32 | v86_frame[6]);
	answer_hex("v86_fs_gs", (uint64_t)v86_frame[7] << 32 | v86_frame[8]);
	start_anew();
}

static void call_other(void *argument)
{
	(void)argument;
	__asm__ volatile("lcall $0x38, $0" : : : "memory");
}

static void call_main(void *argument)
{
	(void)argument;
	__asm__ volatile("lcall $0x30, $0" : : : "memory");
}

static void return_to(void *argument)
{
	((volatile struct tss32 *)&main_task)->link = (uint32_t)(uintptr_t)argument;
	__asm__ volatile("pushfl; orl $0x4000, (%%esp); popfl; iretl" : : : "memory");
}

static void try_other(const char *name)
{
	answer_fault(name, fault_try(call_other, 0));
	start_anew();
	__asm__ volatile("pushl $2; popfl");
}

static void ask_refusals(void)
{
	prepare(visit);
	answer_fault("busy", fault_try(call_main, 0));
	gdt[OTHER] &= ~(1ull << 47);
	try_other("absent");
	prepare(visit);
	gdt[OTHER] -= 1;
	try_other("too_short");
	answer_fault("return_to_nothing", fault_try(return_to, (void *)SELECTOR_BEYOND));
	__asm__ volatile("pushl $2; popfl");
	answer_fault("return_to_code", fault_try(return_to, (void *)SELECTOR_CODE));
	__asm__ volatile("pushl $2; popfl");
	prepare(visit);
	other.ds = SELECTOR(ABSENT_DATA);
	try_other("new_ds_absent");
	prepare(visit);
	other.es = SELECTOR_BEYOND;
	try_other("new_es_beyond");
	prepare(visit);
	other.gs = SELECTOR_CODE | SELECTOR_RPL;
	try_other("new_gs_of_higher_privilege");
	prepare(visit);
	other.fs = SELECTOR(MAIN);
	try_other("new_fs_of_the_system");
	prepare(visit);
	other.fs = 0;
	try_other("new_fs_null");
}

static void ask_paging(void)
{
	static uint64_t pointers[512] __attribute__((aligned(4096))), directory[512] __attribute__((aligned(4096)));

	paging_build();
	paging_on();
	for (unsigned i = 0; i < 4; i++)
		pointers[i] = paging_pointers[i];
	for (unsigned i = 0; i < 512; i++)
		directory[i] = paging_directories[0][i];
	/* In the other's tables the page is the one at 0. */
	directory[ALTERED_PAGE / LARGE_PAGE_BYTES] = directory[0];
	pointers[0] = (uint32_t)(uintptr_t)directory | (pointers[0] & 0xfff);
	paging_directories[0][ALTERED_PAGE / LARGE_PAGE_BYTES] = directory[1];
	write_cr3(read_cr3());
	*word_at(0) = 0x5107ce03;
	*word_at(LARGE_PAGE_BYTES) = 0x5107ce04;
	prepare(visit_altered);
	other.cr3 = (uint32_t)(uintptr_t)pointers;
	__asm__ volatile("lcall $0x38, $0" : : : "memory");
	answer_hex("word_by_its_page_tables", seen_word);
	answer_hex("word_by_ours", *word_at(ALTERED_PAGE));
	start_anew();
	prepare(visit);
	gdt[OTHER] = system_descriptor((void *)PAGING_WINDOW, sizeof(other) - 1, TSS32_AVAILABLE);
	/* Which word of it is looked at first, CPUs may differ in. */
	answer_number("tss_on_an_absent_page", fault_try(call_other, 0));
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	(void)info;
	answer_start("tasks");
	fault_install();
	install();
	set_task_gate(GATE_VECTOR);
	ask_ways();
	ask_exception();
	ask_state();
	ask_v86();
	ask_refusals();
	ask_paging();
	answer_end();
}
