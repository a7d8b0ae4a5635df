/* SPDX-License-Identifier: Apache-2.0
 *
 * console.h: opening and closing, and how microhttpd hands over a request.
 */
#include "parts.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* GnuTLS: what the gRPC ports take, too; 1.0 and 1.1 are broken (RFC 8996). */
#define TLS_PRIORITIES "NORMAL:-VERS-TLS1.0:-VERS-TLS1.1"
#define REPLY_BYTES_MAX (16 * 1024 * 1024) /* a page of transactions */

/* -- Requests ---------------------------------------------------------------------------------- */

static void free_request(struct request *request)
{
    if (request != NULL)
        free(request->body);
    free(request);
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct console *console = ctx;
    (void)code;
    free_request(*state);
    *state = NULL;
    door_give_time(&console->door, connection);
}

/* Keeps what came of the body; what is too much is read all the same, so that the answer is. */
static void take_body(struct request *request, const char *data, size_t size)
{
    if (request->is_too_large || request->body_size + size > BODY_BYTES_MAX) {
        request->is_too_large = true;
        return;
    }
    char *body = realloc(request->body, request->body_size + size + 1);
    if (body == NULL) {
        request->is_too_large = true;
        return;
    }
    request->body = body;
    memcpy(body + request->body_size, data, size);
    request->body_size += size;
    body[request->body_size] = '\0';
}

/* microhttpd calls it with the headers, with each piece of the body, and at the end. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct console *console = ctx;
    struct request *request = *state;
    (void)version;
    if (request == NULL) {
        request = calloc(1, sizeof(*request));
        *state = request;
        return request != NULL ? MHD_YES : MHD_NO;
    }
    request->console = console;
    request->connection = connection;
    request->path = path;
    request->method = method;
    if (*size > 0) {
        take_body(request, data, *size);
        *size = 0;
        return MHD_YES;
    }
    door_give_time(&console->door, connection);
    return route(request);
}

/* -- The daemon -------------------------------------------------------------------------------- */

/* It tells much, of what peers do; they are told by their status. */
static void drop_line(void *ctx, const char *format, va_list values)
{
    (void)ctx;
    (void)format;
    (void)values;
}

static struct MHD_Daemon *start_daemon(struct console *console, const char *cert, const char *key,
                                       const char *ca)
{
    const unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                           MHD_USE_POLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC |
                           MHD_USE_ERROR_LOG | (cert != NULL ? MHD_USE_TLS : 0);
    const struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)cert},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)TLS_PRIORITIES},
        {ca != NULL ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0, (void *)ca},
        {MHD_OPTION_END, 0, NULL},
    };
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, console, MHD_OPTION_EXTERNAL_LOGGER, drop_line, NULL,
        MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        CONNECTIONS_PER_PEER_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES_MAX,
        MHD_OPTION_THREAD_STACK_SIZE, (size_t)THREAD_STACK_BYTES, MHD_OPTION_CONNECTION_TIMEOUT,
        REQUEST_MS_MAX / 1000u, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, console, MHD_OPTION_NOTIFY_CONNECTION, door_note_connection, &console->door,
        MHD_OPTION_ARRAY, cert != NULL ? tls : &tls[sizeof(tls) / sizeof(tls[0]) - 1],
        MHD_OPTION_END);
}

/* -- Opening ----------------------------------------------------------------------------------- */

static int fail(char *text, int rc, const char *why)
{
    snprintf(text, TERCET_TEXT_MAX, "%s", why);
    return rc;
}

static int open_link(struct console *console, const char *address, char *text)
{
    const struct crpc_loop_options loop_options = {.size = sizeof(loop_options)};
    const struct crpc_channel_options options = {.size = sizeof(options),
                                                 .message_size_max = REPLY_BYTES_MAX};
    int rc = crpc_loop_new(&console->loop, &loop_options);
    if (rc == 0)
        rc = crpc_channel_new(&console->channel, console->loop, address, &options);
    return rc == 0 ? 0 : fail(text, TERCET_NOMEM, crpc_strerror(rc));
}

static int open_door(struct console *console, const struct console_options *options, char *text)
{
    snprintf(console->url, sizeof(console->url), "%s://%s", console->has_tls ? "https" : "http",
             console->door.address);
    struct MHD_Daemon *daemon = start_daemon(console, options->cert, options->key, options->ca);
    if (daemon == NULL)
        return fail(text, options->cert != NULL ? TERCET_TLS : TERCET_NOMEM,
                    options->cert != NULL
                        ? "the certificate or its key cannot be used for HTTPS: PEM is wanted"
                        : "the HTTP server cannot be started");
    int rc = door_open(&console->door, daemon);
    return rc == 0 ? 0 : fail(text, rc, "the HTTP server's thread cannot be started");
}

int console_open(struct console **out, struct tercet_coordinator *coordinator,
                 const struct console_options *options, char *text)
{
    struct console *console = calloc(1, sizeof(*console));
    if (console == NULL)
        return fail(text, TERCET_NOMEM, "out of memory");
    console->coordinator = coordinator;
    console->has_access = options->has_access;
    console->are_metrics_open = options->are_metrics_open;
    console->has_tls = options->cert != NULL;
    console->on_log = options->on_log;
    console->add_metrics = options->add_metrics;
    console->sessions = sessions_new();
    console->asks_certificates = options->cert != NULL && options->ca != NULL;
    if (options->secret != NULL)
        snprintf(console->secret, sizeof(console->secret), "%s", options->secret);
    int rc = door_listen(&console->door, options->address, text);
    if (rc == 0 && console->sessions == NULL)
        rc = fail(text, TERCET_NOMEM, "out of memory");
    if (rc == 0)
        rc = open_link(console, options->link, text);
    if (rc == 0)
        rc = open_door(console, options, text);
    if (rc != 0) {
        console_close(console);
        return rc;
    }
    *out = console;
    return 0;
}

const char *console_url(const struct console *console)
{
    return console->url;
}

int console_set_tls(struct console *console, const char *cert, const char *key, const char *ca,
                    char *text)
{
    if ((ca != NULL) != console->asks_certificates)
        return fail(text, TERCET_TLS, "the CA for clients cannot come or go while it runs");
    struct MHD_Daemon *daemon = start_daemon(console, cert, key, ca);
    if (daemon == NULL)
        return fail(text, TERCET_TLS, "the certificate or its key cannot be used for HTTPS");
    MHD_stop_daemon(door_replace(&console->door, daemon));
    return 0;
}

void console_close(struct console *console)
{
    if (console == NULL)
        return;
    door_close(&console->door);
    if (console->door.daemon != NULL)
        MHD_stop_daemon(console->door.daemon);
    if (console->channel != NULL)
        crpc_channel_free(console->channel);
    if (console->loop != NULL)
        crpc_loop_free(console->loop);
    sessions_free(console->sessions);
    pthread_mutex_destroy(&console->door.lock);
    pthread_mutex_destroy(&console->door.handing);
    free(console);
}
