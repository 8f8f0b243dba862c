#include "hv/policy/line_history.h"

#include "hv/policy/text.h"

static const char *looked_at(const struct line_history *history)
{
	if (history->back == 0)
		return "";
	return history->lines[(history->count - history->back) % LINE_HISTORY_MAX];
}

static uint32_t kept(const struct line_history *history)
{
	return history->count < LINE_HISTORY_MAX ? history->count : LINE_HISTORY_MAX;
}

void line_history_add(struct line_history *history, const char *line)
{
	const char *cursor = line;
	struct text_word word;

	history->back = kept(history) != 0 ? 1 : 0;
	if (text_next_word(&cursor, &word) && !text_equal(looked_at(history), line))
		text_copy(history->lines[history->count++ % LINE_HISTORY_MAX], LINE_EDITOR_MAX + 1, line,
			  text_length(line));
	history->back = 0;
}

const char *line_history_older(struct line_history *history)
{
	if (history->back < kept(history))
		history->back++;
	return looked_at(history);
}

const char *line_history_newer(struct line_history *history)
{
	if (history->back > 0)
		history->back--;
	return looked_at(history);
}
