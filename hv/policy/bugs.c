#include "hv/policy/bugs.h"

#include <stddef.h>

#include "arch/defs/msr.h"

/* Sources: Intel, "Affected Processors: Transient Execution Attacks & Related Security Issues by CPU"; Linux,
 * arch/x86/kernel/cpu/common.c, for the steppings. All are of family 6. */

/* Columns of the table below. */
enum {
	SRBDS = BUG_SRBDS,
	MMIO = BUG_MMIO_STALE_DATA,
	SBDS = BUG_MMIO_STALE_DATA | BUG_SRBDS, /* the shared buffers of the MMIO update: counts for both */
	RETB = BUG_RETBLEED,
	GDS = BUG_GDS,
	ITS = BUG_ITS,
	ITS_H = BUG_ITS | BUG_ITS_HOST_ONLY,
	RFDS = BUG_RFDS,
	RFDS_E = 1 << 30, /* RFDS, but on the E-cores of hybrid parts only */
};

#define ANY 0, UINT32_MAX

/* The first match wins. Models that only VMSCAPE touches are left out: it concerns a hypervisor's ring-3 part, and we
 * have none. */
static const struct {
	uint32_t model, stepping_first, stepping_last;
	uint32_t bugs;
} AFFECTED[] = {
	{0x3a, ANY, SRBDS},
	{0x3c, ANY, SRBDS},
	{0x45, ANY, SRBDS},
	{0x46, ANY, SRBDS},
	{0x3d, ANY, SRBDS},
	{0x47, ANY, SRBDS},
	{0x3f, ANY, MMIO},
	{0x56, ANY, MMIO},
	{0x4f, ANY, MMIO},
	{0x55, 0x0, 0x5, MMIO | RETB | GDS},
	{0x55, ANY, MMIO | RETB | GDS | ITS},
	{0x4e, ANY, SRBDS | MMIO | RETB | GDS},
	{0x5e, ANY, SRBDS | MMIO | RETB | GDS},
	{0x8e, 0x0, 0xb, SRBDS | MMIO | RETB | GDS},
	{0x9e, 0x0, 0xc, SRBDS | MMIO | RETB | GDS},
	{0x8e, ANY, SRBDS | MMIO | RETB | GDS | ITS},
	{0x9e, ANY, SRBDS | MMIO | RETB | GDS | ITS},
	{0x66, ANY, RETB},
	{0x7e, ANY, MMIO | SBDS | RETB | GDS | ITS_H},
	{0x6a, ANY, MMIO | GDS | ITS_H},
	{0x6c, ANY, MMIO | GDS | ITS_H},
	{0xa5, ANY, MMIO | SBDS | RETB | GDS | ITS},
	{0xa6, 0x0, 0x0, MMIO | RETB | ITS},
	{0xa6, ANY, MMIO | SBDS | RETB | GDS | ITS},
	{0x8c, ANY, GDS | ITS_H},
	{0x8d, ANY, GDS | ITS_H},
	{0x8a, ANY, MMIO | SBDS | RETB},
	{0xa7, ANY, MMIO | RETB | GDS | ITS_H},
	{0x97, ANY, RFDS_E},
	{0xb7, ANY, RFDS_E},
	{0x9a, ANY, RFDS},
	{0xba, ANY, RFDS},
	{0xbf, ANY, RFDS},
	{0xbe, ANY, RFDS},
	{0x96, ANY, MMIO | SBDS | RFDS},
	{0x9c, ANY, MMIO | SBDS | RFDS},
	{0x86, ANY, MMIO | RFDS},
	{0x5c, ANY, RFDS},
	{0x5f, ANY, RFDS},
	{0x7a, ANY, RFDS},
};

enum { NO_L1TF = 1 << 0, NO_MDS = 1 << 1, MSBDS_ONLY = 1 << 2, NO_PBRSB = 1 << 3 };

