/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of one branch from many threads at once, on one barrier and on two barriers over one file
 * (two instances of a service): at most one effect of each kind, whoever comes first.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

#define THREADS 6
#define BRANCHES 60

struct worker {
    pthread_t thread;
    struct tercet_barrier *barrier;
    struct part *part;
    enum tercet_kind kind;
    pthread_barrier_t *start;
    uint32_t lost; /* calls answered with TERCET_STORE */
};

static void *call_all(void *ctx)
{
    struct worker *worker = ctx;
    pthread_barrier_wait(worker->start);
    for (uint32_t branch = 1; branch <= BRANCHES; branch++) {
        struct tercet_barrier_call call = bench_call(worker->part, worker->kind);
        call.branch = branch;
        do
            tercet_barrier_run(worker->barrier, &call, 1);
        while (call.result == TERCET_BROKEN && worker->kind == TERCET_CONFIRM);
        worker->lost += call.result == TERCET_STORE;
    }
    return NULL;
}

/* Two workers try, the others end. Odd ones work on the second barrier. */
static void race(struct part parts[2], struct tercet_barrier *barriers[2], enum tercet_kind end)
{
    struct worker workers[THREADS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        workers[i] =
            (struct worker){.barrier = barriers[i % 2], .part = &parts[i % 2], .start = &start};
        workers[i].kind = i < 2 ? TERCET_TRY : end;
        cr_assert_eq(pthread_create(&workers[i].thread, NULL, call_all, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        cr_assert_eq(workers[i].lost, 0);
    }
    pthread_barrier_destroy(&start);
}

static void check_cancelled(struct bench *bench, struct part *part)
{
    int tries = bench_effects(bench, NULL, TERCET_TRY);
    cr_assert_eq(bench_effects(bench, NULL, TERCET_CANCEL), tries,
                 "every try that was done is cancelled, once");
    cr_assert_leq(tries, BRANCHES);
    cr_assert_eq(bench_rows(bench), BRANCHES);
    for (uint32_t branch = 1; branch <= BRANCHES; branch++) {
        struct tercet_barrier_call call = bench_call(part, TERCET_TRY);
        call.branch = branch;
        cr_assert_eq(bench_ask(bench, call), TERCET_REFUSED);
    }
}

EACH_DRIVER(barrier_threads, try_and_cancel_race)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part parts[2] = {{.bench = bench}, {.bench = bench}};
    struct tercet_barrier *barriers[2] = {bench->barrier, bench->barrier};
    race(parts, barriers, TERCET_CANCEL);
    check_cancelled(bench, &parts[0]);
    bench_close(bench);
}

EACH_DRIVER(barrier_threads, try_and_confirm_race)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part parts[2] = {{.bench = bench}, {.bench = bench}};
    struct tercet_barrier *barriers[2] = {bench->barrier, bench->barrier};
    race(parts, barriers, TERCET_CONFIRM);
    cr_assert_eq(bench_effects(bench, NULL, TERCET_TRY), BRANCHES);
    cr_assert_eq(bench_effects(bench, NULL, TERCET_CONFIRM), BRANCHES);
    bench_close(bench);
}

Test(barrier_threads, two_instances_share_one_file, .timeout = 120)
{
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    struct tercet_barrier_options options = {.size = sizeof(options), .busy_timeout_ms = 60000};
    struct part parts[2] = {{.bench = bench}, {.bench = bench}};
    struct tercet_barrier *barriers[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++)
        cr_assert_eq(tercet_barrier_sqlite_open(&barriers[i], bench->path, &options, NULL), 0);
    race(parts, barriers, TERCET_CANCEL);
    check_cancelled(bench, &parts[0]);
    for (int i = 0; i < 2; i++)
        tercet_barrier_close(barriers[i]);
    bench_close(bench);
}

struct opener {
    pthread_t thread;
    pthread_barrier_t *start;
    const char *path;
    struct tercet_barrier *barrier;
    int result;
    char text[TERCET_TEXT_MAX];
};

static void *open_one(void *ctx)
{
    struct opener *opener = ctx;
    pthread_barrier_wait(opener->start);
    opener->result = tercet_barrier_sqlite_open(&opener->barrier, opener->path, NULL, opener->text);
    return NULL;
}

Test(barrier_threads, many_open_a_new_file_at_once, .timeout = 120)
{
    struct bench *bench = bench_open(BENCH_SQLITE, NULL);
    struct opener openers[THREADS];
    pthread_barrier_t start;
    char path[128], file[160];
    snprintf(path, sizeof(path), "%s/new.db", bench->folder);
    pthread_barrier_init(&start, NULL, THREADS);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < THREADS; i++) {
            openers[i] = (struct opener){.start = &start, .path = path};
            cr_assert_eq(pthread_create(&openers[i].thread, NULL, open_one, &openers[i]), 0);
        }
        for (int i = 0; i < THREADS; i++) {
            pthread_join(openers[i].thread, NULL);
            cr_assert_eq(openers[i].result, 0, "%s", openers[i].text);
        }
        for (int i = 0; i < THREADS; i++)
            tercet_barrier_close(openers[i].barrier);
        static const char *const endings[] = {"", "-wal", "-shm"};
        for (size_t i = 0; i < 3; i++) {
            snprintf(file, sizeof(file), "%s%s", path, endings[i]);
            remove(file);
        }
    }
    pthread_barrier_destroy(&start);
    bench_close(bench);
}
