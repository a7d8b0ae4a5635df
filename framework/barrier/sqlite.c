/* SPDX-License-Identifier: Apache-2.0
 *
 * The barrier's driver for SQLite. Its tables, version 1:
 *
 *   tercet_barrier       one row a branch. state: 2 tried, 3 confirmed, 4 cancelled; number: the
 * transaction's, 0 when not known; reply: the try's, NULL when empty; changed_ms: when, for people
 * only. The index holds just the rows that may be collected one day. tercet_barrier_mark  one row:
 * the tables' version, and the highest low-water mark seen.
 *
 * The connection is only used under the barrier's lock. Every transaction begins IMMEDIATE: a read
 * that became a write could fail at once with SQLITE_BUSY, whatever the busy timeout.
 */
#include <clock.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers.h"

#define VERSION 1
#define QUOTE(x) #x
#define TEXT_OF(x) QUOTE(x)
#define WAL_RETRY_MS 10

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS tercet_barrier ("
    " gid TEXT NOT NULL, branch INTEGER NOT NULL, number INTEGER NOT NULL, state INTEGER NOT NULL,"
    " changed_ms INTEGER NOT NULL, reply BLOB, PRIMARY KEY (gid, branch)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS tercet_barrier_ended ON tercet_barrier (number) WHERE number > 0 "
    "AND state > 2;"
    "CREATE TABLE IF NOT EXISTS tercet_barrier_mark ("
    " id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, mark INTEGER NOT NULL);"
    "INSERT INTO tercet_barrier_mark (id, version, mark) VALUES (1, " TEXT_OF(
        VERSION) ", 0) ON CONFLICT DO NOTHING;";

#define STATEMENT_MAP(X)                                                                           \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(ROLLBACK, "ROLLBACK")                                                                        \
    X(SAVEPOINT, "SAVEPOINT tercet_call")                                                          \
    X(RELEASE, "RELEASE tercet_call")                                                              \
    X(ROLLBACK_TO, "ROLLBACK TO tercet_call")                                                      \
    X(INSERT, "INSERT INTO tercet_barrier (gid, branch, number, state, changed_ms) VALUES (?1, "   \
              "?2, ?3, ?4, ?5)"                                                                    \
              " ON CONFLICT DO NOTHING")                                                           \
    X(MOVE, "UPDATE tercet_barrier SET state = ?3, changed_ms = ?5 WHERE gid = ?1 AND branch = "   \
            "?2 AND state = ?4")                                                                   \
    X(REPLY_SAVE, "UPDATE tercet_barrier SET reply = ?3 WHERE gid = ?1 AND branch = ?2")           \
    X(READ, "SELECT state, reply FROM tercet_barrier WHERE gid = ?1 AND branch = ?2")              \
    X(MARK_READ, "SELECT mark FROM tercet_barrier_mark")                                           \
    X(MARK_RAISE, "UPDATE tercet_barrier_mark SET mark = ?1 WHERE mark < ?1")                      \
    X(COLLECT,                                                                                     \
      "DELETE FROM tercet_barrier WHERE (gid, branch) IN (SELECT gid, branch FROM tercet_barrier"  \
      " WHERE number > 0 AND number <= ?1 AND state > 2 ORDER BY number LIMIT ?2)")                \
    X(ROWS_COUNT, "SELECT count(*) FROM tercet_barrier")

enum statement {
#define STATEMENT_ENUM(name, sql) STATEMENT_##name,
    STATEMENT_MAP(STATEMENT_ENUM)
#undef STATEMENT_ENUM
        STATEMENT_COUNT,
};

static const char *const statement_sql[] = {
#define STATEMENT_SQL(name, sql) sql,
    STATEMENT_MAP(STATEMENT_SQL)
#undef STATEMENT_SQL
};

struct sqlite {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENT_COUNT];
    bool may_commit;                  /* refuse_commit */
    char error[TERCET_TEXT_MAX - 64]; /* leaves room for the path */
};

/* -- Statements -------------------------------------------------------------------------------- */

/* Keeps SQLite's text before another call overwrites it. */
static int fail(struct sqlite *sqlite)
{
    snprintf(sqlite->error, sizeof(sqlite->error), "%s", sqlite3_errmsg(sqlite->db));
    return TERCET_STORE;
}

