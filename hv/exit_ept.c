/* EPT violations: an address of the guest where there is no RAM. */
#include "arch/vmx.h"
#include "hv/exit.h"
#include "hv/policy/text.h"
#include "hv/vm.h"

enum exit_action exit_ept_violation(struct vcpu *vcpu)
{
	char text[64];

	text_format(text, sizeof(text), "unhandled exit: reason=ept_violation gpa=0x%lx",
		    vmread(VMCS_GUEST_PHYSICAL_ADDRESS));
	vm_crash(vcpu, text);
	return EXIT_LEAVE;
}
