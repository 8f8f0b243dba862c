#include "hv/pages.h"

#include "arch/memory.h"
#include "hv/lock.h"

#define LOW_MEMORY_END (1ull << 20)

static struct lock lock;
static uint64_t *used;      /* bit set: taken, or no RAM at all */
static uint64_t page_limit; /* pages that the bitmap covers */
static uint64_t free_count, total_count, boot_count;

static bool is_used(uint64_t page)
{
	return (used[page / 64] >> (page % 64)) & 1;
}

static void mark(uint64_t page, bool taken)
{
	if (taken)
		used[page / 64] |= 1ull << (page % 64);
	else
		used[page / 64] &= ~(1ull << (page % 64));
}

/* Takes [start, end) bytes, rounded outward, out of the free pages. */
static void reserve(uint64_t start, uint64_t end)
{
	for (uint64_t page = start / PAGE_BYTES; page < (end + PAGE_BYTES - 1) / PAGE_BYTES && page < page_limit;
	     page++) {
		if (is_used(page))
			continue;
		mark(page, true);
		free_count--;
	}
}

static bool overlaps(uint64_t start, uint64_t end, uint64_t other_start, uint64_t other_end)
{
	return start < other_end && other_start < end;
}

/* A place for bytes that touches nothing that the loader left; 0 if there is none. The end of what was in the way is
 * the next candidate. */
static uint64_t find_place(const struct boot_info *boot, uint64_t bytes, uint64_t image_start, uint64_t image_end)
{
	for (uint32_t i = 0; i < boot->range_count; i++) {
		const struct boot_range *range = &boot->ranges[i];
		uint64_t place = range->start < LOW_MEMORY_END ? LOW_MEMORY_END : range->start;
		uint64_t blocked = place;

		while (blocked != 0) {
			place = (blocked + PAGE_BYTES - 1) & ~(PAGE_BYTES - 1);
			blocked = 0;
			if (overlaps(place, place + bytes, image_start, image_end))
				blocked = image_end;
			if (overlaps(place, place + bytes, boot->start, boot->end))
				blocked = boot->end;
			for (uint32_t m = 0; m < boot->module_count; m++)
				if (overlaps(place, place + bytes, boot->modules[m].start, boot->modules[m].end))
					blocked = boot->modules[m].end;
		}
		if (place + bytes <= range->end)
			return place;
	}
	return 0;
}

bool pages_init(const struct boot_info *boot, hpa_t image_start, hpa_t image_end)
{
	if (boot->range_count == 0)
		return false;
	page_limit = boot->ranges[boot->range_count - 1].end / PAGE_BYTES;

	const uint64_t bitmap_bytes = (page_limit + 63) / 64 * sizeof(*used);
	const uint64_t bitmap = find_place(boot, bitmap_bytes, image_start.v, image_end.v);

	if (bitmap == 0)
		return false;
	used = hpa_ptr(hpa(bitmap));
	memset(used, 0xff, bitmap_bytes);
	for (uint32_t i = 0; i < boot->range_count; i++)
		for (uint64_t page = boot->ranges[i].start / PAGE_BYTES; page < boot->ranges[i].end / PAGE_BYTES;
		     page++) {
			mark(page, false);
			free_count++;
		}
	total_count = free_count;
	reserve(0, LOW_MEMORY_END);
	reserve(image_start.v, image_end.v);
	reserve(boot->start, boot->end);
	reserve(bitmap, bitmap + bitmap_bytes);
	for (uint32_t m = 0; m < boot->module_count; m++)
		reserve(boot->modules[m].start, boot->modules[m].end);
	return true;
}

/* The length of the free run at start, looked at as far as page_count. */
static uint64_t free_run(uint64_t start, uint64_t page_count)
{
	uint64_t length = 0;

	while (length < page_count && start + length < page_limit && !is_used(start + length))
		length++;
	return length;
}

/* The lowest place; 0 if there is none. */
static uint64_t find_low(uint64_t page_count, uint64_t align_pages)
{
	for (uint64_t start = 0; start + page_count <= page_limit;) {
		const uint64_t run = free_run(start, page_count);

		if (run == page_count)
			return start;
		start = (start + run + align_pages) & ~(align_pages - 1);
	}
	return 0;
}

/* The length of the free run that ends before end, looked at as far as page_count. */
static uint64_t free_run_before(uint64_t end, uint64_t page_count)
{
	uint64_t length = 0;

	while (length < page_count && !is_used(end - length - 1))
		length++;
	return length;
}

/* The highest place; 0 if there is none. */
static uint64_t find_high(uint64_t page_count, uint64_t align_pages)
{
	for (uint64_t end = page_limit; end >= page_count;) {
		const uint64_t start = (end - page_count) & ~(align_pages - 1);
		const uint64_t run = free_run_before(start + page_count, page_count);

		if (run == page_count)
			return start;
		end = start + page_count - run - 1;
	}
	return 0;
}

static hpa_t take(uint64_t (*find)(uint64_t page_count, uint64_t align_pages), uint64_t page_count,
		  uint64_t align_pages)
{
	uint64_t found;

	lock_acquire(&lock);
	found = find(page_count, align_pages);
	if (found != 0) {
		for (uint64_t page = found; page < found + page_count; page++)
			mark(page, true);
		free_count -= page_count;
	}
	lock_release(&lock);
	return hpa(found * PAGE_BYTES);
}

hpa_t pages_take(uint64_t page_count, uint64_t align_pages)
{
	const hpa_t found = take(find_low, page_count, align_pages);

	if (found.v != 0)
		memset(hpa_ptr(found), 0, page_count * PAGE_BYTES);
	return found;
}

hpa_t pages_take_high(uint64_t page_count, uint64_t align_pages)
{
	return take(find_high, page_count, align_pages);
}

void pages_give(hpa_t start, uint64_t page_count)
{
	lock_acquire(&lock);
	for (uint64_t page = start.v / PAGE_BYTES; page < start.v / PAGE_BYTES + page_count; page++)
		mark(page, false);
	free_count += page_count;
	lock_release(&lock);
}

hpa_t pages_take_one(void)
{
	return pages_take(1, 1);
}

void pages_give_one(hpa_t page)
{
	pages_give(page, 1);
}

uint64_t pages_free_count(void)
{
	return free_count;
}

uint64_t pages_total_count(void)
{
	return total_count;
}

uint64_t pages_largest_count(void)
{
	uint64_t largest = 0, run = 0;

	lock_acquire(&lock);
	for (uint64_t page = 0; page < page_limit; page++) {
		run = is_used(page) ? 0 : run + 1;
		if (run > largest)
			largest = run;
	}
	lock_release(&lock);
	return largest;
}

void pages_boot_ends(void)
{
	boot_count = total_count - free_count;
}

uint64_t pages_boot_count(void)
{
	return boot_count;
}
