#include "hv/policy/mmio_decode.h"

#include "arch/defs/cr.h"

/* ---- the instructions ---- */

enum form {
	MEM_REG,   /* ModRM: memory, register */
	REG_MEM,   /* ModRM: register, memory */
	MEM_IMM,   /* ModRM, immediate of the operand's size, at most 4 bytes */
	MEM_IMM8,  /* ModRM, sign-extended byte */
	ACC_MOFFS, /* AL, AX, EAX or RAX; the address is in the instruction */
	MOFFS_ACC,
};

#define ONE_BYTE 0x00
#define TWO_BYTE 0x0f

#define ANY_REG 8 /* ModRM.reg is an operand, not a part of the opcode */

#define BYTE    1u
#define WORD    2u
#define DWORD   4u
#define OPERAND 8u /* the operand size */

#define ZERO   1u /* the register is wider than memory, and its upper part becomes zero */
#define SIGN   2u /* or copies of the sign */
#define LONG64 4u /* in 64-bit mode only */

struct rule {
	uint8_t map, opcode;
	uint8_t digit; /* ModRM.reg, or ANY_REG */
	uint8_t op;    /* enum mmio_op */
	uint8_t form;
	uint8_t memory_bytes; /* or the operand size, if that is less */
	uint8_t flags;
};

/* One arithmetic operation: four opcodes of its own, and its place in the immediate group 80, 81, 83. */
#define ARITHMETIC(n, op)                                                                                              \
	{ONE_BYTE, (n) << 3 | 0, ANY_REG, op, MEM_REG, BYTE, 0},                                                       \
		{ONE_BYTE, (n) << 3 | 1, ANY_REG, op, MEM_REG, OPERAND, 0},                                            \
		{ONE_BYTE, (n) << 3 | 2, ANY_REG, op, REG_MEM, BYTE, 0},                                               \
		{ONE_BYTE, (n) << 3 | 3, ANY_REG, op, REG_MEM, OPERAND, 0}, {ONE_BYTE, 0x80, n, op, MEM_IMM, BYTE, 0}, \
		{ONE_BYTE, 0x81, n, op, MEM_IMM, OPERAND, 0},                                                          \
	{                                                                                                              \
		ONE_BYTE, 0x83, n, op, MEM_IMM8, OPERAND, 0                                                            \
	}

/* Looked through in this order: MOV first, for nearly all accesses are that. */
static const struct rule rules[] = {
	{ONE_BYTE, 0x8b, ANY_REG, MMIO_MOV, REG_MEM, OPERAND, 0},
	{ONE_BYTE, 0x89, ANY_REG, MMIO_MOV, MEM_REG, OPERAND, 0},
	{ONE_BYTE, 0xa1, ANY_REG, MMIO_MOV, ACC_MOFFS, OPERAND, 0},
	{ONE_BYTE, 0xa3, ANY_REG, MMIO_MOV, MOFFS_ACC, OPERAND, 0},
	{ONE_BYTE, 0xc7, 0, MMIO_MOV, MEM_IMM, OPERAND, 0},
	{ONE_BYTE, 0x8a, ANY_REG, MMIO_MOV, REG_MEM, BYTE, 0},
	{ONE_BYTE, 0x88, ANY_REG, MMIO_MOV, MEM_REG, BYTE, 0},
	{ONE_BYTE, 0xa0, ANY_REG, MMIO_MOV, ACC_MOFFS, BYTE, 0},
	{ONE_BYTE, 0xa2, ANY_REG, MMIO_MOV, MOFFS_ACC, BYTE, 0},
	{ONE_BYTE, 0xc6, 0, MMIO_MOV, MEM_IMM, BYTE, 0},
	ARITHMETIC(0, MMIO_ADD),
	ARITHMETIC(1, MMIO_OR),
	ARITHMETIC(2, MMIO_ADC),
	ARITHMETIC(3, MMIO_SBB),
	ARITHMETIC(4, MMIO_AND),
	ARITHMETIC(5, MMIO_SUB),
	ARITHMETIC(6, MMIO_XOR),
	ARITHMETIC(7, MMIO_CMP),
	{ONE_BYTE, 0x63, ANY_REG, MMIO_MOV, REG_MEM, DWORD, SIGN | LONG64},
	{ONE_BYTE, 0x84, ANY_REG, MMIO_TEST, MEM_REG, BYTE, 0},
	{ONE_BYTE, 0x85, ANY_REG, MMIO_TEST, MEM_REG, OPERAND, 0},
	{ONE_BYTE, 0x86, ANY_REG, MMIO_XCHG, MEM_REG, BYTE, 0},
	{ONE_BYTE, 0x87, ANY_REG, MMIO_XCHG, MEM_REG, OPERAND, 0},
	{ONE_BYTE, 0xf6, 0, MMIO_TEST, MEM_IMM, BYTE, 0},
	{ONE_BYTE, 0xf7, 0, MMIO_TEST, MEM_IMM, OPERAND, 0},
	{TWO_BYTE, 0xb6, ANY_REG, MMIO_MOV, REG_MEM, BYTE, ZERO},
	{TWO_BYTE, 0xb7, ANY_REG, MMIO_MOV, REG_MEM, WORD, ZERO},
	{TWO_BYTE, 0xba, 4, MMIO_BT, MEM_IMM8, OPERAND, 0},
	{TWO_BYTE, 0xba, 5, MMIO_BTS, MEM_IMM8, OPERAND, 0},
	{TWO_BYTE, 0xba, 6, MMIO_BTR, MEM_IMM8, OPERAND, 0},
	{TWO_BYTE, 0xba, 7, MMIO_BTC, MEM_IMM8, OPERAND, 0},
	{TWO_BYTE, 0xbe, ANY_REG, MMIO_MOV, REG_MEM, BYTE, SIGN},
	{TWO_BYTE, 0xbf, ANY_REG, MMIO_MOV, REG_MEM, WORD, SIGN},
};

