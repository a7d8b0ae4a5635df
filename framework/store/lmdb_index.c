/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_store.h: the index by gid, which tells when it is damaged.
 */
#include "lmdb_store.h"

#include <string.h>
#include <xxhash.h>

void lmdb_index_encode(unsigned char *out, const char *gid, uint64_t number)
{
    uint64_t check = XXH3_64bits_withSeed(gid, strlen(gid), number);
    key_encode(out, number, KEY_NUMBER_SIZE);
    key_encode(out + KEY_NUMBER_SIZE, check, INDEX_ENTRY_SIZE - KEY_NUMBER_SIZE);
}

int lmdb_index_decode(const MDB_val *gid, const MDB_val *entry, uint64_t *number)
{
    const unsigned char *bytes = entry->mv_data;
    if (entry->mv_size != INDEX_ENTRY_SIZE && entry->mv_size != KEY_NUMBER_SIZE)
        return MDB_CORRUPTED;
    uint64_t found = key_decode(bytes, KEY_NUMBER_SIZE);
    if (entry->mv_size == INDEX_ENTRY_SIZE &&
        key_decode(bytes + KEY_NUMBER_SIZE, INDEX_ENTRY_SIZE - KEY_NUMBER_SIZE) !=
            XXH3_64bits_withSeed(gid->mv_data, gid->mv_size, found))
        return MDB_CORRUPTED;
    *number = found;
    return 0;
}

/* LMDB's order. */
static int compare(const MDB_val *key, const char *gid)
{
    size_t size = strlen(gid);
    int order = memcmp(key->mv_data, gid, key->mv_size < size ? key->mv_size : size);
    return order != 0 ? order : (key->mv_size > size) - (key->mv_size < size);
}

int lmdb_index_check(MDB_txn *txn, const struct lmdb_bucket *bucket, const MDB_val *gid,
                     const MDB_val *entry)
{
    uint64_t number;
    unsigned char bytes[KEY_NUMBER_SIZE];
    MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes};
    MDB_val record;
    int rc = lmdb_index_decode(gid, entry, &number);
    if (rc != 0)
        return rc;
    key_encode(bytes, number, sizeof(bytes));
    rc = mdb_get(txn, bucket->records, &key, &record);
    return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
}

/* Whether a search from the root comes to this very entry: in a page that stands in another's place
 * it comes to where that entry belongs. */
static int check_place(MDB_txn *txn, const struct lmdb_bucket *bucket, const MDB_val *gid,
                       const MDB_val *entry)
{
    MDB_val key = *gid, found;
    int rc = mdb_get(txn, bucket->index, &key, &found);
    if (rc == 0)
        return found.mv_data == entry->mv_data ? 0 : MDB_CORRUPTED;
    return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
}

static bool are_in_one_page(const MDB_val *a, const MDB_val *b, size_t page_size)
{
    return (uintptr_t)a->mv_data / page_size == (uintptr_t)b->mv_data / page_size;
}

static int check_ends(MDB_txn *txn, const struct lmdb_bucket *bucket, MDB_cursor *cursor,
                      const MDB_stat *stat)
{
    MDB_val first, last, first_entry, last_entry;
    int rc = mdb_cursor_get(cursor, &first, &first_entry, MDB_FIRST);
    if (rc == 0)
        rc = mdb_cursor_get(cursor, &last, &last_entry, MDB_LAST);
    if (rc == 0)
        rc = check_place(txn, bucket, &first, &first_entry);
    if (rc == 0)
        rc = check_place(txn, bucket, &last, &last_entry);
    if (rc == 0)
        rc = lmdb_index_check(txn, bucket, &last, &last_entry);
    if (rc == 0 && stat->ms_depth > 1 && are_in_one_page(&first, &last, stat->ms_psize))
        return MDB_CORRUPTED; /* a leaf stands in the root's place */
    return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
}

int lmdb_index_check_ends(MDB_txn *txn, const struct lmdb_bucket *bucket)
{
    MDB_cursor *cursor;
    MDB_stat stat;
    int rc = mdb_stat(txn, bucket->index, &stat);
    if (rc != 0 || stat.ms_entries == 0)
        return rc;
    rc = mdb_cursor_open(txn, bucket->index, &cursor);
    if (rc != 0)
        return rc;
    rc = check_ends(txn, bucket, cursor, &stat);
    mdb_cursor_close(cursor);
    return rc;
}

/* A neighbour of where the gid would be: whole, on its side, in its place, and of this bucket. */
static int check_neighbour(MDB_txn *txn, const struct lmdb_bucket *bucket, int rc,
                           const MDB_val *key, const MDB_val *entry, const char *gid, int side)
{
    if (rc != 0)
        return rc == MDB_NOTFOUND ? 0 : rc;
    int order = compare(key, gid);
    if (order == 0 || (order > 0 ? 1 : -1) != side)
        return MDB_CORRUPTED;
    rc = check_place(txn, bucket, key, entry);
    return rc == 0 ? lmdb_index_check(txn, bucket, key, entry) : rc;
}

/* A search that a damaged key leads astray ends beside that key, or where the order is broken; one
 * that a damaged pointer leads to another page ends beside what belongs elsewhere. */
static int check_absent(MDB_txn *txn, const struct lmdb_bucket *bucket, const char *gid)
{
    MDB_cursor *cursor;
    MDB_val key = {.mv_size = strlen(gid), .mv_data = (void *)gid};
    MDB_val entry;
    int rc = mdb_cursor_open(txn, bucket->index, &cursor);
    if (rc != 0)
        return rc;
    rc = mdb_cursor_get(cursor, &key, &entry, MDB_SET_RANGE);
    bool is_behind_all = rc == MDB_NOTFOUND;
    rc = check_neighbour(txn, bucket, rc, &key, &entry, gid, 1);
    if (rc == 0) {
        rc = mdb_cursor_get(cursor, &key, &entry, is_behind_all ? MDB_LAST : MDB_PREV);
        rc = check_neighbour(txn, bucket, rc, &key, &entry, gid, -1);
    }
    mdb_cursor_close(cursor);
    return rc == 0 ? MDB_NOTFOUND : rc;
}

int lmdb_index_get(MDB_txn *txn, const struct lmdb_bucket *bucket, const char *gid,
                   uint64_t *number)
{
    MDB_val key = {.mv_size = strlen(gid), .mv_data = (void *)gid};
    MDB_val entry;
    int rc = mdb_get(txn, bucket->index, &key, &entry);
    if (rc == MDB_NOTFOUND)
        return check_absent(txn, bucket, gid);
    return rc == 0 ? lmdb_index_decode(&key, &entry, number) : rc;
}
