/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening an LMDB store: what is kept, and what is refused with which text.
 */
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fault.h"
#include "fixture.h"

#define SUITE lmdb_open
#define TIMEOUT .timeout = 60

static void data_path(const struct fixture *fixture, char *path)
{
    snprintf(path, 128, "%s/data.mdb", fixture->dir);
}

/* Opening is refused with this code, and a text that has `part` in it. */
static void expect_refused(struct fixture *fixture, int code, const char *part)
{
    struct store *store = NULL;
    char text[TERCET_STORE_TEXT_MAX] = "";
    int result = store_open(&store, fixture->dir, NULL, &fixture->options, text);
    cr_assert_eq(result, code, "%d: %s", result, text);
    cr_assert_not_null(strstr(text, part), "%s", text);
    cr_assert_null(store);
    cr_assert_eq(store_open(&store, fixture->dir, NULL, NULL, NULL), code);
}

/* Closes the store, but leaves its directory to the test. */
static void leave(struct fixture *fixture)
{
    store_close(fixture->store);
    fixture->store = NULL;
}

Test(SUITE, a_reopen_keeps_everything, TIMEOUT)
{
    struct fixture fixture;
    fixture_open(&fixture, FIXTURE_LMDB, 1000);
    COMMIT_OK(&fixture, op_put(1, 0, "a"), op_put(1, 1, "b"), op_meta("m", "v"),
              op_resolve(2, "g2", 1500, "r"));
    COMMIT_OK(&fixture, op_resolve(3, "g3", 2500, "s"));
    fixture_reopen(&fixture);
    cr_assert_str_eq(fixture_live(&fixture), "1.0=a 1.1=b");
    cr_assert_str_eq(fixture_meta(&fixture), "m=v");
    cr_assert_str_eq(fixture_resolved(&fixture, 10), "3=s 2=r");
    cr_assert_str_eq(fixture_find(&fixture, "g2"), "2=r");
    fixture_close(&fixture);
}

Test(SUITE, buckets_of_another_width_stay, TIMEOUT)
{
    struct fixture fixture;
    fixture_open(&fixture, FIXTURE_LMDB, 1000);
    COMMIT_OK(&fixture, op_resolve(1, "a", 1500, "a"));
    fixture.options.bucket_ms = 3000;
    fixture_reopen(&fixture);
    COMMIT_OK(&fixture, op_resolve(2, "b", 2500, "b"), op_resolve(3, "c", 100, "c"),
              op_resolve(4, "d", 1600, "d"));
    cr_assert_str_eq(fixture_resolved(&fixture, 10), "2=b 4=d 1=a 3=c");
    COMMIT_OK(&fixture, op_drop(2000));
    cr_assert_str_eq(fixture_resolved(&fixture, 10), "2=b");
    fixture_close(&fixture);
}

Test(SUITE, files_belong_to_their_owner_only, TIMEOUT)
{
    struct fixture fixture;
    struct stat stat_of;
    char path[128];
    fixture_open(&fixture, FIXTURE_LMDB, 0);
    data_path(&fixture, path);
    cr_assert_eq(stat(path, &stat_of), 0);
    cr_assert_eq(stat_of.st_mode & 0777, 0600);
    cr_assert_eq(stat(fixture.dir, &stat_of), 0);
    cr_assert_eq(stat_of.st_mode & 0777, 0700);
    fixture_close(&fixture);
}

/* -- Locked ------------------------------------------------------------------------------------ */

Test(SUITE, a_second_opener_in_this_process_is_refused, TIMEOUT)
{
    struct fixture fixture;
    char pid[32];
    snprintf(pid, sizeof(pid), "process %ld ", (long)getpid());
    fixture_open(&fixture, FIXTURE_LMDB, 0);
    expect_refused(&fixture, TERCET_STORE_LOCKED, pid);
    COMMIT_OK(&fixture, op_put(1, 0, "still works"));
    fixture_reopen(&fixture);
    cr_assert_str_eq(fixture_live(&fixture), "1.0=still works");
    fixture_close(&fixture);
}

