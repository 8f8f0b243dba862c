/* The guest's general-purpose registers while the host runs; arch/vmx_enter.asm saves and loads them. RSP, RIP and
 * RFLAGS live in the VMCS. In the order of the hardware's register numbers (SDM vol. 3C, "Exit Qualification for
 * Control-Register Accesses"), so that gpr[] can be indexed by them. */
#ifndef ARCH_ABI_REGS_H
#define ARCH_ABI_REGS_H

#include <stdint.h>

enum gpr {
	GPR_RAX,
	GPR_RCX,
	GPR_RDX,
	GPR_RBX,
	GPR_RSP,
	GPR_RBP,
	GPR_RSI,
	GPR_RDI,
	GPR_R8,
	GPR_R9,
	GPR_R10,
	GPR_R11,
	GPR_R12,
	GPR_R13,
	GPR_R14,
	GPR_R15,
	GPR_COUNT
};

struct guest_regs {
	uint64_t gpr[GPR_COUNT]; /* gpr[GPR_RSP] is unused: RSP is in the VMCS */
};

#endif
