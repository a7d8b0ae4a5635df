/* SPDX-License-Identifier: Apache-2.0
 *
 * enter.h on a PGconn.
 */
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

#include "../location.h"
#include "enter.h"

#define NOW_MS "CAST(1000 * extract(epoch FROM clock_timestamp()) AS bigint)"

static int run(void *conn, const char *sql, struct enter_result *out, char *text)
{
    PGresult *result = PQexec(conn, sql);
    ExecStatusType status = PQresultStatus(result);
    int rc = 0;
    if (status == PGRES_COMMAND_OK) {
        out->changed = strtoull(PQcmdTuples(result), NULL, 10);
    } else if (status != PGRES_TUPLES_OK) {
        barrier_text(text, "%s", PQerrorMessage(conn));
        rc = TERCET_STORE;
    } else if (PQntuples(result) > 0) {
        bool has_second = PQnfields(result) > 1 && !PQgetisnull(result, 0, 1);
        rc =
            enter_keep(out, PQgetvalue(result, 0, 0), has_second ? PQgetvalue(result, 0, 1) : NULL);
    }
    PQclear(result);
    return rc;
}

/* A lock on its row tells a transaction that sees a snapshot that the mark was raised since: an
 * error of class 40. Where each statement sees what is committed it need not be locked. */
static const struct enter_sql postgres_sql = {
    .known = "SELECT source, mark FROM tercet_barrier_mark WHERE id = 1",
    .adopt = "UPDATE tercet_barrier_mark SET source = '%s' WHERE id = 1 AND source = ''",
    .adopted = "SELECT source, mark FROM tercet_barrier_mark WHERE id = 1",
    .insert = "INSERT INTO tercet_barrier (gid, branch, number, state, changed_ms)"
              " VALUES ('%s', %u, %" PRIu64 ", %d, " NOW_MS ") ON CONFLICT DO NOTHING",
    .mark = "SELECT mark FROM tercet_barrier_mark WHERE id = 1",
    .row = "SELECT state, encode(reply, 'hex') FROM tercet_barrier WHERE gid = '%s' AND branch = "
           "%u",
    .move = "UPDATE tercet_barrier SET state = %d, changed_ms = " NOW_MS
            " WHERE gid = '%s' AND branch = %u AND state = 2",
    .reply = "UPDATE tercet_barrier SET reply = decode('%s', 'hex') WHERE gid = '%s' AND branch = "
             "%u",
    .run = run,
};

static bool sees_snapshot(PGconn *conn)
{
    struct enter_result result = {.changed = 0};
    int rc = run(conn, "SHOW transaction_isolation", &result, NULL);
    return rc == 0 && strncmp(result.first, "read ", 5) != 0;
}

int tercet_barrier_postgres_enter(PGconn *conn, struct tercet_barrier_call *call, char *text)
{
    struct enter_sql sql = postgres_sql;
    if (conn != NULL && sees_snapshot(conn))
        sql.mark = "SELECT mark FROM tercet_barrier_mark WHERE id = 1 FOR SHARE";
    return enter_barrier(&sql, conn, call, text);
}

int tercet_barrier_postgres_leave(PGconn *conn, struct tercet_barrier_call *call,
                                  struct tercet_bytes reply, char *text)
{
    return leave_barrier(&postgres_sql, conn, call, reply, text);
}
