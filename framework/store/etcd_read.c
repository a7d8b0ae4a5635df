/* SPDX-License-Identifier: Apache-2.0
 *
 * etcd_store.h: reading for who may wait.
 */
#include "etcd_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "key.h"

#define TOMBSTONE UINT32_MAX
#define WALK_ALL SIZE_MAX

/* -- Live records ------------------------------------------------------------------------------ */

struct live_part {
    uint32_t part;
    bool is_there;
    struct etcd_buf value;
};

/* The number whose parts are being collected. */
struct scan {
    struct etcd_store *store;
    size_t skip; /* of a key, to its number */
    uint64_t number;
    struct live_part *parts;
    size_t count, capacity;
    tercet_store_scan_fn each;
    void *ctx;
};

static struct live_part *part_of(struct scan *scan, uint32_t part)
{
    for (size_t i = 0; i < scan->count; i++)
        if (scan->parts[i].part == part)
            return &scan->parts[i];
    if (scan->count == scan->capacity) {
        scan->capacity = scan->capacity > 0 ? scan->capacity * 2 : 8;
        scan->parts = realloc(scan->parts, scan->capacity * sizeof(*scan->parts));
        if (scan->parts == NULL)
            abort();
    }
    struct live_part *made = &scan->parts[scan->count++];
    *made = (struct live_part){.part = part};
    return made;
}

static void set_part(struct scan *scan, uint32_t part, const void *value, size_t size,
                     bool is_there)
{
    struct live_part *at = part_of(scan, part);
    at->is_there = is_there;
    at->value.size = 0;
    if (is_there)
        etcd_buf_add(&at->value, value, size);
}

static int compare_parts(const void *left, const void *right)
{
    const struct live_part *a = left, *b = right;
    return a->part < b->part ? -1 : a->part > b->part;
}

static int tell_number(struct scan *scan)
{
    int rc = 0;
    if (scan->count == 0)
        return 0;
    qsort(scan->parts, scan->count, sizeof(*scan->parts), compare_parts);
    for (size_t i = 0; i < scan->count; i++) {
        struct live_part *part = &scan->parts[i];
        if (rc == 0 && part->is_there)
            rc =
                scan->each(scan->number, part->part, part->value.size > 0 ? part->value.data : NULL,
                           part->value.size, scan->ctx);
        etcd_buf_free(&part->value);
    }
    scan->count = 0;
    return rc;
}

static int take_group(struct scan *scan, const unsigned char *value, size_t size)
{
    while (size > 0) {
        if (size < 8)
            return TERCET_STORE_CORRUPT;
        uint32_t part = (uint32_t)key_decode(value, 4);
        uint32_t length = (uint32_t)key_decode(value + 4, 4);
        bool is_there = length != TOMBSTONE;
        size_t taken = 8 + (is_there ? length : 0);
        if (taken > size)
            return TERCET_STORE_CORRUPT;
        set_part(scan, part, value + 8, is_there ? length : 0, is_there);
        value += taken;
        size -= taken;
    }
    return 0;
}

static int take_live(const char *key, size_t key_size, const unsigned char *value, size_t size,
                     void *ctx)
{
    struct scan *scan = ctx;
    uint64_t number, slot;
    int rc = 0;
    if (!etcd_key_read(&number, key, key_size, scan->skip) ||
        !etcd_key_read(&slot, key, key_size, scan->skip + 17))
        return TERCET_STORE_CORRUPT;
    if (number != scan->number)
        rc = tell_number(scan);
    scan->number = number;
    if (rc != 0)
        return rc;
    if (slot != 0)
        return take_group(scan, value, size);
    set_part(scan, 0, value, size, true);
    return 0;
}

int etcd_store_scan(void *state, uint32_t shard, uint64_t from, uint64_t to,
                    tercet_store_scan_fn each, void *ctx)
{
    struct etcd_key first, past;
    struct scan scan = {.store = state, .each = each, .ctx = ctx};
    (void)shard;
    etcd_key_shard(&first, state, "live/");
    scan.skip = first.size;
    etcd_key_live(&first, state, from, 0);
    etcd_key_live(&past, state, to, UINT64_MAX);
    int rc = etcd_walk(state, &first, &past, from == to ? 64 : WALK_ALL, take_live, &scan);
    if (rc == 0)
        rc = tell_number(&scan);
    for (size_t i = 0; i < scan.count; i++)
        etcd_buf_free(&scan.parts[i].value);
    free(scan.parts);
    return rc;
}

