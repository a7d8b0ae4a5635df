/* SPDX-License-Identifier: Apache-2.0
 *
 * A collector of spans, that takes, refuses or hangs as it is told, and keeps what it has taken.
 */
#ifndef TERCET_TESTS_COLLECTOR_H
#define TERCET_TESTS_COLLECTOR_H

#include "fixture.h"

#include <collector.pb-c.h>

#define REQUESTS_MAX 512

enum collector_mode { COLLECTOR_TAKES, COLLECTOR_HANGS, COLLECTOR_REFUSES, COLLECTOR_IS_FULL };

struct collector {
    struct crpc_loop *loop;
    struct crpc_server *server;
    pthread_mutex_t lock;
    enum collector_mode mode;
    const struct crpc_tls *tls; /* set before it is opened; NULL: plaintext */
    struct crpc_call *hanging;
    Collector__Request *requests[REQUESTS_MAX]; /* that were taken */
    size_t count;
    unsigned asked; /* exports, whatever came of them */
    char token[64]; /* of the last one: "authorization" */
    char url[96];   /* for --otlp */
};

/* Listens at a free port, or again where it was. */
void collector_open(struct collector *collector);
void collector_set(struct collector *collector, enum collector_mode mode);
/* Goes away, with what it has taken. */
void collector_close(struct collector *collector);
/* What it has taken stays. */
void collector_leave(struct collector *collector);

/* Waits until it has a span of this name in the transaction. */
const Collector__Span *collector_await(struct collector *collector, const char *gid,
                                       const char *name);
/* The i-th of the transaction's spans of this name (NULL: of any), in the order in which they came;
 * NULL past the last. */
const Collector__Span *collector_find(struct collector *collector, const char *gid,
                                      const char *name, size_t i);
unsigned collector_asked(struct collector *collector);
size_t collector_count(struct collector *collector); /* of spans */

/* "" and -1: it has no such attribute. */
const char *span_text(const Collector__Span *span, const char *key);
int64_t span_number(const Collector__Span *span, const char *key);
/* Digits. One at a time of four. */
const char *hex(const ProtobufCBinaryData *id);

#endif
