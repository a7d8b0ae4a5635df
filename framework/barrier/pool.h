/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside a barrier: its connections, of which a batch takes one, and what they have in common: the
 * mark, and when it is stored next. Most databases with one writer have one connection, and batches
 * wait for each other.
 */
#ifndef BARRIER_POOL_H
#define BARRIER_POOL_H

#include <pthread.h>
#include <tercet/sys/barrier.h>

struct barrier_connection {
    void *state; /* the driver's; NULL while it is being opened */
    bool is_busy;
    bool has_failed; /* its last batch did: others come first */
    pthread_t user;  /* whose batch it works on: tells when a hook calls its own barrier */
};

struct tercet_barrier {
    struct tercet_barrier_driver driver;
    uint32_t collect_rows_max;
    uint32_t store_interval_ms;
    tercet_log_fn on_log;
    void *log_ctx;

    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t freed; /* a connection is free again */
    struct barrier_connection *connections;
    uint32_t connection_count;
    uint32_t connections_max;
    uint32_t busy_count, busy_max;    /* batches at once: fewer than connections after deadlocks */
    uint32_t calm_count, calm_wanted; /* batches without a deadlock until there may be one more */
    uint32_t next; /* where the search for one that has failed begins: each gets its turn */

    uint64_t source; /* whose numbers and marks the database goes by; 0: not known yet */
    bool is_stranger_told, is_far_mark_told;

    /* Of how many calls the work was undone of late, in 1/65536 of all: while there are few of
     * them, savepoints are left out where the driver can do without. */
    uint32_t undone_share;

    /* Only where several connections work at once (the driver has mark_store). */
    uint64_t mark_stored;    /* in the database, as far as known: it may be higher */
    uint64_t mark_seen;      /* the highest that a call has brought */
    uint32_t unstored_count; /* batches since the mark was stored last */
    int64_t store_due_ms;
    bool is_storing;
};

/* Whether marks are stored apart from batches, because several connections work at once. */
bool barrier_stores_apart(const struct tercet_barrier *barrier);

/* Waits for a free connection, or opens one more while there may be more. Asserts that the caller
 * has none. */
void *barrier_take(struct tercet_barrier *barrier);
void barrier_give(struct tercet_barrier *barrier, const void *state, bool has_failed);

/* What the failure of a batch of so many calls means. A deadlock of several counts as a conflict,
 * and half as many batches run at once then, the longer the more there were: batches that take the
 * same few rows in different orders would stand still most of the time. */
enum tercet_barrier_failure barrier_failure(struct tercet_barrier *barrier, void *state,
                                            size_t count);

/* The mark that is in the database for sure. */
uint64_t barrier_mark(struct tercet_barrier *barrier);
/* Notes what was read from the database, and what calls have brought. */
void barrier_mark_learn(struct tercet_barrier *barrier, uint64_t stored, uint64_t seen);
/* Stores the mark and deletes rows below it when that is due, on a connection that the caller has
 * taken. */
void barrier_mark_store(struct tercet_barrier *barrier, void *state);

/* The coordinator's store whose numbers and marks the database goes by: the one that was proposed
 * first. 0 when it cannot be told. Outside of a transaction. */
uint64_t barrier_source(struct tercet_barrier *barrier, void *state, uint64_t proposed);

/* Whether so many calls will most likely go through without the work of one being undone. */
bool barrier_may_foresee(struct tercet_barrier *barrier, size_t count);
/* Of so many calls of a batch so many were undone. */
void barrier_note_undone(struct tercet_barrier *barrier, size_t undone, size_t count);

/* Logs two numbers, once for each flag. */
void barrier_warn_once(struct tercet_barrier *barrier, bool *is_said, const char *format,
                       uint64_t a, uint64_t b) __attribute__((format(printf, 3, 0)));

/* Logs what failed, with the driver's text while it still knows. */
void barrier_log(struct tercet_barrier *barrier, void *state, enum tercet_log_level level,
                 const char *what, int error);

#endif
