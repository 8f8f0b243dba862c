/* A guest's ACPI tables. The block: RSDP, FACS (which must be aligned), XSDT, and RSDT for programs that know ACPI 1.0
 * only, FADT, DSDT, and the MADT, which grows with the vCPUs. */
#include "hv/policy/acpi_build.h"

#include "arch/defs/acpi.h"
#include "arch/defs/acpi_tables.h"
#include "hv/policy/acpi_ports.h"
#include "hv/policy/ioapic.h"
#include "hv/policy/lapic.h"

/* What the AML below says, in ASL:
 *   Name (\_S5, Package (4) { 0, 0, 0, 0 })
 *   Scope (\_SB) {
 *       Device (COM1) {
 *           Name (_HID, EisaId ("PNP0501"))
 *           Name (_UID, 1)
 *           Name (_CRS, ResourceTemplate () { IO (Decode16, 0x3f8, 0x3f8, 0, 8) IRQNoFlags () { 4 } })
 *       }
 *   }
 * A package's length counts itself and all that follows in it. */
static const uint8_t DSDT_AML[] = {
	/* clang-format off */
	0x08, '_', 'S', '5', '_',                          /* Name: _S5 */
	0x12, 6, 4,                                        /*   Package, its length, 4 elements */
	ACPI_S5_SLP_TYP, ACPI_S5_SLP_TYP, 0, 0,            /*   SLP_TYPa, SLP_TYPb, reserved: each a ZeroOp */
	0x10, 51, '\\', '_', 'S', 'B', '_',                /* Scope, its length: \_SB */
	0x5b, 0x82, 43, 'C', 'O', 'M', '1',                /*   Device, its length: COM1 */
	0x08, '_', 'H', 'I', 'D',                          /*     Name: _HID */
	0x0c, 0x41, 0xd0, 0x05, 0x01,                      /*       DWord: PNP0501, a 16550 */
	0x08, '_', 'U', 'I', 'D', 0x01,                    /*     Name: _UID, One */
	0x08, '_', 'C', 'R', 'S',                          /*     Name: _CRS */
	0x11, 16, 0x0a, 13,                                /*       Buffer, its length, a Byte: 13 bytes */
	0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0, 8,          /*         IO: 16 bits decoded, from, to, alignment, length */
	0x22, 1 << 4, 0,                                   /*         IRQ: mask */
	0x79, 0,                                           /*         end */
	/* clang-format on */
};
_Static_assert(ACPI_S5_SLP_TYP == AML_ZERO_OP, "the package is written in ZeroOps");

#define TABLES_LISTED 2
struct block {
	struct acpi_rsdp_layout rsdp;
	uint8_t pad[ACPI_FACS_ALIGN - sizeof(struct acpi_rsdp_layout)];
	struct acpi_facs_layout facs;
	struct acpi_header_layout xsdt;
	uint64_t xsdt_entries[TABLES_LISTED];
	struct acpi_header_layout rsdt;
	uint32_t rsdt_entries[TABLES_LISTED];
	struct acpi_fadt_layout fadt;
	struct acpi_header_layout dsdt;
	uint8_t aml[sizeof(DSDT_AML)];
	struct acpi_madt_layout madt;
	struct acpi_madt_io_apic io_apic;
	struct acpi_madt_interrupt_override irq0, sci;
	struct acpi_madt_local_apic_nmi nmi;
	struct acpi_madt_local_apic cpus[ACPI_BUILD_CPUS_MAX];
} __attribute__((packed));
_Static_assert(sizeof(struct block) <= ACPI_BUILD_BYTES, "the block does not hold the tables");

static uint8_t missing_to_zero(const void *bytes, size_t length)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < length; i++)
		sum = (uint8_t)(sum + ((const uint8_t *)bytes)[i]);
	return (uint8_t)-sum;
}

static struct acpi_header_layout header(const char signature[4], uint8_t revision, size_t length)
{
	struct acpi_header_layout made = {
		.length = (uint32_t)length,
		.revision = revision,
		.oem_revision = 1,
		.creator_revision = 1,
	};

