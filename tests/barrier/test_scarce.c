/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that runs out: one allocation after the other fails, the barrier's own and SQLite's.
 * Whatever fails, it is told, nothing is half done, and what is asked again is done.
 */
#include "scarce.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"

/* -- The barrier's own ------------------------------------------------------------------------- */

#define TRIES 64 /* the driver in memory has room for as many changes at first */
#define CALLS (TRIES + 2)

static int hook(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)db;
    (void)ctx;
    call->reply = scarce_dup("seat 17");
    call->reply_size = 7;
    return 0;
}

/* Tries, a confirm of the first, and the second again. */
static void set_calls(struct tercet_barrier_call calls[CALLS])
{
    for (uint32_t i = 0; i < CALLS; i++)
        calls[i] = (struct tercet_barrier_call){.gid = GID,
                                                .branch = i % TRIES + 1,
                                                .kind = i == TRIES ? TERCET_CONFIRM : TERCET_TRY,
                                                .hook = hook};
}

static void check_answers(struct tercet_barrier_call calls[CALLS], bool are_lost)
{
    for (int i = 0; i < CALLS; i++) {
        cr_assert_eq(calls[i].result, are_lost ? TERCET_STORE : 0, "call %d: %d", i,
                     calls[i].result);
        cr_assert_eq(calls[i].reply_size, are_lost || i == TRIES ? 0 : 7);
        free(calls[i].reply);
    }
}

/* Returns whether an allocation failed. */
static bool run_in_memory(int at)
{
    struct bench *bench = bench_open(BENCH_MEMORY, NULL);
    struct tercet_barrier_call calls[CALLS];
    set_calls(calls);
    scarce_fail_at(at);
    tercet_barrier_run(bench->barrier, calls, CALLS);
    bool has_failed = scarce_has_failed();
    scarce_fail_at(0);
    check_answers(calls, has_failed);
    cr_assert_eq(bench_rows(bench), has_failed ? 0 : TRIES);
    tercet_barrier_run(bench->barrier, calls, CALLS);
    check_answers(calls, false);
    cr_assert_eq(bench_rows(bench), TRIES);
    bench_close(bench);
    return has_failed;
}

Test(barrier_scarce, a_batch_in_memory)
{
    int at = 1;
    while (run_in_memory(at))
        at++;
    cr_assert_gt(at, 3 * TRIES, "a row, its place in the tree and its reply, for each try");
}

Test(barrier_scarce, opening_in_memory)
{
    struct tercet_barrier *barrier = NULL;
    for (int at = 1; at <= 2; at++) {
        scarce_fail_at(at);
        cr_assert_eq(tercet_barrier_memory_open(&barrier, NULL), TERCET_NOMEM);
        cr_assert_null(barrier);
    }
    scarce_fail_at(3);
    cr_assert_eq(tercet_barrier_memory_open(&barrier, NULL), 0);
    cr_assert_not(scarce_has_failed());
    scarce_fail_at(0);
    tercet_barrier_close(barrier);
}

Test(barrier_scarce, opening_sqlite)
{
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    struct tercet_barrier *barrier = NULL;
    for (int at = 1; at <= 2; at++) {
        scarce_fail_at(at);
        cr_assert_eq(tercet_barrier_sqlite_open(&barrier, bench->path, NULL, NULL), TERCET_NOMEM);
        cr_assert_null(barrier);
    }
    scarce_fail_at(0);
    bench_close(bench);
}

Test(barrier_scarce, a_saved_reply_that_cannot_be_copied)
{
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    struct part part = {.bench = bench, .reply = "seat 17"};
    struct tercet_barrier_call call = bench_call(&part, TERCET_TRY);
    cr_assert_eq(bench_ask(bench, call), 0);
    scarce_fail_at(1);
    tercet_barrier_run(bench->barrier, &call, 1);
    cr_assert(scarce_has_failed());
    cr_assert_eq(call.result, TERCET_STORE);
    cr_assert_null(call.reply);
    tercet_barrier_run(bench->barrier, &call, 1);
    cr_assert_eq(call.result, 0);
    cr_assert_eq(call.reply_size, 7);
    free(call.reply);
    bench_close(bench);
}

/* -- SQLite's ---------------------------------------------------------------------------------- */

static sqlite3_mem_methods real;
static int countdown; /* allocations until one fails; 0: none will */
static bool has_failed;

