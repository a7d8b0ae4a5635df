/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of buckets in memory follows the named databases: loaded from them, and changed with
 * them.
 */
#include "lmdb_store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECORDS_PREFIX "records/"
#define GIDS_PREFIX "gids/"
#define SPAN_DIGITS 16
#define SPAN_SIZE (2 * SPAN_DIGITS + 1)
#define NAME_SIZE (sizeof(RECORDS_PREFIX) + SPAN_SIZE)

static void format_name(char *out, const char *prefix, const struct bucket *bucket)
{
    snprintf(out, NAME_SIZE, "%s%016" PRIx64 "-%016" PRIx64, prefix, (uint64_t)bucket->start_ms,
             (uint64_t)bucket->end_ms);
}

static bool parse_hex(const char *digits, int64_t *value)
{
    uint64_t parsed = 0;
    for (size_t i = 0; i < SPAN_DIGITS; i++) {
        const char *set = "0123456789abcdef";
        const char *digit = memchr(set, digits[i], 16);
        if (digit == NULL)
            return false;
        parsed = parsed << 4 | (uint64_t)(digit - set);
    }
    *value = (int64_t)parsed;
    return parsed <= INT64_MAX;
}

static bool is_records_name(const MDB_val *name)
{
    size_t prefix_size = strlen(RECORDS_PREFIX);
    return name->mv_size >= prefix_size && memcmp(name->mv_data, RECORDS_PREFIX, prefix_size) == 0;
}

static bool parse_span(const MDB_val *name, struct bucket *bucket)
{
    size_t prefix_size = strlen(RECORDS_PREFIX);
    if (name->mv_size != prefix_size + SPAN_SIZE)
        return false;
    const char *span = (const char *)name->mv_data + prefix_size;
    return span[SPAN_DIGITS] == '-' && parse_hex(span, &bucket->start_ms) &&
           parse_hex(span + SPAN_DIGITS + 1, &bucket->end_ms);
}

static int open_pair(MDB_txn *txn, const struct bucket *span, unsigned flags,
                     struct lmdb_bucket *bucket)
{
    char name[NAME_SIZE];
    format_name(name, RECORDS_PREFIX, span);
    int rc = mdb_dbi_open(txn, name, flags, &bucket->records);
    if (rc != 0)
        return rc;
    format_name(name, GIDS_PREFIX, span);
    return mdb_dbi_open(txn, name, flags, &bucket->index);
}

/* The last key, or none: then key->mv_size is 0. */
static int last_entry(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, dbi, &cursor);
    if (rc != 0)
        return rc;
    rc = mdb_cursor_get(cursor, key, value, MDB_LAST);
    mdb_cursor_close(cursor);
    if (rc == MDB_NOTFOUND)
        *key = (MDB_val){.mv_size = 0, .mv_data = (void *)""};
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int load_maxima(MDB_txn *txn, struct lmdb_bucket *bucket)
{
    MDB_val number, gid, value;
    MDB_stat stat;
    int rc = last_entry(txn, bucket->records, &number, &value);
    if (rc == 0)
        rc = last_entry(txn, bucket->index, &gid, &value);
    if (rc == 0)
        rc = lmdb_index_check_ends(txn, bucket);
    if (rc == 0)
        rc = mdb_stat(txn, bucket->index, &stat);
    if (rc != 0)
        return rc;
    if ((gid.mv_size == 0) != (stat.ms_entries == 0) ||
        (gid.mv_size == 0) != (number.mv_size == 0) ||
        (number.mv_size != 0 && number.mv_size != KEY_NUMBER_SIZE) ||
        gid.mv_size > TERCET_STORE_GID_MAX)
        return MDB_CORRUPTED;
    bucket->number_max = key_decode(number.mv_data, number.mv_size);
    if (gid.mv_size > 0)
        memcpy(bucket->gid_max, gid.mv_data, gid.mv_size);
    return 0;
}

/* Puts the bucket into the table; its databases are made when `flags` says so. */
static int add_bucket(struct lmdb_store *store, MDB_txn *txn, const struct bucket *span,
                      unsigned flags, struct lmdb_bucket **out)
{
    struct bucket bucket = *span;
    struct lmdb_bucket *state = calloc(1, sizeof(*state));
    if (state == NULL)
        return ENOMEM;
    bucket.state = state;
    int rc = open_pair(txn, span, flags, state);
    if (rc == 0)
        rc = load_maxima(txn, state);
    if (rc == 0) {
        int inserted = buckets_insert(&store->buckets, &bucket);
        if (inserted != 0)
            rc = inserted == TERCET_STORE_NOMEM ? ENOMEM : MDB_CORRUPTED;
    }
    if (rc != 0) {
        free(state);
        return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
    }
    *out = state;
    return 0;
}

int lmdb_store_make_bucket(struct lmdb_store *store, MDB_txn *txn, int64_t time_ms,
                           struct lmdb_bucket **out)
{
    struct bucket span = buckets_span(&store->buckets, time_ms);
    return add_bucket(store, txn, &span, MDB_CREATE, out);
}

