/* SPDX-License-Identifier: Apache-2.0
 *
 * database.h: MariaDB, with the settings that it has without a file of options.
 */
#include "database.h"

#include <inttypes.h>
#include <mysql.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- The server -------------------------------------------------------------------------------- */

static void find_socket(const struct shared *shared, char *out, size_t size)
{
    snprintf(out, size, "%s/mysql/s", shared->dir);
}

static void url(const struct shared *shared, uint32_t index, char *out, size_t size)
{
    char socket[PATH_SIZE + 32];
    find_socket(shared, socket, sizeof(socket));
    snprintf(out, size, "mysql://root@/bench%u?socket=%s", index, socket);
}

static MYSQL *open_connection(const struct shared *shared, const char *database)
{
    char socket[PATH_SIZE + 32];
    MYSQL *mysql = mysql_init(NULL);
    find_socket(shared, socket, sizeof(socket));
    if (mysql_real_connect(mysql, NULL, "root", NULL, database, 0, socket, 0) != NULL)
        return mysql;
    mysql_close(mysql);
    return NULL;
}

static void *connect_to_none(const struct shared *shared)
{
    return open_connection(shared, NULL);
}

static bool make_databases(const struct shared *shared)
{
    char sql[64];
    MYSQL *mysql = database_await(shared, connect_to_none);
    bool is_done = mysql != NULL;
    for (uint32_t i = 0; is_done && i < participant_count(&shared->options); i++) {
        snprintf(sql, sizeof(sql), "CREATE DATABASE bench%u", i);
        is_done = mysql_query(mysql, sql) == 0;
    }
    if (mysql != NULL)
        mysql_close(mysql);
    return is_done;
}

static const char *find_server(void)
{
    return access("/usr/sbin/mariadbd", X_OK) == 0 ? "/usr/sbin/mariadbd" : "mariadbd";
}

static bool start(struct bench *bench)
{
    char data[PATH_SIZE + 48], socket[PATH_SIZE + 48], pid[PATH_SIZE + 48];
    const char *dir = bench->shared->dir;
    snprintf(data, sizeof(data), "--datadir=%s/mysql/data", dir);
    snprintf(socket, sizeof(socket), "--socket=%s/mysql/s", dir);
    snprintf(pid, sizeof(pid), "--pid-file=%s/mysql/pid", dir);
    const char *const make[] = {"mariadb-install-db",
                                "--no-defaults",
                                data,
                                "--auth-root-authentication-method=normal",
                                "--skip-test-db",
                                NULL};
    const char *const run[] = {find_server(), "--no-defaults",     data, socket,
                               pid,           "--skip-networking", NULL};
    const struct database_server server = {"MariaDB", "mariadb-server", "mysql", make,
                                           run,       make_databases};
    return database_serve(bench, &server);
}

/* -- The ledger -------------------------------------------------------------------------------- */

static const char setup_sql[] =
    "CREATE TABLE IF NOT EXISTS ledger (seq BIGINT, branch INT, operation INT) ENGINE=InnoDB";

static int add(tercet_db db, uint64_t seq, uint32_t branch, enum operation operation)
{
    char sql[96];
    snprintf(sql, sizeof(sql), "INSERT INTO ledger VALUES (%" PRIu64 ", %" PRIu32 ", %d)", seq,
             branch, (int)operation);
    return mysql_query(db, sql) == 0 ? 0 : TERCET_AGAIN;
}

static int count(tercet_db db, void *ctx)
{
    struct participant *participant = ctx;
    MYSQL_ROW row;
    if (mysql_query(db, "SELECT seq, branch, operation FROM ledger") != 0)
        return TERCET_STORE;
    MYSQL_RES *rows = mysql_use_result(db);
    while (rows != NULL && (row = mysql_fetch_row(rows)) != NULL)
        participant_count_row(participant, strtoull(row[0], NULL, 10), (uint32_t)atoi(row[1]),
                              (enum operation)atoi(row[2]));
    mysql_free_result(rows);
    return rows != NULL && mysql_errno(db) == 0 ? 0 : TERCET_STORE;
}

/* The server counts for all of its databases. */
static uint64_t commits(tercet_db db, uint32_t index)
{
    uint64_t number = 0;
    if (index > 0 || mysql_query(db, "SHOW GLOBAL STATUS LIKE 'Com_commit'") != 0)
        return 0;
    MYSQL_RES *rows = mysql_store_result(db);
    MYSQL_ROW row = rows != NULL ? mysql_fetch_row(rows) : NULL;
    if (row != NULL)
        number = strtoull(row[1], NULL, 10);
    mysql_free_result(rows);
    return number;
}

/* -- Without Tercet ---------------------------------------------------------------------------- */

static void *connect_bare(const struct shared *shared, uint32_t index)
{
    char name[16];
    snprintf(name, sizeof(name), "bench%u", index);
    MYSQL *mysql = open_connection(shared, name);
    if (mysql != NULL)
        mysql_query(mysql, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    return mysql;
}

static bool begin(void *connection)
{
    return mysql_query(connection, "START TRANSACTION") == 0;
}

static bool branch(void *connection, uint64_t seq, bool is_confirm)
{
    char sql[192];
    if (is_confirm)
        snprintf(sql, sizeof(sql),
                 "UPDATE tercet_barrier SET state = 3, changed_ms = 1 WHERE gid = 'bare-%020" PRIu64
                 "' AND branch = 1 AND state = 2",
                 seq);
    else
        snprintf(sql, sizeof(sql),
                 "INSERT INTO tercet_barrier (gid, branch, number, state, changed_ms)"
                 " VALUES ('bare-%020" PRIu64 "', 1, %" PRIu64 ", 2, 0)",
                 seq, seq);
    return mysql_query(connection, sql) == 0 &&
           add(connection, seq, 1, is_confirm ? OPERATION_CONFIRM : OPERATION_TRY) == 0;
}

static bool commit(void *connection)
{
    return mysql_query(connection, "COMMIT") == 0;
}

static void disconnect(void *connection)
{
    if (connection != NULL)
        mysql_close(connection);
}

const struct database database_mysql = {.start = start,
                                        .stop_signal = SIGTERM,
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
