/* SPDX-License-Identifier: Apache-2.0
 *
 * The barrier's driver for PostgreSQL: one connection, its prepared statements, and the pipeline:
 * statements are sent as they come, and their results are read when one of them is needed. Where a
 * hook is to run, all results have been read and the connection is as any other.
 */
#ifndef BARRIER_POSTGRES_H
#define BARRIER_POSTGRES_H

#include <libpq-events.h>
#include <libpq-fe.h>
#include <tercet/sys/barrier.h>

#include "../server.h"

#define POSTGRES_QUEUE_MAX 16

#define POSTGRES_STATEMENT_MAP(X)                                                                  \
    X(BEGIN, "BEGIN")                                                                              \
    X(COMMIT, "COMMIT")                                                                            \
    X(SAVEPOINT, "SAVEPOINT tercet_call")                                                          \
    X(RELEASE, "RELEASE SAVEPOINT tercet_call")                                                    \
    X(ROLLBACK_TO, "ROLLBACK TO SAVEPOINT tercet_call")                                            \
    X(INSERT, "INSERT INTO tercet_barrier (gid, branch, number, state, changed_ms)"                \
              " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING")                               \
    X(MOVE, "UPDATE tercet_barrier SET state = $3, changed_ms = $5"                                \
            " WHERE gid = $1 AND branch = $2 AND state = $4")                                      \
    X(REPLY_SAVE, "UPDATE tercet_barrier SET reply = $3 WHERE gid = $1 AND branch = $2")           \
    X(READ, "SELECT state, reply FROM tercet_barrier WHERE gid = $1 AND branch = $2")              \
    X(MARK_READ, "SELECT mark FROM tercet_barrier_mark WHERE id = 1")                              \
    X(MARK_LOCK, "SELECT mark FROM tercet_barrier_mark WHERE id = 1 FOR SHARE")                    \
    X(MARK_RAISE, "UPDATE tercet_barrier_mark SET mark = $1 WHERE id = 1 AND mark < $1")           \
    X(COLLECT, "DELETE FROM tercet_barrier WHERE ctid = ANY (ARRAY("                               \
               "SELECT ctid FROM tercet_barrier WHERE number > 0 AND number <= $1 AND state > 2"   \
               " ORDER BY number LIMIT $2 FOR UPDATE SKIP LOCKED))")                               \
    X(IDENTITY_KEEP,                                                                               \
      "UPDATE tercet_barrier_mark SET identity = $1 WHERE id = 1 AND identity = ''")               \
    X(IDENTITY_READ, "SELECT identity FROM tercet_barrier_mark WHERE id = 1")                      \
    X(SOURCE_KEEP, "UPDATE tercet_barrier_mark SET source = $1 WHERE id = 1 AND source = ''")      \
    X(SOURCE_READ, "SELECT source FROM tercet_barrier_mark WHERE id = 1")                          \
    X(ROWS_COUNT, "SELECT count(*) FROM tercet_barrier")

enum postgres_statement {
#define POSTGRES_STATEMENT_ENUM(name, sql) POSTGRES_##name,
    POSTGRES_STATEMENT_MAP(POSTGRES_STATEMENT_ENUM)
#undef POSTGRES_STATEMENT_ENUM
        POSTGRES_STATEMENT_COUNT,
};

struct postgres {
    PGconn *conn; /* NULL: there was none yet, or the last one is given up */
    char *url;
    char *password; /* to keep it out of texts; NULL: none */
    struct tercet_barrier_options options;
    char *setup_sql;
    /* Transactions see the database as it was when they began: the mark is read with a lock, which
     * fails when it has been raised since. */
    bool sees_snapshot;

    enum postgres_statement queue[POSTGRES_QUEUE_MAX]; /* sent, their results not read yet */
    size_t queue_count;
    /* What the last results were. */
    bool has_changed;
    bool is_committed;
    bool has_mark;
    uint64_t number; /* the mark, or a count */
    PGresult *row;   /* of a READ but the mark's; NULL: none */

    enum tercet_barrier_failure failure;
    bool is_committing; /* COMMIT was sent: what comes of it is not known until its result */
    bool has_conflict;  /* since the last savepoint, in a statement of anybody's */
    struct server_retry retry;
    char error[TERCET_TEXT_MAX];
};

/* -- postgres_link.c --------------------------------------------------------------------------- */

/* Connects anew, with tables looked at and statements prepared. Fails at once for a while after a
 * failure. */
int postgres_connect(struct postgres *postgres);
void postgres_disconnect(struct postgres *postgres);
/* A state without a connection. NULL without memory. */
struct postgres *postgres_new(const char *url, const struct tercet_barrier_options *options);
void postgres_free(struct postgres *postgres);

/* Keeps libpq's text, on one line and without the password. Returns TERCET_STORE. */
int postgres_fail(struct postgres *postgres, const char *what, const char *text);

/* -- postgres_pipe.c --------------------------------------------------------------------------- */

/* Sends a statement, whose result is read by the next postgres_sync. */
int postgres_send(struct postgres *postgres, enum postgres_statement statement, int count,
                  const char *const *values, const int *sizes, const int *formats);
/* Reads all results and leaves pipeline mode. On failure `failure` and `error` are set. */
int postgres_sync(struct postgres *postgres);
/* Prepares all statements on a new connection. */
int postgres_prepare(struct postgres *postgres);

#endif
