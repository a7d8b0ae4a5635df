/* SPDX-License-Identifier: Apache-2.0
 *
 * The memory driver: reading.
 */
#include "memory_store.h"

#include <string.h>

/* Tells the end of a lookup while the value is there. */
static void tell(const struct memory_entry *entry, uint64_t number, tercet_store_found_fn done,
                 void *ctx)
{
    struct tercet_bytes value = {0};
    if (entry != NULL)
        value = (struct tercet_bytes){memory_entry_value(entry), entry->value_size};
    done(entry != NULL ? 0 : TERCET_STORE_NOT_FOUND, entry != NULL ? number : 0, value, ctx);
}

int memory_store_scan(void *state, uint32_t index, uint64_t from, uint64_t to,
                      tercet_store_scan_fn each, void *ctx)
{
    struct memory_shard *shard = memory_store_shard(state, index);
    unsigned char first[KEY_LIVE_SIZE];
    int rc = 0;
    key_encode_live(first, from, 0);
    pthread_mutex_lock(&shard->lock);
    struct memory_place place = memory_table_seek(&shard->live, first, sizeof(first));
    const struct memory_entry *entry;
    while (rc == 0 && (entry = memory_table_next(&shard->live, &place)) != NULL) {
        uint64_t number = key_decode(entry->bytes, KEY_NUMBER_SIZE);
        if (number > to)
            break;
        rc = each(number, key_decode_part(entry->bytes), memory_entry_value(entry),
                  entry->value_size, ctx);
    }
    pthread_mutex_unlock(&shard->lock);
    return rc;
}

void memory_store_get(void *state, uint32_t index, uint64_t number, uint32_t part,
                      tercet_store_found_fn done, void *ctx)
{
    struct memory_shard *shard = memory_store_shard(state, index);
    unsigned char key[KEY_LIVE_SIZE];
    key_encode_live(key, number, part);
    pthread_mutex_lock(&shard->lock);
    tell(memory_table_get(&shard->live, key, sizeof(key)), number, done, ctx);
    pthread_mutex_unlock(&shard->lock);
}

static const struct memory_entry *get_resolved(const struct memory_bucket *bucket, uint64_t number)
{
    unsigned char key[KEY_NUMBER_SIZE];
    key_encode(key, number, sizeof(key));
    return memory_table_get(&bucket->records, key, sizeof(key));
}

static const struct memory_entry *find(const struct memory_shard *shard, const char *gid,
                                       uint64_t *number)
{
    const struct memory_entry *found = NULL;
    for (size_t i = shard->buckets.count; found == NULL && i-- > 0;) {
        const struct memory_bucket *bucket = shard->buckets.items[i].state;
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

void memory_store_find(void *state, uint32_t index, const char *gid, uint64_t number,
                       tercet_store_found_fn done, void *ctx)
{
    struct memory_shard *shard = memory_store_shard(state, index);
    pthread_mutex_lock(&shard->lock);
    const struct memory_entry *entry = find(shard, gid, &number);
    tell(entry, number, done, ctx);
    pthread_mutex_unlock(&shard->lock);
}

struct page {
    struct tercet_store_cursor *cursor;
    size_t limit;
    size_t count;
    tercet_store_page_fn each;
    void *ctx;
};

static int page_bucket(struct page *page, const struct bucket *bucket, uint64_t below)
{
    const struct memory_table *records = &((const struct memory_bucket *)bucket->state)->records;
    unsigned char key[KEY_NUMBER_SIZE];
    key_encode(key, below, sizeof(key));
    struct memory_place place = memory_table_seek(records, key, sizeof(key));
    const struct memory_entry *entry;
    while (page->count < page->limit && (entry = memory_table_previous(records, &place)) != NULL) {
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

int memory_store_page(void *state, uint32_t index, struct tercet_store_cursor *cursor, size_t limit,
                      tercet_store_page_fn each, void *ctx)
{
    struct memory_shard *shard = memory_store_shard(state, index);
    struct page page = {.cursor = cursor, .limit = limit, .each = each, .ctx = ctx};
    uint64_t below;
    int rc = 0;
    pthread_mutex_lock(&shard->lock);
    size_t i = buckets_resume(&shard->buckets, cursor, &below);
    while (rc == 0 && i-- > 0 && page.count < limit) {
        rc = page_bucket(&page, &shard->buckets.items[i], below);
        below = UINT64_MAX;
    }
    pthread_mutex_unlock(&shard->lock);
    return rc == 0 ? (int)page.count : rc;
}

int memory_store_meta_scan(void *state, uint32_t index, tercet_store_meta_fn each, void *ctx)
{
    struct memory_shard *shard = memory_store_shard(state, index);
    int rc = 0;
    pthread_mutex_lock(&shard->lock);
    struct memory_place place = {0};
    const struct memory_entry *entry;
    while (rc == 0 && (entry = memory_table_next(&shard->meta, &place)) != NULL) {
        char name[TERCET_STORE_NAME_MAX + 1] = {0};
        memcpy(name, entry->bytes, entry->key_size);
        rc = each(name, memory_entry_value(entry), entry->value_size, ctx);
    }
    pthread_mutex_unlock(&shard->lock);
    return rc;
}

static void add_shard(struct tercet_store_stats *stats, struct memory_shard *shard)
{
    pthread_mutex_lock(&shard->lock);
    stats->commits += shard->commits;
    stats->live_records += shard->live.count;
    stats->bytes_used += shard->live.bytes + shard->meta.bytes;
    for (size_t i = 0; i < shard->buckets.count; i++) {
        const struct memory_bucket *bucket = shard->buckets.items[i].state;
        stats->resolved_records += bucket->records.count;
        stats->bytes_used += bucket->records.bytes + bucket->gids.bytes;
    }
    pthread_mutex_unlock(&shard->lock);
}

int memory_store_buckets(void *state, uint32_t index, tercet_store_bucket_fn each, void *ctx)
{
    struct memory_shard *shard = memory_store_shard(state, index);
    int rc = 0;
    pthread_mutex_lock(&shard->lock);
    for (size_t i = shard->buckets.count; rc == 0 && i-- > 0;) {
        const struct bucket *span = &shard->buckets.items[i];
        const struct memory_bucket *bucket = span->state;
        rc =
            each(&(struct tercet_store_bucket){.start_ms = span->start_ms,
                                               .end_ms = span->end_ms,
                                               .records = bucket->records.count,
                                               .bytes = bucket->records.bytes + bucket->gids.bytes},
                 ctx);
    }
    pthread_mutex_unlock(&shard->lock);
    return rc;
}

int memory_store_stats(void *state, struct tercet_store_stats *out)
{
    struct memory_store *store = state;
    struct tercet_store_stats stats = {.bytes_max = store->size_max,
                                       .disk_free_bytes = UINT64_MAX,
                                       .room_text = "the store is 80 % full: new work waits until "
                                                    "resolved transactions are dropped, or give it "
                                                    "more with --store-size"};
    for (uint32_t i = 0; i < store->shard_count; i++)
        add_shard(&stats, &store->shards[i]);
    uint64_t full = stats.bytes_max / 100 * 80;
    stats.room_bytes = stats.bytes_used < full ? full - stats.bytes_used : 0;
    *out = stats;
    return 0;
}
