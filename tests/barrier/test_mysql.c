/* SPDX-License-Identifier: Apache-2.0
 *
 * What only MariaDB and MySQL do: statements that end a transaction by the way, tables that cannot
 * be rolled back, settings that lose what was committed, and all that can be wrong with a server.
 */
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/enter.h>

#include "bench.h"

/* Runs its text, and says done whatever comes of it. */
static int run_blindly(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)call;
    if (ctx != NULL)
        mysql_query(db, ctx);
    return 0;
}

Test(mysql, a_result_that_a_hook_leaves_unread)
{
    struct bench *bench = bench_open(BENCH_MYSQL, NULL);
    cr_assert_eq(bench_run_five(bench, run_blindly, "SELECT * FROM ledger"), TERCET_STORE);
    cr_assert_eq(bench_rows(bench), 4);
    bench_close(bench);
}

/* DDL commits by the way, and what was done before it stays: that is why it is forbidden. The batch
 * is told to be asked again, and the rows see to it that nothing is done twice. */
Test(mysql, a_hook_that_commits_by_the_way_is_noticed)
{
    struct bench *bench = bench_open(BENCH_MYSQL, NULL);
    struct part part = {.bench = bench};
    struct tercet_barrier_call calls[3];
    for (uint32_t i = 0; i < 3; i++) {
        calls[i] = bench_call(&part, TERCET_TRY);
        calls[i].branch = i + 1;
    }
    calls[1].hook = run_blindly;
    calls[1].ctx = (void *)(uintptr_t) "CREATE TABLE other (x integer)";
    tercet_barrier_run(bench->barrier, calls, 3);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(calls[i].result, TERCET_STORE);
    tercet_barrier_run(bench->barrier, calls, 3);
    for (uint32_t i = 0; i < 3; i++)
        cr_assert_eq(calls[i].result, 0, "call %u: %d", i, calls[i].result);
    cr_assert_eq(bench_effects(bench, NULL, TERCET_TRY), 2);
    cr_assert_eq(bench_rows(bench), 3);
    bench_close(bench);
}

static int enter_try(MYSQL *conn, const char *gid, uint64_t source, uint64_t number)
{
    char text[TERCET_TEXT_MAX] = "";
    struct tercet_barrier_call call = {
        .gid = gid, .branch = 1, .number = number, .kind = TERCET_TRY, .source = source};
    int rc = tercet_barrier_mysql_enter(conn, &call, text);
    free(call.reply);
    return rc;
}

static void query(MYSQL *conn, const char *sql)
{
    cr_assert_eq(mysql_query(conn, sql), 0, "%s: %s", sql, mysql_error(conn));
    mysql_free_result(mysql_store_result(conn));
}

static MYSQL *another_connection(const struct bench *bench)
{
    const char *name = strstr(bench->url, "@/") + 2;
    char database[64];
    MYSQL *conn = mysql_init(NULL);
    snprintf(database, sizeof(database), "%.*s", (int)strcspn(name, "?"), name);
    cr_assert_not_null(
        mysql_real_connect(conn, NULL, "root", NULL, database, 0, getenv("TERCET_TEST_MYSQL"), 0),
        "%s", mysql_error(conn));
    return conn;
}

