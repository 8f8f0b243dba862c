/* The last lines that were typed at the prompt, for the arrow keys. Pure. */
#ifndef HV_POLICY_LINE_HISTORY_H
#define HV_POLICY_LINE_HISTORY_H

#include <stdint.h>

#include "hv/policy/line_editor.h"

#define LINE_HISTORY_MAX 16 /* a power of two */

/* All zero: none. */
struct line_history {
	char lines[LINE_HISTORY_MAX][LINE_EDITOR_MAX + 1];
	uint32_t count; /* ever kept */
	uint32_t back;  /* how many lines before the one that is being typed we look at */
};

/* A line has been typed, LINE_EDITOR_MAX characters at most. A blank one, and the same as the one before, are not kept;
 * the next look begins behind the newest in any case. */
void line_history_add(struct line_history *history, const char *line);

/* The one before the one that was looked at last; the oldest again when there is none. An empty line without any. */
const char *line_history_older(struct line_history *history);

/* The one after it; behind the newest, an empty line. */
const char *line_history_newer(struct line_history *history);

#endif
