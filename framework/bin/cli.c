/* SPDX-License-Identifier: Apache-2.0
 *
 * cli.h
 */
#include "cli.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HELP_COLUMN 26
#define SCREEN_COLUMNS 100
#define NAME_SIZE_MAX 64

/* -- Suggestions ------------------------------------------------------------------------------- */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many characters must be added, removed or replaced to make one name of the other. */
static size_t distance(const char *from, const char *to)
{
    size_t row[NAME_SIZE_MAX + 1];
    const size_t size = smaller(strlen(to), NAME_SIZE_MAX);
    for (size_t i = 0; i <= size; i++)
        row[i] = i;
    for (size_t line = 1; from[line - 1] != '\0'; line++) {
        size_t above_left = row[0];
        row[0] = line;
        for (size_t i = 1; i <= size; i++) {
            size_t replaced = above_left + (from[line - 1] != to[i - 1]);
            above_left = row[i];
            row[i] = smaller(replaced, 1 + smaller(row[i], row[i - 1]));
        }
    }
    return row[size];
}

const char *cli_nearest(const char *name, const char *const *names, size_t count)
{
    const size_t size = strlen(name);
    const char *nearest = NULL;
    size_t least = 2 + size / 4;
    if (size < 2 || size > NAME_SIZE_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t far = strncmp(names[i], name, size) == 0 ? 0 : distance(name, names[i]);
        if (far >= least || far >= size)
            continue;
        least = far;
        nearest = names[i];
    }
    return nearest;
}

const char *cli_nearest_option(const struct cli *cli, const char *name)
{
    const char *names[CLI_OPTIONS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < cli->option_count; i++)
        if (cli->options[i].name != NULL)
            names[count++] = cli->options[i].name;
    return cli_nearest(name, names, count);
}

__attribute__((noreturn)) static void fail_unknown(const struct cli *cli, const char *name)
{
    const char *nearest = cli_nearest_option(cli, name);
    if (nearest == NULL)
        cli->misuse("there is no option --%s; see %s --help", name, cli->program);
    cli->misuse("there is no option --%s: did you mean --%s? See %s --help", name, nearest,
                cli->program);
}

/* -- Values ------------------------------------------------------------------------------------ */

struct unit {
    const char *suffix;
    int64_t factor;
};

/* Reads a number above 0 that is followed by one of the units. false: it is not one. */
static bool parse_scaled(int64_t *out, const char *value, const struct unit *units)
{
    char *end;
    errno = 0;
    long long number = strtoll(value, &end, 10);
    if (end == value || errno != 0 || number <= 0)
        return false;
    for (; units->suffix != NULL; units++) {
        if (strcmp(end, units->suffix) == 0 && number <= INT64_MAX / units->factor) {
            *out = number * units->factor;
            return true;
        }
    }
    return false;
}

const char *cli_duration(int64_t *ms, const char *value)
{
    static const struct unit units[] = {{"ms", 1},      {"s", 1000},     {"m", 60000},
                                        {"h", 3600000}, {"d", 86400000}, {NULL, 0}};
    return parse_scaled(ms, value, units)
               ? NULL
               : "a duration is a number with ms, s, m, h or d, such as 10s";
}

static const char *take_short_duration(uint32_t *field, const char *value)
{
    int64_t ms = 0;
    const char *wanted = cli_duration(&ms, value);
    if (wanted != NULL)
        return wanted;
    if (ms > UINT32_MAX)
        return "at most 49 days";
    *field = (uint32_t)ms;
    return NULL;
}

static const char *take_size(uint64_t *field, const char *value)
{
    static const struct unit units[] = {{"", 1},        {"K", 1 << 10},   {"M", 1 << 20},
                                        {"G", 1 << 30}, {"T", 1LL << 40}, {NULL, 0}};
    int64_t size = 0;
    if (!parse_scaled(&size, value, units))
        return "a size is a number of bytes, or with K, M, G or T, such as 512M";
    *field = (uint64_t)size;
    return NULL;
}

static const char *take_count(uint32_t *field, const char *value)
{
    static const struct unit units[] = {{"", 1}, {NULL, 0}};
    int64_t count = 0;
    if (!parse_scaled(&count, value, units) || count > UINT32_MAX)
        return "a number from 1 to 4294967295 is wanted";
    *field = (uint32_t)count;
    return NULL;
}

static const char *take_flag(bool *field, const char *value)
{
    if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
        return "true or false is wanted";
    *field = value[0] == 't';
    return NULL;
}