int lmdb_store_drop_bucket(struct lmdb_store *store, MDB_txn *txn, size_t index)
{
    struct lmdb_bucket *bucket = store->buckets.items[index].state;
    buckets_remove(&store->buckets, index);
    int rc = mdb_drop(txn, bucket->records, 1);
    if (rc == 0)
        rc = mdb_drop(txn, bucket->index, 1);
    free(bucket);
    return rc;
}

void lmdb_store_unload(struct lmdb_store *store)
{
    for (size_t i = 0; i < store->buckets.count; i++)
        free(store->buckets.items[i].state);
    buckets_clear(&store->buckets);
}

static void raise_top(struct lmdb_store *store, uint64_t number)
{
    if (number > store->number_top)
        store->number_top = number;
}

/* The names ascend and there are as many as LMDB has counted: else one of them stands for another,
 * or the page of the names is not the one that was written last. */
static int load_buckets(struct lmdb_store *store, MDB_txn *txn, MDB_cursor *names)
{
    MDB_val name, value;
    MDB_val last = {.mv_size = 0, .mv_data = (void *)""};
    MDB_stat stat;
    size_t count = 0;
    int rc = mdb_stat(txn, mdb_cursor_dbi(names), &stat);
    if (rc == 0)
        rc = mdb_cursor_get(names, &name, &value, MDB_FIRST);
    for (; rc == 0; rc = mdb_cursor_get(names, &name, &value, MDB_NEXT)) {
        if (mdb_cmp(txn, mdb_cursor_dbi(names), &name, &last) <= 0)
            return MDB_CORRUPTED;
        last = name;
        count++;
        struct bucket span;
        struct lmdb_bucket *bucket;
        if (!is_records_name(&name))
            continue;
        rc = parse_span(&name, &span) ? add_bucket(store, txn, &span, 0, &bucket) : MDB_CORRUPTED;
        if (rc != 0)
            return rc;
        raise_top(store, bucket->number_max);
    }
    if (rc == MDB_NOTFOUND)
        return count == stat.ms_entries ? 0 : MDB_CORRUPTED;
    return rc;
}

static int load_names(struct lmdb_store *store, MDB_txn *txn)
{
    MDB_dbi dbi;
    MDB_cursor *names;
    int rc = mdb_dbi_open(txn, NULL, 0, &dbi);
    if (rc == 0)
        rc = mdb_cursor_open(txn, dbi, &names);
    if (rc != 0)
        return rc;
    rc = load_buckets(store, txn, names);
    mdb_cursor_close(names);
    return rc;
}

static int load_numbers(struct lmdb_store *store, MDB_txn *txn)
{
    MDB_val live, value;
    uint64_t next;
    int rc = last_entry(txn, store->live, &live, &value);
    if (rc == 0)
        rc = lmdb_store_system_get(txn, store->system, "next", &next);
    if (rc != 0)
        return rc;
    if (next == 0 || (live.mv_size != 0 && live.mv_size != KEY_LIVE_SIZE))
        return MDB_CORRUPTED;
    store->next_stored = next;
    raise_top(store, next - 1);
    if (live.mv_size > 0)
        raise_top(store, key_decode(live.mv_data, KEY_NUMBER_SIZE));
    return 0;
}

int lmdb_store_load(struct lmdb_store *store)
{
    MDB_txn *txn;
    lmdb_store_unload(store);
    store->is_broken = true;
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return rc;
    rc = load_names(store, txn);
    if (rc == 0)
        rc = load_numbers(store, txn);
    if (rc == 0) {
        /* Not abort: the commit is what keeps the handles. */
        rc = mdb_txn_commit(txn);
    } else {
        mdb_txn_abort(txn);
    }
    store->is_broken = rc != 0;
    if (rc != 0)
        lmdb_store_unload(store);
    return rc;
}

static bool is_dropped(MDB_txn *txn, MDB_dbi dbi)
{
    unsigned char bytes[KEY_NUMBER_SIZE] = {0};
    MDB_val key = {.mv_size = sizeof(bytes), .mv_data = bytes};
    MDB_val value;
    return mdb_get(txn, dbi, &key, &value) == MDB_BAD_DBI;
}

void lmdb_store_forget_dropped(struct lmdb_store *store, MDB_txn *txn)
{
    for (size_t i = store->buckets.count; i-- > 0;) {
        struct lmdb_bucket *bucket = store->buckets.items[i].state;
        if (!is_dropped(txn, bucket->records) && !is_dropped(txn, bucket->index))
            continue;
        free(bucket);
        buckets_remove(&store->buckets, i);
    }
}

bool lmdb_store_may_have_gid(struct lmdb_store *store, const struct lmdb_bucket *bucket,
                             const char *gid)
{
    if (store->only_reads)
        return true; /* another process adds some */
    pthread_mutex_lock(&store->gids);
    bool may = strcmp(gid, bucket->gid_max) <= 0;
    pthread_mutex_unlock(&store->gids);
    return may;
}

void lmdb_store_raise_gid(struct lmdb_store *store, struct lmdb_bucket *bucket, const char *gid)
{
    size_t size = strlen(gid);
    pthread_mutex_lock(&store->gids);
    memcpy(bucket->gid_max, gid, size + 1);
    pthread_mutex_unlock(&store->gids);
}
