/* SPDX-License-Identifier: Apache-2.0
 *
 * For writers of barrier drivers: the few operations on one database that the barrier's algorithm
 * (barrier.h) needs. <tercet/sys/barrier_conformance.h> tries a driver.
 *
 * A driver's state holds one connection and one table, key (gid, branch); it decides nothing. All
 * operations on one come from one thread at a time, in this order:
 *
 *   begin
 *     (mark_read | savepoint ... (release | rollback_to release) | read | insert | move |
 *      reply_save)*
 *     [mark_raise] [collect]
 *   (commit | rollback)
 *
 * Savepoints are not nested; a driver that has mark_store is asked for none when a transaction has
 * one call only, which is undone by rollback. insert and move tell what they changed by affected
 * rows, without reading first: so two connections that work on one branch wait for each other on
 * the primary key, under READ COMMITTED too, and gap locks do not arise. (Seata's fence reads "for
 * update" first, and deadlocks on MySQL: seata#6679.)
 *
 * Operations return 0 or a negative TERCET_ code, TERCET_STORE above all. After a failure the
 * barrier calls rollback, and answers every call of the transaction with TERCET_STORE.
 */
#ifndef TERCET_SYS_BARRIER_H
#define TERCET_SYS_BARRIER_H

#include <tercet/barrier.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The states of a row, as they are stored. Not 1: SQLite stores a 1 in no byte and a 2 in one, and
 * a row that grows is written anew, reply and all. */
enum tercet_barrier_state {
    TERCET_BARRIER_NONE = 0, /* there is no row; never stored */
    TERCET_BARRIER_TRIED = 2,
    TERCET_BARRIER_CONFIRMED = 3,
    TERCET_BARRIER_CANCELLED = 4,
};

/* A row with the branch number TERCET_BARRIER_BEGUN + n notes that the work of branch n was begun
 * outside of the database (struct tercet_action.is_deferred). */
#define TERCET_BARRIER_BEGUN 65536

/* The key of a row. The barrier has checked it: the gid's characters, 1 <= branch <=
 * TERCET_BRANCHES_MAX (or the same behind TERCET_BARRIER_BEGUN), number <= INT64_MAX. */
struct tercet_barrier_key {
    const char *gid;
    uint32_t branch;
    uint64_t number; /* stored with the row, not part of the key; 0: never collected */
};

/* What is stored for a branch. */
struct tercet_barrier_row {
    enum tercet_barrier_state state;
    void *reply; /* malloc'ed, the reader's; NULL when empty */
    size_t reply_size;
};

/* What a failure means for the local transaction that it ended. */
enum tercet_barrier_failure {
    /* Whether it was committed is not known, or the database cannot be reached: its calls come
     * again later. */
    TERCET_BARRIER_LOST = 0,
    /* It is known not to be committed, for something that one of its calls did: each is run again
     * in a transaction of its own. */
    TERCET_BARRIER_APART,
    /* It is known not to be committed, for what other connections did at once (a deadlock, a
     * serialization failure): each call is run again, more than once if need be. */
    TERCET_BARRIER_CONFLICT,
    /* The same, for a deadlock, which the database lets both wait for before it ends it: for a
     * while fewer batches run at once. */
    TERCET_BARRIER_DEADLOCK,
};

/* What a database keeps about itself. */
enum tercet_barrier_fact {
    TERCET_BARRIER_FACT_IDENTITY, /* which database it is */
    TERCET_BARRIER_FACT_SOURCE,   /* whose numbers and marks it goes by */
};

/* What a commit made of the change of a row and the hook's work with it, where a database decides
 * only then. */
enum tercet_barrier_verdict {
    TERCET_BARRIER_AS_ASKED = 0,
    /* Both were done; `text` is the reply, which the database has made and saved. */
    TERCET_BARRIER_REPLIED,
    TERCET_BARRIER_REFUSED, /* neither was: the hook's work refused; `text` says why */
    TERCET_BARRIER_FAILED,  /* neither was: the hook's work failed; `text` says how */
    TERCET_BARRIER_MET,     /* neither was: the row had changed meanwhile */
    TERCET_BARRIER_LATE,    /* neither was: a try at or below the stored mark */
};
struct tercet_barrier_outcome {
    enum tercet_barrier_verdict verdict;
    enum tercet_barrier_state to; /* the state that the row was to be in */
    const char *text;             /* the driver's, until the next call of it */
    size_t text_size;
};

/* A change of a row that insert (from TERCET_BARRIER_NONE) or move will be asked for. */
struct tercet_barrier_change {
    struct tercet_barrier_key key;
    enum tercet_barrier_state from, to;
};
#define TERCET_BARRIER_CHANGES_MAX 128

struct tercet_barrier_driver {
    size_t size; /* sizeof(struct tercet_barrier_driver) */

    /* Begins a local transaction that may write. Never called while one is open. */
    int (*begin)(void *driver);
    /* Makes all durable. On failure the transaction may be open or gone; whether it took effect may
     * be unknown. */
    int (*commit)(void *driver);
    /* Undoes all that is not committed. Called after any failure too, when no transaction may be
     * open any more. */
    void (*rollback)(void *driver);