/* Runs a statement that returns no rows. */
static int run(struct sqlite *sqlite, enum statement which)
{
    sqlite3_stmt *statement = sqlite->statements[which];
    int rc = sqlite3_step(statement);
    int result = rc == SQLITE_DONE ? 0 : fail(sqlite);
    sqlite3_reset(statement);
    return result;
}

/* The same for one that changes rows. *changed: whether it changed any. */
static int change(struct sqlite *sqlite, enum statement which, bool *changed)
{
    int rc = run(sqlite, which);
    *changed = rc == 0 && sqlite3_changes(sqlite->db) > 0;
    return rc;
}

/* The number in a statement's only row. */
static int read_number(struct sqlite *sqlite, enum statement which, uint64_t *number)
{
    sqlite3_stmt *statement = sqlite->statements[which];
    int rc = 0;
    if (sqlite3_step(statement) == SQLITE_ROW)
        *number = (uint64_t)sqlite3_column_int64(statement, 0);
    else
        rc = fail(sqlite);
    sqlite3_reset(statement);
    return rc;
}

static sqlite3_stmt *bind_key(struct sqlite *sqlite, enum statement which,
                              const struct tercet_barrier_key *key)
{
    sqlite3_stmt *statement = sqlite->statements[which];
    sqlite3_bind_text(statement, 1, key->gid, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, key->branch);
    return statement;
}

/* -- The transaction --------------------------------------------------------------------------- */

static int sqlite_begin(void *driver)
{
    struct sqlite *sqlite = driver;
    sqlite->error[0] = '\0';
    return run(sqlite, STATEMENT_BEGIN);
}

/* Only sqlite_commit commits: not a hook, and not SQLite, which on a lack of memory can roll back
 * all in the midst of a statement that it then runs again, alone (sqlite3_step, after
 * SQLITE_SCHEMA): a row without the work that goes with it. */
static int refuse_commit(void *ctx)
{
    const struct sqlite *sqlite = ctx;
    return !sqlite->may_commit;
}

static int sqlite_commit(void *driver)
{
    struct sqlite *sqlite = driver;
    sqlite->may_commit = true;
    int rc = run(sqlite, STATEMENT_COMMIT);
    sqlite->may_commit = false;
    return rc;
}

/* SQLite rolls back by itself on some errors: a full disk, a failing one, no memory, and on "OR
 * ROLLBACK". */
static bool sqlite_is_open(void *driver)
{
    struct sqlite *sqlite = driver;
    if (!sqlite3_get_autocommit(sqlite->db))
        return true;
    snprintf(sqlite->error, sizeof(sqlite->error),
             "a hook, or an error in it, ended the local transaction");
    return false;
}

static void sqlite_rollback(void *driver)
{
    const struct sqlite *sqlite = driver;
    if (!sqlite3_get_autocommit(sqlite->db))
        run(driver, STATEMENT_ROLLBACK);
}

static int sqlite_savepoint(void *driver)
{
    return run(driver, STATEMENT_SAVEPOINT);
}

/* Looks for violated deferred foreign keys first: found at the commit, they would cost the whole
 * batch, for ever again. */
static int sqlite_release(void *driver)
{
    struct sqlite *sqlite = driver;
    int violated = 0, unused = 0;
    sqlite3_db_status(sqlite->db, SQLITE_DBSTATUS_DEFERRED_FKS, &violated, &unused, 0);
    if (violated == 0)
        return run(sqlite, STATEMENT_RELEASE);
    snprintf(sqlite->error, sizeof(sqlite->error), "a deferred foreign key is violated");
    return TERCET_INVALID;
}

static int sqlite_rollback_to(void *driver)
{
    return run(driver, STATEMENT_ROLLBACK_TO);
}

/* -- Rows -------------------------------------------------------------------------------------- */

static int sqlite_insert(void *driver, const struct tercet_barrier_key *key,
                         enum tercet_barrier_state state, bool *inserted)
{
    sqlite3_stmt *statement = bind_key(driver, STATEMENT_INSERT, key);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)key->number);
    sqlite3_bind_int(statement, 4, (int)state);
    sqlite3_bind_int64(statement, 5, clock_wall_ms());
    return change(driver, STATEMENT_INSERT, inserted);
}

