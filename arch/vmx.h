/* The VMX instructions. A VMREAD or VMWRITE that fails is a fault of ours and becomes a fatal #UD at that place; the
 * others say whether they succeeded. SDM vol. 3C, "VMX Instruction Reference". */
#ifndef ARCH_VMX_H
#define ARCH_VMX_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/abi/entry_plan.h"
#include "arch/abi/regs.h"
#include "arch/address.h"
#include "arch/defs/vmx.h"

/* CF or ZF set: failed. The UD2 stands out of line, so that a good access costs one branch that is not taken; and in a
 * section where no function is, for it must not come between the instructions of one. */
#define VMX_DIE_IF_FAILED                                    \
	"jna 2f\n\t"                                         \
	".pushsection .text.vmx_failed, \"ax\", @progbits\n" \
	"2:\tud2\n\t"                                        \
	".popsection"

static inline uint64_t vmread(enum vmcs_field field)
{
	uint64_t value;

	__asm__ volatile("vmread %1, %0\n\t" VMX_DIE_IF_FAILED : "=r"(value) : "r"((uint64_t)field) : "cc");
	return value;
}

static inline void vmwrite(enum vmcs_field field, uint64_t value)
{
	__asm__ volatile("vmwrite %1, %0\n\t" VMX_DIE_IF_FAILED : : "r"((uint64_t)field), "r"(value) : "cc", "memory");
}

static inline bool vmxon(hpa_t region)
{
	bool ok;

	__asm__ volatile("vmxon %1" : "=@cca"(ok) : "m"(region) : "cc", "memory");
	return ok;
}

static inline bool vmclear(hpa_t vmcs)
{
	bool ok;

	__asm__ volatile("vmclear %1" : "=@cca"(ok) : "m"(vmcs) : "cc", "memory");
	return ok;
}

static inline bool vmptrld(hpa_t vmcs)
{
	bool ok;

	__asm__ volatile("vmptrld %1" : "=@cca"(ok) : "m"(vmcs) : "cc", "memory");
	return ok;
}

static inline bool invept(enum invept_type type, uint64_t eptp)
{
	const struct {
		uint64_t eptp, reserved;
	} descriptor = {eptp, 0};
	bool ok;

	__asm__ volatile("invept %1, %2" : "=@cca"(ok) : "m"(descriptor), "r"((uint64_t)type) : "cc", "memory");
	return ok;
}

static inline bool invvpid(enum invvpid_type type, uint16_t vpid)
{
	const struct {
		uint64_t vpid, linear;
	} descriptor = {vpid, 0};
	bool ok;

	__asm__ volatile("invvpid %1, %2" : "=@cca"(ok) : "m"(descriptor), "r"((uint64_t)type) : "cc", "memory");
	return ok;
}

/* arch/vmx_enter.asm. With PLAN_IDLE in the plan regs may be NULL, and the answer is VMX_ENTER_NMI. */
enum vmx_enter_status vmx_enter(const struct entry_plan *plan, struct guest_regs *regs);

/* HOST_RIP. Not to be called. */
void vmx_exit(void);

/* What the software flush reads: twice the L1D of every part that needs it, contiguous, write-back, always resident. */
#define L1D_FLUSH_BYTES          65536
#define L1D_LINE_BYTES           64
#define L1D_FLUSH_LINES_PER_TURN 32

/* Return-stack entries of every part (facts: 32 at most where filling is needed), and the branch-history loop: two
 * taken branches an inner turn, more of them than the longest history of the parts that have no BHI_DIS_S. */
#define RSB_ENTRIES     32
#define BHB_OUTER_TURNS 5
#define BHB_INNER_TURNS 5
extern uint8_t l1d_flush_buffer[L1D_FLUSH_BYTES];

#endif
