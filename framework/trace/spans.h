/* SPDX-License-Identifier: Apache-2.0
 *
 * Spans that wait to be exported: a queue that is bounded in bytes and whose lock is held for an
 * instant, so that whoever puts one in never waits for a collector. What finds no room is dropped
 * and counted.
 */
#ifndef TERCET_SPANS_H
#define TERCET_SPANS_H

#include "span.h"

#include <pthread.h>

#define SPANS_BATCH_MAX 512            /* that are exported at once, */
#define SPANS_BATCH_BYTES (512u << 10) /* and what they take in memory, but for the last */
#define SPANS_LINGER_MS 500            /* how long the first of a batch waits for others */

/* Since the start. */
struct spans_counts {
    uint64_t exported;    /* the collector has them */
    uint64_t dropped;     /* there was no room */
    uint64_t failed;      /* the collector refused them, or could not be reached for long */
    size_t waiting_bytes; /* now */
};

struct spans {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a batch is full, or it ends */
    struct span *first;
    struct span **last_next;
    size_t count;
    size_t bytes;
    size_t bytes_max;
    int64_t since_ms; /* monotonic: when the first of those that wait came */
    bool is_ending;
    struct spans_counts counts;
};

void spans_init(struct spans *spans, size_t bytes_max);
/* Frees what is left. */
void spans_destroy(struct spans *spans);

/* Copies it. Any thread. */
void spans_put(struct spans *spans, const struct span *span);

/* Waits for a batch: until it is full, its first has waited for SPANS_LINGER_MS, or it ends. A
 * list; NULL: it ends, and none are left. They count as waiting until they are given back. */
struct span *spans_take(struct spans *spans);
/* Frees a batch: so many of it have been exported, the others failed. */
void spans_give_back(struct spans *spans, struct span *batch, size_t exported);

/* Waits for `ms`, or until it ends. Returns whether it ends. */
bool spans_rest(struct spans *spans, int64_t ms);
/* What waits is to be sent at once, and nothing more comes. */
void spans_end(struct spans *spans);

struct spans_counts spans_read(struct spans *spans);

#endif
