#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <sys/mman.h>

#include <cmocka.h>

#include "hv/policy/mmio_decode.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define STATUS_FLAGS 0x8d5u /* CF PF AF ZF SF OF */

/* ---- instructions as nasm 2.16 assembles them ---- */

#define M16 MMIO_MODE_16
#define M32 MMIO_MODE_32
#define M64 MMIO_MODE_64

static const struct sample {
	const char *text; /* memory operands aside, in the order of the instruction */
	enum mmio_mode mode;
	const char *bytes;
	unsigned length;
	enum mmio_op op;
	bool is_read, is_write;
	unsigned size_bytes;
	int reg; /* -1: immediate */
	uint64_t immediate;
	unsigned reg_bytes;
	bool high_byte, sign_extend;
} samples[] = {
	{"mov [rdi], eax", M64, "\x89\x07", 2, MMIO_MOV, false, true, 4, 0, 0x0, 4, false, false},
	{"mov eax, [rdi]", M64, "\x8b\x07", 2, MMIO_MOV, true, false, 4, 0, 0x0, 4, false, false},
	{"mov [rdi+0xb0], r9d", M64, "\x44\x89\x8f\xb0\x00\x00\x00", 7, MMIO_MOV, false, true, 4, 9, 0x0, 4, false,
	 false},
	{"mov r15, [r12]", M64, "\x4d\x8b\x3c\x24", 4, MMIO_MOV, true, false, 8, 15, 0x0, 8, false, false},
	{"mov [r13], bx", M64, "\x66\x41\x89\x5d\x00", 5, MMIO_MOV, false, true, 2, 3, 0x0, 2, false, false},
	{"mov [rsp+8], dil", M64, "\x40\x88\x7c\x24\x08", 5, MMIO_MOV, false, true, 1, 7, 0x0, 1, false, false},
	{"mov [rbx], ah", M64, "\x88\x23", 2, MMIO_MOV, false, true, 1, 0, 0x0, 1, true, false},
	{"mov bh, [rel $+0x1234]", M64, "\x8a\x3d\x2e\x12\x00\x00", 6, MMIO_MOV, true, false, 1, 3, 0x0, 1, true,
	 false},
	{"mov sil, [rax+rcx*4+0x12345678]", M64, "\x40\x8a\xb4\x88\x78\x56\x34\x12", 8, MMIO_MOV, true, false, 1, 6,
	 0x0, 1, false, false},
	{"mov dword [0xfee000b0], 0", M64, "\xc7\x04\x25\xb0\x00\xe0\xfe\x00\x00\x00\x00", 11, MMIO_MOV, false, true, 4,
	 -1, 0x0, 4, false, false},
	{"mov dword [rax*8+0x1000], 0x89abcdef", M64, "\xc7\x04\xc5\x00\x10\x00\x00\xef\xcd\xab\x89", 11, MMIO_MOV,
	 false, true, 4, -1, 0xffffffff89abcdef, 4, false, false},
	{"mov qword [rdi], -2", M64, "\x48\xc7\x07\xfe\xff\xff\xff", 7, MMIO_MOV, false, true, 8, -1,
	 0xfffffffffffffffe, 8, false, false},
	{"mov word [rdi], 0x8001", M64, "\x66\xc7\x07\x01\x80", 5, MMIO_MOV, false, true, 2, -1, 0xffffffffffff8001, 2,
	 false, false},
	{"mov byte [rdi], 0x80", M64, "\xc6\x07\x80", 3, MMIO_MOV, false, true, 1, -1, 0xffffffffffffff80, 1, false,
	 false},
	{"mov al, [qword 0x1122334455667788]", M64, "\xa0\x88\x77\x66\x55\x44\x33\x22\x11", 9, MMIO_MOV, true, false, 1,
	 0, 0x0, 1, false, false},
	{"mov [qword 0x1122334455667788], rax", M64, "\x48\xa3\x88\x77\x66\x55\x44\x33\x22\x11", 10, MMIO_MOV, false,
	 true, 8, 0, 0x0, 8, false, false},
	{"mov eax, [dword 0xfee00020]", M64, "\x8b\x04\x25\x20\x00\xe0\xfe", 7, MMIO_MOV, true, false, 4, 0, 0x0, 4,
	 false, false},
	{"movzx eax, byte [rdi]", M64, "\x0f\xb6\x07", 3, MMIO_MOV, true, false, 1, 0, 0x0, 4, false, false},
	{"movzx r10, word [rdi]", M64, "\x4c\x0f\xb7\x17", 4, MMIO_MOV, true, false, 2, 10, 0x0, 8, false, false},
	{"movzx ax, byte [rdi]", M64, "\x66\x0f\xb6\x07", 4, MMIO_MOV, true, false, 1, 0, 0x0, 2, false, false},
	{"movsx rax, byte [rdi]", M64, "\x48\x0f\xbe\x07", 4, MMIO_MOV, true, false, 1, 0, 0x0, 8, false, true},
	{"movsx ecx, word [edi]", M64, "\x67\x0f\xbf\x0f", 4, MMIO_MOV, true, false, 2, 1, 0x0, 4, false, true},
	{"movsxd rdx, dword [rdi]", M64, "\x48\x63\x17", 3, MMIO_MOV, true, false, 4, 2, 0x0, 8, false, true},
	{"and dword [rdi], 0x7fffffff", M64, "\x81\x27\xff\xff\xff\x7f", 6, MMIO_AND, true, true, 4, -1, 0x7fffffff, 4,
	 false, false},
	{"or dword [rdi], byte 0x10", M64, "\x83\x0f\x10", 3, MMIO_OR, true, true, 4, -1, 0x10, 4, false, false},
	{"xor [rdi], r8d", M64, "\x44\x31\x07", 3, MMIO_XOR, true, true, 4, 8, 0x0, 4, false, false},
	{"add eax, [rdi]", M64, "\x03\x07", 2, MMIO_ADD, true, false, 4, 0, 0x0, 4, false, false},
	{"sub byte [rdi], 1", M64, "\x80\x2f\x01", 3, MMIO_SUB, true, true, 1, -1, 0x1, 1, false, false},
	{"adc [rdi], rdx", M64, "\x48\x11\x17", 3, MMIO_ADC, true, true, 8, 2, 0x0, 8, false, false},
	{"sbb cl, [rdi]", M64, "\x1a\x0f", 2, MMIO_SBB, true, false, 1, 1, 0x0, 1, false, false},
	{"cmp dword [rdi], byte -1", M64, "\x83\x3f\xff", 3, MMIO_CMP, true, false, 4, -1, 0xffffffffffffffff, 4, false,
	 false},
	{"cmp [rdi], ecx", M64, "\x39\x0f", 2, MMIO_CMP, true, false, 4, 1, 0x0, 4, false, false},
	{"cmp ch, [rdi]", M64, "\x3a\x2f", 2, MMIO_CMP, true, false, 1, 1, 0x0, 1, true, false},
	{"test byte [rdi], 0x20", M64, "\xf6\x07\x20", 3, MMIO_TEST, true, false, 1, -1, 0x20, 1, false, false},
	{"test dword [rdi], 0x100", M64, "\xf7\x07\x00\x01\x00\x00", 6, MMIO_TEST, true, false, 4, -1, 0x100, 4, false,
	 false},
	{"test [rdi], edx", M64, "\x85\x17", 2, MMIO_TEST, true, false, 4, 2, 0x0, 4, false, false},
	{"xchg [rdi], eax", M64, "\x87\x07", 2, MMIO_XCHG, true, true, 4, 0, 0x0, 4, false, false},
	{"xchg [rdi], r11b", M64, "\x44\x86\x1f", 3, MMIO_XCHG, true, true, 1, 11, 0x0, 1, false, false},
	{"bt dword [rdi], 12", M64, "\x0f\xba\x27\x0c", 4, MMIO_BT, true, false, 4, -1, 0xc, 4, false, false},
	{"lock bts qword [rdi], 63", M64, "\xf0\x48\x0f\xba\x2f\x3f", 6, MMIO_BTS, true, true, 8, -1, 0x3f, 8, false,
	 false},
	{"btr word [rdi], 3", M64, "\x66\x0f\xba\x37\x03", 5, MMIO_BTR, true, true, 2, -1, 0x3, 2, false, false},
	{"btc dword [rdi], 31", M64, "\x0f\xba\x3f\x1f", 4, MMIO_BTC, true, true, 4, -1, 0x1f, 4, false, false},
	{"lock or dword [rdi+rsi], 1", M64, "\xf0\x83\x0c\x37\x01", 5, MMIO_OR, true, true, 4, -1, 0x1, 4, false,
	 false},
	{"mov gs:[eax], ebp", M64, "\x65\x67\x89\x28", 4, MMIO_MOV, false, true, 4, 5, 0x0, 4, false, false},
	{"mov [0xfee00300], eax", M32, "\xa3\x00\x03\xe0\xfe", 5, MMIO_MOV, false, true, 4, 0, 0x0, 4, false, false},
	{"mov eax, [0xfee00020]", M32, "\xa1\x20\x00\xe0\xfe", 5, MMIO_MOV, true, false, 4, 0, 0x0, 4, false, false},
	{"mov [0xfee00310], ecx", M32, "\x89\x0d\x10\x03\xe0\xfe", 6, MMIO_MOV, false, true, 4, 1, 0x0, 4, false,
	 false},
	{"mov dword [0xfee000f0], 0x1ff", M32, "\xc7\x05\xf0\x00\xe0\xfe\xff\x01\x00\x00", 10, MMIO_MOV, false, true, 4,
	 -1, 0x1ff, 4, false, false},
	{"mov ax, [0xfee00020]", M32, "\x66\xa1\x20\x00\xe0\xfe", 6, MMIO_MOV, true, false, 2, 0, 0x0, 2, false, false},
	{"mov edx, [ebp-4]", M32, "\x8b\x55\xfc", 3, MMIO_MOV, true, false, 4, 2, 0x0, 4, false, false},
	{"mov edx, [ebp+eax*2]", M32, "\x8b\x54\x45\x00", 4, MMIO_MOV, true, false, 4, 2, 0x0, 4, false, false},
	{"mov [esp], edi", M32, "\x89\x3c\x24", 3, MMIO_MOV, false, true, 4, 7, 0x0, 4, false, false},
	{"mov dh, [esi]", M32, "\x8a\x36", 2, MMIO_MOV, true, false, 1, 2, 0x0, 1, true, false},
	{"mov ecx, [bp+di]", M32, "\x67\x8b\x0b", 3, MMIO_MOV, true, false, 4, 1, 0x0, 4, false, false},
	{"mov ecx, [word 0x1234]", M32, "\x67\x8b\x0e\x34\x12", 5, MMIO_MOV, true, false, 4, 1, 0x0, 4, false, false},
	{"and word [eax], 0xff0f", M32, "\x66\x81\x20\x0f\xff", 5, MMIO_AND, true, true, 2, -1, 0xffffffffffffff0f, 2,
	 false, false},
	{"movzx ecx, word [eax]", M32, "\x0f\xb7\x08", 3, MMIO_MOV, true, false, 2, 1, 0x0, 4, false, false},
	{"mov [bx+si], ax", M16, "\x89\x00", 2, MMIO_MOV, false, true, 2, 0, 0x0, 2, false, false},
	{"mov [0x1234], dx", M16, "\x89\x16\x34\x12", 4, MMIO_MOV, false, true, 2, 2, 0x0, 2, false, false},
	{"mov al, [0x1234]", M16, "\xa0\x34\x12", 3, MMIO_MOV, true, false, 1, 0, 0x0, 1, false, false},
	{"mov eax, [bp]", M16, "\x66\x8b\x46\x00", 4, MMIO_MOV, true, false, 4, 0, 0x0, 4, false, false},
	{"mov [dword eax+0x10], ebx", M16, "\x66\x67\x89\x98\x10\x00\x00\x00", 8, MMIO_MOV, false, true, 4, 3, 0x0, 4,
	 false, false},
	{"mov dword [di+0x1000], 5", M16, "\x66\xc7\x85\x00\x10\x05\x00\x00\x00", 9, MMIO_MOV, false, true, 4, -1, 0x5,
	 4, false, false},
	{"mov word [bx], 5", M16, "\xc7\x07\x05\x00", 4, MMIO_MOV, false, true, 2, -1, 0x5, 2, false, false},
};

