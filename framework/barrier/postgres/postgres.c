/* SPDX-License-Identifier: Apache-2.0
 *
 * postgres.h: the driver's operations. What is foreseen costs one round trip for many calls. Else a
 * call costs one beside its hook's own: the release of the savepoint before it, its savepoint, its
 * row and a look at the mark go together; the last release goes with the commit.
 *
 * Its tables are made in postgres_link.c.
 */
#include "postgres.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../drivers.h"
#include "../location.h"

#define NUMBER_TEXT 24

/* -- The transaction --------------------------------------------------------------------------- */

static int begin(void *driver)
{
    struct postgres *postgres = driver;
    postgres->error[0] = '\0';
    postgres->failure = TERCET_BARRIER_LOST;
    postgres->has_conflict = postgres->has_deadlock = false;
    postgres->is_committing = false;
    postgres->has_mark = false;
    postgres->foreseen_count = 0;
    int rc = 0;
    if (postgres->conn == NULL || PQstatus(postgres->conn) != CONNECTION_OK)
        rc = postgres_connect(postgres);
    return rc == 0 ? postgres_send_bare(postgres, POSTGRES_BEGIN) : rc;
}

static int commit(void *driver)
{
    struct postgres *postgres = driver;
    postgres->is_committed = false;
    int rc = postgres_send_bare(postgres, POSTGRES_COMMIT);
    if (rc == 0)
        rc = postgres_sync(postgres);
    postgres->is_committing = false;
    if (rc == 0 && !postgres->is_committed) {
        postgres->failure = TERCET_BARRIER_APART;
        rc = postgres_fail(postgres, "commit", "the server rolled back instead");
    }
    return rc;
}

/* What cannot be brought back to a known state is given up: the server rolls it back. */
static void rollback(void *driver)
{
    struct postgres *postgres = driver;
    char error[sizeof(postgres->error)];
    memcpy(error, postgres->error, sizeof(error));
    if (postgres->conn != NULL)
        postgres_sync(postgres);
    if (postgres->conn != NULL && PQtransactionStatus(postgres->conn) != PQTRANS_IDLE) {
        PGresult *result = PQtransactionStatus(postgres->conn) == PQTRANS_ACTIVE
                               ? NULL
                               : PQexec(postgres->conn, "ROLLBACK");
        PQclear(result);
        if (PQtransactionStatus(postgres->conn) != PQTRANS_IDLE)
            postgres_disconnect(postgres);
    }
    memcpy(postgres->error, error, sizeof(error));
    postgres->is_committing = false;
}

static int savepoint(void *driver)
{
    struct postgres *postgres = driver;
    postgres->has_conflict = postgres->has_deadlock = false;
    return postgres_send_bare(postgres, POSTGRES_SAVEPOINT);
}

/* Whether a statement of the hook's has failed, though the hook said done. Only known while the
 * pipeline is empty, which it is right after the hook. */
static bool has_failed_statement(struct postgres *postgres)
{
    if (PQtransactionStatus(postgres->conn) != PQTRANS_INERROR)
        return false;
    postgres_fail(postgres, "hook", "a statement failed, and the hook said done all the same");
    return true;
}

static int release(void *driver)
{
    struct postgres *postgres = driver;
    if (postgres->conn != NULL && has_failed_statement(postgres))
        return TERCET_INVALID;
    return postgres_send_bare(postgres, POSTGRES_RELEASE);
}

static int rollback_to(void *driver)
{
    return postgres_send_bare(driver, POSTGRES_ROLLBACK_TO);
}

static bool is_open(void *driver)
{
    struct postgres *postgres = driver;
    PGTransactionStatusType status = PQtransactionStatus(postgres->conn);
    bool is_idle = PQpipelineStatus(postgres->conn) == PQ_PIPELINE_OFF;
    if (is_idle && (status == PQTRANS_INTRANS || status == PQTRANS_INERROR))
        return true;
    if (status == PQTRANS_IDLE) {
        postgres->failure = TERCET_BARRIER_LOST;
        postgres_fail(postgres, "hook", "a hook ended the local transaction");
    } else if (status == PQTRANS_UNKNOWN) {
        postgres->failure = TERCET_BARRIER_CONFLICT;
        postgres_fail(postgres, "connection lost", PQerrorMessage(postgres->conn));
        postgres_disconnect(postgres);
    } else {
        postgres->failure = TERCET_BARRIER_APART;
        postgres_fail(postgres, "hook", "a hook left a query running");
        postgres_disconnect(postgres);
    }
    return false;
}