/* Returns NULL, or a text that says which values are valid. */
static const char *take_value(const struct cli *cli, const struct cli_option *option,
                              const char *value)
{
    void *field = (char *)cli->values + option->offset;
    switch (option->kind) {
    case CLI_FLAG:
        return take_flag(field, value);
    case CLI_TEXT:
        *(const char **)field = value;
        return NULL;
    case CLI_DURATION:
        return cli_duration(field, value);
    case CLI_SHORT_DURATION:
        return take_short_duration(field, value);
    case CLI_SIZE:
        return take_size(field, value);
    case CLI_COUNT:
        return take_count(field, value);
    case CLI_OTHER:
        return option->take(cli->values, value);
    case CLI_HEADING:
        break;
    }
    assert(!"a heading is no option");
    return NULL;
}

/* The last value given counts; of an option that repeats, all do. */
static const char *keep_origin(struct cli_origins *origins, const struct cli_option *option,
                               const char *value, const char *where)
{
    size_t at = origins->count;
    for (size_t i = 0; i < origins->count && (option->traits & CLI_REPEATS) == 0; i++)
        if (origins->list[i].option == option)
            at = i;
    if (at == CLI_VALUES_MAX)
        return "too many values are given";
    origins->list[at].option = option;
    origins->list[at].value = value;
    origins->list[at].where = where;
    origins->count += at == origins->count;
    return NULL;
}

const char *cli_set(struct cli *cli, const struct cli_option *option, const char *value,
                    const char *where)
{
    if (option->stands_for != NULL)
        return cli_set(cli, cli_find(cli, option->stands_for), option->stands_for_value, where);
    const char *wanted = take_value(cli, option, value);
    if (wanted == NULL && cli->origins != NULL)
        wanted = keep_origin(cli->origins, option, value, where);
    if (wanted != NULL)
        return wanted;
    cli->given |= UINT64_C(1) << (option - cli->options);
    cli->groups |= option->group;
    return NULL;
}

/* -- Parsing ----------------------------------------------------------------------------------- */

/* The option whose name is the first `size` characters of `name`; NULL: there is none. */
static const struct cli_option *find_option(const struct cli *cli, const char *name, size_t size)
{
    for (size_t i = 0; i < cli->option_count; i++) {
        const struct cli_option *option = &cli->options[i];
        if (option->name != NULL && strlen(option->name) == size &&
            memcmp(option->name, name, size) == 0)
            return option;
    }
    return NULL;
}

const struct cli_option *cli_find(const struct cli *cli, const char *name)
{
    return find_option(cli, name, strlen(name));
}

static const struct cli_option *find_letter(const struct cli *cli, char letter)
{
    for (size_t i = 0; i < cli->option_count; i++)
        if (cli->options[i].letter == letter)
            return &cli->options[i];
    cli->misuse("there is no option -%c; see %s --help", letter, cli->program);
}

static void set_option(struct cli *cli, const struct cli_option *option, const char *value)
{
    const char *wanted = cli_set(cli, option, value, "the command line");
    if (wanted != NULL)
        cli->misuse("--%s %s: %s", option->name, value, wanted);
}

/* A flag may be taken back with =false, where a file or the environment may have set it. */
static bool takes_words(const struct cli *cli, const struct cli_option *option)
{
    return cli->origins != NULL && option->kind == CLI_FLAG && option->stands_for == NULL &&
           (option->traits & CLI_LINE_ONLY) == 0;
}

/* Sets an option whose value stands with it (`value`), or else in the next argument. Returns how
 * many arguments that took. */
static int set_with_value(struct cli *cli, const struct cli_option *option, const char *value,
                          const char *next)
{
    if (option->value_name == NULL) {
        if (value != NULL && !takes_words(cli, option))
            cli->misuse("--%s takes no value; see %s --help", option->name, cli->program);
        set_option(cli, option, value != NULL ? value : "true");
        return 1;
    }
    if (value == NULL && next == NULL)
        cli->misuse("--%s needs a value: --%s %s; see %s --help", option->name, option->name,
                    option->value_name, cli->program);
    set_option(cli, option, value != NULL ? value : next);
    return value != NULL ? 1 : 2;
}

static int parse_long(struct cli *cli, const char *text, const char *next)
{
    const char *name = text + 2;
    const size_t size = strcspn(name, "=");
    const struct cli_option *option = find_option(cli, name, size);
    if (option == NULL) {
        char unknown[NAME_SIZE_MAX];
        snprintf(unknown, sizeof(unknown), "%.*s", (int)smaller(size, NAME_SIZE_MAX), name);
        fail_unknown(cli, unknown);
    }
    return set_with_value(cli, option, name[size] == '=' ? name + size + 1 : NULL, next);
}

