/* SPDX-License-Identifier: Apache-2.0
 *
 * postgres.h: the pipeline, and what a failure in it means.
 */
#include <clock.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "postgres.h"

#define NUMBER_TEXT 24

static const char *const statement_sql[] = {
#define STATEMENT_SQL(name, sql) sql,
    POSTGRES_STATEMENT_MAP(STATEMENT_SQL)
#undef STATEMENT_SQL
};

static const char *const statement_name[] = {
#define STATEMENT_NAME(name, sql) "tercet_" #name,
    POSTGRES_STATEMENT_MAP(STATEMENT_NAME)
#undef STATEMENT_NAME
};

/* -- Failures ---------------------------------------------------------------------------------- */

/* The connection is gone, or of no use. Before the COMMIT was sent nothing can have been committed:
 * the server rolls back what it no longer hears of. */
static int fail_connection(struct postgres *postgres)
{
    postgres_fail(postgres, "connection lost", PQerrorMessage(postgres->conn));
    postgres->failure = postgres->is_committing ? TERCET_BARRIER_LOST : TERCET_BARRIER_CONFLICT;
    postgres_disconnect(postgres);
    return TERCET_STORE;
}

/* The first failure in a pipeline tells why; what follows it was not carried out. */
static void note_failure(struct postgres *postgres, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    bool is_conflict = state != NULL && strncmp(state, "40", 2) == 0;
    bool is_unknown = state != NULL && strcmp(state, "40003") == 0;
    postgres_fail(postgres, state != NULL ? state : "failed",
                  text != NULL ? text : PQresultErrorMessage(result));
    postgres->failure = is_unknown    ? TERCET_BARRIER_LOST
                        : is_conflict ? TERCET_BARRIER_CONFLICT
                                      : TERCET_BARRIER_APART;
}

/* -- Sending ----------------------------------------------------------------------------------- */

int postgres_send(struct postgres *postgres, enum postgres_statement statement, int count,
                  const char *const *values, const int *sizes, const int *formats)
{
    if (postgres->conn == NULL)
        return TERCET_STORE;
    if (postgres->queue_count == POSTGRES_QUEUE_MAX) {
        int rc = postgres_sync(postgres);
        if (rc != 0)
            return rc;
    }
    if (PQpipelineStatus(postgres->conn) == PQ_PIPELINE_OFF && !PQenterPipelineMode(postgres->conn))
        return fail_connection(postgres);
    postgres->has_mark = false;
    postgres->is_committing = postgres->is_committing || statement == POSTGRES_COMMIT;
    bool wants_binary = statement == POSTGRES_READ;
    if (!PQsendQueryPrepared(postgres->conn, statement_name[statement], count, values, sizes,
                             formats, wants_binary))
        return fail_connection(postgres);
    postgres->queue[postgres->queue_count++] = statement;
    return 0;
}

int postgres_send_bare(struct postgres *postgres, enum postgres_statement statement)
{
    return postgres_send(postgres, statement, 0, NULL, NULL, NULL);
}

int postgres_send_mark(struct postgres *postgres)
{
    return postgres_send_bare(postgres,
                              postgres->sees_snapshot ? POSTGRES_MARK_LOCK : POSTGRES_MARK_READ);
}

int postgres_send_remove(struct postgres *postgres, const struct tercet_barrier_key *key)
{
    char branch[NUMBER_TEXT];
    const char *const values[] = {key->gid, branch};
    snprintf(branch, NUMBER_TEXT, "%" PRIu32, key->branch);
    return postgres_send(postgres, POSTGRES_REMOVE, 2, values, NULL, NULL);
}

