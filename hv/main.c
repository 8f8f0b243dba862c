#include "hv/main.h"

#include "arch/acpi.h"
#include "arch/apic.h"
#include "arch/clock.h"
#include "arch/cpu.h"
#include "arch/paging.h"
#include "arch/power.h"
#include "arch/serial.h"
#include "arch/trap.h"
#include "arch/tsc.h"
#include "hv/audit.h"
#include "hv/commands.h"
#include "hv/console.h"
#include "hv/cpus.h"
#include "hv/log.h"
#include "hv/pages.h"
#include "hv/panic.h"
#include "hv/prompt.h"
#include "hv/regime.h"
#include "hv/sched.h"
#include "hv/state.h"
#include "hv/vcpu_cpuid.h"
#include "hv/vms_boot.h"
#include "version.h"

/* linker.ld */
extern const uint8_t image_start[], image_end[];

static const struct boot_info *boot_info;
static struct options options;
static bool clock_shows_time;
static struct machine machine;

static void report_options(void)
{
	for (uint32_t i = 0; i < options.error_count && i < OPTIONS_ERRORS_MAX; i++)
		log_line(LOG_ERROR, "option: \"%s\": %s", options.errors[i].word, options.errors[i].reason);
	if (options.error_count > OPTIONS_ERRORS_MAX)
		log_line(LOG_ERROR, "option: %u more errors", options.error_count - OPTIONS_ERRORS_MAX);
}

static uint64_t memory_end(const struct boot_info *boot)
{
	return boot->range_count == 0 ? 0 : boot->ranges[boot->range_count - 1].end;
}

static void find_power(void)
{
	struct acpi_power power;

	if (boot_info->rsdp != 0 && acpi_power_find(&power, boot_info->rsdp, paging_mapped) == NULL)
		power_init(&power);
}

/* Abilities, requests, decisions: what a person wants to see before anything else. */
static void report_machine(void)
{
	char names[CPU_CAPS_NAMES_SIZE];
	const struct regime *regime = regime_now();

	log_line(LOG_INFO, "cpu: family=%u model=0x%x stepping=%u pcpus=%u smt=%s tsc_mhz=%lu", machine.caps.family,
		 machine.caps.model, machine.caps.stepping, percpu_count,
		 machine.caps.threads_per_core > 1 ? "on" : "off", tsc_mhz());
	if (!clock_shows_time)
		log_line(LOG_NOTICE,
			 "clock: it shows no time: guests start in 1970 until it is set in the firmware's setup");
	if (percpus[0].vmx_missing != NULL)
		log_line(LOG_ERROR, "vmx: no VM can run: %s", percpus[0].vmx_missing);
	cpu_caps_names(names, sizeof(names), machine.host_arch_capabilities);
	log_line(LOG_INFO, "caps: host: value=0x%lx names=%s", machine.host_arch_capabilities, names);
	for (unsigned k = 0; k < KNOB_COUNT; k++)
		log_line(LOG_INFO, "knob: %s=%s requested=%s: %s", knob_name(k),
			 mitigation_effective(&regime->mitigation, &regime->knobs, k),
			 knob_value_name(k, regime->knobs.value[k]), mitigation_reason(&machine, &regime->knobs, k));
}

/* On pCPU 0's own stack, with all of memory in reach. */
static void start(void)
{
	apic_timer_init();
	cpus_start(boot_info, &machine);
	find_power();
	if (percpus[0].vmx_missing == NULL)
		vcpu_cpuid_init(&percpus[0].vmx_config);
	regime_init(&machine, &options.knobs);
	trace_init(&machine);
	audit_init();
	report_machine();
	command_assumed_lines();
	vms_boot_add(boot_info);
	pages_boot_ends();
	cpus_release();
	if (options.error_count != 0)
		log_line(LOG_ERROR,
			 "vm: none is started because of the boot options above: mend them, or use `vm start`");
	else if (percpus[0].vmx_missing == NULL)
		vms_boot_start();
	prompt_start();
	sched_loop(&percpus[0]);
}

_Noreturn void hv_main(const struct boot_info *boot)
{
	state_boot_tsc_set(rdtsc());
	boot_info = boot;
	tsc_calibrate();
	clock_shows_time = clock_init();
	pic_mask_all();
	options_parse(&options, boot->cmdline);
	state_options_set(&options);
	console_init();
	console_line("[info] sluice %s", SLUICE_VERSION);
	log_level_set(options.knobs.value[KNOB_LOGLEVEL]);
	report_options();
	if (!(options.console & CONSOLE_COM1))
		log_line(LOG_NOTICE, "console: there is none on the screen yet: com1 is used");
	if (boot->error != NULL)
		panic("boot: %s: start Sluice with GRUB's multiboot2 command", boot->error);
	if (!pages_init(boot, hpa_of(image_start), hpa_of(image_end)))
		panic("memory: the loader reports none that can be used");
	paging_init(memory_end(boot), pages_take_one);
	trap_init();
	cpus_init_boot(boot, &options, start);
}
