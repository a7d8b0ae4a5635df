/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd_reload.h
 */
#include "tercetd_reload.h"

#include "log.h"

#include <crpc/crpc.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- Files ------------------------------------------------------------------------------------- */

/* A file's text, NULL when it cannot be read, which is logged. The caller frees it. */
static char *read_again(const char *path)
{
    char *text = NULL;
    if (crpc_file_read(&text, path) == 0)
        return text;
    log_say(TERCET_LOG_ERROR, "SIGHUP: %s: %s; the old one stays", path, strerror(errno));
    return NULL;
}

static void reload_access(struct tercet_coordinator *coordinator, const struct arguments *args)
{
    char text[TERCET_TEXT_MAX];
    char *access = read_again(args->access_file);
    if (access == NULL)
        return;
    if (tercet_coordinator_set_access(coordinator, access, text) != 0)
        log_say(TERCET_LOG_ERROR, "SIGHUP: %s: %s; the old rules stay", args->access_file, text);
    else
        log_say(TERCET_LOG_INFO,
                "SIGHUP: the access rules were read anew; streams that are open stay");
    free(access);
}

static void reload_tls(const struct reload *reload, const struct arguments *args)
{
    char text[TERCET_TEXT_MAX];
    char *cert = read_again(args->cert_file);
    char *key = read_again(args->key_file);
    char *ca = args->ca_file != NULL ? read_again(args->ca_file) : NULL;
    const bool is_read = cert != NULL && key != NULL && (ca != NULL || args->ca_file == NULL);
    if (is_read && tercet_coordinator_set_tls(reload->coordinator, ca, cert, key, text) != 0)
        log_say(TERCET_LOG_ERROR, "SIGHUP: %s: %s; the old certificate stays", args->cert_file,
                text);
    else if (is_read && http_set_tls(reload->http, cert, key, ca, text) != 0)
        log_say(TERCET_LOG_ERROR, "SIGHUP: %s: %s; the old certificate stays at the HTTP port",
                args->cert_file, text);
    else if (is_read)
        log_say(TERCET_LOG_INFO,
                "SIGHUP: certificate, key and CA were read anew; connections that are open stay");
    free(ca);
    free(key);
    free(cert);
}

/* -- Options ----------------------------------------------------------------------------------- */

/* The n-th value of an option; NULL past the last. */
static const char *value_of(const struct arguments *args, const struct cli_option *option, size_t n,
                            const char **where)
{
    for (size_t i = 0; i < args->origins.count; i++) {
        if (args->origins.list[i].option != option || n-- > 0)
            continue;
        *where = args->origins.list[i].where;
        return args->origins.list[i].value;
    }
    return NULL;
}

/* Whether an option differs, with the first value of both that does; NULL: it has none. */
static bool differs(const struct arguments *a, const struct arguments *b,
                    const struct cli_option *option, const char *values[2], const char **where)
{
    const char *old = NULL;
    for (size_t n = 0;; n++) {
        values[0] = value_of(a, option, n, &old);
        values[1] = value_of(b, option, n, where);
        if (values[0] == NULL || values[1] == NULL)
            return values[0] != values[1];
        if (strcmp(values[0], values[1]) != 0)
            return true;
    }
}

static void say_restart(const struct cli_option *option, const char *const values[2],
                        const char *where)
{
    char *old = values[0] != NULL ? cli_shown(values[0]) : NULL;
    char *new = values[1] != NULL ? cli_shown(values[1]) : NULL;
    log_say(TERCET_LOG_WARNING,
            "SIGHUP: %s: %s is %s now; %s counts until tercetd is started again",
            where != NULL ? where : "the file", option->name, new != NULL ? new : "not given",
            old != NULL ? old : "the default");
    free(new);
    free(old);
}

/* The options of both that cannot change while it runs. */
static void say_what_stays(const struct arguments *first, const struct arguments *fresh)
{
    const struct cli_option *said[2 * CLI_VALUES_MAX] = {NULL};
    size_t count = 0;
    for (size_t i = 0; i < first->origins.count; i++)
        said[count++] = first->origins.list[i].option;
    for (size_t i = 0; i < fresh->origins.count; i++)
        said[count++] = fresh->origins.list[i].option;
    for (size_t i = 0; i < count; i++) {
        const char *values[2], *where = NULL;
        bool is_first = (said[i]->traits & CLI_RELOADS) == 0;
        for (size_t k = 0; k < i; k++)
            is_first = is_first && said[k] != said[i];
        if (is_first && differs(first, fresh, said[i], values, &where))
            say_restart(said[i], values, where);
    }
}

