#include "hv/policy/vcpu_model.h"

#include "arch/defs/msr.h"
#include "hv/policy/text.h"

static const uint32_t SERVER_FEATURES = CPU_MD_CLEAR | CPU_IBRS | CPU_STIBP | CPU_L1D_FLUSH | CPU_SSBD;

/* The named models, all of family 6. RTM is shown by none of them; IF_PSCHANGE_MC_NO comes on top. */
static const struct named_model {
	const char *name;
	uint32_t model, stepping;
	uint64_t arch_capabilities;
} MODELS[] = {
	{"skylake-server", 0x55, 4, 0},
	{"cascadelake-server", 0x55, 7, ARCH_CAP(RDCL_NO) | ARCH_CAP(IBRS_ALL) | ARCH_CAP(MDS_NO) | ARCH_CAP(TSX_CTRL)},
	{"icelake-server", 0x6a, 6,
	 ARCH_CAP(RDCL_NO) | ARCH_CAP(IBRS_ALL) | ARCH_CAP(MDS_NO) | ARCH_CAP(TAA_NO) | ARCH_CAP(FB_CLEAR)},
	{"sapphirerapids", 0x8f, 8,
	 ARCH_CAP(RDCL_NO) | ARCH_CAP(IBRS_ALL) | ARCH_CAP(MDS_NO) | ARCH_CAP(TAA_NO) | ARCH_CAP(SBDR_SSDP_NO) |
		 ARCH_CAP(FBSDP_NO) | ARCH_CAP(PSDP_NO)},
};
#define MODEL_COUNT (sizeof(MODELS) / sizeof(MODELS[0]))

static const char *const HOST = "host";

/* What "host" shows of the machine's features: those whose MSRs a guest is given. Not SRBDS_CTRL, for its MSR is
 * IA32_MCU_OPT_CTRL (trap 22). */
static const uint32_t GUEST_FEATURES = CPU_L1D_FLUSH | CPU_MD_CLEAR | CPU_IBRS | CPU_STIBP | CPU_SSBD | CPU_RTM |
				       CPU_PSFD | CPU_IPRED_CTRL | CPU_RRSBA_CTRL | CPU_BHI_CTRL;

static const uint64_t IMMUNITIES = ARCH_CAP(RDCL_NO) | ARCH_CAP(SSB_NO) | ARCH_CAP(MDS_NO) | ARCH_CAP(TAA_NO) |
				   ARCH_CAP(SBDR_SSDP_NO) | ARCH_CAP(FBSDP_NO) | ARCH_CAP(PSDP_NO) | ARCH_CAP(BHI_NO) |
				   ARCH_CAP(PBRSB_NO) | ARCH_CAP(GDS_NO) | ARCH_CAP(RFDS_NO) | ARCH_CAP(ITS_NO);

/* A guest may be told of a weakness that it has not, and that VERW clears more than it does: both cost it time only. */
static const uint64_t HARMLESS =
	ARCH_CAP(RSBA) | ARCH_CAP(RRSBA) | ARCH_CAP(FB_CLEAR) | ARCH_CAP(RFDS_CLEAR) | ARCH_CAP(IF_PSCHANGE_MC_NO);

uint64_t vcpu_model_immunities(void)
{
	return IMMUNITIES;
}

const char *vcpu_model_name(unsigned i)
{
	if (i < MODEL_COUNT)
		return MODELS[i].name;
	return i == MODEL_COUNT ? HOST : NULL;
}

/* What the machine is immune to. `supported` leaves TAA_NO out where RTM is off, so that "host" is consistent; a CPU
 * that says TAA_NO has the immunity all the same. */
static uint64_t machine_immunities(const struct machine *machine)
{
	return (machine->supported_caps & IMMUNITIES) | (machine->caps.arch_capabilities & ARCH_CAP(TAA_NO));
}

static struct vcpu_model host_model(const struct machine *machine)
{
	return (struct vcpu_model){
		.name = HOST,
		.family = machine->caps.family,
		.model = machine->caps.model,
		.stepping = machine->caps.stepping,
		.features = machine->caps.features & GUEST_FEATURES,
		.arch_capabilities = machine->supported_caps,
	};
}

static bool base_model(struct vcpu_model *out, const char *name, const struct machine *machine)
{
	if (text_equal(name, HOST)) {
		*out = host_model(machine);
		return true;
	}
	for (size_t i = 0; i < MODEL_COUNT; i++) {
		if (!text_equal(name, MODELS[i].name))
			continue;
		*out = (struct vcpu_model){
			.name = MODELS[i].name,
			.family = 6,
			.model = MODELS[i].model,
			.stepping = MODELS[i].stepping,
			.features = SERVER_FEATURES,
			.arch_capabilities = MODELS[i].arch_capabilities | ARCH_CAP(IF_PSCHANGE_MC_NO),
		};
		return true;
	}
	return false;
}

enum vcpu_model_status vcpu_model_make(struct vcpu_model *out, const struct vcpu_model_request *request,
				       const struct machine *machine, uint32_t *masked, uint64_t *bits)
{
	struct vcpu_model model;

	*bits = 0;
	if (!base_model(&model, request->cpu, machine))
		return VCPU_MODEL_UNKNOWN;

	uint64_t may_add = IMMUNITIES | HARMLESS | machine->supported_caps | model.arch_capabilities;
	uint64_t unsupported = request->caps_add & ~may_add;

	if (unsupported != 0) {
		*bits = unsupported;
		return VCPU_MODEL_UNSUPPORTED;
	}
	model.arch_capabilities |= request->caps_add;
	model.arch_capabilities &= ~request->caps_remove;

	/* Trap 13: the result is checked, whoever asked for it. */
	uint64_t lacking = model.arch_capabilities & IMMUNITIES & ~machine_immunities(machine);

	if (lacking != 0 && !request->unsafe) {
		*bits = lacking;
		return VCPU_MODEL_IMMUNITY;
	}

	*masked = model.features & ~machine->caps.features;
	model.features = (model.features & machine->caps.features) | CPU_ARCH_CAPABILITIES;
	model.fb_clear = cpu_caps_fb_clear(model.arch_capabilities, model.features);
	model.wants_fb_clear_dis = !model.fb_clear && !cpu_caps_verw_immune(model.arch_capabilities);
	*out = model;
	return VCPU_MODEL_OK;
}