int postgres_send_change(struct postgres *postgres, const struct tercet_barrier_change *change)
{
    char branch[NUMBER_TEXT], from[NUMBER_TEXT], to[NUMBER_TEXT], number[NUMBER_TEXT],
        now_ms[NUMBER_TEXT];
    bool inserts = change->from == TERCET_BARRIER_NONE;
    const char *const values[] = {change->key.gid, branch, inserts ? number : to,
                                  inserts ? to : from, now_ms};
    snprintf(branch, NUMBER_TEXT, "%" PRIu32, change->key.branch);
    snprintf(from, NUMBER_TEXT, "%d", (int)change->from);
    snprintf(to, NUMBER_TEXT, "%d", (int)change->to);
    snprintf(number, NUMBER_TEXT, "%" PRIu64, change->key.number);
    snprintf(now_ms, NUMBER_TEXT, "%" PRId64, clock_wall_ms());
    postgres->has_changed = false;
    return postgres_send(postgres, inserts ? POSTGRES_INSERT : POSTGRES_MOVE, 5, values, NULL,
                         NULL);
}

/* -- Results ----------------------------------------------------------------------------------- */

/* Keeps what a statement's result says; `result` is not needed any more, or kept. */
static void note_result(struct postgres *postgres, enum postgres_statement statement,
                        PGresult *result)
{
    bool has_row = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;
    switch (statement) {
    case POSTGRES_INSERT:
    case POSTGRES_MOVE:
        postgres->has_changed = strcmp(PQcmdTuples(result), "1") == 0;
        break;
    case POSTGRES_INSERT_MANY:
    case POSTGRES_MOVE_MANY:
        postgres_note_foreseen(postgres, statement == POSTGRES_INSERT_MANY, result);
        break;
    case POSTGRES_COMMIT: /* of a transaction that has failed before it is a rollback */
        postgres->is_committed = strcmp(PQcmdStatus(result), "COMMIT") == 0;
        break;
    case POSTGRES_MARK_READ:
    case POSTGRES_MARK_LOCK:
    case POSTGRES_ROWS_COUNT:
        postgres->has_mark = has_row;
        if (has_row)
            postgres->number = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
        break;
    case POSTGRES_READ:
    case POSTGRES_IDENTITY_READ:
    case POSTGRES_SOURCE_READ:
        PQclear(postgres->row);
        postgres->row = has_row ? result : NULL;
        if (has_row)
            return;
        break;
    default:
        break;
    }
    PQclear(result);
}

/* Takes in the results of all that was sent, up to the mark of the sync. */
static int read_results(struct postgres *postgres)
{
    int rc = 0;
    for (size_t i = 0;;) {
        PGresult *result = PQgetResult(postgres->conn);
        ExecStatusType status = PQresultStatus(result);
        if (PQstatus(postgres->conn) != CONNECTION_OK) {
            PQclear(result);
            return fail_connection(postgres);
        }
        if (status == PGRES_PIPELINE_SYNC) {
            PQclear(result);
            return rc;
        }
        if (result == NULL) { /* the end of one statement's results */
            if (i++ > 2 * (size_t)POSTGRES_STATEMENT_COUNT)
                return fail_connection(postgres);
            continue;
        }
        if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
            note_result(postgres, postgres->queue[i < postgres->queue_count ? i : 0], result);
            continue;
        }
        if (rc == 0 && status != PGRES_PIPELINE_ABORTED) {
            note_failure(postgres, result);
            rc = TERCET_STORE;
        }
        PQclear(result);
    }
}

int postgres_sync(struct postgres *postgres)
{
    if (postgres->conn == NULL)
        return TERCET_STORE;
    if (PQpipelineStatus(postgres->conn) == PQ_PIPELINE_OFF)
        return 0;
    if (!PQpipelineSync(postgres->conn))
        return fail_connection(postgres);
    int rc = read_results(postgres);
    postgres->queue_count = 0;
    if (postgres->conn != NULL && !PQexitPipelineMode(postgres->conn))
        return fail_connection(postgres);
    return rc;
}

int postgres_prepare(struct postgres *postgres)
{
    PGconn *conn = postgres->conn;
    bool ok = PQenterPipelineMode(conn);
    for (size_t i = 0; ok && i < POSTGRES_STATEMENT_COUNT; i++)
        ok = PQsendPrepare(conn, statement_name[i], statement_sql[i], 0, NULL);
    if (!ok)
        return postgres_fail(postgres, "cannot prepare", PQerrorMessage(conn));
    postgres->queue_count = 1;
    postgres->queue[0] = POSTGRES_BEGIN; /* nothing to be kept of any result */
    return postgres_sync(postgres);
}
