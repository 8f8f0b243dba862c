#include "hv/vm.h"

#include "arch/cpu.h"
#include "arch/tsc.h"
#include "hv/console.h"
#include "hv/log.h"
#include "hv/policy/text.h"
#include "hv/sched.h"
#include "hv/vm_build.h"

struct vm vms[VMS_MAX];
uint32_t vm_count;

/* Bit v: VM v may have switched itself off, and is to be taken apart then. The console looks often: VMs that are off
 * are to cost those that run nothing. Set while a vCPU of it is held, cleared when none is any more. */
static _Atomic uint32_t ended;

static const struct boot_info *boot_modules; /* where kernels and ramdisks are */

const char *vm_state_name(enum vm_state state)
{
	static const char *const names[] = {
		[VM_OFF] = "off", [VM_RUNNING] = "running", [VM_PAUSED] = "paused", [VM_CRASHED] = "crashed"};

	return names[state];
}

struct vm *vm_built_in(unsigned number)
{
	return &vms[VMS_MAX - VMS_BUILT_IN + number];
}

struct vm *vm_find(const char *name, size_t length)
{
	for (uint32_t i = 0; i < vm_count; i++)
		if (text_is(vms[i].cfg.name, name, length))
			return &vms[i];
	return NULL;
}

static const struct boot_module *module_named(const struct boot_info *boot, const char *name)
{
	for (uint32_t i = 0; i < boot->module_count; i++)
		if (text_equal(boot->modules[i].name, name))
			return &boot->modules[i];
	return NULL;
}

static enum vm_state state_of(const struct vm *vm)
{
	return atomic_load_explicit(&vm->state, memory_order_acquire);
}

static void set_state(struct vm *vm, enum vm_state state)
{
	atomic_store_explicit(&vm->state, (uint8_t)state, memory_order_release);
}

/* Finds the files that a configuration names. False: the reason is in reason's buffer. */
static bool find_files(const struct vm_cfg *cfg, const struct boot_module **kernel, const struct boot_module **ramdisk,
		       char *reason, size_t reason_size)
{
	static const char absent[] = "%s: no module named \"%s\" was loaded";

	*kernel = module_named(boot_modules, cfg->kernel);
	*ramdisk = cfg->ramdisk[0] == '\0' ? NULL : module_named(boot_modules, cfg->ramdisk);
	if (*kernel == NULL)
		text_format(reason, reason_size, absent, "kernel", cfg->kernel);
	else if (cfg->ramdisk[0] != '\0' && *ramdisk == NULL)
		text_format(reason, reason_size, absent, "ramdisk", cfg->ramdisk);
	else
		return true;
	return false;
}

static bool name_is_free(const struct vm *vm, const char *name, char *reason, size_t reason_size)
{
	const struct vm *other = vm_find(name, text_length(name));

	if (other == NULL || other == vm)
		return true;
	text_format(reason, reason_size, "name: \"%s\" is taken by another cfg", name);
	return false;
}

static bool model_exists(const char *model, char *reason, size_t reason_size)
{
	size_t length;

	for (unsigned i = 0; vcpu_model_name(i) != NULL; i++)
		if (text_equal(vcpu_model_name(i), model))
			return true;
	length = text_format(reason, reason_size, "cpu: \"%s\": expected one of", model);
	for (unsigned i = 0; vcpu_model_name(i) != NULL; i++)
		length += text_format(reason + length, reason_size - length, "%s %s", i != 0 ? "," : "",
				      vcpu_model_name(i));
	return false;
}

struct vm *vm_add(const struct vm_cfg *cfg, const char *cfg_file, const struct boot_info *boot, char *reason,
		  size_t reason_size)
{
	struct vm *vm = &vms[vm_count];

	boot_modules = boot;
	if (vm_count == VMS_MAX - VMS_BUILT_IN) {
		text_format(reason, reason_size, "more than %d VMs", VMS_MAX - VMS_BUILT_IN);
		return NULL;
	}
	if (!name_is_free(NULL, cfg->name, reason, reason_size) || !model_exists(cfg->cpu, reason, reason_size) ||
	    !find_files(cfg, &vm->kernel, &vm->ramdisk, reason, reason_size))
		return NULL;
	vm->id = vm_count;
	vm->cfg = *cfg;
	vm->cfg_file = cfg_file;
	vm_count++;
	return vm;
}

