/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.h at a PostgreSQL server, which scripts/with-postgres starts: a schema of its own for each
 * bench, and a connection apart from the barrier's to look from outside.
 */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_servers.h"
#include "drivers.h"

static int64_t query(struct bench *bench, const char *sql)
{
    PGresult *result = PQexec(bench->outside, sql);
    ExecStatusType status = PQresultStatus(result);
    int64_t number = 0;
    cr_assert(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK, "%s: %s", sql,
              PQerrorMessage(bench->outside));
    if (status == PGRES_TUPLES_OK && PQntuples(result) > 0)
        number = atoll(PQgetvalue(result, 0, 0));
    PQclear(result);
    return number;
}

static void look_again(struct bench *bench)
{
    PQfinish(bench->outside);
    bench->outside = PQconnectdb(bench->url);
    cr_assert_eq(PQstatus(bench->outside), CONNECTION_OK, "%s", PQerrorMessage(bench->outside));
}

static void make(struct bench *bench)
{
    const char *server = getenv("TERCET_TEST_POSTGRES");
    char sql[128], name[64];
    if (server == NULL)
        cr_skip_test("run under scripts/with-postgres");
    snprintf(name, sizeof(name), "bench_%ld_%s", (long)getpid(), strrchr(bench->folder, '-') + 1);
    snprintf(bench->url, sizeof(bench->url),
             "%s&application_name=%s&options=-csearch_path%%3D%%22%s%%22", server, name, name);
    look_again(bench);
    snprintf(sql, sizeof(sql), "CREATE SCHEMA \"%s\"", name);
    query(bench, sql);
    query(bench, "CREATE TABLE ledger (gid text, branch integer, kind integer)");
}

static void drop(struct bench *bench)
{
    query(bench, "SET client_min_messages = warning");
    query(bench,
          "DO $$ BEGIN EXECUTE 'DROP SCHEMA ' || quote_ident(current_schema()) || ' CASCADE'; "
          "END $$");
    PQfinish(bench->outside);
}

static int execute(tercet_db db, const char *sql)
{
    PGresult *result = PQexec(db, sql);
    bool ok = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return ok ? 0 : TERCET_AGAIN;
}

static void end_connections(struct bench *bench)
{
    query(bench, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
                 "current_setting('application_name') AND pid <> pg_backend_pid()");
}

/* The options, which end the URL, go on. */
const struct bench_server bench_postgres = {
    .variable = "TERCET_TEST_POSTGRES",
    .make = make,
    .drop = drop,
    .driver_open = postgres_driver_open,
    .driver = &postgres_driver,
    .execute = execute,
    .query = query,
    .look_again = look_again,
    .end_connections = end_connections,
    .url_snapshots = "%20-cdefault_transaction_isolation%3Drepeatable%5C%20read"};
