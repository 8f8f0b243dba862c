/* Do accesses of each size at ports and device registers move what they should: to ports that nothing answers and to
 * registers, by all forms of IN and OUT, and by the instructions that programs use on memory-mapped registers? */
#include <stdbool.h>
#include <stdint.h>

#include "guest/lib/answer.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/hypervisor.h"

#define PORT_UNANSWERED 0x1230
#define UART_SCRATCH    0x3ff
#define UART_LCR        0x3fb
#define UART_DIVISOR    0x3f8
#define LCR_DLAB        0x83
#define BUFFER_BYTES    32

static uint8_t buffer[BUFFER_BYTES];

static void fill(uint8_t value)
{
	for (unsigned i = 0; i < BUFFER_BYTES; i++)
		((volatile uint8_t *)buffer)[i] = value;
}

/* How many bytes from the start, and how many in all, hold the value. */
static uint32_t count_of(uint8_t value)
{
	unsigned first = 0, all = 0;

	while (first < BUFFER_BYTES && ((volatile uint8_t *)buffer)[first] == value)
		first++;
	for (unsigned i = 0; i < BUFFER_BYTES; i++)
		all += ((volatile uint8_t *)buffer)[i] == value;
	return first << 8 | all;
}

/* ---- ports ---- */

static void ask_unanswered(void)
{
	uint32_t value = 0x12345678;

	__asm__ volatile("inb %%dx, %%al" : "+a"(value) : "d"(PORT_UNANSWERED));
	answer_hex("in_al", value);
	value = 0x12345678;
	__asm__ volatile("inw %%dx, %%ax" : "+a"(value) : "d"(PORT_UNANSWERED));
	answer_hex("in_ax", value);
	value = 0x12345678;
	__asm__ volatile("inl %%dx, %%eax" : "+a"(value) : "d"(PORT_UNANSWERED));
	answer_hex("in_eax", value);
	outb(PORT_UNANSWERED, 0x11);
	outw(PORT_UNANSWERED, 0x2222);
	outl(PORT_UNANSWERED, 0x44444444);
	answer_hex("in_eax_after_out", inl(PORT_UNANSWERED));
	value = 0x12345678;
	__asm__ volatile("inb $0xe8, %%al" : "+a"(value));
	answer_hex("in_al_immediate", value);
}

static void ask_register(void)
{
	bool kept = true;
	uint32_t lcr, divisor, low, high, both;

	for (unsigned i = 0; i < 256; i++) {
		outb(UART_SCRATCH, (uint8_t)i);
		kept &= inb(UART_SCRATCH) == i;
	}
	answer_yes("scratch_register_keeps_all_values", kept);
	/* Two byte registers side by side, as one word; nothing can be printed meanwhile. */
	lcr = inb(UART_LCR);
	outb(UART_LCR, LCR_DLAB);
	divisor = inw(UART_DIVISOR);
	outw(UART_DIVISOR, 0x0203);
	low = inb(UART_DIVISOR);
	high = inb(UART_DIVISOR + 1);
	both = inw(UART_DIVISOR);
	outw(UART_DIVISOR, (uint16_t)divisor);
	outb(UART_LCR, (uint8_t)lcr);
	answer_hex("word_over_two_registers_low", low);
	answer_hex("word_over_two_registers_high", high);
	answer_hex("word_read_over_two_registers", both);
}

/* ---- strings ---- */

struct moved {
	uint32_t count;
	const uint8_t *esi;
	uint8_t *edi;
};

#define STRING(name, text)                                                                                       \
	static struct moved name(uint32_t count, uint8_t *at, uint16_t port)                                     \
	{                                                                                                        \
		struct moved m = {count, at, at};                                                                \
		__asm__ volatile(text "; cld" : "+c"(m.count), "+S"(m.esi), "+D"(m.edi) : "d"(port) : "memory"); \
		return m;                                                                                        \
	}
STRING(rep_insb, "rep insb")
STRING(rep_insw, "rep insw")
STRING(rep_insl, "rep insl")
STRING(one_insb, "insb")
STRING(down_insb, "std; rep insb")
STRING(down_insw, "std; rep insw")
STRING(rep_outsb, "rep outsb")
STRING(rep_outsw, "rep outsw")
STRING(rep_outsl, "rep outsl")
STRING(down_outsl, "std; rep outsl")
STRING(fs_outsb, "rep outsb %%fs:(%%esi), %%dx")

static const struct {
	const char *name;
	struct moved (*run)(uint32_t count, uint8_t *at, uint16_t port);
	uint8_t count, at;
} strings[] = {
	{"rep_insb", rep_insb, 5, 0},        {"rep_insw", rep_insw, 5, 0},     {"rep_insl", rep_insl, 5, 0},
	{"rep_insb_none", rep_insb, 0, 0},   {"insb", one_insb, 7, 0},         {"rep_insb_down", down_insb, 5, 20},
	{"rep_insw_down", down_insw, 5, 20}, {"rep_insw_odd", rep_insw, 3, 1}, {"rep_outsb", rep_outsb, 5, 0},
	{"rep_outsw", rep_outsw, 5, 0},      {"rep_outsl", rep_outsl, 5, 0},   {"rep_outsl_down", down_outsl, 3, 20},
	{"rep_outsb_by_fs", fs_outsb, 4, 0},
};

