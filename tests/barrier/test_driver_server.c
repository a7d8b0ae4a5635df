/* SPDX-License-Identifier: Apache-2.0
 *
 * What a driver is asked whose database takes several connections at once.
 */
#include "scripted.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "pool.h"

static int take_connect(void *state, void **out)
{
    static char another;
    (void)state;
    atomic_fetch_add(&script.connects, 1);
    *out = &another;
    return script.has_connections ? 0 : TERCET_STORE;
}

static enum tercet_barrier_failure tell_failure(void *state)
{
    (void)state;
    return script.failure;
}

static void *run_another(void *ctx)
{
    struct tercet_barrier_call *call = ctx;
    tercet_barrier_run(scripted_barrier, call, 1);
    return NULL;
}

static int take_mark_store(void *state, uint64_t mark, uint32_t rows_max)
{
    (void)state;
    (void)mark;
    script.mark_store_rows = rows_max;
    scripted_note("mark_store");
    if (script.runs_during_store) {
        struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
        pthread_t thread;
        script.runs_during_store = false;
        cr_assert_eq(pthread_create(&thread, NULL, run_another, &call), 0);
        pthread_join(thread, NULL);
        cr_assert_eq(call.result, 0);
    }
    return script.mark_store_result;
}

static struct tercet_barrier_driver server_driver(void)
{
    struct tercet_barrier_driver server = scripted_driver;
    server.connect = take_connect;
    server.failure = tell_failure;
    server.mark_store = take_mark_store;
    return server;
}

static void open_server(void)
{
    const struct tercet_barrier_driver server = server_driver();
    const struct tercet_barrier_options options = {.size = sizeof(options),
                                                   .collect_rows_max = 20000};
    scripted_open(&server, &options);
}

TestSuite(server, .init = open_server, .fini = scripted_close, .timeout = 60);

Test(server, the_mark_is_stored_after_the_batch_and_read_after_the_row)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    call.low_water = 2;
    cr_expect_eq(run_one(&call), 0);
    expect_asked("begin insert mark_read commit mark_store");
    cr_expect_eq(script.mark_store_rows, 16384, "no more at a time, whatever was asked for");
}

Test(server, the_mark_is_stored_by_one_at_a_time)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    script.has_connections = script.runs_during_store = true;
    call.low_water = 2;
    cr_expect_eq(run_one(&call), 0);
    cr_expect_eq(atomic_load(&script.connects), 1);
    expect_asked("begin insert mark_read commit mark_store begin insert mark_read commit");
}

/* It is not tried again at once, however many batches there are. */
Test(server, a_mark_that_is_not_stored_is_told_of)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    call.low_water = 2;
    script.mark_store_result = TERCET_STORE;
    cr_expect_eq(run_one(&call), 0, "the call has been done");
    cr_expect_eq(script.log_count, 1);
    cr_expect_not_null(strstr(script.logged, "will be tried again"), "%s", script.logged);
    for (int i = 0; i < 20000; i++) {
        script.asked[0] = '\0';
        cr_assert_eq(run_one(&call), 0);
    }
}

Test(server, a_mark_that_cannot_be_read_costs_the_batch)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    script.mark_read_result = TERCET_STORE;
    cr_expect_eq(run_one(&call), TERCET_STORE);
    expect_asked("begin insert mark_read rollback");
}

/* The insert met with a row that is not there any more when it is read. */
Test(server, a_try_whose_row_has_vanished)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    script.inserts = false;
    script.mark_read_result = TERCET_STORE;
    cr_expect_eq(run_one(&call), TERCET_STORE);
    script.mark_read_result = 0;
    script.mark = call.number - 1;
    cr_expect_eq(run_one(&call), TERCET_STORE, "nobody knows: it is asked again");
    script.mark = call.number;
    cr_expect_eq(run_one(&call), TERCET_REFUSED, "its transaction has ended");
}

Test(server, a_row_that_cannot_be_read_costs_the_batch)
{
    struct tercet_barrier_call call = call_of(TERCET_CONFIRM, NULL);
    script.moves = false;
    script.read_result = TERCET_STORE;
    cr_expect_eq(run_one(&call), TERCET_STORE);
}

