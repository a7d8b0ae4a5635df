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
    X(INSERT_MANY,                                                                                 \
      "INSERT INTO tercet_barrier (gid, branch, number, state, changed_ms)"                        \
      " SELECT gid, branch, number, state, $5 FROM"                                                \
      " unnest($1::text[], $2::integer[], $3::bigint[], $4::smallint[])"                           \
      " AS wanted (gid, branch, number, state) ON CONFLICT DO NOTHING RETURNING gid, branch")      \
    X(MOVE_MANY, /* LATERAL and LIMIT: by the primary key, whatever the statistics say */          \
      "UPDATE tercet_barrier SET state = $3, changed_ms = $4 WHERE state = 2 AND ctid = ANY ("     \
      "ARRAY(SELECT found.ctid FROM unnest($1::text[], $2::integer[]) AS wanted (gid, branch),"    \
      " LATERAL (SELECT ctid FROM tercet_barrier AS t"                                             \
      " WHERE t.gid = wanted.gid AND t.branch = wanted.branch LIMIT 1) AS found))"                 \
      " RETURNING gid, branch")                                                                    \
    X(REMOVE, "DELETE FROM tercet_barrier WHERE gid = $1 AND branch = $2")                         \
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

/* A change that was carried out before it is asked for. */
struct postgres_foreseen {
    struct tercet_barrier_change change;
    bool is_done, is_taken;
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
    struct postgres_foreseen foreseen[TERCET_BARRIER_CHANGES_MAX];
    size_t foreseen_count, foreseen_next; /* where to look first: most are taken in order */
    uint64_t foreseen_mark;
    /* What the last results were. */
    bool has_changed;
    bool is_committed;
    bool has_mark;
    uint64_t number; /* the mark, or a count */
    PGresult *row;   /* of a READ but the mark's; NULL: none */

    enum tercet_barrier_failure failure;
    bool is_committing; /* COMMIT was sent: what comes of it is not known until its result */
    bool has_conflict;  /* since the last savepoint, in a statement of anybody's */
    bool has_deadlock;  /* the same, and it was a deadlock */
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
int postgres_send_bare(struct postgres *postgres, enum postgres_statement statement);
/* Sends the change of a row; after the sync `has_changed` tells what came of it. */
int postgres_send_change(struct postgres *postgres, const struct tercet_barrier_change *change);
int postgres_send_remove(struct postgres *postgres, const struct tercet_barrier_key *key);
/* Sends the question for the mark. */
int postgres_send_mark(struct postgres *postgres);
/* Reads all results and leaves pipeline mode. On failure `failure` and `error` are set. */
int postgres_sync(struct postgres *postgres);
/* Prepares all statements on a new connection. */
int postgres_prepare(struct postgres *postgres);

/* -- postgres_foresee.c ------------------------------------------------------------------------ */

/* The driver's. */
int postgres_foresee(void *driver, const struct tercet_barrier_change *changes, size_t count);
int postgres_forgo(void *driver);
/* Notes that the rows of such a statement were changed. */
void postgres_note_foreseen(struct postgres *postgres, bool was_inserted, const PGresult *result);
/* Whether the change was carried out before, and then what came of it. */
bool postgres_take_foreseen(struct postgres *postgres, const struct tercet_barrier_change *change,
                            bool *has_changed);

#endif
