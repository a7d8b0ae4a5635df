/* SPDX-License-Identifier: Apache-2.0
 *
 * What servers add: many connections that work at once and meet with each other, connections that
 * die, and a server that is killed and started again. The ledger has no unique key, and is read
 * from outside.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "pool.h"

#define WORKERS 12
#define BRANCHES 40

static char last_line[TERCET_TEXT_MAX]; /* of a barrier's log; for people */

struct worker {
    pthread_t thread;
    struct bench *bench;
    struct tercet_barrier *barrier;
    tercet_barrier_hook hook;
    void *ctx;
    pthread_barrier_t *start;
    uint32_t index;
    const char *gid;
    uint64_t number;
};

/* Asks until the database has answered. */
static int insist(struct worker *worker, enum tercet_kind kind, uint32_t branch)
{
    struct tercet_barrier_call call = {.gid = worker->gid,
                                       .branch = branch,
                                       .number = worker->number,
                                       .kind = kind,
                                       .hook = worker->hook,
                                       .ctx = worker->ctx};
    for (int i = 0; i < 100000; i++) {
        tercet_barrier_run(worker->barrier, &call, 1);
        free(call.reply);
        if (call.result != TERCET_STORE && call.result != TERCET_AGAIN)
            return call.result;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL); /* as a coordinator does */
    }
    cr_assert_fail("the database never answered: %d %s", call.result, last_line);
    return call.result;
}

static void run_workers(struct bench *bench, struct tercet_barrier *const *barriers, int count,
                        void *(*run)(void *ctx), tercet_barrier_hook hook, void *ctx)
{
    struct worker workers[WORKERS];
    pthread_barrier_t start;
    pthread_barrier_init(&start, NULL, WORKERS);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.bench = bench,
                                     .barrier = barriers[i % count],
                                     .hook = hook,
                                     .ctx = ctx,
                                     .start = &start,
                                     .index = (uint32_t)i,
                                     .gid = GID,
                                     .number = 7};
        cr_assert_eq(pthread_create(&workers[i].thread, NULL, run, &workers[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i].thread, NULL);
    pthread_barrier_destroy(&start);
}

static void keep_line(enum tercet_log_level level, const char *text, void *ctx)
{
    (void)level;
    snprintf(ctx, TERCET_TEXT_MAX, "%s", text);
}

static struct tercet_barrier *open_at(struct bench *bench, uint32_t connections_max)
{
    struct tercet_barrier_options options = {.size = sizeof(options),
                                             .connections_max = connections_max,
                                             .setup_sql = bench->options.setup_sql,
                                             .on_log = keep_line,
                                             .log_ctx = last_line};
    struct tercet_barrier *barrier = NULL;
    char text[TERCET_TEXT_MAX] = "";
    cr_assert_eq(tercet_barrier_open(&barrier, bench->url, &options, text), 0, "%s", text);
    return barrier;
}

static void open_two(struct bench *bench, struct tercet_barrier *barriers[2])
{
    for (int i = 0; i < 2; i++)
        barriers[i] = open_at(bench, WORKERS);
}

static void close_two(struct tercet_barrier *barriers[2])
{
    for (int i = 0; i < 2; i++)
        tercet_barrier_close(barriers[i]);
}

/* -- The same branches, on many connections ---------------------------------------------------- */

static int write_row(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    const struct bench *bench = ctx;
    char sql[128];
    snprintf(sql, sizeof(sql), "INSERT INTO ledger VALUES ('%s', %u, %d)", call->gid, call->branch,
             (int)call->kind);
    return bench_server(bench->driver)->execute(db, sql);
}

/* Some try, some confirm, in other orders. */
static void *try_and_confirm(void *ctx)
{
    struct worker *worker = ctx;
    pthread_barrier_wait(worker->start);
    for (uint32_t i = 0; i < BRANCHES; i++) {
        uint32_t branch = 1 + (i + 7 * worker->index) % BRANCHES;
        cr_assert_eq(insist(worker, TERCET_TRY, branch), 0);
        cr_assert_eq(insist(worker, TERCET_CONFIRM, branch), 0);
    }
    return NULL;
}

