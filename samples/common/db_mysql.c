/* SPDX-License-Identifier: Apache-2.0
 *
 * db.h on MariaDB and MySQL: ?1 is written as the value itself, a text quoted as the server reads
 * it, and all goes in one round trip; a statement prepared for one use would take three.
 */
#include <inttypes.h>
#include <mysql.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db.h"

static bool write_value(FILE *out, MYSQL *mysql, const struct db_value *value)
{
    if (value->text == NULL)
        return fprintf(out, "%" PRId64, value->number) > 0;
    size_t length = strlen(value->text);
    char *quoted = malloc(2 * length + 1);
    if (quoted == NULL)
        return false;
    mysql_real_escape_string(mysql, quoted, value->text, length);
    bool is_written = fprintf(out, "'%s'", quoted) > 0;
    free(quoted);
    return is_written;
}

/* The text to send, the caller's to free. NULL: no memory, or a value is named that is not there.
 */
static char *write_statement(MYSQL *mysql, const char *sql, const struct db_value *values,
                             size_t value_count)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return NULL;
    bool is_whole = true;
    while (is_whole && *sql != '\0') {
        size_t plain = strcspn(sql, "?");
        fwrite(sql, 1, plain, out);
        sql += plain;
        if (*sql == '\0')
            break;
        char *end = NULL;
        size_t place = strtoul(sql + 1, &end, 10);
        is_whole =
            place >= 1 && place <= value_count && write_value(out, mysql, &values[place - 1]);
        sql = end;
    }
    if (fclose(out) == 0 && is_whole)
        return text;
    free(text);
    return NULL;
}

static struct db_value value_of(const MYSQL_FIELD *field, const char *text)
{
    switch (field->type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
        return db_int(text != NULL ? strtoll(text, NULL, 10) : 0);
    default:
        return db_text(text != NULL ? text : "");
    }
}

/* How many rows there are, or -1 when on_row wanted no more. */
static int show_rows(MYSQL_RES *result, db_row_fn on_row, void *ctx)
{
    const MYSQL_FIELD *fields = mysql_fetch_fields(result);
    struct db_row row = {.is_head = true, .count = mysql_num_fields(result)};
    MYSQL_ROW texts;
    for (size_t i = 0; i < row.count && i < DB_VALUES_MAX; i++)
        row.names[i] = fields[i].name;
    int stop = on_row != NULL ? on_row(&row, ctx) : 0;
    row.is_head = false;
    while (stop == 0 && (texts = mysql_fetch_row(result)) != NULL) {
        for (size_t i = 0; i < row.count && i < DB_VALUES_MAX; i++)
            row.values[i] = value_of(&fields[i], texts[i]);
        stop = on_row != NULL ? on_row(&row, ctx) : 0;
    }
    return stop == 0 ? (int)mysql_num_rows(result) : -1;
}

static int run(void *handle, const char *sql, const struct db_value *values, size_t value_count,
               db_row_fn on_row, void *ctx)
{
    MYSQL *mysql = handle;
    char *text = write_statement(mysql, sql, values, value_count);
    int count = -1;
    if (text != NULL && mysql_query(mysql, text) == 0) {
        MYSQL_RES *result = mysql_store_result(mysql);
        if (result != NULL)
            count = show_rows(result, on_row, ctx);
        else if (mysql_field_count(mysql) == 0)
            count = (int)mysql_affected_rows(mysql);
        mysql_free_result(result);
    }
    free(text);
    return count;
}

static const char *error(void *handle)
{
    return mysql_error(handle);
}

const struct db_driver db_mysql = {
    .run = run,
    .error = error,
    /* The key is what the server wants of a column that counts itself; it is not unique. */
    .ledger = "CREATE TABLE IF NOT EXISTS effect (seq BIGINT NOT NULL AUTO_INCREMENT,"
              " gid VARCHAR(64) NOT NULL, branch BIGINT NOT NULL, op VARCHAR(16) NOT NULL,"
              " amount BIGINT NOT NULL, KEY effect_order (seq)) ENGINE=InnoDB",
    .ledger_order = "seq",
};
