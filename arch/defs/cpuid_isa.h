/* Instruction-set bits of CPUID leaf 7 that matter to us only as a list to pass on. Facts only.
 * Source: SDM vol. 2A, "CPUID--CPU Identification"; Intel Architecture Instruction Set Extensions Programming
 * Reference. */
#ifndef ARCH_DEFS_CPUID_ISA_H
#define ARCH_DEFS_CPUID_ISA_H

#define CPUID7_ECX_AVX512_VBMI      (1u << 1)
#define CPUID7_ECX_AVX512_VBMI2     (1u << 6)
#define CPUID7_ECX_GFNI             (1u << 8)
#define CPUID7_ECX_VAES             (1u << 9)
#define CPUID7_ECX_VPCLMULQDQ       (1u << 10)
#define CPUID7_ECX_AVX512_VNNI      (1u << 11)
#define CPUID7_ECX_AVX512_BITALG    (1u << 12)
#define CPUID7_ECX_AVX512_VPOPCNTDQ (1u << 14)

#define CPUID7_EDX_AVX512_4VNNIW       (1u << 2)
#define CPUID7_EDX_AVX512_4FMAPS       (1u << 3)
#define CPUID7_EDX_FSRM                (1u << 4)
#define CPUID7_EDX_AVX512_VP2INTERSECT (1u << 8)
#define CPUID7_EDX_AVX512_FP16         (1u << 23)

/* Leaf 7, subleaf 1. */
#define CPUID7_1_EAX_AVX_VNNI    (1u << 4)
#define CPUID7_1_EAX_AVX512_BF16 (1u << 5)
#define CPUID7_1_EAX_FZRM        (1u << 10)
#define CPUID7_1_EAX_FSRS        (1u << 11)
#define CPUID7_1_EAX_FSRCS       (1u << 12)

#endif
