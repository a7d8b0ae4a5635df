/* SPDX-License-Identifier: Apache-2.0
 *
 * The attached stream: it comes back, holds back, and leaves in order.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(attach, .timeout = 200);

static struct bench bench;

static void send(struct fake_stream *stream, enum tercet_kind kind, const char *gid,
                 const char *action)
{
    struct call call;
    call_fill(&call, kind, gid, action);
    fake_put_call(stream, &call.message);
    fake_flush(stream);
}

static void reattach(void)
{
    bench.stream = fake_next(&bench.fake, FAKE_ATTACH)->stream;
    fake_accept(bench.stream);
}

Test(attach, comes_back_after_a_loss)
{
    bench_open(&bench, NULL);
    for (int i = 0; i < 3; i++) {
        fake_drop(bench.stream);
        reattach();
        cr_assert_eq(tercet_participant_wait(bench.participant, WAIT_MS, NULL), 0);
    }
    send(bench.stream, TERCET_TRY, "order:1", "bytes");
    cr_assert_eq(fake_next(&bench.fake, FAKE_RESULT)->result->outcome, TERCET__V1__OUTCOME__DONE);
    bench_close(&bench);
}

/* The result of a call from a lost stream goes nowhere; asked again, the barrier answers without
 * the hook. */
Test(attach, answers_a_repeat_after_a_loss)
{
    bench_open(&bench, NULL);
    send(bench.stream, TERCET_TRY, "order:1", "gate");
    recorder_wait_entered(&bench.recorder, 1);
    fake_drop(bench.stream);
    reattach();
    recorder_open_gate(&bench.recorder);
    struct call call;
    call_fill(&call, TERCET_TRY, "order:1", "gate");
    cr_assert_eq(bench_call(&bench, &call)->outcome, TERCET__V1__OUTCOME__DONE);
    cr_assert_eq(recorder_calls(&bench.recorder, TERCET_TRY), 1);
    cr_assert_eq(fake_count(&bench.fake, FAKE_RESULT), 0);
    bench_close(&bench);
}

/* Calls that wait here when their stream is lost are not begun: they come again. */
Test(attach, drops_what_a_lost_stream_left_waiting)
{
    struct tercet_participant_options options = {.size = sizeof(options), .batch_max = 1};
    struct call call;
    bench_open(&bench, &options);
    call_fill(&call, TERCET_TRY, "order:1", "gate");
    fake_put_call(bench.stream, &call.message);
    send(bench.stream, TERCET_TRY, "order:2", "bytes"); /* in the same message */
    recorder_wait_entered(&bench.recorder, 1);
    fake_drop(bench.stream);
    reattach();
    cr_assert_eq(tercet_participant_wait(bench.participant, WAIT_MS, NULL), 0);
    recorder_open_gate(&bench.recorder);
    call_fill(&call, TERCET_CONFIRM, "order:2", "bytes");
    cr_assert_eq(bench_call(&bench, &call)->outcome, TERCET__V1__OUTCOME__BROKEN,
                 "the try was not run");
    bench_close(&bench);
}

Test(attach, tells_why_it_was_turned_away)
{
    struct tercet_barrier *barrier = NULL;
    struct tercet_participant *participant = NULL;
    char text[TERCET_TEXT_MAX] = "";
    fake_start(&bench.fake);
    fake_refuse(&bench.fake, CRPC_PERMISSION_DENIED);
    cr_assert_eq(tercet_barrier_memory_open(&barrier, NULL), 0);
    struct tercet_participant_options options = {.size = sizeof(options), .barrier = barrier};
    cr_assert_eq(tercet_participant_open(&participant, bench.fake.address, "inventory",
                                         actions_example, 1, &options, NULL),
                 0);
    fake_next(&bench.fake, FAKE_END);
    cr_assert_eq(tercet_participant_wait(participant, 1000, text), TERCET_UNAVAILABLE);
    cr_assert_str_eq(text, "PERMISSION_DENIED: turned away by the test");
    tercet_participant_close(participant);
    fake_stop(&bench.fake);
    tercet_barrier_close(barrier);
}

