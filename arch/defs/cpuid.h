/* CPUID leaves and feature bits. Facts only.
 * Source: SDM vol. 2A, "CPUID--CPU Identification". */
#ifndef ARCH_DEFS_CPUID_H
#define ARCH_DEFS_CPUID_H

#define CPUID_VENDOR              0x0u
#define CPUID_FEATURES            0x1u
#define CPUID_CACHE_DESCRIPTORS   0x2u
#define CPUID_CACHE_PARAMETERS    0x4u
#define CPUID_MWAIT               0x5u
#define CPUID_POWER               0x6u
#define CPUID_EXTENDED_FEATURES   0x7u
#define CPUID_PERFMON             0xau
#define CPUID_TOPOLOGY            0xbu
#define CPUID_XSAVE               0xdu
#define CPUID_TSC_RATIO           0x15u
#define CPUID_CPU_FREQUENCY       0x16u
#define CPUID_HYPERVISOR          0x40000000u
#define CPUID_HYPERVISOR_FEATURES 0x40000001u
#define CPUID_EXT_MAX             0x80000000u
#define CPUID_EXT_FEATURES        0x80000001u
#define CPUID_EXT_ADVANCED_POWER  0x80000007u
#define CPUID_EXT_ADDRESS_SIZES   0x80000008u

#define CPUID1_ECX_SSE3         (1u << 0)
#define CPUID1_ECX_PCLMULQDQ    (1u << 1)
#define CPUID1_ECX_DTES64       (1u << 2)
#define CPUID1_ECX_MONITOR      (1u << 3)
#define CPUID1_ECX_DS_CPL       (1u << 4)
#define CPUID1_ECX_VMX          (1u << 5)
#define CPUID1_ECX_SMX          (1u << 6)
#define CPUID1_ECX_EST          (1u << 7)
#define CPUID1_ECX_TM2          (1u << 8)
#define CPUID1_ECX_SSSE3        (1u << 9)
#define CPUID1_ECX_FMA          (1u << 12)
#define CPUID1_ECX_CX16         (1u << 13)
#define CPUID1_ECX_XTPR         (1u << 14)
#define CPUID1_ECX_PDCM         (1u << 15)
#define CPUID1_ECX_PCID         (1u << 17)
#define CPUID1_ECX_SSE41        (1u << 19)
#define CPUID1_ECX_SSE42        (1u << 20)
#define CPUID1_ECX_X2APIC       (1u << 21)
#define CPUID1_ECX_MOVBE        (1u << 22)
#define CPUID1_ECX_POPCNT       (1u << 23)
#define CPUID1_ECX_TSC_DEADLINE (1u << 24)
#define CPUID1_ECX_AES          (1u << 25)
#define CPUID1_ECX_XSAVE        (1u << 26)
#define CPUID1_ECX_OSXSAVE      (1u << 27)
#define CPUID1_ECX_AVX          (1u << 28)
#define CPUID1_ECX_F16C         (1u << 29)
#define CPUID1_ECX_RDRAND       (1u << 30)
#define CPUID1_ECX_HYPERVISOR   (1u << 31)

#define CPUID1_EDX_FPU   (1u << 0)
#define CPUID1_EDX_VME   (1u << 1)
#define CPUID1_EDX_DE    (1u << 2)
#define CPUID1_EDX_PSE   (1u << 3)
#define CPUID1_EDX_TSC   (1u << 4)
#define CPUID1_EDX_MSR   (1u << 5)
#define CPUID1_EDX_PAE   (1u << 6)
#define CPUID1_EDX_MCE   (1u << 7)
#define CPUID1_EDX_CX8   (1u << 8)
#define CPUID1_EDX_APIC  (1u << 9)
#define CPUID1_EDX_SEP   (1u << 11)
#define CPUID1_EDX_MTRR  (1u << 12)
#define CPUID1_EDX_PGE   (1u << 13)
#define CPUID1_EDX_MCA   (1u << 14)
#define CPUID1_EDX_CMOV  (1u << 15)
#define CPUID1_EDX_PAT   (1u << 16)
#define CPUID1_EDX_PSE36 (1u << 17)
#define CPUID1_EDX_CLFSH (1u << 19)
#define CPUID1_EDX_DS    (1u << 21)
#define CPUID1_EDX_ACPI  (1u << 22)
#define CPUID1_EDX_MMX   (1u << 23)
#define CPUID1_EDX_FXSR  (1u << 24)
#define CPUID1_EDX_SSE   (1u << 25)
#define CPUID1_EDX_SSE2  (1u << 26)
#define CPUID1_EDX_SS    (1u << 27)
#define CPUID1_EDX_HTT   (1u << 28)
#define CPUID1_EDX_TM    (1u << 29)
#define CPUID1_EDX_PBE   (1u << 31)

