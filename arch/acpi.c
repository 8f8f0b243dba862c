/* ACPI tables: from the RSDP to the processors of the MADT, and to power-off and reset. */
#include "arch/acpi.h"

#include "arch/defs/acpi.h"

/* Larger than any real table: a length beyond it is damage, not worth a checksum over gigabytes. */
#define TABLE_BYTES_MAX (16u << 20)

struct bytes {
	const uint8_t *at;
	size_t length;
};

struct table_kind {
	uint32_t signature;
	const char *missing, *broken;
};

static const struct table_kind XSDT = {ACPI_XSDT, "acpi: the RSDP does not lead to an XSDT",
				       "acpi: the XSDT is broken (length or checksum)"};
static const struct table_kind RSDT = {ACPI_RSDT, "acpi: the RSDP does not lead to an RSDT",
				       "acpi: the RSDT is broken (length or checksum)"};
static const struct table_kind MADT = {ACPI_MADT, "acpi: there is no MADT",
				       "acpi: the MADT is broken (length or checksum)"};
static const struct table_kind FADT = {ACPI_FADT, "acpi: there is no FADT",
				       "acpi: the FADT is broken (length or checksum)"};
static const struct table_kind DSDT = {ACPI_DSDT, "acpi: the FADT does not lead to a DSDT",
				       "acpi: the DSDT is broken (length or checksum)"};

/* The little-endian number of width bytes at offset; 0 where the bytes end before it does, as old tables may. */
static uint64_t field(struct bytes bytes, size_t offset, size_t width)
{
	uint64_t value = 0;

	if (offset > bytes.length || width > bytes.length - offset)
		return 0;
	for (size_t i = width; i-- > 0;)
		value = value << 8 | bytes.at[offset + i];
	return value;
}

static uint32_t field32(struct bytes bytes, size_t offset)
{
	return (uint32_t)field(bytes, offset, 4);
}

static struct bytes bytes_read(acpi_read_fn read, uint64_t address, size_t length)
{
	const uint8_t *at = address == 0 ? NULL : read(address, length);

	return (struct bytes){at, at == NULL ? 0 : length};
}

static bool sums_to_zero(struct bytes bytes)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < bytes.length; i++)
		sum = (uint8_t)(sum + bytes.at[i]);
	return sum == 0;
}

static uint32_t table_signature(acpi_read_fn read, uint64_t address)
{
	return field32(bytes_read(read, address, ACPI_TABLE_HEADER_BYTES), 0);
}

/* Reads the table of this kind at address: *out is all of it. */
static const char *table_read(struct bytes *out, const struct table_kind *kind, uint64_t address, acpi_read_fn read)
{
	struct bytes header = bytes_read(read, address, ACPI_TABLE_HEADER_BYTES), table;
	uint32_t length = field32(header, ACPI_TABLE_LENGTH);

	if (header.at == NULL || field32(header, 0) != kind->signature)
		return kind->missing;
	if (length < ACPI_TABLE_HEADER_BYTES || length > TABLE_BYTES_MAX)
		return kind->broken;
	table = bytes_read(read, address, length);
	if (table.at == NULL || !sums_to_zero(table))
		return kind->broken;
	*out = table;
	return NULL;
}

/* Reads the XSDT, or where the RSDP has none (revision 0, as Bochs) the RSDT: *out is all of it, *entry_bytes the size
 * of the addresses that follow its header. */
static const char *root_read(struct bytes *out, size_t *entry_bytes, uint64_t rsdp, acpi_read_fn read)
{
	struct bytes pointer = bytes_read(read, rsdp, ACPI_RSDP_V1_BYTES);
	uint64_t xsdt = 0;

	if (pointer.at == NULL)
		return "acpi: there is no RSDP";
	if (field32(pointer, 0) != ACPI_RSDP_SIGNATURE_LO || field32(pointer, 4) != ACPI_RSDP_SIGNATURE_HI)
		return "acpi: the RSDP has no signature";
	if (!sums_to_zero(pointer))
		return "acpi: the RSDP's checksum is wrong";
	if (field(pointer, ACPI_RSDP_REVISION, 1) >= 2) {
		struct bytes extended = bytes_read(read, rsdp, ACPI_RSDP_V2_BYTES);
		uint32_t length = field32(extended, ACPI_RSDP_LENGTH);

		if (length >= ACPI_RSDP_V2_BYTES && length <= TABLE_BYTES_MAX)
			extended = bytes_read(read, rsdp, length);
		if (extended.length != length || length == 0 || !sums_to_zero(extended))
			return "acpi: the RSDP is broken (length or extended checksum)";
		xsdt = field(extended, ACPI_RSDP_XSDT, 8);
	}
	*entry_bytes = xsdt != 0 ? 8 : 4;
	if (xsdt != 0)
		return table_read(out, &XSDT, xsdt, read);
	return table_read(out, &RSDT, field32(pointer, ACPI_RSDP_RSDT), read);
}

