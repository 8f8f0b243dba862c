/* bench. */
#include "hv/bench.h"
#include "hv/commands.h"
#include "hv/console.h"

enum command_status command_bench(const struct command_line *line)
{
	const struct text_word *name = &line->words[0];
	unsigned first = 0, count = 0;
	const char *why;

	while (bench_name(count) != NULL)
		count++;
	if (line->count == 1 && text_is("list", name->text, name->length)) {
		for (unsigned i = 0; i < count; i++)
			console_line("%-12s %s", bench_name(i), bench_summary(i));
		return COMMAND_OK;
	}
	if (line->count == 1) {
		first = bench_find(name->text, name->length);
		if (first == count)
			return command_fail("no measurement called \"%.*s\"; try bench list", (int)name->length,
					    name->text);
		count = 1;
	}
	why = bench_run(first, count);
	return why == NULL ? COMMAND_OK : command_fail("%s", why);
}
