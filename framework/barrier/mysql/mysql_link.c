/* SPDX-License-Identifier: Apache-2.0
 *
 * mysql_driver.h: connecting, and what is looked at then: whether the server may be written to and
 * keeps what it commits, and whether the tables are there and are InnoDB's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "mysql_driver.h"

#define VERSION 1

static const char table[] =
    "CREATE TABLE IF NOT EXISTS tercet_barrier ("
    " gid VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL, branch INT NOT NULL,"
    " number BIGINT NOT NULL, state TINYINT NOT NULL, changed_ms BIGINT NOT NULL, reply BLOB,"
    " PRIMARY KEY (gid, branch), KEY tercet_barrier_ended (number)) ENGINE=InnoDB";
static const char mark_table[] =
    "CREATE TABLE IF NOT EXISTS tercet_barrier_mark ("
    " id INT PRIMARY KEY, version INT NOT NULL, mark BIGINT NOT NULL,"
    " identity VARCHAR(32) NOT NULL DEFAULT '', source VARCHAR(32) NOT NULL DEFAULT '')"
    " ENGINE=InnoDB";
static const char mark_row[] =
    "INSERT INTO tercet_barrier_mark (id, version, mark) VALUES (1, 1, 0)"
    " ON DUPLICATE KEY UPDATE id = id";
static const char *const schema[] = {table, mark_table, mark_row, "COMMIT"};

/* -- Texts ------------------------------------------------------------------------------------- */

int mysql_driver_fail(struct mysql_driver *driver, const char *what, const char *text)
{
    snprintf(driver->error, sizeof(driver->error), "%s: %s", what, text);
    location_hide(driver->error, driver->location.password);
    return TERCET_STORE;
}

int mysql_driver_fail_query(struct mysql_driver *driver, const char *what)
{
    char text[TERCET_TEXT_MAX];
    snprintf(text, sizeof(text), "%u %s", mysql_errno(driver->conn), mysql_error(driver->conn));
    return mysql_driver_fail(driver, what, text);
}

static void warn(struct mysql_driver *driver, const char *text)
{
    if (driver->options.on_log != NULL)
        driver->options.on_log(TERCET_LOG_WARNING, text, driver->options.log_ctx);
}

/* -- State ------------------------------------------------------------------------------------- */

static const char *check_location(const struct location *location)
{
    static const char *const known[] = {"socket", "ssl", "ssl-ca", "isolation", NULL};
    char name[32];
    char value[32] = "";
    if (location->path[0] == '\0')
        return "a database is named: mysql://user@host/database";
    if (location_unknown_option(location, known, name, sizeof(name)) != NULL)
        return "options are socket, ssl, ssl-ca and isolation";
    if (location_option(location, "ssl", value, sizeof(value)) && strcmp(value, "off") != 0 &&
        strcmp(value, "on") != 0 && strcmp(value, "verify") != 0)
        return "ssl is off, on or verify";
    if (location_option(location, "isolation", value, sizeof(value)) &&
        strcmp(value, "read-committed") != 0 && strcmp(value, "repeatable-read") != 0 &&
        strcmp(value, "serializable") != 0)
        return "isolation is read-committed, repeatable-read or serializable";
    return NULL;
}

int mysql_driver_new(struct mysql_driver **out, const char *url,
                     const struct tercet_barrier_options *options, char *text)
{
    struct mysql_driver *driver = calloc(1, sizeof(*driver));
    if (driver == NULL)
        return TERCET_NOMEM;
    const char *why = location_parse(&driver->location, url);
    if (why == NULL)
        why = check_location(&driver->location);
    driver->options = *options;
    if (options->setup_sql != NULL)
        driver->setup_sql = strdup(options->setup_sql);
    driver->options.setup_sql = driver->setup_sql;
    if (why == NULL) {
        *out = driver;
        return 0;
    }
    barrier_text(text, "%s", why);
    mysql_driver_free(driver);
    return TERCET_INVALID;
}

void mysql_driver_free(struct mysql_driver *driver)
{
    mysql_driver_disconnect(driver);
    location_free(&driver->location);
    free(driver->setup_sql);
    free(driver);
}

void mysql_driver_disconnect(struct mysql_driver *driver)
{
    if (driver->conn != NULL)
        mysql_close(driver->conn);
    driver->conn = NULL;
}

/* -- What is looked at on a new connection ----------------------------------------------------- */

static int execute(struct mysql_driver *driver, const char *sql, const char *what)
{
    if (mysql_query(driver->conn, sql) != 0)
        return mysql_driver_fail_query(driver, what);
    MYSQL_RES *result = mysql_store_result(driver->conn);
    mysql_free_result(result);
    return 0;
}

/* Several statements at once, which the connection takes for this only: a hook's text that somebody
 * has slipped a statement into is refused. */
