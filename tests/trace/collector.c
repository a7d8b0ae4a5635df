/* SPDX-License-Identifier: Apache-2.0
 *
 * collector.h
 */
#include "collector.h"

#include <collector_service.pb-c.h>
#include <stdio.h>
#include <stdlib.h>

/* -- Taking ------------------------------------------------------------------------------------ */

static void keep(struct collector *collector, const ProtobufCMessage *request)
{
    ProtobufCMessage *copy = NULL;
    cr_assert_lt(collector->count, REQUESTS_MAX);
    cr_assert_eq(crpc_message_copy(&copy, request), 0);
    collector->requests[collector->count++] = (Collector__Request *)copy;
}

static void note_token(struct collector *collector, struct crpc_call *call)
{
    struct crpc_bytes value;
    if (crpc_call_metadata_get(call, "authorization", &value))
        snprintf(collector->token, sizeof(collector->token), "%.*s", (int)value.size,
                 (const char *)value.data);
}

static void hang(struct collector *collector, struct crpc_call *call)
{
    crpc_call_unref(collector->hanging);
    crpc_call_ref(call);
    collector->hanging = call;
}

static void on_export(struct crpc_call *call, const ProtobufCMessage *request, void *ctx)
{
    static const Collector__Response response = COLLECTOR__RESPONSE__INIT;
    struct collector *collector = ctx;
    pthread_mutex_lock(&collector->lock);
    collector->asked++;
    note_token(collector, call);
    switch (collector->mode) {
    case COLLECTOR_TAKES:
        keep(collector, request);
        crpc_call_reply(call, &response.base);
        break;
    case COLLECTOR_HANGS:
        hang(collector, call);
        break;
    case COLLECTOR_REFUSES:
        crpc_call_fail(call, CRPC_INVALID_ARGUMENT, "not these");
        break;
    case COLLECTOR_IS_FULL:
        crpc_call_fail(call, CRPC_UNAVAILABLE, "later");
        break;
    }
    pthread_mutex_unlock(&collector->lock);
    happened();
}

/* -- Coming and going -------------------------------------------------------------------------- */

void collector_open(struct collector *collector)
{
    static const struct crpc_handler handlers[] = {
        {.method = "Export", .kind = CRPC_UNARY, .on_request = on_export}};
    struct crpc_server_options options = {.size = sizeof(options), .message_size_max = 4u << 20};
    if (collector->url[0] == '\0')
        pthread_mutex_init(&collector->lock, NULL);
    const char *address = collector->url[0] != '\0' ? collector->url + 7 : "127.0.0.1:0";
    cr_assert_eq(crpc_loop_new(&collector->loop, NULL), 0);
    cr_assert_eq(crpc_server_new(&collector->server, collector->loop, &options), 0);
    cr_assert_eq(crpc_server_add_service(
                     collector->server,
                     &opentelemetry__proto__collector__trace__v1__trace_service__descriptor,
                     handlers, 1, collector),
                 0);
    cr_assert_eq(crpc_server_listen(collector->server, address, collector->tls, NULL), 0);
    cr_assert_eq(crpc_server_start(collector->server), 0);
    snprintf(collector->url, sizeof(collector->url), "http://%s",
             crpc_server_address(collector->server, 0));
}

void collector_set(struct collector *collector, enum collector_mode mode)
{
    pthread_mutex_lock(&collector->lock);
    collector->mode = mode;
    pthread_mutex_unlock(&collector->lock);
}

void collector_leave(struct collector *collector)
{
    crpc_server_stop(collector->server, 0);
    crpc_call_unref(collector->hanging);
    collector->hanging = NULL;
    crpc_server_free(collector->server);
    crpc_loop_free(collector->loop);
}

void collector_close(struct collector *collector)
{
    collector_leave(collector);
    for (size_t i = 0; i < collector->count; i++)
        crpc_message_free(&collector->requests[i]->base);
    pthread_mutex_destroy(&collector->lock);
    memset(collector, 0, sizeof(*collector));
}

/* -- Looking ----------------------------------------------------------------------------------- */

const char *span_text(const Collector__Span *span, const char *key)
{
    for (size_t i = 0; i < span->n_attributes; i++)
        if (strcmp(span->attributes[i]->key, key) == 0 &&
            span->attributes[i]->value->value_case == COLLECTOR__ANY_VALUE__VALUE_STRING_VALUE)
            return span->attributes[i]->value->string_value;
    return "";
}

int64_t span_number(const Collector__Span *span, const char *key)
{
    for (size_t i = 0; i < span->n_attributes; i++)
        if (strcmp(span->attributes[i]->key, key) == 0 &&
            span->attributes[i]->value->value_case == COLLECTOR__ANY_VALUE__VALUE_INT_VALUE)
            return span->attributes[i]->value->int_value;
    return -1;
}

const char *hex(const ProtobufCBinaryData *id)
{
    static char texts[4][40];
    static unsigned next;
    char *text = texts[next++ % 4];
    text[0] = '\0';
    cr_assert_leq(id->len, 16);
    for (size_t i = 0; i < id->len; i++)
        snprintf(text + 2 * i, 3, "%02x", id->data[i]);
    return text;
}

static bool matches(const Collector__Span *span, const char *gid, const char *name)
{
    return (gid == NULL || strcmp(span_text(span, "tercet.gid"), gid) == 0) &&
           (name == NULL || strcmp(span->name, name) == 0);
}

/* The i-th that matches; *count gets how many there are, up to that one. */
static const Collector__Span *find(struct collector *collector, const char *gid, const char *name,
                                   size_t i, size_t *count)
{
    *count = 0;
    for (size_t r = 0; r < collector->count; r++)
        for (size_t s = 0; s < collector->requests[r]->n_resource_spans; s++) {
            const Collector__ResourceSpans *of = collector->requests[r]->resource_spans[s];
            cr_assert_eq(of->n_scope_spans, 1);
            for (size_t k = 0; k < of->scope_spans[0]->n_spans; k++)
                if (matches(of->scope_spans[0]->spans[k], gid, name) && (*count)++ == i)
                    return of->scope_spans[0]->spans[k];
        }
    return NULL;
}

const Collector__Span *collector_find(struct collector *collector, const char *gid,
                                      const char *name, size_t i)
{
    size_t count;
    pthread_mutex_lock(&collector->lock);
    const Collector__Span *span = find(collector, gid, name, i, &count);
    pthread_mutex_unlock(&collector->lock);
    return span;
}

size_t collector_count(struct collector *collector)
{
    size_t count;
    pthread_mutex_lock(&collector->lock);
    find(collector, NULL, NULL, SIZE_MAX, &count);
    pthread_mutex_unlock(&collector->lock);
    return count;
}

unsigned collector_asked(struct collector *collector)
{
    pthread_mutex_lock(&collector->lock);
    unsigned asked = collector->asked;
    pthread_mutex_unlock(&collector->lock);
    return asked;
}

const Collector__Span *collector_await(struct collector *collector, const char *gid,
                                       const char *name)
{
    const Collector__Span *span;
    AWAIT((span = collector_find(collector, gid, name, 0)) != NULL);
    return span;
}
