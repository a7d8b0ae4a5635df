/* SPDX-License-Identifier: Apache-2.0
 *
 * What the hooks are told, and what the coordinator is told of them.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

TestSuite(participant, .timeout = 200);

static struct bench bench;

static const Tercet__V1__CallResult *call_action(enum tercet_kind kind, const char *gid,
                                                 const char *action)
{
    struct call call;
    call_fill(&call, kind, gid, action);
    return bench_call(&bench, &call);
}

static void expect(const Tercet__V1__CallResult *result, Tercet__V1__Outcome outcome,
                   const char *reason)
{
    cr_expect_eq(result->outcome, outcome, "outcome %d, reason \"%s\"", (int)result->outcome,
                 result->reason);
    cr_expect_str_eq(result->reason, reason);
}

Test(participant, says_hello)
{
    struct tercet_participant *participant = NULL;
    struct tercet_barrier *barrier = NULL;
    struct fake fake;
    fake_start(&fake);
    cr_assert_eq(tercet_barrier_memory_open(&barrier, NULL), 0);
    struct tercet_participant_options options = {
        .size = sizeof(options), .barrier = barrier, .window = 17, .token = "t"};
    struct tercet_action actions[] = {actions_example[0], actions_example[1]};
    actions[1].call_timeout_ms = 7000;
    actions[1].end_timeout_ms = 8000;
    cr_assert_eq(tercet_participant_open(&participant, fake.address, "inventory", actions, 2,
                                         &options, NULL),
                 0);
    const struct fake_event *event = fake_next(&fake, FAKE_ATTACH);
    cr_assert_str_eq(event->hello->service, "inventory");
    cr_assert_eq(event->hello->n_actions, 2);
    cr_assert_str_eq(event->hello->actions[0], "reserve");
    cr_assert_str_eq(event->hello->actions[1], "bytes");
    cr_assert_eq(event->hello->window, 17);
    cr_assert_eq(event->hello->n_timeouts, 1, "of an action that asks for none");
    cr_assert_str_eq(event->hello->timeouts[0]->action, "bytes");
    cr_assert_eq(event->hello->timeouts[0]->call_timeout_ms, 7000);
    cr_assert_eq(event->hello->timeouts[0]->end_timeout_ms, 8000);
    cr_assert_not_null(strchr(event->hello->instance, ':'));
    cr_assert_str_eq(event->stream->authorization, "Bearer t");
    cr_assert_eq(tercet_participant_wait(participant, 0, NULL), TERCET_UNAVAILABLE,
                 "not accepted yet");
    fake_accept(event->stream);
    cr_assert_eq(tercet_participant_wait(participant, WAIT_MS, NULL), 0);
    tercet_participant_close(participant);
    fake_stop(&fake);
    tercet_barrier_close(barrier);
}

Test(participant, tells_the_hook_everything)
{
    struct call call;
    Tercet__V1__Metadata metadata = TERCET__V1__METADATA__INIT, *metadata_list = &metadata;
    bench_open(&bench, NULL);
    call_fill(&call, TERCET_TRY, "order:1", "reserve");
    call_set_key(&call, "bolt");
    metadata.key = "traceparent";
    metadata.value = "00-ab";
    call.message.metadata = &metadata_list;
    call.message.n_metadata = 1;
    call.message.branch = 3;
    call.message.attempt = 2;
    const Tercet__V1__CallResult *result = bench_call(&bench, &call);
    expect(result, TERCET__V1__OUTCOME__DONE, "");
    cr_assert_eq(result->reply.len, 4);
    cr_assert_eq(memcmp(result->reply.data, "bolt", 4), 0);
    cr_assert_str_eq(bench.recorder.action, "reserve");
    cr_assert_str_eq(bench.recorder.key, "bolt");
    cr_assert_str_eq(bench.recorder.metadata, "traceparent=00-ab");
    cr_assert_eq(bench.recorder.last.branch.number, 3);
    cr_assert_eq(bench.recorder.last.attempt, 2);
    cr_assert_eq(bench.recorder.last.kind, TERCET_TRY);
    cr_assert_eq(bench.recorder.last.payload.size, call.message.payload.len);
    cr_assert_leq(bench.recorder.last.deadline_ms, CALL_TIMEOUT_MS);
    cr_assert_gt(bench.recorder.last.deadline_ms, 0);
    bench_close(&bench);
}

Test(participant, runs_each_hook_once)
{
    bench_open(&bench, NULL);
    for (int i = 0; i < 3; i++)
        expect(call_action(TERCET_TRY, "order:1", "bytes"), TERCET__V1__OUTCOME__DONE, "");
    for (int i = 0; i < 3; i++)
        expect(call_action(TERCET_CONFIRM, "order:1", "bytes"), TERCET__V1__OUTCOME__DONE, "");
    expect(call_action(TERCET_TRY, "order:2", "bytes"), TERCET__V1__OUTCOME__DONE, "");
    for (int i = 0; i < 3; i++)
        expect(call_action(TERCET_CANCEL, "order:2", "bytes"), TERCET__V1__OUTCOME__DONE, "");
    cr_assert_eq(recorder_calls(&bench.recorder, TERCET_TRY), 2);
    cr_assert_eq(recorder_calls(&bench.recorder, TERCET_CONFIRM), 1);
    cr_assert_eq(recorder_calls(&bench.recorder, TERCET_CANCEL), 1);
    bench_close(&bench);
}

Test(participant, saves_the_reply_for_a_repeat)
{
    struct call call;
    bench_open(&bench, NULL);
    call_fill(&call, TERCET_TRY, "order:1", "reserve");
    call_set_key(&call, "bolt");
    bench_call(&bench, &call);
    const Tercet__V1__CallResult *result = bench_call(&bench, &call);
    cr_assert_eq(result->reply.len, 4);
    cr_assert_eq(recorder_calls(&bench.recorder, TERCET_TRY), 1);
    bench_close(&bench);
}

Test(participant, passes_on_why)
{
    bench_open(&bench, NULL);
    expect(call_action(TERCET_TRY, "order:1", "refuse"), TERCET__V1__OUTCOME__REFUSAL,
           "only 3 left");
    expect(call_action(TERCET_TRY, "order:2", "silent"), TERCET__V1__OUTCOME__REFUSAL, "refused");
    expect(call_action(TERCET_TRY, "order:3", "again"), TERCET__V1__OUTCOME__AGAIN,
           "the printer is on fire");
    bench_close(&bench);
}

Test(participant, tells_broken_promises_and_empty_cancels)
{
    bench_open(&bench, NULL);
    expect(call_action(TERCET_CONFIRM, "order:1", "bytes"), TERCET__V1__OUTCOME__BROKEN,
           tercet_broken_text(TERCET_BROKEN_NO_TRY));
    expect(call_action(TERCET_CANCEL, "order:2", "bytes"), TERCET__V1__OUTCOME__DONE, "");
    expect(call_action(TERCET_TRY, "order:2", "bytes"), TERCET__V1__OUTCOME__REFUSAL,
           "cancelled already");
    expect(call_action(TERCET_CONFIRM, "order:2", "bytes"), TERCET__V1__OUTCOME__BROKEN,
           tercet_broken_text(TERCET_BROKEN_CANCELLED));
    cr_assert_eq(recorder_calls(&bench.recorder, TERCET_TRY), 0);
    cr_assert_eq(recorder_calls(&bench.recorder, TERCET_CANCEL), 0);
    bench_close(&bench);
}

/* A hook cannot say what only the barrier knows: a refusal of a confirm would be taken for the end
 * of it. */
