/* SPDX-License-Identifier: Apache-2.0
 *
 * How full the store is. Pages of the free list are in the file but can be used again, so they do
 * not count as used.
 */
#include "lmdb_store.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

/* LMDB's own number of the free list (mdb_stat reads it in the same way). */
#define FREE_LIST_DBI 0

#define READER_LOOKS 5  /* the readers are looked at every so often that stats are asked for */
#define FULL_PERCENT 80 /* of the map, */
#define DISK_RESERVE_BYTES (64ull * 1024 * 1024) /* and free on the disk: then no new work */

/* A record of the free list is a count and so many page numbers, size_t each and not aligned. */
static int count_pages(const MDB_val *record, uint64_t from, uint64_t *count)
{
    const unsigned char *bytes = record->mv_data;
    size_t pages = 0;
    if (record->mv_size < sizeof(pages))
        return MDB_CORRUPTED;
    memcpy(&pages, bytes, sizeof(pages));
    if (pages > record->mv_size / sizeof(size_t) - 1)
        return MDB_CORRUPTED;
    for (size_t i = 1; from > 0 && i <= pages; i++) {
        size_t number;
        memcpy(&number, bytes + i * sizeof(number), sizeof(number));
        *count += number >= from;
    }
    if (from == 0)
        *count += pages;
    return 0;
}

/* The key of such a record is the transaction that freed them, a size_t. */
static bool is_freed_before(const MDB_val *key, uint64_t before)
{
    size_t txnid;
    if (key->mv_size != sizeof(txnid))
        return false;
    memcpy(&txnid, key->mv_data, sizeof(txnid));
    return txnid < before;
}

int lmdb_store_free_pages(MDB_txn *txn, uint64_t from, uint64_t before, uint64_t *count)
{
    MDB_cursor *cursor;
    MDB_val key, record;
    int rc = mdb_cursor_open(txn, FREE_LIST_DBI, &cursor);
    if (rc != 0)
        return rc;
    *count = 0;
    rc = mdb_cursor_get(cursor, &key, &record, MDB_FIRST);
    while (rc == 0) {
        if (is_freed_before(&key, before))
            rc = count_pages(&record, from, count);
        if (rc == 0)
            rc = mdb_cursor_get(cursor, &key, &record, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int count_records(struct lmdb_store *store, MDB_txn *txn, struct tercet_store_stats *out)
{
    MDB_stat stat;
    int rc = mdb_stat(txn, store->live, &stat);
    if (rc != 0)
        return rc;
    out->live_records = stat.ms_entries;
    for (size_t i = 0; i < store->buckets.count; i++) {
        const struct lmdb_bucket *bucket = store->buckets.items[i].state;
        rc = mdb_stat(txn, bucket->records, &stat);
        if (rc != 0)
            return rc;
        out->resolved_records += stat.ms_entries;
    }
    return 0;
}

static int count_bytes(struct lmdb_store *store, MDB_txn *txn, struct tercet_store_stats *out)
{
    MDB_envinfo info;
    MDB_stat stat;
    uint64_t free_pages, all_free_pages = 0;
    int rc = lmdb_store_free_pages(txn, 0, store->pin.txnid, &free_pages);
    if (rc == 0 && store->pin.pid != 0)
        rc = lmdb_store_free_pages(txn, 0, UINT64_MAX, &all_free_pages);
    if (rc == 0)
        rc = mdb_env_info(store->env, &info);
    if (rc == 0)
        rc = mdb_env_stat(store->env, &stat);
    if (rc != 0)
        return rc;
    /* A commit may have come between the two: the free list is then of the older state. */
    uint64_t pages = info.me_last_pgno + 1;
    out->bytes_used = pages > free_pages ? (pages - free_pages) * stat.ms_psize : 0;
    out->bytes_max = info.me_mapsize;
    out->file_bytes = pages * stat.ms_psize;
    out->readers = info.me_numreaders;
    if (store->pin.pid != 0) {
        out->held_bytes = (all_free_pages - free_pages) * stat.ms_psize;
        lmdb_store_tell_pin(store, &store->pin, out->held_bytes);
    }
    return 0;
}

static int ask_disk(struct lmdb_store *store, struct tercet_store_stats *out)
{
    struct statvfs disk;
    if (fstatvfs(store->lock_fd, &disk) != 0)
        return errno;
    out->disk_free_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    return 0;
}

/* A full map refuses deletes, too, so new work is refused while there is still room to end what is
 * open. */
static void measure_room(const struct lmdb_pin *pin, struct tercet_store_stats *out)
{
    static_assert(FULL_PERCENT == 80 && DISK_RESERVE_BYTES == 64 << 20, "the texts say so");
    uint64_t full = out->bytes_max / 100 * FULL_PERCENT;
    uint64_t map_room = out->bytes_used < full ? full - out->bytes_used : 0;
    uint64_t disk_room =
        out->disk_free_bytes > DISK_RESERVE_BYTES ? out->disk_free_bytes - DISK_RESERVE_BYTES : 0;
    bool is_map = map_room <= disk_room;
    out->room_bytes = is_map ? map_room : disk_room;
    snprintf(out->room_text, sizeof(out->room_text), "%s",
             is_map ? "the store is 80 % full: new work waits until resolved transactions are "
                      "dropped, or give it more with --store-size"
                    : "the disk has less than 64 MiB free: new work waits until there is more");
    size_t used = strlen(out->room_text);
    if (pin->pid != 0)
        snprintf(out->room_text + used, sizeof(out->room_text) - used,
                 "; process %d (%s) reads the store and keeps its pages: stop it", pin->pid,
                 pin->name);
}

/* A large value has pages of its own; the rest is for its key, its action, and its part of the
 * transaction's state. */
uint64_t lmdb_store_room_of(void *state, uint64_t size)
{
    (void)state;
    return 500 + (size <= 2000 ? 2 * size : (size + 300 + 4095) / 4096 * 4096);
}

int lmdb_store_stats(void *state, struct tercet_store_stats *out)
{
    struct lmdb_store *store = state;
    struct tercet_store_stats stats = {.commits = atomic_load(&store->commits)};
    MDB_txn *txn;
    if (!lmdb_store_file_is_there(store))
        return TERCET_STORE_CORRUPT;
    int result = lmdb_store_read_begin(store, &txn);
    if (result != 0)
        return result;
    if (store->looks++ % READER_LOOKS == 0)
        lmdb_store_look_at_readers(store, &store->pin);
    struct lmdb_pin pin = store->pin;
    int rc = count_records(store, txn, &stats);
    if (rc == 0)
        rc = count_bytes(store, txn, &stats);
    if (rc == 0)
        rc = ask_disk(store, &stats);
    lmdb_store_read_end(store, txn);
    if (rc == 0)
        measure_room(&pin, &stats);
    if (rc == 0)
        *out = stats;
    return lmdb_store_error(rc);
}
