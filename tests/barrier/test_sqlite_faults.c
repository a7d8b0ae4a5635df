/* SPDX-License-Identifier: Apache-2.0
 *
 * Local transactions that come to nothing under SQLite: commits that fail, hooks that end or break
 * the transaction, a full disk, a lock that is held by another.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* -- The log ----------------------------------------------------------------------------------- */

struct log {
    int lines;
    char last[1024];
};

static void keep_line(enum tercet_log_level level, const char *text, void *ctx)
{
    struct log *log = ctx;
    cr_assert_eq(level, TERCET_LOG_ERROR);
    log->lines++;
    snprintf(log->last, sizeof(log->last), "%s", text);
}

/* -- Hooks that run SQL, once their line is written -------------------------------------------- */

struct sql_part {
    struct part part;
    const char *sql;
    int sql_result; /* of the last run */
};

static int sql_hook(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    struct sql_part *sql_part = ctx;
    int result = bench_hook(call, db, &sql_part->part);
    sql_part->sql_result = sqlite3_exec(db, sql_part->sql, NULL, NULL, NULL);
    return result;
}

/* Three tries: the middle one's hook also runs `sql`. */
static void run_three(struct bench *bench, struct sql_part *sql_part, const char *sql,
                      int results[3])
{
    struct part part = {.bench = bench};
    struct tercet_barrier_call calls[3] = {bench_call(&part, TERCET_TRY),
                                           bench_call(&part, TERCET_TRY),
                                           bench_call(&part, TERCET_TRY)};
    *sql_part =
        (struct sql_part){.part = {.bench = bench, .result = sql_part->part.result}, .sql = sql};
    calls[1].hook = sql_hook;
    calls[1].ctx = sql_part;
    for (uint32_t i = 0; i < 3; i++)
        calls[i].branch = i + 1;
    tercet_barrier_run(bench->barrier, calls, 3);
    for (int i = 0; i < 3; i++) {
        results[i] = calls[i].result;
        cr_assert_null(calls[i].reply);
    }
}

static void check_all_lost(struct bench *bench, const int results[3])
{
    for (int i = 0; i < 3; i++)
        cr_assert_eq(results[i], TERCET_STORE, "call %d: %d", i, results[i]);
    cr_assert_eq(bench_rows(bench), 0);
    cr_assert_eq(bench_effects(bench, NULL, 0), 0);
}

static void check_all_done(struct bench *bench)
{
    struct sql_part sql_part = {.sql = ""};
    int results[3];
    run_three(bench, &sql_part, "SELECT 1", results);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(results[i], 0);
    cr_assert_eq(bench_rows(bench), 3);
    cr_assert_eq(bench_effects(bench, NULL, 0), 3);
}

/* -- Hooks that break the transaction ---------------------------------------------------------- */

Test(barrier_sqlite_faults, a_hook_that_ends_the_transaction_loses_the_batch)
{
    static const char *const ends[] = {
        "ROLLBACK",
        "ROLLBACK; BEGIN",
        /* as a full disk may do by itself */
        "INSERT OR ROLLBACK INTO tercet_barrier_mark VALUES (1, 1, 1)",
    };
    struct log log = {.lines = 0};
    struct tercet_barrier_options options = {
        .size = sizeof(options), .on_log = keep_line, .log_ctx = &log};
    struct bench *bench = bench_open(BENCH_SQLITE, &options);
    struct sql_part sql_part = {.sql = ""};
    int results[3];
    for (size_t i = 0; i < 3; i++) {
        for (int refuses = 0; refuses <= 1; refuses++) {
            sql_part.part.result = refuses ? TERCET_REFUSED : 0;
            run_three(bench, &sql_part, ends[i], results);
            check_all_lost(bench, results);
            cr_assert_not_null(strstr(log.last, i == 1 ? "no such savepoint" : "ended the local"),
                               "%s", log.last);
        }
    }
    cr_assert_eq(log.lines, 6);
    check_all_done(bench);
    bench_close(bench);
}

/* Not even the hook's own work is kept: it might be half of it, or that of a call which is
 * refused. */
