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
static int compare(const MDB_val *a, const MDB_val *b)
{
    size_t size = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;
    int order = memcmp(a->mv_data, b->mv_data, size);
    return order != 0 ? order : (a->mv_size > b->mv_size) - (a->mv_size < b->mv_size);
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
                           const MDB_val *key, const MDB_val *entry, const MDB_val *gid, int side)
{
    if (rc != 0)
        return rc == MDB_NOTFOUND ? 0 : rc;
    int order = compare(key, gid);
    if (order == 0 || (order > 0 ? 1 : -1) != side)
        return MDB_CORRUPTED;
    rc = check_place(txn, bucket, key, entry);
    return rc == 0 ? lmdb_index_check(txn, bucket, key, entry) : rc;
}

/* From `key` to the end of its page (MDB_NEXT) or to the start (MDB_PREV) each key is on its side
 * of the one before: one entry cannot stand for two. */
static int check_order(MDB_cursor *cursor, MDB_val key, const MDB_val *entry, size_t page_size,
                       MDB_cursor_op step)
{
    MDB_val next, value;
    int rc;
    while ((rc = mdb_cursor_get(cursor, &next, &value, step)) == 0 &&
           are_in_one_page(entry, &value, page_size)) {
        int order = compare(&next, &key);
        if (step == MDB_NEXT ? order <= 0 : order >= 0)
            return MDB_CORRUPTED;
        key = next;
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int check_side_at(MDB_txn *txn, const struct lmdb_bucket *bucket, MDB_cursor *cursor,
                         const MDB_val *gid, int side)
{
    MDB_val key = *gid, entry;
    MDB_stat stat;
    int rc = mdb_stat(txn, bucket->index, &stat);
    if (rc != 0)
        return rc;
    rc = mdb_cursor_get(cursor, &key, &entry, MDB_SET_RANGE);
    if (side < 0 && (rc == 0 || rc == MDB_NOTFOUND))
        rc = mdb_cursor_get(cursor, &key, &entry, rc == 0 ? MDB_PREV : MDB_LAST);
    bool is_there = rc == 0;
    rc = check_neighbour(txn, bucket, rc, &key, &entry, gid, side);
    if (rc != 0 || !is_there)
        return rc;
    return check_order(cursor, key, &entry, stat.ms_psize, side > 0 ? MDB_NEXT : MDB_PREV);
}

/* One side of where the gid would be: -1, before it; 1, behind it. By a cursor of its own: one that
 * stands somewhere searches from there, not from the root. */
static int check_side(MDB_txn *txn, const struct lmdb_bucket *bucket, const MDB_val *gid, int side)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, bucket->index, &cursor);
    if (rc != 0)
        return rc;
    rc = check_side_at(txn, bucket, cursor, gid, side);
    mdb_cursor_close(cursor);
    return rc;
}

/* A search that a damaged key leads astray ends beside that key, or where the order is broken; one
 * that a damaged pointer leads to another page ends beside what belongs elsewhere, and one that it
 * leads to another entry of the page ends in a page whose order is broken. */
static int check_absent(MDB_txn *txn, const struct lmdb_bucket *bucket, const MDB_val *gid)
{
    int rc = check_side(txn, bucket, gid, 1);
    if (rc == 0)
        rc = check_side(txn, bucket, gid, -1);
    return rc == 0 ? MDB_NOTFOUND : rc;
}

int lmdb_index_get(MDB_txn *txn, const struct lmdb_bucket *bucket, const char *gid,
                   uint64_t *number)
{
    MDB_val key = {.mv_size = strlen(gid), .mv_data = (void *)gid};
    MDB_val entry;
    int rc = mdb_get(txn, bucket->index, &key, &entry);
    if (rc == MDB_NOTFOUND)
        return check_absent(txn, bucket, &key);
    return rc == 0 ? lmdb_index_decode(&key, &entry, number) : rc;
}
