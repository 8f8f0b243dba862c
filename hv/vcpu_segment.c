#include "hv/vcpu_segment.h"

#include "arch/vmx.h"

#define FIELDS(NAME)                                                                               \
	{                                                                                          \
		VMCS_GUEST_##NAME##_SELECTOR, VMCS_GUEST_##NAME##_BASE, VMCS_GUEST_##NAME##_LIMIT, \
			VMCS_GUEST_##NAME##_ACCESS_RIGHTS                                          \
	}

const struct vcpu_segment_fields vcpu_segment_fields[SEGMENT_COUNT] = {
	[SEGMENT_ES] = FIELDS(ES), [SEGMENT_CS] = FIELDS(CS), [SEGMENT_SS] = FIELDS(SS),     [SEGMENT_DS] = FIELDS(DS),
	[SEGMENT_FS] = FIELDS(FS), [SEGMENT_GS] = FIELDS(GS), [SEGMENT_LDTR] = FIELDS(LDTR), [SEGMENT_TR] = FIELDS(TR),
};

void vcpu_segment_set(enum vcpu_segment which, uint16_t selector, uint64_t base, uint32_t limit, uint32_t access_rights)
{
	const struct vcpu_segment_fields *fields = &vcpu_segment_fields[which];

	vmwrite(fields->selector, selector);
	vmwrite(fields->base, base);
	vmwrite(fields->limit, limit);
	vmwrite(fields->access_rights, access_rights);
}
