/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd_store.h: calls of etcd's members, and what their statuses mean for what was asked.
 */
#include "etcd_store.h"

#include <clock.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_MAX (64u * 1024 * 1024) /* a page of the largest chunks */

int etcd_call_open(struct etcd_store *store, char *text)
{
    const struct crpc_loop_options loop_options = {.size = sizeof(loop_options), .threads = 1};
    const struct crpc_channel_options options = {
        .size = sizeof(options), .message_size_max = MESSAGE_MAX, .own_connection = true};
    if (crpc_loop_new(&store->loop, &loop_options) != 0)
        return etcd_fail(text, TERCET_STORE_NOMEM, "no thread can be started for calls of etcd");
    for (size_t i = 0; i < store->name.endpoint_count; i++) {
        int rc =
            crpc_channel_new(&store->channels[i], store->loop, store->name.endpoints[i], &options);
        if (rc != 0)
            return etcd_fail(text, TERCET_STORE_INVALID, "%s: %s", store->name.endpoints[i],
                             crpc_strerror(rc));
    }
    return 0;
}

void etcd_call_close(struct etcd_store *store)
{
    for (size_t i = 0; i < store->name.endpoint_count; i++)
        if (store->channels[i] != NULL)
            crpc_channel_free(store->channels[i]);
    if (store->loop != NULL)
        crpc_loop_free(store->loop);
}

static bool says(const char *message, const char *words)
{
    return message != NULL && strstr(message, words) != NULL;
}

/* What certainly was not proposed is REFUSED; where that is not certain there is no answer. */
static enum etcd_outcome outcome_of(const struct crpc_result *result)
{
    switch (result->code) {
    case CRPC_OK:
        return ETCD_OK;
    case CRPC_RESOURCE_EXHAUSTED:
        return says(result->message, "space exceeded") ? ETCD_NO_SPACE : ETCD_NO_ANSWER;
    case CRPC_OUT_OF_RANGE:
        return ETCD_COMPACTED;
    case CRPC_INVALID_ARGUMENT:
    case CRPC_NOT_FOUND:
    case CRPC_PERMISSION_DENIED:
    case CRPC_UNAUTHENTICATED:
    case CRPC_UNIMPLEMENTED:
        return ETCD_REFUSED;
    default:
        return ETCD_NO_ANSWER;
    }
}

static const char *advice(const struct crpc_result *result)
{
    if (result->code == CRPC_UNIMPLEMENTED)
        return ": is that etcd, and of version 3.4 or later?";
    if (says(result->message, "too many operations"))
        return ": start etcd with --max-txn-ops=128, its default, or more";
    if (says(result->message, "too large"))
        return ": start etcd with --max-request-bytes=1572864, its default, or more";
    if (says(result->message, "space exceeded"))
        return ": etcd is full: etcdctl compact, then defrag and alarm disarm; or a larger "
               "--quota-backend-bytes";
    if (says(result->message, "user name is empty") || says(result->message, "permission denied"))
        return ": etcd wants a user, and this program has none: permit everybody at the prefix's "
               "etcd, or give Tercet an etcd of its own";
    return "";
}

static void explain(char *text, const char *endpoint, const struct crpc_result *result)
{
    etcd_fail(text, 0, "etcd at %.60s: %.100s%s", endpoint,
              result->message != NULL && result->message[0] != '\0' ? result->message
                                                                    : crpc_code_name(result->code),
              advice(result));
}

enum etcd_outcome etcd_call_once(struct etcd_store *store, ProtobufCMessage **reply,
                                 const ProtobufCServiceDescriptor *service, const char *method,
                                 const ProtobufCMessage *request, char *text)
{
    const struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = ETCD_CALL_MS};
    struct crpc_result result = {.code = CRPC_OK};
    size_t at = atomic_load(&store->current);
    int rc = crpc_unary(reply, store->channels[at], service, method, request, &options, &result);
    if (rc == 0) {
        crpc_result_clear(&result);
        return ETCD_OK;
    }
    enum etcd_outcome outcome = rc == CRPC_ESTATUS ? outcome_of(&result) : ETCD_NO_ANSWER;
    if (rc == CRPC_ESTATUS)
        explain(text, store->name.endpoints[at], &result);
    else
        etcd_fail(text, 0, "etcd at %.60s: %s", store->name.endpoints[at], crpc_strerror(rc));
    if (outcome == ETCD_NO_ANSWER)
        atomic_compare_exchange_strong(&store->current, &at, (at + 1) % store->name.endpoint_count);
    crpc_result_clear(&result);
    return outcome;
}

enum etcd_outcome etcd_call(struct etcd_store *store, ProtobufCMessage **reply,
                            const ProtobufCServiceDescriptor *service, const char *method,
                            const ProtobufCMessage *request, int64_t until_ms, char *text)
{
    for (;;) {
        enum etcd_outcome outcome = etcd_call_once(store, reply, service, method, request, text);
        if (outcome != ETCD_NO_ANSWER || clock_monotonic_ms() >= until_ms)
            return outcome;
        etcd_pause(ETCD_PAUSE_MS);
    }
}

/* One question and its answer: a stream that stays would have to be made again with each member. */
enum etcd_outcome etcd_keep_alive(struct etcd_store *store, int64_t id, int64_t *ttl_s, char *text)
{
    const struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = ETCD_CALL_MS};
    Etcdserverpb__LeaseKeepAliveRequest request = ETCDSERVERPB__LEASE_KEEP_ALIVE_REQUEST__INIT;
    struct crpc_stream *stream = NULL;
    struct crpc_result result = {.code = CRPC_OK};
    ProtobufCMessage *reply = NULL;
    size_t at = atomic_load(&store->current);
    request.id = id;
    int rc = crpc_stream_open(&stream, store->channels[at], &etcdserverpb__lease__descriptor,
                              "LeaseKeepAlive", &options);
    if (rc == 0)
        rc = crpc_stream_write(stream, &request.base);
    if (rc == 0)
        rc = crpc_stream_read(&reply, stream);
    if (rc == 0)
        *ttl_s = ((Etcdserverpb__LeaseKeepAliveResponse *)reply)->ttl;
    crpc_message_free(reply);
    if (stream != NULL)
        crpc_stream_finish(stream, &result);
    if (rc != 0) {
        explain(text, store->name.endpoints[at], &result);
        atomic_compare_exchange_strong(&store->current, &at, (at + 1) % store->name.endpoint_count);
    }
    crpc_result_clear(&result);
    return rc == 0 ? ETCD_OK : ETCD_NO_ANSWER;
}
