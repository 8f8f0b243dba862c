/* What a guest's CPUID answers: allow-lists of feature bits over the host's words, what the vCPU model fixes, and what
 * the vCPU's own state shows. A bit that is not on a list is 0. Pure. */
#ifndef HV_POLICY_CPUID_POLICY_H
#define HV_POLICY_CPUID_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/policy/vcpu_model.h"

struct cpuid_words {
	uint32_t eax, ebx, ecx, edx;
};

/* XSAVE state components 0-9: x87 to PKRU. No guest gets a later one. */
#define CPUID_XSAVE_COMPONENTS 10

/* One state component, from the host's leaf 0xd, subleaves 2 and up (entries 0 and 1 are unused). */
struct cpuid_xsave_component {
	uint32_t bytes;  /* EAX */
	uint32_t offset; /* EBX: in the standard format */
	bool align64;    /* ECX[1]: in the compacted format */
};

/* What the answers depend on besides the host's words. */
struct cpuid_view {
	const struct vcpu_model *model;
	uint32_t host_max_basic;    /* host's EAX of leaf 0 */
	uint32_t host_max_extended; /* host's EAX of leaf 0x80000000 */
	const struct cpuid_xsave_component
		*xsave; /* CPUID_XSAVE_COMPONENTS of them; may be NULL if xcr0_allowed is 0 */
	uint32_t vcpu_index, vcpu_count;
	uint64_t cr4, xcr0;    /* of the guest, now */
	uint64_t tsx_ctrl;     /* the guest's IA32_TSX_CTRL, 0 where its model has none */
	uint64_t xcr0_allowed; /* components that the guest may enable; 0: the guest has no XSAVE */
	/* what the platform emulates */
	bool apic, x2apic, tsc_deadline;
	uint64_t tsc_hz; /* of the guest, as measured: what the host's own leaves say of it may be wrong */
	/* VM-execution controls that this CPU has and we use */
	bool invpcid, rdtscp, xsaves;
	bool xsavec; /* cpuid_policy_compacts() */
};

/* The leaf whose words answer a guest's CPUID with EAX = leaf: leaf itself, or the highest basic leaf for one beyond
 * the maxima (SDM vol. 2A, CPUID). The caller reads the host's words of this leaf (with the guest's ECX) and hands them
 * to cpuid_policy_answer() together with it. For hypervisor leaves (0x40000000-0x4fffffff) the host's words do not
 * matter. */
uint32_t cpuid_policy_leaf(uint32_t leaf, const struct cpuid_view *view);

/* The guest's words. leaf comes from cpuid_policy_leaf(); host: the host's words of (leaf, subleaf). */
struct cpuid_words cpuid_policy_answer(uint32_t leaf, uint32_t subleaf, struct cpuid_words host,
				       const struct cpuid_view *view);

/* The bit of ECX that shows whether a bit of the guest's CR4 is set; both 0 where none does. */
struct cpuid_cr4_bit {
	uint32_t cr4, ecx;
};

/* That of a leaf (from cpuid_policy_leaf()): all that an answer takes from view->cr4. */
struct cpuid_cr4_bit cpuid_policy_cr4_bit(uint32_t leaf, uint32_t subleaf);

/* Family, model and stepping as leaf 1 shows them in EAX, and as INIT leaves them in EDX. */
uint32_t cpuid_policy_version(const struct vcpu_model *model);

/* The components in xcr0 that have a place in the XSAVE area: a guest believes CPUID, so what the CPU saves without
 * saying where would go into memory that is used for something else. (Bochs 2.7 says of PKRU that it has 0 bytes.) */
uint64_t cpuid_policy_xcr0_placed(uint64_t xcr0, const struct cpuid_xsave_component *components);

/* Whether the CPU agrees with its own list of components about the bytes that those in xcr0 take in the compacted
 * format. host_bytes: EBX of leaf 0xd, subleaf 1, with this XCR0 and nothing in IA32_XSS. Where it does not, guests get
 * neither XSAVEC nor XSAVES. (Bochs 2.7 names the standard format's bytes, and XRSTOR loses what XSAVEC and XSAVES
 * saved.) */
bool cpuid_policy_compacts(uint64_t xcr0, uint32_t host_bytes, const struct cpuid_xsave_component *components);

/* Bytes of an XSAVE area in the standard format for the components in xcr0. */
uint32_t cpuid_policy_xsave_bytes(uint64_t xcr0, const struct cpuid_xsave_component *components);

#endif
