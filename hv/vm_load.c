#include "hv/vm_load.h"

#include "arch/defs/linux_boot.h"
#include "arch/memory.h"
#include "hv/policy/acpi_build.h"
#include "hv/policy/bzimage.h"
#include "hv/policy/multiboot1.h"
#include "hv/policy/text.h"

/* The kernel's file name, a blank, the cfg's extra, and the terminator. */
#define MULTIBOOT_CMDLINE_BYTES (CFG_FILE_MAX + 1 + CFG_EXTRA_MAX + 1)

/* The Multiboot Specification leaves the selectors open; these are the ones that QEMU gives. */
#define MULTIBOOT_CS 0x08
#define MULTIBOOT_DS 0x10

#define MIB (1ull << 20)

static const uint8_t *module_data(const struct boot_module *module)
{
	return hpa_ptr(hpa(module->start));
}

static size_t module_bytes(const struct boot_module *module)
{
	return module == NULL ? 0 : (size_t)(module->end - module->start);
}

static void copy_in(const struct vm *vm, uint64_t to, const uint8_t *from, uint64_t bytes)
{
	if (bytes != 0)
		memcpy(vm_memory(vm, gpa(to), bytes), from, bytes);
}

static void load_segments(const struct vm *vm, const struct multiboot1_image *image)
{
	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct multiboot1_segment *s = &image->segments[i];
		uint8_t *to = vm_memory(vm, gpa(s->gpa), s->memory_bytes);

		memcpy(to, module_data(vm->kernel) + s->offset, s->file_bytes);
		memset(to + s->file_bytes, 0, s->memory_bytes - s->file_bytes);
	}
}

static bool load_multiboot(struct vm *vm, struct vcpu_entry *out, char *reason, size_t reason_size)
{
	struct multiboot1_image image;
	struct multiboot1_layout layout;
	char cmdline[MULTIBOOT_CMDLINE_BYTES];
	const size_t cmdline_bytes = text_format(cmdline, sizeof(cmdline), "%s %s", vm->cfg.kernel, vm->cfg.extra);
	const char *why = multiboot1_parse(&image, module_data(vm->kernel), module_bytes(vm->kernel), vm->memory_bytes);

	if (why != NULL) {
		text_format(reason, reason_size,
			    "kernel: %s is no Linux bzImage, nor can it be loaded by Multiboot 1: %s", vm->cfg.kernel,
			    why);
		return false;
	}
	if (!multiboot1_layout_make(&layout, &image, vm->memory_bytes, cmdline_bytes, module_bytes(vm->ramdisk))) {
		text_format(reason, reason_size,
			    "memory: %uM do not hold the kernel, its ramdisk (%luK) and the command line: give it more",
			    vm->cfg.memory_mib, (uint64_t)module_bytes(vm->ramdisk) >> 10);
		return false;
	}
	load_segments(vm, &image);
	if (vm->ramdisk != NULL)
		copy_in(vm, layout.module_gpa, module_data(vm->ramdisk), module_bytes(vm->ramdisk));
	multiboot1_info_write(vm_memory(vm, gpa(layout.info_gpa), layout.info_bytes), &layout, cmdline,
			      module_bytes(vm->ramdisk), vm->cfg.ramdisk);
	*out = (struct vcpu_entry){
		.rip = image.entry,
		.rax = MULTIBOOT1_EAX,
		.rbx = layout.info_gpa,
		.cs = MULTIBOOT_CS,
		.ds = MULTIBOOT_DS,
		.gdt_limit = UINT16_MAX,
	};
	return true;
}

static bool load_linux(struct vm *vm, struct vcpu_entry *out, char *reason, size_t reason_size)
{
	const uint8_t *file = module_data(vm->kernel);
	struct bzimage image;
	struct bzimage_layout layout;
	const char *why = bzimage_parse(&image, file, module_bytes(vm->kernel));

	if (why != NULL) {
		text_format(reason, reason_size, "kernel: %s: %s", vm->cfg.kernel, why);
		return false;
	}

	const uint64_t least_bytes = bzimage_memory_least(&image, module_bytes(vm->ramdisk));

	if (vm->memory_bytes < least_bytes) {
		text_format(reason, reason_size,
			    "memory: %uM do not hold the Linux kernel, which unpacks itself, and its "
			    "ramdisk: %luM is the least",
			    vm->cfg.memory_mib, (uint64_t)((least_bytes + MIB - 1) / MIB));
		return false;
	}
	why = bzimage_layout_make(&layout, &image, vm->memory_bytes, text_length(vm->cfg.extra),
				  module_bytes(vm->ramdisk));
	if (why != NULL) {
		text_format(reason, reason_size, "kernel: %s: %s", vm->cfg.kernel, why);
		return false;
	}
	copy_in(vm, layout.kernel_gpa, file + layout.kernel_offset, layout.kernel_bytes);
	if (vm->ramdisk != NULL)
		copy_in(vm, layout.ramdisk_gpa, module_data(vm->ramdisk), layout.ramdisk_bytes);
	bzimage_block_write(vm_memory(vm, gpa(layout.block_gpa), layout.block_bytes), &layout, &image, file,
			    vm->cfg.extra, ACPI_BUILD_GPA);
	*out = (struct vcpu_entry){
		.is_64bit = layout.entry.is_64bit,
		.rip = layout.entry.rip,
		.rsi = layout.entry.rsi,
		.cr3 = layout.entry.cr3,
		.cs = LINUX_BOOT_CS,
		.ds = LINUX_BOOT_DS,
		.gdt_gpa = layout.entry.gdt_gpa,
		.gdt_limit = layout.entry.gdt_limit,
	};
	return true;
}

bool vm_load(struct vm *vm, struct vcpu_entry *out, char *reason, size_t reason_size)
{
	if (bzimage_is(module_data(vm->kernel), module_bytes(vm->kernel)))
		return load_linux(vm, out, reason, reason_size);
	return load_multiboot(vm, out, reason, reason_size);
}
