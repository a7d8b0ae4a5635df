/* SPDX-License-Identifier: Apache-2.0
 *
 * The barrier: the guard in the participant's own database that makes try, confirm and cancel safe
 * against repeats, reordering, loss and late arrival. It keeps one row per branch, with the key
 * (gid, branch), and writes it in the same local transaction as the hook's work; so an effect
 * happens exactly once, or not at all.
 *
 * The row is a state machine (gid, branch) -> tried, confirmed, cancelled:
 *
 *   call    | no row                   | tried                | confirmed     | cancelled
 *   --------+--------------------------+----------------------+---------------+---------------
 *   try     | hook; row tried + reply  | saved reply          | saved reply   | TERCET_REFUSED
 *   confirm | TERCET_BROKEN            | hook; row confirmed  | done          | TERCET_BROKEN
 *   cancel  | row cancelled            | hook; row cancelled  | TERCET_BROKEN | done
 *
 * Only where it says "hook" does the hook run.
 *
 * Rows are collected without clocks: every call carries the coordinator's low-water mark, the
 * transaction number up to which everything has ended. The barrier keeps the highest mark it saw,
 * durably. At or below it (a number of 0, not known, never is) the table changes: a try is refused
 * without a look; where there is no row, a confirm or cancel is answered as done and leaves none;
 * and confirmed and cancelled rows are deleted, a bounded count with every batch. A row still in
 * state tried there, work that nobody confirmed or cancelled (a branch resolved by hand), is kept,
 * and answered by the table. (Age-based cleaning, as in Seata's fence, lets a late try in again.)
 *
 * Numbers and marks of two coordinators have nothing to do with each other: the database goes by
 * those of one store (the first `source` that came), calls of others count as calls without number
 * and mark, and all calls of a branch carry the same number, or all 0.
 */
#ifndef TERCET_BARRIER_H
#define TERCET_BARRIER_H

#include <tercet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tercet_barrier;

/* The database's own handle inside the open local transaction, for the hook's work: `sqlite3 *`
 * under SQLite, `PGconn *`, `MYSQL *`, `MDB_txn *`, NULL under the memory barrier; under Redis it
 * is for the functions of <tercet/redis.h>. The hook must not begin, commit or roll back on it (it
 * may use savepoints of its own, and closes them); a batch in which one does gets TERCET_STORE. It
 * finishes its statements before it returns. */
typedef void *tercet_db;

/* The hook's work. `reply` is for a try: bytes set there (at most TERCET_REPLY_MAX, malloc'ed; the
 * barrier takes them over) are saved with the row; past the limit the call gets TERCET_INVALID and
 * is rolled back. It must not call the barrier that runs it. Returns
 *
 *   0               done
 *   TERCET_REFUSED  in a try: the work is rolled back and no row stays, so a later cancel records
 *                   itself as empty, and a later try runs the hook again, unless a cancel came
 *                   between; in a confirm or cancel: the same as TERCET_AGAIN
 *   anything else   try again later: the work is rolled back, the row is as before; a positive
 *                   number is taken for TERCET_AGAIN */
struct tercet_barrier_call;
typedef int (*tercet_barrier_hook)(struct tercet_barrier_call *call, tercet_db db, void *ctx);

/* Which promise a TERCET_BROKEN says is broken. */
#define TERCET_BROKEN_MAP(X)                                                                       \
    X(TERCET_BROKEN_NO_TRY, 1,                                                                     \
      "broken promise: a confirm, but no try was seen in this database; was the try made in "      \
      "another one, or never?")                                                                    \
    X(TERCET_BROKEN_CANCELLED, 2, "broken promise: a confirm, but the branch is cancelled here")   \
    X(TERCET_BROKEN_CONFIRMED, 3, "broken promise: a cancel, but the branch is confirmed here")
enum tercet_broken {
#define TERCET_BROKEN_ENUM(name, value, text) name = value,
    TERCET_BROKEN_MAP(TERCET_BROKEN_ENUM)
#undef TERCET_BROKEN_ENUM
};
/* That of TERCET_BROKEN for other numbers; never NULL. */
const char *tercet_broken_text(int broken);

/* One call to pass through the barrier. The caller fills the upper part; `result` and `reply` are
 * the answer. */
