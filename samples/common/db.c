/* SPDX-License-Identifier: Apache-2.0
 *
 * SQLite in one line.
 */
#include "db.h"

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql, const struct db_value *values,
                             size_t value_count)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
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

int db_change_values(sqlite3 *db, const char *sql, const struct db_value *values,
                     size_t value_count)
{
    sqlite3_stmt *statement = prepare(db, sql, values, value_count);
    if (statement == NULL)
        return -1;
    int rc = sqlite3_step(statement);
    sqlite3_finalize(statement);
    return rc == SQLITE_DONE ? sqlite3_changes(db) : -1;
}

int db_read_values(sqlite3 *db, int64_t *columns, int column_count, const char *sql,
                   const struct db_value *values, size_t value_count)
{
    sqlite3_stmt *statement = prepare(db, sql, values, value_count);
    if (statement == NULL)
        return -1;
    int rc = sqlite3_step(statement);
    for (int i = 0; rc == SQLITE_ROW && i < column_count; i++)
        columns[i] = sqlite3_column_int64(statement, i);
    sqlite3_finalize(statement);
    return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : -1;
}
