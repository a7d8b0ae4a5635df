/* SPDX-License-Identifier: Apache-2.0
 *
 * The barrier in LMDB when LMDB fails, one call after another, when memory does, when what is
 * stored is not as the barrier writes it, and when another process makes the database larger.
 */
#include <criterion/criterion.h>
#include <drivers.h>
#include <errno.h>
#include <scarce.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lmdb_place.h"

/* -- LMDB fails -------------------------------------------------------------------------------- */

/* The calls of LMDB are counted; the one with this number fails. 0: none does. */
static int fail_at;
static int fail_code = EIO;
static int call_count;

static bool fails(void)
{
    return ++call_count == fail_at;
}

static void arm(int at)
{
    call_count = 0;
    fail_at = at;
}

/* The linker puts these in the place of LMDB's functions. */
#define WRAP(name, parameters, ...)                                                                \
    int __real_##name parameters;                                                                  \
    int __wrap_##name parameters;                                                                  \
    int __wrap_##name parameters                                                                   \
    {                                                                                              \
        return fails() ? fail_code : __real_##name(__VA_ARGS__);                                   \
    }
WRAP(mdb_env_create, (MDB_env * *env), env)
WRAP(mdb_env_set_maxdbs, (MDB_env * env, MDB_dbi dbs), env, dbs)
WRAP(mdb_env_set_mapsize, (MDB_env * env, size_t size), env, size)
WRAP(mdb_env_open, (MDB_env * env, const char *path, unsigned flags, mdb_mode_t mode), env, path,
     flags, mode)
WRAP(mdb_txn_begin, (MDB_env * env, MDB_txn *parent, unsigned flags, MDB_txn **txn), env, parent,
     flags, txn)
WRAP(mdb_dbi_open, (MDB_txn * txn, const char *name, unsigned flags, MDB_dbi *dbi), txn, name,
     flags, dbi)
WRAP(mdb_stat, (MDB_txn * txn, MDB_dbi dbi, MDB_stat *stat), txn, dbi, stat)
WRAP(mdb_get, (MDB_txn * txn, MDB_dbi dbi, MDB_val *key, MDB_val *data), txn, dbi, key, data)
WRAP(mdb_put, (MDB_txn * txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned flags), txn, dbi,
     key, data, flags)
WRAP(mdb_del, (MDB_txn * txn, MDB_dbi dbi, MDB_val *key, MDB_val *data), txn, dbi, key, data)
WRAP(mdb_cursor_open, (MDB_txn * txn, MDB_dbi dbi, MDB_cursor **cursor), txn, dbi, cursor)
WRAP(mdb_cursor_get, (MDB_cursor * cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op), cursor,
     key, data, op)
WRAP(mdb_cursor_del, (MDB_cursor * cursor, unsigned flags), cursor, flags)

/* A commit that fails has ended the transaction all the same. */
int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn)
{
    if (!fails())
        return __real_mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return fail_code;
}

static int reply_hook(struct tercet_barrier_call *call, tercet_db db, void *place)
{
    int rc = place_hook(call, db, place);
    call->reply = scarce_dup("seat 17");
    call->reply_size = 7;
    return rc;
}

static struct tercet_barrier_call call_of(struct place *place, const char *gid, uint64_t number,
                                          enum tercet_kind kind)
{
    return (struct tercet_barrier_call){.gid = gid,
                                        .branch = 1,
                                        .number = number,
                                        .kind = kind,
                                        .hook = kind == TERCET_TRY ? reply_hook : place_hook,
                                        .ctx = place};
}

static int ask(struct place *place, struct tercet_barrier_call call)
{
    tercet_barrier_run(place->barrier, &call, 1);
    free(call.reply);
    return call.result;
}

/* A life of the barrier: opened, each row of its table, the mark, what is collected, what is asked
 * by the way. Whatever fails, it goes on. Returns whether "two" was told to be cancelled. */
static bool live(struct place *place)
{
    uint64_t rows, mark;
    char identity[TERCET_BARRIER_IDENTITY_MAX + 1];
    if (place_try_open(place, NULL, NULL) != 0)
        return false;
    tercet_barrier_identity(place->barrier, identity);
    ask(place, call_of(place, "one", 1, TERCET_TRY));
    ask(place, call_of(place, "one", 1, TERCET_TRY));
    ask(place, call_of(place, "one", 1, TERCET_CONFIRM));
    bool is_cancelled = ask(place, call_of(place, "two", 2, TERCET_CANCEL)) == 0;
    ask(place, call_of(place, "two", 2, TERCET_TRY));
    struct tercet_barrier_call last = call_of(place, "three", 3, TERCET_TRY);
    last.low_water = 2;
    ask(place, last);
    ask(place, call_of(place, "three", 3, TERCET_CANCEL));
    tercet_barrier_stats(place->barrier, &rows, &mark);
    tercet_barrier_close(place->barrier);
    return is_cancelled;
}

