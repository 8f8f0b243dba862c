/* Segment registers of the vCPU that is loaded here, with what the CPU keeps beside each selector. */
#ifndef HV_VCPU_SEGMENT_H
#define HV_VCPU_SEGMENT_H

#include <stdint.h>

#include "arch/defs/vmx.h"

/* The first six in the order of a TSS (hv/policy/task.h). */
enum vcpu_segment {
	SEGMENT_ES,
	SEGMENT_CS,
	SEGMENT_SS,
	SEGMENT_DS,
	SEGMENT_FS,
	SEGMENT_GS,
	SEGMENT_LDTR,
	SEGMENT_TR,
	SEGMENT_COUNT
};

struct vcpu_segment_fields {
	enum vmcs_field selector, base, limit, access_rights;
};

extern const struct vcpu_segment_fields vcpu_segment_fields[SEGMENT_COUNT];

/* access_rights: as in the VMCS. */
void vcpu_segment_set(enum vcpu_segment which, uint16_t selector, uint64_t base, uint32_t limit,
		      uint32_t access_rights);

#endif
