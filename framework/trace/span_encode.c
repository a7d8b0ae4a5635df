/* SPDX-License-Identifier: Apache-2.0
 *
 * span.h: a span as a message of OTLP.
 */
#include "span.h"

#include <stdlib.h>
#include <string.h>
#include <tercet/otlp/trace.pb-c.h>

#define OTLP(name) Opentelemetry__Proto__Collector__Trace__V1__##name
#define NS_PER_MS 1000000u

/* An attribute as a message. */
struct attribute {
    OTLP(KeyValue) pair;
    OTLP(AnyValue) value;
};

static OTLP(KeyValue) * fill_attribute(struct attribute *out, const struct span_attribute *from)
{
    opentelemetry__proto__collector__trace__v1__key_value__init(&out->pair);
    opentelemetry__proto__collector__trace__v1__any_value__init(&out->value);
    out->pair.key = (char *)(uintptr_t)from->key;
    out->pair.value = &out->value;
    out->value.value_case =
        from->text != NULL
            ? OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__ANY_VALUE__VALUE_STRING_VALUE
            : OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__ANY_VALUE__VALUE_INT_VALUE;
    if (from->text != NULL)
        out->value.string_value = (char *)(uintptr_t)from->text;
    else
        out->value.int_value = from->number;
    return &out->pair;
}

static uint64_t nanoseconds(int64_t ms)
{
    return ms > 0 ? (uint64_t)ms * NS_PER_MS : 0;
}

/* An event as a message. */
struct event {
    OTLP(Event) message;
    struct attribute detail;
    OTLP(KeyValue) * pair;
};

static OTLP(Event) * fill_event(struct event *out, const struct span_event *from)
{
    opentelemetry__proto__collector__trace__v1__event__init(&out->message);
    out->message.name = (char *)(uintptr_t)from->name;
    out->message.time_unix_nano = nanoseconds(from->at_ms);
    if (from->detail.key != NULL) {
        out->pair = fill_attribute(&out->detail, &from->detail);
        out->message.attributes = &out->pair;
        out->message.n_attributes = 1;
    }
    return &out->message;
}

static void fill_head(OTLP(Span) * message, const struct span *span)
{
    static const uint8_t none[SPAN_ID_SIZE];
    const bool has_parent = memcmp(span->parent_id, none, SPAN_ID_SIZE) != 0;
    message->trace_id.data = (uint8_t *)(uintptr_t)span->context.trace_id;
    message->trace_id.len = TRACE_ID_SIZE;
    message->span_id.data = (uint8_t *)(uintptr_t)span->context.span_id;
    message->span_id.len = SPAN_ID_SIZE;
    message->parent_span_id.data = (uint8_t *)(uintptr_t)span->parent_id;
    message->parent_span_id.len = has_parent ? SPAN_ID_SIZE : 0;
    message->flags = span->context.flags;
    message->name = (char *)(uintptr_t)span->name;
    message->kind = (OTLP(SpanKind))span->kind;
    if (span->state != NULL)
        message->trace_state = (char *)(uintptr_t)span->state;
    message->start_time_unix_nano = nanoseconds(span->start_ms);
    message->end_time_unix_nano =
        nanoseconds(span->end_ms > span->start_ms ? span->end_ms : span->start_ms);
}

static ProtobufCBinaryData pack(const OTLP(Span) * message)
{
    ProtobufCBinaryData out = {.data = malloc(protobuf_c_message_get_packed_size(&message->base))};
    if (out.data != NULL)
        out.len = protobuf_c_message_pack(&message->base, out.data);
    return out;
}

ProtobufCBinaryData span_encode(const struct span *span)
{
    OTLP(Span) message = OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__SPAN__INIT;
    OTLP(Status) status = OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__STATUS__INIT;
    struct attribute attributes[SPAN_ATTRIBUTES_MAX];
    OTLP(KeyValue) * pairs[SPAN_ATTRIBUTES_MAX];
    struct event events[SPAN_EVENTS_MAX];
    OTLP(Event) * happened[SPAN_EVENTS_MAX];
    fill_head(&message, span);
    for (size_t i = 0; i < span->attribute_count; i++)
        pairs[i] = fill_attribute(&attributes[i], &span->attributes[i]);
    for (size_t i = 0; i < span->event_count; i++)
        happened[i] = fill_event(&events[i], &span->events[i]);
    message.attributes = pairs;
    message.n_attributes = span->attribute_count;
    message.events = happened;
    message.n_events = span->event_count;
    if (span->error != NULL) {
        status.code = OPENTELEMETRY__PROTO__COLLECTOR__TRACE__V1__STATUS_CODE__STATUS_CODE_ERROR;
        status.message = (char *)(uintptr_t)span->error;
        message.status = &status;
    }
    return pack(&message);
}