static const struct rule *rule_find(uint8_t map, uint8_t opcode, uint8_t digit, enum mmio_mode mode)
{
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *r = &rules[i];

		if (r->map == map && r->opcode == opcode && (r->digit == ANY_REG || r->digit == digit))
			return (r->flags & LONG64) && mode != MMIO_MODE_64 ? NULL : r;
	}
	return NULL;
}

static bool is_string(uint8_t opcode)
{
	return (opcode >= 0x6c && opcode <= 0x6f) || (opcode >= 0xa4 && opcode <= 0xa7) ||
	       (opcode >= 0xaa && opcode <= 0xaf);
}

static bool has_modrm(const struct rule *r)
{
	return r->form != ACC_MOFFS && r->form != MOFFS_ACC;
}

/* ---- the bytes ---- */

struct cursor {
	const uint8_t *bytes;
	size_t at, end;
	bool ran_out;
};

static enum mmio_status too_few(const struct cursor *c)
{
	return c->end == MMIO_INSTRUCTION_BYTES_MAX ? MMIO_TOO_LONG : MMIO_SHORT;
}

static uint8_t next(struct cursor *c)
{
	if (c->at == c->end) {
		c->ran_out = true;
		return 0;
	}
	return c->bytes[c->at++];
}

static void skip(struct cursor *c, unsigned count)
{
	while (count--)
		next(c);
}

/* Sign-extended. */
static uint64_t next_signed(struct cursor *c, unsigned count)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < count; i++)
		value |= (uint64_t)next(c) << 8 * i;
	return (uint64_t)((int64_t)(value << (64 - 8 * count)) >> (64 - 8 * count));
}

/* "Instruction Prefixes", "REX Prefixes". */
#define REX_W 8u
#define REX_R 4u

struct prefixes {
	bool operand_size, address_size, lock;
	uint8_t rex; /* 0: none; it counts only right before the opcode */
};

/* Returns the byte after them. REP and REPNE mean nothing to the instructions that we know. */
static uint8_t next_after_prefixes(struct cursor *c, enum mmio_mode mode, struct prefixes *p)
{
	for (;;) {
		uint8_t byte = next(c);

		switch (byte) {
		case 0x26:
		case 0x2e:
		case 0x36:
		case 0x3e:
		case 0x64:
		case 0x65:
		case 0xf2:
		case 0xf3:
			break;
		case 0x66:
			p->operand_size = true;
			break;
		case 0x67:
			p->address_size = true;
			break;
		case 0xf0:
			p->lock = true;
			break;
		default:
			if (mode != MMIO_MODE_64 || (byte & 0xf0) != 0x40)
				return byte;
			p->rex = byte;
			continue;
		}
		p->rex = 0;
	}
}

static unsigned operand_bytes(enum mmio_mode mode, const struct prefixes *p)
{
	if (p->rex & REX_W)
		return 8;
	return (mode == MMIO_MODE_16) != p->operand_size ? 2 : 4;
}

static unsigned address_bytes(enum mmio_mode mode, const struct prefixes *p)
{
	if (mode == MMIO_MODE_64)
		return p->address_size ? 4 : 8;
	return (mode == MMIO_MODE_16) != p->address_size ? 2 : 4;
}

