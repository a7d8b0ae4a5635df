/* SPDX-License-Identifier: Apache-2.0
 *
 * tercetd_http.h
 */
#include "tercetd_http.h"

#include <stdio.h>
#include <string.h>

#ifdef TERCET_CONSOLE
#include "tercetd_process.h"

#include <console.h>
#include <errno.h>
#include <reach.h>
#include <stdlib.h>
#include <unistd.h>

#define SOCKET_NAME "/console"
#define LOCK_NAME SOCKET_NAME ".lock"

struct http {
    char directory[64]; /* nobody else gets there */
    char link[96];      /* "unix:DIRECTORY/console" */
    struct console *console;
};

/* -- Who may come ------------------------------------------------------------------------------ */

static bool is_only_at_sockets(const struct arguments *args)
{
    for (size_t i = 0; i < args->options.listen_count; i++)
        if (strncmp(args->listen[i], "unix:", sizeof("unix:") - 1) != 0)
            return false;
    return args->options.listen_count > 0;
}

/* Why it would let in more than the other ports do; NULL: it would not. */
static const char *what_is_wrong(const struct arguments *args)
{
    if (args->access_file != NULL)
        return NULL;
    if (!reach_is_local(args->http_address))
        return "can be reached from other machines, and without --access everybody there could do "
               "everything: give --access with tokens, or listen on 127.0.0.1";
    if (args->ca_file != NULL)
        return "would let in everybody on this machine, without the certificates that --tls-ca "
               "asks for elsewhere: give --access with tokens";
    if (is_only_at_sockets(args))
        return "would let in everybody on this machine, past the modes of the unix sockets: give "
               "--access with tokens";
    return NULL;
}

/* -- Opening and closing ----------------------------------------------------------------------- */

static const char *place_for_directory(void)
{
    const char *runtime = getenv("RUNTIME_DIRECTORY"); /* systemd's, of this service alone */
    return runtime != NULL && strchr(runtime, ':') == NULL && strlen(runtime) < 40 ? runtime
                                                                                   : "/tmp";
}

int http_check(const struct arguments *args, char *text)
{
    const char *wrong = args->http_address != NULL ? what_is_wrong(args) : NULL;
    if (wrong != NULL)
        snprintf(text, TERCET_TEXT_MAX, "--http %.60s %s", args->http_address, wrong);
    return wrong != NULL ? TERCET_ADDRESS : 0;
}

int http_prepare(struct http **out, const struct arguments *args,
                 struct tercet_coordinator_options *options, char *text)
{
    int rc = http_check(args, text);
    if (rc != 0 || args->http_address == NULL)
        return rc;
    struct http *http = calloc(1, sizeof(*http));
    snprintf(text, TERCET_TEXT_MAX, "out of memory");
    if (http == NULL)
        return TERCET_NOMEM;
    snprintf(http->directory, sizeof(http->directory), "%s/tercetd-XXXXXX", place_for_directory());
    if (mkdtemp(http->directory) == NULL) {
        snprintf(text, TERCET_TEXT_MAX, "--http: no directory for a socket can be made: %s: %s",
                 http->directory, strerror(errno));
        free(http);
        return TERCET_ADDRESS;
    }
    snprintf(http->link, sizeof(http->link), "unix:%s" SOCKET_NAME, http->directory);
    options->own_socket = http->link;
    *out = http;
    return 0;
}

int http_open(struct http *http, struct tercet_coordinator *coordinator,
              const struct arguments *args, char *text)
{
    if (http == NULL)
        return 0;
    const struct console_options options = {
        .address = args->http_address,
        .cert = args->options.tls_cert,
        .key = args->options.tls_key,
        .link = http->link,
        .has_access = args->access_file != NULL,
        .are_metrics_open = args->are_metrics_open,
        .on_log = args->options.on_log,
        .add_metrics = process_add_metrics,
    };
    return console_open(&http->console, coordinator, &options, text);
}

const char *http_url(const struct http *http)
{
    return http != NULL ? console_url(http->console) : NULL;
}

int http_set_tls(struct http *http, const char *cert, const char *key, char *text)
{
    return http != NULL ? console_set_tls(http->console, cert, key, text) : 0;
}

static void unlink_in(const struct http *http, const char *name)
{
    char path[sizeof(http->directory) + 16];
    snprintf(path, sizeof(path), "%s%s", http->directory, name);
    unlink(path);
}

void http_close(struct http *http)
{
    if (http == NULL)
        return;
    console_close(http->console);
    unlink_in(http, SOCKET_NAME);
    unlink_in(http, LOCK_NAME);
    rmdir(http->directory);
    free(http);
}

#else

int http_check(const struct arguments *args, char *text)
{
    if (args->http_address == NULL)
        return 0;
    snprintf(text, TERCET_TEXT_MAX,
             "--http: this tercetd was built without it (TERCET_CONSOLE=OFF, "
             "or without libmicrohttpd)");
    return TERCET_INVALID;
}

int http_prepare(struct http **out, const struct arguments *args,
                 struct tercet_coordinator_options *options, char *text)
{
    (void)out;
    (void)options;
    return http_check(args, text);
}

int http_open(struct http *http, struct tercet_coordinator *coordinator,
              const struct arguments *args, char *text)
{
    (void)http;
    (void)coordinator;
    (void)args;
    (void)text;
    return 0;
}

const char *http_url(const struct http *http)
{
    (void)http;
    return NULL;
}

int http_set_tls(struct http *http, const char *cert, const char *key, char *text)
{
    (void)http;
    (void)cert;
    (void)key;
    (void)text;
    return 0;
}

void http_close(struct http *http)
{
    (void)http;
}
#endif
