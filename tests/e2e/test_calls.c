/* SPDX-License-Identifier: Apache-2.0
 *
 * How long a call is waited for, and what becomes of an instance that does not answer.
 */
#include "fixture.h"

#include <stdio.h>

TestSuite(calls, .timeout = 300);

static const char *const impatient[] = {"--call-timeout", "1s", NULL};

/* Begins a transaction of this one branch; answered when it is durable. */
static void run_one(const char *gid, struct tercet_branch branch)
{
    struct tercet_begin_options options = options_of(gid, FOR_EVER);
    struct tercet_result result;
    options.wait = TERCET_WAIT_NOT;
    cr_assert_eq(tercet_run(world.client, &branch, 1, &options, &result), 0, "%s", result.text);
}

/* -- Silence ----------------------------------------------------------------------------------- */

/* Answers everything but calls of the transaction "mute". Ends when its stream does. */
static void *answer_others(void *ctx)
{
    struct puppet *puppet = ctx;
    ProtobufCMessage *message = NULL;
    while (crpc_stream_read(&message, puppet->stream) == 0) {
        const Tercet__V1__AttachResponse *response = (const Tercet__V1__AttachResponse *)message;
        for (size_t i = 0; i < response->n_calls; i++)
            if (strcmp(response->calls[i]->gid, "mute") != 0)
                puppet_answer(puppet, response->calls[i]->id, TERCET__V1__OUTCOME__DONE);
        crpc_message_free(message);
    }
    return NULL;
}

static uint32_t attempts_of(const char *gid)
{
    Tercet__V1__Transaction *transaction = world_show(gid);
    uint32_t attempts = transaction->branches[0]->attempts;
    crpc_message_free(&transaction->base);
    return attempts;
}

/* With so little a window the others would stand still after two calls, if one that is never
 * answered kept its place. */
Test(calls, what_is_never_answered_holds_up_nobody_else)
{
    struct tercet_branch mute = branch_of("stock");
    struct tercet_result result;
    struct puppet puppet;
    pthread_t thread;
    world_open(impatient);
    puppet_attach(&puppet, "stock", 2);
    pthread_create(&thread, NULL, answer_others, &puppet);
    mute.try_timeout_ms = FOR_EVER;
    mute.call_timeout_ms = 1000;
    run_one("mute", mute);
    while (attempts_of("mute") < 4)
        cr_assert_eq(RUN(NULL, TERCET_WAIT_RESOLVED, &result, "stock"), 0, "%s", result.text);
    cr_assert_eq(world_participant("stock").n_instances, 1, "its stream has been ended");
    crpc_stream_cancel(puppet.stream);
    pthread_join(thread, NULL);
    crpc_stream_finish(puppet.stream, NULL);
    world_close();
}

Test(calls, who_answers_nothing_is_told_why_it_is_ended)
{
    struct tercet_branch mute = branch_of("stock");
    struct crpc_result end = {0};
    ProtobufCMessage *message = NULL;
    struct puppet puppet;
    world_open(impatient);
    puppet_attach(&puppet, "stock", 1);
    run_one("mute", mute);
    while (crpc_stream_read(&message, puppet.stream) == 0)
        crpc_message_free(message);
    crpc_stream_finish(puppet.stream, &end);
    cr_assert_eq(end.code, CRPC_DEADLINE_EXCEEDED, "%s", end.message);
    cr_assert_not_null(strstr(end.message, "the try of branch 1 (stock/do) of transaction mute"),
                       "%s", end.message);
    crpc_result_clear(&end);
    WAIT_FOR(world_participant("stock").n_instances == 0);
    world_close();
}

/* -- Timeouts ---------------------------------------------------------------------------------- */

/* Waits for the call, checks for how long it is waited, and answers it. */
static void expect_call(struct puppet *puppet, const char *gid, Tercet__V1__Kind kind,
                        uint32_t least_ms, uint32_t most_ms)
{
    Tercet__V1__AttachResponse *message = puppet_calls(puppet);
    const Tercet__V1__Call *call = message->calls[0];
    cr_assert_eq(message->n_calls, 1);
    cr_assert_str_eq(call->gid, gid);
    cr_assert_eq(call->kind, kind);
    cr_assert(call->timeout_ms >= least_ms && call->timeout_ms <= most_ms, "%s: %u ms", gid,
              call->timeout_ms);
    puppet_answer(puppet, call->id, TERCET__V1__OUTCOME__DONE);
    crpc_message_free(&message->base);
}

static void expect_timeouts(struct puppet *puppet, const char *gid, struct tercet_branch branch,
                            uint32_t try_ms, uint32_t end_ms)
{
    run_one(gid, branch);
    expect_call(puppet, gid, TERCET__V1__KIND__TRY, try_ms, try_ms);
    expect_call(puppet, gid, TERCET__V1__KIND__CONFIRM, end_ms, end_ms);
}

