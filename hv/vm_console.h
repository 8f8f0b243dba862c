/* A VM's serial port as the host sees it: what the guest has printed, and what was typed for it. Lines go to the
 * console as `NAME| text`; the last 64 KiB are kept for `wait`. */
#ifndef HV_VM_CONSOLE_H
#define HV_VM_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/lock.h"

#define VM_CONSOLE_LINE_MAX  1024
#define VM_CONSOLE_LOG_BYTES 65536
#define VM_CONSOLE_TYPED_MAX 4096 /* a power of two */

struct vm_console {
	struct lock lock; /* over all that follows but what is typed */
	bool attached;    /* the terminal shows its bytes as they come (hv/attach.h) */
	uint32_t line_length;
	uint64_t line_tsc; /* when the unfinished line got its last byte */
	/* Bytes of the log since the VM's start. */
	uint64_t log_head; /* all that it has printed */
	uint64_t shown;    /* those before the unfinished line */
	uint64_t mark;     /* shown when the last command but `wait` was typed */
	uint64_t search;   /* vm_console_printed() goes on from here; at first mark */
	char line[VM_CONSOLE_LINE_MAX];
	char *log; /* a ring of VM_CONSOLE_LOG_BYTES; NULL until the first start */
	/* Of pCPU 0 alone: bytes ever typed, and those that the guest's port has taken. */
	uint32_t typed_head, typed_tail;
	uint8_t typed[VM_CONSOLE_TYPED_MAX];
};

struct vm;

/* Takes memory for the log, which is kept for good, so that what a VM that is off has printed can be read. False: there
 * is none. */
bool vm_console_make(struct vm *vm);

/* Gives it back. For a VM that is off and prints nothing. */
void vm_console_unmake(struct vm *vm);

/* Empties it: the VM starts. */
void vm_console_start(struct vm *vm);

/* The guest has sent a byte. True: it, or a line, went to the host's console. */
bool vm_console_put(struct vm *vm, uint8_t byte);

/* Shows a line that has been unfinished for a second; and the rest of one when the VM stops (now = true). True: there
 * was one. */
bool vm_console_flush(struct vm *vm, bool now);

/* The terminal is attached, beginning with the line that the guest has not finished; or not any more. */
void vm_console_attach(struct vm *vm);
void vm_console_detach(struct vm *vm);

/* One line of the log without its end, VM_CONSOLE_LINE_MAX bytes at most, from *at on; *at goes behind it. Where the
 * log no longer goes back so far, its oldest line. False: there is none before byte end. */
bool vm_console_log_line(struct vm *vm, uint64_t *at, uint64_t end, char *line, uint32_t *length);

/* Bytes of the log since the VM's start. */
uint64_t vm_console_log_end(struct vm *vm);

/* A command other than `wait` has been typed. `wait` itself does not count, so that two of them in a row both see what
 * one command brought about. */
void vm_console_mark(struct vm *vm);

/* A search begins: for lines that were shown since the mark. */
void vm_console_seek(struct vm *vm);

/* Text stands on one of those lines. Lines are looked at once: until the next vm_console_seek(), ask for the same text.
 * *looked is set if there were lines to look at. */
bool vm_console_printed(struct vm *vm, const char *text, uint32_t length, bool *looked);

/* Bytes are typed for the guest, and wait until its port takes them. False: there is no room for all of them, and none
 * is kept. pCPU 0, as the next one. */
bool vm_console_type(struct vm *vm, const char *text, uint32_t length);

/* Hands every guest what its port takes now. True: there was some. */
bool vm_console_pump(void);

#endif
