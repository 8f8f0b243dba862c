/* Control registers, RFLAGS, XCR0 and exception vectors. Facts only.
 * Source: SDM vol. 3A, "Control Registers", "Extended Control Registers", "Protected-Mode Exceptions and Interrupts";
 * vol. 1, "EFLAGS Register". */
#ifndef ARCH_DEFS_CR_H
#define ARCH_DEFS_CR_H

#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_NW (1u << 29)
#define CR0_CD (1u << 30)
#define CR0_PG (1u << 31)

#define CR3_PCID_MASK 0xfffull

#define CR4_VME        (1u << 0)
#define CR4_PVI        (1u << 1)
#define CR4_TSD        (1u << 2)
#define CR4_DE         (1u << 3)
#define CR4_PSE        (1u << 4)
#define CR4_PAE        (1u << 5)
#define CR4_MCE        (1u << 6)
#define CR4_PGE        (1u << 7)
#define CR4_PCE        (1u << 8)
#define CR4_OSFXSR     (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP       (1u << 11)
#define CR4_LA57       (1u << 12)
#define CR4_VMXE       (1u << 13)
#define CR4_SMXE       (1u << 14)
#define CR4_FSGSBASE   (1u << 16)
#define CR4_PCIDE      (1u << 17)
#define CR4_OSXSAVE    (1u << 18)
#define CR4_SMEP       (1u << 20)
#define CR4_SMAP       (1u << 21)
#define CR4_PKE        (1u << 22)

#define XCR0_X87       (1u << 0)
#define XCR0_SSE       (1u << 1)
#define XCR0_AVX       (1u << 2)
#define XCR0_OPMASK    (1u << 5)
#define XCR0_ZMM_HI256 (1u << 6)
#define XCR0_HI16_ZMM  (1u << 7)
#define XCR0_AVX512    (XCR0_OPMASK | XCR0_ZMM_HI256 | XCR0_HI16_ZMM)
#define XCR0_PKRU      (1u << 9)

#define RFLAGS_FIXED1 (1u << 1)
#define RFLAGS_ZF     (1u << 6)
#define RFLAGS_TF     (1u << 8)
#define RFLAGS_IF     (1u << 9)
#define RFLAGS_DF     (1u << 10)
#define RFLAGS_NT     (1u << 14)
#define RFLAGS_RF     (1u << 16)
#define RFLAGS_VM     (1u << 17)
#define RFLAGS_ALL    0x3f7fd7u /* the others are reserved */

#define DR6_INIT 0xffff0ff0u
#define DR6_BS   (1u << 14)
#define DR7_INIT 0x400u
#define DR7_GD   (1u << 13)

#define EXC_DE  0
#define EXC_DB  1
#define EXC_NMI 2
#define EXC_BP  3
#define EXC_UD  6
#define EXC_NM  7
#define EXC_DF  8
#define EXC_TS  10
#define EXC_NP  11
#define EXC_SS  12
#define EXC_GP  13
#define EXC_PF  14
#define EXC_AC  17
#define EXC_MC  18
#define EXC_CP  21

#endif
