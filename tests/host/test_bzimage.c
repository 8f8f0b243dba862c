/* Linux kernels made up of a setup header and noise: what is refused, and where everything goes, as properties. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "arch/defs/linux_boot.h"
#include "arch/defs/pte.h"
#include "hv/policy/bzimage.h"

#define MIB    (1ull << 20)
#define GIB    (1ull << 30)
#define PAGE   4096u
#define RSDP   0xe0000ull
#define SETUP  (5 * LINUX_SECTOR_BYTES)
#define KERNEL 0x1000u

struct kernel {
	uint8_t bytes[SETUP + KERNEL + 512];
	size_t size;
};

static struct linux_setup_header *header(struct kernel *k)
{
	return (struct linux_setup_header *)(k->bytes + LINUX_SETUP_HEADER);
}

/* What Debian's kernel has, with a smaller body. */
static struct kernel kernel_make(void)
{
	struct kernel k = {.size = SETUP + KERNEL};

	memset(k.bytes, 0xcc, sizeof(k.bytes));
	*header(&k) = (struct linux_setup_header){
		.setup_sects = 4,
		.syssize = KERNEL / LINUX_PARAGRAPH_BYTES,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb, /* the header ends at 0x26c */
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LINUX_LOADED_HIGH,
		.code32_start = 0x100000,
		.initrd_addr_max = 0x7fffffff,
		.kernel_alignment = 0x200000,
		.relocatable_kernel = 1,
		.xloadflags = LINUX_XLF_KERNEL_64 | 2,
		.cmdline_size = 2047,
		.pref_address = 16 * MIB,
		.init_size = 48 * MIB,
		.handover_offset = 0x190,
		.kernel_info_offset = 0x1234,
	};
	return k;
}

/* Parses a copy of exactly the image's size, so that ASan sees the first byte beyond. */
static const char *parse(struct bzimage *out, const struct kernel *k)
{
	uint8_t *copy = malloc(k->size != 0 ? k->size : 1);
	struct bzimage before;
	const char *reason;

	memcpy(copy, k->bytes, k->size);
	memset(out, 0xa5, sizeof(*out));
	memcpy(&before, out, sizeof(before));
	reason = bzimage_parse(out, copy, k->size);
	free(copy);
	if (reason != NULL) {
		assert_memory_equal(out, &before, sizeof(before));
		return reason;
	}
	assert_true(out->kernel_bytes != 0);
	assert_true(out->kernel_offset <= k->size && out->kernel_bytes <= k->size - out->kernel_offset);
	assert_true(out->load_gpa >= MIB && out->load_gpa < 3 * GIB);
	assert_true(out->run_bytes >= out->kernel_bytes);
	return NULL;
}