static enum tercet_barrier_failure failure(void *driver)
{
    const struct postgres *postgres = driver;
    enum tercet_barrier_failure failure = postgres->failure;
    if (postgres->has_conflict && !postgres->is_committing)
        failure = TERCET_BARRIER_CONFLICT;
    return failure == TERCET_BARRIER_CONFLICT && postgres->has_deadlock ? TERCET_BARRIER_DEADLOCK
                                                                        : failure;
}

/* -- Rows -------------------------------------------------------------------------------------- */

/* What calls before have sent (a reply, say) is carried out before a hook is given the connection:
 * were the connection lost then, the hook would get none. */
static int finish_earlier(struct postgres *postgres)
{
    return postgres_sync(postgres);
}

static int insert(void *driver, const struct tercet_barrier_key *key,
                  enum tercet_barrier_state state, bool *inserted)
{
    struct postgres *postgres = driver;
    const struct tercet_barrier_change change = {.key = *key, .to = state};
    if (postgres_take_foreseen(postgres, &change, inserted)) {
        int rc = finish_earlier(postgres);
        postgres->number = postgres->foreseen_mark;
        postgres->has_mark = true;
        return rc;
    }
    int rc = postgres_send_change(postgres, &change);
    if (rc == 0 && key->number != 0)
        rc = postgres_send_mark(postgres);
    if (rc == 0)
        rc = postgres_sync(postgres);
    *inserted = rc == 0 && postgres->has_changed;
    return rc;
}

static int move(void *driver, const struct tercet_barrier_key *key, enum tercet_barrier_state from,
                enum tercet_barrier_state to, bool *moved)
{
    struct postgres *postgres = driver;
    const struct tercet_barrier_change change = {.key = *key, .from = from, .to = to};
    if (postgres_take_foreseen(postgres, &change, moved))
        return finish_earlier(postgres);
    int rc = postgres_send_change(postgres, &change);
    if (rc == 0)
        rc = postgres_sync(postgres);
    *moved = rc == 0 && postgres->has_changed;
    return rc;
}

static int reply_save(void *driver, const struct tercet_barrier_key *key, struct tercet_bytes reply)
{
    struct postgres *postgres = driver;
    char branch[NUMBER_TEXT];
    const char *const values[] = {key->gid, branch, reply.data};
    const int sizes[] = {0, 0, (int)reply.size}, formats[] = {0, 0, 1};
    if (postgres->conn != NULL && has_failed_statement(postgres))
        return TERCET_INVALID;
    snprintf(branch, sizeof(branch), "%" PRIu32, key->branch);
    return postgres_send(postgres, POSTGRES_REPLY_SAVE, 3, values, sizes, formats);
}

static int copy_row(const PGresult *result, struct tercet_barrier_row *row)
{
    const unsigned char *state = (const unsigned char *)PQgetvalue(result, 0, 0);
    size_t size = PQgetisnull(result, 0, 1) ? 0 : (size_t)PQgetlength(result, 0, 1);
    if (size > 0) {
        row->reply = malloc(size);
        if (row->reply == NULL)
            return TERCET_NOMEM;
        memcpy(row->reply, PQgetvalue(result, 0, 1), size);
    }
    row->reply_size = size;
    row->state = (enum tercet_barrier_state)(state[0] << 8 | state[1]);
    return 0;
}

static int read_row(void *driver, const struct tercet_barrier_key *key,
                    struct tercet_barrier_row *row)
{
    struct postgres *postgres = driver;
    char branch[NUMBER_TEXT];
    const char *const values[] = {key->gid, branch};
    *row = (struct tercet_barrier_row){.state = TERCET_BARRIER_NONE};
    snprintf(branch, sizeof(branch), "%" PRIu32, key->branch);
    PQclear(postgres->row);
    postgres->row = NULL;
    int rc = postgres_send(postgres, POSTGRES_READ, 2, values, NULL, NULL);
    if (rc == 0)
        rc = postgres_sync(postgres);
    if (rc == 0 && postgres->row != NULL)
        rc = copy_row(postgres->row, row);
    return rc;
}

/* -- The mark ---------------------------------------------------------------------------------- */

static int read_number(struct postgres *postgres, enum postgres_statement statement,
                       uint64_t *number)
{
    int rc = 0;
    if (postgres->conn == NULL)
        rc = postgres_connect(postgres);
    if (rc == 0)
        rc = postgres_send_bare(postgres, statement);
    if (rc == 0)
        rc = postgres_sync(postgres);
    if (rc == 0 && !postgres->has_mark)
        rc = postgres_fail(postgres, "tercet_barrier_mark", "its row is missing");
    if (rc == 0)
        *number = postgres->number;
    return rc;
}

/* After an insert it has come along with the row's own result. */
static int mark_read(void *driver, uint64_t *mark)
{
    struct postgres *postgres = driver;
    if (!postgres->has_mark)
        return read_number(postgres,
                           postgres->sees_snapshot ? POSTGRES_MARK_LOCK : POSTGRES_MARK_READ, mark);
    *mark = postgres->number;
    return 0;
}

