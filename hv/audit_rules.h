/* G1 to G5 of interface.md 5, derived from the rows of the trace alone (section 7). Pure, and on purpose a second
 * opinion: it shares no decision with the code that enters guests, only the layout of a row and the names in it.
 *
 * The rows of all pCPUs are fed in the order of tsc, then pCPU. What the rows cannot prove wrong passes: rows of
 * different pCPUs are compared as hv/trace.h says under "Time". */
#ifndef HV_AUDIT_RULES_H
#define HV_AUDIT_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/policy/knob.h"
#include "hv/trace.h"

#define AUDIT_CPUS_MAX  64
#define AUDIT_VMS_MAX   32
#define AUDIT_VCPUS_MAX 32

/* AUDIT_ROWS: the rows of a pCPU are not complete: an entry's number is not the one after the last. */
enum audit_rule { AUDIT_ROWS, AUDIT_G1, AUDIT_G2, AUDIT_G3, AUDIT_G4, AUDIT_G5, AUDIT_RULE_COUNT };

/* The G of "rule=G1"; "rows" for AUDIT_ROWS. */
const char *audit_rule_name(enum audit_rule rule);

/* What is wrong with one row: a reason for each rule that it breaks, else NULL. */
struct audit_verdict {
	const char *why[AUDIT_RULE_COUNT];
};

/* Where nobody knows. */
enum audit_truth { AUDIT_NO, AUDIT_YES, AUDIT_UNKNOWN };

/* What has happened by then. An entry is known to be after it if it was made under policy gen or a newer one, or if the
 * row before it on its pCPU is younger than until_tsc. */
struct audit_since {
	uint64_t gen, until_tsc;
};

struct audit_cpu {
	uint64_t next_n;
	uint64_t tsc; /* of the last row */
	uint64_t gen; /* of the last entry; 0: none yet */
	uint64_t mcu; /* IA32_MCU_OPT_CTRL between entries */
	uint64_t read_value;
	uint32_t read_epoch;
	uint16_t last_vm, last_vcpu; /* ran here last */
	uint16_t read_vm;            /* a reading that the next row here settles */
	struct trace_row last;       /* entry */
	uint32_t last_changes;       /* changes when it was judged */
	bool repeats;                /* it was judged, as was one like it right before, and neither broke a rule */
	uint8_t mode;
	bool has_last; /* next_n, last_vm, last_vcpu and mode are known */
	bool has_mcu;
	bool has_read;
	bool is_due; /* a reason to flush has come since the last flush: at least those that the rows show */
};

struct audit_vm {
	uint64_t caps;                  /* its value but for the dynamic bit */
	uint64_t bit;                   /* the dynamic bit of a value that is fixed */
	struct audit_since owed_since;  /* owed: entries after this must flush */
	struct audit_since freed_since; /* entries after this see what ended the debt, or the breach */
	uint64_t ended_until;           /* the last thing that ended a debt was over by then */
	uint64_t told_until;            /* the last reading of a 1 was over by then */
	bool owed;                      /* for certain */
	uint8_t told;                   /* enum audit_truth, and so the next: somebody relies on the bit */
	uint8_t broken;
	bool has_caps;
	bool has_model; /* md_clear, is_fixed and, if fixed, bit */
	bool md_clear, is_fixed, has_bit;
	uint8_t ran_on[AUDIT_VCPUS_MAX]; /* pCPU, or one of those below */
};

#define AUDIT_RAN_UNKNOWN 0xff
#define AUDIT_RAN_NOWHERE 0xfe

struct audit_knob {
	uint64_t gen; /* entries from this policy on have the value */
	uint8_t value;
	bool is_known;
};

struct audit_rules {
	uint64_t entry_count, violation_count;
	struct audit_cpu cpus[AUDIT_CPUS_MAX];
	struct audit_vm vms[AUDIT_VMS_MAX];
	struct audit_knob knobs[KNOB_COUNT];
	struct audit_knob strategy;  /* enum fb_clear_dis that is in force */
	struct audit_knob shown;     /* value: a VM that is not fixed shows the dynamic bit */
	uint64_t done_tsc, done_gen; /* the newest mode ... phase=done; 0: none */
	uint64_t force_tsc;          /* of the begin of a `force` that is under way; 0: none */
	uint32_t epoch;              /* counts the changes of knobs, begin and done */
	uint32_t changes;            /* counts what may matter to later entries, also of other pCPUs */
	uint64_t changed_until;      /* the last of these was over by then */
	uint8_t machine;             /* enum trace_machine */
	bool has_machine;
	bool is_changing; /* between begin and done */
};

void audit_rules_init(struct audit_rules *a);

/* Rows have been lost: what they may have said is forgotten. */
void audit_rules_lost(struct audit_rules *a);

/* One row. True: it breaks no rule; *out has no reasons then. */
bool audit_rules_feed(struct audit_rules *a, uint32_t cpu, const struct trace_row *row, struct audit_verdict *out);

#endif