static void check_once_each(struct bench *bench, int branches)
{
    cr_assert_eq(bench_effects(bench, NULL, TERCET_TRY), branches);
    cr_assert_eq(bench_effects(bench, NULL, TERCET_CONFIRM), branches);
    cr_assert_eq(bench_query(bench, "SELECT count(*) FROM (SELECT DISTINCT branch, kind FROM "
                                    "ledger) AS seen"),
                 2 * branches);
}

static void race_on_branches(struct bench *bench)
{
    struct tercet_barrier *barriers[2];
    open_two(bench, barriers);
    run_workers(bench, barriers, 2, try_and_confirm, write_row, bench);
    close_two(barriers);
    check_once_each(bench, BRANCHES);
}

EACH_DRIVER(barrier_server, many_connections_on_the_same_branches)
{
    struct bench *bench = bench_open(*driver, NULL);
    if (bench_server(*driver) != NULL)
        race_on_branches(bench);
    bench_close(bench);
}

EACH_DRIVER(barrier_server, many_connections_that_see_snapshots)
{
    struct bench *bench = bench_open(*driver, NULL);
    if (bench_server(*driver) != NULL) {
        strcat(bench->url, bench_server(*driver)->url_snapshots);
        race_on_branches(bench);
    }
    bench_close(bench);
}

/* Sixty-four connections at once, half of them on the same branches and half on others. */
#define CROWD 64
#define CROWD_BRANCHES 3

static void *live_in_a_crowd(void *ctx)
{
    struct worker *worker = ctx;
    pthread_barrier_wait(worker->start);
    for (uint32_t i = 0; i < CROWD_BRANCHES; i++) {
        uint32_t branch = worker->index % 2 == 0 ? 1 + i : 100 + worker->index * CROWD_BRANCHES + i;
        cr_assert_eq(insist(worker, TERCET_TRY, branch), 0);
        cr_assert_eq(insist(worker, TERCET_CONFIRM, branch), 0);
    }
    return NULL;
}

static void crowd(struct bench *bench)
{
    struct worker workers[CROWD];
    pthread_barrier_t start;
    struct tercet_barrier *barrier = open_at(bench, CROWD);
    pthread_barrier_init(&start, NULL, CROWD);
    for (uint32_t i = 0; i < CROWD; i++) {
        workers[i] = (struct worker){.bench = bench,
                                     .barrier = barrier,
                                     .hook = write_row,
                                     .ctx = bench,
                                     .start = &start,
                                     .index = i,
                                     .gid = GID,
                                     .number = 7};
        cr_assert_eq(pthread_create(&workers[i].thread, NULL, live_in_a_crowd, &workers[i]), 0);
    }
    for (int i = 0; i < CROWD; i++)
        pthread_join(workers[i].thread, NULL);
    pthread_barrier_destroy(&start);
    tercet_barrier_close(barrier);
    check_once_each(bench, CROWD_BRANCHES * (CROWD / 2 + 1));
}

EACH_DRIVER(barrier_server, sixty_four_connections_on_the_same_and_on_other_branches)
{
    struct bench *bench = bench_open(*driver, NULL);
    if (bench_server(*driver) != NULL)
        crowd(bench);
    bench_close(bench);
}

EACH_DRIVER(barrier_server, sixty_four_connections_that_see_snapshots)
{
    struct bench *bench = bench_open(*driver, NULL);
    if (bench_server(*driver) != NULL) {
        strcat(bench->url, bench_server(*driver)->url_snapshots);
        crowd(bench);
    }
    bench_close(bench);
}

/* -- Hooks that lock each other out ------------------------------------------------------------ */

/* Takes from two accounts, in an order of its own: a deadlock in the making. */
static int move_money(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    const struct bench *bench = ctx;
    const struct bench_server *server = bench_server(bench->driver);
    char sql[128];
    uint32_t first = call->branch % 3, second = (call->branch * 7 + 1) % 3;
    snprintf(sql, sizeof(sql), "UPDATE account SET money = money - 1 WHERE id = %u", first);
    int rc = server->execute(db, sql);
    snprintf(sql, sizeof(sql), "UPDATE account SET money = money + 1 WHERE id = %u", second);
    if (rc == 0)
        rc = server->execute(db, sql);
    return rc == 0 ? write_row(call, db, ctx) : rc;
}