static bool is_gone(void)
{
    bool is_now = countdown > 0 && --countdown == 0;
    has_failed = has_failed || is_now;
    return is_now;
}

static void *scarce_malloc(int size)
{
    return is_gone() ? NULL : real.xMalloc(size);
}

static void *scarce_realloc(void *data, int size)
{
    return is_gone() ? NULL : real.xRealloc(data, size);
}

static void fail_sqlite_at(int n)
{
    countdown = n;
    has_failed = false;
}

/* Before the first use of SQLite in the process; every test is one. */
static void put_between(void)
{
    sqlite3_mem_methods methods;
    cr_assert_eq(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real), SQLITE_OK);
    methods = real;
    methods.xMalloc = scarce_malloc;
    methods.xRealloc = scarce_realloc;
    cr_assert_eq(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
    cr_assert_eq(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0), SQLITE_OK);
}

static bool is_lack(int rc)
{
    return rc == TERCET_NOMEM || rc == TERCET_STORE;
}

/* Returns whether an allocation failed. SQLite does without some. */
static bool open_once(const char *path, int at)
{
    struct tercet_barrier *barrier = NULL;
    char text[TERCET_TEXT_MAX] = "";
    fail_sqlite_at(at);
    int rc = tercet_barrier_sqlite_open(&barrier, path, NULL, text);
    bool failed = has_failed;
    fail_sqlite_at(0);
    cr_assert(rc == 0 || (failed && is_lack(rc) && text[0] != '\0'), "fault %d: %d %s", at, rc,
              text);
    cr_assert_eq(rc == 0, barrier != NULL);
    tercet_barrier_close(barrier);
    return failed;
}

Test(barrier_scarce, sqlite_opening, .timeout = 120)
{
    put_between();
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    int at = 1;
    while (open_once(bench->path, at))
        at++;
    cr_assert_gt(at, 100, "opening takes more than %d allocations", at);
    bench_reopen(bench);
    bench_close(bench);
}

/* What cannot be looked at for want of memory is not taken for missing. */
Test(barrier_scarce, sqlite_tables_of_a_newer_version, .timeout = 120)
{
    put_between();
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    bench_sql(bench, "UPDATE tercet_barrier_mark SET version = 2");
    bool failed = true;
    for (int at = 1; failed; at++) {
        struct tercet_barrier *barrier = NULL;
        fail_sqlite_at(at);
        int rc = tercet_barrier_sqlite_open(&barrier, bench->path, NULL, NULL);
        failed = has_failed;
        fail_sqlite_at(0);
        cr_assert(rc == TERCET_FORMAT || (failed && is_lack(rc)), "fault %d: %d", at, rc);
    }
    bench_close(bench);
}

enum { SAVED, TRIED, CONFIRMED, SQLITE_CALLS };

/* Writes a line, or asks to be asked again. */
static int write_hook(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    if (sqlite3_exec(db, "INSERT INTO ledger VALUES ('line', 1, 1)", NULL, NULL, NULL) != SQLITE_OK)
        return TERCET_AGAIN;
    return hook(call, db, ctx);
}

/* A try with its reply saved, another, and a confirm of it. */
static void run_three(struct bench *bench, struct tercet_barrier_call calls[SQLITE_CALLS])
{
    for (uint32_t i = 0; i < SQLITE_CALLS; i++)
        calls[i] =
            (struct tercet_barrier_call){.gid = GID,
                                         .branch = i == SAVED ? 1 : 2,
                                         .low_water = 3,
                                         .kind = i == CONFIRMED ? TERCET_CONFIRM : TERCET_TRY,
                                         .hook = write_hook};
    tercet_barrier_run(bench->barrier, calls, SQLITE_CALLS);
    for (int i = 0; i < SQLITE_CALLS; i++) {
        cr_assert_eq(calls[i].reply != NULL, calls[i].result == 0 && i != CONFIRMED);
        free(calls[i].reply);
    }
}

/* Every row has its line, and every line its row, whatever was lost. */
static void check_kept(struct bench *bench, const struct tercet_barrier_call calls[SQLITE_CALLS],
                       int at)
{
    bool are_lost = calls[SAVED].result == TERCET_STORE;
    bool is_tried = calls[TRIED].result == 0, is_confirmed = calls[CONFIRMED].result == 0;
    for (int i = 0; are_lost && i < SQLITE_CALLS; i++)
        cr_assert_eq(calls[i].result, TERCET_STORE, "fault %d, call %d: %d", at, i,
                     calls[i].result);
    cr_assert(is_tried || !is_confirmed);
    cr_assert_eq(bench_rows(bench), 1 + is_tried, "fault %d", at);
    cr_assert_eq(bench_effects(bench, "line", 0), is_tried + is_confirmed, "fault %d", at);
    cr_assert_eq(bench_mark(bench), are_lost ? 0 : 3, "fault %d", at);
}

