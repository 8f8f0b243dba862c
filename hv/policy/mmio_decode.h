/* What an instruction that touched emulated memory wants: a table-driven decoder of those that programs use on device
 * registers, and what they do with the value. The address comes from the exit, so addressing modes are only measured.
 * Pure. Source: SDM vol. 2A, "Instruction Format"; vol. 2D, "Opcode Map". */
#ifndef HV_POLICY_MMIO_DECODE_H
#define HV_POLICY_MMIO_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/abi/regs.h"

#define MMIO_INSTRUCTION_BYTES_MAX 15

/* The default operand and address size: 64 where CS.L is 1 (and EFER.LMA), else by CS.D. */
enum mmio_mode {
	MMIO_MODE_16,
	MMIO_MODE_32,
	MMIO_MODE_64,
};

enum mmio_status {
	MMIO_DECODED,
	MMIO_SHORT,    /* the instruction goes on after the bytes that were given */
	MMIO_TOO_LONG, /* more than 15 bytes: #GP */
	MMIO_REGISTER, /* one that we know, with a register in place of memory: it made no access */
	MMIO_STRING,   /* MOVS STOS LODS CMPS SCAS INS OUTS: not emulated */
	MMIO_UNKNOWN,
};

enum mmio_op {
	MMIO_MOV, /* is_write: register or immediate to memory; else memory to register, with extension */
	MMIO_ADD,
	MMIO_OR,
	MMIO_ADC,
	MMIO_SBB,
	MMIO_AND,
	MMIO_SUB,
	MMIO_XOR,
	MMIO_CMP,
	MMIO_TEST,
	MMIO_XCHG,
	MMIO_BT, /* the bit's number is the immediate */
	MMIO_BTS,
	MMIO_BTR,
	MMIO_BTC,
};

struct mmio_access {
	enum mmio_op op;
	bool is_read, is_write; /* of memory; both: read-modify-write */
	bool is_locked;
	uint8_t size_bytes; /* of the memory operand: 1, 2, 4, 8 */
	uint8_t length;     /* of the instruction */

	/* The other operand. With has_immediate it is immediate, sign-extended to 64 bits; else register `reg`. */
	bool has_immediate;
	uint64_t immediate;
	enum gpr reg;
	bool high_byte;    /* AH CH DH BH: bits 8-15 of reg (RAX RCX RDX RBX) */
	bool memory_first; /* memory is the instruction's first operand: matters to SUB, SBB, CMP */
	uint8_t reg_bytes; /* how wide the register operand is; more than size_bytes for MOVZX, MOVSX, MOVSXD */
	bool sign_extend;  /* from size_bytes to reg_bytes, else with zeros */
};

/* Decodes the instruction that begins at bytes, of which byte_count may be read. *access is untouched unless the answer
 * is MMIO_DECODED. */
enum mmio_status mmio_decode(const uint8_t *bytes, size_t byte_count, enum mmio_mode mode, struct mmio_access *access);

/* Carries it out: `memory` is what was read (0 if it does not read), zero-extended. Changes regs (regs->gpr[GPR_RSP]
 * too if that is access->reg: the caller brings and takes RSP) and the six status flags in *rflags; returns what is to
 * be written, if it writes. */
uint64_t mmio_decode_apply(const struct mmio_access *access, uint64_t memory, struct guest_regs *regs,
			   uint64_t *rflags);

#endif