/* The registers afterwards, and what is in memory. */
static void ask_strings(void)
{
	for (unsigned i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		struct moved m;

		fill(0);
		m = strings[i].run(strings[i].count, buffer + strings[i].at, PORT_UNANSWERED);
		answer_hex(strings[i].name, (uint64_t)(uint8_t)(m.esi - buffer) << 40 |
						    (uint64_t)(uint8_t)(m.edi - buffer) << 32 | m.count << 16 |
						    count_of(0xff));
	}
}

static void ask_string_data(void)
{
	unsigned last;

	for (unsigned i = 0; i < BUFFER_BYTES; i++)
		buffer[i] = (uint8_t)(0x30 + i);
	rep_outsb(9, buffer, UART_SCRATCH);
	answer_hex("scratch_after_rep_outsb", inb(UART_SCRATCH));
	down_outsl(1, buffer, PORT_UNANSWERED);
	fill(0);
	outb(UART_SCRATCH, 0x5a);
	rep_insb(BUFFER_BYTES, buffer, UART_SCRATCH);
	answer_hex("bytes_by_rep_insb", count_of(0x5a));
	for (last = 0; last < BUFFER_BYTES; last++)
		((volatile uint8_t *)buffer)[last] = (uint8_t)last;
	fs_outsb(17, buffer, UART_SCRATCH);
	answer_hex("scratch_after_rep_outsb_by_fs", inb(UART_SCRATCH));
}

/* ---- memory-mapped registers: the local APIC's, 4 bytes each ---- */

#define TPR_ADDRESS   "0xfee00080"
#define COUNT_ADDRESS "0xfee00380" /* initial count of the stopped timer: all 32 bits are kept */

/* Runs the text with the register holding `before` and EAX = eax; says what both hold then, and CF and ZF. */
#define ON_REGISTER(name, before, eax, text)                                                                \
	do {                                                                                                \
		uint32_t a = (eax), flags;                                                                  \
		__asm__ volatile("movl %2, " TPR_ADDRESS "\n\tclc\n\t" text "\n\tpushfl; popl %1"           \
				 : "+a"(a), "=&r"(flags)                                                    \
				 : "ir"(before)                                                             \
				 : "ecx", "memory");                                                        \
		answer_hex(name, (uint64_t)(flags & 0x41) << 40 | (uint64_t)apic_read(APIC_TPR) << 32 | a); \
	} while (0)

static void ask_mmio(void)
{
	ON_REGISTER("mmio_mov_to_eax", 0x21, 0, "movl " TPR_ADDRESS ", %%eax");
	ON_REGISTER("mmio_mov_from_eax", 0x21, 0x43, "movl %%eax, " TPR_ADDRESS);
	ON_REGISTER("mmio_mov_immediate", 0x21, 0, "movl $0x65, " TPR_ADDRESS);
	ON_REGISTER("mmio_mov_by_base", 0x21, 0xfee00000, "movl 0x80(%%eax), %%eax");
	ON_REGISTER("mmio_mov_by_index", 0x21, 0x20, "movl $0xfee00000, %%ecx; movl (%%ecx, %%eax, 4), %%eax");
	ON_REGISTER("mmio_and", 0x37, 0x3c, "andl %%eax, " TPR_ADDRESS);
	ON_REGISTER("mmio_and_from", 0x37, 0x3c, "andl " TPR_ADDRESS ", %%eax");
	ON_REGISTER("mmio_or", 0x21, 0x42, "orl %%eax, " TPR_ADDRESS);
	ON_REGISTER("mmio_or_immediate", 0x21, 0, "orl $0x48, " TPR_ADDRESS);
	ON_REGISTER("mmio_xor", 0x21, 0x21, "xorl %%eax, " TPR_ADDRESS);
	ON_REGISTER("mmio_add", 0x21, 0x11, "addl %%eax, " TPR_ADDRESS);
	ON_REGISTER("mmio_sub_from", 0x21, 0x20, "subl " TPR_ADDRESS ", %%eax");
	ON_REGISTER("mmio_cmp_equal", 0x21, 0, "cmpl $0x21, " TPR_ADDRESS);
	ON_REGISTER("mmio_cmp_below", 0x21, 0, "cmpl $0x22, " TPR_ADDRESS);
	ON_REGISTER("mmio_test_zero", 0x21, 0, "testl $0x42, " TPR_ADDRESS);
	ON_REGISTER("mmio_test", 0x21, 0x01, "testl %%eax, " TPR_ADDRESS);
	ON_REGISTER("mmio_xchg", 0x21, 0x43, "xchgl %%eax, " TPR_ADDRESS);
	ON_REGISTER("mmio_bt", 0x21, 0, "btl $5, " TPR_ADDRESS);
	ON_REGISTER("mmio_bts", 0x21, 0, "btsl $1, " TPR_ADDRESS);
	apic_write(APIC_TPR, 0);
	__asm__ volatile("movl $0x89abcdef, " COUNT_ADDRESS : : : "memory");
	answer_hex("mmio_32_bits", *(volatile uint32_t *)0xfee00380);
	apic_write(0x380, 0);
}

