/* SPDX-License-Identifier: Apache-2.0
 *
 * Who works on which call when: slow hooks hold up neither results nor ends, what is over is not
 * begun, several workers never have calls of one branch.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "drivers.h"

TestSuite(workers, .timeout = 200);

static struct bench bench;

static struct tercet_participant_options options_of(uint32_t batch_time_ms)
{
    return (struct tercet_participant_options){.size = sizeof(struct tercet_participant_options),
                                               .batch_time_ms = batch_time_ms};
}

static void put(enum tercet_kind kind, const char *gid, const char *action)
{
    struct call call;
    call_fill(&call, kind, gid, action);
    fake_put_call(bench.stream, &call.message);
}

static void put_with_timeout(const char *gid, uint32_t timeout_ms)
{
    struct call call;
    call_fill(&call, TERCET_TRY, gid, "bytes");
    call.message.timeout_ms = timeout_ms;
    fake_put_call(bench.stream, &call.message);
}

static Tercet__V1__Outcome next_outcome(void)
{
    return fake_next(&bench.fake, FAKE_RESULT)->result->outcome;
}

/* So that this much has gone by for sure since the last event. */
static void let_pass_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

/* All in one message: without the limit, no result would come before the last hook's end. */
Test(workers, results_of_slow_hooks_are_not_held_back)
{
    struct tercet_participant_options options = options_of(1);
    bench_open(&bench, &options);
    cr_assert(fake_drains(bench.stream, WAIT_MS));
    put(TERCET_TRY, "order:1", "gate");
    put(TERCET_TRY, "order:2", "gate");
    put(TERCET_TRY, "order:3", "gate");
    fake_flush(bench.stream);
    for (unsigned i = 1; i <= 3; i++) {
        recorder_wait_entered(&bench.recorder, i);
        let_pass_ms(3);
        recorder_permit(&bench.recorder);
        cr_assert_eq(next_outcome(), TERCET__V1__OUTCOME__DONE, "before the next has begun to end");
    }
    bench_close(&bench);
}

static uint64_t put_try(const char *gid, const char *action)
{
    struct call call;
    call_fill(&call, TERCET_TRY, gid, action);
    fake_put_call(bench.stream, &call.message);
    return call.message.id;
}

/* Three slow tries are before it, and it waits for the first alone. The next batch begins with it.
 */
Test(workers, slow_tries_do_not_hold_up_another_action_s)
{
    struct tercet_participant_options options = options_of(1);
    uint64_t slow[3], quick;
    char gid[16];
    bench_open(&bench, &options);
    cr_assert(fake_drains(bench.stream, WAIT_MS));
    for (int i = 0; i < 3; i++) {
        snprintf(gid, sizeof(gid), "order:%d", i);
        slow[i] = put_try(gid, "gate");
    }
    quick = put_try("order:3", "bytes");
    fake_flush(bench.stream);
    const uint64_t wanted[] = {slow[0], quick, slow[1], slow[2]};
    recorder_wait_entered(&bench.recorder, 1);
    let_pass_ms(3);
    recorder_permit(&bench.recorder);
    for (int i = 0; i < 4; i++) {
        if (i == 2)
            recorder_open_gate(&bench.recorder);
        const Tercet__V1__CallResult *result = fake_next(&bench.fake, FAKE_RESULT)->result;
        cr_assert_eq(result->id, wanted[i], "result %d is another call's", i);
        cr_assert_eq(result->outcome, TERCET__V1__OUTCOME__DONE);
    }
    bench_close(&bench);
}