/* A transaction's snapshot, taken before, does not know whose numbers count here. */
Test(mysql, who_enters_with_an_old_snapshot_learns_whose_the_database_is)
{
    struct bench *bench = bench_open(BENCH_MYSQL, NULL);
    MYSQL *own = another_connection(bench);
    query(own, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    query(own, "BEGIN");
    query(own, "SELECT source FROM tercet_barrier_mark");
    query(bench->outside, "BEGIN");
    cr_assert_eq(enter_try(bench->outside, "theirs", 0xB, 500), TERCET_ENTER_WORK);
    query(bench->outside, "COMMIT");
    cr_assert_eq(enter_try(own, "ours", 0xA, 7), TERCET_ENTER_WORK);
    query(own, "COMMIT");
    cr_assert_eq(bench_query(bench, "SELECT number FROM tercet_barrier WHERE gid = 'ours'"), 0);
    cr_assert_eq(bench_query(bench, "SELECT number FROM tercet_barrier WHERE gid = 'theirs'"), 500);
    mysql_close(own);
    bench_close(bench);
}

/* -- What can be wrong with a server ----------------------------------------------------------- */

Test(mysql, opening_says_what_is_wrong)
{
    static const struct {
        const char *url, *text;
        int rc;
    } cases[] = {
        {"mysql://u:s3cr3t@127.0.0.1:1/db", "cannot connect", TERCET_STORE},
        {"mysql://u:s3cr3t@%2Fno%2Fsuch%2Fsocket/db", "cannot connect", TERCET_STORE},
        {"mariadb://u:s3cr3t@h/db?nonsense=1", "options are", TERCET_INVALID},
        {"mysql://u:s3cr3t@h/db?ssl=perhaps", "ssl is", TERCET_INVALID},
        {"mysql://u:s3cr3t@h/db?isolation=none", "isolation is", TERCET_INVALID},
        {"mysql://u:s3cr3t@h:port/db", "port", TERCET_INVALID},
        {"mysql://u:s3cr3t@h", "a database is named", TERCET_INVALID},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[TERCET_TEXT_MAX] = "";
        cr_assert_eq(bench_open_url(cases[i].url, NULL, text), cases[i].rc, "%s", cases[i].url);
        cr_assert_not_null(strstr(text, cases[i].text), "%s", text);
        cr_assert_null(strstr(text, "s3cr3t"), "%s", text);
    }
    cr_assert_eq(tercet_barrier_mysql_open(NULL, "mysql://h/d", NULL, NULL), TERCET_INVALID);
}

/* Several statements, as the other databases take them; hooks go on with one at a time. */
Test(mysql, setup_sql_of_several_statements)
{
    struct bench *bench = bench_open(BENCH_MYSQL, NULL);
    struct tercet_barrier_options options = {
        .size = sizeof(options),
        .setup_sql = "CREATE TABLE IF NOT EXISTS mine (x int); SELECT 1;"
                     " CREATE TABLE IF NOT EXISTS yours (x int);\n"};
    cr_assert_eq(bench_open_url(bench->url, &options, NULL), 0);
    cr_assert_eq(bench_query(bench, "SELECT count(*) FROM mine, yours"), 0);
    options.setup_sql = "SELECT 1; CREATE TABEL third (x int)";
    bench_check_open(bench->url, &options, TERCET_STORE, "setup_sql");
    options.setup_sql = "SELECT 1";
    tercet_barrier_close(bench->barrier);
    char text[TERCET_TEXT_MAX] = "";
    cr_assert_eq(tercet_barrier_open(&bench->barrier, bench->url, &options, text), 0, "%s", text);
    cr_assert_eq(bench_run_five(bench, run_blindly, "INSERT INTO mine VALUES (1); DROP TABLE mine"),
                 0);
    cr_assert_eq(bench_query(bench, "SELECT count(*) FROM mine"), 0);
    bench_close(bench);
}

Test(mysql, a_role_that_is_not_let_in)
{
    struct bench *bench = bench_open(BENCH_MYSQL, NULL);
    char url[400], *at = strstr(bench->url, "root@");
    snprintf(url, sizeof(url), "mysql://nobody:s3cr3t@%s", at + 5);
    bench_check_open(url, NULL, TERCET_STORE, "Access denied");
    bench_close(bench);
}

Test(mysql, tables_by_hand_of_a_newer_version_and_of_another_engine)
{
    struct tercet_barrier_options options = {.size = sizeof(options), .has_tables = true};
    struct bench *bench = bench_open(BENCH_MYSQL, NULL);
    cr_assert_eq(bench_open_url(bench->url, &options, NULL), 0);
    bench_sql(bench, "UPDATE tercet_barrier_mark SET version = 2");
    bench_check_open(bench->url, NULL, TERCET_FORMAT, "newer version");
    bench_sql(bench, "UPDATE tercet_barrier_mark SET version = 1");
    bench_sql(bench, "ALTER TABLE tercet_barrier ENGINE = MyISAM");
    bench_check_open(bench->url, NULL, TERCET_STORE, "InnoDB");
    bench_sql(bench, "DROP TABLE tercet_barrier, tercet_barrier_mark");
    bench_check_open(bench->url, &options, TERCET_STORE, "barrier-mysql.sql");
    bench_sql(bench, "CREATE TABLE tercet_barrier (gid int) ENGINE = InnoDB");
    bench_check_open(bench->url, NULL, TERCET_STORE, "branch");
    bench_close(bench);
}

/* The file that a DBA runs makes what the barrier would have made. */
Test(mysql, tables_of_the_file_that_is_shipped)
{
    struct tercet_barrier_options options = {.size = sizeof(options), .has_tables = true};
    struct bench *bench = bench_open(BENCH_MYSQL, NULL);
    static const char *const shape =
        "SELECT CRC32(GROUP_CONCAT(table_name, column_name, column_type, is_nullable, column_key, "
        "COALESCE(collation_name, '') ORDER BY table_name, ordinal_position)) FROM "
        "information_schema.columns WHERE table_schema = DATABASE() AND table_name LIKE 'tercet%'";
    int64_t made = bench_query(bench, shape);
    char command[512];
    bench_sql(bench, "DROP TABLE tercet_barrier, tercet_barrier_mark");
    snprintf(command, sizeof(command), "mariadb --no-defaults -u root --socket='%s' '%.*s' < '%s'",
             getenv("TERCET_TEST_MYSQL"), (int)strcspn(strstr(bench->url, "@/") + 2, "?"),
             strstr(bench->url, "@/") + 2, BARRIER_SQL_FOLDER "/barrier-mysql.sql");
    cr_assert_eq(system(command), 0);
    cr_assert_eq(bench_query(bench, shape), made);
    cr_assert_eq(bench_open_url(bench->url, &options, NULL), 0);
    bench_close(bench);
}

Test(mysql, a_database_that_is_not_there_and_a_column_that_is_too_small)
{
    struct bench *bench = bench_open(BENCH_MYSQL, NULL);
    char url[400];
    snprintf(url, sizeof(url), "mysql://root@/no_such_db?socket=%s", getenv("TERCET_TEST_MYSQL"));
    bench_check_open(url, NULL, TERCET_STORE, "Unknown database 'no_such_db'");
    bench_sql(bench, "ALTER TABLE tercet_barrier MODIFY reply VARBINARY(4)");
    bench_check_open(bench->url, NULL, TERCET_STORE, "it is varbinary(4), make it BLOB");
    bench_sql(bench, "ALTER TABLE tercet_barrier MODIFY reply MEDIUMBLOB");
    cr_assert_eq(bench_open_url(bench->url, NULL, NULL), 0);
    bench_close(bench);
}

/* -- Versions -----------------------------------------------------------------------------------
 */

static const char *told_version; /* by the server, as the driver sees it; NULL: the real one */
static unsigned long told_number;
const char *__real_mysql_get_server_info(MYSQL *conn);
const char *__wrap_mysql_get_server_info(MYSQL *conn);
unsigned long __real_mysql_get_server_version(MYSQL *conn);
unsigned long __wrap_mysql_get_server_version(MYSQL *conn);
const char *__wrap_mysql_get_server_info(MYSQL *conn)
{
    return told_version != NULL ? told_version : __real_mysql_get_server_info(conn);
}
unsigned long __wrap_mysql_get_server_version(MYSQL *conn)
{
    return told_version != NULL ? told_number : __real_mysql_get_server_version(conn);
}

/* Whatever the server calls itself: what it may lack is left out, the rest it says itself. */
Test(mysql, servers_of_any_version_are_taken)
{
    static const struct {
        const char *version;
        unsigned long number;
    } cases[] = {{"5.6.51", 50651},           {"5.7.44-log", 50744},         {"8.0.36", 80036},
                 {"10.2.44-MariaDB", 100244}, {"99.1.0-unheard-of", 990100}, {"none", 0}};
    struct bench *bench = bench_open(BENCH_MYSQL, NULL);
    for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tercet_barrier *barrier = NULL;
        char text[TERCET_TEXT_MAX] = "";
        uint64_t rows = 0, mark = 0;
        struct tercet_barrier_call call = {.gid = GID,
                                           .branch = 1 + i,
                                           .number = 100 + i,
                                           .low_water = 50 + i,
                                           .kind = TERCET_TRY};
        told_version = cases[i].version;
        told_number = cases[i].number;
        cr_assert_eq(tercet_barrier_open(&barrier, bench->url, NULL, text), 0, "%s", text);
        tercet_barrier_run(barrier, &call, 1);
        cr_assert_eq(call.result, 0, "%s", cases[i].version);
        cr_assert_eq(tercet_barrier_stats(barrier, &rows, &mark), 0);
        cr_assert_eq(mark, 50 + i, "%s", cases[i].version);
        tercet_barrier_close(barrier);
    }
    told_version = NULL;
    bench_close(bench);
}