static void decodes_samples(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(samples); i++) {
		const struct sample *s = &samples[i];
		struct mmio_access a;

		for (unsigned given = 0; given < s->length; given++)
			assert_int_equal(mmio_decode((const uint8_t *)s->bytes, given, s->mode, &a), MMIO_SHORT);
		if (mmio_decode((const uint8_t *)s->bytes, s->length, s->mode, &a) != MMIO_DECODED)
			fail_msg("not decoded: %s", s->text);
		if (a.length != s->length || a.op != s->op || a.is_read != s->is_read || a.is_write != s->is_write ||
		    a.size_bytes != s->size_bytes || a.has_immediate != (s->reg < 0))
			fail_msg("%s: length=%u op=%d read=%d write=%d size=%u immediate=%d", s->text, a.length,
				 (int)a.op, a.is_read, a.is_write, a.size_bytes, a.has_immediate);
		if (a.has_immediate)
			assert_int_equal(a.immediate, s->immediate);
		else if ((int)a.reg != s->reg || a.high_byte != s->high_byte || a.reg_bytes != s->reg_bytes ||
			 a.sign_extend != s->sign_extend)
			fail_msg("%s: reg=%d high=%d bytes=%u sign=%d", s->text, (int)a.reg, a.high_byte, a.reg_bytes,
				 a.sign_extend);
	}
}