Test(participant, turns_a_hook_s_strange_codes_into_again)
{
    bench_open(&bench, NULL);
    expect(call_action(TERCET_TRY, "order:1", "broken"), TERCET__V1__OUTCOME__AGAIN,
           tercet_strerror(TERCET_AGAIN));
    expect(call_action(TERCET_TRY, "order:2", "bytes"), TERCET__V1__OUTCOME__DONE, "");
    expect(call_action(TERCET_CONFIRM, "order:2", "refuse"), TERCET__V1__OUTCOME__AGAIN,
           "only 3 left");
    bench_close(&bench);
}

Test(participant, limits_a_reply)
{
    bench_open(&bench, NULL);
    cr_assert_eq(call_action(TERCET_TRY, "order:1", "large")->reply.len, TERCET_REPLY_MAX);
    bench_close(&bench);
}

Test(participant, says_what_it_does_not_serve)
{
    struct call call;
    bench_open(&bench, NULL);
    expect(call_action(TERCET_TRY, "order:1", "deliver"), TERCET__V1__OUTCOME__AGAIN,
           "this instance does not serve action inventory/deliver");
    call_fill(&call, TERCET_CONFIRM, "order:1", "bytes");
    call.message.action = (char *)(uintptr_t) "payment/bytes";
    expect(bench_call(&bench, &call), TERCET__V1__OUTCOME__AGAIN,
           "this instance does not serve action payment/bytes");
    cr_assert_eq(recorder_calls(&bench.recorder, TERCET_TRY), 0);
    bench_close(&bench);
}

