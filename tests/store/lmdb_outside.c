/* SPDX-License-Identifier: Apache-2.0
 *
 * What others do to a store while it is open, or before: its file goes, a reader stays.
 */
#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixture.h"

#define SUITE lmdb_outside
#define TIMEOUT .timeout = 60

static char logged[4096];

static void keep_line(enum tercet_log_level level, const char *text, void *ctx)
{
    (void)level;
    (void)ctx;
    size_t used = strlen(logged);
    snprintf(logged + used, sizeof(logged) - used, "%s\n", text);
}

static void open_logged(struct fixture *fixture)
{
    logged[0] = '\0';
    fixture_prepare(fixture, FIXTURE_LMDB, 1000);
    fixture->options.on_log = keep_line;
    fixture_reopen(fixture);
}

static void expect_logged(const char *part)
{
    cr_assert_not_null(strstr(logged, part), "%s", logged);
}

static const char *path_of(const struct fixture *fixture, const char *name)
{
    static char path[2][160];
    static int turn;
    char *out = path[turn++ % 2];
    snprintf(out, 160, "%s/%s", fixture->dir, name);
    return out;
}

Test(SUITE, a_new_store_is_told, TIMEOUT)
{
    struct fixture fixture;
    open_logged(&fixture);
    expect_logged("a new store has been made in ");
    logged[0] = '\0';
    fixture_reopen(&fixture);
    cr_assert_str_empty(logged);
    fixture_close(&fixture);
}

Test(SUITE, a_store_whose_data_are_gone_is_not_made_anew, TIMEOUT)
{
    struct fixture fixture;
    struct store *store = NULL;
    char text[TERCET_STORE_TEXT_MAX];
    open_logged(&fixture);
    uint64_t source = fixture.source;
    store_close(fixture.store);
    fixture.store = NULL;
    cr_assert_eq(unlink(path_of(&fixture, "data.mdb")), 0);
    cr_assert_eq(store_open(&store, fixture.dir, NULL, &fixture.options, text),
                 TERCET_STORE_CORRUPT);
    cr_assert_not_null(strstr(text, "--new"), "%s", text);
    fixture.options.begins_anew = true;
    fixture.source = 0;
    fixture_reopen(&fixture);
    cr_assert_neq(fixture.source, source, "it is another store");
    fixture_close(&fixture);
}

/* Neither a commit nor a look at the store's size overlooks it. */
static void expect_noticed(struct fixture *fixture, const char *part)
{
    struct tercet_store_stats stats;
    cr_assert_eq(store_stats(fixture->store, &stats), TERCET_STORE_CORRUPT);
    cr_assert_eq(COMMIT(fixture, op_put(9, 0, "lost")), TERCET_STORE_UNKNOWN);
    cr_assert_eq(COMMIT(fixture, op_put(9, 0, "lost")), TERCET_STORE_FENCED);
    expect_logged(part);
}

Test(SUITE, a_deleted_file_is_noticed, TIMEOUT)
{
    struct fixture fixture;
    open_logged(&fixture);
    COMMIT_OK(&fixture, op_put(1, 0, "a"));
    cr_assert_eq(unlink(path_of(&fixture, "data.mdb")), 0);
    expect_noticed(&fixture, "data.mdb has been deleted");
    fixture_close(&fixture);
}

Test(SUITE, a_replaced_file_is_noticed, TIMEOUT)
{
    struct fixture fixture;
    char command[512];
    open_logged(&fixture);
    COMMIT_OK(&fixture, op_put(1, 0, "a"));
    snprintf(command, sizeof(command), "cd %s && cp data.mdb copy && mv copy data.mdb",
             fixture.dir);
    cr_assert_eq(system(command), 0);
    expect_noticed(&fixture, "data.mdb has been replaced");
    fixture_close(&fixture);
}

Test(SUITE, a_cut_file_is_noticed, TIMEOUT)
{
    struct fixture fixture;
    struct stat before;
    open_logged(&fixture);
    COMMIT_OK(&fixture, op_put(1, 0, "a"));
    cr_assert_eq(stat(path_of(&fixture, "data.mdb"), &before), 0);
    /* not so much that a page in use is gone: reading that is a SIGBUS */
    cr_assert_eq(truncate(path_of(&fixture, "data.mdb"), before.st_size - 1), 0);
    struct tercet_store_stats stats;
    cr_assert_eq(store_stats(fixture.store, &stats), TERCET_STORE_CORRUPT);
    expect_logged("data.mdb has been cut short");
    cr_assert_eq(truncate(path_of(&fixture, "data.mdb"), before.st_size), 0);
    fixture_close(&fixture);
}

/* -- Readers ----------------------------------------------------------------------------------- */