/* What follows ModRM before the immediate. "Addressing-Mode Encoding of ModR/M and SIB Bytes". */
static void skip_addressing(struct cursor *c, uint8_t modrm, unsigned address)
{
	unsigned mod = modrm >> 6, rm = modrm & 7;
	unsigned displacement = mod == 1 ? 1 : mod == 2 ? (address == 2 ? 2 : 4) : 0;

	if (address == 2) {
		skip(c, mod == 0 && rm == 6 ? 2 : displacement);
		return;
	}
	if (rm == 4)
		rm = next(c) & 7; /* SIB: its base means the same */
	skip(c, mod == 0 && rm == 5 ? 4 : displacement);
}

/* ---- putting it together ---- */

static bool reads(enum mmio_op op, bool memory_first)
{
	return op != MMIO_MOV || !memory_first;
}

static bool writes(enum mmio_op op, bool memory_first)
{
	return op != MMIO_CMP && op != MMIO_TEST && op != MMIO_BT && memory_first;
}

static void set_register(struct mmio_access *a, const struct prefixes *p, unsigned number)
{
	/* Without REX the byte registers 4 to 7 are AH, CH, DH, BH. */
	a->high_byte = a->reg_bytes == 1 && !p->rex && number >= 4;
	a->reg = (enum gpr)(a->high_byte ? number - 4 : number);
}

enum mmio_status mmio_decode(const uint8_t *bytes, size_t byte_count, enum mmio_mode mode, struct mmio_access *access)
{
	struct cursor c = {.bytes = bytes,
			   .end = byte_count < MMIO_INSTRUCTION_BYTES_MAX ? byte_count : MMIO_INSTRUCTION_BYTES_MAX};
	struct prefixes p = {0};
	struct mmio_access a = {0};
	const struct rule *rule;
	uint8_t map = ONE_BYTE, opcode, modrm;
	unsigned operand;

	opcode = next_after_prefixes(&c, mode, &p);
	if (opcode == TWO_BYTE) {
		map = TWO_BYTE;
		opcode = next(&c);
	}
	if (c.ran_out)
		return too_few(&c);
	if (map == ONE_BYTE && is_string(opcode))
		return MMIO_STRING;
	/* Each opcode of ours has ModRM or an address next; the groups are told apart by it. */
	if (c.at == c.end)
		return too_few(&c);
	modrm = c.bytes[c.at];
	rule = rule_find(map, opcode, modrm >> 3 & 7, mode);
	if (!rule)
		return MMIO_UNKNOWN;
	operand = operand_bytes(mode, &p);
	if (has_modrm(rule)) {
		next(&c);
		if (modrm >> 6 == 3)
			return MMIO_REGISTER;
		skip_addressing(&c, modrm, address_bytes(mode, &p));
	} else {
		skip(&c, address_bytes(mode, &p));
	}

	a.op = (enum mmio_op)rule->op;
	a.memory_first = rule->form != REG_MEM && rule->form != ACC_MOFFS;
	a.is_read = reads(a.op, a.memory_first);
	a.is_write = writes(a.op, a.memory_first);
	a.is_locked = p.lock || a.op == MMIO_XCHG;
	a.size_bytes = (uint8_t)(rule->memory_bytes < operand ? rule->memory_bytes : operand);
	a.reg_bytes = (uint8_t)(rule->flags & (ZERO | SIGN) ? operand : a.size_bytes);
	a.sign_extend = rule->flags & SIGN;
	a.has_immediate = rule->form == MEM_IMM || rule->form == MEM_IMM8;
	if (a.has_immediate)
		a.immediate = next_signed(&c, rule->form == MEM_IMM8 ? 1 : a.size_bytes < 4 ? a.size_bytes : 4);
	else if (has_modrm(rule))
		set_register(&a, &p, (modrm >> 3 & 7) | (p.rex & REX_R ? 8 : 0));
	if (c.ran_out)
		return too_few(&c);
	if (p.lock && !(a.is_read && a.is_write))
		return MMIO_UNKNOWN; /* #UD */
	a.length = (uint8_t)c.at;
	*access = a;
	return MMIO_DECODED;
}

/* ---- what it does ---- */

/* SDM vol. 1, "Status Flags". */
#define RFLAGS_CF (1u << 0)
#define RFLAGS_PF (1u << 2)
#define RFLAGS_AF (1u << 4)
#define RFLAGS_SF (1u << 7)
#define RFLAGS_OF (1u << 11)
#define STATUS    (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)

