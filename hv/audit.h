/* The audit: takes the rows of all rings before they are overwritten, and feeds them to hv/audit_rules.h in the order
 * of tsc, then pCPU. Console's pCPU only. */
#ifndef HV_AUDIT_H
#define HV_AUDIT_H

enum audit_end {
	AUDIT_DONE,
	AUDIT_STUCK, /* a pCPU does not come out of its guest */
	AUDIT_INTERRUPTED,
};

void audit_init(void);

/* Often: takes some rows; the more are waiting, the more. */
void audit_poll(void);

/* Takes every row of up to now, unless Ctrl-C is typed meanwhile. */
enum audit_end audit_catch_up(void);

/* Prints the first violations since boot, and the counts. */
void audit_print(void);

#endif
