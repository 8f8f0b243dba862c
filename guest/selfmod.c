/* Is code that was just changed run as it is now: by a store, a copy, through another mapping, by another CPU, and
 * where the instruction is one that a hypervisor reads? Wants two CPUs. */
#include <stdbool.h>
#include <stdint.h>

#include "arch/defs/cr.h"
#include "arch/defs/pte.h"
#include "guest/lib/answer.h"
#include "guest/lib/apic.h"
#include "guest/lib/cpu.h"
#include "guest/lib/fault.h"
#include "guest/lib/guest.h"
#include "guest/lib/irq.h"
#include "guest/lib/paging.h"
#include "guest/lib/smp.h"

#define ROUNDS          100
#define PORT_UNANSWERED 0x1230
#define OP_MOV_EAX      0xb8 /* mov eax, imm32 */
#define OP_RET          0xc3
#define OP_INT3         0xcc
#define OP_IN_AL        0xec /* in al, dx */
#define OP_IN_EAX       0xed
#define OP_0F           0x0f
#define OP_0F_RDTSC     0x31
#define OP_0F_CPUID     0xa2
#define MOV_EAX_BYTES   5

static uint8_t code[2 * PAGING_PAGE_BYTES] __attribute__((aligned(4096)));

static void put32(uint8_t *at, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		((volatile uint8_t *)at)[i] = (uint8_t)(value >> 8 * i);
}

/* mov eax, value; ret */
static void put_function(uint8_t *at, uint32_t value)
{
	*(volatile uint8_t *)at = OP_MOV_EAX;
	put32(at + 1, value);
	((volatile uint8_t *)at)[MOV_EAX_BYTES] = OP_RET;
}

static uint32_t call(const volatile uint8_t *at)
{
	return ((uint32_t(*)(void))(uintptr_t)at)();
}

static void ask_rewritten(const char *name, uint8_t *at)
{
	unsigned right = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		put_function(at, i * 0x01010101);
		right += call(at) == i * 0x01010101;
	}
	answer_number(name, right);
}

static void ask_operand_only(void)
{
	unsigned right = 0;

	put_function(code, 0);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		code[1] = (uint8_t)i;
		__asm__ volatile("" : : : "memory");
		right += call(code) == i;
	}
	answer_number("operand_only", right);
}

static void ask_copied(void)
{
	static uint8_t source[16];
	unsigned right = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		void *to = code + 64;
		const void *from = source;
		uint32_t count = MOV_EAX_BYTES + 1;

		put_function(source, ~i);
		__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
		right += call(code + 64) == ~i;
	}
	answer_number("copied", right);
}

/* The instruction behind the one that changes it, with a jump between and without. */
extern uint8_t self_jump[], self_next[];
uint32_t self_jump_run(uint32_t value), self_next_run(uint32_t value);
__asm__(".data\n"
	"self_jump_run:\n"
	"	movb 4(%esp), %al\n"
	"	movb %al, self_jump + 1\n"
	"	jmp self_jump\n"
	"self_jump:\n"
	"	movl $0, %eax\n"
	"	ret\n"
	"self_next_run:\n"
	"	movb 4(%esp), %al\n"
	"	movb %al, self_next + 1\n"
	"self_next:\n"
	"	movl $0, %eax\n"
	"	ret\n"
	".text\n");

static void ask_self(void)
{
	unsigned jump = 0, next = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		jump += self_jump_run(i) == i;
		next += self_next_run(i) == i;
	}
	answer_number("behind_a_jump", jump);
	answer_number("next_instruction", next);
}

/* ---- what leaves for the hypervisor ---- */

