/* SPDX-License-Identifier: Apache-2.0
 *
 * runtime.h: the way to the coordinator.
 */
#include "runtime.h"

#include <check.h>
#include <status.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A coordinator permits a ping in 5 s: one that has vanished is noticed in less than a minute. */
#define KEEPALIVE_MS 30000

/* gRPC's own lines say nothing that the status of a stream does not; libraries do not print. */
static void drop_line(bool is_error, const char *text, void *ctx)
{
    (void)is_error;
    (void)text;
    (void)ctx;
}

static int check_coordinator(const char *coordinator, char *text)
{
    const char *colon = coordinator != NULL ? strrchr(coordinator, ':') : NULL;
    if (colon != NULL && colon != coordinator && colon[1] != '\0')
        return 0;
    runtime_text(
        text, "a coordinator's address is \"host:port\", \"dns:///host:port\" or \"unix:/path\"");
    return TERCET_ADDRESS;
}

static int check_credentials(const struct runtime_credentials *given, char *text)
{
    const char *why = check_tls_client(given->tls_ca, given->tls_cert, given->tls_key);
    if (why == NULL)
        return 0;
    runtime_text(text, "%s", why);
    return TERCET_TLS;
}

static int make_authorization(char **out, const char *token, char *text)
{
    if (token == NULL)
        return 0;
    if (token[0] == '\0' || check_metadata_entry("token", token) != NULL) {
        runtime_text(text, "a token is printable ASCII, and not empty");
        return TERCET_INVALID;
    }
    size_t size = strlen(token) + sizeof("Bearer ");
    *out = malloc(size);
    if (*out == NULL)
        return TERCET_NOMEM;
    snprintf(*out, size, "Bearer %s", token);
    return 0;
}

static int make_channel(struct runtime_link *link, const char *coordinator,
                        const struct runtime_credentials *given)
{
    struct crpc_tls tls = {.size = sizeof(tls), .cert = given->tls_cert, .key = given->tls_key};
    struct crpc_channel_options options = {.size = sizeof(options), .keepalive_ms = KEEPALIVE_MS};
    if (given->tls_ca != NULL) {
        tls.ca = given->tls_ca[0] != '\0' ? given->tls_ca : NULL;
        options.tls = &tls;
    }
    return error_of_crpc(crpc_channel_new(&link->channel, link->loop, coordinator, &options));
}

int runtime_link_open(struct runtime_link *out, const char *coordinator,
                      const struct runtime_credentials *credentials, char *text)
{
    struct crpc_loop_options loop_options = {.size = sizeof(loop_options), .on_log = drop_line};
    struct runtime_link link = {.fork_count = tercet_runtime_fork_count()};
    int rc = check_coordinator(coordinator, text);
    if (rc == 0)
        rc = check_credentials(credentials, text);
    if (rc == 0)
        rc = make_authorization(&link.authorization, credentials->token, text);
    if (rc != 0)
        return rc;
    /* one peer's burst is worked off by one of them, and the others' calls by the other */
    loop_options.threads = credentials->listens ? 2 : 1;
    rc = error_of_crpc(crpc_loop_new(&link.loop, &loop_options));
    if (rc == 0)
        rc = make_channel(&link, coordinator, credentials);
    if (rc != 0) {
        runtime_text(text, "%s", tercet_strerror(rc));
        runtime_link_close(&link);
        return rc;
    }
    *out = link;
    return 0;
}

bool runtime_link_is_forked(const struct runtime_link *link)
{
    return tercet_runtime_fork_count() != link->fork_count;
}

void runtime_link_disconnect(struct runtime_link *link)
{
    crpc_channel_free(link->channel);
    link->channel = NULL;
}

void runtime_link_close(struct runtime_link *link)
{
    runtime_link_disconnect(link);
    crpc_loop_free(link->loop);
    free(link->authorization);
    *link = (struct runtime_link){.loop = NULL};
}

/* Fills `entry`, which must live as long as the options. */
static struct crpc_call_options call_options(const struct runtime_link *link,
                                             struct crpc_metadata *entry)
{
    struct crpc_call_options options = {.size = sizeof(options)};
    if (link->authorization != NULL) {
        *entry = (struct crpc_metadata){
            .key = "authorization", .value = {link->authorization, strlen(link->authorization)}};
        options.metadata = entry;
        options.metadata_count = 1;
    }
    return options;
}

int runtime_link_stream(struct crpc_call **out, struct runtime_link *link,
                        const ProtobufCServiceDescriptor *service, const char *method,
                        const struct crpc_call_events *events, void *ctx)
{
    struct crpc_metadata entry;
    struct crpc_call_options options = call_options(link, &entry);
    return crpc_call_open(out, link->channel, service, method, &options, events, ctx);
}

int runtime_link_unary(struct runtime_link *link, const ProtobufCServiceDescriptor *service,
                       const char *method, const ProtobufCMessage *request, int64_t timeout_ms,
                       crpc_unary_fn done, void *ctx)
{
    struct crpc_metadata entry;
    struct crpc_call_options options = call_options(link, &entry);
    options.timeout_ms = timeout_ms;
    return crpc_unary_start(NULL, link->channel, service, method, request, &options, done, ctx);
}

int runtime_link_ask(ProtobufCMessage **reply, struct runtime_link *link,
                     const ProtobufCServiceDescriptor *service, const char *method,
                     const ProtobufCMessage *request, int64_t timeout_ms, char *text)
{
    struct crpc_metadata entry;
    struct crpc_result result = {.code = CRPC_OK};
    struct crpc_call_options options = call_options(link, &entry);
    options.timeout_ms = timeout_ms;
    int rc = crpc_unary(reply, link->channel, service, method, request, &options, &result);
    int error = rc == CRPC_ESTATUS ? error_of_status(result.code) : error_of_crpc(rc);
    if (rc == CRPC_ESTATUS)
        runtime_text(text, "%s (%s)", result.message, crpc_code_name(result.code));
    else if (rc != 0)
        runtime_text(text, "%s", crpc_strerror(rc));
    crpc_result_clear(&result);
    return error;
}

bool runtime_is_denial(enum crpc_code code)
{
    return code == CRPC_UNAUTHENTICATED || code == CRPC_PERMISSION_DENIED ||
           code == CRPC_INVALID_ARGUMENT;
}