/* ---- every opcode against this CPU ---- */

/* The opcodes that are decoded: digit is ModRM.reg, -1: any register. */
static const struct known {
	uint8_t map, opcode;
	int digit;
	unsigned immediate_bytes; /* 4: the operand's size, at most 4 */
	bool moffs;
} known[] = {
#define ALU(n)                                                                                    \
	{0, (n)*8 + 0, -1, 0, false}, {0, (n)*8 + 1, -1, 0, false}, {0, (n)*8 + 2, -1, 0, false}, \
		{0, (n)*8 + 3, -1, 0, false}, {0, 0x80, n, 1, false}, {0, 0x81, n, 4, false},     \
	{                                                                                         \
		0, 0x83, n, 1, false                                                              \
	}
	ALU(0),
	ALU(1),
	ALU(2),
	ALU(3),
	ALU(4),
	ALU(5),
	ALU(6),
	ALU(7),
	{0, 0x63, -1, 0, false},
	{0, 0x84, -1, 0, false},
	{0, 0x85, -1, 0, false},
	{0, 0x86, -1, 0, false},
	{0, 0x87, -1, 0, false},
	{0, 0x88, -1, 0, false},
	{0, 0x89, -1, 0, false},
	{0, 0x8a, -1, 0, false},
	{0, 0x8b, -1, 0, false},
	{0, 0xa0, -1, 0, true},
	{0, 0xa1, -1, 0, true},
	{0, 0xa2, -1, 0, true},
	{0, 0xa3, -1, 0, true},
	{0, 0xc6, 0, 1, false},
	{0, 0xc7, 0, 4, false},
	{0, 0xf6, 0, 1, false},
	{0, 0xf7, 0, 4, false},
	{0x0f, 0xb6, -1, 0, false},
	{0x0f, 0xb7, -1, 0, false},
	{0x0f, 0xba, 4, 1, false},
	{0x0f, 0xba, 5, 1, false},
	{0x0f, 0xba, 6, 1, false},
	{0x0f, 0xba, 7, 1, false},
	{0x0f, 0xbe, -1, 0, false},
	{0x0f, 0xbf, -1, 0, false},
};

