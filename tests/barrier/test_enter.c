/* SPDX-License-Identifier: Apache-2.0
 *
 * Transactions of the caller's own, on a connection that is no barrier's; the test vectors are run
 * with them, too (test_vectors.c).
 */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/enter.h>

#include "bench.h"

#ifndef TERCET_TEST_POSTGRES
#define tercet_barrier_postgres_enter(conn, call, text) TERCET_INVALID
#define tercet_barrier_postgres_leave(conn, call, reply, text) TERCET_INVALID
#endif
#ifndef TERCET_TEST_MYSQL
#define tercet_barrier_mysql_enter(conn, call, text) TERCET_INVALID
#define tercet_barrier_mysql_leave(conn, call, reply, text) TERCET_INVALID
#endif

static char why[TERCET_TEXT_MAX];

bool bench_can_enter(enum bench_driver driver)
{
    return driver == BENCH_SQLITE || driver == BENCH_POSTGRES || driver == BENCH_MYSQL;
}

static sqlite3 *open_file(struct bench *bench)
{
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open(bench->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    return db;
}

static void tell(struct bench *bench, void *conn, const char *sql)
{
    if (bench->driver == BENCH_SQLITE)
        cr_assert_eq(sqlite3_exec(conn, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                     sqlite3_errmsg(conn));
    else
        bench_query(bench, sql);
}

static int enter(struct bench *bench, void *conn, struct tercet_barrier_call *call)
{
    return bench->driver == BENCH_SQLITE  ? tercet_barrier_sqlite_enter(conn, call, why)
           : bench->driver == BENCH_MYSQL ? tercet_barrier_mysql_enter(conn, call, why)
                                          : tercet_barrier_postgres_enter(conn, call, why);
}

static int leave(struct bench *bench, void *conn, struct tercet_barrier_call *call,
                 struct tercet_bytes reply)
{
    return bench->driver == BENCH_SQLITE  ? tercet_barrier_sqlite_leave(conn, call, reply, why)
           : bench->driver == BENCH_MYSQL ? tercet_barrier_mysql_leave(conn, call, reply, why)
                                          : tercet_barrier_postgres_leave(conn, call, reply, why);
}

/* A confirm of a branch that never was leaves no row, and brings its mark. */
static void learn(struct bench *bench, const struct tercet_barrier_call *from)
{
    struct tercet_barrier_call call = {.gid = "learner",
                                       .branch = 1,
                                       .low_water = from->low_water,
                                       .source = from->source,
                                       .kind = TERCET_CONFIRM};
    if (from->low_water > 0)
        tercet_barrier_run(bench->barrier, &call, 1);
}

/* As a service does it. */
static void work(struct bench *bench, void *conn, struct tercet_barrier_call *call)
{
    struct tercet_barrier_call done = *call;
    int rc = call->hook(&done, conn, call->ctx);
    const struct tercet_bytes reply = {.data = done.reply, .size = done.reply_size};
    if (rc == 0)
        rc = leave(bench, conn, call, reply);
    free(done.reply);
    call->result = rc == TERCET_REFUSED && call->kind != TERCET_TRY ? TERCET_AGAIN : rc;
}

void bench_enter(struct bench *bench, struct tercet_barrier_call *call)
{
    void *conn = bench->driver == BENCH_SQLITE ? open_file(bench) : bench->outside;
    learn(bench, call);
    tell(bench, conn,
         bench->driver == BENCH_SQLITE  ? "BEGIN IMMEDIATE"
         : bench->driver == BENCH_MYSQL ? "START TRANSACTION"
                                        : "BEGIN");
    int rc = enter(bench, conn, call);
    if (rc == TERCET_ENTER_WORK)
        work(bench, conn, call);
    else
        cr_assert_eq(rc, 0, "%d %s", rc, why);
    tell(bench, conn, call->result == 0 ? "COMMIT" : "ROLLBACK");
    if (bench->driver == BENCH_SQLITE)
        sqlite3_close(conn);
}

/* -- What a caller can do wrong ---------------------------------------------------------------- */

EACH_DRIVER(barrier_enter, what_is_no_call_and_tables_that_are_not_there)
{
    if (!bench_can_enter(*driver))
        return;
    struct bench *bench = bench_open(*driver, NULL);
    struct tercet_barrier_call call = {.gid = GID, .branch = 1, .kind = TERCET_TRY};
    void *conn = *driver == BENCH_SQLITE ? open_file(bench) : bench->outside;
    const struct tercet_bytes large = {.data = "", .size = TERCET_REPLY_MAX + 1u};
    cr_assert_eq(enter(bench, NULL, &call), TERCET_INVALID);
    cr_assert_eq(enter(bench, conn, NULL), TERCET_INVALID);
    cr_assert_eq(leave(bench, conn, &call, large), TERCET_INVALID);
    call.gid = "no'gid";
    cr_assert_eq(enter(bench, conn, &call), TERCET_INVALID);
    cr_assert_not_null(strstr(why, "gid"), "%s", why);
    call.gid = GID;
    tell(bench, conn, "DELETE FROM tercet_barrier_mark");
    cr_assert_eq(enter(bench, conn, &call), TERCET_STORE);
    cr_assert_not_null(strstr(why, "barrier-*.sql"), "%s", why);
    tell(bench, conn, "DROP TABLE tercet_barrier_mark");
    cr_assert_eq(enter(bench, conn, &call), TERCET_STORE);
    cr_assert_not_null(strstr(why, "tercet_barrier_mark"), "%s", why);
    if (*driver == BENCH_SQLITE)
        sqlite3_close(conn);
    bench_close(bench);
}

/* A barrier and a transaction of one's own on the same branch: one row. */
EACH_DRIVER(barrier_enter, beside_a_barrier_on_the_same_database)
{
    if (!bench_can_enter(*driver))
        return;
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench, .reply = "seat 17"};
    struct tercet_barrier_call call = bench_call(&part, TERCET_TRY);
    bench_enter(bench, &call);
    cr_assert_eq(call.result, 0);
    free(call.reply);
    cr_assert_eq(bench_ask_part(&part, TERCET_TRY), 0);
    cr_assert_eq(part.runs, 1);
    cr_assert_eq(bench_ask_part(&part, TERCET_CONFIRM), 0);
    call = bench_call(&part, TERCET_CANCEL);
    bench_enter(bench, &call);
    cr_assert_eq(call.result, TERCET_BROKEN);
    cr_assert_eq(call.broken, TERCET_BROKEN_CONFIRMED);
    cr_assert_eq(part.runs, 2);
    cr_assert_eq(bench_rows(bench), 1);
    bench_close(bench);
}