/* Batches of branches of one's own, so that each holds locks that others want. */
static void *run_batches(void *ctx)
{
    struct worker *worker = ctx;
    struct tercet_barrier_call calls[8];
    pthread_barrier_wait(worker->start);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 8; i++)
            calls[i] = (struct tercet_barrier_call){.gid = GID,
                                                    .branch = 1 + worker->index * 24 + round * 8 +
                                                              i * (5 + 2 * (worker->index % 2)) % 8,
                                                    .kind = TERCET_TRY,
                                                    .hook = worker->hook,
                                                    .ctx = worker->ctx};
        tercet_barrier_run(worker->barrier, calls, 8);
        for (uint32_t i = 0; i < 8; i++)
            cr_assert(calls[i].result == 0 || insist(worker, TERCET_TRY, calls[i].branch) == 0);
    }
    return NULL;
}

static void lock_each_other_out(struct bench *bench)
{
    struct tercet_barrier *barriers[2];
    bench_sql(bench, "CREATE TABLE account (id integer PRIMARY KEY, money bigint)");
    bench_sql(bench, "INSERT INTO account VALUES (0, 0), (1, 0), (2, 0)");
    open_two(bench, barriers);
    run_workers(bench, barriers, 2, run_batches, move_money, bench);
    close_two(barriers);
    cr_assert_eq(bench_query(bench, "SELECT sum(money) FROM account"), 0);
    cr_assert_eq(bench_effects(bench, NULL, TERCET_TRY), WORKERS * 24);
    cr_assert_eq(bench_query(bench, "SELECT count(DISTINCT branch) FROM ledger"), WORKERS * 24);
}

static bool has_locks(enum bench_driver driver)
{
    return bench_server(driver) != NULL && !bench_server(driver)->has_no_sql;
}

EACH_DRIVER(barrier_server, hooks_that_lock_each_other_out_are_repeated)
{
    struct bench *bench = bench_open(*driver, NULL);
    if (has_locks(*driver))
        lock_each_other_out(bench);
    bench_close(bench);
}

EACH_DRIVER(barrier_server, hooks_that_lock_each_other_out_and_see_snapshots)
{
    struct bench *bench = bench_open(*driver, NULL);
    if (has_locks(*driver)) {
        strcat(bench->url, bench_server(*driver)->url_snapshots);
        lock_each_other_out(bench);
    }
    bench_close(bench);
}

/* -- The mark, raised by another --------------------------------------------------------------- */

static int ask(struct tercet_barrier *barrier, struct part *part, enum tercet_kind kind,
               uint64_t number, uint64_t low_water)
{
    struct tercet_barrier_call call = bench_call(part, kind);
    char gid[32];
    snprintf(gid, sizeof(gid), "n-%d", (int)number);
    call.gid = gid;
    call.number = number;
    call.low_water = low_water;
    tercet_barrier_run(barrier, &call, 1);
    free(call.reply);
    return call.result;
}

/* One connection knows an old mark; another has raised it and deleted the row that would have shut
 * out the late try. */
static void meet_a_raised_mark(struct bench *bench)
{
    struct part part = {.bench = bench};
    struct tercet_barrier *old = open_at(bench, 1);
    cr_assert_eq(ask(old, &part, TERCET_TRY, 50, 0), 0);
    cr_assert_eq(ask(bench->barrier, &part, TERCET_CANCEL, 3, 0), 0);
    cr_assert_eq(ask(bench->barrier, &part, TERCET_TRY, 4, 0), 0);
    cr_assert_eq(ask(bench->barrier, &part, TERCET_CONFIRM, 4, 0), 0);
    cr_assert_eq(ask(bench->barrier, &part, TERCET_CANCEL, 60, 10), 0);
    cr_assert_eq(bench_rows(bench), 2, "3 and 4 are gone");
    cr_assert_eq(barrier_mark(old), 0);
    part.runs = 0;
    cr_assert_eq(ask(old, &part, TERCET_CONFIRM, 4, 0), 0, "not broken: it has ended");
    cr_assert_eq(barrier_mark(old), 10);
    tercet_barrier_close(old);
    old = open_at(bench, 1);
    cr_assert_eq(ask(old, &part, TERCET_TRY, 3, 0), TERCET_REFUSED);
    cr_assert_eq(part.runs, 0);
    cr_assert_eq(bench_rows(bench), 2);
    tercet_barrier_close(old);
}

