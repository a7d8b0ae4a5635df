/* SPDX-License-Identifier: Apache-2.0
 *
 * audit_server.h.
 */
#include "audit_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"

#define TABLES_MAX (sizeof(((struct audit_database *)NULL)->tables) / sizeof(char *))

struct audit_server {
    const struct db_driver *driver;
    struct tercet_barrier *barrier;
    char error[TERCET_TEXT_MAX];
};

static int fail(struct audit_server *server, const char *what, const char *why)
{
    snprintf(server->error, sizeof(server->error), "%s: %s", what, why);
    return TERCET_STORE;
}

const char *audit_server_error(const struct audit_server *server)
{
    return server->error;
}

static void keep_error(enum tercet_log_level level, const char *text, void *ctx)
{
    if (level <= TERCET_LOG_WARNING)
        fail(ctx, "barrier", text);
}

/* With MariaDB and MySQL the transaction's isolation is the connection's, and an option of the URL.
 */
static void choose_isolation(char *out, size_t size, const char *url)
{
    bool is_mysql = strncmp(url, "mysql:", 6) == 0 || strncmp(url, "mariadb:", 8) == 0;
    if (is_mysql && strstr(url, "isolation=") == NULL)
        snprintf(out, size, "%s%cisolation=repeatable-read", url,
                 strchr(url, '?') != NULL ? '&' : '?');
    else
        snprintf(out, size, "%s", url);
}

int audit_server_open(struct audit_server **out, const char *url, char *text)
{
    struct audit_server *server = calloc(1, sizeof(*server));
    struct tercet_barrier_options options = {.size = sizeof(options),
                                             .connections_max = 1,
                                             .has_tables = true,
                                             .on_log = keep_error,
                                             .log_ctx = server};
    char own_url[1024];
    if (server == NULL)
        return TERCET_NOMEM;
    snprintf(text, TERCET_TEXT_MAX, "this is no database that speaks SQL");
    choose_isolation(own_url, sizeof(own_url), url);
    server->driver = db_driver_of(url);
    int rc = tercet_barrier_open(&server->barrier, own_url, &options, text);
    if (rc == 0 && server->driver == NULL)
        rc = TERCET_INVALID;
    if (rc == 0)
        *out = server;
    else
        audit_server_close(server);
    return rc;
}

void audit_server_close(struct audit_server *server)
{
    if (server == NULL)
        return;
    tercet_barrier_close(server->barrier);
    free(server);
}

/* -- Looking ----------------------------------------------------------------------------------- */

struct look {
    struct audit_server *server;
    int64_t open_count, effect_count;
};

static int look(tercet_db handle, void *ctx)
{
    struct look *look = ctx;
    struct db db = {.driver = look->server->driver, .handle = handle};
    if (db_read_values(&db, &look->effect_count, 1, "SELECT count(*) FROM effect", NULL, 0) == 1 &&
        db_read_values(&db, &look->open_count, 1,
                       "SELECT count(*) FROM (SELECT gid FROM effect GROUP BY gid, branch"
                       " HAVING sum(CASE op WHEN 'try' THEN 1 ELSE -1 END) > 0) AS open_branch",
                       NULL, 0) == 1)
        return 0;
    return fail(look->server, "effect", db_error(&db));
}

int audit_server_look(struct audit_server *server, int64_t *open_count, int64_t *effect_count)
{
    struct look seen = {.server = server};
    int rc = tercet_barrier_local(server->barrier, look, &seen);
    *open_count += seen.open_count;
    *effect_count += seen.effect_count;
    return rc;
}

/* -- Copying ----------------------------------------------------------------------------------- */

struct copy {
    struct audit_server *server;
    sqlite3 *to;
    const struct audit_database *database;
    const char *table;       /* the one under way */
    sqlite3_stmt *statement; /* inserts a row */
};

/* "name1, name2", or "?, ?". */
static void join(char *out, size_t size, const struct db_row *row, bool is_names)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < row->count && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%s", i > 0 ? ", " : "",
                                 is_names ? row->names[i] : "?");
}

static int prepare_copy(struct copy *copy, const struct db_row *row)
{
    char names[512], marks[64], sql[1024];
    bool is_ledger = strcmp(copy->table, "ledger") == 0;
    join(names, sizeof(names), row, true);
    join(marks, sizeof(marks), row, false);
    snprintf(sql, sizeof(sql), "CREATE TEMP TABLE %s (%s)", copy->table, names);
    int rc = is_ledger ? SQLITE_OK : sqlite3_exec(copy->to, sql, NULL, NULL, NULL);
    snprintf(sql, sizeof(sql), "INSERT INTO temp.%s (%s) VALUES (%s)", copy->table, names, marks);
    if (rc == SQLITE_OK)
        rc = sqlite3_prepare_v2(copy->to, sql, -1, &copy->statement, NULL);
    return rc == SQLITE_OK ? 0 : fail(copy->server, copy->table, sqlite3_errmsg(copy->to));
}

static int copy_row(const struct db_row *row, void *ctx)
{
    struct copy *copy = ctx;
    if (row->is_head)
        return prepare_copy(copy, row);
    for (size_t i = 0; i < row->count; i++)
        if (row->values[i].text != NULL)
            sqlite3_bind_text(copy->statement, (int)i + 1, row->values[i].text, -1,
                              SQLITE_TRANSIENT);
        else
            sqlite3_bind_int64(copy->statement, (int)i + 1, row->values[i].number);
    int rc = sqlite3_step(copy->statement);
    sqlite3_reset(copy->statement);
    return rc == SQLITE_DONE ? 0 : fail(copy->server, copy->table, sqlite3_errmsg(copy->to));
}

static int copy_rows(struct copy *copy, const struct db *db, const char *table, const char *query)
{
    copy->table = table;
    copy->statement = NULL;
    copy->server->error[0] = '\0';
    int rows = db->driver->run(db->handle, query, NULL, 0, copy_row, copy);
    sqlite3_finalize(copy->statement);
    if (rows >= 0)
        return 0;
    return copy->server->error[0] != '\0' ? TERCET_STORE : fail(copy->server, table, db_error(db));
}

static int copy_tables(tercet_db handle, void *ctx)
{
    struct copy *copy = ctx;
    const struct audit_database *database = copy->database;
    struct db db = {.driver = copy->server->driver, .handle = handle};
    char query[256];
    if (db.driver->snapshot != NULL && db_change_values(&db, db.driver->snapshot, NULL, 0) < 0)
        return fail(copy->server, db.driver->snapshot, db_error(&db));
    snprintf(query, sizeof(query),
             "SELECT '%s' AS service, '%s' AS kind, %s AS seq, gid, branch, op, amount FROM effect",
             database->service, database->kind, db.driver->ledger_order);
    int rc = copy_rows(copy, &db, "ledger", query);
    for (size_t i = 0; rc == 0 && i < TABLES_MAX && database->tables[i] != NULL; i++) {
        snprintf(query, sizeof(query), "SELECT * FROM %s", database->tables[i]);
        rc = copy_rows(copy, &db, database->tables[i], query);
    }
    return rc;
}

int audit_server_copy(struct audit_server *server, sqlite3 *to,
                      const struct audit_database *database)
{
    struct copy copy = {.server = server, .to = to, .database = database};
    return tercet_barrier_local(server->barrier, copy_tables, &copy);
}