static int execute_all(struct mysql_driver *driver, const char *sql, const char *what)
{
    MYSQL *conn = driver->conn;
    int rc = 0, next = 0;
    if (mysql_set_server_option(conn, MYSQL_OPTION_MULTI_STATEMENTS_ON) != 0 ||
        mysql_query(conn, sql) != 0)
        return mysql_driver_fail_query(driver, what);
    do {
        mysql_free_result(mysql_store_result(conn));
        if (mysql_errno(conn) != 0)
            rc = mysql_driver_fail_query(driver, what);
    } while (rc == 0 && (next = mysql_next_result(conn)) == 0);
    if (rc == 0 &&
        (next > 0 || mysql_set_server_option(conn, MYSQL_OPTION_MULTI_STATEMENTS_OFF) != 0))
        rc = mysql_driver_fail_query(driver, what);
    return rc;
}

/* The text in the only row's first column. */
static int ask(struct mysql_driver *driver, const char *sql, char *value, size_t size)
{
    if (mysql_query(driver->conn, sql) != 0)
        return mysql_driver_fail_query(driver, "cannot ask the server");
    MYSQL_RES *result = mysql_store_result(driver->conn);
    MYSQL_ROW row = result != NULL ? mysql_fetch_row(result) : NULL;
    snprintf(value, size, "%s", row != NULL && row[0] != NULL ? row[0] : "");
    mysql_free_result(result);
    return 0;
}

static int check_settings(struct mysql_driver *driver)
{
    char settings[128] = "";
    static const char unsafe[] =
        "the server runs with innodb_flush_log_at_trx_commit other than 1 and can lose what it has "
        "committed: set it to 1, or set is_unsafe_allowed where money does not matter";
    int rc = ask(driver,
                 "SELECT CONCAT('flush=', @@innodb_flush_log_at_trx_commit, ' read_only=',"
                 " @@read_only, ' binlog=', @@log_bin, ' sync=', @@sync_binlog, ' ')",
                 settings, sizeof(settings));
    if (rc != 0)
        return rc;
    if (strstr(settings, "read_only=1") != NULL)
        return mysql_driver_fail(driver, "settings",
                                 "the server takes no writes (a replica?): name the primary");
    bool keeps = strstr(settings, "flush=1") != NULL || strstr(settings, "flush=3") != NULL;
    if (!keeps && !driver->options.is_unsafe_allowed)
        return mysql_driver_fail(driver, "settings", unsafe);
    if (!keeps)
        warn(driver, unsafe);
    if (strstr(settings, "binlog=1 sync=0") != NULL)
        warn(driver, "barrier: sync_binlog is 0: after a crash, replicas may have other "
                     "transactions than the server");
    return 0;
}

static int set_session(struct mysql_driver *driver)
{
    char sql[96], isolation[32] = "read-committed";
    location_option(&driver->location, "isolation", isolation, sizeof(isolation));
    driver->sees_snapshot = strcmp(isolation, "read-committed") != 0;
    snprintf(sql, sizeof(sql), "SET SESSION TRANSACTION ISOLATION LEVEL %s",
             strcmp(isolation, "read-committed") == 0    ? "READ COMMITTED"
             : strcmp(isolation, "repeatable-read") == 0 ? "REPEATABLE READ"
                                                         : "SERIALIZABLE");
    int rc = execute(driver, sql, "cannot set the isolation");
    snprintf(sql, sizeof(sql), "SET SESSION innodb_lock_wait_timeout = %u, autocommit = 0",
             (driver->options.busy_timeout_ms + 999) / 1000);
    return rc == 0 ? execute(driver, sql, "cannot set the session up") : rc;
}

static int make_tables(struct mysql_driver *driver)
{
    int rc = 0;
    if (driver->options.has_tables)
        return mysql_driver_fail(driver, "tables",
                                 "tercet_barrier_mark is missing, or has no row: have "
                                 "barrier-mysql.sql run in this database");
    for (size_t i = 0; rc == 0 && i < sizeof(schema) / sizeof(schema[0]); i++)
        rc = execute(driver, schema[i],
                     "cannot make the barrier's tables (have barrier-mysql.sql run, or grant "
                     "CREATE)");
    return rc;
}

static int check_engine(struct mysql_driver *driver)
{
    char others[80] = "";
    int rc = ask(driver,
                 "SELECT CONCAT(table_name, ' is ', COALESCE(engine, 'a view')) FROM "
                 "information_schema.tables WHERE table_schema = DATABASE() AND table_name IN "
                 "('tercet_barrier', 'tercet_barrier_mark') AND COALESCE(engine, '') <> 'InnoDB' "
                 "LIMIT 1",
                 others, sizeof(others));
    if (rc == 0 && others[0] != '\0')
        rc = mysql_driver_fail(driver, "tables must be InnoDB's to be rolled back", others);
    return rc;
}

/* A server that is not strict would cut what the column cannot hold. */
static int check_reply(struct mysql_driver *driver)
{
    char sql[384], holds[80] = "";
    snprintf(sql, sizeof(sql),
             "SELECT CONCAT('it is ', column_type, ', make it BLOB') FROM "
             "information_schema.columns WHERE table_schema = DATABASE() AND table_name = "
             "'tercet_barrier' AND column_name = 'reply' AND COALESCE(character_octet_length, 0) < "
             "%d LIMIT 1",
             TERCET_REPLY_MAX);
    int rc = ask(driver, sql, holds, sizeof(holds));
    if (rc == 0 && holds[0] != '\0')
        rc = mysql_driver_fail(driver, "the column tercet_barrier.reply does not hold 16 KiB",
                               holds);
    return rc;
}

