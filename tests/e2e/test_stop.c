/* SPDX-License-Identifier: Apache-2.0
 *
 * How tercetd ends when it is told to: what was asked before is answered, what comes then is
 * refused, and nobody who never answers keeps it.
 */
#include "fixture.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(stop, .timeout = 400);

/* with the largest replies, 4 MiB: far more than a transport takes for a client that does not
 * read */
#define TRIES 1024
#define TRIES_EACH 64 /* of a transaction: more replies than 1 MiB it does not keep */

/* Somebody who waits for the end of a transaction, whose deadline is far away. */
struct order {
    struct tercet_client *client;
    const char *gid;
    pthread_t thread;
    int code;
    struct tercet_result result;
};

static void *run_order(void *ctx)
{
    struct order *order = ctx;
    struct tercet_branch branch = branch_of("stock");
    struct tercet_begin_options options = options_of(order->gid, FOR_EVER);
    options.wait = TERCET_WAIT_DECIDED;
    branch.try_timeout_ms = FOR_EVER;
    order->code = tercet_run(order->client, &branch, 1, &options, &order->result);
    return NULL;
}

/* Until it is begun; its try does not come back. */
static void start_order(struct order *order)
{
    cr_assert_eq(pthread_create(&order->thread, NULL, run_order, order), 0);
    WAIT_FOR(world_state(order->gid) == TERCET_TRYING);
}

static void open_held(const char *grace)
{
    world_open((const char *const[]){"--grace", grace, NULL});
    party_open(&stock, "stock");
    atomic_store(&stock.is_held, true);
}

static void expect_good_end(void)
{
    int status = 0;
    cr_assert(process_wait(&world.daemon.process, WAIT_MS, &status), "tercetd does not end");
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", (unsigned)status);
}

static void restart_and_expect_confirmed(const char *gid)
{
    world_restart();
    world_wait_state(gid, TERCET_CONFIRMED);
    party_close(&stock);
    world_close();
}

static enum crpc_code begin_another(void)
{
    Tercet__V1__BeginRequest request = TERCET__V1__BEGIN_REQUEST__INIT;
    enum crpc_code code;
    Tercet__V1__Transaction *transaction = world_ask("Begin", &request.base, &code);
    crpc_message_free((ProtobufCMessage *)transaction);
    return code;
}

Test(stop, what_is_owed_is_answered_and_what_is_new_refused)
{
    open_held("1000s");
    struct order order = {.client = world.client, .gid = "order:1"};
    start_order(&order);
    kill(world.daemon.process.pid, SIGTERM);
    WAIT_FOR(begin_another() == CRPC_UNAVAILABLE);
    party_release(&stock);
    pthread_join(order.thread, NULL);
    cr_expect_eq(order.code, 0, "%s", order.result.text);
    cr_expect(order.result.state == TERCET_CONFIRMING || order.result.state == TERCET_CONFIRMED,
              "state %d", order.result.state);
    expect_good_end();
    restart_and_expect_confirmed("order:1");
}

Test(stop, who_never_answers_does_not_keep_it)
{
    open_held("100ms");
    struct order order = {.client = world.client, .gid = "order:1"};
    start_order(&order);
    kill(world.daemon.process.pid, SIGTERM);
    expect_good_end();
    cr_expect_eq(atomic_load(&stock.done[TERCET_TRY]), 0);
    party_release(&stock);
    world_restart();
    pthread_join(order.thread, NULL);
    cr_expect_eq(order.code, 0, "the client asks again: %s", order.result.text);
    world_wait_state("order:1", TERCET_CONFIRMED);
    party_close(&stock);
    world_close();
}

struct awaited {
    atomic_int code; /* -1: not told yet */
    char text[TERCET_TEXT_MAX];
};

static void on_awaited_once(const ProtobufCMessage *reply, const struct crpc_status *status,
                            void *ctx)
{
    struct awaited *awaited = ctx;
    (void)reply;
    snprintf(awaited->text, sizeof(awaited->text), "%s", status->message);
    atomic_store(&awaited->code, (int)status->code);
    happened();
}

/* One over a session, which asks the next coordinator by itself, and one by a unary call. */
Test(stop, who_only_awaits_does_not_keep_it)
{
    struct told by_session = {.count = 0};
    struct awaited by_unary = {.code = -1};
    struct tercet_branch branch = branch_of("stock");
    struct tercet_begin_options options = options_of("order:1", FOR_EVER);
    Tercet__V1__AwaitRequest request = TERCET__V1__AWAIT_REQUEST__INIT;
    branch.try_timeout_ms = FOR_EVER;
    options.wait = TERCET_WAIT_NOT;
    open_held("1000s");
    cr_assert_eq(tercet_run(world.client, &branch, 1, &options, NULL), 0);
    cr_assert_eq(tercet_await_start(world.client, "order:1", TERCET_WAIT_RESOLVED, WAIT_MS, on_told,
                                    &by_session),
                 0);
    request.gid = (char *)(uintptr_t) "order:1";
    cr_assert_eq(crpc_unary_start(NULL, world.channel, &tercet__v1__coordinator__descriptor,
                                  "Await", &request.base, NULL, on_awaited_once, &by_unary),
                 0);
    cr_assert_eq(world_state("order:1"), TERCET_TRYING);
    cr_assert_eq(begin_another(), CRPC_OK);
    cr_assert_eq(atomic_load(&by_unary.code), -1);
    kill(world.daemon.process.pid, SIGTERM);
    expect_good_end();
    AWAIT(atomic_load(&by_unary.code) != -1);
    cr_assert_eq(atomic_load(&by_unary.code), CRPC_UNAVAILABLE);
    cr_assert_not_null(strstr(by_unary.text, "stopping"), "%s", by_unary.text);
    cr_assert_eq(atomic_load(&by_session.count), 0);
    party_release(&stock);
    world_restart();
    AWAIT(atomic_load(&by_session.count) == 1);
    cr_assert_eq(by_session.result.code, 0, "%s", by_session.result.text);
    cr_assert_eq(by_session.result.state, TERCET_CONFIRMED);
    party_close(&stock);
    world_close();
}

