#include "guest/lib/multiboot1.h"

#include <stddef.h>

const char *mb1_cmdline(const struct mb1_info *info)
{
	return info->flags & MB1_FLAG_CMDLINE ? (const char *)(uintptr_t)info->cmdline : "";
}

/* What follows prefix in the first word that begins with it; NULL if none does. */
static const char *word_after(const char *text, const char *prefix)
{
	while (*text) {
		const char *p = prefix;

		while (*text == ' ')
			text++;
		while (*p && *text == *p) {
			text++;
			p++;
		}
		if (!*p)
			return text;
		while (*text && *text != ' ')
			text++;
	}
	return NULL;
}

bool mb1_has_word(const struct mb1_info *info, const char *word)
{
	const char *rest = word_after(mb1_cmdline(info), word);

	return rest && (*rest == ' ' || *rest == '\0');
}

uint32_t mb1_number(const struct mb1_info *info, const char *key, uint32_t otherwise)
{
	const char *rest = word_after(mb1_cmdline(info), key);
	uint32_t value = 0;

	if (!rest || *rest != '=')
		return otherwise;
	for (rest++; *rest >= '0' && *rest <= '9'; rest++)
		value = value * 10 + (uint32_t)(*rest - '0');
	return value;
}
