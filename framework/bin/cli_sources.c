/* SPDX-License-Identifier: Apache-2.0
 *
 * cli_sources.h
 */
#include "cli_sources.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#define NAME_SHOWN_MAX 64
#define COMMENT_COLUMN 40

extern char **environ;

/* -- Texts ------------------------------------------------------------------------------------- */

struct cli_string {
    struct cli_string *next;
    char text[];
};

void cli_strings_clear(struct cli_strings *strings)
{
    while (strings->first != NULL) {
        struct cli_string *first = strings->first;
        strings->first = first->next;
        free(first);
    }
}

/* A copy that lives as long as `strings`; a program that cannot even read its options ends. */
static const char *keep(struct cli_strings *strings, const char *text, size_t size)
{
    struct cli_string *string = malloc(sizeof(*string) + size + 1);
    if (string == NULL)
        abort();
    memcpy(string->text, text, size);
    string->text[size] = '\0';
    string->next = strings->first;
    strings->first = string;
    return string->text;
}

const char *cli_strings_keep(struct cli_strings *strings, const char *text)
{
    return keep(strings, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static int fail(char text[CLI_TEXT_MAX], const char *format,
                                                      ...)
{
    va_list values;
    va_start(values, format);
    vsnprintf(text, CLI_TEXT_MAX, format, values);
    va_end(values);
    return -1;
}

/* -- The environment --------------------------------------------------------------------------- */

static bool is_elsewhere(const struct cli_option *option)
{
    return option->name != NULL && (option->traits & CLI_LINE_ONLY) == 0 &&
           option->stands_for == NULL;
}

void cli_variable_of(char out[64], const char *prefix, const struct cli_option *option)
{
    size_t n = (size_t)snprintf(out, 64, "%s%s", prefix, option->name);
    for (size_t i = 0; i < n && i < 63; i++)
        out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
}

static int set_variable(struct cli *cli, const struct cli_option *option, const char *variable,
                        const char *value, char *text)
{
    const char *wanted = cli_set(cli, option, value, variable);
    return wanted == NULL ? 0 : fail(text, "%s=%s: %s", variable, value, wanted);
}

static int set_variable_list(struct cli *cli, const struct cli_option *option, const char *variable,
                             const char *values, struct cli_strings *strings, char *text)
{
    while (*values != '\0') {
        values += strspn(values, ", ");
        size_t size = strcspn(values, ", ");
        const char *value = keep(strings, values, size);
        if (size > 0 && set_variable(cli, option, variable, value, text) != 0)
            return -1;
        values += size;
    }
    return 0;
}

int cli_read_environment(struct cli *cli, const char *prefix, struct cli_strings *strings,
                         char text[CLI_TEXT_MAX])
{
    const uint64_t given = cli->given; /* by the command line, which counts more */
    for (size_t i = 0; i < cli->option_count; i++) {
        const struct cli_option *option = &cli->options[i];
        char name[64];
        if (!is_elsewhere(option) || (given >> i & 1) != 0)
            continue;
        cli_variable_of(name, prefix, option);
        const char *value = getenv(name);
        if (value == NULL || value[0] == '\0')
            continue;
        const char *variable = keep(strings, name, strlen(name));
        int rc = (option->traits & CLI_REPEATS) != 0
                     ? set_variable_list(cli, option, variable, value, strings, text)
                     : set_variable(cli, option, variable, value, text);
        if (rc != 0)
            return -1;
    }
    return 0;
}

char *cli_next_unknown_variable(const struct cli *cli, const char *prefix, size_t *i,
                                const char **nearest)
{
    for (; environ[*i] != NULL; ++*i) {
        const char *entry = environ[*i];
        char name[NAME_SHOWN_MAX];
        if (strncmp(entry, prefix, strlen(prefix)) != 0)
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)(strcspn(entry, "=") - strlen(prefix)),
                 entry + strlen(prefix));
        for (char *c = name; *c != '\0'; c++)
            *c = *c == '_' ? '-' : (char)tolower((unsigned char)*c);
        const char *near = cli_nearest_option(cli, name);
        if (near == NULL || strcmp(near, name) == 0 || !is_elsewhere(cli_find(cli, near)))
            continue;
        *nearest = near;
        ++*i;
        return strndup(entry, strcspn(entry, "="));
    }
    return NULL;
}

/* -- A file: its text -------------------------------------------------------------------------- */

static int read_all(int fd, const char *path, size_t *size, char **out, char *text)
{
    char *content = malloc(*size + 1);
    size_t have = 0;
    if (content == NULL)
        return fail(text, "%s: out of memory", path);
    while (have < *size) {
        ssize_t n = read(fd, content + have, *size - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    *size = have;
    *out = content;
    return 0;
}

/* A link is followed, as orchestrators mount files so; whatever is no file at its end is refused.
 */
static int read_text(const char *path, char **out, size_t *out_size, char *text)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return fail(text, "%s: %s", path, strerror(errno));
    int rc = fstat(fd, &status);
    if (rc != 0)
        fail(text, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(status.st_mode))
        rc = fail(text, "%s: this is no file%s", path,
                  S_ISDIR(status.st_mode) ? " but a directory" : "");
    else if ((*out_size = (size_t)status.st_size) > CLI_FILE_BYTES_MAX)
        rc = fail(text, "%s: it has %lld bytes; options take at most %d", path,
                  (long long)status.st_size, CLI_FILE_BYTES_MAX);
    else
        rc = read_all(fd, path, out_size, out, text);
    close(fd);
    return rc;
}

/* -- A file: its options ----------------------------------------------------------------------- */

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    bool has_event;
    struct cli *cli;
    const char *path;
    struct cli_strings *strings;
    char *text;
    uint64_t given_before;         /* by what counts more than the file */
    size_t lines[CLI_OPTIONS_MAX]; /* where the file has each option; 0: it has not */
};