/* A process that reads the store and sleeps in the middle of it. */
static pid_t start_reader(const struct fixture *fixture)
{
    int ready[2];
    char byte;
    cr_assert_eq(pipe(ready), 0);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        MDB_env *env;
        MDB_txn *txn;
        if (mdb_env_create(&env) == 0 && mdb_env_open(env, fixture->dir, MDB_RDONLY, 0) == 0 &&
            mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) == 0 && write(ready[1], "r", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    cr_assert_eq(read(ready[0], &byte, 1), 1, "the reader reads");
    close(ready[0]);
    return pid;
}

static void end_reader(pid_t pid)
{
    int status;
    kill(pid, SIGKILL);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
}

/* What becomes free cannot be used again while somebody reads: so it counts as used. */
static void churn(struct fixture *fixture, int rounds)
{
    static char value[20000];
    memset(value, 'v', sizeof(value) - 1);
    for (int i = 0; i < rounds; i++)
        COMMIT_OK(fixture, op_put(1, 0, value));
}

static struct tercet_store_stats look(struct fixture *fixture)
{
    struct tercet_store_stats stats;
    for (int i = 0; i < 5; i++) /* the readers are not looked at each time */
        cr_assert_eq(store_stats(fixture->store, &stats), 0);
    return stats;
}

Test(SUITE, a_reader_that_pins_pages_is_counted_and_named, TIMEOUT)
{
    struct fixture fixture;
    char named[64];
    open_logged(&fixture);
    churn(&fixture, 3);
    uint64_t before = look(&fixture).bytes_used;
    pid_t reader = start_reader(&fixture);
    churn(&fixture, 100);
    struct tercet_store_stats stats = look(&fixture);
    cr_assert_gt(stats.bytes_used, before + 100 * 20000 / 2, "what it pins is used");
    snprintf(named, sizeof(named), "process %d (", (int)reader);
    cr_assert_not_null(strstr(stats.room_text, named), "%s", stats.room_text);
    end_reader(reader);
    stats = look(&fixture);
    cr_assert_lt(stats.bytes_used, before + 100 * 20000 / 2, "nobody pins anything any more");
    cr_assert_null(strstr(stats.room_text, "process"), "%s", stats.room_text);
    expect_logged("1 readers of the store ended without a word");
    fixture_close(&fixture);
}

/* -- Reading beside ---------------------------------------------------------------------------- */

static void await_byte(int fd)
{
    char byte;
    if (read(fd, &byte, 1) != 1)
        _exit(10);
}

static int find_beside(struct store *store, const char *gid)
{
    struct store_value value;
    uint64_t number = 0;
    int rc = store_find_wait(store, 0, gid, &number, &value);
    if (rc == 0)
        store_value_free(&value);
    return rc;
}

/* The other process: what it sees before and after the holder has written. */
static int read_beside(const struct fixture *fixture, int go, int ready)
{
    struct store *store;
    char text[TERCET_STORE_TEXT_MAX];
    if (store_open_to_read(&store, fixture->dir, NULL, &fixture->options, text) != 0)
        return 1;
    if (find_beside(store, "old") != 0)
        return 2;
    if (write(ready, "r", 1) != 1)
        return 3;
    await_byte(go);
    if (find_beside(store, "older") != TERCET_STORE_NOT_FOUND)
        return 4; /* its bucket has been dropped */
    if (find_beside(store, "zzz") != 0)
        return 5; /* larger than all that there were */
    store_close(store);
    return 0;
}

Test(SUITE, another_process_reads_what_is_written_meanwhile, TIMEOUT)
{
    struct fixture fixture;
    int go[2], ready[2], status = 0;
    open_logged(&fixture);
    COMMIT_OK(&fixture, op_resolve(1, "older", 500, "a"), op_resolve(2, "old", 5500, "b"));
    cr_assert_eq(pipe(go), 0);
    cr_assert_eq(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(read_beside(&fixture, go[0], ready[1]));
    await_byte(ready[0]);
    COMMIT_OK(&fixture, op_resolve(3, "zzz", 5600, "c"));
    COMMIT_OK(&fixture, op_drop(5000));
    cr_assert_eq(write(go[1], "g", 1), 1);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0, "%d", WEXITSTATUS(status));
    fixture_close(&fixture);
}

/* New work is refused before the map is full, with who is to blame. */
Test(SUITE, a_reader_that_pins_pages_leaves_no_room, TIMEOUT)
{
    struct fixture fixture;
    fixture_prepare(&fixture, FIXTURE_LMDB, 1000);
    fixture.options.size_max = 2u << 20;
    fixture_reopen(&fixture);
    churn(&fixture, 3);
    pid_t reader = start_reader(&fixture);
    struct tercet_store_stats stats = look(&fixture);
    for (int i = 0; i < 200 && stats.room_bytes > 0; i++) {
        churn(&fixture, 1);
        stats = look(&fixture);
    }
    cr_assert_eq(stats.room_bytes, 0);
    COMMIT_OK(&fixture, op_put(2, 0, "what is open goes on"));
    cr_assert_not_null(strstr(stats.room_text, "stop it"), "%s", stats.room_text);
    end_reader(reader);
    cr_assert_gt(look(&fixture).room_bytes, 0, "there is room again");
    fixture_close(&fixture);
}
