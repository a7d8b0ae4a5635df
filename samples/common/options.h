/* SPDX-License-Identifier: Apache-2.0
 *
 * Command lines of the samples: "--name value" or "--name=value", one table a program, and --help
 * made of it.
 */
#ifndef SAMPLES_OPTIONS_H
#define SAMPLES_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
    OPTION_TEXT,   /* const char ** */
    OPTION_NUMBER, /* int64_t *, not negative */
    /* int64_t *, milliseconds; written 500ms, 10s, 5m, or a bare number of seconds */
    OPTION_DURATION,
    OPTION_FLAG, /* bool * */
};

struct option_entry {
    const char *name; /* without the dashes */
    enum option_kind kind;
    void *value;
    const char *help;
};

/* A program's options, put together from several tables. */
struct options {
    const char *program;
    const char *summary; /* for --help: what the program does; lines end with \n */
    const struct option_entry *tables[4];
    size_t counts[4];
    size_t table_count;
};

/* The table is not copied. */
void options_add(struct options *options, const struct option_entry *table, size_t count);

/* Sets the values. Ends the program on --help (0) and on a wrong command line (2). */
void options_parse(const struct options *options, int argc, char **argv);

/* Ends the program (2) with a text about a wrong command line. */
__attribute__((noreturn)) void options_fail(const struct options *options, const char *name,
                                            const char *text);

#endif