/* The bugs of every other part, but not (or not wholly) of these: all of them Atoms and Xeon Phis. */
static const struct {
	uint32_t model, except;
} EXEMPT[] = {
	{0x1c, NO_L1TF | NO_MDS},
	{0x26, NO_L1TF | NO_MDS},
	{0x27, NO_L1TF | NO_MDS},
	{0x35, NO_L1TF | NO_MDS},
	{0x36, NO_L1TF | NO_MDS},
	{0x37, NO_L1TF | MSBDS_ONLY},
	{0x4d, NO_L1TF | MSBDS_ONLY},
	{0x4a, NO_L1TF | MSBDS_ONLY},
	{0x5a, NO_L1TF | MSBDS_ONLY},
	{0x4c, NO_L1TF | MSBDS_ONLY},
	{0x57, NO_L1TF | MSBDS_ONLY},
	{0x85, NO_L1TF | MSBDS_ONLY},
	{0x75, NO_L1TF},
	{0x5c, NO_L1TF | NO_MDS},
	{0x5f, NO_L1TF | NO_MDS},
	{0x7a, NO_L1TF | NO_MDS | NO_PBRSB},
	{0x96, NO_PBRSB},
	{0x9c, NO_PBRSB},
	{0x86, NO_PBRSB},
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static uint32_t listed_bugs(const struct cpu_caps *caps)
{
	for (size_t i = 0; i < COUNT(AFFECTED); i++) {
		if (AFFECTED[i].model == caps->model && caps->stepping >= AFFECTED[i].stepping_first &&
		    caps->stepping <= AFFECTED[i].stepping_last)
			return AFFECTED[i].bugs;
	}
	return 0;
}

static uint32_t listed_exemptions(uint32_t model)
{
	for (size_t i = 0; i < COUNT(EXEMPT); i++) {
		if (EXEMPT[i].model == model)
			return EXEMPT[i].except;
	}
	return 0;
}

/* An answer for the whole machine: one E-core is enough. A part that says it is not hybrid has none; but under another
 * hypervisor the bit may be hidden while we do run on an E-core. */
static bool has_rfds(const struct cpu_caps *caps, uint32_t listed)
{
	if (caps->arch_capabilities & ARCH_CAP(RFDS_NO))
		return false;
	if (caps->arch_capabilities & ARCH_CAP(RFDS_CLEAR))
		return true;
	if (listed & RFDS_E)
		return caps->features & (CPU_HYBRID | CPU_HYPERVISOR);
	return listed & RFDS;
}

static bool is_known_family(const struct cpu_caps *caps)
{
	return caps->is_intel && caps->family == 6;
}

static uint32_t bug_if(bool affected, uint32_t bugs)
{
	return affected ? bugs : 0;
}

uint32_t bugs_find(const struct cpu_caps *caps)
{
	const uint64_t MMIO_NO = ARCH_CAP(FBSDP_NO) | ARCH_CAP(PSDP_NO) | ARCH_CAP(SBDR_SSDP_NO);

	if (!is_known_family(caps))
		return 0;

	uint64_t value = caps->arch_capabilities;
	uint32_t features = caps->features;
	uint32_t listed = listed_bugs(caps);
	uint32_t except = listed_exemptions(caps->model);
	bool mds = !(value & ARCH_CAP(MDS_NO)) && !(except & NO_MDS);
	bool rtm = features & CPU_RTM;
	bool taa = !(value & ARCH_CAP(TAA_NO)) && (rtm || value & ARCH_CAP(TSX_CTRL));
	bool its = !(value & ARCH_CAP(ITS_NO)) && !(features & CPU_BHI_CTRL);
	bool ibrs_all = value & ARCH_CAP(IBRS_ALL);

	return bug_if(!(value & ARCH_CAP(RDCL_NO)) && !(except & NO_L1TF), BUG_L1TF) | bug_if(mds, BUG_MDS) |
	       bug_if(mds && except & MSBDS_ONLY, BUG_MSBDS_ONLY) | bug_if(taa, BUG_TAA) |
	       bug_if(taa && rtm, BUG_TAA_RTM) | bug_if((value & MMIO_NO) != MMIO_NO, listed & BUG_MMIO_STALE_DATA) |
	       bug_if(has_rfds(caps, listed), BUG_RFDS) | bug_if(features & CPU_RDRAND_RDSEED, listed & BUG_SRBDS) |
	       bug_if(features & CPU_AVX && !(value & ARCH_CAP(GDS_NO)), listed & BUG_GDS) |
	       bug_if(its, listed & (BUG_ITS | BUG_ITS_HOST_ONLY)) |
	       bug_if(ibrs_all && !(value & ARCH_CAP(BHI_NO)), BUG_BHI) |
	       bug_if(ibrs_all && !(value & ARCH_CAP(PBRSB_NO)) && !(except & NO_PBRSB), BUG_PBRSB) |
	       (listed & BUG_RETBLEED);
}

const char *bug_name(enum bug bug)
{
	switch (bug) {
	case BUG_L1TF:
		return "l1tf";
	case BUG_MDS:
		return "mds";
	case BUG_TAA:
		return "taa";
	case BUG_MMIO_STALE_DATA:
		return "mmio_stale_data";
	case BUG_RFDS:
		return "rfds";
	case BUG_SRBDS:
		return "srbds";
	case BUG_GDS:
		return "gds";
	case BUG_ITS:
		return "its";
	case BUG_BHI:
		return "bhi";
	case BUG_MSBDS_ONLY:
	case BUG_PBRSB:
	case BUG_RETBLEED:
	case BUG_ITS_HOST_ONLY:
	case BUG_TAA_RTM:
		break;
	}
	return NULL;
}

/* The bits that are true of a guest if they are true of the host, and that promise no MSR which we do not virtualise.
 * The dynamic bit SKIP_L1DFL_VMENTRY is not among them: it is this hypervisor's word, not the host's. */
static const uint64_t PASSED_ON = ARCH_CAP(RDCL_NO) | ARCH_CAP(IBRS_ALL) | ARCH_CAP(RSBA) | ARCH_CAP(SSB_NO) |
				  ARCH_CAP(MDS_NO) | ARCH_CAP(IF_PSCHANGE_MC_NO) | ARCH_CAP(TSX_CTRL) |
				  ARCH_CAP(TAA_NO) | ARCH_CAP(SBDR_SSDP_NO) | ARCH_CAP(FBSDP_NO) | ARCH_CAP(PSDP_NO) |
				  ARCH_CAP(FB_CLEAR) | ARCH_CAP(RRSBA) | ARCH_CAP(BHI_NO) | ARCH_CAP(PBRSB_NO) |
				  ARCH_CAP(GDS_NO) | ARCH_CAP(RFDS_NO) | ARCH_CAP(RFDS_CLEAR) | ARCH_CAP(ITS_NO);

uint64_t bugs_supported_caps(const struct cpu_caps *caps, uint32_t bugs)
{
	/* A bug of ours and the bit that says it is absent. RDCL_NO and SSB_NO are passed on but never made up: RDCL_NO
	 * denies Meltdown too, and there are parts with Meltdown and without L1TF; of SSB we keep no list. GDS_NO for a
	 * part that only microcode mitigates would hang on a lock bit of each pCPU. Saying less than is true is safe.
	 */
	static const struct {
		uint32_t bug;
		uint64_t absent;
	} SYNTHESISED[] = {
		{BUG_MDS, ARCH_CAP(MDS_NO)},
		{BUG_GDS, ARCH_CAP(GDS_NO)},
		{BUG_RFDS, ARCH_CAP(RFDS_NO)},
		{BUG_ITS, ARCH_CAP(ITS_NO)},
	};
	uint64_t value = (caps->arch_capabilities & PASSED_ON) | ARCH_CAP(IF_PSCHANGE_MC_NO);

	/* Where RTM is off the guest sees so in CPUID, and neither says that TSX is safe nor that it has a switch (trap
	 * 15). Where it is on, a CPU that is not affected has TAA_NO itself. */
	if (!(caps->features & CPU_RTM))
		value &= ~(ARCH_CAP(TAA_NO) | ARCH_CAP(TSX_CTRL));

	/* Trap 16; and our list of bugs says nothing of other vendors and families. */
	if (caps->features & CPU_HYPERVISOR || !is_known_family(caps))
		return value;
	for (size_t i = 0; i < COUNT(SYNTHESISED); i++) {
		if (!(bugs & SYNTHESISED[i].bug))
			value |= SYNTHESISED[i].absent;
	}
	return value;
}