static int mark_raise(void *driver, uint64_t mark)
{
    char text[NUMBER_TEXT];
    const char *const values[] = {text};
    snprintf(text, sizeof(text), "%" PRIu64, mark);
    return postgres_send(driver, POSTGRES_MARK_RAISE, 1, values, NULL, NULL);
}

static int collect(void *driver, uint64_t mark, uint32_t rows_max)
{
    char texts[2][NUMBER_TEXT];
    const char *const values[] = {texts[0], texts[1]};
    snprintf(texts[0], NUMBER_TEXT, "%" PRIu64, mark);
    snprintf(texts[1], NUMBER_TEXT, "%" PRIu32, rows_max);
    return postgres_send(driver, POSTGRES_COLLECT, 2, values, NULL, NULL);
}

static int mark_store(void *driver, uint64_t mark, uint32_t rows_max)
{
    int rc = begin(driver);
    if (rc == 0)
        rc = mark_raise(driver, mark);
    if (rc == 0)
        rc = collect(driver, mark, rows_max);
    if (rc == 0)
        rc = commit(driver);
    if (rc != 0)
        rollback(driver);
    return rc;
}

/* -- The rest ---------------------------------------------------------------------------------- */

/* The connection as a hook may have it: with all that was sent carried out. */
static tercet_db db(void *driver)
{
    struct postgres *postgres = driver;
    postgres_sync(postgres);
    return postgres->conn;
}

static int rows_count(void *driver, uint64_t *rows)
{
    struct postgres *postgres = driver;
    int rc = read_number(postgres, POSTGRES_ROWS_COUNT, rows);
    postgres->has_mark = false;
    return rc;
}

static int keep(void *driver, enum tercet_barrier_fact fact, const char *proposed,
                char kept[TERCET_BARRIER_IDENTITY_MAX + 1])
{
    struct postgres *postgres = driver;
    bool is_identity = fact == TERCET_BARRIER_FACT_IDENTITY;
    const char *const values[] = {proposed};
    int rc = begin(postgres);
    if (rc == 0)
        rc = postgres_send(postgres, is_identity ? POSTGRES_IDENTITY_KEEP : POSTGRES_SOURCE_KEEP, 1,
                           values, NULL, NULL);
    if (rc == 0)
        rc = postgres_send_bare(postgres,
                                is_identity ? POSTGRES_IDENTITY_READ : POSTGRES_SOURCE_READ);
    if (rc == 0)
        rc = commit(postgres);
    if (rc == 0 && postgres->row == NULL)
        rc = postgres_fail(postgres, "tercet_barrier_mark", "its row is missing");
    if (rc == 0)
        snprintf(kept, TERCET_BARRIER_IDENTITY_MAX + 1, "%s", PQgetvalue(postgres->row, 0, 0));
    else
        rollback(postgres);
    return rc;
}

static const char *error_text(void *driver)
{
    const struct postgres *postgres = driver;
    return postgres->error;
}

static void close_driver(void *driver)
{
    postgres_free(driver);
}

static int connect_another(void *driver, void **out)
{
    const struct postgres *first = driver;
    return postgres_driver_open(out, first->url, &first->options, NULL);
}

const struct tercet_barrier_driver postgres_driver = {
    .size = sizeof(postgres_driver),
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .savepoint = savepoint,
    .release = release,
    .rollback_to = rollback_to,
    .is_open = is_open,
    .insert = insert,
    .move = move,
    .reply_save = reply_save,
    .read = read_row,
    .mark_read = mark_read,
    .mark_raise = mark_raise,
    .collect = collect,
    .db = db,
    .rows_count = rows_count,
    .error_text = error_text,
    .close = close_driver,
    .connect = connect_another,
    .failure = failure,
    .mark_store = mark_store,
    .keep = keep,
    .foresee = postgres_foresee,
    .forgo = postgres_forgo,
};

int postgres_driver_open(void **out, const char *url, const struct tercet_barrier_options *options,
                         char *text)
{
    struct postgres *postgres = postgres_new(url, options);
    if (postgres == NULL) {
        barrier_text(text, "%s", tercet_strerror(TERCET_NOMEM));
        return TERCET_NOMEM;
    }
    int rc = postgres_connect(postgres);
    return server_hand_over(out, &postgres_driver, postgres, rc, text);
}

int tercet_barrier_postgres_open(struct tercet_barrier **out, const char *url,
                                 const struct tercet_barrier_options *options, char *text)
{
    return server_open_barrier(out, url, options, text, postgres_driver_open, &postgres_driver);
}
