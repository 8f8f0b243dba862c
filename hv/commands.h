/* The commands of the console (interface.md 3). */
#ifndef HV_COMMANDS_H
#define HV_COMMANDS_H

#include <stdbool.h>
#include <stdint.h>

#include "hv/policy/text.h"

#define COMMAND_LINE_MAX  256 /* characters */
#define COMMAND_WORDS_MAX 8

struct command_line {
	unsigned count; /* words after the command's name; more than COMMAND_WORDS_MAX are counted but not kept */
	struct text_word words[COMMAND_WORDS_MAX]; /* they point into the line, which is terminated */
};

enum command_status {
	COMMAND_OK,
	COMMAND_FAILED,  /* command_error() has the reason */
	COMMAND_PENDING, /* command_poll() goes on with it */
};

/* Runs one line. The caller prints the status line. */
enum command_status commands_run(const char *line);

/* Goes on with a command that is pending; interrupt: Ctrl-C was typed. *busy is set if it read what guests have
 * printed: the L1D may hold it. */
enum command_status commands_poll(bool interrupt, bool *busy);

/* After `ok` has been printed: what `reboot` and `poweroff` have asked for. Returns if they have not, or if the machine
 * does not obey. */
void commands_finish(void);

/* The reason for the last COMMAND_FAILED. */
const char *command_error(void);

/* For the commands themselves: poll goes on with this one, each time until it does not return COMMAND_PENDING. Returns
 * what poll returns at once. */
typedef enum command_status command_poll_fn(bool interrupt, bool *busy);
enum command_status command_pend(command_poll_fn *poll);

/* For the commands themselves: sets the reason and returns COMMAND_FAILED. */
enum command_status command_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Prints a line "assumed: ..." for each boot option in force that replaces what the CPU says. For the boot log too. */
void command_assumed_lines(void);

/* The groups. The number of words is within what the table in commands.c says. */
enum command_status command_info(const struct command_line *line);
enum command_status command_bugs(const struct command_line *line);
enum command_status command_caps(const struct command_line *line);
enum command_status command_cpus(const struct command_line *line);
enum command_status command_get(const struct command_line *line);
enum command_status command_set(const struct command_line *line);
enum command_status command_vm(const struct command_line *line);
enum command_status command_vm_type(const struct command_line *line);
enum command_status command_vm_console(const struct command_line *line);
enum command_status command_vm_log(const struct command_line *line);
enum command_status command_stats(const struct command_line *line);
enum command_status command_trace(const struct command_line *line);
enum command_status command_audit(const struct command_line *line);
enum command_status command_bench(const struct command_line *line);
enum command_status command_provoke(const struct command_line *line);
enum command_status command_wait(const struct command_line *line);

/* The VM that a word names; NULL, with the reason set, if there is none. */
struct vm;
struct vm *command_vm_named(const struct text_word *word);

/* The number that a word is. False, with the reason set, if it is none from first to last; *out is untouched then. */
bool command_number(const struct text_word *word, uint64_t first, uint64_t last, uint64_t *out);

/* The rest of the line from this word on; double quotes around all of it are not part of it. */
struct text_word command_rest(const struct text_word *word);

/* The words are more or fewer than the command takes: sets the reason and returns COMMAND_FAILED. */
enum command_status command_usage_fail(const char *usage);

/* Appends an item to a terminated list of size bytes, after a separator unless it is the first. */
void command_list_add(char *list, unsigned size, const char *item, const char *separator);

#endif
