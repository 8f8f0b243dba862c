/* VM configuration files (interface.md 4): text in, one struct vm_cfg out. Pure. */
#ifndef HV_POLICY_CFG_H
#define HV_POLICY_CFG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CFG_NAME_MAX  31
#define CFG_FILE_MAX  127
#define CFG_EXTRA_MAX 1023
#define CFG_CPU_MAX   31

/* In the order of interface.md 4. */
enum cfg_key {
	CFG_KEY_NAME,
	CFG_KEY_KERNEL,
	CFG_KEY_RAMDISK,
	CFG_KEY_EXTRA,
	CFG_KEY_MEMORY,
	CFG_KEY_VCPUS,
	CFG_KEY_CPUS,
	CFG_KEY_CPU,
	CFG_KEY_CAPS,
	CFG_KEY_CAPS_MODE,
	CFG_KEY_UNSAFE,
	CFG_KEY_AUTOSTART,
	CFG_KEY_COUNT
};

struct vm_cfg {
	char name[CFG_NAME_MAX + 1];
	char kernel[CFG_FILE_MAX + 1];
	char ramdisk[CFG_FILE_MAX + 1]; /* empty: none */
	char extra[CFG_EXTRA_MAX + 1];
	char cpu[CFG_CPU_MAX + 1];
	uint32_t memory_mib;
	uint32_t vcpus;
	uint64_t cpus;                  /* bit n: may run on pCPU n; all ones: any */
	uint64_t caps_add, caps_remove; /* bits of IA32_ARCH_CAPABILITIES */
	bool fixed;                     /* caps_mode = fixed */
	bool unsafe;
	bool autostart;
	uint32_t lines[CFG_KEY_COUNT]; /* where each key was given, from 1; 0: not in the file */
};

struct cfg_error {
	uint32_t line;    /* from 1; 0: the file as a whole */
	char reason[120]; /* e.g. `unknown key "memroy"`, `name: missing`; terminated */
};

/* Parses length bytes of text. On failure *error says where and why, and *out is untouched. */
bool cfg_parse(struct vm_cfg *out, const char *text, size_t length, struct cfg_error *error);

/* The line that a reason is about which begins with a key and a colon (`memory: none left`); 0 if it names none, or one
 * that was not given. */
uint32_t cfg_line_of(const struct vm_cfg *cfg, const char *reason);

/* Applies one KEY=VALUE (as typed for `vm set`: the value bare or in double quotes) to *cfg. On failure *cfg is
 * untouched and *error says why (line 0). */
bool cfg_set(struct vm_cfg *cfg, const char *key_value, struct cfg_error *error);

#endif