Test(workers, a_try_whose_time_is_over_is_not_begun)
{
    struct tercet_participant_options options = options_of(1);
    bench_open(&bench, &options);
    cr_assert(fake_drains(bench.stream, WAIT_MS));
    put(TERCET_TRY, "order:1", "gate");
    put_with_timeout("order:2", 1);
    put_with_timeout("order:3", 0);
    fake_flush(bench.stream);
    recorder_wait_entered(&bench.recorder, 1);
    let_pass_ms(5);
    recorder_permit(&bench.recorder);
    cr_assert_eq(next_outcome(), TERCET__V1__OUTCOME__DONE);
    const Tercet__V1__CallResult *late = fake_next(&bench.fake, FAKE_RESULT)->result;
    cr_assert_eq(late->outcome, TERCET__V1__OUTCOME__AGAIN);
    cr_assert_not_null(strstr(late->reason, "time was over"), "%s", late->reason);
    cr_assert_eq(next_outcome(), TERCET__V1__OUTCOME__DONE, "0: no limit");
    cr_assert_eq(recorder_calls(&bench.recorder, TERCET_TRY), 2);
    bench_close(&bench);
}

Test(workers, ends_come_before_tries)
{
    struct tercet_participant_options options = options_of(1);
    bench_open(&bench, &options);
    cr_assert(fake_drains(bench.stream, WAIT_MS));
    put(TERCET_TRY, "order:0", "bytes");
    fake_flush(bench.stream);
    cr_assert_eq(next_outcome(), TERCET__V1__OUTCOME__DONE);
    put(TERCET_TRY, "order:1", "gate");
    put(TERCET_TRY, "order:2", "gate");
    put(TERCET_CONFIRM, "order:0", "bytes");
    fake_flush(bench.stream);
    recorder_wait_entered(&bench.recorder, 1);
    recorder_permit(&bench.recorder);
    recorder_wait_entered(&bench.recorder, 2);
    cr_assert_eq(recorder_calls(&bench.recorder, TERCET_CONFIRM), 1, "order:2 has come after it");
    recorder_open_gate(&bench.recorder);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(next_outcome(), TERCET__V1__OUTCOME__DONE);
    bench_close(&bench);
}

/* Memory without rows in common: enough to see who works when. */
static int open_another(void *driver, void **out)
{
    (void)driver;
    return memory_driver_open(out);
}

static struct tercet_barrier *open_barrier(uint32_t connections_max)
{
    struct tercet_barrier_options options = {.size = sizeof(options),
                                             .connections_max = connections_max};
    struct tercet_barrier_driver driver = memory_driver;
    struct tercet_barrier *barrier = NULL;
    void *memory = NULL;
    driver.connect = open_another;
    cr_assert_eq(memory_driver_open(&memory), 0);
    cr_assert_eq(tercet_barrier_new(&barrier, &driver, memory, &options), 0);
    return barrier;
}

/* The second call of order:1 waits for the first, though a worker is free: that one takes order:2.
 */
Test(workers, two_calls_of_a_branch_never_run_at_once)
{
    struct tercet_participant_options options = options_of(1);
    options.barrier = open_barrier(2);
    bench_open(&bench, &options);
    cr_assert(fake_drains(bench.stream, WAIT_MS));
    put(TERCET_TRY, "order:1", "gate");
    fake_flush(bench.stream);
    recorder_wait_entered(&bench.recorder, 1);
    put(TERCET_TRY, "order:1", "gate");
    put(TERCET_TRY, "order:2", "gate");
    fake_flush(bench.stream);
    recorder_wait_entered(&bench.recorder, 2);
    cr_assert_eq(bench.recorder.entered, 2);
    recorder_open_gate(&bench.recorder);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(next_outcome(), TERCET__V1__OUTCOME__DONE);
    bench_close(&bench);
}

Test(workers, there_are_no_more_than_the_barrier_has_connections)
{
    struct tercet_participant_options options = options_of(0);
    struct tercet_participant *participant = NULL;
    char text[TERCET_TEXT_MAX] = "";
    options.workers = 2;
    cr_assert_eq(tercet_barrier_memory_open(&options.barrier, NULL), 0);
    cr_assert_eq(tercet_participant_open(&participant, "127.0.0.1:1", "inventory", actions_example,
                                         action_example_count, &options, text),
                 TERCET_INVALID);
    cr_assert_not_null(strstr(text, "one writer"), "%s", text);
    tercet_barrier_close(options.barrier);
}