static bool holds_memory(const struct vm *vm)
{
	return vm->memory.v != 0;
}

/* Off, and taken apart: one that has just switched itself off still holds all that it had. */
static bool is_off(const struct vm *vm)
{
	return state_of(vm) == VM_OFF && !holds_memory(vm);
}

bool vm_has_ended(const struct vm *vm)
{
	return state_of(vm) == VM_CRASHED || is_off(vm);
}

bool vm_configure(struct vm *vm, const char *key_value, char *reason, size_t reason_size)
{
	const struct boot_module *kernel, *ramdisk;
	struct vm_cfg cfg = vm->cfg;
	struct cfg_error error;

	vm_reap(true);
	if (!is_off(vm)) {
		text_format(reason, reason_size, "it is not off: use `vm stop` first");
		return false;
	}
	if (!cfg_set(&cfg, key_value, &error)) {
		text_copy(reason, reason_size, error.reason, text_length(error.reason));
		return false;
	}
	if (!name_is_free(vm, cfg.name, reason, reason_size) || !model_exists(cfg.cpu, reason, reason_size) ||
	    !find_files(&cfg, &kernel, &ramdisk, reason, reason_size))
		return false;
	vm->cfg = cfg;
	vm->kernel = kernel;
	vm->ramdisk = ramdisk;
	return true;
}

static void free_all(struct vm *vm)
{
	sched_quiesce(vm);
	atomic_fetch_and_explicit(&ended, ~(1u << vm->id), memory_order_relaxed);
	vm_console_flush(vm, true);
	vm_build_undo(vm);
}

/* Builds and starts a VM that is off and holds nothing. */
static const char *start(struct vm *vm)
{
	const char *why;

	sched_step_aside();
	why = vm_build(vm);
	if (why != NULL)
		return why;
	log_line(LOG_INFO, "%s: started: vcpus=%u memory=%uM cpu=%s", vm->cfg.name, vm->vcpu_count, vm->cfg.memory_mib,
		 vm->cfg.cpu);
	set_state(vm, VM_RUNNING);
	sched_wake_all();
	return NULL;
}

/* It has switched itself off, and is to be taken apart. One that starts itself again waits until a second has passed
 * since its start, for that is work of the console's pCPU; unless a command wants to know. */
static bool wants_reaping(const struct vm *vm, bool at_once)
{
	if (state_of(vm) != VM_OFF || !holds_memory(vm))
		return false;
	return at_once || !atomic_load_explicit(&vm->starts_again, memory_order_relaxed) ||
	       rdtsc() - vm->began_tsc > tsc_hz();
}

static void reap(struct vm *vm)
{
	const char *why;

	free_all(vm);
	if (!atomic_exchange_explicit(&vm->starts_again, false, memory_order_relaxed))
		return;
	why = start(vm);
	if (why != NULL)
		log_line(LOG_ERROR, "%s: cannot be started again: %s", vm->cfg.name, why);
}

bool vm_reap(bool at_once)
{
	bool reaped = false;

	for (uint32_t left = atomic_load_explicit(&ended, memory_order_acquire); left != 0; left &= left - 1) {
		struct vm *vm = &vms[__builtin_ctz(left)];

		if (!wants_reaping(vm, at_once))
			continue;
		reap(vm);
		reaped = true;
	}
	return reaped;
}

const char *vm_start(struct vm *vm)
{
	if (percpus[0].vmx_missing != NULL)
		return percpus[0].vmx_missing;
	vm_reap(true);
	if (!is_off(vm))
		return "it is not off: use `vm reset`";
	return start(vm);
}

