/* ACPI tables as they are laid out, for writing them (reading: acpi.h, by offset, for a foreign table may be shorter).
 * Facts only.
 * Source: ACPI Specification 6.4, "ACPI Software Programming Model". */
#ifndef ARCH_DEFS_ACPI_TABLES_H
#define ARCH_DEFS_ACPI_TABLES_H

#include <stddef.h>
#include <stdint.h>

struct acpi_rsdp_layout {
	char signature[8];
	uint8_t checksum; /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt_address;
	uint32_t length;
	uint64_t xsdt_address;
	uint8_t extended_checksum;
	uint8_t reserved[3];
} __attribute__((packed));

struct acpi_header_layout {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum;
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));

/* Generic Address Structure */
#define ACPI_ACCESS_BYTE  1
#define ACPI_ACCESS_WORD  2
#define ACPI_ACCESS_DWORD 3
struct acpi_gas_layout {
	uint8_t space_id, bit_width, bit_offset, access_size;
	uint64_t address;
} __attribute__((packed));

#define ACPI_FADT_REVISION      6
#define ACPI_FADT_WBINVD        (1u << 0)
#define ACPI_FADT_PROC_C1       (1u << 2)
#define ACPI_FADT_PWR_BUTTON    (1u << 4) /* no fixed one */
#define ACPI_FADT_SLP_BUTTON    (1u << 5) /* no fixed one */
#define ACPI_FADT_FIX_RTC       (1u << 6) /* no wake-up from it in the fixed registers */
#define ACPI_FADT_TMR_VAL_EXT   (1u << 8) /* 32 bits */
#define ACPI_FADT_BOOT_LEGACY   (1u << 0)
#define ACPI_FADT_BOOT_NO_VGA   (1u << 2)
#define ACPI_FADT_BOOT_NO_MSI   (1u << 3)
#define ACPI_FADT_NO_C2_LATENCY 101
#define ACPI_FADT_NO_C3_LATENCY 1001
struct acpi_fadt_layout {
	struct acpi_header_layout header;
	uint32_t firmware_ctrl, dsdt;
	uint8_t reserved, preferred_pm_profile;
	uint16_t sci_int;
	uint32_t smi_cmd; /* 0: always in ACPI mode */
	uint8_t acpi_enable, acpi_disable, s4bios_req, pstate_cnt;
	uint32_t pm1a_evt_blk, pm1b_evt_blk, pm1a_cnt_blk, pm1b_cnt_blk, pm2_cnt_blk, pm_tmr_blk, gpe0_blk, gpe1_blk;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_blk_len, gpe1_blk_len, gpe1_base, cst_cnt;
	uint16_t p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alrm, mon_alrm, century;
	uint16_t iapc_boot_arch;
	uint8_t reserved2;
	uint32_t flags;
	struct acpi_gas_layout reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_firmware_ctrl, x_dsdt;
	struct acpi_gas_layout x_pm1a_evt_blk, x_pm1b_evt_blk, x_pm1a_cnt_blk, x_pm1b_cnt_blk, x_pm2_cnt_blk,
		x_pm_tmr_blk, x_gpe0_blk, x_gpe1_blk, sleep_control_reg, sleep_status_reg;
	uint64_t hypervisor_vendor;
} __attribute__((packed));
_Static_assert(offsetof(struct acpi_fadt_layout, flags) == 112, "FADT: flags");
_Static_assert(offsetof(struct acpi_fadt_layout, x_dsdt) == 140, "FADT: x_dsdt");
_Static_assert(sizeof(struct acpi_fadt_layout) == 276, "FADT: revision 6");

#define ACPI_FACS_ALIGN   64
#define ACPI_FACS_VERSION 2
struct acpi_facs_layout {
	char signature[4];
	uint32_t length, hardware_signature, waking_vector, global_lock, flags;
	uint64_t x_waking_vector;
	uint8_t version, reserved[31];
} __attribute__((packed));
_Static_assert(sizeof(struct acpi_facs_layout) == 64, "FACS");

#define ACPI_MADT_REVISION    4
#define ACPI_MADT_PCAT_COMPAT (1u << 0) /* there is an 8259 pair too */
struct acpi_madt_layout {
	struct acpi_header_layout header;
	uint32_t local_apic_address, flags;
} __attribute__((packed));

struct acpi_madt_local_apic {
	uint8_t type, length;
	uint8_t processor_uid, apic_id;
	uint32_t flags;
} __attribute__((packed));

#define ACPI_MADT_IO_APIC 1
struct acpi_madt_io_apic {
	uint8_t type, length;
	uint8_t io_apic_id, reserved;
	uint32_t address, gsi_base;
} __attribute__((packed));

/* MPS INTI flags: 0 is what the bus does anyway */
#define ACPI_MADT_ACTIVE_HIGH        (1u << 0)
#define ACPI_MADT_LEVEL              (3u << 2)
#define ACPI_MADT_INTERRUPT_OVERRIDE 2
struct acpi_madt_interrupt_override {
	uint8_t type, length;
	uint8_t bus, source; /* 0: ISA */
	uint32_t gsi;
	uint16_t flags;
} __attribute__((packed));

#define ACPI_MADT_LOCAL_APIC_NMI 4
#define ACPI_MADT_ALL_PROCESSORS 0xffu
struct acpi_madt_local_apic_nmi {
	uint8_t type, length;
	uint8_t processor_uid;
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));

#endif