struct tercet_barrier_call {
    const char *gid;
    uint32_t branch;
    /* the transaction's number at its coordinator; 0 when not known: its row is never collected */
    uint64_t number;
    uint64_t low_water; /* the coordinator's mark; 0 when not known */
    enum tercet_kind kind;
    bool alone;               /* a local transaction of its own, not shared with the batch */
    tercet_barrier_hook hook; /* NULL: nothing to do, only the row */
    void *ctx;

    /* 0, TERCET_REFUSED, TERCET_BROKEN, TERCET_STORE, TERCET_INVALID, or what the hook returned */
    int result;
    int broken; /* with TERCET_BROKEN: an enum tercet_broken; else 0 */
    /* try: the reply, new or saved; malloc'ed, the caller's to free; NULL when empty or not done */
    void *reply;
    size_t reply_size;

    /* Filled by the caller, too: which store number and mark come from (struct tercet_call); 0 when
     * not known. */
    uint64_t source;

    /* An answer, too: why the database refused or failed, in its own words, where only it knows
     * (Redis); malloc'ed, the caller's to free; NULL otherwise. */
    char *reason;
};

/* Runs `count` calls in the order given, in as few local transactions as possible: each with a
 * savepoint of its own where one may fail, so that a failing hook rolls back its own work only; one
 * sync serves all.
 * No result is final before the commit: when the commit fails, or the database on the way, every
 * call of that local transaction gets TERCET_STORE (ask again: whether it was done is told then). A
 * transaction that changes nothing costs no sync. Two calls of one branch may be in one batch. A
 * call whose fields are not valid gets TERCET_INVALID; the others go on. Any thread; as many
 * batches at a time are worked on as the barrier has connections, others wait.
 *
 * Where the database gives up a local transaction for what others do at once (a deadlock, say), its
 * calls are run again, each in a transaction of its own. Where savepoints are dear, and calls have
 * seldom failed of late, a batch begins without them, and is run again with them when a hook fails.
 * So a hook may run, be rolled back, and run again. */
void tercet_barrier_run(struct tercet_barrier *barrier, struct tercet_barrier_call *calls,
                        size_t count);

/* The same, but begins no further call once `time_ms` have gone by: what is done by then is
 * committed. Returns how many calls, from the first, have their results; at least one, of any. */
size_t tercet_barrier_run_for(struct tercet_barrier *barrier, struct tercet_barrier_call *calls,
                              size_t count, int64_t time_ms);

/* How many batches the barrier works on at once: 1 where the database has one writer. */
uint32_t tercet_barrier_connections(const struct tercet_barrier *barrier);

struct tercet_barrier_options {
    size_t size;
    /* SQLite: how long to wait for another connection's lock; default 5000 */
    uint32_t busy_timeout_ms;
    uint32_t collect_rows_max; /* rows deleted below the mark with one batch; default 256 */
    /* SQL: run on each new connection, in no transaction; one statement or several, with a ; after
     * each: settings, own tables (CREATE TABLE IF NOT EXISTS) */
    const char *setup_sql;
    /* what lies behind a TERCET_STORE; from the threads that run batches */
    tercet_log_fn on_log;
    void *log_ctx;
    /* servers: connections opened at most, at most 256; each works on one batch at a time; default
     * 4. SQLite and memory have one writer, and one connection */
    uint32_t connections_max;
    uint32_t connect_timeout_ms; /* servers: default 5000 */
    /* servers: take one whose settings may lose what was committed, with a warning instead of an
     * error */
    bool is_unsafe_allowed;
    /* servers: the tables were made by hand (share/tercet/barrier-*.sql); never create any */
    bool has_tables;
    /* LMDB: bytes that the database may come to, of address space at first; default 16 GiB. What
     * another process has enlarged stays so */
    uint64_t lmdb_bytes_max;
};

/* Opens any barrier by the URL of its database:
 *
 *   sqlite:path                          a file, relative or absolute (see below)
 *   lmdb:folder                          an LMDB database (see below)
 *   memory:                              nothing outlives the process
 *   postgres://user:password@host:port/database?sslmode=verify-full, also postgresql://
 *   mysql://user:password@host:port/database?ssl=verify, also mariadb://
 *   redis://user:password@host:port/number, also rediss:// (TLS) and redis+unix:///path/of/socket
 *
 * Special characters in a user's name or password are percent-encoded. A password is never logged
 * nor part of an error's text. The driver must be linked: each is a library of its own. Errors:
 * TERCET_INVALID with a text that says what is wrong or which library is missing, or those of the
 * database's own open function. */
