/* SPDX-License-Identifier: Apache-2.0
 *
 * mysql_driver.h: the driver's operations. A gid needs no quoting: its characters were checked at
 * the barrier's door. Tables are made in mysql_link.c.
 *
 * A deadlock (1213) takes back the whole transaction, and the next statement begins another: the
 * savepoint that begin sets tells, when it is gone at the commit. A lock that was waited for too
 * long (1205) takes back its statement only.
 */
#include <clock.h>
#include <errmsg.h>
#include <inttypes.h>
#include <mysqld_error.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../drivers.h"
#include "mysql_driver.h"

#define SQL_MAX 512

/* -- Statements -------------------------------------------------------------------------------- */

/* Notes the server's error and what it means, where nothing is being committed. */
static int note_failure(struct mysql_driver *driver)
{
    unsigned error = mysql_errno(driver->conn);
    mysql_driver_fail_query(driver, "statement");
    driver->failure = TERCET_BARRIER_APART;
    if (error == ER_LOCK_DEADLOCK || error == ER_SP_DOES_NOT_EXIST)
        driver->failure = TERCET_BARRIER_CONFLICT;
    if (error == ER_SP_DOES_NOT_EXIST)
        mysql_driver_fail(driver, "hook",
                          "the local transaction ended while a hook worked in it: by a deadlock "
                          "that it did not return, or by a statement of its own");
    if (error >= CR_MIN_ERROR || error == ER_SERVER_SHUTDOWN || error == ER_CONNECTION_KILLED) {
        driver->failure = TERCET_BARRIER_CONFLICT; /* not committed: the server rolls it back */
        mysql_driver_disconnect(driver);
    }
    return TERCET_STORE;
}

static int run_text(struct mysql_driver *driver, const char *sql, size_t size)
{
    if (driver->conn == NULL)
        return TERCET_STORE;
    return mysql_real_query(driver->conn, sql, (unsigned long)size) == 0 ? 0 : note_failure(driver);
}