Test(barrier_sqlite_faults, a_hook_that_commits_is_noticed)
{
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    struct sql_part sql_part = {.sql = ""};
    int results[3];
    run_three(bench, &sql_part, "COMMIT", results);
    cr_assert_neq(sql_part.sql_result, SQLITE_OK);
    check_all_lost(bench, results);
    check_all_done(bench);
    bench_close(bench);
}

Test(barrier_sqlite_faults, savepoints_of_the_hooks_own_are_fine)
{
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    struct sql_part sql_part = {.sql = ""};
    int results[3];
    run_three(bench, &sql_part,
              "SAVEPOINT mine; DELETE FROM ledger; ROLLBACK TO mine; RELEASE mine; SAVEPOINT open; "
              "SELECT 1",
              results);
    cr_assert_eq(sql_part.sql_result, SQLITE_OK);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(results[i], 0);
    check_all_done(bench);
    bench_close(bench);
}

static int end_in_local(tercet_db db, void *ctx)
{
    (void)ctx;
    return sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
}

Test(barrier_sqlite_faults, local_work_that_ends_the_transaction_is_told)
{
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    cr_assert_eq(tercet_barrier_local(bench->barrier, end_in_local, NULL), TERCET_STORE);
    check_all_done(bench);
    bench_close(bench);
}

static int change_tables(tercet_db db, void *ctx)
{
    return sqlite3_exec(db, ctx, NULL, NULL, NULL);
}

/* A statement that fails in the midst of a batch loses it, whichever it is: every table is there, a
 * column is not. */
Test(barrier_sqlite_faults, a_hook_that_changes_the_barriers_tables_loses_the_batch)
{
    static const char *const changes[] = {
        /* no reading and no saving of replies */
        "ALTER TABLE tercet_barrier RENAME COLUMN reply TO answer",
        "ALTER TABLE tercet_barrier RENAME COLUMN changed_ms TO at", /* no rows and no moves */
    };
    for (size_t i = 0; i < 2; i++) {
        struct bench *bench = bench_open(BENCH_SQLITE, NULL);
        struct part part = {.bench = bench};
        struct sql_part sql_part = {.part = {.bench = bench}, .sql = changes[i]};
        struct tercet_barrier_call calls[2] = {bench_call(&part, TERCET_TRY),
                                               bench_call(&part, TERCET_TRY)};
        cr_assert_eq(bench_ask(bench, calls[1]), 0);
        calls[0].branch = 2;
        calls[0].hook = sql_hook;
        calls[0].ctx = &sql_part;
        tercet_barrier_run(bench->barrier, calls, 2);
        cr_assert_eq(sql_part.sql_result, SQLITE_OK);
        cr_assert_eq(calls[0].result, TERCET_STORE);
        cr_assert_eq(calls[1].result, TERCET_STORE);
        cr_assert_eq(bench_rows(bench), 1);
        cr_assert_eq(bench_ask(bench, calls[1]), 0, "all is as it was");
        bench_close(bench);
    }
}

Test(barrier_sqlite_faults, without_the_barriers_tables_all_fails)
{
    struct log log = {.lines = 0};
    struct tercet_barrier_options options = {
        .size = sizeof(options), .on_log = keep_line, .log_ctx = &log};
    struct bench *bench = bench_open(BENCH_SQLITE, &options);
    struct part part = {.bench = bench};
    uint64_t rows = 0, mark = 0;
    cr_assert_eq(tercet_barrier_local(bench->barrier, change_tables, "DROP TABLE tercet_barrier"),
                 0);
    cr_assert_eq(tercet_barrier_stats(bench->barrier, &rows, &mark), TERCET_STORE);
    cr_assert_eq(bench_ask_part(&part, TERCET_TRY), TERCET_STORE);
    cr_assert_not_null(strstr(log.last, "no such table"), "%s", log.last);
    cr_assert_eq(
        tercet_barrier_local(bench->barrier, change_tables, "DROP TABLE tercet_barrier_mark"), 0);
    cr_assert_eq(tercet_barrier_local(bench->barrier, change_tables, "SELECT 1"), TERCET_STORE);
    cr_assert_eq(part.runs, 0);
    bench_close(bench);
}

/* -- Commits that fail ------------------------------------------------------------------------- */

static int refuse_commit(void *ctx)
{
    (void)ctx;
    return 1;
}

