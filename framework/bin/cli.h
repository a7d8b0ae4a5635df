/* SPDX-License-Identifier: Apache-2.0
 *
 * Command lines of the programs: one table of options, from which parsing, checking, --help and the
 * texts about mistakes follow. Options may stand anywhere; "--" ends them.
 */
#ifndef CLI_H
#define CLI_H

#include <stddef.h>
#include <stdint.h>

#define CLI_OPTIONS_MAX 64

enum cli_kind {
    CLI_HEADING,        /* no option: a line of --help, in `help` */
    CLI_FLAG,           /* bool */
    CLI_TEXT,           /* const char *; points into argv */
    CLI_DURATION,       /* int64_t, ms */
    CLI_SHORT_DURATION, /* uint32_t, ms */
    CLI_SIZE,           /* uint64_t, bytes */
    CLI_COUNT,          /* uint32_t, at least 1 */
    CLI_OTHER           /* take() stores it */
};

/* Keeps `value`, "" of an option without one, in the program's values. Returns NULL, or what
 * would be right. */
typedef const char *(*cli_take_fn)(void *values, const char *value);

struct cli_option {
    const char *name; /* without the dashes */
    enum cli_kind kind;
    size_t offset;          /* of its field in the program's values */
    const char *value_name; /* for --help, such as "DIR"; NULL: it takes no value */
    const char *help;
    const char *needs[2]; /* names of options without which this one has no meaning */
    cli_take_fn take;     /* CLI_OTHER */
    char letter;          /* also "-o VALUE"; 0: none */
    unsigned group;       /* bits, for the program's own use */
};

struct cli {
    const char *program;
    const struct cli_option *options;
    size_t option_count; /* at most CLI_OPTIONS_MAX */
    void *values;
    /* Says what is wrong with the command line and ends the program. */
    void (*misuse)(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

    /* Set by cli_parse. */
    char **args; /* what is no option */
    int arg_count;
    unsigned groups; /* of all options that were given */
    uint64_t given;  /* a bit for each option */
};

/* Parses and checks; argv is reordered, so that cli->args can point into it. */
void cli_parse(struct cli *cli, int argc, char **argv);

/* Prints to standard output what each option is for: those without a group, or with `groups` those
 * of these groups. */
void cli_print_options(const struct cli *cli, unsigned groups);

/* Prints `text` to standard output, broken at spaces; lines after the first begin at `column`. */
void cli_print_wrapped(const char *text, int column);

/* Which of `count` names may have been meant by `name`; NULL: none is near. */
const char *cli_nearest(const char *name, const char *const *names, size_t count);

#endif
