/* SPDX-License-Identifier: Apache-2.0
 *
 * enter.h on a MYSQL. The insert changes the time of a row that is there: the server counts 2 then,
 * whether the client has asked for found rows or not.
 */
#include <inttypes.h>
#include <mysql.h>
#include <string.h>

#include "../location.h"
#include "enter.h"

#define NOW_MS "CAST(1000 * UNIX_TIMESTAMP(NOW(3)) AS SIGNED)"

static int fail(MYSQL *conn, char *text)
{
    barrier_text(text, "%u %s", mysql_errno(conn), mysql_error(conn));
    return TERCET_STORE;
}

static int run(void *conn, const char *sql, struct enter_result *out, char *text)
{
    if (mysql_real_query(conn, sql, (unsigned long)strlen(sql)) != 0)
        return fail(conn, text);
    MYSQL_RES *result = mysql_store_result(conn);
    if (result == NULL && mysql_field_count(conn) > 0)
        return fail(conn, text);
    MYSQL_ROW row = result != NULL ? mysql_fetch_row(result) : NULL;
    int rc = 0;
    if (row != NULL)
        rc = enter_keep(out, row[0], mysql_num_fields(result) > 1 ? row[1] : NULL);
    else if (result == NULL)
        out->changed = mysql_affected_rows(conn);
    mysql_free_result(result);
    return rc;
}

static const struct enter_sql mysql_sql = {
    .known = "SELECT source, mark FROM tercet_barrier_mark WHERE id = 1",
    .adopt = "UPDATE tercet_barrier_mark SET source = '%s' WHERE id = 1 AND source = ''",
    .adopted = "SELECT source, mark FROM tercet_barrier_mark WHERE id = 1 LOCK IN SHARE MODE",
    .insert = "INSERT INTO tercet_barrier (gid, branch, number, state, changed_ms)"
              " VALUES ('%s', %u, %" PRIu64 ", %d, " NOW_MS
              ") ON DUPLICATE KEY UPDATE changed_ms = changed_ms + 1",
    .mark = "SELECT mark FROM tercet_barrier_mark WHERE id = 1 LOCK IN SHARE MODE",
    .row = "SELECT state, HEX(reply) FROM tercet_barrier WHERE gid = '%s' AND branch = %u LOCK IN "
           "SHARE MODE",
    .move = "UPDATE tercet_barrier SET state = %d, changed_ms = " NOW_MS
            " WHERE gid = '%s' AND branch = %u AND state = 2",
    .reply = "UPDATE tercet_barrier SET reply = X'%s' WHERE gid = '%s' AND branch = %u",
    .run = run,
};

int tercet_barrier_mysql_enter(MYSQL *conn, struct tercet_barrier_call *call, char *text)
{
    return enter_barrier(&mysql_sql, conn, call, text);
}

int tercet_barrier_mysql_leave(MYSQL *conn, struct tercet_barrier_call *call,
                               struct tercet_bytes reply, char *text)
{
    return leave_barrier(&mysql_sql, conn, call, reply, text);
}