/* The initiator's word goes first, then that of the participant, then the option. */
Test(calls, how_long_a_call_is_waited_for)
{
    static const char *const patient[] = {"--call-timeout", "9s", NULL};
    Tercet__V1__ActionTimeouts timeouts = TERCET__V1__ACTION_TIMEOUTS__INIT, *asked = &timeouts;
    Tercet__V1__Hello hello = TERCET__V1__HELLO__INIT;
    struct puppet plain, slow;
    world_open(patient);
    puppet_attach(&plain, "plain", 10);
    hello.service = "slow";
    timeouts.action = "do";
    timeouts.call_timeout_ms = 7000;
    timeouts.end_timeout_ms = 20000;
    hello.timeouts = &asked;
    hello.n_timeouts = 1;
    puppet_hello(&slow, &hello);

    struct tercet_branch branch = branch_of("plain");
    expect_timeouts(&plain, "option", branch, 9000, 9000);
    branch.call_timeout_ms = 5000;
    expect_timeouts(&plain, "initiator", branch, 5000, 5000);
    branch.end_timeout_ms = 30000;
    expect_timeouts(&plain, "initiator-end", branch, 5000, 30000);
    branch = branch_of("slow");
    expect_timeouts(&slow, "participant", branch, 7000, 20000);
    branch.call_timeout_ms = 3000;
    expect_timeouts(&slow, "both", branch, 3000, 3000);
    puppet_die(&plain);
    puppet_die(&slow);
    world_close();
}

/* A try for which more time is asked than the call timeout has it, in one call. */
Test(calls, a_try_has_the_time_that_its_initiator_gave)
{
    struct tercet_branch branch = branch_of("stock");
    struct puppet puppet;
    world_open(impatient);
    puppet_attach(&puppet, "stock", 10);
    branch.try_timeout_ms = FOR_EVER;
    run_one("long", branch);
    expect_call(&puppet, "long", TERCET__V1__KIND__TRY, FOR_EVER / 2, FOR_EVER);
    expect_call(&puppet, "long", TERCET__V1__KIND__CONFIRM, 1000, 1000);
    branch.try_timeout_ms = 700;
    run_one("short", branch);
    expect_call(&puppet, "short", TERCET__V1__KIND__TRY, 1, 700);
    puppet_die(&puppet);
    world_close();
}

static void pause_stock(bool is_paused)
{
    Tercet__V1__PauseRequest request = TERCET__V1__PAUSE_REQUEST__INIT;
    request.service = "stock";
    request.paused = is_paused;
    cr_assert_eq(world_call(&tercet__v1__admin__descriptor, "Pause", &request.base, NULL), CRPC_OK);
}

Test(calls, what_the_initiator_asked_for_outlives_the_coordinator)
{
    struct tercet_branch branch = branch_of("stock");
    struct puppet puppet;
    world_open(NULL);
    branch.try_timeout_ms = FOR_EVER;
    branch.call_timeout_ms = 60000;
    branch.end_timeout_ms = 70000;
    run_one("kept", branch);
    pause_stock(true);
    kill_and_restart();
    puppet_attach(&puppet, "stock", 10);
    pause_stock(false);
    expect_call(&puppet, "kept", TERCET__V1__KIND__TRY, 60000, 60000);
    expect_call(&puppet, "kept", TERCET__V1__KIND__CONFIRM, 70000, 70000);
    puppet_die(&puppet);
    world_close();
}

Test(calls, timeouts_past_the_limit_are_refused)
{
    struct tercet_branch branch = branch_of("stock");
    struct tercet_result result;
    world_open(NULL);
    branch.end_timeout_ms = (uint32_t)TERCET_TIMEOUT_MS_MAX + 1;
    cr_assert_eq(tercet_run(world.client, &branch, 1, NULL, &result), TERCET_INVALID);
    Tercet__V1__ActionTimeouts timeouts = TERCET__V1__ACTION_TIMEOUTS__INIT, *asked = &timeouts;
    Tercet__V1__RegisterRequest request = TERCET__V1__REGISTER_REQUEST__INIT;
    char *actions[] = {"do"};
    request.service = "stock";
    request.target = "localhost:1";
    request.actions = actions;
    request.n_actions = 1;
    request.timeouts = &asked;
    request.n_timeouts = 1;
    timeouts.action = "do";
    timeouts.call_timeout_ms = branch.end_timeout_ms;
    cr_assert_eq(
        world_call(&tercet__v1__participants__descriptor, "RegisterTarget", &request.base, NULL),
        CRPC_INVALID_ARGUMENT);
    timeouts.call_timeout_ms = 1;
    timeouts.action = "other";
    cr_assert_eq(
        world_call(&tercet__v1__participants__descriptor, "RegisterTarget", &request.base, NULL),
        CRPC_INVALID_ARGUMENT, "of an action that is not offered");
    world_close();
}
