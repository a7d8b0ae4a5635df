/* SPDX-License-Identifier: Apache-2.0
 *
 * A participant that is called: its server, its registration.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

TestSuite(listen, .timeout = 200);

static struct bench bench;

/* The calling side of Execute. */
struct caller {
    struct crpc_loop *loop;
    struct crpc_channel *channel;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned done, exhausted, unauthenticated, ended;
    Tercet__V1__Outcome outcome;
    char reply[32];
};

static void on_executed(const ProtobufCMessage *reply, const struct crpc_status *status, void *ctx)
{
    struct caller *caller = ctx;
    const Tercet__V1__CallResult *result = (const Tercet__V1__CallResult *)reply;
    pthread_mutex_lock(&caller->lock);
    caller->ended++;
    caller->unauthenticated += status->code == CRPC_UNAUTHENTICATED;
    caller->exhausted += status->code == CRPC_RESOURCE_EXHAUSTED;
    if (status->code == CRPC_OK) {
        caller->done++;
        caller->outcome = result->outcome;
        snprintf(caller->reply, sizeof(caller->reply), "%.*s", (int)result->reply.len,
                 (const char *)result->reply.data);
    }
    pthread_cond_broadcast(&caller->changed);
    pthread_mutex_unlock(&caller->lock);
}

static void open_caller(struct caller *caller, const char *target)
{
    *caller =
        (struct caller){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    cr_assert_eq(crpc_loop_new(&caller->loop, NULL), 0);
    cr_assert_eq(crpc_channel_new(&caller->channel, caller->loop, target, NULL), 0);
}

static void close_caller(struct caller *caller)
{
    crpc_channel_free(caller->channel);
    crpc_loop_free(caller->loop);
}

/* With this token; "": with none. */
static void start_with(struct caller *caller, const struct call *call, const char *token)
{
    char bearer[300];
    snprintf(bearer, sizeof(bearer), "Bearer %s", token);
    const struct crpc_metadata entry = {.key = "authorization", .value = {bearer, strlen(bearer)}};
    struct crpc_call_options options = {.size = sizeof(options),
                                        .timeout_ms = WAIT_MS,
                                        .metadata = &entry,
                                        .metadata_count = token[0] != '\0'};
    cr_assert_eq(crpc_unary_start(NULL, caller->channel, &tercet__v1__participant__descriptor,
                                  "Execute", &call->message.base, &options, on_executed, caller),
                 0);
}

static void start(struct caller *caller, const struct call *call)
{
    start_with(caller, call, "");
}

static void wait_ended(struct caller *caller, unsigned count)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_MS / 1000;
    pthread_mutex_lock(&caller->lock);
    while (caller->ended < count && rc == 0)
        rc = pthread_cond_timedwait(&caller->changed, &caller->lock, &until);
    pthread_mutex_unlock(&caller->lock);
    cr_assert_eq(rc, 0, "Execute was not answered");
}

static const char *open_listening(uint32_t window, const char *address, const char *target)
{
    struct tercet_participant_options options = {.size = sizeof(options),
                                                 .window = window,
                                                 .batch_max = 1,
                                                 .listen = address,
                                                 .target = target};
    bench_open(&bench, &options);
    const Tercet__V1__RegisterRequest *registration =
        fake_next(&bench.fake, FAKE_REGISTER)->registration;
    cr_assert_str_eq(registration->service, "inventory");
    cr_assert_eq(registration->n_actions, action_example_count);
    /* only then it knows that this coordinator sends no token */
    cr_assert_eq(tercet_participant_wait(bench.participant, WAIT_MS, NULL), 0);
    return registration->target;
}