static size_t line_of(const struct reader *r)
{
    return r->event.start_mark.line + 1;
}

__attribute__((format(printf, 2, 3))) static int fail_at(struct reader *r, const char *format, ...)
{
    char what[CLI_TEXT_MAX];
    va_list values;
    va_start(values, format);
    vsnprintf(what, sizeof(what), format, values);
    va_end(values);
    return fail(r->text, "%s:%zu: %s", r->path, line_of(r), what);
}

static int next(struct reader *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = yaml_parser_parse(&r->parser, &r->event) != 0;
    if (r->has_event)
        return 0;
    const size_t line = r->parser.problem_mark.line + 1;
    return fail(r->text, "%s:%zu: this is no YAML: %s", r->path, line,
                r->parser.problem != NULL ? r->parser.problem : "out of memory");
}

static const char *scalar(const struct reader *r)
{
    return (const char *)r->event.data.scalar.value;
}

static bool is_plain_scalar(const struct reader *r)
{
    return r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.anchor == NULL &&
           r->event.data.scalar.tag == NULL;
}

static int take_scalar(struct reader *r, const struct cli_option *option)
{
    char where[CLI_TEXT_MAX];
    const char *value = scalar(r);
    if (!is_plain_scalar(r))
        return fail_at(r, "%s: a value is wanted, without & * or !", option->name);
    if (strlen(value) != r->event.data.scalar.length)
        return fail_at(r, "%s: the value has a zero byte", option->name);
    if (value[0] == '\0')
        return fail_at(r, "%s: there is no value; leave the line out for the default",
                       option->name);
    if ((r->given_before >> (option - r->cli->options) & 1) != 0)
        return 0;
    int size = snprintf(where, sizeof(where), "%s:%zu", r->path, line_of(r));
    value = keep(r->strings, value, strlen(value));
    const char *wanted =
        cli_set(r->cli, option, value, keep(r->strings, where, strnlen(where, (size_t)size)));
    return wanted == NULL ? 0 : fail_at(r, "%s: %.100s: %s", option->name, value, wanted);
}

static int take_list(struct reader *r, const struct cli_option *option)
{
    if ((option->traits & CLI_REPEATS) == 0)
        return fail_at(r, "%s takes one value, not a list", option->name);
    for (;;) {
        if (next(r) != 0)
            return -1;
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            return 0;
        if (take_scalar(r, option) != 0)
            return -1;
    }
}

static int take_values(struct reader *r, const struct cli_option *option)
{
    if (next(r) != 0)
        return -1;
    if (r->event.type == YAML_SEQUENCE_START_EVENT)
        return take_list(r, option);
    if (r->event.type == YAML_MAPPING_START_EVENT)
        return fail_at(r, "%s: a value is wanted, not names with values of their own",
                       option->name);
    return take_scalar(r, option);
}

/* The option that the current scalar names. */
static int find_key(struct reader *r, const struct cli_option **out)
{
    if (!is_plain_scalar(r))
        return fail_at(r, "an option's name is wanted, such as data:");
    const struct cli_option *option = cli_find(r->cli, scalar(r));
    if (option == NULL) {
        const char *near = cli_nearest_option(r->cli, scalar(r));
        return fail_at(r, "there is no option %.64s%s%s%s", scalar(r),
                       near != NULL ? ": did you mean " : "", near != NULL ? near : "",
                       near != NULL ? "?" : "");
    }
    if (!is_elsewhere(option))
        return fail_at(r, "%s is for the command line only%s%s", option->name,
                       option->stands_for != NULL ? "; here, say " : "",
                       option->stands_for != NULL ? option->stands_for : "");
    size_t *line = &r->lines[option - r->cli->options];
    if (*line != 0)
        return fail_at(r, "%s is given twice: line %zu has it, too", option->name, *line);
    *line = line_of(r);
    *out = option;
    return 0;
}

static int take_mapping(struct reader *r)
{
    for (;;) {
        const struct cli_option *option = NULL;
        if (next(r) != 0)
            return -1;
        if (r->event.type == YAML_MAPPING_END_EVENT)
            return 0;
        if (find_key(r, &option) != 0 || take_values(r, option) != 0)
            return -1;
    }
}

static bool is_nothing(const struct reader *r)
{
    return r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.length == 0;
}

