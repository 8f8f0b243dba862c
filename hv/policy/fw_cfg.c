#include "hv/policy/fw_cfg.h"

/* Selector keys. */
#define FW_CFG_SIGNATURE     0x00
#define FW_CFG_ID            0x01
#define FW_CFG_RAM_SIZE      0x03
#define FW_CFG_NB_CPUS       0x05
#define FW_CFG_MAX_CPUS      0x0f
#define FW_CFG_FILE_DIR      0x19
#define FW_CFG_WRITE_CHANNEL 0x4000 /* means nothing any more */

#define FW_CFG_ID_TRADITIONAL 1u /* the interface through the ports; bit 1 would be DMA */

#define SIGNATURE 0x554d4551u /* "QEMU" */

/* An item: so many bytes of a number, the lowest first. */
struct item {
	uint64_t value;
	uint32_t bytes;
};

static struct item item_of(const struct fw_cfg *f)
{
	switch (f->selector & ~FW_CFG_WRITE_CHANNEL) {
	case FW_CFG_SIGNATURE:
		return (struct item){SIGNATURE, 4};
	case FW_CFG_ID:
		return (struct item){FW_CFG_ID_TRADITIONAL, 4};
	case FW_CFG_RAM_SIZE:
		return (struct item){f->ram_bytes, 8};
	case FW_CFG_NB_CPUS:
	case FW_CFG_MAX_CPUS:
		return (struct item){f->cpu_count, 2};
	case FW_CFG_FILE_DIR:
		return (struct item){0, 4}; /* the number of files */
	default:
		return (struct item){0, 0};
	}
}

void fw_cfg_reset(struct fw_cfg *f, uint64_t ram_bytes, uint16_t cpu_count)
{
	*f = (struct fw_cfg){.ram_bytes = ram_bytes, .cpu_count = cpu_count};
}

void fw_cfg_select(struct fw_cfg *f, uint16_t selector)
{
	f->selector = selector;
	f->offset = 0;
}

uint8_t fw_cfg_next(struct fw_cfg *f)
{
	struct item item = item_of(f);

	if (f->offset >= item.bytes)
		return 0;
	return (uint8_t)(item.value >> 8 * f->offset++);
}
