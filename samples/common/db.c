/* SPDX-License-Identifier: Apache-2.0
 *
 * SQL in one line: what is the same for every database.
 */
#include "db.h"

#include <stdio.h>
#include <string.h>

int db_change_values(const struct db *db, const char *sql, const struct db_value *values,
                     size_t value_count)
{
    return db->driver->run(db->handle, sql, values, value_count, NULL, NULL);
}

struct first_row {
    int64_t *columns;
    size_t column_count;
    int found;
};

static int take_first(const struct db_row *row, void *ctx)
{
    struct first_row *first = ctx;
    if (row->is_head)
        return 0;
    for (size_t i = 0; first->found == 0 && i < first->column_count && i < row->count; i++)
        first->columns[i] = row->values[i].number;
    first->found = 1;
    return 0;
}

int db_read_values(const struct db *db, int64_t *columns, size_t column_count, const char *sql,
                   const struct db_value *values, size_t value_count)
{
    struct first_row first = {.columns = columns, .column_count = column_count};
    int rc = db->driver->run(db->handle, sql, values, value_count, take_first, &first);
    return rc < 0 ? -1 : first.found;
}

int db_is_empty(const struct db *db, const char *table)
{
    char sql[96];
    int64_t rows;
    snprintf(sql, sizeof(sql), "SELECT count(*) FROM %s", table);
    return db_read_values(db, &rows, 1, sql, NULL, 0) == 1 ? rows == 0 : -1;
}

const char *db_error(const struct db *db)
{
    return db->driver->error(db->handle);
}

const struct db_driver *db_driver_of(const char *url)
{
    static const struct {
        const char *scheme;
        const struct db_driver *driver;
    } drivers[] = {
        {"sqlite:", &db_sqlite},
#ifdef SAMPLES_POSTGRES
        {"postgres://", &db_postgres}, {"postgresql://", &db_postgres},
#endif
#ifdef SAMPLES_MYSQL
        {"mysql://", &db_mysql},       {"mariadb://", &db_mysql},
#endif
    };
    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++)
        if (strncmp(url, drivers[i].scheme, strlen(drivers[i].scheme)) == 0)
            return drivers[i].driver;
    return NULL;
}