/* At most one document, and in it one mapping. */
static int take_stream(struct reader *r)
{
    if (next(r) != 0 || next(r) != 0) /* the stream's begin, and what follows it */
        return -1;
    if (r->event.type == YAML_STREAM_END_EVENT)
        return 0; /* nothing but comments */
    if (next(r) != 0)
        return -1;
    if (r->event.type != YAML_MAPPING_START_EVENT && !is_nothing(r))
        return fail_at(r, "lines such as \"data: /var/lib/tercet\" are wanted");
    if (r->event.type == YAML_MAPPING_START_EVENT && take_mapping(r) != 0)
        return -1;
    if (next(r) != 0 || next(r) != 0)
        return -1;
    return r->event.type == YAML_STREAM_END_EVENT ? 0
                                                  : fail_at(r, "there is a second document (---)");
}

int cli_read_file(struct cli *cli, const char *path, struct cli_strings *strings,
                  char text[CLI_TEXT_MAX])
{
    struct reader r = {
        .cli = cli, .path = path, .strings = strings, .text = text, .given_before = cli->given};
    char *content = NULL;
    size_t size = 0;
    if (read_text(path, &content, &size, text) != 0)
        return -1;
    int rc = -1;
    if (yaml_parser_initialize(&r.parser) == 0) {
        fail(text, "%s: out of memory", path);
    } else {
        yaml_parser_set_input_string(&r.parser, (const unsigned char *)content, size);
        rc = take_stream(&r);
        if (r.has_event)
            yaml_event_delete(&r.event);
        yaml_parser_delete(&r.parser);
    }
    free(content);
    return rc;
}

/* -- Showing ----------------------------------------------------------------------------------- */

/* The end of a name that hides what follows it, such as "password="; NULL: there is none. */
static const char *find_secret(const char *text)
{
    static const char *const names[] = {"password=", "passwd=", "pwd=", "secret=", "token="};
    const char *first = NULL;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *found = strcasestr(text, names[i]);
        if (found != NULL && (first == NULL || found + strlen(names[i]) < first))
            first = found + strlen(names[i]);
    }
    return first;
}

/* Adds a text without what such names have: up to the next & of a URL, else to the end. */
static void show_parameters(FILE *out, const char *text, bool is_url)
{
    const char *secret;
    while ((secret = find_secret(text)) != NULL) {
        fprintf(out, "%.*s***", (int)(secret - text), text);
        text = is_url ? secret + strcspn(secret, "&") : "";
    }
    fputs(text, out);
}

/* A password may have any character, unescaped by mistake: it is all up to the last @. Hiding more
 * than the password does no harm. */
char *cli_shown(const char *value)
{
    char *shown = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&shown, &size);
    if (out == NULL)
        abort();
    const char *host = strstr(value, "://");
    const char *at = host != NULL ? strrchr(host, '@') : NULL;
    const char *colon = at != NULL ? strchr(host + 3, ':') : NULL;
    if (colon != NULL && colon < at) {
        fprintf(out, "%.*s:***", (int)(colon - value), value);
        value = at;
    }
    show_parameters(out, value, host != NULL);
    if (fclose(out) != 0)
        abort();
    return shown;
}

/* Quoted, unless it cannot be anything but a text in YAML. */
static char *quoted(const char *value)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
    char *shown = cli_shown(value);
    if (isalnum((unsigned char)shown[0]) || shown[0] == '/')
        if (shown[strspn(shown, plain)] == '\0')
            return shown;
    char *out = malloc(2 * strlen(shown) + 3);
    if (out == NULL)
        abort();
    size_t n = 0;
    out[n++] = '\'';
    for (const char *c = shown; *c != '\0'; c++) {
        if (*c == '\'')
            out[n++] = '\'';
        out[n++] = *c;
    }
    out[n++] = '\'';
    out[n] = '\0';
    free(shown);
    return out;
}

static void print_value(const char *name, const char *value, const char *where)
{
    char *text = quoted(value);
    const int width = printf("%s %s", name, text);
    printf("%*s # %s\n", width < COMMENT_COLUMN ? COMMENT_COLUMN - width : 0, "", where);
    free(text);
}

static void print_given(const struct cli_option *option, const struct cli_origins *origins)
{
    char name[NAME_SHOWN_MAX];
    const bool is_list = (option->traits & CLI_REPEATS) != 0;
    snprintf(name, sizeof(name), "%s:", option->name);
    if (is_list)
        puts(name);
    for (size_t i = 0; i < origins->count; i++)
        if (origins->list[i].option == option)
            print_value(is_list ? "  -" : name, origins->list[i].value, origins->list[i].where);
}

static void print_not_given(const struct cli_option *option)
{
    char name[NAME_SHOWN_MAX];
    snprintf(name, sizeof(name), "%s:", option->name);
    if (option->unless == NULL)
        printf("# %-38s # not set\n", name);
    else
        print_value(name, option->unless, "default");
}

void cli_print_values(const struct cli *cli, const struct cli_origins *origins)
{
    for (size_t i = 0; i < cli->option_count; i++) {
        const struct cli_option *option = &cli->options[i];
        if (!is_elsewhere(option))
            continue;
        if (cli_is_given(cli, option))
            print_given(option, origins);
        else
            print_not_given(option);
    }
}
