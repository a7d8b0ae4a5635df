/* SPDX-License-Identifier: Apache-2.0
 *
 * The LMDB driver: ownership and closing. lmdb_store.h says how the rest is parted and specifies
 * the format.
 */
#include "lmdb_store.h"

#include "failpoint.h"
#include "source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int lmdb_store_error(int rc)
{
    switch (rc) {
    case 0:
        return 0;
    case MDB_NOTFOUND:
        return TERCET_STORE_NOT_FOUND;
    case ENOMEM:
        return TERCET_STORE_NOMEM;
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INCOMPATIBLE:
    case MDB_BAD_VALSIZE:
        return TERCET_STORE_CORRUPT;
    case MDB_VERSION_MISMATCH:
        return TERCET_STORE_NEWER;
    default:
        return TERCET_STORE_IO;
    }
}

int lmdb_store_system_get(MDB_txn *txn, MDB_dbi system, const char *name, uint64_t *value)
{
    MDB_val key = {.mv_size = strlen(name), .mv_data = (void *)name};
    MDB_val data;
    int rc = mdb_get(txn, system, &key, &data);
    if (rc == MDB_NOTFOUND)
        return MDB_CORRUPTED;
    if (rc != 0)
        return rc;
    if (data.mv_size != KEY_NUMBER_SIZE)
        return MDB_CORRUPTED;
    *value = key_decode(data.mv_data, KEY_NUMBER_SIZE);
    return 0;
}

int lmdb_store_system_put(MDB_txn *txn, MDB_dbi system, const char *name, uint64_t value)
{
    unsigned char bytes[KEY_NUMBER_SIZE];
    key_encode(bytes, value, sizeof(bytes));
    MDB_val key = {.mv_size = strlen(name), .mv_data = (void *)name};
    MDB_val data = {.mv_size = sizeof(bytes), .mv_data = bytes};
    return mdb_put(txn, system, &key, &data, 0);
}

/* From here on an older program is to refuse the store: it does not know what is written now. */
static int keep_format(struct lmdb_store *store, MDB_txn *txn)
{
    unsigned char format[FORMAT_SIZE] = FORMAT_MAGIC;
    key_encode(format + strlen(FORMAT_MAGIC), FORMAT_VERSION, 2);
    MDB_val key = {.mv_size = strlen("format"), .mv_data = (void *)"format"};
    MDB_val value = {.mv_size = sizeof(format), .mv_data = format};
    return mdb_put(txn, store->system, &key, &value, 0);
}

/* A store that an older version made has none yet. */
static int keep_source(struct lmdb_store *store, MDB_txn *txn, uint64_t *source)
{
    MDB_val key = {.mv_size = strlen("source"), .mv_data = (void *)"source"};
    MDB_val value;
    int rc = mdb_get(txn, store->system, &key, &value);
    if (rc == 0)
        return lmdb_store_system_get(txn, store->system, "source", source);
    if (rc == MDB_NOTFOUND)
        rc = source_make(source);
    return rc == 0 ? lmdb_store_system_put(txn, store->system, "source", *source) : rc;
}

static int raise_epoch(struct lmdb_store *store, struct tercet_store_lease *lease)
{
    MDB_txn *txn;
    uint64_t last;
    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    if (rc != 0)
        return rc;
    rc = lmdb_store_system_get(txn, store->system, "epoch", &last);
    if (rc == 0)
        rc = lmdb_store_system_put(txn, store->system, "epoch", last + 1);
    if (rc == 0)
        rc = keep_source(store, txn, &lease->source);
    if (rc == 0)
        rc = keep_format(store, txn);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    lease->epoch = last + 1;
    FAILPOINT_AROUND("acquire", rc = mdb_txn_commit(txn));
    return rc;
}

/* Reads everything anew too: after a failed commit this is where the truth is found out. */
static int lmdb_acquire(void *state, uint32_t shard, struct tercet_store_lease *out)
{
    struct lmdb_store *store = state;
    (void)shard;
    pthread_mutex_lock(&store->writer);
    store->is_held = false;
    struct tercet_store_lease lease;
    int rc = raise_epoch(store, &lease);
    if (rc == 0) {
        pthread_mutex_lock(&store->layout);
        rc = lmdb_store_load(store);
        pthread_mutex_unlock(&store->layout);
    }
    if (rc == 0) {
        atomic_fetch_add(&store->commits, 1);
        store->epoch = lease.epoch;
        store->is_held = true;
        lease.next_number = store->number_top + 1;
        *out = lease;
    }
    pthread_mutex_unlock(&store->writer);
    return lmdb_store_error(rc);
}

static void lmdb_release(void *state, uint32_t shard, uint64_t epoch)
{
    struct lmdb_store *store = state;
    (void)shard;
    pthread_mutex_lock(&store->writer);
    if (epoch == store->epoch)
        store->is_held = false;
    pthread_mutex_unlock(&store->writer);
}

static int lmdb_commit(void *state, uint32_t shard, uint64_t epoch,
                       const struct tercet_store_op *ops, size_t count)
{
    struct lmdb_store *store = state;
    (void)shard;
    int rc = TERCET_STORE_FENCED;
    pthread_mutex_lock(&store->writer);
    if (store->is_held && epoch == store->epoch)
        rc = lmdb_store_write(store, epoch, ops, count);
    if (rc == 0)
        atomic_fetch_add(&store->commits, 1);
    else if (rc == TERCET_STORE_UNKNOWN)
        store->is_held = false;
    pthread_mutex_unlock(&store->writer);
    return rc;
}

void lmdb_store_close(void *state)
{
    struct lmdb_store *store = state;
    if (store->reader != NULL)
        mdb_txn_abort(store->reader);
    lmdb_store_unload(store);
    if (store->env != NULL)
        mdb_env_close(store->env);
    pthread_mutex_destroy(&store->gids);
    pthread_mutex_destroy(&store->layout);
    pthread_mutex_destroy(&store->writer);
    /* Closed last: it is the lock. */
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    free(store);
}

static uint32_t lmdb_shard_count(void *state)
{
    (void)state;
    return 1;
}

const struct tercet_store_driver store_lmdb_driver = {
    .size = sizeof(struct tercet_store_driver),
    .version = TERCET_STORE_VERSION,
    .scheme = "lmdb",
    .open = lmdb_store_open,
    .close = lmdb_store_close,
    .shard_count = lmdb_shard_count,
    .acquire = lmdb_acquire,
    .release = lmdb_release,
    .commit = lmdb_commit,
    .scan = lmdb_store_scan,
    .get = lmdb_store_get,
    .find = lmdb_store_find,
    .page = lmdb_store_page,
    .meta_scan = lmdb_store_meta_scan,
    .stats = lmdb_store_stats,
    .room_of = lmdb_store_room_of,
    .check = lmdb_store_check,
    .backup = lmdb_store_backup,
    .open_to_read = lmdb_store_open_to_read,
    .buckets = lmdb_store_buckets,
};
