/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_store.h: whether the parts of the store fit together. What its records say is looked at by
 * the coordinator, which knows them.
 */
#include "lmdb_store.h"

#include <inttypes.h>
#include <stdio.h>

/* Each record of a bucket has one entry in its index. */
static int check_bucket(MDB_txn *txn, const struct bucket *span, tercet_store_damage_fn each,
                        void *ctx)
{
    const struct lmdb_bucket *bucket = span->state;
    MDB_stat records, index;
    char text[TERCET_STORE_TEXT_MAX];
    int rc = mdb_stat(txn, bucket->records, &records);
    if (rc == 0)
        rc = mdb_stat(txn, bucket->index, &index);
    if (rc != 0 || records.ms_entries == index.ms_entries)
        return rc;
    snprintf(text, sizeof(text),
             "the bucket from %" PRId64 " ms on has %zu records, and %zu entries in its index",
             span->start_ms, records.ms_entries, index.ms_entries);
    each(text, ctx);
    return 0;
}

int lmdb_store_check(void *state, uint32_t shard, tercet_store_damage_fn each, void *ctx)
{
    struct lmdb_store *store = state;
    MDB_txn *txn;
    (void)shard;
    int result = lmdb_store_read_begin(store, &txn);
    if (result != 0)
        return result;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < store->buckets.count; i++)
        rc = check_bucket(txn, &store->buckets.items[i], each, ctx);
    lmdb_store_read_end(store, txn);
    return lmdb_store_error(rc);
}
