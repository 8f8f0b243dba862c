#include "hv/vms_boot.h"

#include "arch/address.h"
#include "hv/log.h"
#include "hv/policy/text.h"
#include "hv/vm.h"

static const char cfg_suffix[] = ".cfg";

static bool is_cfg(const char *name)
{
	const size_t length = text_length(name), suffix = sizeof(cfg_suffix) - 1;

	return length > suffix && text_equal(name + length - suffix, cfg_suffix);
}

static void report(const char *file, uint32_t line, const char *reason)
{
	log_line(LOG_ERROR, "cfg: %s:%u: %s", file, line, reason);
}

static void add(const struct boot_info *boot, const struct boot_module *module)
{
	struct vm_cfg cfg;
	struct cfg_error error = {.line = 0};

	if (!cfg_parse(&cfg, hpa_ptr(hpa(module->start)), (size_t)(module->end - module->start), &error))
		report(module->name, error.line, error.reason);
	else if (vm_add(&cfg, module->name, boot, error.reason, sizeof(error.reason)) == NULL)
		report(module->name, cfg_line_of(&cfg, error.reason), error.reason);
}

void vms_boot_add(const struct boot_info *boot)
{
	for (uint32_t i = 0; i < boot->module_count; i++)
		if (is_cfg(boot->modules[i].name))
			add(boot, &boot->modules[i]);
}

void vms_boot_start(void)
{
	for (uint32_t i = 0; i < vm_count; i++) {
		const char *why = vms[i].cfg.autostart ? vm_start(&vms[i]) : NULL;

		if (why != NULL)
			report(vms[i].cfg_file, cfg_line_of(&vms[i].cfg, why), why);
	}
}
