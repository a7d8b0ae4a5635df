/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading: one cached read transaction, renewed for each call and reset after it. A read
 * transaction that stays open keeps every page from being reused, and the file grows without bound.
 */
#include "lmdb_store.h"

#include <string.h>

int lmdb_store_read_begin(struct lmdb_store *store, MDB_txn **txn)
{
    pthread_mutex_lock(&store->layout);
    int rc = 0;
    if (store->is_broken)
        rc = MDB_PANIC;
    else if (store->reader == NULL)
        rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &store->reader);
    else
        rc = mdb_txn_renew(store->reader);
    if (rc != 0)
        pthread_mutex_unlock(&store->layout);
    else if (store->only_reads)
        lmdb_store_forget_dropped(store, store->reader);
    *txn = store->reader;
    return lmdb_store_error(rc);
}

void lmdb_store_read_end(struct lmdb_store *store, MDB_txn *txn)
{
    mdb_txn_reset(txn);
    pthread_mutex_unlock(&store->layout);
}

/* Tells the end of a lookup while the value is there, then ends the reading. */
static void tell(struct lmdb_store *store, MDB_txn *txn, int rc, uint64_t number,
                 const MDB_val *value, tercet_store_found_fn done, void *ctx)
{
    struct tercet_bytes bytes = {0};
    if (rc == 0)
        bytes = (struct tercet_bytes){.data = value->mv_data, .size = value->mv_size};
    done(lmdb_store_error(rc), rc == 0 ? number : 0, bytes, ctx);
    lmdb_store_read_end(store, txn);
}

/* -- Live records ------------------------------------------------------------------------------ */

static int scan_live(MDB_cursor *cursor, uint64_t from, uint64_t to, tercet_store_scan_fn each,
                     void *ctx)
{
    unsigned char first[KEY_LIVE_SIZE], last[KEY_LIVE_SIZE];
    key_encode_live(first, from, 0);
    memcpy(last, first, sizeof(last));
    MDB_val key = {.mv_size = sizeof(first), .mv_data = first};
    MDB_val value;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0) {
        if (key.mv_size != KEY_LIVE_SIZE)
            return TERCET_STORE_CORRUPT;
        uint64_t number = key_decode(key.mv_data, KEY_NUMBER_SIZE);
        if (memcmp(key.mv_data, last, KEY_LIVE_SIZE) < 0 || number == 0)
            return TERCET_STORE_CORRUPT; /* LMDB has them in order: unless a key has changed */
        if (number > to)
            return 0;
        memcpy(last, key.mv_data, KEY_LIVE_SIZE);
        int stopped = each(number, key_decode_part(key.mv_data), value.mv_data, value.mv_size, ctx);
        if (stopped != 0)
            return stopped;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? 0 : lmdb_store_error(rc);
}

int lmdb_store_scan(void *state, uint32_t shard, uint64_t from, uint64_t to,
                    tercet_store_scan_fn each, void *ctx)
{
    struct lmdb_store *store = state;
    MDB_txn *txn;
    MDB_cursor *cursor;
    (void)shard;
    int rc = lmdb_store_read_begin(store, &txn);
    if (rc != 0)
        return rc;
    rc = lmdb_store_error(mdb_cursor_open(txn, store->live, &cursor));
    if (rc == 0) {
        rc = scan_live(cursor, from, to, each, ctx);
        mdb_cursor_close(cursor);
    }
    lmdb_store_read_end(store, txn);
    return rc;
}

void lmdb_store_get(void *state, uint32_t shard, uint64_t number, uint32_t part,
                    tercet_store_found_fn done, void *ctx)
{
    struct lmdb_store *store = state;
    MDB_txn *txn;
    (void)shard;
    int result = lmdb_store_read_begin(store, &txn);
    if (result != 0) {
        done(result, 0, (struct tercet_bytes){0}, ctx);
        return;
    }
    unsigned char bytes[KEY_LIVE_SIZE];
    key_encode_live(bytes, number, part);
    MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes};
    MDB_val value;
    int rc = mdb_get(txn, store->live, &key, &value);
    tell(store, txn, rc, number, &value, done, ctx);
}

