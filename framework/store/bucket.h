/* SPDX-License-Identifier: Apache-2.0
 *
 * The buckets of resolved records: spans of wall-clock time that never overlap, also when the width
 * was another one in an earlier run. What is in a bucket belongs to the driver (`state`). Not
 * locked here.
 */
#ifndef TERCET_STORE_BUCKET_H
#define TERCET_STORE_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store.h"

#define BUCKET_WIDTH_DEFAULT_MS (INT64_C(24) * 3600 * 1000)

/* [start_ms, end_ms) */
struct bucket {
    int64_t start_ms;
    int64_t end_ms;
    void *state;
};

struct buckets {
    struct bucket *items; /* by start_ms, ascending */
    size_t count;
    size_t capacity;
    int64_t width_ms;
};

void buckets_init(struct buckets *buckets, int64_t width_ms);

/* Frees the array, not what the driver has in the buckets. */
void buckets_clear(struct buckets *buckets);

/* The bucket of this time, or NULL when it is to be made. When TERCET_STORE_BUCKETS_MAX exist it is
 * the newest one: a resolve is never refused. */
struct bucket *buckets_find(const struct buckets *buckets, int64_t time_ms);

/* The span of the bucket to be made for this time; state is NULL. */
struct bucket buckets_span(const struct buckets *buckets, int64_t time_ms);

/* Returns 0, TERCET_STORE_NOMEM, or TERCET_STORE_CORRUPT when the span overlaps another. */
int buckets_insert(struct buckets *buckets, const struct bucket *bucket);

void buckets_remove(struct buckets *buckets, size_t index);

/* Where a page goes on: the buckets below the returned index are still to be read, the highest
 * first. *below is set to the number below which its records are still to be read. */
size_t buckets_resume(const struct buckets *buckets, const struct tercet_store_cursor *cursor,
                      uint64_t *below);

#endif