/* Each branch has been done once or not at all, and is done now. */
static void check_after(struct place *place, bool is_cancelled)
{
    uint64_t rows, mark;
    place_open(place, NULL);
    cr_assert_leq(place_count(place, "one", TERCET_TRY), 1);
    cr_assert_leq(place_count(place, "one", TERCET_CONFIRM), place_count(place, "one", TERCET_TRY));
    cr_assert_leq(place_count(place, "two", 0), is_cancelled ? 0 : 1);
    cr_assert_leq(place_count(place, "three", TERCET_CANCEL),
                  place_count(place, "three", TERCET_TRY));
    cr_assert_eq(ask(place, call_of(place, "four", 4, TERCET_TRY)), 0);
    cr_assert_eq(ask(place, call_of(place, "four", 4, TERCET_CONFIRM)), 0);
    cr_assert_eq(tercet_barrier_stats(place->barrier, &rows, &mark), 0);
    tercet_barrier_close(place->barrier);
}

Test(barrier_lmdb_faults, each_call_of_lmdb_fails_once, .timeout = 200)
{
    bool has_failed = true;
    int at = 1;
    for (; has_failed; at++) {
        struct place place = place_new();
        arm(at);
        bool is_cancelled = live(&place);
        has_failed = call_count >= at;
        arm(0);
        check_after(&place, is_cancelled);
        place_remove(&place);
    }
    cr_assert_gt(at, 60, "%d", at);
}

Test(barrier_lmdb_faults, each_allocation_fails_once, .timeout = 200)
{
    bool has_failed = true;
    int at = 1;
    for (; has_failed; at++) {
        struct place place = place_new();
        scarce_fail_at(at);
        bool is_cancelled = live(&place);
        has_failed = scarce_has_failed();
        scarce_fail_at(0);
        check_after(&place, is_cancelled);
        place_remove(&place);
    }
    cr_assert_gt(at, 4, "%d", at);
}

Test(barrier_lmdb_faults, files_of_another_version_are_told)
{
    struct place place = place_new();
    char text[TERCET_TEXT_MAX] = "";
    fail_code = MDB_VERSION_MISMATCH;
    arm(4); /* create, set_maxdbs, set_mapsize, open */
    cr_assert_eq(tercet_barrier_lmdb_open(&place.barrier, place.folder, NULL, text), TERCET_FORMAT);
    cr_assert_not_null(strstr(text, "that this program can read"), "%s", text);
    arm(0);
    fail_code = ENOMEM;
    arm(1);
    cr_assert_eq(tercet_barrier_lmdb_open(&place.barrier, place.folder, NULL, NULL), TERCET_NOMEM);
    arm(0);
    place_remove(&place);
}

Test(barrier_lmdb_faults, options_without_a_size_and_dangling_folders_are_refused)
{
    struct tercet_barrier_options options = {.size = 0};
    struct tercet_barrier *barrier = NULL;
    struct place place = place_new();
    char text[TERCET_TEXT_MAX] = "", path[96];
    cr_assert_eq(tercet_barrier_lmdb_open(&barrier, place.folder, &options, text), TERCET_INVALID);
    cr_assert_eq(tercet_barrier_lmdb_open(NULL, place.folder, NULL, text), TERCET_INVALID);
    snprintf(path, sizeof(path), "%s/link", place.folder);
    cr_assert_eq(symlink("/no/such/folder", path), 0);
    cr_assert_eq(tercet_barrier_lmdb_open(&barrier, path, NULL, text), TERCET_STORE);
    cr_assert_not_null(strstr(text, "cannot look at the folder"), "%s", text);
    unlink(path);
    place_remove(&place);
}

/* -- Several of them --------------------------------------------------------------------------- */

Test(barrier_lmdb_faults, several_databases_are_open_at_once)
{
    struct place first = place_new(), second = {.folder = "/dev/shm/tercet-lmdb-XXXXXX"};
    struct place third = place_new();
    cr_assert_not_null(mkdtemp(second.folder)); /* of another device */
    place_open(&first, NULL);
    place_open(&second, NULL);
    place_open(&third, NULL);
    cr_assert_eq(ask(&first, call_of(&first, "one", 1, TERCET_TRY)), 0);
    cr_assert_eq(ask(&second, call_of(&second, "one", 1, TERCET_TRY)), 0);
    tercet_barrier_close(first.barrier);
    cr_assert_eq(place_count(&second, NULL, 0), 1);
    tercet_barrier_close(second.barrier);
    tercet_barrier_close(third.barrier);
    place_remove(&third);
    place_remove(&first);
    place_remove(&second);
}

static int large_reply(struct tercet_barrier_call *call, tercet_db db, void *place)
{
    int rc = place_hook(call, db, place);
    call->reply = calloc(1, TERCET_REPLY_MAX);
    call->reply_size = TERCET_REPLY_MAX;
    return rc;
}

/* Another process that may have more of it, and takes it. */
static void fill(struct place *place)
{
    char gid[32];
    place_open(place, NULL);
    for (int i = 0; i < 200; i++) {
        snprintf(gid, sizeof(gid), "large-%d", i);
        struct tercet_barrier_call call = call_of(place, gid, 0, TERCET_TRY);
        call.hook = large_reply;
        if (ask(place, call) != 0)
            _exit(1);
    }
    tercet_barrier_close(place->barrier);
    _exit(0);
}

