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

/* A server, in a folder of the run's that has its user's name. */
struct database_server {
    const char *name, *package, *user;
    const char *const *make; /* the program that makes its data; NULL: the server does */
    const char *const *run;
    bool (*make_ready)(const struct shared *shared); /* waits for it, and makes the databases */
};

/* The body of a `start`. The server runs as its user where this program is root, and ends with this
 * process; its output goes to database.log in the run's folder. `make` and `run` have at most 16
 * words. */
bool database_serve(struct bench *bench, const struct database_server *server);
/* Tries to connect to a server that is starting, for a minute. NULL: it does not get ready. */
void *database_await(const struct shared *shared, void *(*connect)(const struct shared *shared));

#endif