/* Files cannot come or go: who may call, and TLS or none, is settled at the start. One that goes
 * stays the one in force, not that of the start. */
static bool comes_or_goes(const char *now, const char *fresh, const char *name)
{
    if ((now == NULL) == (fresh == NULL))
        return false;
    log_say(TERCET_LOG_WARNING, "SIGHUP: %s cannot %s while tercetd runs: start it again", name,
            now == NULL ? "come" : "go");
    return true;
}

/* A text of `now`, which goes, for `fresh`. */
static const char *stay(struct arguments *fresh, const char *text)
{
    return text != NULL ? cli_strings_keep(&fresh->strings, text) : NULL;
}

static void take_files(const struct arguments *now, struct arguments *fresh)
{
    if (comes_or_goes(now->access_file, fresh->access_file, "access"))
        fresh->access_file = stay(fresh, now->access_file);
    const bool is_tls_settled = comes_or_goes(now->cert_file, fresh->cert_file, "tls-cert");
    if (is_tls_settled) {
        fresh->cert_file = stay(fresh, now->cert_file);
        fresh->key_file = stay(fresh, now->key_file);
    }
    if (is_tls_settled || comes_or_goes(now->ca_file, fresh->ca_file, "tls-ca"))
        fresh->ca_file = stay(fresh, now->ca_file);
}

static int set_levels(struct reload *reload, const struct arguments *fresh)
{
    char text[TERCET_TEXT_MAX], levels[TERCET_TEXT_MAX];
    /* as at the start: what is not named is at info */
    snprintf(levels, sizeof(levels), "info,%s", fresh->options.log_levels);
    if (tercet_coordinator_set_log_levels(reload->coordinator, levels, text) != 0) {
        log_say(TERCET_LOG_ERROR, "SIGHUP: log-level %s: %s; the old ones stay",
                fresh->options.log_levels, text);
        return -1;
    }
    log_say(TERCET_LOG_INFO, "SIGHUP: log-level is %s now", fresh->options.log_levels);
    log_set_level(fresh->log_level);
    return 0;
}

/* Levels that were not taken are not in force: the next SIGHUP tells of them again. */
static void take_levels(struct reload *reload, struct arguments *fresh)
{
    const struct arguments *now = reload->now;
    if (strcmp(now->options.log_levels, fresh->options.log_levels) == 0 ||
        set_levels(reload, fresh) == 0)
        return;
    fresh->options.log_levels = stay(fresh, now->options.log_levels);
    fresh->log_level = now->log_level;
}

static void take(struct reload *reload, struct arguments *fresh)
{
    take_files(reload->now, fresh);
    say_what_stays(reload->first, fresh);
    take_levels(reload, fresh);
}

/* -- SIGHUP ------------------------------------------------------------------------------------ */

void reload_clear(struct reload *reload)
{
    if (reload->now == reload->first)
        return;
    arguments_clear((struct arguments *)(uintptr_t)reload->now);
    free((void *)(uintptr_t)reload->now);
    reload->now = reload->first;
}

static void reload_options(struct reload *reload)
{
    char text[CLI_TEXT_MAX];
    struct arguments *fresh = malloc(sizeof(*fresh));
    if (fresh == NULL)
        return;
    if (arguments_read_file(fresh, text) != 0) {
        log_say(TERCET_LOG_ERROR, "SIGHUP: %s; the old options stay", text);
        arguments_clear(fresh);
        free(fresh);
        return;
    }
    take(reload, fresh);
    reload_clear(reload);
    reload->now = fresh;
    if (fresh->config_file != NULL)
        log_say(TERCET_LOG_INFO, "SIGHUP: %s was read anew", fresh->config_file);
}

void reload_run(struct reload *reload)
{
    reload_options(reload);
    const struct arguments *args = reload->now;
    if (args->access_file != NULL)
        reload_access(reload->coordinator, args);
    if (args->cert_file != NULL)
        reload_tls(reload, args);
    if (args->access_file == NULL && args->cert_file == NULL && args->config_file == NULL)
        log_say(TERCET_LOG_INFO, "SIGHUP: there is no access file and no certificate to read anew");
}