const char *vm_pause(struct vm *vm)
{
	uint8_t expected = VM_RUNNING;

	if (!atomic_compare_exchange_strong(&vm->state, &expected, VM_PAUSED))
		return "it is not running";
	sched_quiesce(vm);
	return NULL;
}

const char *vm_resume(struct vm *vm)
{
	if (state_of(vm) != VM_PAUSED)
		return "it is not paused";
	set_state(vm, VM_RUNNING);
	sched_wake_all();
	return NULL;
}

const char *vm_stop(struct vm *vm)
{
	vm_reap(true);
	if (is_off(vm))
		return "it is off";
	set_state(vm, VM_OFF);
	free_all(vm);
	atomic_store_explicit(&vm->starts_again, false, memory_order_relaxed);
	return NULL;
}

const char *vm_reset(struct vm *vm)
{
	const char *why = vm_stop(vm);

	return why != NULL ? why : vm_start(vm);
}

/* From running or paused to an end. False: it had come to one already. */
static bool leave_running(struct vm *vm, enum vm_state end)
{
	/* First: who sees that it is off must find it here. */
	atomic_fetch_or_explicit(&ended, 1u << vm->id, memory_order_release);

	uint8_t now = VM_RUNNING;

	while (now == VM_RUNNING || now == VM_PAUSED)
		if (atomic_compare_exchange_weak(&vm->state, &now, (uint8_t)end))
			return true;
	return false;
}

void vm_crash(struct vcpu *vcpu, const char *what)
{
	struct vm *vm = vcpu->vm;
	struct vcpu_snapshot s;
	const uint64_t *r = vcpu->regs.gpr;

	/* Only the first to fail tells; one that has been stopped meanwhile stays so. */
	if (!leave_running(vm, VM_CRASHED))
		return;
	sched_wake_all(); /* its other vCPUs stop, too */
	vcpu_snapshot_take(&s);
	log_line(LOG_NOTICE, "%s.%u: %s: rip=0x%lx", vm->cfg.name, vcpu->index, what, s.rip);
	log_line(LOG_NOTICE, "%s.%u: rsp=0x%lx rflags=0x%lx cr0=0x%lx cr3=0x%lx cr4=0x%lx efer=0x%lx", vm->cfg.name,
		 vcpu->index, s.rsp, s.rflags, s.cr0, s.cr3, s.cr4, s.efer);
	log_line(LOG_NOTICE, "%s.%u: rax=0x%lx rbx=0x%lx rcx=0x%lx rdx=0x%lx rsi=0x%lx rdi=0x%lx rbp=0x%lx",
		 vm->cfg.name, vcpu->index, r[GPR_RAX], r[GPR_RBX], r[GPR_RCX], r[GPR_RDX], r[GPR_RSI], r[GPR_RDI],
		 r[GPR_RBP]);
}

void vm_power_off(struct vm *vm)
{
	/* It may have been paused between its write and this: off it is all the same. */
	if (leave_running(vm, VM_OFF))
		sched_wake_all();
}

void vm_reset_itself(struct vm *vm)
{
	/* It is looked at once this pCPU has given the vCPU away. */
	if (!leave_running(vm, VM_OFF))
		return;
	atomic_store_explicit(&vm->starts_again, true, memory_order_relaxed);
	sched_wake_all();
}

void *vm_memory(const struct vm *vm, gpa_t at, uint64_t bytes)
{
	const uint64_t low_bytes = vm_low_bytes(vm);
	uint64_t offset = at.v;
	uint64_t end = low_bytes;

	if (at.v >= MULTIBOOT1_HIGH_MEMORY_START) {
		offset = at.v - MULTIBOOT1_HIGH_MEMORY_START + low_bytes;
		end = vm->memory_bytes;
	}
	if (offset > end || bytes > end - offset)
		return NULL;
	return hpa_ptr(hpa(vm->memory.v + offset));
}