static int sqlite_move(void *driver, const struct tercet_barrier_key *key,
                       enum tercet_barrier_state from, enum tercet_barrier_state to, bool *moved)
{
    sqlite3_stmt *statement = bind_key(driver, STATEMENT_MOVE, key);
    sqlite3_bind_int(statement, 3, (int)to);
    sqlite3_bind_int(statement, 4, (int)from);
    sqlite3_bind_int64(statement, 5, clock_wall_ms());
    return change(driver, STATEMENT_MOVE, moved);
}

static int sqlite_reply_save(void *driver, const struct tercet_barrier_key *key,
                             struct tercet_bytes reply)
{
    sqlite3_stmt *statement = bind_key(driver, STATEMENT_REPLY_SAVE, key);
    sqlite3_bind_blob64(statement, 3, reply.data, reply.size, SQLITE_STATIC);
    return run(driver, STATEMENT_REPLY_SAVE);
}

static int copy_row(sqlite3_stmt *statement, struct tercet_barrier_row *row)
{
    const void *reply = sqlite3_column_blob(statement, 1);
    size_t size = (size_t)sqlite3_column_bytes(statement, 1);
    if (size > 0) {
        row->reply = malloc(size);
        if (row->reply == NULL)
            return TERCET_NOMEM;
        memcpy(row->reply, reply, size);
    }
    row->reply_size = size;
    row->state = (enum tercet_barrier_state)sqlite3_column_int(statement, 0);
    return 0;
}

static int sqlite_read(void *driver, const struct tercet_barrier_key *key,
                       struct tercet_barrier_row *row)
{
    sqlite3_stmt *statement = bind_key(driver, STATEMENT_READ, key);
    *row = (struct tercet_barrier_row){.state = TERCET_BARRIER_NONE};
    int result = 0;
    int rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        result = copy_row(statement, row);
    else if (rc != SQLITE_DONE)
        result = fail(driver);
    sqlite3_reset(statement);
    return result;
}

/* -- The mark ---------------------------------------------------------------------------------- */

static int sqlite_mark_read(void *driver, uint64_t *mark)
{
    return read_number(driver, STATEMENT_MARK_READ, mark);
}

static int sqlite_mark_raise(void *driver, uint64_t mark)
{
    struct sqlite *sqlite = driver;
    sqlite3_bind_int64(sqlite->statements[STATEMENT_MARK_RAISE], 1, (sqlite3_int64)mark);
    return run(sqlite, STATEMENT_MARK_RAISE);
}

static int sqlite_collect(void *driver, uint64_t mark, uint32_t rows_max)
{
    struct sqlite *sqlite = driver;
    sqlite3_stmt *statement = sqlite->statements[STATEMENT_COLLECT];
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)mark);
    sqlite3_bind_int64(statement, 2, rows_max);
    return run(sqlite, STATEMENT_COLLECT);
}

/* -- Open and close ---------------------------------------------------------------------------- */

static tercet_db sqlite_db(void *driver)
{
    const struct sqlite *sqlite = driver;
    return sqlite->db;
}

static int sqlite_rows_count(void *driver, uint64_t *rows)
{
    return read_number(driver, STATEMENT_ROWS_COUNT, rows);
}

/* Notes what failed, with advice, and finds the code for it. */
static int fail_open(struct sqlite *sqlite, const char *what, const char *advice)
{
    snprintf(sqlite->error, sizeof(sqlite->error), "%s: %s%s", what, sqlite3_errmsg(sqlite->db),
             advice);
    switch (sqlite3_errcode(sqlite->db)) {
    case SQLITE_NOMEM:
        return TERCET_NOMEM;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return TERCET_FORMAT;
    default:
        return TERCET_STORE;
    }
}

static int execute(struct sqlite *sqlite, const char *sql, const char *what)
{
    return sqlite3_exec(sqlite->db, sql, NULL, NULL, NULL) == SQLITE_OK
               ? 0
               : fail_open(sqlite, what, "");
}

/* The row is there unless somebody else made the table. */
static int read_fact(struct sqlite *sqlite, sqlite3_stmt *statement,
                     char kept[TERCET_BARRIER_IDENTITY_MAX + 1])
{
    int rc = sqlite3_step(statement);
    const char *value = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    if (value != NULL) {
        snprintf(kept, TERCET_BARRIER_IDENTITY_MAX + 1, "%s", value);
        return 0;
    }
    snprintf(sqlite->error, sizeof(sqlite->error),
             "tercet_barrier_fact is not as the barrier makes it: %s",
             rc == SQLITE_ROW ? "a value is missing" : sqlite3_errmsg(sqlite->db));
    return TERCET_STORE;
}