static int set_refusal(tercet_db db, void *ctx)
{
    sqlite3_commit_hook(db, *(bool *)ctx ? refuse_commit : NULL, NULL);
    return 0;
}

static int refuse_from_now(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    bool refuses = true;
    set_refusal(db, &refuses);
    return bench_hook(call, db, ctx);
}

Test(barrier_sqlite_faults, a_commit_that_fails_fails_every_call)
{
    struct log log = {.lines = 0};
    struct tercet_barrier_options options = {
        .size = sizeof(options), .on_log = keep_line, .log_ctx = &log};
    struct bench *bench = bench_open(BENCH_SQLITE, &options);
    struct part part = {.bench = bench, .reply = "not to be believed"};
    struct tercet_barrier_call calls[4] = {
        bench_call(&part, TERCET_TRY), bench_call(&part, TERCET_CANCEL),
        bench_call(&part, TERCET_CONFIRM), bench_call(&part, (enum tercet_kind)9)};
    calls[0].hook = refuse_from_now;
    calls[0].low_water = 7;
    calls[1].branch = 2;
    calls[2].branch = 3;
    tercet_barrier_run(bench->barrier, calls, 4);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(calls[i].result, TERCET_STORE);
        cr_assert_null(calls[i].reply);
        cr_assert_eq(calls[i].reply_size, 0);
    }
    cr_assert_eq(calls[3].result, TERCET_INVALID);
    cr_assert_eq(log.lines, 1);
    cr_assert_not_null(strstr(log.last, "rolled back"), "%s", log.last);
    bool refuses = false;
    cr_assert_eq(tercet_barrier_local(bench->barrier, set_refusal, &refuses), 0);
    cr_assert_eq(bench_rows(bench), 0);
    cr_assert_eq(bench_mark(bench), 0);
    check_all_done(bench);
    bench_close(bench);
}

#define ORDERS                                                                                     \
    "PRAGMA foreign_keys = ON;"                                                                    \
    "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY);"                                  \
    "CREATE TABLE IF NOT EXISTS lines (id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL"          \
    " REFERENCES orders (id) DEFERRABLE INITIALLY DEFERRED)"

/* Found only at the commit, one hook's violated deferred key would fail its companions, again and
 * again. */
Test(barrier_sqlite_faults, a_deferred_foreign_key_fails_its_own_call_only)
{
    struct log log = {.lines = 0};
    struct tercet_barrier_options options = {
        .size = sizeof(options), .setup_sql = ORDERS, .on_log = keep_line, .log_ctx = &log};
    struct bench *bench = bench_open(BENCH_SQLITE, &options);
    struct sql_part sql_part = {.sql = ""};
    int results[3];
    run_three(bench, &sql_part, "INSERT INTO lines VALUES (1, 99)", results);
    cr_assert_eq(sql_part.sql_result, SQLITE_OK);
    cr_assert_eq(results[0], 0);
    cr_assert_eq(results[1], TERCET_STORE);
    cr_assert_eq(results[2], 0);
    cr_assert_eq(log.lines, 1);
    cr_assert_not_null(strstr(log.last, "foreign key"), "%s", log.last);
    cr_assert_eq(bench_rows(bench), 2);
    cr_assert_eq(bench_query(bench, "SELECT count(*) FROM lines"), 0);
    check_all_done(bench);
    bench_close(bench);
}

static int violate(tercet_db db, void *ctx)
{
    (void)ctx;
    return sqlite3_exec(db, "INSERT INTO lines VALUES (1, 99)", NULL, NULL, NULL);
}

Test(barrier_sqlite_faults, a_local_commit_that_fails_is_told)
{
    struct tercet_barrier_options options = {.size = sizeof(options), .setup_sql = ORDERS};
    struct bench *bench = bench_open(BENCH_SQLITE, &options);
    cr_assert_eq(tercet_barrier_local(bench->barrier, violate, NULL), TERCET_STORE);
    cr_assert_eq(bench_query(bench, "SELECT count(*) FROM lines"), 0);
    check_all_done(bench);
    bench_close(bench);
}

/* -- A full disk ------------------------------------------------------------------------------- */

static int fill(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    int result = bench_hook(call, db, ctx);
    call->reply = calloc(1, TERCET_REPLY_MAX);
    call->reply_size = TERCET_REPLY_MAX;
    return result;
}