Test(participant, answers_a_call_that_is_none)
{
    struct call call;
    bench_open(&bench, NULL);
    call_fill(&call, TERCET_TRY, "has space", "bytes");
    expect(bench_call(&bench, &call), TERCET__V1__OUTCOME__AGAIN, tercet_strerror(TERCET_INVALID));
    call_fill(&call, TERCET_TRY, "order:1", "bytes");
    call.message.kind = TERCET__V1__KIND__KIND_UNSPECIFIED;
    expect(bench_call(&bench, &call), TERCET__V1__OUTCOME__AGAIN, tercet_strerror(TERCET_INVALID));
    bench_close(&bench);
}

Test(participant, refuses_to_try_what_it_cannot_read)
{
    static const char *const actions[] = {"reserve", "empty"};
    struct call call;
    bench_open(&bench, NULL);
    for (int i = 0; i < 2; i++) {
        call_fill(&call, TERCET_TRY, "order:1", actions[i]);
        call.message.payload =
            (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t) "\xff\xff", .len = 2};
        expect(bench_call(&bench, &call), TERCET__V1__OUTCOME__REFUSAL,
               "the request is not a message of type tercet.v1.Metadata");
    }
    call.message.kind = TERCET__V1__KIND__CANCEL;
    expect(bench_call(&bench, &call), TERCET__V1__OUTCOME__DONE, "");
    cr_assert_eq(recorder_calls(&bench.recorder, TERCET_TRY), 0);
    bench_close(&bench);
}

Test(participant, does_not_confirm_what_it_cannot_read)
{
    struct call call;
    bench_open(&bench, NULL);
    call_fill(&call, TERCET_TRY, "order:1", "reserve");
    call_set_key(&call, "bolt");
    expect(bench_call(&bench, &call), TERCET__V1__OUTCOME__DONE, "");
    call_fill(&call, TERCET_CONFIRM, "order:1", "reserve");
    call.message.payload =
        (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t) "\xff\xff", .len = 2};
    expect(bench_call(&bench, &call), TERCET__V1__OUTCOME__AGAIN,
           "the request is not a message of type tercet.v1.Metadata any more");
    cr_assert_eq(recorder_calls(&bench.recorder, TERCET_CONFIRM), 0);
    bench_close(&bench);
}

Test(participant, without_hooks_keeps_the_rows)
{
    bench_open(&bench, NULL);
    expect(call_action(TERCET_TRY, "order:1", "empty"), TERCET__V1__OUTCOME__DONE, "");
    expect(call_action(TERCET_CONFIRM, "order:1", "empty"), TERCET__V1__OUTCOME__DONE, "");
    expect(call_action(TERCET_CANCEL, "order:1", "empty"), TERCET__V1__OUTCOME__BROKEN,
           tercet_broken_text(TERCET_BROKEN_CONFIRMED));
    bench_close(&bench);
}

Test(participant, takes_no_refusal_that_is_not_returned)
{
    bench_open(&bench, NULL);
    for (int i = 0; i < 2; i++) {
        const Tercet__V1__CallResult *result = call_action(TERCET_TRY, "order:1", "forgetful");
        cr_assert_eq(result->outcome, TERCET__V1__OUTCOME__AGAIN);
        cr_assert(strstr(result->reason, "called tercet_refuse and then returned 0") != NULL, "%s",
                  result->reason);
    }
    expect(call_action(TERCET_CONFIRM, "order:1", "forgetful"), TERCET__V1__OUTCOME__BROKEN,
           tercet_broken_text(TERCET_BROKEN_NO_TRY));
    bench_close(&bench);
}

/* Own calls */

static int hook_with_words(const struct tercet_call *call, void *ctx)
{
    const int *seats = ctx;
    if (call->kind != TERCET_TRY)
        return tercet_again(call, "the printer is on fire");
    if (*seats == 0)
        return tercet_refuse(call, "order %s: no seat left", call->gid);
    return tercet_reply_bytes(call, (struct tercet_bytes){"seat 7", 6});
}

Test(participant, guards_own_calls_with_words)
{
    struct tercet_barrier *barrier = NULL;
    struct tercet_bytes reply = {NULL, 0};
    const struct tercet_branch_id branch = {.number = 1};
    char text[TERCET_TEXT_MAX];
    int seats = 0;
    cr_assert_eq(tercet_barrier_memory_open(&barrier, NULL), 0);
    cr_assert_eq(tercet_guard(barrier, TERCET_TRY, "order:1", branch, 1, hook_with_words, &seats,
                              &reply, text),
                 TERCET_REFUSED);
    cr_assert_str_eq(text, "order order:1: no seat left");
    seats = 1;
    cr_assert_eq(tercet_guard(barrier, TERCET_TRY, "order:2", branch, 2, hook_with_words, &seats,
                              &reply, text),
                 0);
    cr_assert_str_eq(text, "");
    cr_assert_eq(reply.size, 6);
    cr_assert_eq(memcmp(reply.data, "seat 7", 6), 0);
    free((void *)(uintptr_t)reply.data);
    cr_assert_eq(tercet_guard(barrier, TERCET_CONFIRM, "order:2", branch, 2, hook_with_words,
                              &seats, NULL, text),
                 TERCET_AGAIN);
    cr_assert_str_eq(text, "the printer is on fire");
    cr_assert_eq(
        tercet_guard(barrier, TERCET_CONFIRM, "order:3", branch, 3, NULL, NULL, NULL, NULL),
        TERCET_BROKEN);
    tercet_barrier_close(barrier);
}

