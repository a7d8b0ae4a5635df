/* SPDX-License-Identifier: Apache-2.0
 *
 * The databases that participants may have: a private server for each run, the ledger of effects
 * (which has no key), and the same work without Tercet.
 */
#ifndef BENCH_DATABASE_H
#define BENCH_DATABASE_H

#include "participant.h"
#include "run.h"

#define DATABASE_TEXT_SIZE 512

struct database {
    /* Starts a private server, with a database for each participant. False: said why. NULL: it
     * needs none. */
    bool (*start)(struct bench *bench);
    int stop_signal; /* what ends it in good order */
    /* The URL of a participant's database. */
    void (*url)(const struct shared *shared, uint32_t index, char *url, size_t size);
    const char *setup_sql; /* of every connection of the barrier's */

    /* In a hook: one row of the ledger. In a tercet_barrier_local: makes the ledger ready (NULL:
     * setup_sql does); counts all of it into shared->effects; tells how many transactions the
     * database has committed. */
    int (*add)(tercet_db db, uint64_t seq, uint32_t branch, enum operation operation);
    int (*prepare)(tercet_db db, void *participant);
    int (*count)(tercet_db db, void *participant);
    uint64_t (*commits)(tercet_db db, uint32_t index);

    /* The same inserts, updates and commits as an application does them without Tercet, on a
     * connection to a participant's database. `branch` is one call of one branch: its row, and the
     * ledger's. */
    void *(*connect)(const struct shared *shared, uint32_t index);
    bool (*begin)(void *connection);
    bool (*branch)(void *connection, uint64_t seq, bool is_confirm);
    bool (*commit)(void *connection);
    void (*disconnect)(void *connection); /* NULL is fine */
};

extern const struct database database_postgres, database_mysql, database_redis, database_lmdb;

/* NULL: there is none, or this program was built without its library. */
const struct database *database_of(enum barrier_kind barrier);

/* A shell's quiet life of a server: its output goes to DIR/NAME.log, it runs as `user` where this
 * is root, and it ends with this process. `argv` has at most 16 words. */
bool database_start_process(struct process *out, struct bench *bench, const char *user,
                            const char *const *argv);
/* Runs a program in the same way to its end. */
bool database_run(struct bench *bench, const char *user, const char *const *argv);
/* A new folder of that user's in the run's. */
bool database_make_folder(struct bench *bench, const char *user, const char *name);

#endif
