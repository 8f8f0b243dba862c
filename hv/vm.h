/* One virtual machine: its configuration, its memory, its vCPUs, and what it has been told. Slots are static; a VM that
 * is off keeps its slot. The console starts and stops VMs; exit handlers on any pCPU use them while they run. */
#ifndef HV_VM_H
#define HV_VM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/address.h"
#include "arch/ept.h"
#include "hv/boot_info.h"
#include "hv/policy/cfg.h"
#include "hv/policy/promise.h"
#include "hv/policy/vcpu_model.h"
#include "hv/vcpu.h"
#include "hv/vm_console.h"

#define VMS_MAX 32

enum vm_state { VM_OFF, VM_RUNNING, VM_PAUSED, VM_CRASHED };

struct vm {
	uint32_t id; /* its slot */
	struct vm_cfg cfg;
	const char *cfg_file;
	const struct boot_module *kernel, *ramdisk; /* ramdisk: NULL without one */

	/* Written by the console, and to VM_CRASHED or VM_OFF by an exit handler; read by all. */
	_Atomic uint8_t state;
	_Atomic promise_t promise; /* hv/policy/promise.h; changed by compare-and-swap only */

	/* Fixed while it is on. */
	struct vcpu_model model;
	uint64_t cr4_allowed, efer_allowed;
	hpa_t memory;
	uint64_t memory_bytes;
	struct ept ept;
	hpa_t msr_bitmap;
	uint64_t tsc_offset;
	uint32_t vcpu_count;
	struct vcpu *vcpus[PROMISE_VCPUS_MAX];

	_Atomic uint64_t ept_fresh;  /* bit n: pCPU n has no translation of an older EPT at this address */
	_Atomic uint64_t unanswered; /* accesses to ports and addresses that nothing answers */
	uint8_t shutdown_letters;    /* of port 0x8900 seen so far */
	struct vm_console console;
};

extern struct vm vms[VMS_MAX];
extern uint32_t vm_count;

/* The words for states: "off", "running", ... */
const char *vm_state_name(enum vm_state state);

/* Finds a VM by its name; NULL if there is none. */
struct vm *vm_find(const char *name, size_t length);

/* Takes a cfg in: a new slot, off. NULL, or why not (`name "a" is taken by another cfg`), in *reason's buffer. Boot
 * only. */
struct vm *vm_add(const struct vm_cfg *cfg, const char *cfg_file, const struct boot_info *boot, char *reason,
		  size_t reason_size);

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

/* Frees what VMs hold that have switched themselves off. Console, often. */
void vm_reap(void);

/* The value of IA32_ARCH_CAPABILITIES that vCPU `vcpu` reads now; "told" is recorded in the same step. */
uint64_t vm_caps_read(struct vm *vm, unsigned vcpu);

/* The value without a reader. */
uint64_t vm_caps_value(const struct vm *vm);

/* The knob moves the dynamic bit of every VM that is on. */
void vm_caps_set_skip_all(bool skip);

/* Hypercall caps_ack. */
void vm_caps_ack(struct vm *vm);

/* `set ... force`: drops the debts under the mitigation in force. */
void vm_caps_force_all(bool flushing);

/* Bytes [gpa, gpa + bytes) of guest memory, NULL if not all of it is RAM. The caller notes WHY_HOST (hv/exit.h). */
void *vm_memory(const struct vm *vm, gpa_t gpa, uint64_t bytes);

#endif
