/* SPDX-License-Identifier: Apache-2.0
 *
 * bucket.h: a sorted array.
 */
#include "bucket.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Far from overflow, and later than any clock will say. */
#define TIME_MAX_MS (INT64_MAX / 4)

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
    if (value < low)
        return low;
    return value > high ? high : value;
}

void buckets_init(struct buckets *buckets, int64_t width_ms)
{
    memset(buckets, 0, sizeof(*buckets));
    buckets->width_ms = width_ms > 0 ? clamp(width_ms, 1, TIME_MAX_MS) : BUCKET_WIDTH_DEFAULT_MS;
}

void buckets_clear(struct buckets *buckets)
{
    free(buckets->items);
    buckets->items = NULL;
    buckets->count = 0;
    buckets->capacity = 0;
}

/* How many buckets start at or before this time. */
static size_t started(const struct buckets *buckets, int64_t time_ms)
{
    size_t low = 0;
    size_t high = buckets->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (buckets->items[middle].start_ms <= time_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct bucket *buckets_find(const struct buckets *buckets, int64_t time_ms)
{
    int64_t time = clamp(time_ms, 0, TIME_MAX_MS);
    size_t index = started(buckets, time);
    if (index > 0 && time < buckets->items[index - 1].end_ms)
        return &buckets->items[index - 1];
    return buckets->count >= TERCET_STORE_BUCKETS_MAX ? &buckets->items[buckets->count - 1] : NULL;
}

struct bucket buckets_span(const struct buckets *buckets, int64_t time_ms)
{
    int64_t time = clamp(time_ms, 0, TIME_MAX_MS);
    struct bucket span = {.start_ms = time - time % buckets->width_ms};
    span.end_ms = span.start_ms + buckets->width_ms;
    size_t index = started(buckets, time);
    if (index > 0 && buckets->items[index - 1].end_ms > span.start_ms)
        span.start_ms = buckets->items[index - 1].end_ms;
    if (index < buckets->count && buckets->items[index].start_ms < span.end_ms)
        span.end_ms = buckets->items[index].start_ms;
    assert(span.start_ms <= time && time < span.end_ms);
    return span;
}

static int reserve(struct buckets *buckets)
{
    if (buckets->count < buckets->capacity)
        return 0;
    size_t capacity = buckets->capacity == 0 ? 16 : buckets->capacity * 2;
    struct bucket *items = realloc(buckets->items, capacity * sizeof(*items));
    if (items == NULL)
        return TERCET_STORE_NOMEM;
    buckets->items = items;
    buckets->capacity = capacity;
    return 0;
}

int buckets_insert(struct buckets *buckets, const struct bucket *bucket)
{
    size_t index = started(buckets, bucket->start_ms);
    if (bucket->start_ms >= bucket->end_ms)
        return TERCET_STORE_CORRUPT;
    if (index > 0 && buckets->items[index - 1].end_ms > bucket->start_ms)
        return TERCET_STORE_CORRUPT;
    if (index < buckets->count && buckets->items[index].start_ms < bucket->end_ms)
        return TERCET_STORE_CORRUPT;
    if (reserve(buckets) != 0)
        return TERCET_STORE_NOMEM;
    memmove(&buckets->items[index + 1], &buckets->items[index],
            (buckets->count - index) * sizeof(*bucket));
    buckets->items[index] = *bucket;
    buckets->count++;
    return 0;
}

void buckets_remove(struct buckets *buckets, size_t index)
{
    assert(index < buckets->count);
    buckets->count--;
    memmove(&buckets->items[index], &buckets->items[index + 1],
            (buckets->count - index) * sizeof(struct bucket));
}

size_t buckets_resume(const struct buckets *buckets, const struct tercet_store_cursor *cursor,
                      uint64_t *below)
{
    *below = UINT64_MAX;
    if (cursor->bucket_ms == 0 && cursor->number == 0)
        return buckets->count;
    size_t index = started(buckets, cursor->bucket_ms);
    if (index > 0 && buckets->items[index - 1].start_ms == cursor->bucket_ms)
        *below = cursor->number;
    return index;
}
