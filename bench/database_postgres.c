/* SPDX-License-Identifier: Apache-2.0
 *
 * database.h: PostgreSQL, with the settings that initdb gives it.
 */
#include "database.h"

#include <glob.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- The server -------------------------------------------------------------------------------- */

/* Debian keeps a server's programs out of PATH. */
static void find_program(char *out, size_t size, const char *name)
{
    char pattern[64];
    glob_t found;
    snprintf(pattern, sizeof(pattern), "/usr/lib/postgresql/*/bin/%s", name);
    if (glob(pattern, 0, NULL, &found) == 0 && found.gl_pathc > 0)
        snprintf(out, size, "%s", found.gl_pathv[found.gl_pathc - 1]);
    else
        snprintf(out, size, "%s", name);
    globfree(&found);
}

static void name_database(const struct shared *shared, const char *name, char *url, size_t size)
{
    snprintf(url, size, "postgresql:///%s?host=%s/postgres&user=bench", name, shared->dir);
}

static void url(const struct shared *shared, uint32_t index, char *out, size_t size)
{
    char name[16];
    snprintf(name, sizeof(name), "bench%u", index);
    name_database(shared, name, out, size);
}

static PGconn *open_connection(const char *where)
{
    PGconn *conn = PQconnectdb(where);
    if (PQstatus(conn) == CONNECTION_OK)
        return conn;
    PQfinish(conn);
    return NULL;
}

static void *connect_to_first(const struct shared *shared)
{
    char where[DATABASE_TEXT_SIZE + PATH_SIZE];
    name_database(shared, "postgres", where, sizeof(where));
    return open_connection(where);
}

static bool make_databases(const struct shared *shared)
{
    char sql[64];
    PGconn *conn = database_await(shared, connect_to_first);
    bool is_done = conn != NULL;
    for (uint32_t i = 0; is_done && i < participant_count(&shared->options); i++) {
        snprintf(sql, sizeof(sql), "CREATE DATABASE bench%u", i);
        PGresult *result = PQexec(conn, sql);
        is_done = PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
    }
    PQfinish(conn);
    return is_done;
}

static bool start(struct bench *bench)
{
    char data[PATH_SIZE + 32], folder[PATH_SIZE + 32], initdb[PATH_SIZE], postgres[PATH_SIZE];
    snprintf(folder, sizeof(folder), "%s/postgres", bench->shared->dir);
    snprintf(data, sizeof(data), "%s/postgres/data", bench->shared->dir);
    find_program(initdb, sizeof(initdb), "initdb");
    find_program(postgres, sizeof(postgres), "postgres");
    const char *const make[] = {initdb,  "-D", data,   "-U",         "bench", "-A",
                                "trust", "-E", "UTF8", "--locale=C", NULL};
    const char *const run[] = {postgres, "-D", data, "-k", folder, "-c", "listen_addresses=", NULL};
    const struct database_server server = {"PostgreSQL", "postgresql", "postgres",
                                           make,         run,          make_databases};
    return database_serve(bench, &server);
}

/* -- The ledger -------------------------------------------------------------------------------- */

static const char setup_sql[] =
    "CREATE TABLE IF NOT EXISTS ledger (seq bigint, branch integer, operation integer);"
    "PREPARE bench_ledger (bigint, integer, integer) AS INSERT INTO ledger VALUES ($1, $2, $3)";

static bool execute(PGconn *conn, const char *name, int count, const char *const *values)
{
    PGresult *result = PQexecPrepared(conn, name, count, values, NULL, NULL, 0);
    bool is_done = PQresultStatus(result) == PGRES_COMMAND_OK;
    PQclear(result);
    return is_done;
}

static int add(tercet_db db, uint64_t seq, uint32_t branch, enum operation operation)
{
    char texts[3][24];
    const char *const values[] = {texts[0], texts[1], texts[2]};
    snprintf(texts[0], sizeof(texts[0]), "%" PRIu64, seq);
    snprintf(texts[1], sizeof(texts[1]), "%" PRIu32, branch);
    snprintf(texts[2], sizeof(texts[2]), "%d", (int)operation);
    return execute(db, "bench_ledger", 3, values) ? 0 : TERCET_AGAIN;
}

static int count(tercet_db db, void *ctx)
{
    struct participant *participant = ctx;
    PGresult *rows = PQexec(db, "SELECT seq, branch, operation FROM ledger");
    bool is_done = PQresultStatus(rows) == PGRES_TUPLES_OK;
    for (int i = 0; is_done && i < PQntuples(rows); i++)
        participant_count_row(participant, strtoull(PQgetvalue(rows, i, 0), NULL, 10),
                              (uint32_t)atoi(PQgetvalue(rows, i, 1)),
                              (enum operation)atoi(PQgetvalue(rows, i, 2)));
    PQclear(rows);
    return is_done ? 0 : TERCET_STORE;
}

static uint64_t commits(tercet_db db, uint32_t index)
{
    uint64_t number = 0;
    (void)index;
    PGresult *row =
        PQexec(db, "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()");
    if (PQresultStatus(row) == PGRES_TUPLES_OK && PQntuples(row) == 1)
        number = strtoull(PQgetvalue(row, 0, 0), NULL, 10);
    PQclear(row);
    return number;
}

/* -- Without Tercet ---------------------------------------------------------------------------- */

static void *connect_bare(const struct shared *shared, uint32_t index)
{
    static const char *const statements[][2] = {
        {"bare_begin", "BEGIN"},
        {"bare_try", "INSERT INTO tercet_barrier (gid, branch, number, state, changed_ms)"
                     " VALUES ($1, 1, $2, 2, 0)"},
        {"bare_confirm",
         "UPDATE tercet_barrier SET state = 3, changed_ms = 1 WHERE gid = $1 AND branch = 1"
         " AND state = 2"},
        {"bare_commit", "COMMIT"},
        {"bench_ledger", "INSERT INTO ledger VALUES ($1, $2, $3)"}};
    char where[DATABASE_TEXT_SIZE + PATH_SIZE];
    url(shared, index, where, sizeof(where));
    PGconn *conn = open_connection(where);
    bool is_done = conn != NULL;
    for (size_t i = 0; is_done && i < sizeof(statements) / sizeof(statements[0]); i++) {
        PGresult *result = PQprepare(conn, statements[i][0], statements[i][1], 0, NULL);
        is_done = PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
    }
    if (is_done)
        return conn;
    PQfinish(conn);
    return NULL;
}

static bool begin(void *connection)
{
    return execute(connection, "bare_begin", 0, NULL);
}

static bool branch(void *connection, uint64_t seq, bool is_confirm)
{
    char gid[40], number[24];
    const char *const values[] = {gid, number};
    snprintf(gid, sizeof(gid), "bare-%020" PRIu64, seq);
    snprintf(number, sizeof(number), "%" PRIu64, seq);
    return execute(connection, is_confirm ? "bare_confirm" : "bare_try", is_confirm ? 1 : 2,
                   values) &&
           add(connection, seq, 1, is_confirm ? OPERATION_CONFIRM : OPERATION_TRY) == 0;
}

static bool commit(void *connection)
{
    return execute(connection, "bare_commit", 0, NULL);
}

static void disconnect(void *connection)
{
    PQfinish(connection);
}

const struct database database_postgres = {.start = start,
                                           .stop_signal = SIGINT,
                                           .url = url,
                                           .setup_sql = setup_sql,
                                           .add = add,
                                           .count = count,
                                           .commits = commits,
                                           .connect = connect_bare,
                                           .begin = begin,
                                           .branch = branch,
                                           .commit = commit,
                                           .disconnect = disconnect};