/* Finds the first table of this kind. Other tables are passed over, whatever state they are in. */
static const char *table_find(struct bytes *out, const struct table_kind *kind, uint64_t rsdp, acpi_read_fn read)
{
	struct bytes root;
	size_t entry_bytes;
	const char *reason = root_read(&root, &entry_bytes, rsdp, read);

	if (reason != NULL)
		return reason;
	for (size_t at = ACPI_TABLE_HEADER_BYTES; root.length - at >= entry_bytes; at += entry_bytes) {
		uint64_t address = field(root, at, entry_bytes);

		if (table_signature(read, address) == kind->signature)
			return table_read(out, kind, address, read);
	}
	return kind->missing;
}

static void cpu_add(struct acpi_madt *madt, uint32_t apic_id, uint32_t no_id)
{
	if (apic_id == no_id)
		return;
	/* Firmware may list a processor both as local APIC and as local x2APIC. */
	for (uint32_t i = 0; i < madt->cpu_count; i++)
		if (madt->apic_ids[i] == apic_id)
			return;
	if (madt->cpu_count < ACPI_CPUS_MAX)
		madt->apic_ids[madt->cpu_count++] = apic_id;
	else
		madt->cpus_left_out++;
}

/* Adds the processor of one MADT entry, if it is an enabled one. False if the entry is cut off. */
static bool madt_entry_read(struct acpi_madt *madt, struct bytes entry)
{
	switch (entry.at[0]) {
	case ACPI_MADT_LOCAL_APIC:
		if (entry.length < ACPI_MADT_LOCAL_APIC_BYTES)
			return false;
		if (field32(entry, ACPI_MADT_LOCAL_APIC_FLAGS) & ACPI_MADT_ENABLED)
			cpu_add(madt, (uint32_t)field(entry, ACPI_MADT_LOCAL_APIC_ID, 1), ACPI_MADT_LOCAL_APIC_NO_ID);
		return true;
	case ACPI_MADT_LOCAL_X2APIC:
		if (entry.length < ACPI_MADT_LOCAL_X2APIC_BYTES)
			return false;
		if (field32(entry, ACPI_MADT_LOCAL_X2APIC_FLAGS) & ACPI_MADT_ENABLED)
			cpu_add(madt, field32(entry, ACPI_MADT_LOCAL_X2APIC_ID), ACPI_MADT_LOCAL_X2APIC_NO_ID);
		return true;
	default:
		return true;
	}
}

const char *acpi_madt_find(struct acpi_madt *out, uint64_t rsdp, acpi_read_fn read)
{
	struct acpi_madt made = {0};
	struct bytes madt;
	const char *reason = table_find(&madt, &MADT, rsdp, read);

	if (reason != NULL)
		return reason;
	for (size_t at = ACPI_MADT_ENTRIES; at < madt.length;) {
		struct bytes entry = {madt.at + at, (size_t)field(madt, at + 1, 1)};

		if (entry.length < 2 || entry.length > madt.length - at || !madt_entry_read(&made, entry))
			return "acpi: an entry of the MADT is cut off";
		at += entry.length;
	}
	if (made.cpu_count == 0)
		return "acpi: the MADT has no enabled processor";
	*out = made;
	return NULL;
}

/* Reads the integer constant at *at and moves *at past it (ACPI, "Data Objects Encoding"). */
static bool aml_integer(struct bytes aml, size_t *at, uint64_t *out)
{
	static const struct {
		uint8_t op, width;
		uint64_t value;
	} encodings[] = {
		{AML_ZERO_OP, 0, 0},      {AML_ONE_OP, 0, 1},      {AML_ONES_OP, 0, UINT64_MAX},
		{AML_BYTE_PREFIX, 1, 0},  {AML_WORD_PREFIX, 2, 0}, {AML_DWORD_PREFIX, 4, 0},
		{AML_QWORD_PREFIX, 8, 0},
	};

	for (size_t i = 0; i < sizeof(encodings) / sizeof(encodings[0]); i++) {
		size_t width = encodings[i].width;

		if (*at >= aml.length || aml.at[*at] != encodings[i].op)
			continue;
		if (width > aml.length - *at - 1)
			return false;
		*out = width == 0 ? encodings[i].value : field(aml, *at + 1, width);
		*at += 1 + width;
		return true;
	}
	return false;
}

