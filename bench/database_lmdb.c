/* SPDX-License-Identifier: Apache-2.0
 *
 * database.h: LMDB, a folder for each participant. One writes at a time.
 */
#include "database.h"

#include <lmdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAP_SIZE (UINT64_C(4) << 30)

/* The ledger: what comes is appended under a number that only counts, so nothing is a key. */
static MDB_dbi ledger;
static atomic_uint_fast64_t ledger_next;

struct entry {
    uint64_t seq;
    uint32_t branch, operation;
};

static void url(const struct shared *shared, uint32_t index, char *out, size_t size)
{
    snprintf(out, size, "lmdb:%s/participant-%u.lmdb", shared->dir, index);
}

static int prepare(tercet_db db, void *participant)
{
    (void)participant;
    return mdb_dbi_open(db, "ledger", MDB_CREATE | MDB_INTEGERKEY, &ledger) == 0 ? 0 : TERCET_STORE;
}

static int put(MDB_txn *txn, MDB_dbi table, const struct entry *entry)
{
    uint64_t number = atomic_fetch_add(&ledger_next, 1) + 1;
    MDB_val key = {.mv_size = sizeof(number), .mv_data = &number};
    MDB_val value = {.mv_size = sizeof(*entry), .mv_data = (void *)(uintptr_t)entry};
    return mdb_put(txn, table, &key, &value, MDB_APPEND);
}

static int add(tercet_db db, uint64_t seq, uint32_t branch, enum operation operation)
{
    struct entry entry = {.seq = seq, .branch = branch, .operation = (uint32_t)operation};
    return put(db, ledger, &entry) == 0 ? 0 : TERCET_AGAIN;
}

static int count(tercet_db db, void *participant)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    struct entry entry;
    int rc = mdb_cursor_open(db, ledger, &cursor);
    if (rc != 0)
        return TERCET_STORE;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        memcpy(&entry, value.mv_data, sizeof(entry));
        participant_count_row(participant, entry.seq, entry.branch,
                              (enum operation)entry.operation);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : TERCET_STORE;
}

static uint64_t commits(tercet_db db, uint32_t index)
{
    MDB_envinfo info;
    (void)index;
    return mdb_env_info(mdb_txn_env(db), &info) == 0 ? info.me_last_txnid : 0;
}

/* -- Without Tercet ---------------------------------------------------------------------------- */

struct bare {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi rows, ledger;
};

static void disconnect(void *connection)
{
    struct bare *bare = connection;
    if (bare == NULL)
        return;
    if (bare->txn != NULL)
        mdb_txn_abort(bare->txn);
    mdb_env_close(bare->env);
    free(bare);
}

static void *connect_bare(const struct shared *shared, uint32_t index)
{
    char path[PATH_SIZE + 32];
    struct bare *bare = calloc(1, sizeof(*bare));
    snprintf(path, sizeof(path), "%s/bare-%u.lmdb", shared->dir, index);
    mkdir(path, 0700);
    bool is_open =
        bare != NULL && mdb_env_create(&bare->env) == 0 &&
        mdb_env_set_mapsize(bare->env, MAP_SIZE) == 0 && mdb_env_set_maxdbs(bare->env, 2) == 0 &&
        mdb_env_open(bare->env, path, 0, 0600) == 0 &&
        mdb_txn_begin(bare->env, NULL, 0, &bare->txn) == 0 &&
        mdb_dbi_open(bare->txn, "rows", MDB_CREATE, &bare->rows) == 0 &&
        mdb_dbi_open(bare->txn, "ledger", MDB_CREATE | MDB_INTEGERKEY, &bare->ledger) == 0 &&
        mdb_txn_commit(bare->txn) == 0;
    if (bare != NULL)
        bare->txn = NULL;
    if (is_open)
        return bare;
    disconnect(bare);
    return NULL;
}

static bool begin(void *connection)
{
    struct bare *bare = connection;
    return mdb_txn_begin(bare->env, NULL, 0, &bare->txn) == 0;
}

/* A row is of about the barrier's size: what is not read is not worth its exact shape. */
static bool branch(void *connection, uint64_t seq, bool is_confirm)
{
    struct bare *bare = connection;
    char gid[40];
    uint64_t row[4] = {seq, is_confirm};
    struct entry entry = {.seq = seq, .branch = 1, .operation = is_confirm};
    snprintf(gid, sizeof(gid), "bare-%020llu", (unsigned long long)seq);
    MDB_val key = {.mv_size = strlen(gid), .mv_data = gid};
    MDB_val value = {.mv_size = sizeof(row), .mv_data = row};
    return mdb_put(bare->txn, bare->rows, &key, &value, is_confirm ? 0 : MDB_NOOVERWRITE) == 0 &&
           put(bare->txn, bare->ledger, &entry) == 0;
}

static bool commit(void *connection)
{
    struct bare *bare = connection;
    int rc = mdb_txn_commit(bare->txn);
    bare->txn = NULL;
    return rc == 0;
}

const struct database database_lmdb = {.url = url,
                                       .prepare = prepare,
                                       .add = add,
                                       .count = count,
                                       .commits = commits,
                                       .connect = connect_bare,
                                       .begin = begin,
                                       .branch = branch,
                                       .commit = commit,
                                       .disconnect = disconnect};