/* ---- where neither memory nor a register is: reads give ones, and nothing stops the program ---- */

#define NOWHERE 0xfd000000u

/* EAX, ECX, how far EDI and ESI have moved, and CF and ZF. */
#define NOWHERE_TRY(name, text)                                                                                      \
	do {                                                                                                         \
		uint32_t a = 0x00abcdef, c = 3, to = NOWHERE, from = NOWHERE + 0x800, flags;                         \
		__asm__ volatile("clc\n\t" text "\n\tpushfl; popl %4"                                                \
				 : "+a"(a), "+c"(c), "+D"(to), "+S"(from), "=r"(flags)                               \
				 :                                                                                   \
				 : "edx", "memory");                                                                 \
		answer_hex(name, (uint64_t)(flags & 0x41) << 56 | (uint64_t)(uint8_t)(to - NOWHERE) << 48 |          \
					 (uint64_t)(uint8_t)(from - NOWHERE - 0x800) << 40 | (uint64_t)c << 32 | a); \
	} while (0)

static void read_register(void *argument)
{
	(void)*(volatile uint32_t *)argument;
}

static void call_nowhere(void *argument)
{
	((void (*)(void))argument)();
}

static void ask_nowhere(void)
{
	answer_fault("nowhere_read", fault_try(read_register, (void *)0xfed80000u));
	NOWHERE_TRY("nowhere_mov", "movl (%%edi), %%eax");
	NOWHERE_TRY("nowhere_lods", "lodsl");
	NOWHERE_TRY("nowhere_stos", "stosl");
	NOWHERE_TRY("nowhere_rep_stosb", "rep stosb");
	NOWHERE_TRY("nowhere_rep_movs", "rep movsl");
	NOWHERE_TRY("nowhere_rep_movs_over_pages",
		    "addl $0x7fe, %%edi; addl $0x7fe, %%esi; rep movsl; subl $0x7fe, %%edi; subl $0x7fe, %%esi");
	NOWHERE_TRY("nowhere_rep_movs_to_memory",
		    "movl %%esp, %%edi; subl $64, %%edi; rep movsl; movl $0xfd000000, %%edi; movl -64(%%esp), %%eax");
	NOWHERE_TRY("nowhere_scas", "scasl");
	NOWHERE_TRY("nowhere_repe_cmps", "repe cmpsl");
	NOWHERE_TRY("nowhere_inc", "incl (%%edi)");
	NOWHERE_TRY("nowhere_not", "notl (%%edi)");
	NOWHERE_TRY("nowhere_neg", "negl (%%edi)");
	NOWHERE_TRY("nowhere_shl", "shll $1, (%%edi)");
	NOWHERE_TRY("nowhere_push", "pushl (%%edi); popl %%eax");
	NOWHERE_TRY("nowhere_pop", "pushl %%eax; popl (%%edi)");
	NOWHERE_TRY("nowhere_xadd", "xaddl %%eax, (%%edi)");
	NOWHERE_TRY("nowhere_cmpxchg", "lock cmpxchgl %%ecx, (%%edi)");
	NOWHERE_TRY("nowhere_bts_by_register", "btsl %%ecx, (%%edi)");
	NOWHERE_TRY("nowhere_cmov", "cmovel %%ecx, %%eax; cmovnel (%%edi), %%eax");
	NOWHERE_TRY("nowhere_over_pages", "movl 0xffe(%%edi), %%eax");
	NOWHERE_TRY("nowhere_stack", "movl %%esp, %%ecx; leal 0x80(%%edi), %%esp; pushl %%eax; popl %%edx; movl %%ecx, "
				     "%%esp; movl $0, %%ecx");
	NOWHERE_TRY("nowhere_descriptor_table",
		    "movl $0, %%ecx; subl $8, %%esp; sgdt (%%esp); lgdt (%%edi); lgdt (%%esp); addl $8, %%esp");
	/* Ones are no instruction. QEMU itself gives up when code is to be there. */
	if (hypervisor_is_sluice())
		answer_fault("nowhere_code", fault_try(call_nowhere, (void *)NOWHERE));
	else
		answer_fault("nowhere_code", FAULT_NONE);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	(void)info;
	answer_start("iosizes");
	fault_install();
	apic_enable(false);
	ask_unanswered();
	ask_register();
	ask_strings();
	ask_string_data();
	ask_mmio();
	ask_nowhere();
	answer_end();
}
