/* hv/policy/vmx_ctl.c: what VMX must be able to do, and what is made of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/vmx.h"
#include "hv/policy/vmx_ctl.h"

#define REVISION 0x12345678u
#define HALF     32

/* A CPU that can do everything, and must do nothing. */
static struct vmx_raw capable(void)
{
	const uint64_t all = (uint64_t)UINT32_MAX << HALF;

	return (struct vmx_raw){
		.basic = REVISION | VMX_BASIC_TRUE_CONTROLS,
		.misc = 5,
		.ept_vpid = ~0ull,
		.pin = all,
		.processor = all,
		.secondary = all,
		.exit = all,
		.entry = all,
		.cr0_fixed0 = 0x80000021,
		.cr0_fixed1 = UINT32_MAX,
		.cr4_fixed0 = 0x2000,
		.cr4_fixed1 = UINT32_MAX,
	};
}

/* The words of struct vmx_raw that hold controls, with what Sluice asks of each. */
static const struct word {
	size_t offset;
	uint64_t needed;
	bool is_control; /* allowed-1 bits stand in the upper half */
} WORDS[] = {
	{offsetof(struct vmx_raw, pin),
	 PIN_EXTERNAL_INTERRUPT_EXITING | PIN_NMI_EXITING | PIN_VIRTUAL_NMIS | PIN_PREEMPTION_TIMER, true},
	{offsetof(struct vmx_raw, processor),
	 CPU_USE_TSC_OFFSETTING | CPU_HLT_EXITING | CPU_MWAIT_EXITING | CPU_MONITOR_EXITING | CPU_RDPMC_EXITING |
		 CPU_UNCONDITIONAL_IO_EXITING | CPU_CR8_LOAD_EXITING | CPU_CR8_STORE_EXITING | CPU_USE_MSR_BITMAPS |
		 CPU_SECONDARY_CONTROLS,
	 true},
	{offsetof(struct vmx_raw, secondary),
	 CPU2_ENABLE_EPT | CPU2_UNRESTRICTED_GUEST | CPU2_ENABLE_VPID | CPU2_WBINVD_EXITING, true},
	{offsetof(struct vmx_raw, exit),
	 EXITCTL_ACK_INTERRUPT | EXITCTL_SAVE_PREEMPTION_TIMER | EXITCTL_SAVE_EFER | EXITCTL_LOAD_EFER |
		 EXITCTL_SAVE_DEBUG_CONTROLS | EXITCTL_HOST_64,
	 true},
	{offsetof(struct vmx_raw, entry), ENTRYCTL_LOAD_EFER | ENTRYCTL_LOAD_DEBUG_CONTROLS | ENTRYCTL_GUEST_64, true},
	{offsetof(struct vmx_raw, ept_vpid),
	 EPT_VPID_WALK_4 | EPT_VPID_EPT_WB | EPT_VPID_INVEPT | EPT_VPID_INVEPT_SINGLE | EPT_VPID_INVVPID |
		 EPT_VPID_INVVPID_SINGLE,
	 false},
};

#define WORD_COUNT (sizeof(WORDS) / sizeof(WORDS[0]))

static uint64_t *word_of(struct vmx_raw *raw, const struct word *word)
{
	return (uint64_t *)(void *)((char *)raw + word->offset);
}

static void a_capable_cpu_gets_every_needed_control(void **state)
{
	const struct vmx_raw raw = capable();
	struct vmx_config config;

	(void)state;
	assert_null(vmx_ctl_make(&config, &raw, APICV_OFF));
	assert_int_equal(config.revision, REVISION);
	assert_int_equal(config.timer_shift, 5);
	assert_int_equal(config.pin, WORDS[0].needed);
	assert_int_equal(config.processor, WORDS[1].needed);
	assert_int_equal(config.secondary, WORDS[2].needed | CPU2_ENABLE_RDTSCP | CPU2_ENABLE_INVPCID |
						   CPU2_PAUSE_LOOP_EXITING | CPU2_ENABLE_XSAVES);
	assert_int_equal(config.exit, WORDS[3].needed);
	/* IA-32e mode guest follows the guest. */
	assert_int_equal(config.entry, WORDS[4].needed & ~(uint64_t)ENTRYCTL_GUEST_64);
	assert_true(config.ept_2m && config.ept_1g && config.rdtscp && config.invpcid && config.pause_loop &&
		    config.xsaves);
}

/* Each bit alone: without a needed one there is a reason in words and nothing is written, without another all is well.
 */
