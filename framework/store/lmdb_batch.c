/* SPDX-License-Identifier: Apache-2.0
 *
 * One batch is one LMDB write transaction, begun and ended in the calling thread. Keys that grow
 * are appended, which fills pages and searches nothing; every other key takes the ordinary way.
 */
#include "lmdb_store.h"

#include <assert.h>
#include <string.h>

struct batch {
    struct lmdb_store *store;
    MDB_txn *txn;
    MDB_cursor *live;
    /* no live key is larger, when is_last_known; all zero: there is none */
    unsigned char live_last[KEY_LIVE_SIZE];
    bool is_last_known;
    bool is_layout_locked;
};

static void lock_layout(struct batch *batch)
{
    if (!batch->is_layout_locked)
        pthread_mutex_lock(&batch->store->layout);
    batch->is_layout_locked = true;
}

static void see_number(struct batch *batch, uint64_t number)
{
    if (number > batch->store->number_top)
        batch->store->number_top = number;
}

/* What is about to go must not make its number free again. */
static int keep_next(struct batch *batch)
{
    uint64_t next = batch->store->number_top + 1;
    if (batch->store->next_stored >= next)
        return 0;
    batch->store->next_stored = next;
    return lmdb_store_system_put(batch->txn, batch->store->system, "next", next);
}

static MDB_val value_of(const struct tercet_store_op *op)
{
    MDB_val value = {.mv_size = op->size, .mv_data = op->size > 0 ? (void *)op->value : (void *)""};
    return value;
}

static int find_live_last(struct batch *batch)
{
    MDB_val key, value;
    int rc = mdb_cursor_get(batch->live, &key, &value, MDB_LAST);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return rc;
    memset(batch->live_last, 0, KEY_LIVE_SIZE);
    if (rc == 0 && key.mv_size != KEY_LIVE_SIZE)
        return MDB_CORRUPTED;
    if (rc == 0)
        memcpy(batch->live_last, key.mv_data, KEY_LIVE_SIZE);
    batch->is_last_known = true;
    return 0;
}

static int put(struct batch *batch, const struct tercet_store_op *op)
{
    unsigned char bytes[KEY_LIVE_SIZE];
    key_encode_live(bytes, op->number, op->part);
    int rc = batch->is_last_known ? 0 : find_live_last(batch);
    if (rc != 0)
        return rc;
    bool is_last = memcmp(bytes, batch->live_last, KEY_LIVE_SIZE) > 0;
    if (is_last)
        memcpy(batch->live_last, bytes, KEY_LIVE_SIZE);
    MDB_val key = {.mv_size = KEY_LIVE_SIZE, .mv_data = bytes};
    MDB_val value = value_of(op);
    see_number(batch, op->number);
    return mdb_put(batch->txn, batch->store->live, &key, &value, is_last ? MDB_APPEND : 0);
}

static int delete (struct batch *batch, const struct tercet_store_op *op)
{
    unsigned char bytes[KEY_LIVE_SIZE];
    key_encode_live(bytes, op->number, op->part);
    MDB_val key = {.mv_size = KEY_LIVE_SIZE, .mv_data = bytes};
    int rc = mdb_del(batch->txn, batch->store->live, &key, NULL);
    if (rc == MDB_NOTFOUND)
        return 0;
    return rc == 0 ? keep_next(batch) : rc;
}

static int delete_all_parts(struct batch *batch, uint64_t number)
{
    for (;;) {
        unsigned char bytes[KEY_LIVE_SIZE];
        key_encode_live(bytes, number, 0);
        MDB_val key = {.mv_size = KEY_LIVE_SIZE, .mv_data = bytes};
        MDB_val value;
        int rc = mdb_cursor_get(batch->live, &key, &value, MDB_SET_RANGE);
        if (rc == MDB_NOTFOUND)
            return 0;
        if (rc != 0)
            return rc;
        if (key_decode(key.mv_data, KEY_NUMBER_SIZE) != number)
            return 0;
        rc = mdb_cursor_del(batch->live, 0);
        if (rc != 0)
            return rc;
    }
}

static int bucket_of(struct batch *batch, int64_t time_ms, struct lmdb_bucket **out)
{
    struct bucket *bucket = buckets_find(&batch->store->buckets, time_ms);
    if (bucket != NULL) {
        *out = bucket->state;
        return 0;
    }
    lock_layout(batch);
    return lmdb_store_make_bucket(batch->store, batch->txn, time_ms, out);
}

static int put_resolved(struct batch *batch, struct lmdb_bucket *bucket,
                        const struct tercet_store_op *op)
{
    unsigned char bytes[KEY_NUMBER_SIZE];
    key_encode(bytes, op->number, sizeof(bytes));
    MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes};
    MDB_val value = value_of(op);
    bool is_last = op->number > bucket->number_max;
    if (is_last)
        bucket->number_max = op->number;
    return mdb_put(batch->txn, bucket->records, &key, &value, is_last ? MDB_APPEND : 0);
}