Test(listen, registers_and_is_called)
{
    struct caller caller;
    struct call call;
    open_caller(&caller, open_listening(0, "127.0.0.1:0", NULL));
    cr_assert_eq(tercet_participant_wait(bench.participant, WAIT_MS, NULL), 0);
    call_fill(&call, TERCET_TRY, "order:1", "reserve");
    call_set_key(&call, "bolt");
    start(&caller, &call);
    wait_ended(&caller, 1);
    start(&caller, &call);
    wait_ended(&caller, 2);
    cr_assert_eq(caller.done, 2);
    cr_assert_eq(caller.outcome, TERCET__V1__OUTCOME__DONE);
    cr_assert_str_eq(caller.reply, "bolt");
    cr_assert_eq(recorder_calls(&bench.recorder, TERCET_TRY), 1);
    call_fill(&call, TERCET_TRY, "order:2", "refuse");
    start(&caller, &call);
    wait_ended(&caller, 3);
    cr_assert_eq(caller.outcome, TERCET__V1__OUTCOME__REFUSAL);
    close_caller(&caller);
    bench_close(&bench);
}

/* One forged call with a huge low-water mark would otherwise shut out all later tries. */
static void check_door(const struct tercet_participant_options *given, const char *wanted)
{
    struct caller caller;
    struct call call;
    char token[300];
    struct tercet_participant_options options = *given;
    bench_keeps_token = true;
    bench_open(&bench, &options);
    const Tercet__V1__RegisterRequest *registration =
        fake_next(&bench.fake, FAKE_REGISTER)->registration;
    snprintf(token, sizeof(token), "%s", registration->token);
    if (wanted != NULL)
        cr_assert_str_eq(token, wanted);
    cr_assert_geq(strlen(token), 32);
    open_caller(&caller, given->target != NULL ? given->listen : registration->target);
    cr_assert_eq(tercet_participant_wait(bench.participant, WAIT_MS, NULL), 0);
    call_fill(&call, TERCET_TRY, "order:1", "reserve");
    call_set_key(&call, "bolt");
    start(&caller, &call);
    wait_ended(&caller, 1);
    start_with(&caller, &call, "a-token-of-somebody-else-entirely");
    wait_ended(&caller, 2);
    token[3] ^= 1;
    start_with(&caller, &call, token);
    wait_ended(&caller, 3);
    cr_assert_eq(caller.unauthenticated, 3);
    cr_assert_eq(recorder_calls(&bench.recorder, TERCET_TRY), 0);
    token[3] ^= 1;
    start_with(&caller, &call, token);
    wait_ended(&caller, 4);
    cr_assert_eq(caller.done, 1);
    close_caller(&caller);
    bench_close(&bench);
}

Test(listen, who_is_not_the_coordinator_is_refused)
{
    static const struct tercet_participant_options options = {.size = sizeof(options),
                                                              .listen = "127.0.0.1:0"};
    check_door(&options, NULL);
}

Test(listen, a_token_of_ones_own_is_for_all_behind_one_target)
{
    char address[64];
    snprintf(address, sizeof(address), "unix:/tmp/tercet-test-%ld.sock", (long)getpid());
    const struct tercet_participant_options options = {.size = sizeof(options),
                                                       .listen = address,
                                                       .target = "dns:///inventory:7000",
                                                       .caller_token =
                                                           "0123456789abcdef0123456789abcdef"};
    check_door(&options, options.caller_token);
    unlink(address + 5);
    strncat(address, ".lock", sizeof(address) - strlen(address) - 1);
    unlink(address + 5);
}

Test(listen, what_cannot_be_checked_is_refused_at_the_start)
{
    struct tercet_participant *participant = NULL;
    struct tercet_barrier *barrier = NULL;
    char text[TERCET_TEXT_MAX];
    cr_assert_eq(tercet_barrier_memory_open(&barrier, NULL), 0);
    struct tercet_participant_options options = {.size = sizeof(options),
                                                 .barrier = barrier,
                                                 .listen = "127.0.0.1:0",
                                                 .caller_token = "short"};
    cr_assert_eq(tercet_participant_open(&participant, "127.0.0.1:1", "inventory", actions_example,
                                         1, &options, text),
                 TERCET_INVALID);
    cr_assert_not_null(strstr(text, "16"), "%s", text);
    options.caller_token = NULL;
    options.caller_identity = "coordinator.example";
    cr_assert_eq(tercet_participant_open(&participant, "127.0.0.1:1", "inventory", actions_example,
                                         1, &options, text),
                 TERCET_INVALID);
    cr_assert_not_null(strstr(text, "tls_ca"), "%s", text);
    tercet_barrier_close(barrier);
}

