/* QEMU's firmware configuration device at its I/O ports, as far as a guest may ask here: the signature, that there is
 * no DMA, memory and CPUs, and an empty directory of files. The kernel, initrd and command line are not offered: the
 * guest is loaded already. Pure. Nothing here locks: one caller at a time.
 *
 * Source: QEMU documentation, "QEMU Firmware Configuration (fw_cfg) Device". */
#ifndef HV_POLICY_FW_CFG_H
#define HV_POLICY_FW_CFG_H

#include <stdint.h>

#define FW_CFG_SELECTOR 0x510 /* 16-bit writes */
#define FW_CFG_DATA     0x511 /* byte reads */

struct fw_cfg {
	uint64_t ram_bytes;
	uint16_t cpu_count;
	uint16_t selector;
	uint32_t offset; /* of the next byte; it stays at the end */
};

void fw_cfg_reset(struct fw_cfg *f, uint64_t ram_bytes, uint16_t cpu_count);

/* A 16-bit write to FW_CFG_SELECTOR. Writes of other sizes, and to FW_CFG_DATA, do nothing: the caller drops them. */
void fw_cfg_select(struct fw_cfg *f, uint16_t selector);

/* A byte read of either port: the selected item's next byte; 0 after its end, and where there is no such item. */
uint8_t fw_cfg_next(struct fw_cfg *f);

#endif