static uint64_t random_state = 1;

static uint64_t next_random(void)
{
	random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
	return (random_state >> 29) ^ random_state << 17;
}

static const struct known *find_known(uint8_t map, uint8_t opcode, unsigned digit)
{
	for (size_t i = 0; i < COUNT(known); i++)
		if (known[i].map == map && known[i].opcode == opcode &&
		    (known[i].digit < 0 || known[i].digit == (int)digit))
			return &known[i];
	return NULL;
}

static bool is_prefix(uint8_t byte, enum mmio_mode mode)
{
	return strchr("\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3", byte) != NULL ||
	       (mode == M64 && (byte & 0xf0) == 0x40);
}

static bool is_string(uint8_t opcode)
{
	return strchr("\x6c\x6d\x6e\x6f\xa4\xa5\xa6\xa7\xaa\xab\xac\xad\xae\xaf", opcode) != NULL;
}

/* Every opcode and ModRM in every mode: exactly those of the list are decoded. */
static void knows_exactly_these(void **state)
{
	struct mmio_access a;

	(void)state;
	for (unsigned mode = M16; mode <= M64; mode++)
		for (unsigned n = 0; n < 0x20000; n++) {
			uint8_t opcode = (uint8_t)(n >> 8), modrm = (uint8_t)n;
			bool two = n >> 16;
			uint8_t bytes[15] = {0};
			const struct known *k = find_known(two ? 0x0f : 0, opcode, modrm >> 3 & 7);
			enum mmio_status wanted = MMIO_UNKNOWN, got;

			if (!two && (opcode == 0 || opcode == 0x0f ? opcode == 0x0f : is_prefix(opcode, mode)))
				continue;
			bytes[0] = two ? 0x0f : opcode;
			bytes[two] = opcode;
			bytes[two + 1] = modrm;
			if (k && !(opcode == 0x63 && !two && mode != M64))
				wanted = !k->moffs && modrm >= 0xc0 ? MMIO_REGISTER : MMIO_DECODED;
			else if (!two && opcode && is_string(opcode))
				wanted = MMIO_STRING;
			got = mmio_decode(bytes, sizeof(bytes), mode, &a);
			if (got != wanted)
				fail_msg("mode=%u %s%02x %02x: got %d, not %d", mode, two ? "0f " : "", opcode, modrm,
					 (int)got, (int)wanted);
		}
}