EACH_DRIVER(barrier_server, a_late_try_meets_a_mark_that_another_has_raised)
{
    struct bench *bench = bench_open(*driver, NULL);
    if (bench_server(*driver) != NULL)
        meet_a_raised_mark(bench);
    bench_close(bench);
}

/* -- Connections that die, and servers --------------------------------------------------------- */

static atomic_int done_count;

static void *live_many_lives(void *ctx)
{
    struct worker *worker = ctx;
    pthread_barrier_wait(worker->start);
    for (uint32_t i = 0; i < BRANCHES; i++) {
        uint32_t branch = 1 + worker->index * BRANCHES + i;
        cr_assert_eq(insist(worker, TERCET_TRY, branch), 0);
        cr_assert_eq(insist(worker, TERCET_CONFIRM, branch), 0);
        atomic_fetch_add(&done_count, 1);
    }
    return NULL;
}

struct trouble {
    pthread_t thread;
    struct bench *bench;
    bool kills_server;
    int rounds;
};

static void control(const char *what)
{
    char command[512];
    snprintf(command, sizeof(command), "'%s' %s '%s'", getenv("TERCET_TEST_SCRIPT"), what,
             getenv("TERCET_TEST_FOLDER"));
    cr_assert_eq(system(command), 0, "%s", command);
}

/* Whenever a part of the work is through. */
static void *make_trouble(void *ctx)
{
    struct trouble *trouble = ctx;
    int kills = bench_server(trouble->bench->driver)->has_no_sql ? 24 : 6; /* Redis is up at once */
    int all = WORKERS * BRANCHES, step = all / (trouble->kills_server ? kills : 12);
    for (int next = step; next < all - step; next += step) {
        while (atomic_load(&done_count) < next)
            sched_yield();
        if (trouble->kills_server) {
            control("--kill");
            control("--start");
            bench_server(trouble->bench->driver)->look_again(trouble->bench);
        } else {
            bench_server(trouble->bench->driver)->end_connections(trouble->bench);
        }
        trouble->rounds++;
    }
    return NULL;
}

static void live_in_trouble(struct bench *bench, bool kills_server)
{
    struct trouble trouble = {.bench = bench, .kills_server = kills_server};
    struct tercet_barrier *barriers[2];
    open_two(bench, barriers);
    atomic_store(&done_count, 0);
    cr_assert_eq(pthread_create(&trouble.thread, NULL, make_trouble, &trouble), 0);
    run_workers(bench, barriers, 2, live_many_lives, write_row, bench);
    pthread_join(trouble.thread, NULL);
    close_two(barriers);
    cr_assert_geq(trouble.rounds, bench_server(bench->driver)->has_no_sql && kills_server ? 20 : 4);
    check_once_each(bench, WORKERS * BRANCHES);
}

EACH_DRIVER(barrier_server, connections_that_die_lose_nothing_and_do_nothing_twice)
{
    struct bench *bench = bench_open(*driver, NULL);
    if (bench_server(*driver) != NULL)
        live_in_trouble(bench, false);
    bench_close(bench);
}

/* Alone: other tests have the same server. */
EACH_DRIVER(barrier_server_killed, a_server_that_is_killed_loses_nothing_and_does_nothing_twice)
{
    struct bench *bench = bench_open(*driver, NULL);
    if (bench_server(*driver) != NULL)
        live_in_trouble(bench, true);
    bench_close(bench);
}
