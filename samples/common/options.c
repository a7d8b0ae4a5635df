/* SPDX-License-Identifier: Apache-2.0
 *
 * Command lines of the samples: a table, walked.
 */
#include "options.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const value_names[] = {[OPTION_TEXT] = " VALUE",
                                          [OPTION_NUMBER] = " N",
                                          [OPTION_DURATION] = " TIME",
                                          [OPTION_FLAG] = ""};

void options_add(struct options *options, const struct option_entry *table, size_t count)
{
    assert(options->table_count < sizeof(options->tables) / sizeof(options->tables[0]));
    options->tables[options->table_count] = table;
    options->counts[options->table_count++] = count;
}

void options_fail(const struct options *options, const char *name, const char *text)
{
    fprintf(stderr, "%s: --%s: %s; see %s --help\n", options->program, name, text,
            options->program);
    exit(2);
}

__attribute__((noreturn)) static void print_help(const struct options *options)
{
    printf("usage: %s [options]\n\n%s\n", options->program, options->summary);
    for (size_t t = 0; t < options->table_count; t++) {
        for (size_t i = 0; i < options->counts[t]; i++) {
            const struct option_entry *entry = &options->tables[t][i];
            char left[64];
            snprintf(left, sizeof(left), "--%s%s", entry->name, value_names[entry->kind]);
            printf("  %-22s %s\n", left, entry->help);
        }
    }
    printf("  %-22s %s\n", "--help", "this text");
    exit(0);
}

/* The entry whose name is the first `size` characters of `name`. */
static const struct option_entry *find_entry(const struct options *options, const char *name,
                                             size_t size)
{
    for (size_t t = 0; t < options->table_count; t++) {
        for (size_t i = 0; i < options->counts[t]; i++) {
            const struct option_entry *entry = &options->tables[t][i];
            if (strlen(entry->name) == size && memcmp(entry->name, name, size) == 0)
                return entry;
        }
    }
    return NULL;
}

static int64_t parse_number(const struct options *options, const struct option_entry *entry,
                            const char *value)
{
    static const struct {
        const char *text;
        int64_t factor;
    } units[] = {{"ms", 1}, {"", 1000}, {"s", 1000}, {"m", 60000}};
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (end == value || errno != 0 || number < 0 || number > 1000000000000)
        options_fail(options, entry->name, "a number is wanted");
    if (entry->kind == OPTION_NUMBER && *end == '\0')
        return number;
    for (size_t i = 0; entry->kind == OPTION_DURATION && i < sizeof(units) / sizeof(units[0]); i++)
        if (strcmp(end, units[i].text) == 0)
            return number * units[i].factor;
    options_fail(options, entry->name,
                 entry->kind == OPTION_NUMBER ? "a number is wanted"
                                              : "a time is wanted, such as 500ms, 10s or 5m");
}

static void set_value(const struct options *options, const struct option_entry *entry,
                      const char *value)
{
    if (entry->kind == OPTION_TEXT)
        *(const char **)entry->value = value;
    else
        *(int64_t *)entry->value = parse_number(options, entry, value);
}

void options_parse(const struct options *options, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *name = strncmp(argv[i], "--", 2) == 0 ? argv[i] + 2 : "";
        size_t size = strcspn(name, "=");
        if (strcmp(name, "help") == 0)
            print_help(options);
        const struct option_entry *entry = find_entry(options, name, size);
        if (entry == NULL)
            options_fail(options, size > 0 ? name : argv[i], "there is no such option");
        if (entry->kind == OPTION_FLAG) {
            *(bool *)entry->value = true;
            continue;
        }
        if (name[size] != '=' && ++i == argc)
            options_fail(options, entry->name, "a value is wanted");
        set_value(options, entry, name[size] == '=' ? name + size + 1 : argv[i]);
    }
}
