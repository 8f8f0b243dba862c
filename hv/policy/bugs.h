/* Which transient-execution bugs the CPU has (facts.md 5), and what guests may be shown of IA32_ARCH_CAPABILITIES
 * (facts.md 2). Pure. */
#ifndef HV_POLICY_BUGS_H
#define HV_POLICY_BUGS_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/policy/cpu_caps.h"

/* As a mask. The first nine are the rows of `bugs`, in that order. */
enum bug {
	BUG_L1TF = 1u << 0,
	BUG_MDS = 1u << 1,
	BUG_TAA = 1u << 2,
	BUG_MMIO_STALE_DATA = 1u << 3,
	BUG_RFDS = 1u << 4,
	BUG_SRBDS = 1u << 5,
	BUG_GDS = 1u << 6,
	BUG_ITS = 1u << 7,
	BUG_BHI = 1u << 8,
	/* details */
	BUG_MSBDS_ONLY = 1u << 9, /* with BUG_MDS: store buffers only */
	BUG_PBRSB = 1u << 10,
	BUG_RETBLEED = 1u << 11,
	BUG_ITS_HOST_ONLY = 1u << 12, /* with BUG_ITS */
	BUG_TAA_RTM = 1u << 13,       /* with BUG_TAA: transactions run here. The RTM bit of a machine's caps is set
					 only if all its pCPUs have it; for this one is enough */
};
#define BUG_ROW_COUNT 9

/* "l1tf", "mds", "taa", "mmio_stale_data", "rfds", "srbds", "gds", "its", "bhi"; NULL for the details. */
const char *bug_name(enum bug bug);

/* The bugs of a CPU with these caps. A CPU that is not Intel family 6 has none of them here. */
uint32_t bugs_find(const struct cpu_caps *caps);

/* IA32_ARCH_CAPABILITIES as it may be shown to a guest of this machine, without the dynamic bit
 * skip_l1dfl_vmentry: the bits that are passed on, and what is synthesised. Nothing is synthesised (but
 * IF_PSCHANGE_MC_NO) when we run under another hypervisor ourselves, nor for a CPU that bugs_find() knows nothing of.
 * TAA_NO and TSX_CTRL are shown with RTM only. bugs: of bugs_find(). */
uint64_t bugs_supported_caps(const struct cpu_caps *caps, uint32_t bugs);

#endif
