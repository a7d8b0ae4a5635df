/* SPDX-License-Identifier: Apache-2.0
 *
 * A span as OpenTelemetry has it: what was done, for how long, for whose sake, and how it ended.
 * Filled by whoever knows, copied into a queue (spans.h), encoded where it is sent. Pure.
 */
#ifndef TERCET_SPAN_H
#define TERCET_SPAN_H

#include "traceparent.h"

#include <protobuf-c/protobuf-c.h>

#define SPAN_ATTRIBUTES_MAX 12
#define SPAN_EVENTS_MAX 20

enum span_kind { SPAN_INTERNAL = 1, SPAN_SERVER = 2, SPAN_CLIENT = 3 };

struct span_attribute {
    const char *key;  /* static */
    const char *text; /* NULL: it is a number */
    int64_t number;
};

struct span_event {
    const char *name;             /* static */
    int64_t at_ms;                /* wall clock */
    struct span_attribute detail; /* key NULL: none */
};

struct span {
    struct span *next; /* of its queue */
    size_t size;       /* of all that it has in memory, once it was copied */
    struct trace_context context;
    uint8_t parent_id[SPAN_ID_SIZE]; /* all zero: it has none */
    enum span_kind kind;
    const char *name;
    const char *state; /* "tracestate"; NULL: none */
    const char *error; /* NULL: it went well */
    int64_t start_ms;  /* wall clock; one that ends before it begins is put right */
    int64_t end_ms;
    size_t attribute_count;
    size_t event_count;
    struct span_attribute *attributes;
    struct span_event *events;
};

/* A span that is being filled: with room for all that one may have. Its texts are views. */
struct span_draft {
    struct span span;
    struct span_attribute attributes[SPAN_ATTRIBUTES_MAX];
    struct span_event events[SPAN_EVENTS_MAX];
};

void span_begin(struct span_draft *draft, const char *name, enum span_kind kind);
/* Text NULL or "": nothing is added. */
void span_add_text(struct span_draft *draft, const char *key, const char *text);
void span_add_number(struct span_draft *draft, const char *key, int64_t number);
/* key NULL: without a detail. */
void span_add_event(struct span_draft *draft, const char *name, int64_t at_ms, const char *key,
                    const char *text);

/* What a copy takes. */
size_t span_size(const struct span *span);
/* One block with all its texts; free() ends it. NULL: no memory. */
struct span *span_copy(const struct span *span);

/* The span as OTLP's message Span. data is from malloc; NULL: no memory. */
ProtobufCBinaryData span_encode(const struct span *span);

#endif