/* -- Users that change while a participant runs -------------------------------------------------
 */

static void keep_line(enum tercet_log_level level, const char *text, void *ctx)
{
    (void)level;
    snprintf(ctx, TERCET_TEXT_MAX, "%s", text);
}

static int ask_for(struct tercet_barrier *barrier, uint32_t branch)
{
    struct tercet_barrier_call call = {.gid = GID, .branch = branch, .kind = TERCET_TRY};
    tercet_barrier_run(barrier, &call, 1);
    return call.result;
}

static void tell_user(struct bench *bench, const char *format)
{
    char sql[256];
    snprintf(sql, sizeof(sql), format, strrchr(bench->folder, '-') + 1);
    bench_sql(bench, sql);
}

/* The password is changed and the connections end, as an operator does it: the log says so, and a
 * password that is right again lets it come back by itself. */
Test(mysql, a_password_that_is_changed)
{
    char line[TERCET_TEXT_MAX] = "", url[400];
    struct tercet_barrier_options options = {
        .size = sizeof(options), .connections_max = 1, .on_log = keep_line, .log_ctx = line};
    struct bench *bench = bench_open(BENCH_MYSQL, NULL);
    struct tercet_barrier *barrier = NULL;
    tell_user(bench, "CREATE USER 'u_%s' IDENTIFIED BY 's3cr3t'");
    tell_user(bench, "GRANT ALL ON *.* TO 'u_%s'");
    snprintf(url, sizeof(url), "mysql://u_%s:s3cr3t@%s", strrchr(bench->folder, '-') + 1,
             strstr(bench->url, "@/") + 1);
    cr_assert_eq(tercet_barrier_open(&barrier, url, &options, line), 0, "%s", line);
    cr_assert_eq(ask_for(barrier, 1), 0);
    tell_user(bench, "ALTER USER 'u_%s' IDENTIFIED BY 'other'");
    bench_server(BENCH_MYSQL)->end_connections(bench);
    cr_assert_eq(ask_for(barrier, 2), TERCET_STORE);
    cr_assert_not_null(strstr(line, "Access denied"), "%s", line);
    cr_assert_null(strstr(line, "s3cr3t"), "%s", line);
    tell_user(bench, "ALTER USER 'u_%s' IDENTIFIED BY 's3cr3t'");
    int rc = TERCET_STORE;
    for (int i = 0; i < 100000000 && rc != 0; i++)
        rc = ask_for(barrier, 2);
    cr_assert_eq(rc, 0, "%s", line);
    tercet_barrier_close(barrier);
    tell_user(bench, "DROP USER 'u_%s'");
    bench_close(bench);
}

