/* What the CPU can do and what it says of itself: raw CPUID words and MSRs in, one struct cpu_caps out; the capability
 * value that guests may be shown ("supported"); names for bits. Pure. */
#ifndef HV_POLICY_CPU_CAPS_H
#define HV_POLICY_CPU_CAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/defs/cpuid.h"
#include "arch/defs/msr.h"

/* The bits that setcpuid= and clearcpuid= may name, as a mask. */
enum cpu_feature {
	CPU_ARCH_CAPABILITIES = 1u << 0,
	CPU_L1D_FLUSH = 1u << 1,
	CPU_MD_CLEAR = 1u << 2,
	CPU_SRBDS_CTRL = 1u << 3,
	CPU_IBRS = 1u << 4, /* IA32_SPEC_CTRL.IBRS and IA32_PRED_CMD.IBPB */
	CPU_STIBP = 1u << 5,
	CPU_SSBD = 1u << 6,
	CPU_RTM = 1u << 7,
	/* not to be named by options */
	CPU_RDRAND_RDSEED = 1u << 8, /* either of them */
	CPU_AVX = 1u << 9,
	CPU_HYPERVISOR = 1u << 10, /* we are a guest ourselves */
	CPU_HYBRID = 1u << 11,
	CPU_PSFD = 1u << 12,
	CPU_IPRED_CTRL = 1u << 13,
	CPU_RRSBA_CTRL = 1u << 14,
	CPU_BHI_CTRL = 1u << 15,
};

/* What the boot options assume in place of what the CPU says. */
struct cpu_assumed {
	bool has_arch_capabilities;
	uint64_t arch_capabilities;
	uint32_t set;   /* enum cpu_feature */
	uint32_t clear; /* enum cpu_feature */
};

/* The words of one pCPU as its instructions returned them. */
struct cpu_raw {
	char vendor[13]; /* "GenuineIntel" */
	uint32_t leaf1_eax, leaf1_ecx, leaf1_edx;
	uint32_t leaf7_ebx, leaf7_ecx, leaf7_edx;
	uint32_t leaf7_2_edx;       /* 0 where leaf 7 has no subleaf 2 */
	uint32_t threads_per_core;  /* leaf 0xb, subleaf 0; 1 where unknown */
	uint64_t arch_capabilities; /* 0 where there is none to be read (setcpuid= may say so in place of CPUID) */
};

struct cpu_caps {
	bool is_intel;
	uint32_t family, model, stepping; /* display family and model */
	uint32_t features;                /* enum cpu_feature, after the assumptions */
	uint64_t arch_capabilities;       /* after the assumptions; 0 without CPU_ARCH_CAPABILITIES (a weakness
					     that cpu_caps_common() keeps excepted) */
	uint32_t threads_per_core;        /* more than 1: SMT is on */
};

/* MSRs that exist only where a capability says so: they are tried once on each pCPU (interface.md 2). */
enum cpu_msr {
	CPU_MSR_SPEC_CTRL = 1u << 0,
	CPU_MSR_PRED_CMD = 1u << 1,
	CPU_MSR_FLUSH_CMD = 1u << 2,
	CPU_MSR_MCU_OPT_CTRL = 1u << 3,
	CPU_MSR_TSX_CTRL = 1u << 4,
};

/* The caps of one pCPU. An assumed arch_capabilities= replaces the CPU's value (and implies CPU_ARCH_CAPABILITIES
 * unless that is cleared by clearcpuid=); set and clear work on the bits. */
struct cpu_caps cpu_caps_make(const struct cpu_raw *raw, const struct cpu_assumed *assumed);

/* What is true of both: features, *_NO and control bits are intersected; threads_per_core is the larger. Bits that
 * state a weakness (rsba, rrsba) are united, so that a weakness of one pCPU is not forgotten; and so are the features
 * that matter only as such (CPU_RDRAND_RDSEED, CPU_AVX, CPU_HYPERVISOR, CPU_HYBRID). Family, model and stepping are
 * a's: where they may differ, ask bugs_find() for each pCPU. */
struct cpu_caps cpu_caps_common(const struct cpu_caps *a, const struct cpu_caps *b);

/* The MSRs that these caps say exist (enum cpu_msr). 0x123: SRBDS_CTRL, or FB_CLEAR_CTRL, or GDS_CTRL. */
uint32_t cpu_caps_msrs(const struct cpu_caps *caps);

/* The caps without the use of the MSRs in missing (enum cpu_msr): the feature bits that promise them are cleared
 * (FLUSH_CMD: L1D_FLUSH; MCU_OPT_CTRL: SRBDS_CTRL, fb_clear_ctrl, gds_ctrl; SPEC_CTRL: IBRS STIBP SSBD and the leaf 7.2
 * controls; PRED_CMD: IBRS, whose CPUID bit promises both; TSX_CTRL: tsx_ctrl). So cpu_caps_msrs() of the result names
 * none of them. */
struct cpu_caps cpu_caps_without(const struct cpu_caps *caps, uint32_t missing);

/* FB_CLEAR as the value says it or, on old models, implies it (facts.md 4): the bit, or MDS_NO=0 with L1D_FLUSH and
 * MD_CLEAR. features: the CPUID bits that go with the value (the host's, or a vCPU's). */
bool cpu_caps_fb_clear(uint64_t arch_capabilities, uint32_t features);

/* Immune to all that VERW is for: MDS_NO, TAA_NO, PSDP_NO, FBSDP_NO and SBDR_SSDP_NO. */
bool cpu_caps_verw_immune(uint64_t arch_capabilities);

/* The name of an IA32_ARCH_CAPABILITIES bit ("rdcl_no"), or NULL where it has none. */
const char *cpu_caps_bit_name(unsigned bit);

/* The bit with that name ("rdcl_no", or "bit16" for one without a name). False, *bit untouched: no such name. */
bool cpu_caps_bit_find(const char *name, size_t length, unsigned *bit);

/* Writes the comma-separated names of a value's bits, "-" for none, and a terminator; false if size is too small (the
 * names that fit are written). CPU_CAPS_NAMES_SIZE bytes are always enough, also for all ones. */
#define CPU_CAPS_NAMES_SIZE 640
bool cpu_caps_names(char *out, size_t size, uint64_t value);

/* The name of an enum cpu_feature bit that options may use ("l1d_flush"), or NULL. */
const char *cpu_feature_name(uint32_t feature);
bool cpu_feature_find(const char *name, size_t length, uint32_t *feature);

#endif
