/* SPDX-License-Identifier: Apache-2.0
 *
 * The console's own line to the coordinator: a gRPC client as any other, with the token of whoever
 * asks, so that rights, texts and what is written down are those of everybody.
 */
#include "parts.h"

#include <stdio.h>
#include <string.h>

#define TIMEOUT_MS 8000 /* shorter than a request may take */
#define ENTRIES_MAX 4
#define AUTHORIZATION_SIZE 512
#define BEARER "Bearer "

bool link_is_token(const char *text)
{
    const size_t size = strlen(text);
    for (size_t i = 0; i < size; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return false;
    return size > 0 && size + sizeof(BEARER) <= AUTHORIZATION_SIZE;
}

static void add(struct crpc_call_options *options, struct crpc_metadata *entries, const char *key,
                const char *value)
{
    entries[options->metadata_count++] =
        (struct crpc_metadata){.key = key, .value = {value, strlen(value)}};
}

/* The metadata that say who asks; `authorization` has AUTHORIZATION_SIZE bytes. */
static void identify(struct crpc_call_options *options, struct crpc_metadata entries[ENTRIES_MAX],
                     char *authorization, const struct console *console,
                     const struct link_caller *caller)
{
    options->metadata = entries;
    if (caller->token != NULL) {
        snprintf(authorization, AUTHORIZATION_SIZE, BEARER "%s", caller->token);
        add(options, entries, "authorization", authorization);
    }
    if (caller->names[0] != '\0') {
        add(options, entries, "tercet-own-secret", console->secret);
        add(options, entries, "tercet-identities", caller->names);
    }
    if (caller->says != NULL)
        add(options, entries, "tercet-operator-bin", caller->says);
}

int link_call(ProtobufCMessage **reply, struct console *console,
              const ProtobufCServiceDescriptor *service, const char *method,
              const ProtobufCMessage *request, const struct link_caller *caller, char *text)
{
    char authorization[AUTHORIZATION_SIZE];
    struct crpc_metadata entries[ENTRIES_MAX];
    struct crpc_result result = {0};
    struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = TIMEOUT_MS};
    if (caller->token != NULL && !link_is_token(caller->token)) {
        snprintf(text, CRPC_STATUS_TEXT_MAX + 1, "a token is one word of printable ASCII");
        return CRPC_UNAUTHENTICATED;
    }
    identify(&options, entries, authorization, console, caller);
    int rc = crpc_unary(reply, console->channel, service, method, request, &options, &result);
    int code = rc == CRPC_ESTATUS ? (int)result.code : CRPC_INTERNAL;
    if (rc == 0)
        code = CRPC_OK;
    else
        snprintf(text, CRPC_STATUS_TEXT_MAX + 1, "%s",
                 rc == CRPC_ESTATUS ? result.message : crpc_strerror(rc));
    crpc_result_clear(&result);
    return code;
}

unsigned link_http_status(int code)
{
    static const unsigned statuses[] = {
        [CRPC_OK] = 200,
        [CRPC_CANCELLED] = 503,
        [CRPC_UNKNOWN] = 500,
        [CRPC_INVALID_ARGUMENT] = 400,
        [CRPC_DEADLINE_EXCEEDED] = 504,
        [CRPC_NOT_FOUND] = 404,
        [CRPC_ALREADY_EXISTS] = 409,
        [CRPC_PERMISSION_DENIED] = 403,
        [CRPC_RESOURCE_EXHAUSTED] = 429,
        [CRPC_FAILED_PRECONDITION] = 409,
        [CRPC_ABORTED] = 409,
        [CRPC_OUT_OF_RANGE] = 400,
        [CRPC_UNIMPLEMENTED] = 501,
        [CRPC_INTERNAL] = 500,
        [CRPC_UNAVAILABLE] = 503,
        [CRPC_DATA_LOSS] = 500,
        [CRPC_UNAUTHENTICATED] = 401,
    };
    const size_t count = sizeof(statuses) / sizeof(statuses[0]);
    return code >= 0 && (size_t)code < count ? statuses[code] : 500;
}
