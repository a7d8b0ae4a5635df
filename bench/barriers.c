/* SPDX-License-Identifier: Apache-2.0
 *
 * tercet-bench-barriers: how many branches a second pass through a barrier, each tried and
 * confirmed, with one connection and with all of them, in batches of one and of 64; for each
 * database named, as a ratio to the first. No coordinator, no hooks: what the barrier itself costs.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tercet/barrier.h>
#include <tercet/tercet.h>
#include <time.h>

#define BATCH_MAX 64
#define WORKERS_MAX 64

struct worker {
    pthread_t thread;
    struct tercet_barrier *barrier;
    size_t batch;
    double until_s;
    uint64_t branches; /* tried and confirmed */
    uint64_t failures;
};

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Runs the batch's calls as this kind. Returns how many were done. */
static uint64_t run_batch(struct worker *worker, struct tercet_gid *gids, enum tercet_kind kind)
{
    struct tercet_barrier_call calls[BATCH_MAX];
    uint64_t done = 0;
    for (size_t i = 0; i < worker->batch; i++)
        calls[i] = (struct tercet_barrier_call){.gid = gids[i].text, .branch = 1, .kind = kind};
    tercet_barrier_run(worker->barrier, calls, worker->batch);
    for (size_t i = 0; i < worker->batch; i++) {
        done += calls[i].result == 0;
        free(calls[i].reply);
    }
    return done;
}

static void *work(void *ctx)
{
    struct worker *worker = ctx;
    struct tercet_gid gids[BATCH_MAX];
    while (now_s() < worker->until_s) {
        for (size_t i = 0; i < worker->batch; i++)
            tercet_gid_make(&gids[i]);
        run_batch(worker, gids, TERCET_TRY);
        uint64_t done = run_batch(worker, gids, TERCET_CONFIRM);
        worker->branches += done;
        worker->failures += worker->batch - done;
    }
    return NULL;
}

/* Branches a second. */
static double measure(struct tercet_barrier *barrier, uint32_t worker_count, size_t batch,
                      double seconds)
{
    struct worker workers[WORKERS_MAX] = {{.batch = 0}};
    double begin_s = now_s();
    uint64_t branches = 0, failures = 0;
    for (uint32_t i = 0; i < worker_count; i++) {
        workers[i].barrier = barrier;
        workers[i].batch = batch;
        workers[i].until_s = begin_s + seconds;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
            abort();
    }
    for (uint32_t i = 0; i < worker_count; i++) {
        pthread_join(workers[i].thread, NULL);
        branches += workers[i].branches;
        failures += workers[i].failures;
    }
    if (failures > 0)
        fprintf(stderr, "%llu calls failed\n", (unsigned long long)failures);
    return (double)branches / (now_s() - begin_s);
}

static void print_line(const char *url, uint32_t workers, size_t batch, double rate, double *first)
{
    if (*first == 0)
        *first = rate;
    printf("%-12.*s %7u %6zu %12.0f %8.2f\n", (int)strcspn(url, ":"), url, workers, batch, rate,
           *first > 0 ? rate / *first : 0);
    fflush(stdout);
}

/* All combinations at one database; first: the rates of the first database. */
static int measure_all(const char *url, double seconds, double first[3])
{
    struct tercet_barrier *barrier = NULL;
    char text[TERCET_TEXT_MAX] = "";
    if (tercet_barrier_open(&barrier, url, NULL, text) != 0) {
        fprintf(stderr, "%.*s: %s\n", (int)strcspn(url, ":"), url, text);
        return 1;
    }
    uint32_t all = tercet_barrier_connections(barrier);
    print_line(url, 1, 1, measure(barrier, 1, 1, seconds), &first[0]);
    print_line(url, 1, BATCH_MAX, measure(barrier, 1, BATCH_MAX, seconds), &first[1]);
    print_line(url, all, BATCH_MAX, measure(barrier, all, BATCH_MAX, seconds), &first[2]);
    tercet_barrier_close(barrier);
    return 0;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? atof(argv[1]) : 0, first[3] = {0, 0, 0};
    int rc = 0;
    if (argc < 3 || seconds <= 0 || seconds > 3600) {
        fprintf(stderr, "usage: tercet-bench-barriers SECONDS URL...\n"
                        "branches a second, tried and confirmed, at each database; the ratio is to "
                        "the first\n");
        return 2;
    }
    printf("%-12s %7s %6s %12s %8s\n", "database", "workers", "batch", "branches/s", "ratio");
    for (int i = 2; i < argc && rc == 0; i++)
        rc = measure_all(argv[i], seconds, first);
    return rc;
}
