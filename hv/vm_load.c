#include "hv/vm_load.h"

#include "arch/memory.h"
#include "hv/policy/multiboot1.h"
#include "hv/policy/text.h"

/* The kernel's file name, a blank, the cfg's extra, and the terminator. */
#define CMDLINE_BYTES (CFG_FILE_MAX + 1 + CFG_EXTRA_MAX + 1)

static size_t module_bytes(const struct boot_module *module)
{
	return module == NULL ? 0 : (size_t)(module->end - module->start);
}

static void load_segments(const struct vm *vm, const struct multiboot1_image *image)
{
	const uint8_t *file = hpa_ptr(hpa(vm->kernel->start));

	for (uint32_t i = 0; i < image->segment_count; i++) {
		const struct multiboot1_segment *s = &image->segments[i];
		uint8_t *to = vm_memory(vm, gpa(s->gpa), s->memory_bytes);

		memcpy(to, file + s->offset, s->file_bytes);
		memset(to + s->file_bytes, 0, s->memory_bytes - s->file_bytes);
	}
}

const char *vm_load(struct vm *vm, struct vm_entry *out)
{
	const uint8_t *file = hpa_ptr(hpa(vm->kernel->start));
	struct multiboot1_image image;
	struct multiboot1_layout layout;
	char cmdline[CMDLINE_BYTES];
	const char *why = multiboot1_parse(&image, file, module_bytes(vm->kernel), vm->memory_bytes);

	if (why != NULL)
		return why;

	const size_t cmdline_bytes = text_format(cmdline, sizeof(cmdline), "%s %s", vm->cfg.kernel, vm->cfg.extra);

	if (!multiboot1_layout_make(&layout, &image, vm->memory_bytes, cmdline_bytes, module_bytes(vm->ramdisk)))
		return "memory too small for the kernel, its ramdisk and command line";
	load_segments(vm, &image);
	if (vm->ramdisk != NULL)
		memcpy(vm_memory(vm, gpa(layout.module_gpa), module_bytes(vm->ramdisk)),
		       hpa_ptr(hpa(vm->ramdisk->start)), module_bytes(vm->ramdisk));
	multiboot1_info_write(vm_memory(vm, gpa(layout.info_gpa), layout.info_bytes), &layout, cmdline,
			      module_bytes(vm->ramdisk), vm->cfg.ramdisk);
	*out = (struct vm_entry){.entry = image.entry, .eax = MULTIBOOT1_EAX, .ebx = (uint32_t)layout.info_gpa};
	return NULL;
}