/* What an instruction leaves: registers but RSP, memory, flags. */
struct machine {
	uint64_t gpr[16];
	uint64_t rflags;
	uint64_t memory;
};

static uint8_t *code_page;

/* Runs `bytes`, whose memory operand is [RDI] = m->memory, on this CPU. RDI and RSP are not the instruction's own. */
static void run_here(struct machine *m, const uint8_t *bytes, size_t length)
{
	/* r15 holds m; it is saved around. */
	static const uint8_t before[] = {
		0x55, 0x53, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57, /* push rbp rbx r12-r15 */
		0x57,                                                       /* push rdi (m) */
		0xff, 0xb7, 0x80, 0,    0,    0,    0x9d,                   /* push [rdi+128]; popfq */
		0x48, 0x8b, 0x07, 0x48, 0x8b, 0x4f, 0x08,                   /* rax, rcx */
		0x48, 0x8b, 0x57, 0x10, 0x48, 0x8b, 0x5f, 0x18,             /* rdx, rbx */
		0x48, 0x8b, 0x6f, 0x28, 0x48, 0x8b, 0x77, 0x30,             /* rbp, rsi */
		0x4c, 0x8b, 0x47, 0x40, 0x4c, 0x8b, 0x4f, 0x48,             /* r8, r9 */
		0x4c, 0x8b, 0x57, 0x50, 0x4c, 0x8b, 0x5f, 0x58,             /* r10, r11 */
		0x4c, 0x8b, 0x67, 0x60, 0x4c, 0x8b, 0x6f, 0x68,             /* r12, r13 */
		0x4c, 0x8b, 0x77, 0x70, 0x4c, 0x8b, 0x7f, 0x78,             /* r14, r15 */
		0x48, 0x8d, 0xbf, 0x88, 0,    0,    0,                      /* lea rdi, [rdi+136] */
	};
	static const uint8_t after[] = {
		0x48, 0x8d, 0xbf, 0x78, 0xff, 0xff, 0xff,       /* lea rdi, [rdi-136] */
		0x48, 0x89, 0x07, 0x48, 0x89, 0x4f, 0x08,       /* the same order */
		0x48, 0x89, 0x57, 0x10, 0x48, 0x89, 0x5f, 0x18, /* */
		0x48, 0x89, 0x6f, 0x28, 0x48, 0x89, 0x77, 0x30, /* */
		0x4c, 0x89, 0x47, 0x40, 0x4c, 0x89, 0x4f, 0x48, /* */
		0x4c, 0x89, 0x57, 0x50, 0x4c, 0x89, 0x5f, 0x58, /* */
		0x4c, 0x89, 0x67, 0x60, 0x4c, 0x89, 0x6f, 0x68, /* */
		0x4c, 0x89, 0x77, 0x70, 0x4c, 0x89, 0x7f, 0x78, /* */
		0x9c, 0x8f, 0x87, 0x80, 0,    0,    0,          /* pushfq; pop [rdi+128] */
		0x5f, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5b, 0x5d, 0xc3,
	};
	uint8_t *p = code_page;
	void (*run)(struct machine *);

	memcpy(p, before, sizeof(before));
	memcpy(p + sizeof(before), bytes, length);
	memcpy(p + sizeof(before) + length, after, sizeof(after));
	memcpy(&run, &p, sizeof(run));
	run(m);
}