    int (*savepoint)(void *driver);
    /* Keeps what was done since the savepoint. TERCET_INVALID: the database would not commit it as
     * it is (a deferred constraint, say); the savepoint stands, and will be rolled back. */
    int (*release)(void *driver);
    /* Undoes what was done since the savepoint, which stands. */
    int (*rollback_to)(void *driver);
    /* Whether the local transaction still stands, after a hook worked in it: some databases roll
     * back by themselves on a full disk. NULL: it always does. */
    bool (*is_open)(void *driver);

    /* Inserts the row in `state` unless the branch has one. *inserted: whether it did. */
    int (*insert)(void *driver, const struct tercet_barrier_key *key,
                  enum tercet_barrier_state state, bool *inserted);
    /* Moves the row from state to state. *moved: whether it was in `from`. */
    int (*move)(void *driver, const struct tercet_barrier_key *key, enum tercet_barrier_state from,
                enum tercet_barrier_state to, bool *moved);
    /* Saves the reply with the row that this savepoint inserted. */
    int (*reply_save)(void *driver, const struct tercet_barrier_key *key,
                      struct tercet_bytes reply);
    /* Reads the row, as this transaction sees it; state TERCET_BARRIER_NONE when there is none. */
    int (*read)(void *driver, const struct tercet_barrier_key *key, struct tercet_barrier_row *row);

    /* The stored mark; 0 at first. Outside of a transaction, too, for tercet_barrier_stats. Where
     * transactions of several connections run at once, it cannot be raised by another until this
     * one has ended: else a try could pass by the old mark after the new one had its cancel's row
     * deleted. */
    int (*mark_read)(void *driver, uint64_t *mark);
    /* Stores a higher one. */
    int (*mark_raise)(void *driver, uint64_t mark);
    /* Deletes confirmed and cancelled rows with 0 < number <= mark, at most rows_max. By an index
     * on the number: it is called in every batch, and finds nothing in most. */
    int (*collect)(void *driver, uint64_t mark, uint32_t rows_max);

    /* The handle for the hooks. */
    tercet_db (*db)(void *driver);
    /* How many rows there are; outside of a transaction. */
    int (*rows_count)(void *driver, uint64_t *rows);
    /* What the last failure was, for the log. NULL: nothing to say. */
    const char *(*error_text)(void *driver);
    /* Closes the connection and frees. */
    void (*close)(void *driver);

    /* -- For databases on which several connections work at once; NULL for the others ---------- */

    /* Opens another connection to the same database. From any thread, while this one is at work. */
    int (*connect)(void *driver, void **out);
    /* What the last failure means; before the rollback. After a hook too, which may have met with a
     * conflict. */
    enum tercet_barrier_failure (*failure)(void *driver);
    /* Takes the place of mark_raise and collect: raises the stored mark, if it is lower, and
     * deletes rows up to it, both in one transaction of its own; while none is open. Then mark_read
     * is called inside transactions only after an insert or a read, and tells the mark that was
     * committed when those were carried out, or a later one: whoever deletes a row has raised the
     * mark with it, so a try that finds the row missing finds the mark that shuts it out. */
    int (*mark_store)(void *driver, uint64_t mark, uint32_t rows_max);

    /* -- For all that outlive the process; NULL for the others --------------------------------- */

    /* The text that the database keeps under this fact's name; keeps `proposed`, which needs no
     * quoting, when there is none. Outside of a transaction. */
    int (*keep)(void *driver, enum tercet_barrier_fact fact, const char *proposed,
                char kept[TERCET_BARRIER_IDENTITY_MAX + 1]);

    /* -- For those that carry out what they are asked at the commit only; NULL for the others ---
     */

    /* After begin: the branches that the transaction is for, so that their rows can be read in one
     * go. Others may come all the same. */
    int (*expect)(void *driver, const struct tercet_barrier_key *keys, size_t count);
    /* After a commit that returned 0: what became of the first change of this branch's row that was
     * not carried out as it was asked, in this transaction; TERCET_BARRIER_AS_ASKED when all were.
     * To be called before the next begin. */
    void (*outcome)(void *driver, const struct tercet_barrier_key *key,
                    struct tercet_barrier_outcome *outcome);

    /* -- For those that change many rows faster in one go; NULL for the others; both or none ----
     */

    /* Carries out, in this order, the changes that insert and move will be asked for next, at most
     * TERCET_BARRIER_CHANGES_MAX; these then tell what came of them. Not all may be asked for, and
     * not in this order; the keys' texts stay until the transaction ends. Only in a transaction
     * without savepoints: where the work of one call is to be undone, it is rolled back. A
     * mark_read after such an insert tells the mark that was committed after all of these changes,
     * or a later one. */
    int (*foresee)(void *driver, const struct tercet_barrier_change *changes, size_t count);
    /* Takes back those that were carried out and not asked for. */
    int (*forgo)(void *driver);
};

/* For open functions of drivers: copies `given` (may be NULL, may be of an older, smaller size),
 * with the defaults for what is 0. TERCET_INVALID without a size, or past a limit. */
int tercet_barrier_options_complete(struct tercet_barrier_options *out,
                                    const struct tercet_barrier_options *given);

/* Makes a barrier of a driver (the table is copied) and its state, which the barrier closes in the
 * end. On failure, TERCET_NOMEM or TERCET_INVALID, the state stays the caller's. */
int tercet_barrier_new(struct tercet_barrier **out, const struct tercet_barrier_driver *driver,
                       void *state, const struct tercet_barrier_options *options);

#ifdef __cplusplus
}
#endif
#endif