static int fill_until_full(struct bench *bench, struct part *part)
{
    for (uint32_t branch = 1; branch <= TERCET_BRANCHES_MAX; branch++) {
        struct tercet_barrier_call call = bench_call(part, TERCET_TRY);
        call.branch = branch;
        call.hook = fill;
        int result = bench_ask(bench, call);
        if (result != 0) {
            cr_assert_eq(result, TERCET_STORE);
            return (int)branch - 1;
        }
    }
    return -1;
}

static int raise_limit(tercet_db db, void *ctx)
{
    (void)ctx;
    return sqlite3_exec(db, "PRAGMA max_page_count = 100000", NULL, NULL, NULL);
}

Test(barrier_sqlite_faults, a_full_database_loses_nothing)
{
    struct log log = {.lines = 0};
    struct tercet_barrier_options options = {.size = sizeof(options),
                                             .setup_sql = "PRAGMA max_page_count = 60",
                                             .on_log = keep_line,
                                             .log_ctx = &log};
    struct bench *bench = bench_open(BENCH_SQLITE, &options);
    struct part part = {.bench = bench};
    int done = fill_until_full(bench, &part);
    cr_assert(done > 3 && done < 20, "%d", done);
    cr_assert_not_null(strstr(log.last, "full"), "%s", log.last);
    cr_assert_eq(bench_rows(bench), (uint64_t)done);
    cr_assert_eq(bench_effects(bench, NULL, 0), done);
    cr_assert_eq(bench_ask_part(&part, TERCET_CONFIRM), 0, "what releases still works: %s",
                 log.last);
    cr_assert_eq(tercet_barrier_local(bench->barrier, raise_limit, NULL), 0);
    struct tercet_barrier_call call = bench_call(&part, TERCET_TRY);
    call.branch = (uint32_t)done + 1;
    cr_assert_eq(bench_ask(bench, call), 0);
    cr_assert_eq(bench_rows(bench), (uint64_t)done + 1);
    bench_close(bench);
}

/* -- Locks ------------------------------------------------------------------------------------- */

Test(barrier_sqlite_faults, what_the_database_keeps_waits_for_a_lock_too)
{
    struct log log = {.lines = 0};
    char identity[TERCET_BARRIER_IDENTITY_MAX + 1] = "as it was";
    struct tercet_barrier_options options = {
        .size = sizeof(options), .busy_timeout_ms = 30, .on_log = keep_line, .log_ctx = &log};
    struct bench *bench = bench_open(BENCH_SQLITE, &options);
    struct part part = {.bench = bench};
    struct tercet_barrier_call call = bench_call(&part, TERCET_TRY);
    sqlite3 *other = NULL;
    call.source = 7;
    cr_assert_eq(sqlite3_open(bench->path, &other), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(tercet_barrier_identity(bench->barrier, identity), TERCET_STORE);
    cr_assert_str_eq(identity, "as it was");
    cr_assert_not_null(strstr(log.last, "identity"), "%s", log.last);
    cr_assert_eq(bench_ask(bench, call), TERCET_STORE);
    cr_assert_eq(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    cr_assert_eq(tercet_barrier_identity(bench->barrier, identity), 0);
    cr_assert_eq(bench_ask(bench, call), 0);
    bench_close(bench);
}

Test(barrier_sqlite_faults, a_lock_held_by_another_is_waited_for_and_then_told)
{
    struct log log = {.lines = 0};
    struct tercet_barrier_options options = {
        .size = sizeof(options), .busy_timeout_ms = 30, .on_log = keep_line, .log_ctx = &log};
    struct bench *bench = bench_open(BENCH_SQLITE, &options);
    struct part part = {.bench = bench};
    sqlite3 *other = NULL;
    cr_assert_eq(sqlite3_open(bench->path, &other), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    cr_assert_eq(bench_ask_part(&part, TERCET_TRY), TERCET_STORE);
    cr_assert_eq(part.runs, 0);
    cr_assert_not_null(strstr(log.last, "locked"), "%s", log.last);
    cr_assert_eq(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    cr_assert_eq(bench_ask_part(&part, TERCET_TRY), 0);
    bench_close(bench);
}