/* One row, tried, with its reply. The table that is made is why SQLite prepares every statement
 * anew. */
static int begin_anew(tercet_db db, void *ctx)
{
    (void)ctx;
    return sqlite3_exec(
        db,
        "DELETE FROM ledger; DELETE FROM tercet_barrier; UPDATE tercet_barrier_mark SET mark = 0;"
        "INSERT INTO tercet_barrier VALUES ('" GID "', 1, 0, 2, 0, 'seat 17');"
        "DROP TABLE IF EXISTS another; CREATE TABLE another (x)",
        NULL, NULL, NULL);
}

/* Returns whether an allocation failed. */
static bool run_in_sqlite(struct bench *bench, int at)
{
    struct tercet_barrier_call calls[SQLITE_CALLS];
    cr_assert_eq(tercet_barrier_local(bench->barrier, begin_anew, NULL), 0);
    fail_sqlite_at(at);
    run_three(bench, calls);
    bool failed = has_failed;
    fail_sqlite_at(0);
    check_kept(bench, calls, at);
    run_three(bench, calls);
    for (int i = 0; i < SQLITE_CALLS; i++)
        cr_assert_eq(calls[i].result, 0, "fault %d, call %d: %d", at, i, calls[i].result);
    check_kept(bench, calls, at);
    return failed;
}

Test(barrier_scarce, sqlite_batch, .timeout = 120)
{
    struct tercet_barrier_options options = {.size = sizeof(options),
                                             .setup_sql = "PRAGMA synchronous = OFF"};
    put_between();
    struct bench *bench = bench_open(BENCH_SQLITE, &options);
    int at = 1;
    while (run_in_sqlite(bench, at))
        at++;
    cr_assert_gt(at, 100, "a batch takes more than %d allocations", at);
    bench_close(bench);
}

/* An identity is whole, or there is none: half-read facts would be taken for another database. */
Test(barrier_scarce, sqlite_identity, .timeout = 120)
{
    put_between();
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    char first[TERCET_BARRIER_IDENTITY_MAX + 1];
    cr_assert_eq(tercet_barrier_identity(bench->barrier, first), 0);
    bool failed = true;
    int at = 1;
    for (; failed; at++) {
        char identity[sizeof(first)] = "untouched";
        bench_reopen(bench);
        fail_sqlite_at(at);
        int rc = tercet_barrier_identity(bench->barrier, identity);
        failed = has_failed;
        fail_sqlite_at(0);
        cr_assert(rc == 0 || (failed && rc == TERCET_STORE), "fault %d: %d", at, rc);
        cr_assert_str_eq(identity, rc == 0 ? first : "untouched", "fault %d", at);
    }
    cr_assert_gt(at, 30, "keeping a fact takes more than %d allocations", at);
    bench_close(bench);
}

/* SQLite gives a number's text when it is asked for bytes, and needs memory for it. */
Test(barrier_scarce, sqlite_reply_that_is_a_number)
{
    put_between();
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    struct part part = {.bench = bench};
    cr_assert_eq(bench_ask_part(&part, TERCET_TRY), 0);
    bench_sql(bench, "UPDATE tercet_barrier SET reply = 1234567");
    bool failed = true;
    for (int at = 1; failed; at++) {
        struct tercet_barrier_call call = bench_call(&part, TERCET_TRY);
        bench_reopen(bench);
        fail_sqlite_at(at);
        tercet_barrier_run(bench->barrier, &call, 1);
        failed = has_failed;
        fail_sqlite_at(0);
        bool is_lost = failed && call.result == TERCET_STORE;
        cr_assert_eq(call.result, is_lost ? TERCET_STORE : 0, "fault %d: %d", at, call.result);
        cr_assert_eq(call.reply_size, is_lost ? 0 : 7);
        cr_assert(is_lost || memcmp(call.reply, "1234567", 7) == 0);
        free(call.reply);
    }
    bench_close(bench);
}