	__builtin_memcpy(made.signature, signature, sizeof(made.signature));
	__builtin_memcpy(made.oem_id, "SLUICE", sizeof(made.oem_id));
	__builtin_memcpy(made.oem_table_id, "SLUICE  ", sizeof(made.oem_table_id));
	__builtin_memcpy(made.creator_id, "SLCE", sizeof(made.creator_id));
	return made;
}

static void seal(struct acpi_header_layout *table)
{
	table->checksum = missing_to_zero(table, table->length);
}

static struct acpi_gas_layout ports(uint16_t port, uint8_t bytes, uint8_t access_size)
{
	return (struct acpi_gas_layout){ACPI_GAS_SYSTEM_IO, (uint8_t)(bytes * 8), 0, access_size, port};
}

static void rsdp_make(struct block *block, uint64_t gpa)
{
	struct acpi_rsdp_layout *rsdp = &block->rsdp;

	*rsdp = (struct acpi_rsdp_layout){
		.revision = 2,
		.rsdt_address = (uint32_t)(gpa + offsetof(struct block, rsdt)),
		.length = sizeof(*rsdp),
		.xsdt_address = gpa + offsetof(struct block, xsdt),
	};
	__builtin_memcpy(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature));
	__builtin_memcpy(rsdp->oem_id, "SLUICE", sizeof(rsdp->oem_id));
	rsdp->checksum = missing_to_zero(rsdp, ACPI_RSDP_V1_BYTES);
	rsdp->extended_checksum = missing_to_zero(rsdp, sizeof(*rsdp));
}

/* Both list the same. */
static void lists_make(struct block *block, uint64_t gpa)
{
	const uint64_t tables[TABLES_LISTED] = {gpa + offsetof(struct block, fadt), gpa + offsetof(struct block, madt)};

	block->xsdt = header("XSDT", 1, sizeof(block->xsdt) + sizeof(block->xsdt_entries));
	block->rsdt = header("RSDT", 1, sizeof(block->rsdt) + sizeof(block->rsdt_entries));
	for (unsigned i = 0; i < TABLES_LISTED; i++) {
		block->xsdt_entries[i] = tables[i];
		block->rsdt_entries[i] = (uint32_t)tables[i];
	}
	seal(&block->xsdt);
	seal(&block->rsdt);
}

static void fadt_make(struct block *block, uint64_t gpa)
{
	const uint8_t evt_bytes = ACPI_PORT_PM1A_CNT - ACPI_PORT_PM1A_EVT, cnt_bytes = 2;
	const uint8_t timer_bytes = ACPI_PORTS_END - ACPI_PORT_PM_TMR;

	block->fadt = (struct acpi_fadt_layout){
		.header = header("FACP", ACPI_FADT_REVISION, sizeof(block->fadt)),
		.firmware_ctrl = (uint32_t)(gpa + offsetof(struct block, facs)),
		.dsdt = (uint32_t)(gpa + offsetof(struct block, dsdt)),
		.sci_int = ACPI_SCI_IRQ,
		.pm1a_evt_blk = ACPI_PORT_PM1A_EVT,
		.pm1a_cnt_blk = ACPI_PORT_PM1A_CNT,
		.pm_tmr_blk = ACPI_PORT_PM_TMR,
		.pm1_evt_len = evt_bytes,
		.pm1_cnt_len = cnt_bytes,
		.pm_tmr_len = timer_bytes,
		.p_lvl2_lat = ACPI_FADT_NO_C2_LATENCY,
		.p_lvl3_lat = ACPI_FADT_NO_C3_LATENCY,
		.iapc_boot_arch = ACPI_FADT_BOOT_LEGACY | ACPI_FADT_BOOT_NO_VGA | ACPI_FADT_BOOT_NO_MSI,
		.flags = ACPI_FADT_WBINVD | ACPI_FADT_PROC_C1 | ACPI_FADT_PWR_BUTTON | ACPI_FADT_SLP_BUTTON |
			 ACPI_FADT_FIX_RTC | ACPI_FADT_TMR_VAL_EXT | ACPI_FADT_RESET_REG_SUP,
		.reset_reg = ports(ACPI_PORT_RESET, 1, ACPI_ACCESS_BYTE),
		.reset_value = ACPI_RESET_VALUE,
		/* X_FIRMWARE_CTRL stays 0: the FACS may be named once only. */
		.x_dsdt = gpa + offsetof(struct block, dsdt),
		.x_pm1a_evt_blk = ports(ACPI_PORT_PM1A_EVT, evt_bytes, ACPI_ACCESS_WORD),
		.x_pm1a_cnt_blk = ports(ACPI_PORT_PM1A_CNT, cnt_bytes, ACPI_ACCESS_WORD),
		.x_pm_tmr_blk = ports(ACPI_PORT_PM_TMR, timer_bytes, ACPI_ACCESS_DWORD),
	};
	seal(&block->fadt.header);
}

