/* SPDX-License-Identifier: Apache-2.0
 *
 * Command lines of the programs: one table of options, from which parsing, checking, --help and the
 * texts about mistakes follow. Options may stand anywhere; "--" ends them.
 */
#ifndef CLI_H
#define CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLI_OPTIONS_MAX 64
#define CLI_VALUES_MAX 256 /* that are kept with where they came from */

/* Bits of `traits`. */
enum {
    CLI_REPEATS = 1,   /* each time adds a value; a list in a file */
    CLI_LINE_ONLY = 2, /* for the command line, not for environment and file */
    CLI_RELOADS = 4    /* a change in the file counts while the program runs */
};

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
    unsigned traits;      /* CLI_REPEATS and so on */
    const char *unless;   /* the default, as --help shows it; NULL: there is none */
    /* It is short for another option with this value, and takes none; NULL: it is not. */
    const char *stands_for, *stands_for_value;
};

/* The values that were given and count, and where each came from. */
struct cli_origins {
    struct {
        const struct cli_option *option;
        const char *value; /* "true" or "false" of a flag */
        const char *where; /* "--data", "TERCET_DATA", "FILE:LINE" */
    } list[CLI_VALUES_MAX];
    size_t count;
};

struct cli {
    const char *program;
    const struct cli_option *options;
    size_t option_count; /* at most CLI_OPTIONS_MAX */
    void *values;
    /* Says what is wrong with the command line and ends the program. */
    void (*misuse)(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
    /* NULL: not wanted. With it, other sources follow the command line (cli_sources.h), and who
     * reads them calls cli_check_needs after the last. */
    struct cli_origins *origins;

    /* Set by cli_parse. */
    char **args; /* what is no option */
    int arg_count;
    unsigned groups; /* of all options that were given */
    uint64_t given;  /* a bit for each option */
};

/* Parses and checks; argv is reordered, so that cli->args can point into it. */
void cli_parse(struct cli *cli, int argc, char **argv);

/* Keeps a value that comes from `where`; the texts must live as long as the program's values.
 * Returns NULL, or what would be right. */
const char *cli_set(struct cli *cli, const struct cli_option *option, const char *value,
                    const char *where);

/* The option of this name; NULL: there is none. */
const struct cli_option *cli_find(const struct cli *cli, const char *name);

/* The name of an option that may have been meant; NULL: none is near. */
const char *cli_nearest_option(const struct cli *cli, const char *name);

bool cli_is_given(const struct cli *cli, const struct cli_option *option);

/* An option that was given without one that it needs, with *needed its name; NULL: there is none.
 */
const struct cli_option *cli_check_needs(const struct cli *cli, const char **needed);

/* What --help says of it: `help`, and the default. From malloc. */
char *cli_help_of(const struct cli_option *option);

/* Prints to standard output what each option is for: those without a group, or with `groups` those
 * of these groups. */
void cli_print_options(const struct cli *cli, unsigned groups);

/* Prints `text` to standard output, broken at spaces; lines after the first begin at `column`. */
void cli_print_wrapped(const char *text, int column);

/* Which of `count` names may have been meant by `name`; NULL: none is near. */
const char *cli_nearest(const char *name, const char *const *names, size_t count);

/* Reads a duration such as "10s" or "2h". NULL, or what is wanted instead. */
const char *cli_duration(int64_t *ms, const char *value);

#endif