static int check_tables(struct mysql_driver *driver)
{
    char count[16] = "", version[24] = "";
    int rc = ask(driver,
                 "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() "
                 "AND table_name = 'tercet_barrier_mark'",
                 count, sizeof(count));
    if (rc == 0 && atoi(count) > 0)
        rc = ask(driver, "SELECT MAX(version) FROM tercet_barrier_mark", version, sizeof(version));
    if (rc == 0 && atoi(version) == 0)
        rc = make_tables(driver);
    if (rc == 0 && atoi(version) > VERSION) {
        mysql_driver_fail(driver, "tables",
                          "the barrier's tables are of a newer version than this program: run a "
                          "newer one");
        return TERCET_FORMAT;
    }
    if (rc == 0)
        rc = check_engine(driver);
    if (rc == 0)
        rc = check_reply(driver);
    if (rc == 0)
        rc = execute(driver,
                     "SELECT gid, branch, number, state, changed_ms, reply FROM tercet_barrier "
                     "LIMIT 0",
                     "the barrier's tables are not as expected");
    return rc == 0 ? execute(driver, "COMMIT", "commit") : rc;
}

/* -- Connecting -------------------------------------------------------------------------------- */

static void set_tls(struct mysql_driver *driver)
{
    char mode[16] = "", ca[256] = "";
    my_bool on = 1;
    location_option(&driver->location, "ssl", mode, sizeof(mode));
    location_option(&driver->location, "ssl-ca", ca, sizeof(ca));
    if (strcmp(mode, "on") != 0 && strcmp(mode, "verify") != 0)
        return;
    mysql_ssl_set(driver->conn, NULL, NULL, ca[0] != '\0' ? ca : NULL, NULL, NULL);
    mysql_optionsv(driver->conn, MYSQL_OPT_SSL_ENFORCE, &on);
    if (strcmp(mode, "verify") == 0)
        mysql_optionsv(driver->conn, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &on);
}

static int open_connection(struct mysql_driver *driver)
{
    const struct location *location = &driver->location;
    char socket[256] = "";
    unsigned timeout_s = (driver->options.connect_timeout_ms + 999) / 1000, off = 0;
    const unsigned tcp = MYSQL_PROTOCOL_TCP;
    bool is_path = location->host[0] == '/';
    driver->conn = mysql_init(NULL);
    if (driver->conn == NULL)
        return TERCET_NOMEM;
    location_option(location, "socket", socket, sizeof(socket));
    mysql_optionsv(driver->conn, MYSQL_OPT_CONNECT_TIMEOUT, &timeout_s);
    mysql_optionsv(driver->conn, MYSQL_OPT_LOCAL_INFILE, &off);
    mysql_optionsv(driver->conn, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    set_tls(driver);
    if (location->port != 0) /* or else the library takes localhost for its socket */
        mysql_optionsv(driver->conn, MYSQL_OPT_PROTOCOL, &tcp);
    if (mysql_real_connect(driver->conn,
                           is_path || location->host[0] == '\0' ? NULL : location->host,
                           location->user[0] != '\0' ? location->user : NULL,
                           location->password[0] != '\0' ? location->password : NULL,
                           location->path, location->port,
                           is_path             ? location->host
                           : socket[0] != '\0' ? socket
                                               : NULL,
                           0) == NULL)
        return mysql_driver_fail_query(driver, "cannot connect");
    return 0;
}

static void note_version(struct mysql_driver *driver)
{
    bool is_mariadb = strstr(mysql_get_server_info(driver->conn), "MariaDB") != NULL;
    driver->has_nowait =
        mysql_get_server_version(driver->conn) >= (is_mariadb ? 100300UL : 80000UL);
}

static int connect_now(struct mysql_driver *driver)
{
    int rc = open_connection(driver);
    if (rc != 0)
        return rc;
    note_version(driver);
    if (driver->setup_sql != NULL)
        rc = execute_all(driver, driver->setup_sql, "setup_sql");
    if (rc == 0)
        rc = check_settings(driver);
    if (rc == 0)
        rc = set_session(driver);
    return rc == 0 ? check_tables(driver) : rc;
}

int mysql_driver_connect(struct mysql_driver *driver)
{
    mysql_driver_disconnect(driver);
    if (!server_retry_is_due(&driver->retry))
        return mysql_driver_fail(driver, "not connected", "connecting is tried again soon");
    int rc = connect_now(driver);
    if (rc == 0) {
        server_retry_clear(&driver->retry);
        driver->error[0] = '\0';
        return 0;
    }
    server_retry_plan(&driver->retry);
    driver->failure = TERCET_BARRIER_LOST;
    mysql_driver_disconnect(driver);
    return rc;
}