/* A table of its own, made when it is first asked for: older programs go on with the others. */
static int sqlite_keep(void *driver, enum tercet_barrier_fact fact, const char *proposed,
                       char kept[TERCET_BARRIER_IDENTITY_MAX + 1])
{
    struct sqlite *sqlite = driver;
    sqlite3_stmt *statement = NULL;
    char sql[512];
    const char *name = fact == TERCET_BARRIER_FACT_IDENTITY ? "identity" : "source";
    snprintf(sql, sizeof(sql),
             "BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS tercet_barrier_fact"
             " (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
             "INSERT INTO tercet_barrier_fact VALUES ('%s', '%s') ON CONFLICT DO NOTHING",
             name, proposed);
    int rc = execute(sqlite, sql, "cannot keep a fact");
    snprintf(sql, sizeof(sql), "SELECT value FROM tercet_barrier_fact WHERE name = '%s'", name);
    if (rc == 0 && sqlite3_prepare_v2(sqlite->db, sql, -1, &statement, NULL) != SQLITE_OK)
        rc = fail(sqlite);
    if (rc == 0)
        rc = read_fact(sqlite, statement, kept);
    sqlite3_finalize(statement);
    if (rc == 0)
        rc = sqlite_commit(sqlite);
    if (rc != 0)
        sqlite_rollback(sqlite);
    return rc;
}

static const char *sqlite_error_text(void *driver)
{
    const struct sqlite *sqlite = driver;
    return sqlite->error;
}

static void sqlite_close(void *driver)
{
    struct sqlite *sqlite = driver;
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        sqlite3_finalize(sqlite->statements[i]);
    sqlite3_close_v2(sqlite->db);
    free(sqlite);
}

/* Whether the database is in WAL mode now, or SQLite's error code. */
static int try_wal(struct sqlite *sqlite, bool *is_wal)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(sqlite->db, "PRAGMA journal_mode = WAL", -1, &statement, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        *is_wal = strcmp((const char *)sqlite3_column_text(statement, 0), "wal") == 0;
    int finalized = sqlite3_finalize(statement);
    if (rc == SQLITE_ROW)
        return SQLITE_OK;
    return finalized != SQLITE_OK ? finalized : rc;
}

/* SQLite does not wait here when another connection writes (two who open a new database at once
 * do): hence a loop of our own. */
static int enter_wal(struct sqlite *sqlite, uint32_t timeout_ms)
{
    bool is_wal = false;
    int rc = try_wal(sqlite, &is_wal);
    for (uint32_t waited_ms = 0; rc == SQLITE_BUSY && waited_ms < timeout_ms;
         waited_ms += WAL_RETRY_MS) {
        sqlite3_sleep(WAL_RETRY_MS);
        rc = try_wal(sqlite, &is_wal);
    }
    if (rc != SQLITE_OK)
        return fail_open(sqlite, "cannot switch to WAL mode",
                         "; check that file and folder may be written");
    if (is_wal)
        return 0;
    snprintf(sqlite->error, sizeof(sqlite->error),
             "the database cannot be in WAL mode: name a file on a local disk, or use the barrier "
             "in memory");
    return TERCET_STORE;
}

/* *version is 0 when there are no tables yet. */
static int read_version(struct sqlite *sqlite, sqlite3_int64 *version)
{
    sqlite3_stmt *statement = NULL;
    *version = 0;
    if (sqlite3_table_column_metadata(sqlite->db, "main", "tercet_barrier_mark", NULL, NULL, NULL,
                                      NULL, NULL, NULL) != SQLITE_OK)
        return 0;
    int rc = sqlite3_prepare_v2(sqlite->db, "SELECT max(version) FROM main.tercet_barrier_mark", -1,
                                &statement, NULL);
    if (rc == SQLITE_OK) {
        if (sqlite3_step(statement) == SQLITE_ROW)
            *version = sqlite3_column_int64(statement, 0);
        rc = sqlite3_finalize(statement);
    }
    return rc == SQLITE_OK ? 0 : fail_open(sqlite, "cannot read tercet_barrier_mark", "");
}

