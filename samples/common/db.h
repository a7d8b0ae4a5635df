/* SPDX-License-Identifier: Apache-2.0
 *
 * SQL in one line, the same text for SQLite, PostgreSQL, MariaDB and MySQL: statements with values,
 * run and finished in the call, as a hook has to.
 *
 * A statement names its values ?1, ?2, ..., each as often as it likes. FOR UPDATE at its end locks
 * the rows that it reads, as a hook must that looks first and changes then, since others may work
 * beside it; with SQLite, where one writes at a time, it is left out. Types that all of them have:
 * BIGINT, VARCHAR(n), and TEXT for what is in no key.
 */
#ifndef SAMPLES_DB_H
#define SAMPLES_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DB_VALUES_MAX 16 /* of a statement; and columns of a row */

/* A value for ?1, ?2, ... Texts are not copied. */
struct db_value {
    const char *text; /* NULL: the number counts */
    int64_t number;
};

/* An open database, in an open transaction. */
struct db {
    const struct db_driver *driver;
    void *handle; /* sqlite3 *, PGconn * or MYSQL *: what a hook has as call->db */
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

/* Runs a statement that changes rows; the values follow it. How many it changed, or -1: db_error
 * says why. */
#define db_change(db, sql, ...) db_change_values(db, sql, DB_VALUES(__VA_ARGS__))
int db_change_values(const struct db *db, const char *sql, const struct db_value *values,
                     size_t value_count);

/* Reads the first row's integers into `columns`. 1, 0 when there is no row, -1 on failure. */
#define db_read(db, columns, column_count, sql, ...)                                               \
    db_read_values(db, columns, column_count, sql, DB_VALUES(__VA_ARGS__))
int db_read_values(const struct db *db, int64_t *columns, size_t column_count, const char *sql,
                   const struct db_value *values, size_t value_count);

struct db_row;                                                 /* below */
typedef int (*db_row_fn)(const struct db_row *row, void *ctx); /* 0: go on */

/* Shows the names of what a query gives, then each row. How many rows there were, or -1. */
#define db_each(db, on_row, ctx, sql, ...)                                                         \
    (db)->driver->run((db)->handle, sql, DB_VALUES(__VA_ARGS__), on_row, ctx)

/* Whether a table has no rows: 1, 0, or -1 on failure. */
int db_is_empty(const struct db *db, const char *table);

/* The last failure, in the database's words. */
const char *db_error(const struct db *db);

/* -- Drivers ----------------------------------------------------------------------------------- */

struct db_row {
    bool is_head; /* comes first, and once: the names only */
    size_t count;
    const char *names[DB_VALUES_MAX];
    struct db_value values[DB_VALUES_MAX]; /* valid in the call that shows the row */
};

struct db_driver {
    /* Runs a statement, and shows the names of what it gives and each row to `on_row`, if there is
     * one. How many rows it gave or changed, or -1. */
    int (*run)(void *handle, const char *sql, const struct db_value *values, size_t value_count,
               db_row_fn on_row, void *ctx);
    const char *(*error)(void *handle);
    const char *ledger;       /* the statement that makes table `effect` (service.h) */
    const char *ledger_order; /* its column that tells what came first */
    const char *snapshot;     /* makes an open transaction see one moment; NULL: it does anyway */
};

extern const struct db_driver db_sqlite, db_postgres, db_mysql;

/* The driver for a database's URL, as tercet_barrier_open takes it; NULL for databases without SQL,
 * and those that this program was built without. */
const struct db_driver *db_driver_of(const char *url);

#endif
