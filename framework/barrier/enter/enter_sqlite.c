/* SPDX-License-Identifier: Apache-2.0
 *
 * enter.h on a sqlite3.
 */
#include <inttypes.h>
#include <sqlite3.h>

#include "../location.h"
#include "enter.h"

#define NOW_MS "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"

static int run(void *conn, const char *sql, struct enter_result *out, char *text)
{
    sqlite3_stmt *statement = NULL;
    int rc = 0, code = sqlite3_prepare_v2(conn, sql, -1, &statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        rc = enter_keep(out, (const char *)sqlite3_column_text(statement, 0),
                        sqlite3_column_count(statement) > 1
                            ? (const char *)sqlite3_column_text(statement, 1)
                            : NULL);
    else if (code == SQLITE_DONE)
        out->changed = (uint64_t)sqlite3_changes(conn);
    else
        rc = TERCET_STORE;
    if (rc == TERCET_STORE)
        barrier_text(text, "%s", sqlite3_errmsg(conn));
    sqlite3_finalize(statement);
    return rc;
}

static const struct enter_sql sqlite_sql = {
    .known = "SELECT coalesce((SELECT value FROM tercet_barrier_fact WHERE name = 'source'), ''),"
             " mark FROM tercet_barrier_mark",
    .adopt = "INSERT INTO tercet_barrier_fact (name, value) VALUES ('source', '%s')"
             " ON CONFLICT DO NOTHING",
    .adopted = "SELECT coalesce((SELECT value FROM tercet_barrier_fact WHERE name = 'source'), ''),"
               " mark FROM tercet_barrier_mark",
    .insert = "INSERT INTO tercet_barrier (gid, branch, number, state, changed_ms)"
              " VALUES ('%s', %u, %" PRIu64 ", %d, " NOW_MS ") ON CONFLICT DO NOTHING",
    .mark = "SELECT mark FROM tercet_barrier_mark WHERE id = 1",
    .row = "SELECT state, hex(reply) FROM tercet_barrier WHERE gid = '%s' AND branch = %u",
    .move = "UPDATE tercet_barrier SET state = %d, changed_ms = " NOW_MS
            " WHERE gid = '%s' AND branch = %u AND state = 2",
    .reply = "UPDATE tercet_barrier SET reply = X'%s' WHERE gid = '%s' AND branch = %u",
    .run = run,
};

/* The facts' table comes with the first fact in databases that a barrier has made. */
int tercet_barrier_sqlite_enter(sqlite3 *db, struct tercet_barrier_call *call, char *text)
{
    struct enter_result result = {.changed = 0};
    int rc = db != NULL ? run(db,
                              "CREATE TABLE IF NOT EXISTS tercet_barrier_fact"
                              " (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
                              &result, text)
                        : 0;
    return rc == 0 ? enter_barrier(&sqlite_sql, db, call, text) : rc;
}

int tercet_barrier_sqlite_leave(sqlite3 *db, struct tercet_barrier_call *call,
                                struct tercet_bytes reply, char *text)
{
    return leave_barrier(&sqlite_sql, db, call, reply, text);
}
