/* SPDX-License-Identifier: Apache-2.0
 *
 * db.h on SQLite, which knows ?1, ?2, ... itself.
 */
#include <sqlite3.h>
#include <stdbool.h>
#include <string.h>

#include "db.h"

#define FOR_UPDATE " FOR UPDATE"

/* One writes at a time: a hook's transaction has locked the whole database. */
static int length_without_lock(const char *sql)
{
    size_t length = strlen(sql), lock = strlen(FOR_UPDATE);
    bool has_lock = length > lock && strcmp(sql + length - lock, FOR_UPDATE) == 0;
    return (int)(has_lock ? length - lock : length);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql, const struct db_value *values,
                             size_t value_count)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, length_without_lock(sql), &statement, NULL);
    for (size_t i = 0; rc == SQLITE_OK && i < value_count; i++) {
        int place = (int)i + 1;
        if (values[i].text != NULL)
            rc = sqlite3_bind_text(statement, place, values[i].text, -1, SQLITE_STATIC);
        else
            rc = sqlite3_bind_int64(statement, place, values[i].number);
    }
    if (rc == SQLITE_OK)
        return statement;
    sqlite3_finalize(statement);
    return NULL;
}

static int show_row(sqlite3_stmt *statement, bool is_head, db_row_fn on_row, void *ctx)
{
    struct db_row row = {.is_head = is_head, .count = (size_t)sqlite3_column_count(statement)};
    for (size_t i = 0; i < row.count && i < DB_VALUES_MAX; i++) {
        row.names[i] = sqlite3_column_name(statement, (int)i);
        if (is_head)
            continue;
        if (sqlite3_column_type(statement, (int)i) == SQLITE_TEXT)
            row.values[i] = db_text((const char *)sqlite3_column_text(statement, (int)i));
        else
            row.values[i] = db_int(sqlite3_column_int64(statement, (int)i));
    }
    return on_row != NULL ? on_row(&row, ctx) : 0;
}

static int run(void *handle, const char *sql, const struct db_value *values, size_t value_count,
               db_row_fn on_row, void *ctx)
{
    sqlite3_stmt *statement = prepare(handle, sql, values, value_count);
    int count = 0, rc, stop = 0;
    if (statement == NULL)
        return -1;
    bool gives_rows = sqlite3_column_count(statement) > 0;
    if (gives_rows)
        stop = show_row(statement, true, on_row, ctx);
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW && stop == 0) {
        stop = show_row(statement, false, on_row, ctx);
        count++;
    }
    sqlite3_finalize(statement);
    if (rc != SQLITE_DONE || stop != 0)
        return -1;
    return gives_rows ? count : sqlite3_changes(handle);
}

static const char *error(void *handle)
{
    return sqlite3_errmsg(handle);
}

const struct db_driver db_sqlite = {
    .run = run,
    .error = error,
    .ledger = "CREATE TABLE IF NOT EXISTS effect (gid TEXT NOT NULL, branch INTEGER NOT NULL,"
              " op TEXT NOT NULL, amount INTEGER NOT NULL)",
    .ledger_order = "rowid",
};
