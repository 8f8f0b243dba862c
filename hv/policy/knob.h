/* The knobs: what boot options and `set` can change. Names and values as in interface.md 2; pure. */
#ifndef HV_POLICY_KNOB_H
#define HV_POLICY_KNOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum knob {
	KNOB_VMENTRY_L1D_FLUSH, /* enum l1d_request */
	KNOB_VERW,              /* enum verw_request */
	KNOB_FB_CLEAR_DIS,      /* enum fb_clear_dis */
	KNOB_RSB,               /* enum auto_off, and so the next three */
	KNOB_BHB,
	KNOB_SPEC_CTRL,
	KNOB_IBPB,
	KNOB_LOGLEVEL,     /* enum log_level (hv/log.h) */
	KNOB_L1D_FLUSH_BY, /* enum l1d_flush_by */
	KNOB_COUNT
};

/* In the order of the value lists in interface.md 2: the first is not always the default. */
enum l1d_request { L1D_REQUEST_AUTO, L1D_REQUEST_NEVER, L1D_REQUEST_COND, L1D_REQUEST_ALWAYS };
enum verw_request { VERW_AUTO, VERW_ON, VERW_OFF };
enum fb_clear_dis { FB_CLEAR_DIS_CACHED, FB_CLEAR_DIS_TOGGLE, FB_CLEAR_DIS_MSRLIST, FB_CLEAR_DIS_OFF };
enum l1d_flush_by { L1D_FLUSH_BY_WRMSR, L1D_FLUSH_BY_MSRLIST };
enum auto_off { AUTO, OFF };
enum log_level { LOG_ERROR, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

struct knobs {
	uint8_t value[KNOB_COUNT];
};

/* The defaults of interface.md 2. */
struct knobs knob_defaults(void);

/* The knob's name, e.g. "verw". */
const char *knob_name(enum knob knob);

/* The text of a value, e.g. "auto"; NULL past the end of the list. */
const char *knob_value_name(enum knob knob, unsigned value);

/* What to say of a text that is none of the knob's values: "not one of auto, on, off". */
const char *knob_refusal(enum knob knob);

/* Finds the knob called name (length bytes, no terminator needed). False, and *out untouched, if there is none. */
bool knob_find(const char *name, size_t length, enum knob *out);

/* Finds text among the knob's values. False, and *out untouched, if it is not one of them. */
bool knob_value_find(enum knob knob, const char *text, size_t length, uint8_t *out);

#endif
