/* SPDX-License-Identifier: Apache-2.0
 *
 * How tercetd ends when it is told to: what was asked before is answered, what comes then is refused, and nobody who never
 * answers keeps it.
 */
#include "fixture.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

TestSuite(stop, .timeout = 400);

#define TRIES 256   /* with the largest replies, 4 MiB: far more than a transport takes for a client that does not read */
#define TRIES_EACH 64 /* of a transaction: more replies than 1 MiB it does not keep */

static struct world world;
static struct party stock;
static struct tercet_result result;

static void *run_order(void *code)
{
    *(int *)code = RUN(&world, "order:1", TERCET_WAIT_DECIDED, &result, "stock");
    return NULL;
}

/* Begins order:1, whose try does not come back, and tells tercetd to stop. */
static pthread_t stop_amid_a_try(const char *const *options, int *code)
{
    pthread_t thread;
    world_open(&world, options);
    party_open(&stock, &world, "stock");
    atomic_store(&stock.is_held, true);
    cr_assert_eq(pthread_create(&thread, NULL, run_order, code), 0);
    WAIT_FOR(atomic_load(&stock.entered[TERCET_TRY]) == 1);
    kill(world.daemon.process.pid, SIGTERM);
    return thread;
}

static void expect_good_end(void)
{
    int status = 0;
    cr_assert(process_wait(&world.daemon.process, WAIT_MS, &status), "tercetd does not end");
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %#x", (unsigned)status);
}

static enum crpc_code begin_another(void)
{
    Tercet__V1__BeginRequest request = TERCET__V1__BEGIN_REQUEST__INIT;
    enum crpc_code code;
    Tercet__V1__Transaction *transaction = world_ask(&world, "Begin", &request.base, &code);
    crpc_message_free((ProtobufCMessage *)transaction);
    return code;
}

Test(stop, what_is_owed_is_answered_and_what_is_new_refused)
{
    int code = -1;
    pthread_t thread = stop_amid_a_try((const char *const[]){"--grace", "100s", NULL}, &code);
    WAIT_FOR(begin_another() == CRPC_UNAVAILABLE);
    party_release(&stock);
    pthread_join(thread, NULL);
    cr_expect_eq(code, 0, "%s", result.text);
    cr_expect(result.state == TERCET_CONFIRMING || result.state == TERCET_CONFIRMED, "state %d", result.state);
    expect_good_end();
    world_restart(&world);
    world_wait_state(&world, "order:1", TERCET_CONFIRMED);
    party_close(&stock);
    world_close(&world);
}

Test(stop, who_never_answers_does_not_keep_it)
{
    int code = -1;
    pthread_t thread = stop_amid_a_try((const char *const[]){"--grace", "100ms", NULL}, &code);
    expect_good_end();
    cr_expect_eq(atomic_load(&stock.done[TERCET_TRY]), 0);
    party_release(&stock);
    world_restart(&world);
    pthread_join(thread, NULL);
    cr_expect_eq(code, 0, "the client asks again: %s", result.text);
    world_wait_state(&world, "order:1", TERCET_CONFIRMED);
    party_close(&stock);
    world_close(&world);
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
        branches[i].action = (char *)(uintptr_t)"stock/big";
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
    cr_assert_eq(
        crpc_stream_open(&stream, world.channel, &tercet__v1__coordinator__descriptor, "Session", NULL), 0);
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
            count += message->responses[i]->code == CRPC_OK && message->responses[i]->tried->reply.len == TERCET_REPLY_MAX;
        crpc_message_free(&message->base);
    }
    crpc_stream_finish(stream, &ended);
    cr_expect_eq(ended.code, CRPC_OK, "%s", ended.message);
    crpc_result_clear(&ended);
    return count;
}

Test(stop, what_is_answered_is_sent_to_who_reads_slowly)
{
    world_open(&world, (const char *const[]){"--grace", "100s", NULL});
    party_open(&stock, &world, "stock");
    struct crpc_stream *stream = ask_for_tries();
    WAIT_FOR(atomic_load(&stock.done[TERCET_TRY]) == TRIES);
    kill(world.daemon.process.pid, SIGTERM);
    WAIT_FOR(begin_another() != CRPC_OK);
    size_t count = count_replies(stream);
    cr_expect_eq(count, TRIES, "%zu replies", count);
    expect_good_end();
    party_close(&stock);
    world_close(&world);
}