/* The flags that the SDM defines for the operation. */
static uint64_t defined_flags(enum mmio_op op)
{
	switch (op) {
	case MMIO_AND:
	case MMIO_OR:
	case MMIO_XOR:
	case MMIO_TEST:
		return STATUS_FLAGS & ~0x10u;
	case MMIO_BT:
	case MMIO_BTS:
	case MMIO_BTR:
	case MMIO_BTC:
		return 0x41; /* CF, and ZF is kept */
	default:
		return STATUS_FLAGS;
	}
}

static uint64_t interesting(unsigned round)
{
	static const uint64_t edges[] = {0,          1,         0x7f,       0x80,       0xff,
					 0x7fff,     0x8000,    0xffff,     0x7fffffff, 0x80000000,
					 0xffffffff, INT64_MAX, 1ull << 63, UINT64_MAX, 0x0f};

	return round % 3 ? next_random() : edges[next_random() % COUNT(edges)];
}

static void check_here(const struct known *k, const uint8_t *prefixes, size_t prefix_count, unsigned reg,
		       unsigned round)
{
	uint8_t bytes[15] = {0};
	size_t at = prefix_count;
	bool wide = false, narrow = false;
	struct machine before, after;
	struct guest_regs regs;
	struct mmio_access a;
	uint64_t rflags, stored;

	memcpy(bytes, prefixes, prefix_count);
	for (size_t i = 0; i < prefix_count; i++) {
		wide = (prefixes[i] & 0xf8) == 0x48; /* REX counts only at the end */
		narrow |= prefixes[i] == 0x66;
	}
	if (k->map)
		bytes[at++] = k->map;
	bytes[at++] = k->opcode;
	bytes[at++] = (uint8_t)((k->digit < 0 ? reg : (unsigned)k->digit) << 3 | 7); /* [rdi] */
	for (unsigned i = 0; i < (k->immediate_bytes == 4 && narrow && !wide ? 2 : k->immediate_bytes); i++)
		bytes[at++] = (uint8_t)(round % 4 ? next_random() : 0xff);

	for (unsigned i = 0; i < 16; i++)
		before.gpr[i] = interesting(round);
	before.memory = interesting(round);
	before.rflags = 0x202 | (next_random() & STATUS_FLAGS);
	after = before;
	assert_int_equal(mmio_decode(bytes, sizeof(bytes), M64, &a), MMIO_DECODED);
	assert_int_equal(a.length, at);
	/* RSP and RDI are the harness's own. */
	if (!a.has_immediate && (a.reg == GPR_RSP || a.reg == GPR_RDI))
		return;
	run_here(&after, bytes, at);

	memcpy(regs.gpr, before.gpr, sizeof(regs.gpr));
	rflags = before.rflags;
	stored = mmio_decode_apply(&a, before.memory & (~0ull >> (64 - 8 * a.size_bytes)), &regs, &rflags);
	if (a.is_write)
		memcpy(&before.memory, &stored, a.size_bytes);
	for (unsigned i = 0; i < 16; i++)
		if (i != GPR_RSP && i != GPR_RDI && regs.gpr[i] != after.gpr[i])
			fail_msg("%02x%02x reg %u: 0x%llx, not 0x%llx", k->map, k->opcode, i,
				 (unsigned long long)regs.gpr[i], (unsigned long long)after.gpr[i]);
	if (before.memory != after.memory)
		fail_msg("%02x%02x memory: 0x%llx, not 0x%llx", k->map, k->opcode, (unsigned long long)before.memory,
			 (unsigned long long)after.memory);
	if ((rflags ^ after.rflags) & defined_flags(a.op))
		fail_msg("%02x%02x /%d rflags: 0x%llx, not 0x%llx", k->map, k->opcode, k->digit,
			 (unsigned long long)rflags, (unsigned long long)after.rflags);
	assert_int_equal(rflags & ~(uint64_t)STATUS_FLAGS, before.rflags & ~(uint64_t)STATUS_FLAGS);
}

static void does_what_the_cpu_does(void **state)
{
	static const uint8_t prefix_sets[][4] = {{0},
						 {0x66},
						 {0x40},
						 {0x44},
						 {0x48},
						 {0x4c},
						 {0x66, 0x48},
						 {0x66, 0x44},
						 {0x48, 0x66},
						 {0x2e, 0x4c},
						 {0x4c, 0x41, 0x40}};

	(void)state;
#ifndef __x86_64__
	skip();
#endif
	code_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (code_page == MAP_FAILED)
		skip();
	for (size_t i = 0; i < COUNT(known); i++)
		for (size_t set = 0; set < COUNT(prefix_sets); set++)
			for (unsigned reg = 0; reg < 8 && !known[i].moffs; reg++)
				for (unsigned round = 0; round < 24; round++)
					check_here(&known[i], prefix_sets[set], strlen((const char *)prefix_sets[set]),
						   reg, round);
	munmap(code_page, 4096);
}