static int make_tables(struct sqlite *sqlite)
{
    int rc = execute(sqlite, "BEGIN IMMEDIATE", "cannot begin a transaction");
    if (rc == 0)
        rc = execute(sqlite, schema, "cannot make the barrier's tables");
    if (rc == 0)
        rc = execute(sqlite, "COMMIT", "cannot commit the barrier's tables");
    return rc; /* what is open then ends with the connection */
}

static int check_tables(struct sqlite *sqlite)
{
    sqlite3_int64 version = 0;
    int rc = read_version(sqlite, &version);
    if (rc == 0 && version == 0)
        rc = make_tables(sqlite);
    if (rc != 0 || version <= VERSION)
        return rc;
    snprintf(sqlite->error, sizeof(sqlite->error),
             "the barrier's tables are of version %" PRId64
             ", this program knows up to %d: run a newer one",
             (int64_t)version, VERSION);
    return TERCET_FORMAT;
}

static int prepare_statements(struct sqlite *sqlite)
{
    for (size_t i = 0; i < STATEMENT_COUNT; i++)
        if (sqlite3_prepare_v3(sqlite->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &sqlite->statements[i], NULL) != SQLITE_OK)
            return fail_open(sqlite, "the barrier's tables are not as expected", "");
    return 0;
}

static int connect(struct sqlite *sqlite, const char *path,
                   const struct tercet_barrier_options *options)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path, &sqlite->db, flags, NULL) != SQLITE_OK)
        return fail_open(sqlite, "cannot open",
                         "; check that the folder exists and may be written");
    sqlite3_busy_timeout(sqlite->db, (int)options->busy_timeout_ms);
    int rc = enter_wal(sqlite, options->busy_timeout_ms);
    if (rc == 0)
        rc = execute(sqlite, "PRAGMA synchronous = FULL", "cannot set synchronous");
    if (rc == 0)
        rc = check_tables(sqlite);
    if (rc == 0 && options->setup_sql != NULL)
        rc = execute(sqlite, options->setup_sql, "setup_sql");
    if (rc == 0)
        rc = prepare_statements(sqlite);
    sqlite3_commit_hook(sqlite->db, refuse_commit, sqlite);
    return rc;
}

const struct tercet_barrier_driver sqlite_driver = {
    .size = sizeof(sqlite_driver),
    .begin = sqlite_begin,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .savepoint = sqlite_savepoint,
    .release = sqlite_release,
    .rollback_to = sqlite_rollback_to,
    .is_open = sqlite_is_open,
    .insert = sqlite_insert,
    .move = sqlite_move,
    .reply_save = sqlite_reply_save,
    .read = sqlite_read,
    .mark_read = sqlite_mark_read,
    .mark_raise = sqlite_mark_raise,
    .collect = sqlite_collect,
    .db = sqlite_db,
    .rows_count = sqlite_rows_count,
    .error_text = sqlite_error_text,
    .close = sqlite_close,
    .keep = sqlite_keep,
};

int sqlite_driver_open(void **out, const char *path, const struct tercet_barrier_options *options,
                       char *text)
{
    struct sqlite *sqlite = calloc(1, sizeof(*sqlite));
    if (sqlite == NULL)
        return TERCET_NOMEM;
    int rc = connect(sqlite, path, options);
    if (rc == 0) {
        *out = sqlite;
        return 0;
    }
    if (text != NULL)
        snprintf(text, TERCET_TEXT_MAX, "%s: %s", sqlite->error, path);
    sqlite_close(sqlite);
    return rc;
}

int tercet_barrier_sqlite_open(struct tercet_barrier **out, const char *path,
                               const struct tercet_barrier_options *options, char *text)
{
    struct tercet_barrier_options complete;
    void *sqlite = NULL;
    if (out == NULL || path == NULL || tercet_barrier_options_complete(&complete, options) != 0) {
        if (text != NULL)
            snprintf(text, TERCET_TEXT_MAX, "no path, or options without their size");
        return TERCET_INVALID;
    }
    int rc = sqlite_driver_open(&sqlite, path, &complete, text);
    if (rc != 0)
        return rc;
    rc = tercet_barrier_new(out, &sqlite_driver, sqlite, &complete);
    if (rc != 0)
        sqlite_close(sqlite);
    return rc;
}
