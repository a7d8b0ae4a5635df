/* SPDX-License-Identifier: Apache-2.0
 *
 * db.h on PostgreSQL: ?1 is written $1, and values go beside the text, so that none is taken for a
 * part of it.
 */
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"

enum { OID_BOOL = 16, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23 };

static PGresult *execute(PGconn *conn, const char *sql, const struct db_value *values,
                         size_t value_count)
{
    char numbers[DB_VALUES_MAX][24];
    const char *texts[DB_VALUES_MAX];
    char *own = strdup(sql);
    if (own == NULL || value_count > DB_VALUES_MAX) {
        free(own);
        return NULL;
    }
    for (char *mark = strchr(own, '?'); mark != NULL; mark = strchr(mark, '?'))
        *mark = '$';
    for (size_t i = 0; i < value_count; i++) {
        snprintf(numbers[i], sizeof(numbers[i]), "%" PRId64, values[i].number);
        texts[i] = values[i].text != NULL ? values[i].text : numbers[i];
    }
    PGresult *result = PQexecParams(conn, own, (int)value_count, NULL, texts, NULL, NULL, 0);
    free(own);
    return result;
}

static struct db_value value_of(const PGresult *result, int row, int column)
{
    const char *text = PQgetvalue(result, row, column);
    switch (PQftype(result, column)) {
    case OID_BOOL:
        return db_int(text[0] == 't');
    case OID_INT2:
    case OID_INT4:
    case OID_INT8:
        return db_int(strtoll(text, NULL, 10));
    default:
        return db_text(text);
    }
}

/* How many rows there are, or -1 when on_row wanted no more. */
static int show_rows(const PGresult *result, db_row_fn on_row, void *ctx)
{
    struct db_row row = {.is_head = true, .count = (size_t)PQnfields(result)};
    for (int column = 0; column < (int)row.count && column < DB_VALUES_MAX; column++)
        row.names[column] = PQfname(result, column);
    int stop = on_row != NULL ? on_row(&row, ctx) : 0;
    row.is_head = false;
    for (int i = 0; stop == 0 && i < PQntuples(result); i++) {
        for (int column = 0; column < (int)row.count && column < DB_VALUES_MAX; column++)
            row.values[column] = value_of(result, i, column);
        stop = on_row != NULL ? on_row(&row, ctx) : 0;
    }
    return stop == 0 ? PQntuples(result) : -1;
}

static int run(void *handle, const char *sql, const struct db_value *values, size_t value_count,
               db_row_fn on_row, void *ctx)
{
    PGresult *result = execute(handle, sql, values, value_count);
    int count = -1;
    if (PQresultStatus(result) == PGRES_TUPLES_OK)
        count = show_rows(result, on_row, ctx);
    else if (PQresultStatus(result) == PGRES_COMMAND_OK)
        count = atoi(PQcmdTuples(result));
    PQclear(result);
    return count;
}

static const char *error(void *handle)
{
    return PQerrorMessage(handle);
}

const struct db_driver db_postgres = {
    .run = run,
    .error = error,
    /* Two services that start at once would both find it missing: one waits for the other. */
    .ledger = "SELECT pg_advisory_xact_lock(7420); "
              "CREATE TABLE IF NOT EXISTS effect (seq BIGSERIAL, gid VARCHAR(64) NOT NULL,"
              " branch BIGINT NOT NULL, op VARCHAR(16) NOT NULL, amount BIGINT NOT NULL)",
    .ledger_order = "seq",
    .snapshot = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
};