static int parse_letter(struct cli *cli, const char *text, const char *next)
{
    const char *value = text[2] != '\0' ? text + 2 : NULL;
    return set_with_value(cli, find_letter(cli, text[1]), value, next);
}

bool cli_is_given(const struct cli *cli, const struct cli_option *option)
{
    return (cli->given >> (option - cli->options) & 1) != 0;
}

/* Whether the option was given, and is not a flag that was set to false. */
static bool is_wanted(const struct cli *cli, const struct cli_option *option)
{
    return cli_is_given(cli, option) &&
           (option->kind != CLI_FLAG || *(const bool *)((char *)cli->values + option->offset));
}

/* Which of the options that this one needs is missing; NULL: none. */
static const char *missing_of(const struct cli *cli, const struct cli_option *option)
{
    for (size_t k = 0; k < 2 && option->needs[k] != NULL; k++) {
        const struct cli_option *other = cli_find(cli, option->needs[k]);
        assert(other != NULL);
        if (!is_wanted(cli, other))
            return option->needs[k];
    }
    return NULL;
}

const struct cli_option *cli_check_needs(const struct cli *cli, const char **needed)
{
    for (size_t i = 0; i < cli->option_count; i++) {
        *needed = is_wanted(cli, &cli->options[i]) ? missing_of(cli, &cli->options[i]) : NULL;
        if (*needed != NULL)
            return &cli->options[i];
    }
    return NULL;
}

static void check_needs(const struct cli *cli)
{
    const char *needed = NULL;
    const struct cli_option *option = cli_check_needs(cli, &needed);
    if (option != NULL)
        cli->misuse("--%s needs --%s, too; see %s --help", option->name, needed, cli->program);
}

void cli_parse(struct cli *cli, int argc, char **argv)
{
    bool is_over = false; /* "--" has been seen */
    assert(cli->option_count <= CLI_OPTIONS_MAX);
    cli->args = argv;
    for (int i = 1; i < argc;) {
        const bool is_long = strncmp(argv[i], "--", 2) == 0;
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        if (is_over || argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[cli->arg_count++] = argv[i++];
        } else if (is_long && argv[i][2] == '\0') {
            is_over = true;
            i++;
        } else {
            i += is_long ? parse_long(cli, argv[i], next) : parse_letter(cli, argv[i], next);
        }
    }
    if (cli->origins == NULL)
        check_needs(cli);
}

/* -- Help -------------------------------------------------------------------------------------- */

void cli_print_wrapped(const char *text, int column)
{
    const size_t room = (size_t)(SCREEN_COLUMNS - column);
    while (strlen(text) > room) {
        size_t size = room;
        while (size > 0 && text[size] != ' ')
            size--;
        if (size == 0)
            size = strcspn(text, " ");
        printf("%.*s\n%*s", (int)size, text, column, "");
        text += size + strspn(text + size, " ");
    }
    puts(text);
}

char *cli_help_of(const struct cli_option *option)
{
    char *text = NULL;
    const bool has_default = option->unless != NULL;
    int size = asprintf(&text, "%s%s%s%s%s", option->help, has_default ? " (default " : "",
                        has_default ? option->unless : "", has_default ? ")" : "",
                        (option->traits & CLI_RELOADS) != 0 ? "; SIGHUP reads it anew" : "");
    if (size < 0)
        abort();
    return text;
}

static void print_option(const struct cli_option *option)
{
    char *help = cli_help_of(option);
    char left[NAME_SIZE_MAX * 2];
    char letter[8] = "";
    if (option->letter != 0)
        snprintf(letter, sizeof(letter), "-%c, ", option->letter);
    int width = snprintf(left, sizeof(left), "  %s--%s%s%s", letter, option->name,
                         option->value_name != NULL ? " " : "",
                         option->value_name != NULL ? option->value_name : "");
    if (width < HELP_COLUMN)
        printf("%-*s", HELP_COLUMN, left);
    else
        printf("%s\n%*s", left, HELP_COLUMN, "");
    cli_print_wrapped(help, HELP_COLUMN);
    free(help);
}

void cli_print_options(const struct cli *cli, unsigned groups)
{
    for (size_t i = 0; i < cli->option_count; i++) {
        const struct cli_option *option = &cli->options[i];
        if (groups == 0 ? option->group != 0 : (option->group & groups) == 0)
            continue;
        if (option->kind == CLI_HEADING)
            printf("%s%s\n", i > 0 ? "\n" : "", option->help);
        else
            print_option(option);
    }
}
