/* The numbers of the paravirtual interface (interface.md 4): the one header that guests and the hypervisor share. */
#ifndef HV_POLICY_HYPERCALL_H
#define HV_POLICY_HYPERCALL_H

/* VMCALL: number in EAX, arguments in EBX, ECX, EDX, result in EAX. */
enum hypercall {
	HYPERCALL_CAPS_ACK = 1,   /* this VM relies on no value of IA32_ARCH_CAPABILITIES but the present one */
	HYPERCALL_CAPS_EVENT = 2, /* EBX = vector 16-255, or 0 for none */
};

enum hypercall_result {
	HYPERCALL_OK = 0,
	HYPERCALL_UNKNOWN = -1,
	HYPERCALL_BAD_ARGUMENT = -2,
};

#endif