/* `at`: the call of LMDB that fails meanwhile, counted from the one that finds it larger; 0: none.
 */
static int ask_when_larger(int at)
{
    struct tercet_barrier_options options = {.size = sizeof(options), .lmdb_bytes_max = 1 << 20};
    struct place place = place_new();
    uint64_t rows = 0, mark;
    int status = 0;
    pid_t pid = fork(); /* before anything is open here */
    if (pid == 0) {
        pid_t other = fork();
        if (other == 0)
            fill(&place);
        _exit(waitpid(other, &status, 0) == other ? WEXITSTATUS(status) : 1);
    }
    place_open(&place, &options);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    arm(at);
    int rc = tercet_barrier_stats(place.barrier, &rows, &mark);
    arm(0);
    cr_assert(rc != 0 || rows == 200);
    cr_assert_eq(ask(&place, call_of(&place, "one", 1, TERCET_TRY)), 0);
    tercet_barrier_close(place.barrier);
    place_remove(&place);
    return rc;
}

Test(barrier_lmdb_faults, another_process_makes_it_larger)
{
    cr_assert_eq(ask_when_larger(0), 0);
    cr_assert_eq(ask_when_larger(2), TERCET_STORE, "the new size cannot be taken over");
}

/* -- What is stored is not ours ---------------------------------------------------------------- */

struct stranger {
    const char *table;
    const void *key;
    size_t key_size;
    const char *value;
    size_t value_size;
};

static int put_stranger(tercet_db db, void *ctx)
{
    const struct stranger *stranger = ctx;
    MDB_dbi dbi;
    MDB_val key = {.mv_size = stranger->key_size, .mv_data = (void *)(uintptr_t)stranger->key};
    MDB_val value = {.mv_size = stranger->value_size,
                     .mv_data = (void *)(uintptr_t)stranger->value};
    cr_assert_eq(mdb_dbi_open(db, stranger->table, 0, &dbi), 0);
    return mdb_put(db, dbi, &key, &value, 0);
}

/* A barrier with one strange record in it. */
static struct place place_with(struct stranger stranger)
{
    struct place place = place_new();
    place_open(&place, NULL);
    cr_assert_eq(tercet_barrier_local(place.barrier, put_stranger, &stranger), 0);
    return place;
}

static void end(struct place *place)
{
    tercet_barrier_close(place->barrier);
    place_remove(place);
}

Test(barrier_lmdb_faults, a_short_row_is_damage)
{
    static const char key[] = "one\0\0\0\0\1";
    struct place place =
        place_with((struct stranger){"tercet_barrier", key, sizeof(key) - 1, "x", 1});
    cr_assert_eq(ask(&place, call_of(&place, "one", 1, TERCET_CONFIRM)), TERCET_STORE);
    end(&place);
}

Test(barrier_lmdb_faults, facts_of_another_size_are_damage)
{
    char long_text[TERCET_BARRIER_IDENTITY_MAX + 2] = "", identity[33];
    uint64_t rows, mark;
    memset(long_text, 'x', sizeof(long_text) - 1);
    struct place place = place_with((struct stranger){"tercet_barrier_fact", "mark", 4, "abc", 3});
    cr_assert_eq(tercet_barrier_stats(place.barrier, &rows, &mark), TERCET_STORE);
    end(&place);
    place = place_with((struct stranger){"tercet_barrier_fact", "identity", 8, "", 0});
    cr_assert_eq(tercet_barrier_identity(place.barrier, identity), TERCET_STORE);
    end(&place);
    place = place_with((struct stranger){"tercet_barrier_fact", "identity", 8, long_text, 33});
    cr_assert_eq(tercet_barrier_identity(place.barrier, identity), TERCET_STORE);
    end(&place);
}

Test(barrier_lmdb_faults, strange_keys_of_what_has_ended_are_damage)
{
    char key[128] = "";
    for (size_t size = 8; size <= 100; size += 92) {
        struct place place =
            place_with((struct stranger){"tercet_barrier_ended", key, size, "", 0});
        struct tercet_barrier_call call = call_of(&place, "one", 7, TERCET_TRY);
        call.low_water = 5;
        cr_assert_eq(ask(&place, call), TERCET_STORE);
        end(&place);
    }
}

Test(barrier_lmdb_faults, a_reply_needs_its_row)
{
    struct tercet_barrier_options options;
    struct place place = place_new();
    void *driver = NULL;
    const struct tercet_barrier_key key = {.gid = "one", .branch = 1};
    cr_assert_eq(tercet_barrier_options_complete(&options, NULL), 0);
    cr_assert_eq(lmdb_driver_open(&driver, place.folder, &options, NULL), 0);
    cr_assert_eq(lmdb_driver.begin(driver), 0);
    cr_assert_eq(lmdb_driver.reply_save(driver, &key, (struct tercet_bytes){"x", 1}), TERCET_STORE);
    lmdb_driver.rollback(driver);
    lmdb_driver_close(driver);
    place_remove(&place);
}