Test(server, one_call_that_fails_is_not_run_apart)
{
    struct tercet_barrier_call call = call_of(TERCET_CONFIRM, NULL);
    script.failure = TERCET_BARRIER_APART;
    script.commit_result = TERCET_STORE;
    cr_expect_eq(run_one(&call), TERCET_STORE);
    expect_asked("begin move commit rollback");
}

static int wait_for_connect(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)call;
    (void)db;
    (void)ctx;
    while (atomic_load(&script.connects) == 0)
        sched_yield();
    return 0;
}

/* Who finds the one connection busy tries to open another; without it he waits. */
Test(server, without_more_connections_one_does)
{
    struct tercet_barrier_call first = call_of(TERCET_TRY, wait_for_connect);
    struct tercet_barrier_call second = call_of(TERCET_TRY, wait_for_connect);
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, run_another, &second), 0);
    cr_expect_eq(run_one(&first), 0);
    pthread_join(thread, NULL);
    cr_expect_eq(second.result, 0);
    cr_expect_eq(atomic_load(&script.connects), 1);
    cr_expect_eq(tercet_barrier_connections(scripted_barrier), 4);
}

static void run_two(void)
{
    struct tercet_barrier_call calls[] = {call_of(TERCET_TRY, NULL), call_of(TERCET_TRY, NULL)};
    calls[1].branch = 2;
    tercet_barrier_run(scripted_barrier, calls, 2);
    cr_assert_eq(calls[0].result, script.commit_result);
    cr_assert_eq(calls[1].result, script.commit_result);
}

/* Each deadlock halves how many batches run at once, and doubles how many have to go by without one
 * before there is one more. */
Test(server, after_deadlocks_fewer_batches_run_at_once)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    script.failure = TERCET_BARRIER_DEADLOCK;
    script.commit_result = TERCET_STORE;
    cr_expect_eq(run_one(&call), TERCET_STORE);
    cr_expect_eq(scripted_barrier->busy_max, 4, "one call alone does not do it");
    for (uint32_t busy = 2, wanted = 128; wanted <= 65536; busy = 1, wanted *= 2) {
        run_two();
        cr_expect_eq(scripted_barrier->busy_max, busy);
        cr_expect_eq(scripted_barrier->calm_wanted, wanted);
    }
    run_two();
    cr_expect_eq(scripted_barrier->calm_wanted, 65536);
    script.commit_result = 0;
    scripted_barrier->calm_wanted = 3;
    for (uint32_t busy = 1; busy <= 4; busy++) {
        cr_expect_eq(scripted_barrier->busy_max, busy);
        for (int i = 0; i < 3; i++) {
            cr_expect_eq(scripted_barrier->busy_max, busy);
            scripted_barrier->calm_count = (uint32_t)i;
            script.asked[0] = '\0';
            run_two();
        }
    }
    cr_expect_eq(scripted_barrier->busy_max, 4);
    cr_expect_eq(scripted_barrier->calm_wanted, 64);
}

static int start_another(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)call;
    (void)db;
    static struct tercet_barrier_call second;
    second = call_of(TERCET_TRY, NULL);
    cr_assert_eq(pthread_create(ctx, NULL, run_another, &second), 0);
    for (int i = 0; i < 50; i++)
        sched_yield();
    return 0;
}

Test(server, one_that_is_not_to_run_at_once_waits_and_opens_no_connection)
{
    pthread_t thread;
    struct tercet_barrier_call call = call_of(TERCET_TRY, start_another);
    call.ctx = &thread;
    script.has_connections = true;
    scripted_barrier->busy_max = 1;
    cr_expect_eq(run_one(&call), 0);
    pthread_join(thread, NULL);
    cr_expect_eq(atomic_load(&script.connects), 0);
}

/* However long the mark is not stored: what may be deleted at once has a limit. */
Test(server, batches_since_the_mark_was_stored_are_counted_to_a_limit)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    scripted_barrier->unstored_count = 16384;
    scripted_barrier->store_due_ms = INT64_MAX;
    call.low_water = 2;
    cr_expect_eq(run_one(&call), 0);
    cr_expect_eq(scripted_barrier->unstored_count, 16384);
}