static int guarded(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    unsigned *count = ctx;
    (void)db;
    ++*count;
    if (call->kind == TERCET_TRY) {
        call->reply = strdup("seat 7");
        call->reply_size = 6;
    }
    return 0;
}

Test(participant, guards_own_calls)
{
    struct tercet_barrier *barrier = NULL;
    struct tercet_bytes reply = {NULL, 0};
    struct tercet_branch_id branch = {.number = 1};
    unsigned count = 0;
    cr_assert_eq(tercet_barrier_memory_open(&barrier, NULL), 0);
    cr_assert_eq(
        tercet_barrier_guard(barrier, TERCET_CONFIRM, "order:1", branch, 1, guarded, &count, NULL),
        TERCET_BROKEN);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(tercet_barrier_guard(barrier, TERCET_TRY, "order:1", branch, 1, guarded,
                                          &count, &reply),
                     0);
        cr_assert_eq(reply.size, 6);
        cr_assert_eq(memcmp(reply.data, "seat 7", 6), 0);
        free((void *)(uintptr_t)reply.data);
    }
    cr_assert_eq(
        tercet_barrier_guard(barrier, TERCET_TRY, "order:1", branch, 1, guarded, &count, NULL), 0);
    cr_assert_eq(count, 1);
    cr_assert_eq(
        tercet_barrier_guard(barrier, TERCET_CANCEL, "order:1", branch, 1, guarded, &count, NULL),
        0);
    cr_assert_eq(
        tercet_barrier_guard(barrier, TERCET_TRY, "order:1", branch, 1, guarded, &count, NULL),
        TERCET_REFUSED);
    cr_assert_eq(count, 2);
    tercet_barrier_close(barrier);
}

/* Arguments */

static void expect_wrong(const struct tercet_action *actions, size_t count,
                         const struct tercet_participant_options *options, int error,
                         const char *word)
{
    struct tercet_participant *participant = NULL;
    char text[TERCET_TEXT_MAX] = "";
    cr_expect_eq(tercet_participant_open(&participant, "127.0.0.1:1", "inventory", actions, count,
                                         options, text),
                 error);
    cr_expect_not_null(strstr(text, word), "\"%s\" says nothing of \"%s\"", text, word);
    cr_expect_null(participant);
}

Test(participant, names_what_is_wrong_with_its_options)
{
    const struct tercet_action twice[] = {{.name = "a"}, {.name = "a"}}, slash = {.name = "a/b"};
    struct tercet_participant_options options = {.size = sizeof(options)};
    struct tercet_participant *participant = NULL;
    char text[TERCET_TEXT_MAX];
    expect_wrong(actions_example, 1, &options, TERCET_INVALID, "barrier");
    cr_assert_eq(tercet_barrier_memory_open(&options.barrier, NULL), 0);
    expect_wrong(twice, 2, &options, TERCET_INVALID, "same name");
    expect_wrong(&slash, 1, &options, TERCET_INVALID, "without the service");
    expect_wrong(twice, 0, &options, TERCET_INVALID, "256");
    options.batch_max = 100000;
    expect_wrong(twice, 1, &options, TERCET_INVALID, "1024");
    options.batch_max = 0;
    options.listen = "0.0.0.0:0";
    expect_wrong(twice, 1, &options, TERCET_ADDRESS, "loopback");
    options.listen = "127.0.0.1.example:0";
    expect_wrong(twice, 1, &options, TERCET_ADDRESS, "loopback");
    options.listen = "127.0.0.1:99999";
    expect_wrong(twice, 1, &options, TERCET_ADDRESS, "99999");
    cr_assert_eq(
        tercet_participant_open(&participant, "nowhere", "inventory", twice, 1, &options, text),
        TERCET_ADDRESS);
    cr_assert_eq(tercet_participant_open(&participant, "127.0.0.1:1", "in ventory", twice, 1,
                                         &options, text),
                 TERCET_INVALID);
    tercet_participant_close(NULL);
    tercet_barrier_close(options.barrier);
}