static uint32_t waiting(void)
{
    struct tercet_participant_view view = {.size = sizeof(view)};
    cr_assert_eq(tercet_participant_look(bench.participant, &view), 0);
    return view.waiting;
}

/* What the transport holds is gRPC's affair, and more on a slow machine: what counts is how much
 * the participant reads. */
Test(attach, holds_a_fast_coordinator_back)
{
    enum { COUNT = 300, WINDOW = 2, EACH = OUTBOX_MESSAGE_SIZE / (32 * 1024) }; /* of a message */
    static uint8_t payload[32 * 1024];
    static char gids[COUNT][16];
    struct tercet_participant_options options = {
        .size = sizeof(options), .window = WINDOW, .batch_max = 2};
    struct call call;
    bench_open(&bench, &options);
    send(bench.stream, TERCET_TRY, "order:1", "gate");
    recorder_wait_entered(&bench.recorder, 1);
    for (int i = 0; i < COUNT; i++) {
        snprintf(gids[i], sizeof(gids[i]), "order:%d", i + 2);
        call_fill(&call, TERCET_TRY, gids[i], "bytes");
        call.message.payload = (ProtobufCBinaryData){.data = payload, .len = sizeof(payload)};
        fake_put_call(bench.stream, &call.message);
        fake_flush(bench.stream);
    }
    fake_drains(bench.stream, 300); /* time for one that reads on and on */
    cr_assert_leq(waiting(), WINDOW - 1 + EACH, "it took more than it has room for");
    recorder_open_gate(&bench.recorder);
    for (int i = 0; i <= COUNT; i++)
        cr_assert_eq(fake_next(&bench.fake, FAKE_RESULT)->result->outcome,
                     TERCET__V1__OUTCOME__DONE);
    cr_assert_eq(recorder_calls(&bench.recorder, TERCET_TRY), COUNT + 1);
    bench_close(&bench);
}

static int close_participant(struct blocking *blocking)
{
    (void)blocking;
    tercet_participant_close(bench.participant);
    return 0;
}

/* What was begun is finished and told; what was not is left to be asked again. */
Test(attach, closes_under_load_without_losing_a_result)
{
    enum { COUNT = 50, BATCH = 32 }; /* with replies of 16 KiB: more than one message */
    static char gids[COUNT][16];
    struct tercet_participant_options options = {.size = sizeof(options), .batch_max = BATCH};
    struct blocking closing = {.code = 0};
    struct call call;
    bench_open(&bench, &options);
    for (int i = 0; i < COUNT; i++) {
        snprintf(gids[i], sizeof(gids[i]), "order:%d", i);
        call_fill(&call, TERCET_TRY, gids[i], "gate");
        fake_put_call(bench.stream, &call.message);
    }
    fake_flush(bench.stream); /* one message */
    recorder_wait_entered(&bench.recorder, 1);
    blocking_start(&closing, close_participant);
    recorder_open_gate(&bench.recorder);
    cr_assert_eq(blocking_join(&closing), 0);
    cr_assert_eq(fake_next(&bench.fake, FAKE_END)->code, CRPC_OK, "it left in order");
    cr_assert_geq(recorder_calls(&bench.recorder, TERCET_TRY), 1);
    cr_assert_eq(fake_count(&bench.fake, FAKE_RESULT), recorder_calls(&bench.recorder, TERCET_TRY));
    bench.participant = NULL;
    bench_close(&bench);
}

Test(attach, closes_while_nobody_is_there)
{
    bench_open(&bench, NULL);
    fake_refuse(&bench.fake, CRPC_UNAVAILABLE);
    fake_drop(bench.stream);
    fake_next(&bench.fake, FAKE_END);
    bench_close(&bench);
}
