/* Does each line reach the console whole? Lines of changing length, each with its number and a checksum of what is
 * before it, as fast as they go; `pause=N` spins so many turns between two. */
#include "guest/lib/guest.h"
#include "guest/lib/print.h"

#define TEXT_MAX  96
#define FNV_BASE  2166136261u /* FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
#define FNV_PRIME 16777619u

static uint32_t checksum(const char *text)
{
	uint32_t sum = FNV_BASE;

	for (; *text != '\0'; text++)
		sum = (sum ^ (uint8_t)*text) * FNV_PRIME;
	return sum;
}

void guest_main(uint32_t magic, const struct mb1_info *info)
{
	static char text[TEXT_MAX + 1];
	const uint32_t pause = mb1_number(info, "pause", 0);

	(void)magic;
	for (uint32_t n = 0;; n++) {
		const uint32_t length = n * 7 % TEXT_MAX;

		for (uint32_t i = 0; i < length; i++)
			text[i] = (char)('a' + (n + i) % 26);
		text[length] = '\0';
		print("chatty: n=%u %s sum=0x%x\n", n, text, checksum(text) + n);
		for (uint32_t i = 0; i < pause; i++)
			__asm__ volatile("");
	}
}
