/* SPDX-License-Identifier: Apache-2.0
 *
 * What only SQLite can show: files, settings, versions, what opening says when it fails, what a
 * batch costs.
 */
#include <clock.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

Test(barrier_sqlite, rows_replies_and_mark_outlive_the_process)
{
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    struct part part = {.bench = bench, .reply = "seat 17"};
    struct tercet_barrier_call call = bench_call(&part, TERCET_TRY);
    call.low_water = 41;
    cr_assert_eq(bench_ask(bench, call), 0);
    bench_reopen(bench);
    cr_assert_eq(bench_rows(bench), 1);
    cr_assert_eq(bench_mark(bench), 41);
    tercet_barrier_run(bench->barrier, &call, 1);
    cr_assert_eq(call.result, 0);
    cr_assert_eq(call.reply_size, 7);
    cr_assert_eq(memcmp(call.reply, "seat 17", 7), 0);
    free(call.reply);
    cr_assert_eq(part.runs, 1);
    call.number = 41;
    call.gid = "another";
    cr_assert_eq(bench_ask(bench, call), TERCET_REFUSED, "the mark is kept, too");
    bench_close(bench);
}

static int check_settings(tercet_db db, void *ctx)
{
    sqlite3_stmt *statement = NULL;
    (void)ctx;
    cr_assert_eq(sqlite3_prepare_v2(db, "PRAGMA journal_mode", -1, &statement, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    cr_assert_str_eq((const char *)sqlite3_column_text(statement, 0), "wal");
    sqlite3_finalize(statement);
    return 0;
}

Test(barrier_sqlite, is_durable_and_in_wal_mode)
{
    struct tercet_barrier_options options = {.size = sizeof(options),
                                             .setup_sql = "PRAGMA foreign_keys = ON"};
    struct bench *bench = bench_open(BENCH_SQLITE, &options);
    cr_assert_eq(tercet_barrier_local(bench->barrier, check_settings, NULL), 0);
    cr_assert_eq(bench_query(bench, "PRAGMA synchronous"), 2);
    cr_assert_eq(bench_query(bench, "PRAGMA foreign_keys"), 1);
    cr_assert_eq(bench_query(bench, "PRAGMA busy_timeout"), 5000);
    bench_close(bench);
}

Test(barrier_sqlite, local_commits_or_rolls_back)
{
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    struct part part = {.bench = bench};
    bench_sql(bench, "INSERT INTO ledger VALUES ('by hand', 1, 1)");
    cr_assert_eq(bench_effects(bench, "by hand", 0), 1);
    cr_assert_eq(bench_ask_part(&part, TERCET_TRY), 0);
    cr_assert_eq(bench_query(bench, "SELECT state FROM tercet_barrier"), 2);
    cr_assert_gt(bench_query(bench, "SELECT changed_ms FROM tercet_barrier"),
                 INT64_C(1600000000000));
    bench_close(bench);
}

/* -- Opening ----------------------------------------------------------------------------------- */

static void check_fails(const char *path, int expected, const char *says)
{
    struct tercet_barrier *barrier = NULL;
    char text[TERCET_TEXT_MAX] = "";
    cr_assert_eq(tercet_barrier_sqlite_open(&barrier, path, NULL, text), expected, "%s", text);
    cr_assert_not_null(strstr(text, says), "%s", text);
    cr_assert_null(barrier);
    cr_assert_eq(tercet_barrier_sqlite_open(&barrier, path, NULL, NULL), expected);
}

Test(barrier_sqlite, opening_says_what_is_wrong)
{
    check_fails("/no/such/folder/app.db", TERCET_STORE, "folder exists");
    check_fails("/no/such/folder/app.db", TERCET_STORE, "/no/such/folder/app.db");
    check_fails("/tmp", TERCET_STORE, "cannot open");
    check_fails(":memory:", TERCET_STORE, "barrier in memory");
    check_fails("", TERCET_STORE, "WAL");
    check_fails(NULL, TERCET_INVALID, "path");
}

Test(barrier_sqlite, a_file_that_is_no_database_is_refused)
{
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    char path[128];
    snprintf(path, sizeof(path), "%s/letter.txt", bench->folder);
    FILE *file = fopen(path, "w");
    for (int i = 0; i < 200; i++)
        fprintf(file, "Dear Sir or Madam, line %d\n", i);
    fclose(file);
    check_fails(path, TERCET_FORMAT, "not a database");
    unlink(path);
    bench_close(bench);
}

Test(barrier_sqlite, tables_of_a_newer_version_are_refused)
{
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    bench_sql(bench, "UPDATE tercet_barrier_mark SET version = 2");
    check_fails(bench->path, TERCET_FORMAT, "version 2");
    bench_sql(bench, "UPDATE tercet_barrier_mark SET version = 1");
    bench_reopen(bench);
    bench_close(bench);
}

/* Tables of an application's own that happen to have our names. */
static void check_strange_tables(const char *sql, int expected, const char *says)
{
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    sqlite3 *other = NULL;
    char path[128];
    snprintf(path, sizeof(path), "%s/strange.db", bench->folder);
    cr_assert_eq(sqlite3_open(path, &other), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(other, sql, NULL, NULL, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(other));
    cr_assert_eq(sqlite3_close(other), SQLITE_OK);
    check_fails(path, expected, says);
    unlink(path);
    bench_close(bench);
}

Test(barrier_sqlite, tables_that_are_not_ours_are_told)
{
    check_strange_tables("CREATE TABLE tercet_barrier_mark (x)", TERCET_STORE,
                         "cannot read tercet_barrier_mark");
    check_strange_tables("CREATE TABLE t (x); CREATE VIEW tercet_barrier AS SELECT x FROM t",
                         TERCET_STORE, "cannot make the barrier's tables");
    check_strange_tables("CREATE TABLE tercet_barrier (gid, number, state)", TERCET_STORE,
                         "not as expected");
}

/* Were a missing fact taken for an empty one, all such databases would be one and the same. */
Test(barrier_sqlite, facts_that_are_not_ours_are_told)
{
    static const char *const tables[][2] = {
        {"CREATE TABLE tercet_barrier_fact (name TEXT PRIMARY KEY, other TEXT)", "SELECT 0"},
        {"CREATE TABLE tercet_barrier_fact (name TEXT PRIMARY KEY, value TEXT)",
         "INSERT INTO tercet_barrier_fact VALUES ('identity', NULL)"},
        {"CREATE TABLE tercet_barrier_fact (name TEXT PRIMARY KEY, value TEXT)",
         "CREATE TRIGGER none BEFORE INSERT ON tercet_barrier_fact"
         " BEGIN SELECT RAISE(IGNORE); END"},
    };
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        struct bench *bench = bench_open(BENCH_SQLITE, NULL);
        char identity[TERCET_BARRIER_IDENTITY_MAX + 1] = "untouched";
        bench_sql(bench, tables[i][0]);
        bench_sql(bench, tables[i][1]);
        cr_expect_eq(tercet_barrier_identity(bench->barrier, identity), TERCET_STORE, "%zu", i);
        cr_expect_str_eq(identity, "untouched", "%zu", i);
        bench_close(bench);
    }
}

/* Opening waits for a writer that has run this SQL, then says so; without the writer it succeeds.
 */
static void open_beside_a_writer(const char *sql, uint32_t wait_ms)
{
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    struct tercet_barrier_options options = {.size = sizeof(options), .busy_timeout_ms = wait_ms};
    struct tercet_barrier *barrier = NULL;
    sqlite3 *writer = NULL;
    char path[128], text[TERCET_TEXT_MAX] = "";
    snprintf(path, sizeof(path), "%s/busy.db", bench->folder);
    cr_assert_eq(sqlite3_open(path, &writer), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(writer, sql, NULL, NULL, NULL), SQLITE_OK);
    int64_t before_ms = clock_monotonic_ms();
    cr_assert_eq(tercet_barrier_sqlite_open(&barrier, path, &options, text), TERCET_STORE);
    cr_assert_geq(clock_monotonic_ms() - before_ms, wait_ms);
    cr_assert_not_null(strstr(text, "locked"), "%s", text);
    cr_assert_eq(sqlite3_exec(writer, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(tercet_barrier_sqlite_open(&barrier, path, &options, text), 0, "%s", text);
    sqlite3_close(writer);
    tercet_barrier_close(barrier);
    unlink(path);
    bench_close(bench);
}

Test(barrier_sqlite, setup_sql_is_told_when_wrong)
{
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    struct tercet_barrier_options options = {.size = sizeof(options),
                                             .setup_sql = "CREATE TABEL orders"};
    struct tercet_barrier *barrier = NULL;
    char text[TERCET_TEXT_MAX] = "";
    cr_assert_eq(tercet_barrier_sqlite_open(&barrier, bench->path, &options, text), TERCET_STORE);
    cr_assert_not_null(strstr(text, "setup_sql"));
    cr_assert_not_null(strstr(text, "TABEL"));
    bench_close(bench);
}

/* SQLite itself would not wait with the second: its busy timeout does not hold for the change to
 * WAL mode under a writer. */
Test(barrier_sqlite, opening_waits_for_a_writer_and_then_says_so)
{
    open_beside_a_writer("PRAGMA journal_mode = WAL; BEGIN IMMEDIATE", 20);
    open_beside_a_writer("CREATE TABLE t (x); BEGIN IMMEDIATE", 60);
}

/* -- Costs ------------------------------------------------------------------------------------- */

static int count_commit(void *ctx, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    (void)pages;
    ++*(int *)ctx;
    return SQLITE_OK;
}

/* The hook tells of every commit that wrote to the log, and so was synced. */
static int watch_commits(tercet_db db, void *ctx)
{
    sqlite3_wal_hook(db, count_commit, ctx);
    return 0;
}

Test(barrier_sqlite, a_batch_costs_one_sync_and_repeats_none)
{
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    struct part part = {.bench = bench}, refusing = {.bench = bench, .result = TERCET_REFUSED};
    struct tercet_barrier_call calls[50];
    int commits = 0;
    cr_assert_eq(tercet_barrier_local(bench->barrier, watch_commits, &commits), 0);
    for (uint32_t i = 0; i < 50; i++) {
        calls[i] = bench_call(&part, TERCET_TRY);
        calls[i].branch = i + 1;
    }
    tercet_barrier_run(bench->barrier, calls, 50);
    cr_assert_eq(commits, 1);
    tercet_barrier_run(bench->barrier, calls, 50);
    tercet_barrier_run(bench->barrier, calls, 50);
    cr_assert_eq(commits, 1, "repeats write nothing");
    for (uint32_t i = 0; i < 50; i++)
        calls[i].kind = TERCET_CONFIRM;
    calls[7].alone = true;
    tercet_barrier_run(bench->barrier, calls, 50);
    cr_assert_eq(commits, 4, "seven, one alone, the rest");
    cr_assert_eq(part.runs, 100);
    struct tercet_barrier_call call = bench_call(&refusing, TERCET_CONFIRM);
    call.gid = "another";
    cr_assert_eq(bench_ask(bench, call), TERCET_BROKEN);
    cr_assert_eq(commits, 4);
    bench_close(bench);
}

static int sum_scanned(tercet_db db, void *ctx)
{
    int *steps = ctx;
    for (sqlite3_stmt *s = sqlite3_next_stmt(db, NULL); s != NULL; s = sqlite3_next_stmt(db, s)) {
        *steps += sqlite3_stmt_status(s, SQLITE_STMTSTATUS_FULLSCAN_STEP, 0);
        *steps += sqlite3_stmt_status(s, SQLITE_STMTSTATUS_SORT, 0);
        *steps += sqlite3_stmt_status(s, SQLITE_STMTSTATUS_AUTOINDEX, 0);
    }
    return 0;
}

Test(barrier_sqlite, no_statement_scans_or_sorts)
{
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    struct part part = {.bench = bench};
    struct tercet_barrier_call calls[500];
    int steps = 0;
    for (int kind = TERCET_TRY; kind <= TERCET_CANCEL; kind++) {
        for (uint32_t i = 0; i < 500; i++) {
            calls[i] = bench_call(&part, (enum tercet_kind)kind);
            calls[i].branch = i + 1;
            calls[i].number = 10 + i / 100;
            calls[i].low_water = kind == TERCET_CANCEL ? 12 : 0;
        }
        tercet_barrier_run(bench->barrier, calls, 500);
    }
    cr_assert_eq(bench_rows(bench), 500 - 256,
                 "counting scans, so it comes before the steps are summed");
    tercet_barrier_run(bench->barrier, calls, 500);
    cr_assert_eq(tercet_barrier_local(bench->barrier, sum_scanned, &steps), 0);
    cr_assert_leq(steps, 500 - 256);
    bench_close(bench);
}
