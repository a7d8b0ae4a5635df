/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.h at a MariaDB server, which scripts/with-mysql starts: a database of its own for each
 * bench, and a connection apart from the barrier's to look from outside.
 */
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_servers.h"
#include "drivers.h"

static int64_t query(struct bench *bench, const char *sql)
{
    int64_t number = 0;
    cr_assert_eq(mysql_query(bench->outside, sql), 0, "%s: %s", sql, mysql_error(bench->outside));
    MYSQL_RES *result = mysql_store_result(bench->outside);
    MYSQL_ROW row = result != NULL ? mysql_fetch_row(result) : NULL;
    if (row != NULL && row[0] != NULL)
        number = atoll(row[0]);
    mysql_free_result(result);
    return number;
}

static const char *database_of(const struct bench *bench)
{
    static char name[64];
    snprintf(name, sizeof(name), "bench_%ld_%s", (long)getpid(), strrchr(bench->folder, '-') + 1);
    return name;
}

static void look_again(struct bench *bench)
{
    if (bench->outside != NULL)
        mysql_close(bench->outside);
    bench->outside = mysql_init(NULL);
    cr_assert_not_null(mysql_real_connect(bench->outside, NULL, "root", NULL, NULL, 0,
                                          getenv("TERCET_TEST_MYSQL"), 0),
                       "%s", mysql_error(bench->outside));
    mysql_select_db(bench->outside, database_of(bench));
}

static void make(struct bench *bench)
{
    const char *server = getenv("TERCET_TEST_MYSQL");
    char sql[128];
    if (server == NULL)
        cr_skip_test("run under scripts/with-mysql");
    snprintf(bench->url, sizeof(bench->url), "mysql://root@/%s?socket=%s", database_of(bench),
             server);
    look_again(bench);
    snprintf(sql, sizeof(sql), "CREATE DATABASE `%s`", database_of(bench));
    query(bench, sql);
    cr_assert_eq(mysql_select_db(bench->outside, database_of(bench)), 0);
    query(bench, "CREATE TABLE ledger (gid varchar(64), branch integer, kind integer)");
}

static void drop(struct bench *bench)
{
    char sql[128];
    snprintf(sql, sizeof(sql), "DROP DATABASE `%s`", database_of(bench));
    query(bench, sql);
    mysql_close(bench->outside);
}

static int execute(tercet_db db, const char *sql)
{
    return mysql_query(db, sql) == 0 ? 0 : TERCET_AGAIN;
}

static void end_connections(struct bench *bench)
{
    char sql[64];
    cr_assert_eq(mysql_query(bench->outside, "SELECT id FROM information_schema.processlist WHERE "
                                             "db = DATABASE() AND id <> CONNECTION_ID()"),
                 0);
    MYSQL_RES *result = mysql_store_result(bench->outside);
    for (MYSQL_ROW row; (row = mysql_fetch_row(result)) != NULL;) {
        snprintf(sql, sizeof(sql), "KILL %s", row[0]);
        mysql_query(bench->outside, sql); /* it may have gone by itself */
    }
    mysql_free_result(result);
}

const struct bench_server bench_mysql = {.variable = "TERCET_TEST_MYSQL",
                                         .make = make,
                                         .drop = drop,
                                         .driver_open = mysql_driver_open,
                                         .driver = &mysql_driver,
                                         .execute = execute,
                                         .query = query,
                                         .look_again = look_again,
                                         .end_connections = end_connections,
                                         .url_snapshots = "&isolation=repeatable-read"};
