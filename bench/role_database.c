/* SPDX-License-Identifier: Apache-2.0
 *
 * The database's own floor: the same inserts, updates and commits without Tercet, on as many
 * connections and in transactions as large as the run had; and one alone.
 */
#include "database.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define CONNECTIONS_MAX 256u

struct floor {
    const struct database *database;
    struct shared *shared;
    uint32_t batch; /* branches a transaction */
    int64_t end_ns;
    atomic_uint_fast64_t next_seq;
    atomic_uint_fast64_t calls;
    atomic_bool has_failed;
};

struct worker {
    pthread_t thread;
    struct floor *floor;
    void *connection;
};

/* One transaction that tries or confirms so many branches. */
static bool run_batch(const struct floor *floor, void *connection, uint64_t first, bool is_confirm)
{
    const struct database *database = floor->database;
    bool is_done = database->begin(connection);
    for (uint32_t i = 0; is_done && i < floor->batch; i++)
        is_done = database->branch(connection, first + i, is_confirm);
    return is_done && database->commit(connection);
}

static void *work(void *ctx)
{
    struct worker *worker = ctx;
    struct floor *floor = worker->floor;
    while (now_ns() < floor->end_ns && !atomic_load(&floor->has_failed)) {
        uint64_t first = atomic_fetch_add(&floor->next_seq, floor->batch);
        if (run_batch(floor, worker->connection, first, false) &&
            run_batch(floor, worker->connection, first, true))
            atomic_fetch_add(&floor->calls, 2 * floor->batch);
        else
            atomic_store(&floor->has_failed, true);
    }
    return NULL;
}

/* One at a time: how long a try's transaction takes, from its first word to its commit. */
static bool measure_alone(struct floor *floor, void *connection)
{
    struct histogram *times = &floor->shared->limits.database_try;
    floor->batch = 1;
    while (now_ns() < floor->end_ns) {
        uint64_t seq = atomic_fetch_add(&floor->next_seq, 1);
        int64_t begin_ns = now_ns();
        if (!run_batch(floor, connection, seq, false))
            return false;
        histogram_add(times, now_ns() - begin_ns);
        if (!run_batch(floor, connection, seq, true))
            return false;
    }
    return true;
}

/* Opens a connection for each worker; how many there are. */
static uint32_t open_workers(struct floor *floor, struct worker *workers)
{
    const struct options *options = &floor->shared->options;
    uint32_t each = floor->database->start != NULL ? floor->shared->connections : 1;
    uint32_t count = 0;
    for (uint32_t i = 0; i < options->participants * each && i < CONNECTIONS_MAX; i++) {
        void *connection = floor->database->connect(floor->shared, i % options->participants);
        if (connection == NULL)
            return 0;
        workers[count++] = (struct worker){.floor = floor, .connection = connection};
    }
    return count;
}

static bool measure_many(struct floor *floor, struct worker *workers, uint32_t count)
{
    struct limits_result *limits = &floor->shared->limits;
    int64_t begin_ns = now_ns();
    double calls_each = 2.0 * floor->shared->options.branches;
    floor->batch = limits->database_batch < 1 ? 1 : (uint32_t)(limits->database_batch + 0.5);
    floor->end_ns = begin_ns + floor->shared->options.limits_s * INT64_C(1000000000);
    for (uint32_t i = 0; i < count; i++)
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            abort();
    for (uint32_t i = 0; i < count; i++)
        pthread_join(workers[i].thread, NULL);
    limits->database_transactions =
        (double)atomic_load(&floor->calls) / calls_each / ((double)(now_ns() - begin_ns) * 1e-9);
    return !atomic_load(&floor->has_failed);
}

int role_database(struct shared *shared)
{
    static struct worker workers[CONNECTIONS_MAX];
    struct floor floor = {.database = database_of(shared->options.barrier), .shared = shared};
    uint32_t count = open_workers(&floor, workers);
    if (count == 0)
        return role_fail("the database cannot be opened without Tercet");
    bool is_done = measure_many(&floor, workers, count);
    floor.end_ns = now_ns() + shared->options.limits_s * INT64_C(1000000000) / 2;
    is_done = is_done && measure_alone(&floor, workers[0].connection);
    for (uint32_t i = 0; i < count; i++)
        floor.database->disconnect(workers[i].connection);
    if (!is_done)
        return role_fail("the database failed without Tercet");
    role_ok("");
    return 0;
}
