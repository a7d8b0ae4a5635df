/* SPDX-License-Identifier: Apache-2.0
 *
 * The barrier: the guard in the participant's own database that makes try, confirm and cancel safe against repeats,
 * reordering, loss and late arrival. It keeps one row a branch, key (gid, branch), and writes it in the same local
 * transaction as the hook's work; so an effect happens exactly once, or not at all.
 *
 * The row is a state machine (gid, branch) -> tried, confirmed, cancelled:
 *
 *   call    | no row                        | tried                     | confirmed           | cancelled
 *   --------+-------------------------------+---------------------------+---------------------+----------------------
 *   try     | run hook, row = tried + reply | saved reply               | saved reply         | TERCET_REFUSED
 *   confirm | TERCET_BROKEN, nothing run    | run hook, row = confirmed | done                | TERCET_BROKEN
 *   cancel  | row = cancelled, no hook run  | run hook, row = cancelled | TERCET_BROKEN       | done
 *
 * Rows are collected without clocks: every call carries the coordinator's low-water mark, the transaction number up to
 * which everything has ended. The barrier keeps the highest mark it saw, durably; a try numbered at or below it is
 * refused, a confirm or cancel there is answered as done, and only rows at or below it are deleted.
 * (Age-based cleaning, as in Seata's fence, lets a late try in again.)
 */
#ifndef TERCET_BARRIER_H
#define TERCET_BARRIER_H

#include <tercet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tercet_barrier;

/* The database's own handle inside the open local transaction, for the hook's work: `sqlite3 *` under SQLite, NULL under
 * the memory barrier. The hook must not begin, commit or roll back on it (it may use savepoints). */
typedef void *tercet_db;

/* The hook's work. `reply` is for a try: bytes set there (at most TERCET_REPLY_MAX, malloc'ed; the barrier takes them over) are saved with the row. Returns
 * 0, TERCET_REFUSED (try only: the work is rolled back and NO row stays, so a later cancel records itself as empty),
 * or any other code for "ask me again" (rolled back, no row). */
struct tercet_barrier_call;
typedef int (*tercet_barrier_hook)(struct tercet_barrier_call *call, tercet_db db, void *ctx);

/* One call to pass through the barrier. The caller fills the upper part; `result` and `reply` are the answer. */
struct tercet_barrier_call {
    const char *gid;
    uint32_t branch;
    uint64_t number;    /* the transaction's number at its coordinator; 0 when not known: its row is never collected */
    uint64_t low_water; /* the coordinator's mark; 0 when not known */
    enum tercet_kind kind;
    bool alone;         /* a local transaction of its own, not shared with the batch */
    tercet_barrier_hook hook; /* NULL: nothing to do, only the row */
    void *ctx;

    int result;         /* 0, TERCET_REFUSED, TERCET_BROKEN, TERCET_STORE, or what the hook returned */
    void *reply;        /* try: the reply, new or saved; malloc'ed, the caller's to free; NULL when empty */
    size_t reply_size;
};

/* Runs `count` calls in the order given, in as few local transactions as possible: each in a savepoint of its own, so that
 * one failing hook rolls back its own work only; one sync serves all. No result is final before the commit: when the commit
 * fails, every call that did work gets TERCET_STORE (ask again). Two calls of one branch may be in one batch. Any
 * thread; one batch at a time is worked on by one barrier, others wait. */
void tercet_barrier_run(struct tercet_barrier *barrier, struct tercet_barrier_call *calls, size_t count);

struct tercet_barrier_options {
    size_t size;
    uint32_t busy_timeout_ms;  /* SQLite: how long to wait for another connection's lock; default 5000 */
    uint32_t collect_rows_max; /* rows deleted below the mark after one batch; default 256 */
};

/* Opens (creating it when missing) the SQLite database at `path` with a connection of the barrier's own, in WAL mode with
 * synchronous=FULL, and makes the barrier's tables (tercet_barrier, tercet_barrier_mark). The application's tables live in the same file; hooks
 * work on the handle they are given. Errors: TERCET_STORE, TERCET_FORMAT (tables of a newer version).
 * On an error `text` (may be NULL, TERCET_TEXT_MAX bytes) says what is wrong and what to do. */
int tercet_barrier_sqlite_open(struct tercet_barrier **out, const char *path,
                               const struct tercet_barrier_options *options, char *text);

/* A barrier in memory, for services whose effects live in the same process's memory and die with it, and for tests.
 * There is no rollback of the hook's own work: a hook under it must do all or nothing. */
int tercet_barrier_memory_open(struct tercet_barrier **out, const struct tercet_barrier_options *options);

/* How many rows there are now, and the mark; for tests and statistics. Returns TERCET_STORE on failure. */
int tercet_barrier_stats(struct tercet_barrier *barrier, uint64_t *rows, uint64_t *mark);

/* Runs `work` in a local transaction of its own on the barrier's connection: for the application's own reads and
 * writes (set-up, queries, audits) on the same file. Commits when it returns 0, else rolls back and passes the code on. */
int tercet_barrier_local(struct tercet_barrier *barrier, int (*work)(tercet_db db, void *ctx), void *ctx);

/* Nothing may be running. */
void tercet_barrier_close(struct tercet_barrier *barrier);

#ifdef __cplusplus
}
#endif
#endif