static void expect_refused(const struct kernel *k, const char *word)
{
	struct bzimage image;
	const char *reason = parse(&image, k);

	if (reason == NULL || strstr(reason, word) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", reason != NULL ? reason : "(accepted)", word);
}

static void test_parse(void **state)
{
	struct kernel k = kernel_make();
	struct bzimage image;

	(void)state;
	assert_true(bzimage_is(k.bytes, k.size));
	assert_null(parse(&image, &k));
	assert_int_equal(image.kernel_offset, SETUP);
	assert_int_equal(image.kernel_bytes, KERNEL);
	assert_int_equal(image.load_gpa, 16 * MIB);
	assert_int_equal(image.run_bytes, 48 * MIB);
	assert_int_equal(image.ramdisk_end_max, 2 * GIB);
	assert_int_equal(image.cmdline_max, 2047);
	assert_int_equal(image.header_bytes, 0x26c - 0x1f1);
	assert_true(image.is_64bit);

	k.size += 100; /* a signature */
	assert_null(parse(&image, &k));
	assert_int_equal(image.kernel_bytes, KERNEL);
	k = kernel_make();
	header(&k)->setup_sects = 0; /* means 4 */
	assert_null(parse(&image, &k));
	assert_int_equal(image.kernel_offset, SETUP);
}

static void test_64bit_entry(void **state)
{
	struct kernel k = kernel_make();
	struct bzimage image;

	(void)state;
	header(&k)->xloadflags = 2;
	assert_null(parse(&image, &k));
	assert_false(image.is_64bit);
	k = kernel_make();
	header(&k)->version = 0x020b; /* the field is not there yet */
	assert_null(parse(&image, &k));
	assert_false(image.is_64bit);
	header(&k)->version = 0x020c;
	assert_null(parse(&image, &k));
	assert_true(image.is_64bit);
	header(&k)->syssize = LINUX_ENTRY64 / LINUX_PARAGRAPH_BYTES; /* ends where its entry would be */
	expect_refused(&k, "entry");
	header(&k)->xloadflags = 0;
	assert_null(parse(&image, &k));
}

static void test_runtime_start(void **state)
{
	struct kernel k = kernel_make();
	struct bzimage image;

	(void)state;
	header(&k)->pref_address = 17 * MIB; /* aligned up */
	assert_null(parse(&image, &k));
	assert_int_equal(image.load_gpa, 18 * MIB);
	header(&k)->relocatable_kernel = 0; /* runs just there */
	header(&k)->kernel_alignment = 3;
	assert_null(parse(&image, &k));
	assert_int_equal(image.load_gpa, 17 * MIB);
	header(&k)->relocatable_kernel = 1;
	expect_refused(&k, "power of two");
	header(&k)->kernel_alignment = 0;
	expect_refused(&k, "power of two");

	k = kernel_make();
	header(&k)->pref_address = MIB - 1;
	expect_refused(&k, "pref_address");
	header(&k)->pref_address = 3 * GIB;
	expect_refused(&k, "pref_address");
	header(&k)->pref_address = UINT64_MAX - 5; /* aligned up: 0 */
	expect_refused(&k, "pref_address");
	header(&k)->pref_address = UINT64_MAX;
	header(&k)->relocatable_kernel = 0;
	expect_refused(&k, "pref_address");

	k = kernel_make();
	header(&k)->init_size = 0;
	assert_null(parse(&image, &k));
	assert_int_equal(image.run_bytes, KERNEL);
}

static void test_refused(void **state)
{
	struct kernel k;

	(void)state;
	for (size_t size = 0; size < SETUP + KERNEL; size += size < 0x280 ? 1 : 64) {
		k = kernel_make();
		k.size = size;
		expect_refused(&k, size < 0x264 ? "setup header" : "end of the file");
		assert_int_equal(bzimage_is(k.bytes, k.size), size >= 0x264);
	}
	k = kernel_make();
	header(&k)->boot_flag ^= 1;
	expect_refused(&k, "setup header");
	assert_false(bzimage_is(k.bytes, k.size));
	k = kernel_make();
	header(&k)->header ^= 1;
	expect_refused(&k, "setup header");
	assert_false(bzimage_is(k.bytes, k.size));
	k = kernel_make();
	header(&k)->version = 0x0209;
	expect_refused(&k, "2.10");
	k = kernel_make();
	header(&k)->loadflags = 0;
	expect_refused(&k, "zImage");
	k = kernel_make();
	header(&k)->jump = 0x61eb; /* ends inside init_size */
	expect_refused(&k, "length");
	header(&k)->jump = 0x8feb; /* ends inside what follows in the zero page */
	expect_refused(&k, "length");
	k = kernel_make();
	header(&k)->syssize++;
	expect_refused(&k, "end of the file");
	header(&k)->syssize = 0xffffffff;
	expect_refused(&k, "end of the file");
	header(&k)->syssize = 0;
	expect_refused(&k, "entry");
	header(&k)->setup_sects = 255;
	expect_refused(&k, "end of the file");
}

/* The page walk of the block's tables; UINT64_MAX: not mapped. */
static uint64_t translate(const uint8_t *block, const struct bzimage_layout *l, uint64_t address)
{
	uint64_t table = l->entry.cr3, entry = 0;

	for (int shift = 39; shift >= 12; shift -= 9) {
		assert_true(table % PAGE == 0 && table >= l->block_gpa &&
			    table + PAGE <= l->block_gpa + l->block_bytes);
		memcpy(&entry, block + (table - l->block_gpa) + (address >> shift) % 512 * 8, 8);
		if (!(entry & PTE_PRESENT) || !(entry & PTE_WRITABLE))
			return UINT64_MAX;
		table = entry & PTE_ADDRESS_MASK;
		if (entry & PTE_LARGE)
			return table + (address & ((1ull << shift) - 1));
	}
	return table + address % PAGE;
}

static void check_map(const struct linux_boot_params *params, const struct bzimage_layout *l)
{
	uint64_t before = 0;

	assert_in_range(params->e820_entries, 3, LINUX_E820_MAX);
	for (unsigned i = 0; i < params->e820_entries; i++) {
		const struct linux_e820_entry e = params->e820_table[i];
		uint64_t end = e.start + e.bytes;

		assert_true(e.start >= before && e.bytes != 0);
		before = end;
		if (e.type == LINUX_E820_RAM) {
			assert_true(end <= l->low_end || (e.start == 4 * GIB && e.bytes == l->high_bytes));
			assert_false(e.start < MIB && end > 0x9fc00);
			continue;
		}
		assert_int_equal(e.type, LINUX_E820_RESERVED);
		assert_true(e.start <= RSDP && end == MIB);
	}
	assert_int_equal(before, l->high_bytes != 0 ? 4 * GIB + l->high_bytes : l->low_end);
}

static void check_block(const struct kernel *k, const struct bzimage *image, const struct bzimage_layout *l,
			const char *cmdline)
{
	uint8_t *block = aligned_alloc(PAGE, (l->block_bytes + PAGE - 1) / PAGE * PAGE);
	const struct linux_boot_params *params = (void *)(block + (l->entry.rsi - l->block_gpa));
	const struct linux_setup_header *h = &params->header;
	struct kernel copy = *k;
	uint64_t gdt[4];

	memset(block, 0xee, l->block_bytes);
	bzimage_block_write(block, l, image, k->bytes, cmdline, RSDP);
	assert_true(l->entry.rsi >= l->block_gpa && l->entry.rsi + sizeof(*params) <= l->block_gpa + l->block_bytes);
	assert_true(h->cmd_line_ptr >= l->block_gpa);
	assert_int_equal(h->cmd_line_ptr + l->cmdline_bytes, l->block_gpa + l->block_bytes);
	assert_string_equal(block + (h->cmd_line_ptr - l->block_gpa), cmdline);
	assert_int_equal(h->type_of_loader, 0xff);
	assert_int_equal(h->code32_start, l->kernel_gpa);
	assert_int_equal(h->ramdisk_image, l->ramdisk_gpa);
	assert_int_equal(h->ramdisk_size, l->ramdisk_bytes);
	assert_int_equal(params->acpi_rsdp_addr, RSDP);
	assert_int_equal(params->alt_mem_k, (l->low_end - MIB) / 1024);
	assert_int_equal(((uint8_t *)params)[0x1ef], 0); /* the sentinel: the rest of the page is to be trusted */
	check_map(params, l);

	/* The rest of the header, to its very end and not beyond, is the image's. */
	header(&copy)->type_of_loader = h->type_of_loader;
	header(&copy)->code32_start = h->code32_start;
	header(&copy)->ramdisk_image = h->ramdisk_image;
	header(&copy)->ramdisk_size = h->ramdisk_size;
	header(&copy)->cmd_line_ptr = h->cmd_line_ptr;
	assert_memory_equal(h, copy.bytes + LINUX_SETUP_HEADER, image->header_bytes);
	for (size_t i = LINUX_SETUP_HEADER + image->header_bytes; i < 0x2d0; i++)
		assert_int_equal(((const uint8_t *)params)[i], 0);

	assert_int_equal(l->entry.gdt_limit, sizeof(gdt) - 1);
	memcpy(gdt, block + (l->entry.gdt_gpa - l->block_gpa), sizeof(gdt));
	assert_int_equal(gdt[0], 0);
	assert_int_equal(gdt[LINUX_BOOT_CS / 8], l->entry.is_64bit ? 0x00af9b000000ffff : 0x00cf9b000000ffff);
	assert_int_equal(gdt[LINUX_BOOT_DS / 8], 0x00cf93000000ffff);
	if (l->entry.is_64bit) {
		assert_int_equal(l->entry.rip, l->kernel_gpa + 0x200);
		for (uint64_t address = 0x123; address < 4 * GIB; address += 0x1fffff)
			assert_int_equal(translate(block, l, address), address);
		assert_int_equal(translate(block, l, 4 * GIB), UINT64_MAX);
	} else {
		assert_int_equal(l->entry.rip, l->kernel_gpa);
		assert_int_equal(l->entry.cr3, 0);
	}
	free(block);
}

static bool apart(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
	return a + a_bytes <= b || b + b_bytes <= a;
}

/* Lays out, and checks what must always hold. */
static const char *lay_out(struct bzimage_layout *out, const struct kernel *k, uint64_t memory_bytes,
			   size_t ramdisk_bytes)
{
	const char cmdline[] = "console=ttyS0 quiet";
	struct bzimage image;
	struct bzimage_layout before;
	const char *reason;

	assert_null(parse(&image, k));
	memset(out, 0xa5, sizeof(*out));
	memcpy(&before, out, sizeof(before));
	reason = bzimage_layout_make(out, &image, memory_bytes, strlen(cmdline), ramdisk_bytes);
	if (reason != NULL) {
		assert_memory_equal(out, &before, sizeof(before));
		return reason;
	}
	assert_true(out->low_end <= memory_bytes && out->low_end <= 3 * GIB && out->low_end % PAGE == 0);
	assert_true(out->low_end + out->high_bytes <= memory_bytes);
	assert_true(memory_bytes - out->low_end - out->high_bytes < 2 * PAGE);
	assert_int_equal(out->kernel_bytes, KERNEL);
	assert_int_equal(out->kernel_gpa, image.load_gpa);
	assert_true(out->kernel_gpa + image.run_bytes <= out->low_end);
	assert_true(out->block_gpa >= PAGE && out->block_gpa % PAGE == 0);
	assert_true(out->block_gpa + out->block_bytes <= 0x9fc00);
	assert_int_equal(out->ramdisk_bytes, ramdisk_bytes);
	if (ramdisk_bytes != 0) {
		assert_int_equal(out->ramdisk_gpa % PAGE, 0);
		assert_true(apart(out->ramdisk_gpa, ramdisk_bytes, out->kernel_gpa, image.run_bytes));
		assert_true(out->ramdisk_gpa > MIB);
		assert_true(out->ramdisk_gpa + ramdisk_bytes <= out->low_end);
		assert_true(out->ramdisk_gpa + ramdisk_bytes <= image.ramdisk_end_max);
	} else {
		assert_int_equal(out->ramdisk_gpa, 0);
	}
	check_block(k, &image, out, cmdline);
	return NULL;
}

static void test_layout(void **state)
{
	struct kernel k = kernel_make();
	struct bzimage_layout l;

	(void)state;
	assert_null(lay_out(&l, &k, 256 * MIB, 5 * MIB + 1));
	assert_int_equal(l.ramdisk_gpa, 251 * MIB - PAGE);
	assert_int_equal(l.entry.rip, 16 * MIB + 0x200);
	assert_null(lay_out(&l, &k, 256 * MIB, 0));
	header(&k)->xloadflags = 0;
	assert_null(lay_out(&l, &k, 256 * MIB, 1));
	assert_false(l.entry.is_64bit);
	assert_int_equal(l.entry.rip, 16 * MIB);
}

static void test_layout_large(void **state)
{
	struct kernel k = kernel_make();
	struct bzimage_layout l;

	(void)state;
	assert_null(lay_out(&l, &k, 8 * GIB + 100, 5 * MIB));
	assert_int_equal(l.low_end, 3 * GIB);
	assert_int_equal(l.high_bytes, 5 * GIB);
	assert_int_equal(l.ramdisk_gpa, 2 * GIB - 5 * MIB);
	header(&k)->initrd_addr_max = 0xffffffff;
	assert_null(lay_out(&l, &k, 8 * GIB, 5 * MIB));
	assert_int_equal(l.ramdisk_gpa, 3 * GIB - 5 * MIB);
	header(&k)->initrd_addr_max = 0x37ffffff;
	assert_null(lay_out(&l, &k, GIB, 5 * MIB));
	assert_int_equal(l.ramdisk_gpa, 0x38000000 - 5 * MIB);
}

static void test_layout_small(void **state)
{
	struct kernel k = kernel_make();
	struct bzimage_layout l;

	(void)state;
	assert_null(lay_out(&l, &k, 64 * MIB, 0));
	assert_non_null(strstr(lay_out(&l, &k, 64 * MIB - 1, 0), "unpacks"));
	assert_non_null(lay_out(&l, &k, 0, 0));
	assert_null(lay_out(&l, &k, 65 * MIB, MIB));
	assert_non_null(strstr(lay_out(&l, &k, 65 * MIB, MIB + 1), "ramdisk"));
	assert_non_null(lay_out(&l, &k, 65 * MIB, SIZE_MAX));
	header(&k)->initrd_addr_max = 0xffff;
	assert_non_null(strstr(lay_out(&l, &k, 256 * MIB, 1), "larger than"));
}

/* Exactly the least is enough, a page less is not. */
static void test_memory_least(void **state)
{
	const size_t ramdisks[] = {0, 1, PAGE, PAGE + 1, 5 * MIB};
	struct kernel k = kernel_make();
	struct bzimage_layout l;
	struct bzimage image;

	(void)state;
	header(&k)->init_size = 48 * MIB - 1;
	assert_null(parse(&image, &k));
	for (size_t i = 0; i < sizeof(ramdisks) / sizeof(ramdisks[0]); i++) {
		const uint64_t least = bzimage_memory_least(&image, ramdisks[i]);

		assert_null(lay_out(&l, &k, least, ramdisks[i]));
		assert_non_null(lay_out(&l, &k, least - PAGE, ramdisks[i]));
	}
}

static void test_cmdline(void **state)
{
	struct kernel k = kernel_make();
	struct bzimage_layout l;
	struct bzimage image;
	uint8_t *block;

	(void)state;
	assert_null(parse(&image, &k));
	assert_null(bzimage_layout_make(&l, &image, 256 * MIB, 2047, 0));
	assert_non_null(strstr(bzimage_layout_make(&l, &image, 256 * MIB, 2048, 0), "command line"));
	image.cmdline_max = UINT32_MAX; /* but it has to stay below 640 KiB */
	assert_non_null(strstr(bzimage_layout_make(&l, &image, 256 * MIB, MIB, 0), "command line"));
	assert_non_null(strstr(bzimage_layout_make(&l, &image, 256 * MIB, SIZE_MAX, 0), "command line"));

	assert_null(bzimage_layout_make(&l, &image, 256 * MIB, 3, 0));
	block = aligned_alloc(PAGE, (l.block_bytes + PAGE - 1) / PAGE * PAGE);
	bzimage_block_write(block, &l, &image, k.bytes, "quiet", RSDP);
	assert_string_equal(block + l.block_bytes - 4, "qui");
	free(block);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),         cmocka_unit_test(test_64bit_entry),
		cmocka_unit_test(test_runtime_start), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_layout),        cmocka_unit_test(test_layout_large),
		cmocka_unit_test(test_layout_small),  cmocka_unit_test(test_memory_least),
		cmocka_unit_test(test_cmdline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