static void dsdt_make(struct block *block)
{
	/* Revision 2: integers have 64 bits. */
	block->dsdt = header("DSDT", 2, sizeof(block->dsdt) + sizeof(block->aml));
	__builtin_memcpy(block->aml, DSDT_AML, sizeof(block->aml));
	seal(&block->dsdt);
}

static void facs_make(struct block *block)
{
	block->facs = (struct acpi_facs_layout){.length = sizeof(block->facs), .version = ACPI_FACS_VERSION};
	__builtin_memcpy(block->facs.signature, "FACS", sizeof(block->facs.signature));
}

static void madt_make(struct block *block, uint32_t vcpu_count)
{
	const size_t length =
		offsetof(struct block, cpus) - offsetof(struct block, madt) + vcpu_count * sizeof(block->cpus[0]);

	block->madt = (struct acpi_madt_layout){header("APIC", ACPI_MADT_REVISION, length), (uint32_t)LAPIC_PAGE_GPA,
						ACPI_MADT_PCAT_COMPAT};
	block->io_apic = (struct acpi_madt_io_apic){
		ACPI_MADT_IO_APIC, sizeof(block->io_apic), ACPI_IOAPIC_ID, 0, (uint32_t)IOAPIC_PAGE_GPA, 0};
	block->irq0 = (struct acpi_madt_interrupt_override){
		ACPI_MADT_INTERRUPT_OVERRIDE, sizeof(block->irq0), 0, 0, ACPI_IRQ0_GSI, 0};
	block->sci = (struct acpi_madt_interrupt_override){
		ACPI_MADT_INTERRUPT_OVERRIDE,           sizeof(block->sci), 0, ACPI_SCI_IRQ, ACPI_SCI_IRQ,
		ACPI_MADT_ACTIVE_HIGH | ACPI_MADT_LEVEL};
	block->nmi = (struct acpi_madt_local_apic_nmi){ACPI_MADT_LOCAL_APIC_NMI, sizeof(block->nmi),
						       ACPI_MADT_ALL_PROCESSORS, 0, 1};
	for (uint32_t i = 0; i < vcpu_count; i++)
		block->cpus[i] = (struct acpi_madt_local_apic){ACPI_MADT_LOCAL_APIC, sizeof(block->cpus[i]), (uint8_t)i,
							       (uint8_t)i, ACPI_MADT_ENABLED};
	seal(&block->madt.header);
}

void acpi_build_write(uint8_t *block, uint64_t gpa, uint32_t vcpu_count)
{
	struct block *made = (struct block *)block;

	if (vcpu_count > ACPI_BUILD_CPUS_MAX)
		vcpu_count = ACPI_BUILD_CPUS_MAX;
	__builtin_memset(block, 0, ACPI_BUILD_BYTES);
	rsdp_make(made, gpa);
	lists_make(made, gpa);
	fadt_make(made, gpa);
	dsdt_make(made);
	facs_make(made);
	madt_make(made, vcpu_count);
}