static int put_gid(struct batch *batch, struct lmdb_bucket *bucket,
                   const struct tercet_store_op *op)
{
    unsigned char bytes[INDEX_ENTRY_SIZE];
    lmdb_index_encode(bytes, op->gid, op->number);
    MDB_val key = {.mv_size = strlen(op->gid), .mv_data = (void *)op->gid};
    MDB_val value = {.mv_size = sizeof(bytes), .mv_data = bytes};
    bool is_last = !lmdb_store_may_have_gid(batch->store, bucket, op->gid);
    /* Before the commit: a reader that sees the record must not be told to skip the bucket. */
    if (is_last)
        lmdb_store_raise_gid(batch->store, bucket, op->gid);
    return mdb_put(batch->txn, bucket->index, &key, &value, is_last ? MDB_APPEND : 0);
}

static int resolve(struct batch *batch, const struct tercet_store_op *op)
{
    struct lmdb_bucket *bucket;
    see_number(batch, op->number);
    int rc = delete_all_parts(batch, op->number);
    if (rc == 0)
        rc = bucket_of(batch, op->time_ms, &bucket);
    if (rc == 0)
        rc = put_resolved(batch, bucket, op);
    return rc == 0 ? put_gid(batch, bucket, op) : rc;
}

static int drop(struct batch *batch, int64_t time_ms)
{
    struct buckets *buckets = &batch->store->buckets;
    while (buckets->count > 0 && buckets->items[0].end_ms <= time_ms) {
        lock_layout(batch);
        int rc = keep_next(batch);
        if (rc == 0)
            rc = lmdb_store_drop_bucket(batch->store, batch->txn, 0);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int put_meta(struct batch *batch, const struct tercet_store_op *op)
{
    MDB_val key = {.mv_size = strlen(op->name), .mv_data = (void *)op->name};
    MDB_val value = value_of(op);
    return mdb_put(batch->txn, batch->store->meta, &key, &value, 0);
}

static int delete_meta(struct batch *batch, const struct tercet_store_op *op)
{
    MDB_val key = {.mv_size = strlen(op->name), .mv_data = (void *)op->name};
    int rc = mdb_del(batch->txn, batch->store->meta, &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int apply(struct batch *batch, const struct tercet_store_op *op)
{
    switch (op->kind) {
    case TERCET_STORE_PUT:
        return put(batch, op);
    case TERCET_STORE_DELETE:
        return delete (batch, op);
    case TERCET_STORE_RESOLVE:
        return resolve(batch, op);
    case TERCET_STORE_META_PUT:
        return put_meta(batch, op);
    case TERCET_STORE_META_DELETE:
        return delete_meta(batch, op);
    case TERCET_STORE_DROP:
        return drop(batch, op->time_ms);
    }
    assert(!"an op that store.c let pass");
    return MDB_BAD_TXN;
}

static int begin(struct batch *batch, uint64_t epoch)
{
    uint64_t stored;
    int rc = mdb_txn_begin(batch->store->env, NULL, 0, &batch->txn);
    if (rc != 0)
        return rc;
    rc = lmdb_store_system_get(batch->txn, batch->store->system, "epoch", &stored);
    if (rc == 0 && stored != epoch)
        rc = TERCET_STORE_FENCED;
    if (rc == 0)
        rc = mdb_cursor_open(batch->txn, batch->store->live, &batch->live);
    return rc;
}

static int end(struct batch *batch, int rc)
{
    if (batch->live != NULL)
        mdb_cursor_close(batch->live);
    if (batch->txn != NULL && rc == 0)
        rc = mdb_txn_commit(batch->txn);
    else if (batch->txn != NULL)
        mdb_txn_abort(batch->txn);
    /* LMDB has closed the handles that the transaction made or dropped: the table must say so
     * too. */
    if (rc != 0 && batch->is_layout_locked)
        (void)lmdb_store_load(batch->store);
    if (batch->is_layout_locked)
        pthread_mutex_unlock(&batch->store->layout);
    return rc;
}

int lmdb_store_write(struct lmdb_store *store, uint64_t epoch, const struct tercet_store_op *ops,
                     size_t count)
{
    struct batch batch = {.store = store};
    int rc = begin(&batch, epoch);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = apply(&batch, &ops[i]);
    rc = end(&batch, rc);
    if (rc == TERCET_STORE_FENCED)
        return rc;
    if (rc != 0)
        lmdb_store_log(store, TERCET_LOG_ERROR, "the store cannot write: %s",
                       lmdb_store_reason(rc));
    /* What is in a file that no name leads to any more is not durable. */
    return rc == 0 && lmdb_store_file_is_there(store) ? 0 : TERCET_STORE_UNKNOWN;
}
