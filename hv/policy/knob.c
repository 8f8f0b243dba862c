/* The knobs: their names, values and defaults, as in interface.md 2. */
#include "hv/policy/knob.h"

#include "hv/policy/text.h"

#define VALUES_MAX 4

struct knob_facts {
	const char *name;
	uint8_t default_value;
	const char *values[VALUES_MAX];
	const char *refusal;
};

#define AUTO_OFF_VALUES {[AUTO] = "auto", [OFF] = "off"}, "not one of auto, off"

static const struct knob_facts KNOBS[KNOB_COUNT] = {
	[KNOB_VMENTRY_L1D_FLUSH] = {"vmentry_l1d_flush",
				    L1D_REQUEST_AUTO,
				    {
					    [L1D_REQUEST_AUTO] = "auto",
					    [L1D_REQUEST_NEVER] = "never",
					    [L1D_REQUEST_COND] = "cond",
					    [L1D_REQUEST_ALWAYS] = "always",
				    },
				    "not one of auto, never, cond, always"},
	[KNOB_VERW] = {"verw",
		       VERW_AUTO,
		       {[VERW_AUTO] = "auto", [VERW_ON] = "on", [VERW_OFF] = "off"},
		       "not one of auto, on, off"},
	[KNOB_FB_CLEAR_DIS] = {"fb_clear_dis",
			       FB_CLEAR_DIS_CACHED,
			       {
				       [FB_CLEAR_DIS_CACHED] = "cached",
				       [FB_CLEAR_DIS_TOGGLE] = "toggle",
				       [FB_CLEAR_DIS_MSRLIST] = "msrlist",
				       [FB_CLEAR_DIS_OFF] = "off",
			       },
			       "not one of cached, toggle, msrlist, off"},
	[KNOB_RSB] = {"rsb", AUTO, AUTO_OFF_VALUES},
	[KNOB_BHB] = {"bhb", AUTO, AUTO_OFF_VALUES},
	[KNOB_SPEC_CTRL] = {"spec_ctrl", AUTO, AUTO_OFF_VALUES},
	[KNOB_IBPB] = {"ibpb", AUTO, AUTO_OFF_VALUES},
	[KNOB_LOGLEVEL] = {"loglevel",
			   LOG_INFO,
			   {
				   [LOG_ERROR] = "error",
				   [LOG_NOTICE] = "notice",
				   [LOG_INFO] = "info",
				   [LOG_DEBUG] = "debug",
			   },
			   "not one of error, notice, info, debug"},
	[KNOB_L1D_FLUSH_BY] = {"l1d_flush_by",
			       L1D_FLUSH_BY_WRMSR,
			       {[L1D_FLUSH_BY_WRMSR] = "wrmsr", [L1D_FLUSH_BY_MSRLIST] = "msrlist"},
			       "not one of wrmsr, msrlist"},
};

struct knobs knob_defaults(void)
{
	struct knobs knobs;

	for (unsigned knob = 0; knob < KNOB_COUNT; knob++)
		knobs.value[knob] = KNOBS[knob].default_value;
	return knobs;
}

const char *knob_name(enum knob knob)
{
	return KNOBS[knob].name;
}

const char *knob_value_name(enum knob knob, unsigned value)
{
	return value < VALUES_MAX ? KNOBS[knob].values[value] : NULL;
}

const char *knob_refusal(enum knob knob)
{
	return KNOBS[knob].refusal;
}

bool knob_find(const char *name, size_t length, enum knob *out)
{
	for (unsigned knob = 0; knob < KNOB_COUNT; knob++) {
		if (text_is(KNOBS[knob].name, name, length)) {
			*out = (enum knob)knob;
			return true;
		}
	}
	return false;
}

bool knob_value_find(enum knob knob, const char *text, size_t length, uint8_t *out)
{
	for (unsigned value = 0; value < VALUES_MAX && KNOBS[knob].values[value] != NULL; value++) {
		if (text_is(KNOBS[knob].values[value], text, length)) {
			*out = (uint8_t)value;
			return true;
		}
	}
	return false;
}