#define CPUID7_EBX_FSGSBASE       (1u << 0)
#define CPUID7_EBX_TSC_ADJUST     (1u << 1)
#define CPUID7_EBX_SGX            (1u << 2)
#define CPUID7_EBX_BMI1           (1u << 3)
#define CPUID7_EBX_HLE            (1u << 4)
#define CPUID7_EBX_AVX2           (1u << 5)
#define CPUID7_EBX_FDP_EXCPTN     (1u << 6)
#define CPUID7_EBX_SMEP           (1u << 7)
#define CPUID7_EBX_BMI2           (1u << 8)
#define CPUID7_EBX_ERMS           (1u << 9)
#define CPUID7_EBX_INVPCID        (1u << 10)
#define CPUID7_EBX_RTM            (1u << 11)
#define CPUID7_EBX_PQM            (1u << 12)
#define CPUID7_EBX_FPU_CS_DS_DEPR (1u << 13)
#define CPUID7_EBX_MPX            (1u << 14)
#define CPUID7_EBX_PQE            (1u << 15)
#define CPUID7_EBX_AVX512F        (1u << 16)
#define CPUID7_EBX_AVX512DQ       (1u << 17)
#define CPUID7_EBX_RDSEED         (1u << 18)
#define CPUID7_EBX_ADX            (1u << 19)
#define CPUID7_EBX_SMAP           (1u << 20)
#define CPUID7_EBX_AVX512_IFMA    (1u << 21)
#define CPUID7_EBX_CLFLUSHOPT     (1u << 23)
#define CPUID7_EBX_CLWB           (1u << 24)
#define CPUID7_EBX_PT             (1u << 25)
#define CPUID7_EBX_AVX512PF       (1u << 26)
#define CPUID7_EBX_AVX512ER       (1u << 27)
#define CPUID7_EBX_AVX512CD       (1u << 28)
#define CPUID7_EBX_SHA            (1u << 29)
#define CPUID7_EBX_AVX512BW       (1u << 30)
#define CPUID7_EBX_AVX512VL       (1u << 31)

#define CPUID7_ECX_UMIP    (1u << 2)
#define CPUID7_ECX_PKU     (1u << 3)
#define CPUID7_ECX_OSPKE   (1u << 4)
#define CPUID7_ECX_WAITPKG (1u << 5)
#define CPUID7_ECX_CET_SS  (1u << 7)
#define CPUID7_ECX_LA57    (1u << 16)
#define CPUID7_ECX_RDPID   (1u << 22)

#define CPUID7_EDX_SRBDS_CTRL        (1u << 9)
#define CPUID7_EDX_MD_CLEAR          (1u << 10)
#define CPUID7_EDX_RTM_ALWAYS_ABORT  (1u << 11)
#define CPUID7_EDX_TSX_FORCE_ABORT   (1u << 13)
#define CPUID7_EDX_SERIALIZE         (1u << 14)
#define CPUID7_EDX_HYBRID            (1u << 15)
#define CPUID7_EDX_IBRS              (1u << 26)
#define CPUID7_EDX_STIBP             (1u << 27)
#define CPUID7_EDX_L1D_FLUSH         (1u << 28)
#define CPUID7_EDX_ARCH_CAPABILITIES (1u << 29)
#define CPUID7_EDX_CORE_CAPABILITIES (1u << 30)
#define CPUID7_EDX_SSBD              (1u << 31)

/* Leaf 7, subleaf 2. */
#define CPUID7_2_EDX_PSFD       (1u << 0)
#define CPUID7_2_EDX_IPRED_CTRL (1u << 1)
#define CPUID7_2_EDX_RRSBA_CTRL (1u << 2)
#define CPUID7_2_EDX_DDPD_U     (1u << 3)
#define CPUID7_2_EDX_BHI_CTRL   (1u << 4)
#define CPUID7_2_EDX_MCDT_NO    (1u << 5)

/* Leaf 0xd, subleaf 1. */
#define CPUID_XSAVE1_EAX_XSAVEOPT (1u << 0)
#define CPUID_XSAVE1_EAX_XSAVEC   (1u << 1)
#define CPUID_XSAVE1_EAX_XGETBV1  (1u << 2)
#define CPUID_XSAVE1_EAX_XSAVES   (1u << 3)

#define CPUID_EXT1_ECX_LAHF          (1u << 0)
#define CPUID_EXT1_ECX_LZCNT         (1u << 5)
#define CPUID_EXT1_ECX_PREFETCHW     (1u << 8)
#define CPUID_EXT1_EDX_SYSCALL       (1u << 11)
#define CPUID_EXT1_EDX_NX            (1u << 20)
#define CPUID_EXT1_EDX_PAGE1GB       (1u << 26)
#define CPUID_EXT1_EDX_RDTSCP        (1u << 27)
#define CPUID_EXT1_EDX_LM            (1u << 29)
#define CPUID_EXT7_EDX_INVARIANT_TSC (1u << 8)

#endif