static uint64_t mask(unsigned bytes)
{
	return ~0ull >> (64 - 8 * bytes);
}

static bool top_bit(uint64_t value, unsigned bytes)
{
	return value >> (8 * bytes - 1) & 1;
}

static uint64_t register_read(const struct mmio_access *a, const struct guest_regs *regs)
{
	return regs->gpr[a->reg] >> (a->high_byte ? 8 : 0) & mask(a->reg_bytes);
}

/* As outside of device accesses: a write of 32 bits clears the upper half. */
static void register_write(const struct mmio_access *a, uint64_t value, struct guest_regs *regs)
{
	unsigned shift = a->high_byte ? 8 : 0;
	uint64_t kept = a->reg_bytes >= 4 ? 0 : ~(mask(a->reg_bytes) << shift);

	regs->gpr[a->reg] = (regs->gpr[a->reg] & kept) | (value & mask(a->reg_bytes)) << shift;
}

static uint64_t extended(const struct mmio_access *a, uint64_t memory)
{
	return a->sign_extend && top_bit(memory, a->size_bytes) ? memory | ~mask(a->size_bytes) : memory;
}

/* x and y: the first and the second operand. The result, and with it the flags. AF, where it is undefined, is 0. */
static uint64_t arithmetic(enum mmio_op op, unsigned bytes, uint64_t x, uint64_t y, uint64_t *rflags)
{
	bool carry_in = (op == MMIO_ADC || op == MMIO_SBB) && (*rflags & RFLAGS_CF);
	uint64_t r, carries = 0, overflow = 0, flags = 0;

	switch (op) {
	case MMIO_ADD:
	case MMIO_ADC:
		r = x + y + carry_in;
		carries = (x & y) | ((x | y) & ~r);
		overflow = ~(x ^ y) & (x ^ r);
		break;
	case MMIO_SUB:
	case MMIO_SBB:
	case MMIO_CMP:
		r = x - y - carry_in;
		carries = (~x & y) | ((~x | y) & r);
		overflow = (x ^ y) & (x ^ r);
		break;
	case MMIO_OR:
		r = x | y;
		break;
	case MMIO_XOR:
		r = x ^ y;
		break;
	default: /* AND, TEST */
		r = x & y;
	}
	r &= mask(bytes);
	flags |= top_bit(carries, bytes) ? RFLAGS_CF : 0;
	flags |= __builtin_parity((unsigned)r & 0xff) ? 0 : RFLAGS_PF;
	flags |= carries >> 3 & 1 ? RFLAGS_AF : 0;
	flags |= r ? 0 : RFLAGS_ZF;
	flags |= top_bit(r, bytes) ? RFLAGS_SF : 0;
	flags |= top_bit(overflow, bytes) ? RFLAGS_OF : 0;
	*rflags = (*rflags & ~(uint64_t)STATUS) | flags;
	return r;
}

static uint64_t bit_test(enum mmio_op op, uint64_t memory, uint64_t bit, uint64_t *rflags)
{
	uint64_t old = memory & bit;

	*rflags = (*rflags & ~(uint64_t)RFLAGS_CF) | (old ? RFLAGS_CF : 0);
	switch (op) {
	case MMIO_BTS:
		return memory | bit;
	case MMIO_BTR:
		return memory & ~bit;
	case MMIO_BTC:
		return memory ^ bit;
	default:
		return memory;
	}
}

uint64_t mmio_decode_apply(const struct mmio_access *access, uint64_t memory, struct guest_regs *regs, uint64_t *rflags)
{
	const struct mmio_access *a = access;
	uint64_t other = (a->has_immediate ? a->immediate : register_read(a, regs)) & mask(a->size_bytes);
	uint64_t result;

	memory &= mask(a->size_bytes);
	switch (a->op) {
	case MMIO_MOV:
		if (!a->is_write)
			register_write(a, extended(a, memory), regs);
		return other;
	case MMIO_XCHG:
		register_write(a, memory, regs);
		return other;
	case MMIO_BT:
	case MMIO_BTS:
	case MMIO_BTR:
	case MMIO_BTC:
		return bit_test(a->op, memory, 1ull << (a->immediate & (8u * a->size_bytes - 1)), rflags);
	default:
		break;
	}
	result = a->memory_first ? arithmetic(a->op, a->size_bytes, memory, other, rflags)
				 : arithmetic(a->op, a->size_bytes, other, memory, rflags);
	if (!a->is_write && a->op != MMIO_CMP && a->op != MMIO_TEST)
		register_write(a, result, regs);
	return result;
}