int tercet_barrier_open(struct tercet_barrier **out, const char *url,
                        const struct tercet_barrier_options *options, char *text);

/* Opens (creating it when missing) the SQLite database at `path` with a connection of the barrier's
 * own, in WAL mode with synchronous=FULL, and makes the barrier's tables (tercet_barrier,
 * tercet_barrier_mark). The application's tables live in the same file; hooks work on the handle
 * they are given. Several processes may share the file: they wait for each other. Errors:
 * TERCET_INVALID, TERCET_NOMEM, TERCET_STORE, TERCET_FORMAT (tables of a newer version, or not a
 * database). On an error `text` (may be NULL, TERCET_TEXT_MAX bytes) says what is wrong and what to
 * do. */
int tercet_barrier_sqlite_open(struct tercet_barrier **out, const char *path,
                               const struct tercet_barrier_options *options, char *text);

/* Opens (making it when missing) the LMDB database in this folder, with the barrier's tables in it
 * (names that begin with tercet_barrier). A hook works in the MDB_txn that it is given, which is
 * nested: it must neither commit nor abort it, and opens what tables it needs with mdb_dbi_open in
 * a tercet_barrier_local at the start. One writer at a time, in all processes; the wait for it has
 * no limit. A process opens a folder once: a second time is TERCET_INVALID. Not for use in a forked
 * child. Errors and text as with SQLite. */
#define TERCET_BARRIER_LMDB_TABLES_MAX 125 /* of the application */
int tercet_barrier_lmdb_open(struct tercet_barrier **out, const char *folder,
                             const struct tercet_barrier_options *options, char *text);

/* Each of these opens one kind of database by what tercet_barrier_open takes for it, with errors
 * and text as there: where the kind is known when the program is built, this names its library, or
 * fails to link. */
int tercet_barrier_postgres_open(struct tercet_barrier **out, const char *url,
                                 const struct tercet_barrier_options *options, char *text);
int tercet_barrier_mysql_open(struct tercet_barrier **out, const char *url,
                              const struct tercet_barrier_options *options, char *text);
/* Hooks ask for their work with the functions of <tercet/redis.h>, which says what Redis cannot. */
int tercet_barrier_redis_open(struct tercet_barrier **out, const char *url,
                              const struct tercet_barrier_options *options, char *text);

/* A barrier in memory, for services whose effects live in the same process's memory and die with
 * it, and for tests. There is no rollback of the hook's own work: a hook under it must do all or
 * nothing. */
int tercet_barrier_memory_open(struct tercet_barrier **out,
                               const struct tercet_barrier_options *options);

/* Which database this is: made at random at the first call, kept in the database, and the same for
 * all who open it; "" in memory. A copy of a file or a restored backup has the same. Participants
 * tell it to the coordinator, which lets no two databases serve one service. TERCET_STORE on
 * failure. */
#define TERCET_BARRIER_IDENTITY_MAX 32
int tercet_barrier_identity(struct tercet_barrier *barrier,
                            char identity[TERCET_BARRIER_IDENTITY_MAX + 1]);

/* How many rows there are now (they are counted one by one), and the mark; for tests and
 * statistics. Returns TERCET_STORE on failure. */
int tercet_barrier_stats(struct tercet_barrier *barrier, uint64_t *rows, uint64_t *mark);

/* Runs `work` in a local transaction of its own on the barrier's connection: for the application's
 * own reads and writes (set-up, queries, audits) on the same file. Commits when it returns 0, else
 * rolls back and passes the code on. TERCET_STORE: the database failed, or `work` ended the
 * transaction itself. */
int tercet_barrier_local(struct tercet_barrier *barrier, int (*work)(tercet_db db, void *ctx),
                         void *ctx);

/* Nothing may be running. */
void tercet_barrier_close(struct tercet_barrier *barrier);

#ifdef __cplusplus
}
#endif
#endif