Test(listen, listens_at_a_unix_socket_and_names_another_target)
{
    char address[64];
    snprintf(address, sizeof(address), "unix:/tmp/tercet-test-%ld.sock", (long)getpid());
    cr_assert_str_eq(open_listening(0, address, NULL), address);
    bench_close(&bench);
    cr_assert_str_eq(open_listening(0, address, "dns:///inventory:7000"), "dns:///inventory:7000");
    bench_close(&bench);
    unlink(address + 5);
    strncat(address, ".lock", sizeof(address) - strlen(address) - 1);
    unlink(address + 5);
}

Test(listen, registers_until_it_is_accepted)
{
    struct tercet_participant *participant = NULL;
    struct tercet_barrier *barrier = NULL;
    char text[TERCET_TEXT_MAX];
    fake_start(&bench.fake);
    fake_refuse(&bench.fake, CRPC_UNAVAILABLE);
    cr_assert_eq(tercet_barrier_memory_open(&barrier, NULL), 0);
    struct tercet_participant_options options = {
        .size = sizeof(options), .barrier = barrier, .listen = "localhost:0"};
    cr_assert_eq(tercet_participant_open(&participant, bench.fake.address, "inventory",
                                         actions_example, 1, &options, NULL),
                 0);
    fake_next(&bench.fake, FAKE_REGISTER);
    fake_next(&bench.fake, FAKE_REGISTER);
    cr_assert_eq(tercet_participant_wait(participant, 0, text), TERCET_UNAVAILABLE);
    cr_assert_str_eq(text, "UNAVAILABLE: turned away by the test");
    fake_refuse(&bench.fake, CRPC_OK);
    cr_assert_eq(tercet_participant_wait(participant, WAIT_MS, NULL), 0);
    tercet_participant_close(participant);
    fake_stop(&bench.fake);
    tercet_barrier_close(barrier);
}

Test(listen, says_when_it_is_full)
{
    struct caller caller;
    struct call calls[3];
    static const char *const gids[] = {"order:1", "order:2", "order:3"};
    open_caller(&caller, open_listening(1, "127.0.0.1:0", NULL));
    for (int i = 0; i < 3; i++)
        call_fill(&calls[i], TERCET_TRY, gids[i], "gate");
    start(&caller, &calls[0]);
    recorder_wait_entered(&bench.recorder, 1);
    start(&caller, &calls[1]); /* one of these two waits, the other finds no room */
    start(&caller, &calls[2]);
    wait_ended(&caller, 1);
    cr_assert_eq(caller.exhausted, 1);
    recorder_open_gate(&bench.recorder);
    wait_ended(&caller, 3);
    cr_assert_eq(caller.done, 2);
    close_caller(&caller);
    bench_close(&bench);
}

Test(listen, answers_every_call_when_it_closes)
{
    enum { COUNT = 20 };
    static char gids[COUNT][16];
    struct caller caller;
    struct call calls[COUNT];
    open_caller(&caller, open_listening(0, "127.0.0.1:0", NULL));
    for (int i = 0; i < COUNT; i++) {
        snprintf(gids[i], sizeof(gids[i]), "order:%d", i);
        call_fill(&calls[i], TERCET_TRY, gids[i], "gate");
        start(&caller, &calls[i]);
    }
    recorder_wait_entered(&bench.recorder, 1);
    recorder_open_gate(&bench.recorder);
    tercet_participant_close(bench.participant);
    wait_ended(&caller, COUNT);
    cr_assert_eq(caller.done, recorder_calls(&bench.recorder, TERCET_TRY),
                 "what was begun was told");
    bench.participant = NULL;
    close_caller(&caller);
    bench_close(&bench);
}
