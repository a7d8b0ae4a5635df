/* SPDX-License-Identifier: Apache-2.0
 *
 * spans.h
 */
#include "spans.h"

#include <assert.h>
#include <clock.h>
#include <stdlib.h>
#include <string.h>

void spans_init(struct spans *spans, size_t bytes_max)
{
    pthread_condattr_t attributes;
    memset(spans, 0, sizeof(*spans));
    spans->bytes_max = bytes_max;
    spans->last_next = &spans->first;
    pthread_mutex_init(&spans->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&spans->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void free_all(struct span *first)
{
    while (first != NULL) {
        struct span *span = first;
        first = span->next;
        free(span);
    }
}

void spans_destroy(struct spans *spans)
{
    free_all(spans->first);
    pthread_cond_destroy(&spans->changed);
    pthread_mutex_destroy(&spans->lock);
}

/* -- Putting ----------------------------------------------------------------------------------- */

static bool is_full(const struct spans *spans)
{
    return spans->count > 0 &&
           (spans->count >= SPANS_BATCH_MAX || spans->bytes >= SPANS_BATCH_BYTES);
}

/* Takes the copy over. */
static void add(struct spans *spans, struct span *copy)
{
    const bool was_full = is_full(spans);
    if (spans->count++ == 0)
        spans->since_ms = clock_monotonic_ms();
    *spans->last_next = copy;
    spans->last_next = &copy->next;
    /* the thread looks by itself when the first has waited long enough */
    if (spans->count == 1 || (!was_full && is_full(spans)))
        pthread_cond_signal(&spans->changed);
}

/* Counts its size before it is copied: so a full queue costs no copy. */
static bool take_room(struct spans *spans, size_t size)
{
    if (size > spans->bytes_max - spans->bytes) {
        spans->counts.dropped++;
        return false;
    }
    spans->bytes += size;
    return true;
}

void spans_put(struct spans *spans, const struct span *span)
{
    const size_t size = span_size(span);
    pthread_mutex_lock(&spans->lock);
    bool has_room = take_room(spans, size);
    pthread_mutex_unlock(&spans->lock);
    if (!has_room)
        return;
    struct span *copy = span_copy(span);
    pthread_mutex_lock(&spans->lock);
    if (copy != NULL) {
        add(spans, copy);
    } else {
        spans->bytes -= size;
        spans->counts.dropped++;
    }
    pthread_mutex_unlock(&spans->lock);
}

/* -- Taking ------------------------------------------------------------------------------------ */

/* Whether there is a batch now. */
static bool is_due(const struct spans *spans)
{
    return spans->is_ending || is_full(spans) ||
           (spans->count > 0 && clock_monotonic_ms() - spans->since_ms >= SPANS_LINGER_MS);
}

static void wait_until(struct spans *spans, int64_t until_ms)
{
    const struct timespec until = clock_timespec(until_ms);
    pthread_cond_timedwait(&spans->changed, &spans->lock, &until);
}

/* Cuts the batch off the queue. */
static struct span *cut(struct spans *spans)
{
    struct span *batch = spans->first, **end = &spans->first;
    size_t bytes = 0, count = 0;
    for (; *end != NULL && count < SPANS_BATCH_MAX && bytes < SPANS_BATCH_BYTES; count++) {
        bytes += (*end)->size;
        end = &(*end)->next;
    }
    spans->first = *end;
    *end = NULL;
    if (spans->first == NULL)
        spans->last_next = &spans->first;
    spans->count -= count;
    spans->since_ms = clock_monotonic_ms();
    return batch;
}

struct span *spans_take(struct spans *spans)
{
    pthread_mutex_lock(&spans->lock);
    while (!is_due(spans)) {
        if (spans->count > 0)
            wait_until(spans, spans->since_ms + SPANS_LINGER_MS);
        else
            pthread_cond_wait(&spans->changed, &spans->lock);
    }
    struct span *batch = spans->count > 0 ? cut(spans) : NULL;
    pthread_mutex_unlock(&spans->lock);
    return batch;
}

void spans_give_back(struct spans *spans, struct span *batch, size_t exported)
{
    size_t bytes = 0, count = 0;
    for (const struct span *span = batch; span != NULL; span = span->next, count++)
        bytes += span->size;
    assert(exported <= count);
    free_all(batch);
    pthread_mutex_lock(&spans->lock);
    assert(bytes <= spans->bytes);
    spans->bytes -= bytes;
    spans->counts.exported += exported;
    spans->counts.failed += count - exported;
    pthread_mutex_unlock(&spans->lock);
}

bool spans_rest(struct spans *spans, int64_t ms)
{
    const int64_t until_ms = clock_monotonic_ms() + ms;
    pthread_mutex_lock(&spans->lock);
    while (!spans->is_ending && clock_monotonic_ms() < until_ms)
        wait_until(spans, until_ms);
    bool is_ending = spans->is_ending;
    pthread_mutex_unlock(&spans->lock);
    return is_ending;
}

void spans_end(struct spans *spans)
{
    pthread_mutex_lock(&spans->lock);
    spans->is_ending = true;
    pthread_cond_broadcast(&spans->changed);
    pthread_mutex_unlock(&spans->lock);
}

struct spans_counts spans_read(struct spans *spans)
{
    pthread_mutex_lock(&spans->lock);
    struct spans_counts counts = spans->counts;
    counts.waiting_bytes = spans->bytes;
    pthread_mutex_unlock(&spans->lock);
    return counts;
}
