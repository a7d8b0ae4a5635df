/* SPDX-License-Identifier: Apache-2.0
 *
 * Where options come from besides the command line: the environment and a file. All use the one
 * table (cli.h), and each fills only what none of those before it has given: command line,
 * environment, file.
 */
#ifndef CLI_SOURCES_H
#define CLI_SOURCES_H

#include "cli.h"

#define CLI_TEXT_MAX 512
#define CLI_FILE_BYTES_MAX (256 * 1024)

/* Texts that values point to, such as those of a file. Zero is none. */
struct cli_strings {
    struct cli_string *first;
};
void cli_strings_clear(struct cli_strings *strings);

/* A copy of the text that lives as long as `strings`. Ends the program without memory. */
const char *cli_strings_keep(struct cli_strings *strings, const char *text);

/* "TERCET_STORE_SIZE" of "store-size" with the prefix "TERCET_". */
void cli_variable_of(char out[64], const char *prefix, const struct cli_option *option);

/* Takes variables such as TERCET_STORE_SIZE; an empty one counts as not set, and commas part the
 * values of an option that repeats. Returns 0, or -1 with `text`. */
int cli_read_environment(struct cli *cli, const char *prefix, struct cli_strings *strings,
                         char text[CLI_TEXT_MAX]);

/* A variable with the prefix that nothing reads, and *nearest one that may have been meant. From
 * the i-th on, which is moved past it; NULL: there is none. The caller frees the name. */
char *cli_next_unknown_variable(const struct cli *cli, const char *prefix, size_t *i,
                                const char **nearest);

/* Takes a file of YAML: a mapping of options' names to values, or to lists of those that repeat.
 * Returns 0, or -1 with `text`, which names file and line. */
int cli_read_file(struct cli *cli, const char *path, struct cli_strings *strings,
                  char text[CLI_TEXT_MAX]);

/* Prints to standard output the values that count, as a file that cli_read_file takes, each with
 * where it comes from. */
void cli_print_values(const struct cli *cli, const struct cli_origins *origins);

/* A value as it may be shown: without the password of a URL or of a parameter. From malloc. */
char *cli_shown(const char *value);

#endif
