/* The Linux guest's /init: its first instruction reads the TSC, so that what came before can be measured; it prints the
 * value, and becomes /bin/start. Freestanding and static: it needs nothing but system calls (man 2 syscall). */
#include <stdint.h>

#define SYS_WRITE  1
#define SYS_EXECVE 59
#define SYS_EXIT   60

#define DIGITS_MAX 20 /* of 64 bits */

/* RSP points at argc as the kernel left it; the TSC goes to RDI, and the stack is aligned as for a call. */
__asm__(".globl _start\n"
	"_start:\n"
	"	rdtsc\n"
	"	shl $32, %rdx\n"
	"	lea (%rax, %rdx), %rdi\n"
	"	mov %rsp, %rsi\n"
	"	and $-16, %rsp\n"
	"	call init_main\n");

static long system_call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return result;
}

static void put(const char *text, unsigned long bytes)
{
	system_call(SYS_WRITE, 1, (long)text, (long)bytes);
}

static char *digits(char *end, uint64_t value)
{
	do
		*--end = (char)('0' + value % 10);
	while ((value /= 10) != 0);
	return end;
}

_Noreturn void init_main(uint64_t tsc, const uint64_t *stack);

_Noreturn void init_main(uint64_t tsc, const uint64_t *stack)
{
	static const char head[] = "linux: init at tsc=", start[] = "/bin/start";
	char text[sizeof(head) + DIGITS_MAX + 1];
	char *const end = text + sizeof(text), *at;

	end[-1] = '\n';
	at = digits(end - 1, tsc) - (sizeof(head) - 1);
	for (unsigned i = 0; i < sizeof(head) - 1; i++)
		at[i] = head[i];
	put(at, (unsigned long)(end - at));

	/* argc, argv and its NULL, then the environment. */
	const uint64_t *argv = stack + 1, *environment = argv + stack[0] + 1;

	system_call(SYS_EXECVE, (long)start, (long)argv, (long)environment);
	for (;;)
		system_call(SYS_EXIT, 1, 0, 0);
}
