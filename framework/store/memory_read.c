/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory driver: reading.
 */
#include "memory_store.h"

#include <stdlib.h>
#include <string.h>

static int copy_value(struct store_value *out, const struct memory_entry *entry)
{
    if (entry == NULL)
        return STORE_NOT_FOUND;
    void *data = malloc(entry->value_size > 0 ? entry->value_size : 1);
    if (data == NULL)
        return STORE_NOMEM;
    memcpy(data, memory_entry_value(entry), entry->value_size);
    out->data = data;
    out->size = entry->value_size;
    return 0;
}

int memory_store_scan(struct store *base, uint32_t shard, uint64_t from, uint64_t to,
                      store_scan_fn each, void *ctx)
{
    struct memory_store *store = (struct memory_store *)base;
    unsigned char first[KEY_LIVE_SIZE];
    int result = 0;
    (void)shard;
    key_encode_live(first, from, 0);
    pthread_mutex_lock(&store->lock);
    for (size_t i = memory_table_seek(&store->live, first, sizeof(first));
         result == 0 && i < store->live.count; i++) {
        const struct memory_entry *entry = store->live.items[i];
        uint64_t number = key_decode(entry->bytes, KEY_NUMBER_SIZE);
        if (number > to)
            break;
        result = each(number, key_decode_part(entry->bytes), memory_entry_value(entry),
                      entry->value_size, ctx);
    }
    pthread_mutex_unlock(&store->lock);
    return result;
}

int memory_store_get(struct store *base, uint64_t number, uint32_t part, struct store_value *out)
{
    struct memory_store *store = (struct memory_store *)base;
    unsigned char key[KEY_LIVE_SIZE];
    key_encode_live(key, number, part);
    pthread_mutex_lock(&store->lock);
    int result = copy_value(out, memory_table_get(&store->live, key, sizeof(key)));
    pthread_mutex_unlock(&store->lock);
    return result;
}

static const struct memory_entry *get_resolved(const struct memory_bucket *bucket, uint64_t number)
{
    unsigned char key[KEY_NUMBER_SIZE];
    key_encode(key, number, sizeof(key));
    return memory_table_get(&bucket->records, key, sizeof(key));
}

static const struct memory_entry *find(const struct memory_store *store, const char *gid,
                                       uint64_t *number)
{
    const struct memory_entry *found = NULL;
    for (size_t i = store->buckets.count; found == NULL && i-- > 0;) {
        const struct memory_bucket *bucket = store->buckets.items[i].state;
        if (gid == NULL) {
            found = get_resolved(bucket, *number);
            continue;
        }
        const struct memory_entry *key = memory_table_get(&bucket->gids, gid, strlen(gid));
        if (key != NULL) {
            *number = key_decode(memory_entry_value(key), KEY_NUMBER_SIZE);
            found = get_resolved(bucket, *number);
        }
    }
    return found;
}

int memory_store_find(struct store *base, const char *gid, uint64_t *number,
                      struct store_value *out)
{
    struct memory_store *store = (struct memory_store *)base;
    uint64_t found = *number;
    pthread_mutex_lock(&store->lock);
    int result = copy_value(out, find(store, gid, &found));
    pthread_mutex_unlock(&store->lock);
    if (result == 0)
        *number = found;
    return result;
}

struct page {
    struct store_cursor *cursor;
    size_t limit;
    size_t count;
    store_page_fn each;
    void *ctx;
};

static int page_bucket(struct page *page, const struct bucket *bucket, uint64_t below)
{
    const struct memory_table *records = &((const struct memory_bucket *)bucket->state)->records;
    unsigned char key[KEY_NUMBER_SIZE];
    key_encode(key, below, sizeof(key));
    size_t i = memory_table_seek(records, key, sizeof(key));
    while (i-- > 0 && page->count < page->limit) {
        const struct memory_entry *entry = records->items[i];
        uint64_t number = key_decode(entry->bytes, KEY_NUMBER_SIZE);
        int stopped = page->each(number, memory_entry_value(entry), entry->value_size, page->ctx);
        if (stopped != 0)
            return stopped;
        page->cursor->bucket_ms = bucket->start_ms;
        page->cursor->number = number;
        page->count++;
    }
    return 0;
}

int memory_store_page(struct store *base, struct store_cursor *cursor, size_t limit,
                      store_page_fn each, void *ctx)
{
    struct memory_store *store = (struct memory_store *)base;
    struct page page = {.cursor = cursor, .limit = limit, .each = each, .ctx = ctx};
    uint64_t below;
    int result = 0;
    pthread_mutex_lock(&store->lock);
    size_t i = buckets_resume(&store->buckets, cursor, &below);
    while (result == 0 && i-- > 0 && page.count < limit) {
        result = page_bucket(&page, &store->buckets.items[i], below);
        below = UINT64_MAX;
    }
    pthread_mutex_unlock(&store->lock);
    return result == 0 ? (int)page.count : result;
}

int memory_store_meta_scan(struct store *base, store_meta_fn each, void *ctx)
{
    struct memory_store *store = (struct memory_store *)base;
    int result = 0;
    pthread_mutex_lock(&store->lock);
    for (size_t i = 0; result == 0 && i < store->meta.count; i++) {
        const struct memory_entry *entry = store->meta.items[i];
        char name[STORE_NAME_MAX + 1] = {0};
        memcpy(name, entry->bytes, entry->key_size);
        result = each(name, memory_entry_value(entry), entry->value_size, ctx);
    }
    pthread_mutex_unlock(&store->lock);
    return result;
}

int memory_store_stats(struct store *base, struct store_stats *out)
{
    struct memory_store *store = (struct memory_store *)base;
    pthread_mutex_lock(&store->lock);
    struct store_stats stats = {.commits = store->commits,
                                .live_records = store->live.count,
                                .bytes_used = store->live.bytes + store->meta.bytes,
                                .bytes_max = store->size_max,
                                .disk_free_bytes = UINT64_MAX};
    for (size_t i = 0; i < store->buckets.count; i++) {
        const struct memory_bucket *bucket = store->buckets.items[i].state;
        stats.resolved_records += bucket->records.count;
        stats.bytes_used += bucket->records.bytes + bucket->gids.bytes;
    }
    pthread_mutex_unlock(&store->lock);
    *out = stats;
    return 0;
}