static void each_needed_ability_is_missed_and_no_other(void **state)
{
	(void)state;
	for (unsigned w = 0; w < WORD_COUNT; w++) {
		const unsigned first = WORDS[w].is_control ? HALF : 0;

		for (unsigned bit = 0; bit < (WORDS[w].is_control ? HALF : 64u); bit++) {
			struct vmx_raw raw = capable();
			struct vmx_config config, untouched;
			const char *missing;

			memset(&config, 0xa5, sizeof(config));
			untouched = config;
			*word_of(&raw, &WORDS[w]) &= ~(1ull << (first + bit));
			missing = vmx_ctl_make(&config, &raw, APICV_OFF);
			if (WORDS[w].needed >> bit & 1) {
				assert_non_null(missing);
				assert_true(strlen(missing) > 10);
				assert_memory_equal(&config, &untouched, sizeof(config));
			} else {
				assert_null(missing);
			}
		}
	}
}

static void what_the_cpu_insists_on_is_in_the_configuration(void **state)
{
	struct vmx_raw raw = capable();
	struct vmx_config config;

	(void)state;
	raw.pin |= 0x16;
	raw.exit |= 0x36dfb;
	raw.entry |= 0x11fb;
	assert_null(vmx_ctl_make(&config, &raw, APICV_OFF));
	assert_int_equal(config.pin & 0x16, 0x16);
	assert_int_equal(config.exit & 0x36dfb, 0x36dfb);
	assert_int_equal(config.entry & 0x11fb, 0x11fb);
}

/* TPR shadow takes the place of the exits for CR8, where the CPU has it and the limit allows; never of those that the
 * CPU insists on. The secondary controls come later, with the mode. */
static void tpr_shadow_or_cr8_exits(void **state)
{
	const uint32_t cr8 = CPU_CR8_LOAD_EXITING | CPU_CR8_STORE_EXITING;

	(void)state;
	for (unsigned limit = APICV_OFF; limit <= APICV_FULL; limit++) {
		struct vmx_raw raw = capable();
		struct vmx_config config, without;

		assert_null(vmx_ctl_make(&without, &raw, APICV_OFF));
		assert_null(vmx_ctl_make(&config, &raw, limit));
		assert_int_equal(config.apicv, limit);
		assert_int_equal(config.processor & (CPU_USE_TPR_SHADOW | cr8),
				 limit == APICV_OFF ? cr8 : CPU_USE_TPR_SHADOW);
		assert_int_equal(config.secondary, without.secondary);
		raw.processor |= CPU_CR8_LOAD_EXITING;
		assert_null(vmx_ctl_make(&config, &raw, limit));
		assert_true(config.processor & CPU_CR8_LOAD_EXITING);
		raw.processor &= ~((uint64_t)CPU_USE_TPR_SHADOW << HALF);
		assert_null(vmx_ctl_make(&config, &raw, limit));
		assert_int_equal(config.apicv, APICV_OFF);
		assert_int_equal(config.processor & (CPU_USE_TPR_SHADOW | cr8), cr8);
	}
}

/* A CPU without the TRUE controls makes each CR3 access of a guest an exit. */
static void forced_cr3_exits_are_refused(void **state)
{
	static const uint32_t forced[] = {CPU_CR3_LOAD_EXITING, CPU_CR3_STORE_EXITING, CPU_INVLPG_EXITING};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct vmx_raw raw = capable();
		struct vmx_config config;

		raw.processor |= forced[i];
		assert_non_null(vmx_ctl_make(&config, &raw, APICV_OFF));
	}
}

static void equal_means_the_same_in_every_field(void **state)
{
	const struct vmx_raw raw = capable();
	struct vmx_config a, b;

	(void)state;
	memset(&a, 0, sizeof(a));
	assert_null(vmx_ctl_make(&a, &raw, APICV_OFF));
	assert_true(vmx_ctl_equal(&a, &a));
#define DIFFERS(field)             \
	b = a;                     \
	b.field = b.field ? 0 : 1; \
	assert_false(vmx_ctl_equal(&a, &b))
	DIFFERS(revision);
	DIFFERS(pin);
	DIFFERS(processor);
	DIFFERS(secondary);
	DIFFERS(exit);
	DIFFERS(entry);
	DIFFERS(cr0_fixed0);
	DIFFERS(cr0_fixed1);
	DIFFERS(cr4_fixed0);
	DIFFERS(cr4_fixed1);
	DIFFERS(timer_shift);
	DIFFERS(ept_2m);
	DIFFERS(ept_1g);
	DIFFERS(rdtscp);
	DIFFERS(invpcid);
	DIFFERS(pause_loop);
	DIFFERS(xsaves);
	DIFFERS(apicv);
#undef DIFFERS
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_capable_cpu_gets_every_needed_control),
		cmocka_unit_test(each_needed_ability_is_missed_and_no_other),
		cmocka_unit_test(what_the_cpu_insists_on_is_in_the_configuration),
		cmocka_unit_test(tpr_shadow_or_cr8_exits),
		cmocka_unit_test(forced_cr3_exits_are_refused),
		cmocka_unit_test(equal_means_the_same_in_every_field),
	};

	return cmocka_run_group_tests_name("vmx_ctl", tests, NULL, NULL);
}