static void ask_emulated(void)
{
	unsigned wide = 0, narrow = 0, leaves = 0, registers = 0;
	uint32_t version = apic_read(APIC_VERSION);

	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint32_t eax = 0, edx = PORT_UNANSWERED, ecx = 0;

		((volatile uint8_t *)code)[0] = i & 1 ? OP_IN_EAX : OP_IN_AL;
		((volatile uint8_t *)code)[1] = OP_RET;
		__asm__ volatile("call *%3" : "+a"(eax), "+d"(edx), "+c"(ecx) : "r"(code) : "memory");
		if (i & 1)
			wide += eax == 0xffffffff;
		else
			narrow += eax == 0xff;

		((volatile uint8_t *)code)[0] = OP_0F;
		((volatile uint8_t *)code)[1] = i & 1 ? OP_0F_CPUID : OP_0F_RDTSC;
		((volatile uint8_t *)code)[2] = OP_RET;
		ecx = 0x5107ce;
		__asm__ volatile("xorl %%eax, %%eax; call *%1" : "+c"(ecx) : "S"(code) : "eax", "ebx", "edx", "memory");
		leaves += (ecx == 0x5107ce) != (i & 1);

		/* mov ecx or edx, [apic version] */
		((volatile uint8_t *)code)[0] = 0x8b;
		((volatile uint8_t *)code)[1] = i & 1 ? 0x0d : 0x15;
		put32(code + 2, 0xfee00000 + APIC_VERSION);
		((volatile uint8_t *)code)[6] = OP_RET;
		ecx = edx = 0;
		__asm__ volatile("call *%2" : "+c"(ecx), "+d"(edx) : "S"(code) : "memory");
		registers += i & 1 ? ecx == version && edx == 0 : edx == version && ecx == 0;
	}
	answer_number("in_al", narrow);
	answer_number("in_eax", wide);
	answer_number("cpuid_or_rdtsc", leaves);
	answer_number("mmio_read_to_ecx_or_edx", registers);
}

static void ask_breakpoint(void)
{
	unsigned hits = 0, right = 0;

	for (uint32_t i = 0; i < ROUNDS; i++) {
		put_function(code, i);
		*(volatile uint8_t *)code = OP_INT3;
		hits += fault_try((void (*)(void *))(uintptr_t)code, 0) == EXC_BP &&
			fault_eip == (uint32_t)(uintptr_t)code + 1;
		*(volatile uint8_t *)code = OP_MOV_EAX;
		right += call(code) == i;
	}
	answer_number("breakpoint_set", hits);
	answer_number("breakpoint_taken_away", right);
}

/* ---- another mapping ---- */

static void ask_alias(void)
{
	unsigned here = 0, there = 0, remapped = 0;
	uint64_t page = (uint32_t)(uintptr_t)code | PTE_PRESENT | PTE_WRITABLE;

	paging_map(0, page);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		put_function((uint8_t *)(uintptr_t)paging_page(0), i);
		here += call(code) == i;
		put_function(code, i + 1);
		there += call(paging_page(0)) == i + 1;
	}
	put_function(code, 1);
	put_function(code + PAGING_PAGE_BYTES, 2);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		paging_map(0, page + (i & 1) * PAGING_PAGE_BYTES);
		remapped += call(paging_page(0)) == (i & 1) + 1;
	}
	answer_number("written_through_alias", here);
	answer_number("run_through_alias", there);
	answer_number("other_page_mapped", remapped);
}

/* ---- another CPU ---- */

static volatile uint32_t wanted, written;

static void writer(unsigned index)
{
	(void)index;
	for (;;) {
		while (wanted == written)
			cpu_pause();
		put_function(code, wanted);
		written = wanted;
	}
}

/* SDM vol. 3A, "Handling Self- and Cross-Modifying Code": wait, serialise, run. */
static void ask_other_cpu(void)
{
	unsigned right = 0;

	answer_yes("second_cpu_starts", smp_start(1, writer));
	for (uint32_t i = 1; i <= ROUNDS; i++) {
		wanted = i;
		smp_wait(&written, i);
		cpuid(0, 0);
		right += call(code) == i;
	}
	answer_number("written_by_other_cpu", right);
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	(void)magic;
	(void)info;
	answer_start("selfmod");
	fault_install();
	irq_install();
	apic_enable(false);
	ask_rewritten("rewritten", code);
	ask_rewritten("across_pages", code + PAGING_PAGE_BYTES - 3);
	ask_operand_only();
	ask_copied();
	ask_self();
	ask_emulated();
	ask_breakpoint();
	ask_other_cpu();
	paging_build();
	paging_on();
	ask_alias();
	answer_end();
}
