/* The checks on a guest's writes of control registers, EFER, XCR0 and PAT: what the CPU would refuse with #GP, and what
 * we refuse because the guest has no such feature. Pure. Source: SDM vol. 3A, "Control Registers", "Extended Control
 * Registers (Including XCR0)", "Page Attribute Table (PAT)"; vol. 2B, "MOV--Move to/from Control Registers"; vol. 2D,
 * "XSETBV". */
#ifndef HV_POLICY_CR_POLICY_H
#define HV_POLICY_CR_POLICY_H

#include <stdbool.h>
#include <stdint.h>

/* Each answers whether the write is taken; false is #GP(0). "old" is the guest's own view of the register (with what
 * the read shadow says, not what the VMCS holds because of VMX). */

/* cs_l: CS.L of the guest now. What is then kept is cr_policy_cr0_kept(new_cr0). */
bool cr_policy_cr0_valid(uint64_t new_cr0, uint64_t old_cr0, uint64_t cr4, uint64_t efer, bool cs_l);

/* CR0 as it reads back after a write of new_cr0: reserved bits below bit 32 are ignored, ET is always 1. */
uint64_t cr_policy_cr0_kept(uint64_t new_cr0);

/* allowed: cr_policy_cr4_allowed(). CR4.VMXE and SMXE are never among it. */
bool cr_policy_cr4_valid(uint64_t new_cr4, uint64_t old_cr4, uint64_t cr3, uint64_t efer, uint64_t allowed);

/* allowed: cr_policy_efer_allowed(). LMA may be written but does not change: what is kept is cr_policy_efer_kept(). */
bool cr_policy_efer_valid(uint64_t new_efer, uint64_t old_efer, uint64_t cr0, uint64_t allowed);
uint64_t cr_policy_efer_kept(uint64_t new_efer, uint64_t old_efer);

/* EFER as a taken write of CR0 leaves it: LMA is LME while paging is on. (IA32e-mode guest of the VM-entry controls
 * equals LMA.) */
uint64_t cr_policy_efer_after_cr0(uint64_t efer, uint64_t new_cr0);

/* allowed: the state components that the guest may enable. XSETBV is refused also where CPL is not 0 or ECX is not 0.
 */
bool cr_policy_xcr0_valid(uint64_t xcr0, uint64_t allowed);

bool cr_policy_pat_valid(uint64_t pat);

/* The CR4 bits that a guest may set which sees these words of CPUID (leaf 1 ECX and EDX, leaf 7.0 EBX and ECX). */
uint64_t cr_policy_cr4_allowed(uint32_t leaf1_ecx, uint32_t leaf1_edx, uint32_t leaf7_ebx, uint32_t leaf7_ecx);

/* The EFER bits (LMA aside) that a guest may set which sees this CPUID.80000001h:EDX. */
uint64_t cr_policy_efer_allowed(uint32_t ext1_edx);

#endif