/* -- Resolved records -------------------------------------------------------------------------- */

static int get_resolved(MDB_txn *txn, const struct lmdb_bucket *bucket, uint64_t number,
                        MDB_val *value)
{
    unsigned char bytes[KEY_NUMBER_SIZE];
    key_encode(bytes, number, sizeof(bytes));
    MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes};
    return mdb_get(txn, bucket->records, &key, value);
}

static int get_by_gid(MDB_txn *txn, const struct lmdb_bucket *bucket, const char *gid,
                      uint64_t *number, MDB_val *value)
{
    int rc = lmdb_index_get(txn, bucket, gid, number);
    if (rc != 0)
        return rc;
    rc = get_resolved(txn, bucket, *number, value);
    return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
}

static int find(struct lmdb_store *store, MDB_txn *txn, const char *gid, uint64_t *number,
                MDB_val *value)
{
    for (size_t i = store->buckets.count; i-- > 0;) {
        const struct lmdb_bucket *bucket = store->buckets.items[i].state;
        int rc = MDB_NOTFOUND;
        if (gid == NULL)
            rc = get_resolved(txn, bucket, *number, value);
        else if (lmdb_store_may_have_gid(store, bucket, gid))
            rc = get_by_gid(txn, bucket, gid, number, value);
        if (rc != MDB_NOTFOUND)
            return rc;
    }
    return MDB_NOTFOUND;
}

void lmdb_store_find(void *state, uint32_t shard, const char *gid, uint64_t number,
                     tercet_store_found_fn done, void *ctx)
{
    struct lmdb_store *store = state;
    MDB_txn *txn;
    MDB_val value;
    (void)shard;
    int result = lmdb_store_read_begin(store, &txn);
    if (result != 0) {
        done(result, 0, (struct tercet_bytes){0}, ctx);
        return;
    }
    int rc = find(store, txn, gid, &number, &value);
    tell(store, txn, rc, number, &value, done, ctx);
}

/* -- Paging ------------------------------------------------------------------------------------ */

struct page {
    struct tercet_store_cursor *cursor;
    size_t limit;
    size_t count;
    tercet_store_page_fn each;
    void *ctx;
};

/* The largest number below `below`. */
static int seek_below(MDB_cursor *records, uint64_t below, MDB_val *key, MDB_val *value)
{
    unsigned char bytes[KEY_NUMBER_SIZE];
    key_encode(bytes, below, sizeof(bytes));
    key->mv_size = sizeof(bytes);
    key->mv_data = bytes;
    int rc = mdb_cursor_get(records, key, value, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND)
        return mdb_cursor_get(records, key, value, MDB_LAST);
    return rc == 0 ? mdb_cursor_get(records, key, value, MDB_PREV) : rc;
}

static int page_records(struct page *page, MDB_cursor *records, int64_t bucket_ms, uint64_t below)
{
    MDB_val key, value;
    int rc = seek_below(records, below, &key, &value);
    while (rc == 0 && page->count < page->limit) {
        if (key.mv_size != KEY_NUMBER_SIZE)
            return TERCET_STORE_CORRUPT;
        uint64_t number = key_decode(key.mv_data, KEY_NUMBER_SIZE);
        if (number >= below)
            return TERCET_STORE_CORRUPT;
        below = number;
        int stopped = page->each(number, value.mv_data, value.mv_size, page->ctx);
        if (stopped != 0)
            return stopped;
        page->cursor->bucket_ms = bucket_ms;
        page->cursor->number = number;
        page->count++;
        rc = mdb_cursor_get(records, &key, &value, MDB_PREV);
    }
    return rc == MDB_NOTFOUND ? 0 : lmdb_store_error(rc);
}