/* One who goes before the stop, and one who goes after it has begun. */
Test(stop, what_is_owed_to_the_dead_does_not_keep_it)
{
    struct order orders[] = {{.gid = "order:1"}, {.gid = "order:2"}};
    open_held("1000s");
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(tercet_client_open(&orders[i].client, world.daemon.address, NULL, NULL), 0);
        start_order(&orders[i]);
    }
    for (int i = 0; i < 2; i++) {
        tercet_client_close(orders[i].client);
        pthread_join(orders[i].thread, NULL);
        cr_expect_eq(orders[i].code, TERCET_UNKNOWN, "%s", orders[i].result.text);
        if (i == 0)
            kill(world.daemon.process.pid, SIGTERM);
        if (i == 0)
            WAIT_FOR(begin_another() == CRPC_UNAVAILABLE);
    }
    expect_good_end();
    party_release(&stock);
    restart_and_expect_confirmed("order:2");
}

/* A session over which the tries of some transactions are asked for, all in one message. */
static struct crpc_stream *ask_for_tries(void)
{
    static Tercet__V1__SessionRequest requests[TRIES];
    static Tercet__V1__TryRequest tries[TRIES];
    static Tercet__V1__Branch branches[TRIES];
    static char gids[TRIES][16];
    Tercet__V1__SessionRequest *listed[TRIES];
    Tercet__V1__SessionRequests message = TERCET__V1__SESSION_REQUESTS__INIT;
    Tercet__V1__BeginRequest begin = TERCET__V1__BEGIN_REQUEST__INIT;
    struct crpc_stream *stream;
    for (uint32_t i = 0; i < TRIES; i++) {
        tercet__v1__branch__init(&branches[i]);
        branches[i].number = 1 + i % TRIES_EACH;
        branches[i].action = (char *)(uintptr_t) "stock/big";
        tercet__v1__try_request__init(&tries[i]);
        snprintf(gids[i], sizeof(gids[i]), "order:%u", i / TRIES_EACH);
        tries[i].gid = gids[i];
        tries[i].branch = &branches[i];
        tries[i].begin = i % TRIES_EACH == 0 ? &begin : NULL;
        tercet__v1__session_request__init(&requests[i]);
        requests[i].id = i + 1;
        requests[i].request_case = TERCET__V1__SESSION_REQUEST__REQUEST_TRY_BRANCH;
        requests[i].try_branch = &tries[i];
        listed[i] = &requests[i];
    }
    message.requests = listed;
    message.n_requests = TRIES;
    cr_assert_eq(crpc_stream_open(&stream, world.channel, &tercet__v1__coordinator__descriptor,
                                  "Session", NULL),
                 0);
    cr_assert_eq(crpc_stream_write(stream, &message.base), 0);
    return stream;
}

/* Reads to the end, which must be a good one. */
static size_t count_replies(struct crpc_stream *stream)
{
    Tercet__V1__SessionResponses *message = NULL;
    struct crpc_result ended = {.code = CRPC_OK};
    size_t count = 0;
    while (crpc_stream_read((ProtobufCMessage **)&message, stream) == 0) {
        for (size_t i = 0; i < message->n_responses; i++)
            count += message->responses[i]->code == CRPC_OK &&
                     message->responses[i]->tried->reply.len == TERCET_REPLY_MAX;
        crpc_message_free(&message->base);
    }
    crpc_stream_finish(stream, &ended);
    cr_expect_eq(ended.code, CRPC_OK, "%s", ended.message);
    crpc_result_clear(&ended);
    return count;
}

/* What the coordinator knows to be done it has answered. */
static int count_answered(void)
{
    int count = 0;
    for (int i = 0; i < TRIES / TRIES_EACH; i++) {
        char gid[16];
        snprintf(gid, sizeof(gid), "order:%d", i);
        Tercet__V1__Transaction *transaction = world_show(gid);
        for (size_t k = 0; transaction != NULL && k < transaction->n_branches; k++)
            count += transaction->branches[k]->try_state == TERCET__V1__TRY_STATE__TRY_DONE;
        crpc_message_free((ProtobufCMessage *)transaction);
    }
    return count;
}

static bool is_listening(void)
{
    int fd = process_connect(world.daemon.address);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* All is answered, and nothing read, when it stops listening: from there on it may cut. */
Test(stop, what_is_answered_is_sent_to_who_reads_slowly)
{
    world_open((const char *const[]){"--grace", "1000s", NULL});
    party_open(&stock, "stock");
    struct crpc_stream *stream = ask_for_tries();
    AWAIT(atomic_load(&stock.done[TERCET_TRY]) == TRIES);
    WAIT_FOR(count_answered() == TRIES);
    kill(world.daemon.process.pid, SIGTERM);
    WAIT_FOR(!is_listening());
    size_t count = count_replies(stream);
    cr_expect_eq(count, TRIES, "%zu replies", count);
    expect_good_end();
    party_close(&stock);
    world_close();
}
