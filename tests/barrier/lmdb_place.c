/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_place.h
 */
#include "lmdb_place.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct place place_new(void)
{
    struct place place = {.folder = "/tmp/tercet-lmdb-XXXXXX"};
    cr_assert_not_null(mkdtemp(place.folder));
    return place;
}

static int open_ledger(tercet_db db, void *ctx)
{
    struct place *place = ctx;
    return mdb_dbi_open(db, "ledger", MDB_CREATE, &place->ledger) == 0 ? 0 : TERCET_AGAIN;
}

int place_try_open(struct place *place, const struct tercet_barrier_options *given, char *text)
{
    struct tercet_barrier_options options = {.size = sizeof(options)};
    if (given != NULL)
        options = *given;
    if (options.lmdb_bytes_max == 0)
        options.lmdb_bytes_max = BYTES_MAX;
    int rc = tercet_barrier_lmdb_open(&place->barrier, place->folder, &options, text);
    if (rc != 0)
        return rc;
    rc = tercet_barrier_local(place->barrier, open_ledger, place);
    if (rc != 0)
        tercet_barrier_close(place->barrier);
    return rc;
}

void place_open(struct place *place, const struct tercet_barrier_options *options)
{
    char text[TERCET_TEXT_MAX] = "";
    cr_assert_eq(place_try_open(place, options, text), 0, "%s", text);
}

void place_remove(struct place *place)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/data.mdb", place->folder);
    unlink(path);
    snprintf(path, sizeof(path), "%s/lock.mdb", place->folder);
    unlink(path);
    rmdir(place->folder);
}

int place_write(struct place *place, MDB_txn *txn, const char *gid, uint32_t branch,
                enum tercet_kind kind)
{
    char line[128];
    MDB_stat stat;
    if (mdb_stat(txn, place->ledger, &stat) != 0)
        return TERCET_AGAIN;
    MDB_val key = {.mv_size = (size_t)snprintf(line, sizeof(line), "%08zu %d %u %s",
                                               stat.ms_entries, (int)kind, branch, gid),
                   .mv_data = line};
    MDB_val nothing = {0};
    return mdb_put(txn, place->ledger, &key, &nothing, MDB_NOOVERWRITE) == 0 ? 0 : TERCET_AGAIN;
}

struct count {
    struct place *place;
    const char *gid;
    int kind;
    int lines;
};

static int count_in(tercet_db db, void *ctx)
{
    struct count *count = ctx;
    MDB_cursor *cursor = NULL;
    MDB_val key, nothing;
    cr_assert_eq(mdb_cursor_open(db, count->place->ledger, &cursor), 0);
    while (mdb_cursor_get(cursor, &key, &nothing, MDB_NEXT) == 0) {
        char line[128] = "", gid[TERCET_GID_MAX + 1];
        int kind;
        memcpy(line, key.mv_data, key.mv_size);
        cr_assert_eq(sscanf(line, "%*u %d %*u %64s", &kind, gid), 2, "%s", line);
        count->lines += (count->gid == NULL || strcmp(gid, count->gid) == 0) &&
                        (count->kind == 0 || kind == count->kind);
    }
    mdb_cursor_close(cursor);
    return 0;
}

int place_count(struct place *place, const char *gid, int kind)
{
    struct count count = {.place = place, .gid = gid, .kind = kind};
    cr_assert_eq(tercet_barrier_local(place->barrier, count_in, &count), 0);
    return count.lines;
}

int place_hook(struct tercet_barrier_call *call, tercet_db db, void *place)
{
    return place_write(place, db, call->gid, call->branch, call->kind);
}