/* Who asks for more is told so; who is connected goes on. */
Test(mysql, a_user_with_one_connection)
{
    struct tercet_barrier_options options = {.size = sizeof(options), .connections_max = 8};
    struct bench *bench = bench_open(BENCH_MYSQL, NULL);
    struct tercet_barrier *barrier = NULL;
    char url[400], text[TERCET_TEXT_MAX];
    tell_user(bench, "CREATE USER 'v_%s' WITH MAX_USER_CONNECTIONS 1");
    tell_user(bench, "GRANT ALL ON *.* TO 'v_%s'");
    snprintf(url, sizeof(url), "mysql://v_%s@%s", strrchr(bench->folder, '-') + 1,
             strstr(bench->url, "@/") + 1);
    cr_assert_eq(tercet_barrier_open(&barrier, url, &options, text), 0, "%s", text);
    bench_check_open(url, NULL, TERCET_STORE, "max_user_connections");
    cr_assert_eq(ask_for(barrier, 1), 0);
    tercet_barrier_close(barrier);
    tell_user(bench, "DROP USER 'v_%s'");
    bench_close(bench);
}

/* -- TLS, with an authority of one's own --------------------------------------------------------
 */

static void make_url(char *url, size_t size, const struct bench *bench, const char *host,
                     const char *options)
{
    snprintf(url, size, "mysql://u_%s:s3cr3t@%s:%s/%.*s%s", strrchr(bench->folder, '-') + 1, host,
             getenv("TERCET_TEST_MYSQL_PORT"), (int)strcspn(strstr(bench->url, "@/") + 2, "?"),
             strstr(bench->url, "@/") + 2, options);
}

Test(mysql_tls, the_server_is_who_it_says_or_is_not_spoken_to)
{
    static const struct {
        const char *host, *mode, *wrong; /* NULL: it opens */
        const char *ca;
    } cases[] = {
        {"localhost", "?ssl=verify", NULL, "ca"},
        {"127.0.0.1", "?ssl=on", NULL, NULL},
        {"127.0.0.1", "?ssl=verify", "TLS/SSL error", "ca"},
        {"localhost", "?ssl=verify", "TLS/SSL error", "other"},
        {"localhost", "?ssl=verify", "TLS/SSL error", NULL},
        {"localhost", "?ssl=off", "Access denied", NULL},
    };
    if (getenv("TERCET_TEST_MYSQL_PORT") == NULL)
        cr_skip_test("run with WITH_MYSQL_TLS=1");
    struct bench *bench = bench_open(BENCH_MYSQL, NULL);
    tell_user(bench, "CREATE USER 'u_%s' IDENTIFIED BY 's3cr3t' REQUIRE SSL");
    tell_user(bench, "GRANT ALL ON *.* TO 'u_%s'");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char url[512], options[TERCET_TEXT_MAX];
        snprintf(options, sizeof(options), "%s", cases[i].mode);
        if (cases[i].ca != NULL)
            snprintf(options, sizeof(options), "%s&ssl-ca=%s/%s.pem", cases[i].mode,
                     getenv("TERCET_TEST_FOLDER"), cases[i].ca);
        make_url(url, sizeof(url), bench, cases[i].host, options);
        if (cases[i].wrong != NULL)
            bench_check_open(url, NULL, TERCET_STORE, cases[i].wrong);
        else
            cr_assert_eq(bench_open_url(url, NULL, options), 0, "%s: %s", url, options);
    }
    tell_user(bench, "DROP USER 'u_%s'");
    bench_close(bench);
}
