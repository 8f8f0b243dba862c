/* One virtual machine: its configuration, its memory, its vCPUs, and what it has been told. Slots are static; a VM that
 * is off keeps its slot. The console starts and stops VMs; exit handlers on any pCPU use them while they run. */
#ifndef HV_VM_H
#define HV_VM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/address.h"
#include "arch/cpu.h"
#include "arch/ept.h"
#include "hv/boot_info.h"
#include "hv/lock.h"
#include "hv/platform.h"
#include "hv/policy/cfg.h"
#include "hv/policy/vcpu_model.h"
#include "hv/promise_word.h"
#include "hv/vcpu.h"
#include "hv/vm_console.h"

/* The last slots are for VMs that no cfg makes: `bench` has them. They are not counted in vm_count, so that no command
 * lists them and no pCPU picks them; the trace knows them. */
#define VMS_MAX      32
#define VMS_BUILT_IN 2

enum vm_state { VM_OFF, VM_RUNNING, VM_PAUSED, VM_CRASHED };

struct percpu;

struct vm {
	uint32_t id; /* its slot */
	struct vm_cfg cfg;
	const char *cfg_file;
	const struct boot_module *kernel, *ramdisk; /* ramdisk: NULL without one */

	/* Written by the console, and to VM_CRASHED or VM_OFF by an exit handler; read by all. */
	_Atomic uint8_t state;
	_Atomic bool starts_again;   /* it is off because it has reset itself: vm_reap() starts it */
	struct promise_word promise; /* the dynamic bit of its value, and who was told */

	/* Fixed while it is on. */
	struct vcpu_model model;
	uint64_t cr4_allowed, efer_allowed;
	hpa_t memory;
	uint32_t incarnation; /* no other start of a VM has had this number; from 1 */
	uint64_t memory_bytes;
	uint64_t page_count; /* all that it holds but its log */
	struct ept ept;
	hpa_t msr_bitmap;

	/* For vCPUs whose local APIC the CPU serves; {0} where it never does. */
	struct ept ept_apic;     /* as ept, with apic_access at LAPIC_PAGE_GPA */
	hpa_t apic_access;       /* the APIC-access page: an address to be recognised, its bytes are not used */
	hpa_t msr_bitmap_x2apic; /* as msr_bitmap, with the MSRs that the CPU serves */

	uint64_t began_tsc;          /* the host's TSC at its start */
	_Atomic uint64_t tsc_offset; /* of all its vCPUs: each takes a change up before its next entry */
	uint32_t vcpu_count;
	struct vcpu *vcpus[PROMISE_VCPUS_MAX];

	struct lock apic_lock;      /* hv/vcpu_apic.h */
	uint32_t wake;              /* under it: bit i: vCPU i is to be told once it is released */
	struct platform platform;   /* under it */
	_Atomic uint64_t ept_fresh; /* bit n: pCPU n has no translation of an older EPT at this address */
	struct vm_console console;
};

extern struct vm vms[VMS_MAX];
extern uint32_t vm_count;

/* The words for states: "off", "running", ... */
const char *vm_state_name(enum vm_state state);

/* A built-in VM's slot, by number from 0. */
struct vm *vm_built_in(unsigned number);

/* Finds a VM by its name; NULL if there is none. */
struct vm *vm_find(const char *name, size_t length);

/* Takes a cfg in: a new slot, off. NULL, or why not (`name "a" is taken by another cfg`), in *reason's buffer. Boot
 * only. */
struct vm *vm_add(const struct vm_cfg *cfg, const char *cfg_file, const struct boot_info *boot, char *reason,
		  size_t reason_size);

/* Applies `KEY=VALUE` to the configuration of a VM that is off. False: nothing is changed, the reason is in reason's
 * buffer. Console only. */
bool vm_configure(struct vm *vm, const char *key_value, char *reason, size_t reason_size);

/* Builds and starts a VM that is off. NULL, or why not; nothing is changed then. Console only, as are the next four. */
const char *vm_start(struct vm *vm);
const char *vm_pause(struct vm *vm);
const char *vm_resume(struct vm *vm);
const char *vm_stop(struct vm *vm);
const char *vm_reset(struct vm *vm);

/* From an exit handler: the VM cannot go on. Its state is printed once; it stays for `vm show` until it is reset or
 * stopped. what: e.g. "triple fault". */
void vm_crash(struct vcpu *vcpu, const char *what);

/* From an exit handler: the VM has switched itself off. */
void vm_power_off(struct vm *vm);

/* From an exit handler: the VM has reset itself. It is off until vm_reap() starts it again. */
void vm_reset_itself(struct vm *vm);

/* Frees what VMs hold that have switched themselves off, and starts those that have reset themselves, unless they do so
 * all the time and at_once is false; true if there were such. Console, often. */
bool vm_reap(bool at_once);

/* It has crashed, or it is off, and does not wait for vm_reap(). Console. */
bool vm_has_ended(const struct vm *vm);

/* The value that goes with this promise word. */
static inline uint64_t vm_caps_of(const struct vm *vm, promise_t word)
{
	return vm->model.arch_capabilities | (word & PROMISE_SKIP ? ARCH_CAP(SKIP_L1DFL_VMENTRY) : 0);
}

/* The value of IA32_ARCH_CAPABILITIES that vCPU `vcpu` reads now; "told" is recorded in the same step. */
uint64_t vm_caps_read(struct percpu *cpu, struct vm *vm, unsigned vcpu);

/* The value without a reader. */
uint64_t vm_caps_value(const struct vm *vm);

/* The knob moves the dynamic bit of every VM that is on, and the vCPUs that asked for it get their event. */
void vm_caps_set_skip_all(bool skip);

/* Hypercall caps_ack. */
void vm_caps_ack(struct percpu *cpu, struct vm *vm);

/* `set ... force`: drops the debts under the mitigation in force. */
void vm_caps_force_all(bool flushing);

/* What is added to the TSC for this VM. */
static inline uint64_t vm_tsc_offset(const struct vm *vm)
{
	return atomic_load_explicit(&vm->tsc_offset, memory_order_relaxed);
}

/* The VM's time now. */
static inline uint64_t vm_tsc(const struct vm *vm)
{
	return rdtsc() + vm_tsc_offset(vm);
}

/* Bytes [gpa, gpa + bytes) of guest memory, NULL if not all of it is RAM. The caller notes WHY_HOST (hv/exit.h). */
void *vm_memory(const struct vm *vm, gpa_t gpa, uint64_t bytes);

#endif
