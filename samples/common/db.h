/* SPDX-License-Identifier: Apache-2.0
 *
 * SQLite in one line: statements with values, prepared and finished in the call, as a hook has to.
 */
#ifndef SAMPLES_DB_H
#define SAMPLES_DB_H

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

/* A value for ?1, ?2, ... Texts are not copied. */
struct db_value {
    const char *text; /* NULL: the number counts */
    int64_t number;
};

static inline struct db_value db_int(int64_t number)
{
    return (struct db_value){.number = number};
}

static inline struct db_value db_text(const char *text)
{
    return (struct db_value){.text = text};
}

#define DB_VALUES(...)                                                                             \
    (const struct db_value[]){__VA_ARGS__},                                                        \
        sizeof((struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value)

/* Runs a statement that changes rows; the values follow it. How many it changed, or -1:
 * sqlite3_errmsg says why. */
#define db_change(db, sql, ...) db_change_values(db, sql, DB_VALUES(__VA_ARGS__))
int db_change_values(sqlite3 *db, const char *sql, const struct db_value *values,
                     size_t value_count);

/* Reads the first row's integers into `columns`. 1, 0 when there is no row, -1 on failure. */
#define db_read(db, columns, column_count, sql, ...)                                               \
    db_read_values(db, columns, column_count, sql, DB_VALUES(__VA_ARGS__))
int db_read_values(sqlite3 *db, int64_t *columns, int column_count, const char *sql,
                   const struct db_value *values, size_t value_count);

#endif