/* -- Resolved records -------------------------------------------------------------------------- */

struct page {
    struct tercet_store_cursor *cursor;
    int64_t bucket_ms;
    size_t limit, count;
    tercet_store_page_fn each;
    void *ctx;
};

#define PAGE_IS_FULL INT32_MAX

static int take_done(const char *key, size_t key_size, const unsigned char *value, size_t size,
                     void *ctx)
{
    struct page *page = ctx;
    uint64_t complement;
    if (page->count == page->limit)
        return PAGE_IS_FULL;
    if (key_size < 16 || !etcd_key_read(&complement, key, key_size, key_size - 16))
        return TERCET_STORE_CORRUPT;
    int rc = page->each(~complement, value, size, page->ctx);
    if (rc != 0)
        return rc;
    page->cursor->bucket_ms = page->bucket_ms;
    page->cursor->number = ~complement;
    page->count++;
    return 0;
}

static int page_bucket(struct etcd_store *store, struct page *page, uint64_t id, uint64_t below)
{
    struct etcd_key from, to;
    etcd_key_done(&from, store, id, below - 1);
    etcd_key_of_bucket(&to, store, "done", id);
    etcd_key_past(&to, &to);
    return etcd_walk(store, &from, &to, page->limit - page->count, take_done, page);
}

/* Where a bucket begins, and what etcd calls it. */
struct place {
    int64_t start_ms;
    uint64_t id;
};

static struct place place_of(const struct bucket *bucket)
{
    return (struct place){bucket->start_ms, ((const struct etcd_bucket *)bucket->state)->id};
}

/* The buckets from the cursor's down, as they are now. The caller frees them. */
static struct place *places_from(struct etcd_store *store, const struct tercet_store_cursor *cursor,
                                 size_t *count, uint64_t *below)
{
    pthread_mutex_lock(&store->lock);
    *count = buckets_resume(&store->buckets, cursor, below);
    struct place *places = etcd_alloc(*count * sizeof(*places));
    for (size_t i = 0; i < *count; i++)
        places[i] = place_of(&store->buckets.items[*count - 1 - i]);
    pthread_mutex_unlock(&store->lock);
    return places;
}

int etcd_store_page(void *state, uint32_t shard, struct tercet_store_cursor *cursor, size_t limit,
                    tercet_store_page_fn each, void *ctx)
{
    struct page page = {.cursor = cursor, .limit = limit, .each = each, .ctx = ctx};
    uint64_t below;
    size_t count;
    int rc = 0;
    (void)shard;
    struct place *places = places_from(state, cursor, &count, &below);
    for (size_t i = 0; i < count && rc == 0 && page.count < limit; i++) {
        page.bucket_ms = places[i].start_ms;
        if (below > 0)
            rc = page_bucket(state, &page, places[i].id, below);
        below = UINT64_MAX;
    }
    free(places);
    return rc == 0 || rc == PAGE_IS_FULL ? (int)page.count : rc;
}

/* -- Meta records ------------------------------------------------------------------------------ */

struct metas {
    size_t skip;
    tercet_store_meta_fn each;
    void *ctx;
};

static int take_meta(const char *key, size_t key_size, const unsigned char *value, size_t size,
                     void *ctx)
{
    const struct metas *metas = ctx;
    char name[TERCET_STORE_NAME_MAX + 1];
    size_t length = key_size - metas->skip;
    if (key_size <= metas->skip || length > TERCET_STORE_NAME_MAX)
        return TERCET_STORE_CORRUPT;
    memcpy(name, key + metas->skip, length);
    name[length] = '\0';
    return metas->each(name, value, size, metas->ctx);
}

int etcd_store_meta_scan(void *state, uint32_t shard, tercet_store_meta_fn each, void *ctx)
{
    struct etcd_key from, to;
    struct metas metas = {.each = each, .ctx = ctx};
    (void)shard;
    etcd_key_shard(&from, state, "meta/");
    metas.skip = from.size;
    etcd_key_past(&to, &from);
    return etcd_walk(state, &from, &to, WALK_ALL, take_meta, &metas);
}