Test(SUITE, a_second_opener_in_another_process_is_refused, TIMEOUT)
{
    struct fixture fixture;
    char holder[32];
    int status;
    snprintf(holder, sizeof(holder), "process %ld ", (long)getpid());
    fixture_open(&fixture, FIXTURE_LMDB, 0);
    pid_t child = fork();
    if (child == 0) {
        struct store *store;
        char text[TERCET_STORE_TEXT_MAX] = "";
        int result = store_open(&store, fixture.dir, NULL, &fixture.options, text);
        _exit(result == TERCET_STORE_LOCKED && strstr(text, holder) != NULL ? 0 : 1);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    COMMIT_OK(&fixture, op_put(1, 0, "still works"));
    fixture_close(&fixture);
}

/* -- Damaged, foreign, newer ------------------------------------------------------------------- */

/* Writes one record behind the store's back. */
static void meddle(const struct fixture *fixture, const char *database, const char *name,
                   const void *data, size_t size)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val key = {.mv_size = strlen(name), .mv_data = (void *)name};
    MDB_val value = {.mv_size = size, .mv_data = (void *)data};
    cr_assert_eq(mdb_env_create(&env), 0);
    mdb_env_set_maxdbs(env, 8);
    cr_assert_eq(mdb_env_open(env, fixture->dir, 0, 0600), 0);
    cr_assert_eq(mdb_txn_begin(env, NULL, 0, &txn), 0);
    cr_assert_eq(mdb_dbi_open(txn, database, MDB_CREATE, &dbi), 0);
    if (data != NULL)
        cr_assert_eq(mdb_put(txn, dbi, &key, &value, 0), 0);
    else
        cr_assert_eq(mdb_del(txn, dbi, &key, NULL), 0);
    cr_assert_eq(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void expect_format(const struct fixture *fixture, char version)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val key = {.mv_size = strlen("format"), .mv_data = (void *)"format"};
    MDB_val value;
    cr_assert_eq(mdb_env_create(&env), 0);
    mdb_env_set_maxdbs(env, 8);
    cr_assert_eq(mdb_env_open(env, fixture->dir, MDB_RDONLY, 0600), 0);
    cr_assert_eq(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    cr_assert_eq(mdb_dbi_open(txn, "tercet", 0, &dbi), 0);
    cr_assert_eq(mdb_get(txn, dbi, &key, &value), 0);
    cr_assert_eq(value.mv_size, 8);
    cr_assert_eq(((const char *)value.mv_data)[7], version);
    mdb_txn_abort(txn);
    mdb_env_close(env);
}

/* What programs of version 2 and before would misread may be written from then on. */
Test(SUITE, the_first_owner_raises_the_format, TIMEOUT)
{
    struct fixture fixture;
    fixture_open(&fixture, FIXTURE_LMDB, 0);
    leave(&fixture);
    for (char old = 1; old <= 2; old++) {
        const char format[] = {'t', 'e', 'r', 'c', 'e', 't', 0, old};
        meddle(&fixture, "tercet", "format", format, sizeof(format));
        fixture_reopen(&fixture);
        leave(&fixture);
        expect_format(&fixture, 3);
    }
    fixture_reopen(&fixture);
    fixture_close(&fixture);
}

Test(SUITE, a_newer_format_is_refused, TIMEOUT)
{
    struct fixture fixture;
    fixture_open(&fixture, FIXTURE_LMDB, 0);
    leave(&fixture);
    meddle(&fixture, "tercet", "format", "tercet\0\4", 8);
    expect_refused(&fixture, TERCET_STORE_NEWER, "format 4");
    meddle(&fixture, "tercet", "format", "tercet\0\1", 8);
    fixture_reopen(&fixture);
    fixture_close(&fixture);
}

Test(SUITE, damaged_records_of_our_own_are_refused, TIMEOUT)
{
    struct fixture fixture;
    fixture_open(&fixture, FIXTURE_LMDB, 1000);
    COMMIT_OK(&fixture, op_resolve(1, "g", 1500, "r"));
    leave(&fixture);
    meddle(&fixture, "tercet", "format", "tercet\0\0", 8);
    expect_refused(&fixture, TERCET_STORE_CORRUPT, "format 0");
    meddle(&fixture, "tercet", "format", "tercer\0\1", 8);
    expect_refused(&fixture, TERCET_STORE_CORRUPT, "format record");
    meddle(&fixture, "tercet", "format", "tercet\0\1\0", 9);
    expect_refused(&fixture, TERCET_STORE_CORRUPT, "format record");
    meddle(&fixture, "tercet", "format", "tercet\0\1", 8);
    meddle(&fixture, "tercet", "next", NULL, 0);
    expect_refused(&fixture, TERCET_STORE_CORRUPT, fixture.dir);
    meddle(&fixture, "tercet", "next", "\0\0\0\0\0\0\0\1", 8);
    meddle(&fixture, "tercet", "epoch", "short", 5);
    expect_refused(&fixture, TERCET_STORE_CORRUPT, fixture.dir);
    meddle(&fixture, "tercet", "epoch", "\0\0\0\0\0\0\0\1", 8);
    meddle(&fixture, "live", "zz", "a key of another size", 5);
    expect_refused(&fixture, TERCET_STORE_CORRUPT, fixture.dir);
    meddle(&fixture, "live", "zz", NULL, 0);
    fixture_reopen(&fixture);
    leave(&fixture);
    meddle(&fixture, "records/no-such-span", "k", "v", 1);
    expect_refused(&fixture, TERCET_STORE_CORRUPT, fixture.dir);
    fixture_close(&fixture);
}

Test(SUITE, another_programs_database_is_refused, TIMEOUT)
{
    struct fixture fixture;
    fixture_prepare(&fixture, FIXTURE_LMDB, 0);
    cr_assert_eq(mkdir(fixture.dir, 0700), 0);
    meddle(&fixture, "other", "key", "value", 5);
    expect_refused(&fixture, TERCET_STORE_CORRUPT, "another program");
    meddle(&fixture, NULL, "tercet", "a plain record", 5);
    expect_refused(&fixture, TERCET_STORE_CORRUPT, "another program");
    fixture_close(&fixture);
}

static void write_file(const char *path, int byte, size_t size)
{
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    for (size_t i = 0; i < size; i++)
        fputc(byte, file);
    cr_assert_eq(fclose(file), 0);
}

Test(SUITE, a_file_that_is_no_database_is_refused, TIMEOUT)
{
    struct fixture fixture;
    char path[128];
    fixture_prepare(&fixture, FIXTURE_LMDB, 0);
    cr_assert_eq(mkdir(fixture.dir, 0700), 0);
    data_path(&fixture, path);
    write_file(path, 'x', 20000);
    expect_refused(&fixture, TERCET_STORE_CORRUPT, "not an LMDB file");
    write_file(path, 'x', 10);
    expect_refused(&fixture, TERCET_STORE_CORRUPT, "not an LMDB file");
    write_file(path, 'x', 0);
    expect_refused(&fixture, TERCET_STORE_CORRUPT, "empty");
    cr_assert_eq(unlink(path), 0);
    fixture.options.begins_anew = true;
    fixture_reopen(&fixture);
    fixture_close(&fixture);
}

Test(SUITE, a_file_that_was_cut_is_refused_and_left_as_it_is, TIMEOUT)
{
    struct fixture fixture;
    struct stat before, after;
    char path[128], value[5000];
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    fixture_open(&fixture, FIXTURE_LMDB, 0);
    for (uint64_t i = 1; i <= 50; i++)
        COMMIT_OK(&fixture, op_put(i, 0, value));
    leave(&fixture);
    data_path(&fixture, path);
    cr_assert_eq(stat(path, &before), 0);
    cr_assert_eq(truncate(path, before.st_size / 8192 * 4096), 0);
    expect_refused(&fixture, TERCET_STORE_CORRUPT, "cut short");
    cr_assert_eq(stat(path, &after), 0);
    cr_assert_eq(after.st_size, before.st_size / 8192 * 4096);
    cr_assert_eq(truncate(path, 8192), 0);
    expect_refused(&fixture, TERCET_STORE_CORRUPT, "cut short");
    fixture_close(&fixture);
}

Test(SUITE, what_a_crash_while_making_leaves_is_no_obstacle, TIMEOUT)
{
    struct fixture fixture;
    char path[128];
    fixture_prepare(&fixture, FIXTURE_LMDB, 0);
    cr_assert_eq(mkdir(fixture.dir, 0700), 0);
    snprintf(path, sizeof(path), "%s/data.mdb.new", fixture.dir);
    write_file(path, 'x', 5000);
    fixture_reopen(&fixture);
    COMMIT_OK(&fixture, op_put(1, 0, "a"));
    cr_assert_neq(access(path, F_OK), 0);
    fixture_close(&fixture);
}

/* -- Places where there can be no store -------------------------------------------------------- */

Test(SUITE, a_path_that_cannot_be_a_store_is_refused, TIMEOUT)
{
    struct fixture fixture;
    char long_path[5000];
    fixture_prepare(&fixture, FIXTURE_LMDB, 0);
    write_file(fixture.dir, 'x', 5);
    expect_refused(&fixture, TERCET_STORE_IO, "Not a directory");
    snprintf(fixture.dir, sizeof(fixture.dir), "%s/missing/store", fixture.root);
    expect_refused(&fixture, TERCET_STORE_IO, "No such file");
    memset(long_path, 'd', sizeof(long_path) - 1);
    long_path[sizeof(long_path) - 1] = '\0';
    char text[TERCET_STORE_TEXT_MAX];
    struct store *store;
    cr_assert_eq(store_open(&store, long_path, NULL, NULL, text), TERCET_STORE_INVALID);
    cr_assert_not_null(strstr(text, "too long"));
    fixture_close(&fixture);
}

Test(SUITE, a_network_file_system_is_refused, TIMEOUT)
{
    struct fixture fixture;
    fixture_prepare(&fixture, FIXTURE_LMDB, 0);
    fault_network();
    expect_refused(&fixture, TERCET_STORE_IO, "local disk");
    fixture_close(&fixture);
}

Test(SUITE, a_data_file_that_is_a_directory_is_refused, TIMEOUT)
{
    struct fixture fixture;
    char path[128];
    fixture_prepare(&fixture, FIXTURE_LMDB, 0);
    data_path(&fixture, path);
    cr_assert_eq(mkdir(fixture.dir, 0700), 0);
    cr_assert_eq(mkdir(path, 0700), 0);
    expect_refused(&fixture, TERCET_STORE_IO, "not a file");
    fixture_close(&fixture);
}

Test(SUITE, a_map_too_small_for_a_new_store_is_refused, TIMEOUT)
{
    struct fixture fixture;
    fixture_prepare(&fixture, FIXTURE_LMDB, 0);
    fixture.options.size_max = 1;
    struct store *store;
    char text[TERCET_STORE_TEXT_MAX];
    cr_assert_eq(store_open(&store, fixture.dir, NULL, &fixture.options, text), TERCET_STORE_IO);
    cr_assert_not_null(strstr(text, "cannot make a store"), "%s", text);
    fixture.options.size_max = 1u << 20;
    fixture_reopen(&fixture);
    fixture_close(&fixture);
}