/* ---- prefixes ---- */

/* All combinations of four prefixes before MOV [..], register: sizes and lengths, stated by themselves. */
static void prefix_combinations(void **state)
{
	static const uint8_t prefixes[] = {0, 0x66, 0x67, 0x2e, 0x65, 0xf2, 0xf3, 0x44, 0x48, 0x4c};

	(void)state;
	for (unsigned mode = M16; mode <= M64; mode++)
		for (unsigned n = 0; n < 10000; n++) {
			uint8_t bytes[15] = {0};
			unsigned at = 0, size, address, disp;
			bool o = false, d = false;
			uint8_t rex = 0;
			struct mmio_access a;

			for (unsigned i = 0, rest = n; i < 4; i++, rest /= 10) {
				uint8_t byte = prefixes[rest % 10];
				bool is_rex = byte >> 4 == 4;

				if (!byte || (is_rex && mode != M64))
					continue;
				bytes[at++] = byte;
				o |= byte == 0x66;
				d |= byte == 0x67;
				rex = is_rex ? byte : 0;
			}
			bytes[at++] = 0x89;
			bytes[at++] = 0x86; /* [si + disp16] or [rsi + disp32], register 0 */
			size = rex & 8 ? 8 : (mode == M16) == o ? 4 : 2;
			address = mode == M64 ? (d ? 4 : 8) : (mode == M16) == d ? 4 : 2;
			disp = address == 2 ? 2 : 4;
			assert_int_equal(mmio_decode(bytes, sizeof(bytes), (enum mmio_mode)mode, &a), MMIO_DECODED);
			assert_int_equal(a.size_bytes, size);
			assert_int_equal(a.length, at + disp);
			assert_int_equal(a.reg, rex & 4 ? GPR_R8 : GPR_RAX);
			assert_false(a.is_locked);
		}
}

/* LOCK only where the CPU takes it: memory read and written. */
static void lock_prefix(void **state)
{
	struct mmio_access a;

	(void)state;
	for (size_t i = 0; i < COUNT(known); i++) {
		uint8_t plain[15] = {0}, locked[15] = {0xf0};
		unsigned at = 0;

		if (known[i].map)
			plain[at++] = known[i].map;
		plain[at++] = known[i].opcode;
		plain[at] = (uint8_t)(known[i].digit < 0 ? 0 : known[i].digit << 3);
		memcpy(locked + 1, plain, sizeof(plain) - 1);
		assert_int_equal(mmio_decode(plain, 15, M64, &a), MMIO_DECODED);
		assert_int_equal(a.is_locked, a.op == MMIO_XCHG);
		if (a.is_read && a.is_write) {
			assert_int_equal(mmio_decode(locked, 15, M64, &a), MMIO_DECODED);
			assert_true(a.is_locked);
		} else {
			assert_int_equal(mmio_decode(locked, 15, M64, &a), MMIO_UNKNOWN);
		}
	}
}

static void too_long(void **state)
{
	uint8_t bytes[32];
	struct mmio_access a = {.length = 77};

	(void)state;
	memset(bytes, 0x2e, sizeof(bytes));
	assert_int_equal(mmio_decode(bytes, sizeof(bytes), M64, &a), MMIO_TOO_LONG);
	assert_int_equal(mmio_decode(bytes, 15, M64, &a), MMIO_TOO_LONG);
	assert_int_equal(mmio_decode(bytes, 14, M64, &a), MMIO_SHORT);
	bytes[13] = 0x8b;
	bytes[14] = 0x07;
	assert_int_equal(a.length, 77);
	assert_int_equal(mmio_decode(bytes, sizeof(bytes), M64, &a), MMIO_DECODED);
	assert_int_equal(a.length, 15);
	bytes[14] = 0x47; /* a displacement makes 16 */
	assert_int_equal(mmio_decode(bytes, sizeof(bytes), M64, &a), MMIO_TOO_LONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_samples),
		cmocka_unit_test(knows_exactly_these),
		cmocka_unit_test(does_what_the_cpu_does),
		cmocka_unit_test(prefix_combinations),
		cmocka_unit_test(lock_prefix),
		cmocka_unit_test(too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
