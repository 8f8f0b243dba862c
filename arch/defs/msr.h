/* Model-specific registers: numbers and bits. Facts only.
 * Source: SDM vol. 4, "Model-Specific Registers (MSRs)". */
#ifndef ARCH_DEFS_MSR_H
#define ARCH_DEFS_MSR_H

#define MSR_IA32_TSC                     0x10
#define MSR_IA32_PLATFORM_ID             0x17
#define MSR_IA32_APIC_BASE               0x1b
#define MSR_IA32_FEATURE_CONTROL         0x3a
#define MSR_IA32_TSC_ADJUST              0x3b
#define MSR_IA32_SPEC_CTRL               0x48
#define MSR_IA32_PRED_CMD                0x49
#define MSR_IA32_BIOS_SIGN_ID            0x8b
#define MSR_IA32_MTRRCAP                 0xfe
#define MSR_IA32_ARCH_CAPABILITIES       0x10a
#define MSR_IA32_FLUSH_CMD               0x10b
#define MSR_IA32_TSX_CTRL                0x122
#define MSR_IA32_MCU_OPT_CTRL            0x123
#define MSR_IA32_SYSENTER_CS             0x174
#define MSR_IA32_SYSENTER_ESP            0x175
#define MSR_IA32_SYSENTER_EIP            0x176
#define MSR_IA32_MCG_CAP                 0x179
#define MSR_IA32_MCG_STATUS              0x17a
#define MSR_IA32_MISC_ENABLE             0x1a0
#define MSR_IA32_DEBUGCTL                0x1d9
#define MSR_IA32_PAT                     0x277
#define MSR_IA32_MTRR_DEF_TYPE           0x2ff
#define MSR_IA32_VMX_BASIC               0x480
#define MSR_IA32_VMX_PINBASED_CTLS       0x481
#define MSR_IA32_VMX_PROCBASED_CTLS      0x482
#define MSR_IA32_VMX_EXIT_CTLS           0x483
#define MSR_IA32_VMX_ENTRY_CTLS          0x484
#define MSR_IA32_VMX_MISC                0x485
#define MSR_IA32_VMX_CR0_FIXED0          0x486
#define MSR_IA32_VMX_CR0_FIXED1          0x487
#define MSR_IA32_VMX_CR4_FIXED0          0x488
#define MSR_IA32_VMX_CR4_FIXED1          0x489
#define MSR_IA32_VMX_PROCBASED_CTLS2     0x48b
#define MSR_IA32_VMX_EPT_VPID_CAP        0x48c
#define MSR_IA32_VMX_TRUE_PINBASED_CTLS  0x48d
#define MSR_IA32_VMX_TRUE_PROCBASED_CTLS 0x48e
#define MSR_IA32_VMX_TRUE_EXIT_CTLS      0x48f
#define MSR_IA32_VMX_TRUE_ENTRY_CTLS     0x490
#define MSR_IA32_TSC_DEADLINE            0x6e0
#define MSR_IA32_X2APIC_FIRST            0x800
#define MSR_IA32_X2APIC_LAST             0x8ff
#define MSR_IA32_XSS                     0xda0
#define MSR_IA32_EFER                    0xc0000080
#define MSR_IA32_STAR                    0xc0000081
#define MSR_IA32_LSTAR                   0xc0000082
#define MSR_IA32_CSTAR                   0xc0000083
#define MSR_IA32_FMASK                   0xc0000084
#define MSR_IA32_FS_BASE                 0xc0000100
#define MSR_IA32_GS_BASE                 0xc0000101
#define MSR_IA32_KERNEL_GS_BASE          0xc0000102
#define MSR_IA32_TSC_AUX                 0xc0000103

#define APIC_BASE_BSP           (1u << 8)
#define APIC_BASE_X2APIC_ENABLE (1u << 10)
#define APIC_BASE_ENABLE        (1u << 11)

#define FEATURE_CONTROL_LOCK       (1u << 0)
#define FEATURE_CONTROL_VMX_IN_SMX (1u << 1)
#define FEATURE_CONTROL_VMX        (1u << 2)

#define SPEC_CTRL_IBRS        (1u << 0)
#define SPEC_CTRL_STIBP       (1u << 1)
#define SPEC_CTRL_SSBD        (1u << 2)
#define SPEC_CTRL_IPRED_DIS_U (1u << 3)
#define SPEC_CTRL_IPRED_DIS_S (1u << 4)
#define SPEC_CTRL_RRSBA_DIS_U (1u << 5)
#define SPEC_CTRL_RRSBA_DIS_S (1u << 6)
#define SPEC_CTRL_PSFD        (1u << 7)
#define SPEC_CTRL_DDPD_U      (1u << 8)
#define SPEC_CTRL_BHI_DIS_S   (1u << 10)

#define PRED_CMD_IBPB       (1u << 0)
#define FLUSH_CMD_L1D_FLUSH (1u << 0)

#define TSX_CTRL_RTM_DISABLE (1u << 0)
#define TSX_CTRL_CPUID_CLEAR (1u << 1)

#define MCU_OPT_CTRL_RNGDS_MITG_DIS (1u << 0)
#define MCU_OPT_CTRL_RTM_ALLOW      (1u << 1)
#define MCU_OPT_CTRL_RTM_LOCKED     (1u << 2)
#define MCU_OPT_CTRL_FB_CLEAR_DIS   (1u << 3)
#define MCU_OPT_CTRL_GDS_MITG_DIS   (1u << 4)
#define MCU_OPT_CTRL_GDS_MITG_LOCK  (1u << 5)

#define EFER_SCE (1u << 0)
#define EFER_LME (1u << 8)
#define EFER_LMA (1u << 10)
#define EFER_NXE (1u << 11)

#define MTRR_DEF_TYPE_MASK   0xffu
#define MTRR_DEF_TYPE_ENABLE (1u << 11)
#define MTRR_TYPE_WB         6u
#define PAT_TYPE_UC_MINUS    7u

/* Bit numbers of IA32_ARCH_CAPABILITIES, ARCH_CAP_BIT_RDCL_NO and so on. */
enum arch_cap_bit {
#define ARCH_CAP_DEF(bit, NAME, name) ARCH_CAP_BIT_##NAME = (bit),
#include "arch/defs/arch_caps.def"
#undef ARCH_CAP_DEF
};

/* The mask of one of them: ARCH_CAP(RDCL_NO). */
#define ARCH_CAP(NAME) (1ull << ARCH_CAP_BIT_##NAME)

#endif
