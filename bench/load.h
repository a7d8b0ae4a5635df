/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the load's process: transactions that are under way, each in a slot, and the backends that
 * carry them out, by the library over a session or by unary calls.
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <tercet/tercet.h>

struct load;

struct slot {
    struct load *load;
    uint32_t index;
    uint64_t seq;
    int64_t start_ns; /* with a rate: when it was meant to start */
    bool is_resolved_wanted;
    char gid[TERCET_GID_MAX + 1];
    uint32_t branch; /* step by step: the one under way */
    uint64_t number; /* own calls */
    struct tercet_transaction *transaction;
    struct slot *next_free;
};

struct backend {
    /* 0, or an error text. */
    const char *(*open)(struct load *load);
    /* Starts slot's transaction; load_finish comes once, on any thread, perhaps before this
     * returns. False: it could not be started, load_finish does not come, and load_error was
     * called. */
    bool (*start)(struct slot *slot);
    void (*close)(struct load *load);
};
extern const struct backend backend_session;  /* run, steps: the library's callbacks */
extern const struct backend backend_blocking; /* own: the library's blocking calls, a thread each */
extern const struct backend backend_unary;    /* all: crpc */

struct load {
    struct shared *shared;
    const struct options *options;
    const struct backend *backend;
    void *state; /* the backend's */
    struct slot slots[IN_FLIGHT_MAX];
    char actions[PARTICIPANTS_MAX][32]; /* of the participants, "bench-0/work" */
    unsigned char payload[65536];
    atomic_uint_fast64_t next_seq;
    atomic_bool is_stopping; /* nothing more is started */
    pthread_mutex_t lock;    /* of what is below, and of shared->load */
    /* a slot has become free, for who has none; nothing runs any more; it is to stop */
    pthread_cond_t changed;
    int64_t begin_ns, end_ns; /* of the window; INT64_MAX: not yet */
    pthread_cond_t stopping;  /* it is to stop */
    uint32_t running;
    struct slot *free_slots; /* with a rate */
};

/* The transaction of a slot has ended. `outcome` as told; with `text`, what failed. Starts the
 * slot's next one. */
void load_finish(struct slot *slot, enum outcome outcome, const char *text);

/* A failure of the load itself: nothing more is started, the run fails. */
void load_error(struct load *load, const char *text);

/* What the library's result code says of the outcome. */
enum outcome load_outcome(int code, enum tercet_state state);

/* Branch `number` (from 1) of the slot's transaction. */
struct tercet_branch load_branch(const struct slot *slot, uint32_t number);

#endif