__attribute__((format(printf, 2, 3))) static int run(struct mysql_driver *driver,
                                                     const char *format, ...)
{
    char sql[SQL_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(sql, sizeof(sql), format, arguments);
    va_end(arguments);
    return run_text(driver, sql, (size_t)size);
}

/* Runs a statement that changes rows. *changed: whether it changed one. */
__attribute__((format(printf, 3, 4))) static int change(struct mysql_driver *driver, bool *changed,
                                                        const char *format, ...)
{
    char sql[SQL_MAX];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(sql, sizeof(sql), format, arguments);
    va_end(arguments);
    int rc = run_text(driver, sql, (size_t)size);
    *changed = rc == 0 && mysql_affected_rows(driver->conn) == 1;
    return rc;
}

static int read_number(struct mysql_driver *driver, const char *sql, uint64_t *number)
{
    int rc = driver->conn == NULL ? mysql_driver_connect(driver) : 0;
    if (rc == 0)
        rc = run_text(driver, sql, strlen(sql));
    if (rc != 0)
        return rc;
    MYSQL_RES *result = mysql_store_result(driver->conn);
    MYSQL_ROW row = result != NULL ? mysql_fetch_row(result) : NULL;
    if (row != NULL && row[0] != NULL)
        *number = strtoull(row[0], NULL, 10);
    else
        rc = result == NULL ? note_failure(driver)
                            : mysql_driver_fail(driver, "tables", "a row is missing");
    mysql_free_result(result);
    return rc;
}

/* -- The transaction --------------------------------------------------------------------------- */

static int begin(void *state)
{
    struct mysql_driver *driver = state;
    driver->error[0] = '\0';
    driver->failure = TERCET_BARRIER_LOST;
    driver->is_in_local = true;
    int rc = driver->conn == NULL ? mysql_driver_connect(driver) : 0;
    if (rc == 0)
        rc = run(driver, "START TRANSACTION");
    if (rc == 0)
        rc = run(driver, "SAVEPOINT tercet_local");
    return rc;
}

/* The savepoint is there still, or else the transaction is another than begin's. */
static int commit(void *state)
{
    struct mysql_driver *driver = state;
    int rc = run(driver, "RELEASE SAVEPOINT tercet_local");
    if (rc != 0)
        return rc;
    driver->is_in_local = false;
    if (mysql_query(driver->conn, "COMMIT") == 0)
        return 0;
    bool is_conflict = mysql_errno(driver->conn) == ER_LOCK_DEADLOCK;
    mysql_driver_fail_query(driver, "commit");
    driver->failure = is_conflict ? TERCET_BARRIER_CONFLICT : TERCET_BARRIER_LOST;
    if (!is_conflict)
        mysql_driver_disconnect(driver);
    return TERCET_STORE;
}

static void rollback(void *state)
{
    struct mysql_driver *driver = state;
    driver->is_in_local = false;
    if (driver->conn != NULL && mysql_query(driver->conn, "ROLLBACK") != 0)
        mysql_driver_disconnect(driver);
}

static int savepoint(void *state)
{
    return run(state, "SAVEPOINT tercet_call"); /* in the place of the last of that name */
}

static int release(void *state)
{
    (void)state;
    return 0;
}

static int rollback_to(void *state)
{
    return run(state, "ROLLBACK TO SAVEPOINT tercet_call");
}

static bool is_open(void *state)
{
    struct mysql_driver *driver = state;
    if (driver->conn == NULL)
        return false;
    if (mysql_errno(driver->conn) >= CR_MIN_ERROR ||
        mysql_errno(driver->conn) == ER_CONNECTION_KILLED) {
        note_failure(driver);
        return false;
    }
    if (driver->conn->status != MYSQL_STATUS_READY || mysql_more_results(driver->conn)) {
        driver->failure = TERCET_BARRIER_APART;
        mysql_driver_fail(driver, "hook", "a hook left a result unread");
        mysql_driver_disconnect(driver);
        return false;
    }
    if ((driver->conn->server_status & SERVER_STATUS_IN_TRANS) != 0)
        return true;
    driver->failure = TERCET_BARRIER_LOST;
    mysql_driver_fail(driver, "hook", "a hook ended the local transaction");
    return false;
}

/* After a hook, whose last error may be the deadlock. */
static enum tercet_barrier_failure failure(void *state)
{
    const struct mysql_driver *driver = state;
    if (driver->conn != NULL && mysql_errno(driver->conn) == ER_LOCK_DEADLOCK)
        return TERCET_BARRIER_CONFLICT;
    return driver->failure;
}

/* -- Rows -------------------------------------------------------------------------------------- */

/* No IGNORE, which would hide other faults, and lock what is there for reading only: two who then
 * want to write would be in a deadlock. */
static int insert(void *state, const struct tercet_barrier_key *key, enum tercet_barrier_state to,
                  bool *inserted)
{
    return change(state, inserted,
                  "INSERT INTO tercet_barrier (gid, branch, number, state, changed_ms) VALUES "
                  "('%s', %" PRIu32 ", %" PRIu64 ", %d, %" PRId64
                  ") ON DUPLICATE KEY UPDATE branch = branch",
                  key->gid, key->branch, key->number, (int)to, clock_wall_ms());
}

static int move(void *state, const struct tercet_barrier_key *key, enum tercet_barrier_state from,
                enum tercet_barrier_state to, bool *moved)
{
    return change(state, moved,
                  "UPDATE tercet_barrier SET state = %d, changed_ms = %" PRId64
                  " WHERE gid = '%s' AND branch = %" PRIu32 " AND state = %d",
                  (int)to, clock_wall_ms(), key->gid, key->branch, (int)from);
}

static int reply_save(void *state, const struct tercet_barrier_key *key, struct tercet_bytes reply)
{
    char *sql = malloc(2 * reply.size + SQL_MAX);
    if (sql == NULL)
        return TERCET_NOMEM;
    size_t size = (size_t)sprintf(sql, "UPDATE tercet_barrier SET reply = X'");
    size += mysql_hex_string(sql + size, reply.data, (unsigned long)reply.size);
    size += (size_t)sprintf(sql + size, "' WHERE gid = '%s' AND branch = %" PRIu32, key->gid,
                            key->branch);
    int rc = run_text(state, sql, size);
    free(sql);
    return rc;
}

static int copy_row(MYSQL_RES *result, struct tercet_barrier_row *out)
{
    MYSQL_ROW row = mysql_fetch_row(result);
    size_t size = row != NULL && row[1] != NULL ? mysql_fetch_lengths(result)[1] : 0;
    if (row == NULL)
        return 0;
    if (size > 0) {
        out->reply = malloc(size);
        if (out->reply == NULL)
            return TERCET_NOMEM;
        memcpy(out->reply, row[1], size);
    }
    out->reply_size = size;
    out->state = (enum tercet_barrier_state)atoi(row[0]);
    return 0;
}

/* With a lock, so that it sees what made the insert fail, however old its transaction's view. */
static int read_row(void *state, const struct tercet_barrier_key *key,
                    struct tercet_barrier_row *row)
{
    struct mysql_driver *driver = state;
    *row = (struct tercet_barrier_row){.state = TERCET_BARRIER_NONE};
    int rc = run(driver,
                 "SELECT state, reply FROM tercet_barrier WHERE gid = '%s' AND branch = %" PRIu32
                 " LOCK IN SHARE MODE",
                 key->gid, key->branch);
    if (rc != 0)
        return rc;
    MYSQL_RES *result = mysql_store_result(driver->conn);
    rc = result != NULL ? copy_row(result, row) : note_failure(driver);
    mysql_free_result(result);
    return rc;
}

/* Autocommit is off: a statement outside of a local transaction has begun one. */
static void end_reading(struct mysql_driver *driver)
{
    if (driver->conn != NULL)
        mysql_query(driver->conn, "ROLLBACK");
}

/* -- The mark ---------------------------------------------------------------------------------- */

static int mark_read(void *state, uint64_t *mark)
{
    struct mysql_driver *driver = state;
    int rc =
        read_number(driver,
                    driver->sees_snapshot
                        ? "SELECT mark FROM tercet_barrier_mark WHERE id = 1 LOCK IN SHARE MODE"
                        : "SELECT mark FROM tercet_barrier_mark WHERE id = 1",
                    mark);
    if (!driver->is_in_local)
        end_reading(driver);
    return rc;
}

static int mark_raise(void *state, uint64_t mark)
{
    return run(state,
               "UPDATE tercet_barrier_mark SET mark = %" PRIu64 " WHERE id = 1 AND mark < %" PRIu64,
               mark, mark);
}

static int collect(void *state, uint64_t mark, uint32_t rows_max)
{
    return run(state,
               "DELETE FROM tercet_barrier WHERE number > 0 AND number <= %" PRIu64
               " AND state > 2 ORDER BY number LIMIT %" PRIu32,
               mark, rows_max);
}

/* Does not queue for the mark's row: who comes after would wait behind it for all that hold it. */
static int lock_mark(struct mysql_driver *driver)
{
    uint64_t mark = 0;
    return !driver->has_nowait
               ? 0
               : read_number(driver,
                             "SELECT mark FROM tercet_barrier_mark WHERE id = 1 FOR UPDATE NOWAIT",
                             &mark);
}

/* Never with gap locks, whatever hooks want. */
static int mark_store(void *state, uint64_t mark, uint32_t rows_max)
{
    struct mysql_driver *driver = state;
    int rc = driver->conn == NULL ? mysql_driver_connect(driver) : 0;
    if (rc == 0)
        rc = run(driver, "SET TRANSACTION ISOLATION LEVEL READ COMMITTED");
    if (rc == 0)
        rc = begin(driver);
    if (rc == 0)
        rc = lock_mark(driver);
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

static tercet_db db(void *state)
{
    const struct mysql_driver *driver = state;
    return driver->conn;
}

static int rows_count(void *state, uint64_t *rows)
{
    int rc = read_number(state, "SELECT count(*) FROM tercet_barrier", rows);
    end_reading(state);
    return rc;
}

static int keep(void *state, enum tercet_barrier_fact fact, const char *proposed,
                char kept[TERCET_BARRIER_IDENTITY_MAX + 1])
{
    struct mysql_driver *driver = state;
    const char *name = fact == TERCET_BARRIER_FACT_IDENTITY ? "identity" : "source";
    MYSQL_RES *result = NULL;
    int rc = begin(driver);
    if (rc == 0)
        rc = run(driver, "UPDATE tercet_barrier_mark SET %s = '%s' WHERE id = 1 AND %s = ''", name,
                 proposed, name);
    if (rc == 0)
        rc = run(driver, "SELECT %s FROM tercet_barrier_mark WHERE id = 1", name);
    if (rc == 0)
        result = mysql_store_result(driver->conn);
    MYSQL_ROW row = result != NULL ? mysql_fetch_row(result) : NULL;
    if (rc == 0 && row == NULL)
        rc = mysql_driver_fail(driver, "tercet_barrier_mark", "its row is missing");
    if (rc == 0)
        snprintf(kept, TERCET_BARRIER_IDENTITY_MAX + 1, "%s", row[0]);
    mysql_free_result(result);
    if (rc == 0)
        rc = commit(driver);
    if (rc != 0)
        rollback(driver);
    return rc;
}

static const char *error_text(void *state)
{
    const struct mysql_driver *driver = state;
    return driver->error;
}

static void close_driver(void *state)
{
    mysql_driver_free(state);
}

static int connect_another(void *state, void **out)
{
    const struct mysql_driver *first = state;
    return mysql_driver_open(out, first->location.url, &first->options, NULL);
}

const struct tercet_barrier_driver mysql_driver = {
    .size = sizeof(mysql_driver),
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
};

int mysql_driver_open(void **out, const char *url, const struct tercet_barrier_options *options,
                      char *text)
{
    struct mysql_driver *driver = NULL;
    int rc = mysql_driver_new(&driver, url, options, text);
    if (rc != 0)
        return rc;
    rc = mysql_driver_connect(driver);
    return server_hand_over(out, &mysql_driver, driver, rc, text);
}

int tercet_barrier_mysql_open(struct tercet_barrier **out, const char *url,
                              const struct tercet_barrier_options *options, char *text)
{
    return server_open_barrier(out, url, options, text, mysql_driver_open, &mysql_driver);
}
