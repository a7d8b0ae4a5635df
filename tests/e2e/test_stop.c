/* SPDX-License-Identifier: Apache-2.0
 *
 * How tercetd ends when it is told to: what was asked before is answered, what comes then is refused, and nobody who never
 * answers keeps it.
 */
#include "fixture.h"

#include <signal.h>
#include <sys/wait.h>

TestSuite(stop, .timeout = 400);

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