static int page_bucket(struct page *page, MDB_txn *txn, const struct bucket *bucket, uint64_t below)
{
    const struct lmdb_bucket *state = bucket->state;
    MDB_cursor *records;
    int rc = mdb_cursor_open(txn, state->records, &records);
    if (rc != 0)
        return lmdb_store_error(rc);
    int result = page_records(page, records, bucket->start_ms, below);
    mdb_cursor_close(records);
    return result;
}

int lmdb_store_page(void *state, uint32_t shard, struct tercet_store_cursor *cursor, size_t limit,
                    tercet_store_page_fn each, void *ctx)
{
    struct lmdb_store *store = state;
    struct page page = {.cursor = cursor, .limit = limit, .each = each, .ctx = ctx};
    MDB_txn *txn;
    (void)shard;
    int rc = lmdb_store_read_begin(store, &txn);
    if (rc != 0)
        return rc;
    uint64_t below;
    size_t i = buckets_resume(&store->buckets, cursor, &below);
    while (rc == 0 && i-- > 0 && page.count < limit) {
        rc = page_bucket(&page, txn, &store->buckets.items[i], below);
        below = UINT64_MAX;
    }
    lmdb_store_read_end(store, txn);
    return rc == 0 ? (int)page.count : rc;
}

/* -- Buckets ----------------------------------------------------------------------------------- */

static uint64_t bytes_of(const MDB_stat *stat)
{
    return (uint64_t)(stat->ms_branch_pages + stat->ms_leaf_pages + stat->ms_overflow_pages) *
           stat->ms_psize;
}

static int measure(MDB_txn *txn, const struct bucket *span, struct tercet_store_bucket *out)
{
    const struct lmdb_bucket *bucket = span->state;
    MDB_stat records, index;
    int rc = mdb_stat(txn, bucket->records, &records);
    if (rc == 0)
        rc = mdb_stat(txn, bucket->index, &index);
    if (rc != 0)
        return lmdb_store_error(rc);
    *out = (struct tercet_store_bucket){.start_ms = span->start_ms,
                                        .end_ms = span->end_ms,
                                        .records = records.ms_entries,
                                        .bytes = bytes_of(&records) + bytes_of(&index)};
    return 0;
}

int lmdb_store_buckets(void *state, uint32_t shard, tercet_store_bucket_fn each, void *ctx)
{
    struct lmdb_store *store = state;
    struct tercet_store_bucket bucket;
    MDB_txn *txn;
    (void)shard;
    int rc = lmdb_store_read_begin(store, &txn);
    if (rc != 0)
        return rc;
    for (size_t i = store->buckets.count; rc == 0 && i-- > 0;) {
        rc = measure(txn, &store->buckets.items[i], &bucket);
        if (rc == 0)
            rc = each(&bucket, ctx);
    }
    lmdb_store_read_end(store, txn);
    return rc;
}

/* -- Meta records ------------------------------------------------------------------------------ */

static int scan_meta(MDB_cursor *cursor, tercet_store_meta_fn each, void *ctx)
{
    MDB_val key, value;
    int rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
    while (rc == 0) {
        char name[TERCET_STORE_NAME_MAX + 1] = {0};
        if (key.mv_size > TERCET_STORE_NAME_MAX)
            return TERCET_STORE_CORRUPT;
        memcpy(name, key.mv_data, key.mv_size);
        int stopped = each(name, value.mv_data, value.mv_size, ctx);
        if (stopped != 0)
            return stopped;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? 0 : lmdb_store_error(rc);
}

int lmdb_store_meta_scan(void *state, uint32_t shard, tercet_store_meta_fn each, void *ctx)
{
    struct lmdb_store *store = state;
    MDB_txn *txn;
    MDB_cursor *cursor;
    (void)shard;
    int rc = lmdb_store_read_begin(store, &txn);
    if (rc != 0)
        return rc;
    rc = lmdb_store_error(mdb_cursor_open(txn, store->meta, &cursor));
    if (rc == 0) {
        rc = scan_meta(cursor, each, ctx);
        mdb_cursor_close(cursor);
    }
    lmdb_store_read_end(store, txn);
    return rc;
}
