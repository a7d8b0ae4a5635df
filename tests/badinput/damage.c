/* SPDX-License-Identifier: Apache-2.0
 *
 * damage.h
 */
#include "damage.h"

#include <criterion/criterion.h>
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>

static MDB_txn *begin(MDB_env **env, const char *directory)
{
    MDB_txn *txn;
    cr_assert_eq(mdb_env_create(env), 0);
    cr_assert_eq(mdb_env_set_maxdbs(*env, 64), 0);
    cr_assert_eq(mdb_env_set_mapsize(*env, 1 << 26), 0);
    cr_assert_eq(mdb_env_open(*env, directory, 0, 0600), 0);
    cr_assert_eq(mdb_txn_begin(*env, NULL, 0, &txn), 0);
    return txn;
}

static void commit(MDB_env *env, MDB_txn *txn)
{
    cr_assert_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

/* The cursor stands at the key, or at the index-th value. */
static bool find(MDB_cursor *cursor, const char *name, size_t index, MDB_val *key, MDB_val *value)
{
    if (name != NULL) {
        *key = (MDB_val){strlen(name), (void *)(uintptr_t)name};
        return mdb_cursor_get(cursor, key, value, MDB_SET_KEY) == 0;
    }
    int rc = mdb_cursor_get(cursor, key, value, MDB_FIRST);
    for (size_t i = 0; i < index && rc == 0; i++)
        rc = mdb_cursor_get(cursor, key, value, MDB_NEXT);
    return rc == 0;
}

static bool open_at(MDB_cursor **cursor, MDB_txn *txn, const char *database)
{
    MDB_dbi dbi;
    return mdb_dbi_open(txn, database, 0, &dbi) == 0 && mdb_cursor_open(txn, dbi, cursor) == 0;
}

bool damage_do(const char *directory, const struct damage *damage)
{
    MDB_env *env;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    MDB_txn *txn = begin(&env, directory);
    bool found = open_at(&cursor, txn, damage->database) &&
                 find(cursor, damage->key, damage->index, &key, &value);
    size_t at = damage->at >= 0 ? (size_t)damage->at : value.mv_size + (size_t)damage->at;
    found = found && at < value.mv_size;
    if (found) {
        unsigned char *copy = malloc(value.mv_size);
        memcpy(copy, value.mv_data, value.mv_size);
        copy[at] ^= 0x10;
        MDB_val changed = {damage->cut ? at : value.mv_size, copy};
        cr_assert_eq(mdb_cursor_put(cursor, &key, &changed, MDB_CURRENT), 0);
        free(copy);
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    commit(env, txn);
    return found;
}

bool damage_remove(const char *directory, const char *database, size_t index)
{
    MDB_env *env;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    MDB_txn *txn = begin(&env, directory);
    bool found = open_at(&cursor, txn, database) && find(cursor, NULL, index, &key, &value);
    if (found)
        cr_assert_eq(mdb_cursor_del(cursor, 0), 0);
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    commit(env, txn);
    return found;
}

bool damage_find_database(const char *directory, const char *prefix, char name[128])
{
    MDB_env *env;
    MDB_cursor *cursor = NULL;
    MDB_val key = {strlen(prefix), (void *)(uintptr_t)prefix};
    MDB_val value;
    MDB_txn *txn = begin(&env, directory);
    bool found = open_at(&cursor, txn, NULL) &&
                 mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE) == 0 && key.mv_size < 128 &&
                 key.mv_size >= strlen(prefix) && memcmp(key.mv_data, prefix, strlen(prefix)) == 0;
    if (found) {
        memcpy(name, key.mv_data, key.mv_size);
        name[key.mv_size] = '\0';
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    commit(env, txn);
    return found;
}