/* The value of SLP_TYPx in place in the PM1 control register. */
static uint16_t slp_typ(uint64_t value)
{
	return (uint16_t)((value & ACPI_SLP_TYP_MASK) << ACPI_SLP_TYP_SHIFT);
}

/* Reads the package at offset at: PackageOp, PkgLength, NumElements, the elements, of which the first two are the
 * SLP_TYP values (ACPI, "\_Sx (System States)"). */
static bool s5_package_read(struct acpi_power *power, struct bytes aml, size_t at)
{
	uint64_t a, b;
	size_t length_at = at + 1, package_bytes, length_bytes_more;

	if (field(aml, at, 1) != AML_PACKAGE_OP || length_at >= aml.length)
		return false;
	/* PkgLength: bits 6-7 of the lead byte say how many bytes follow; then only its bits 0-3 count. */
	length_bytes_more = aml.at[length_at] >> 6;
	package_bytes = aml.at[length_at] & 0x3f;
	if (length_bytes_more != 0)
		package_bytes = (package_bytes & 0xf) | (size_t)field(aml, length_at + 1, length_bytes_more) << 4;
	if (package_bytes > aml.length - length_at)
		return false;
	aml.length = length_at + package_bytes;
	at = length_at + 1 + length_bytes_more;
	if (field(aml, at++, 1) < 2 || !aml_integer(aml, &at, &a) || !aml_integer(aml, &at, &b))
		return false;
	power->slp_typ_a = slp_typ(a);
	power->slp_typ_b = slp_typ(b);
	power->has_s5 = true;
	return true;
}

/* Looks for Name (_S5_, Package () {...}) or Name (\_S5_, ...) without interpreting what stands around it. */
static void s5_find(struct acpi_power *power, struct bytes aml)
{
	for (size_t at = ACPI_TABLE_HEADER_BYTES + 1; at + 4 <= aml.length; at++) {
		size_t before = at - 1;

		if (field32(aml, at) != AML_S5)
			continue;
		if (aml.at[before] == AML_ROOT_CHAR)
			before--;
		if (aml.at[before] == AML_NAME_OP && s5_package_read(power, aml, at + 4))
			return;
	}
}

/* The I/O port that the generic address at offset names; 0: none, or not in I/O space. */
static uint16_t gas_port(struct bytes fadt, size_t offset)
{
	uint64_t address = field(fadt, offset + ACPI_GAS_ADDRESS, 8);

	if (field(fadt, offset + ACPI_GAS_SPACE, 1) != ACPI_GAS_SYSTEM_IO || address > UINT16_MAX)
		return 0;
	return (uint16_t)address;
}

/* A port that the FADT names twice: as a generic address, and in the field of ACPI 1.0. */
static uint16_t pm1_port(struct bytes fadt, size_t gas_offset, size_t old_offset)
{
	uint16_t port = gas_port(fadt, gas_offset);
	uint32_t old = field32(fadt, old_offset);

	if (port != 0)
		return port;
	return old <= UINT16_MAX ? (uint16_t)old : 0;
}

const char *acpi_power_find(struct acpi_power *out, uint64_t rsdp, acpi_read_fn read)
{
	struct acpi_power made = {0};
	struct bytes fadt, dsdt;
	uint64_t dsdt_address;
	const char *reason = table_find(&fadt, &FADT, rsdp, read);

	if (reason != NULL)
		return reason;
	made.pm1a_cnt_port = pm1_port(fadt, ACPI_FADT_X_PM1A_CNT, ACPI_FADT_PM1A_CNT);
	made.pm1b_cnt_port = pm1_port(fadt, ACPI_FADT_X_PM1B_CNT, ACPI_FADT_PM1B_CNT);
	if (field32(fadt, ACPI_FADT_FLAGS) & ACPI_FADT_RESET_REG_SUP) {
		made.reset_port = gas_port(fadt, ACPI_FADT_RESET_REG);
		made.reset_value = (uint8_t)field(fadt, ACPI_FADT_RESET_VALUE, 1);
		made.has_reset = made.reset_port != 0;
	}
	dsdt_address = field(fadt, ACPI_FADT_X_DSDT, 8);
	if (dsdt_address == 0)
		dsdt_address = field32(fadt, ACPI_FADT_DSDT);
	if (table_read(&dsdt, &DSDT, dsdt_address, read) == NULL)
		s5_find(&made, dsdt);
	*out = made;
	return NULL;
}
