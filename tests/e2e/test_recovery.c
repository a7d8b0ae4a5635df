/* SPDX-License-Identifier: Apache-2.0
 *
 * kill -9 of tercetd in every state, and what it does when it is back; participants that go and
 * come.
 */
#include "fixture.h"

#include <stdio.h>
#include <time.h>

#define PATIENCE_MS 3000 /* of who goes step by step */

TestSuite(recovery, .timeout = 400);

static int done(struct party *party, enum tercet_kind kind)
{
    return atomic_load(&party->done[kind]);
}

/* -- In every state ---------------------------------------------------------------------------- */

Test(recovery, killed_while_trying_it_tries_on)
{
    struct tercet_result result;
    open_all(NULL);
    atomic_store(&stock.is_held, true);
    cr_assert_eq(RUN("trying", TERCET_WAIT_NOT, &result, "stock", "money"), 0);
    AWAIT(atomic_load(&stock.entered[TERCET_TRY]) == 1);
    daemon_kill(&world.daemon);
    party_release(&stock);
    world_restart();
    result = world_wait_state("trying", TERCET_CONFIRMED);
    cr_assert_eq(result.cause, TERCET_CAUSE_ALL_TRIED);
    cr_assert_eq(done(&stock, TERCET_TRY), 1, "the barrier knows the repeated try");
    cr_assert_eq(done(&stock, TERCET_CONFIRM), 1);
    cr_assert_eq(done(&money, TERCET_CONFIRM), 1);
    close_all();
}

Test(recovery, killed_while_confirming_it_confirms_on)
{
    struct tercet_result result;
    open_all(NULL);
    atomic_store(&money.again[TERCET_CONFIRM], FOR_EVER);
    cr_assert_eq(RUN("confirming", TERCET_WAIT_DECIDED, &result, "stock", "money"), 0);
    party_leave(&money);
    kill_and_restart();
    cr_assert_eq(world_state("confirming"), TERCET_CONFIRMING);
    AWAIT(done(&stock, TERCET_CONFIRM) == 1);
    atomic_store(&money.again[TERCET_CONFIRM], 0);
    party_come(&money);
    world_wait_state("confirming", TERCET_CONFIRMED);
    cr_assert_eq(done(&stock, TERCET_CONFIRM), 1);
    cr_assert_eq(done(&money, TERCET_CONFIRM), 1);
    close_all();
}

Test(recovery, killed_in_an_ordered_run_the_order_stays)
{
    const struct tercet_branch branches[] = {branch_of("stock"), branch_of("money")};
    struct tercet_begin_options options = options_of("ordered", 0);
    struct tercet_result result;
    options.is_ordered = true;
    options.wait = TERCET_WAIT_NOT;
    open_all(NULL);
    atomic_store(&stock.again[TERCET_TRY], FOR_EVER);
    cr_assert_eq(tercet_run(world.client, branches, 2, &options, &result), 0);
    for (int round = 0; round < 3; round++) {
        int before = atomic_load(&stock.entered[TERCET_TRY]);
        AWAIT(atomic_load(&stock.entered[TERCET_TRY]) > before + 1);
        kill_and_restart();
    }
    cr_assert_eq(atomic_load(&money.entered[TERCET_TRY]), 0);
    atomic_store(&stock.again[TERCET_TRY], 0);
    world_wait_state("ordered", TERCET_CONFIRMED);
    cr_assert_eq(done(&money, TERCET_TRY), 1);
    close_all();
}

static struct tercet_transaction *begin_patiently(const char *gid, uint32_t deadline_ms,
                                                  int64_t timeout_ms)
{
    struct tercet_begin_options options = options_of(gid, deadline_ms);
    const struct tercet_branch branch = branch_of("stock");
    options.timeout_ms = timeout_ms;
    struct tercet_transaction *transaction = NULL;
    cr_assert_eq(tercet_begin(&transaction, world.client, &options), 0);
    cr_assert_eq(tercet_try(transaction, &branch, NULL), 0);
    return transaction;
}

static struct tercet_transaction *begin_with_stock(const char *gid, uint32_t deadline_ms)
{
    return begin_patiently(gid, deadline_ms, PATIENCE_MS);
}

Test(recovery, killed_while_cancelling_it_cancels_on)
{
    const struct tercet_branch branch = branch_of("money");
    struct tercet_result result;
    open_all(NULL);
    atomic_store(&stock.again[TERCET_CANCEL], FOR_EVER);
    atomic_store(&money.refuses, true);
    struct tercet_transaction *transaction = begin_with_stock("cancelling", 0);
    cr_assert_eq(tercet_try(transaction, &branch, NULL), TERCET_REFUSED);
    AWAIT(atomic_load(&stock.entered[TERCET_CANCEL]) > 0);
    party_leave(&stock);
    kill_and_restart();
    cr_assert_eq(world_state("cancelling"), TERCET_CANCELLING);
    atomic_store(&stock.again[TERCET_CANCEL], 0);
    party_come(&stock);
    result = world_wait_state("cancelling", TERCET_CANCELLED);
    cr_assert_eq(result.cause, TERCET_CAUSE_REFUSED);
    cr_assert_str_eq(result.text, "sold out", "the reason is durable");
    cr_assert_eq(done(&stock, TERCET_CANCEL), 1);
    cr_assert_eq(done(&money, TERCET_CANCEL), 0);
    tercet_transaction_free(transaction);
    close_all();
}

/* Who waits for a transaction of another's is told of its decision and its end, each when it has
 * come, although the coordinator died before. */
Test(recovery, killed_while_it_is_awaited_it_tells_on)
{
    struct told decision = {.count = 0}, end = {.count = 0};
    open_all(NULL);
    atomic_store(&stock.again[TERCET_CONFIRM], FOR_EVER);
    struct tercet_transaction *transaction = begin_patiently("awaited", FOR_EVER, WAIT_MS);
    cr_assert_eq(tercet_await_start(world.client, "awaited", TERCET_WAIT_DECIDED, WAIT_MS, on_told,
                                    &decision),
                 0);
    cr_assert_eq(
        tercet_await_start(world.client, "awaited", TERCET_WAIT_RESOLVED, WAIT_MS, on_told, &end),
        0);
    cr_assert_eq(world_state("awaited"), TERCET_TRYING, "asked after both, on the same session");
    cr_assert_eq(atomic_load(&decision.count) + atomic_load(&end.count), 0);
    kill_and_restart();
    cr_assert_eq(tercet_confirm(transaction, TERCET_WAIT_DECIDED, NULL), 0);
    AWAIT(atomic_load(&decision.count) == 1);
    cr_assert_eq(decision.result.code, 0, "%s", decision.result.text);
    cr_assert_eq(decision.result.state, TERCET_CONFIRMING);
    cr_assert_eq(world_state("awaited"), TERCET_CONFIRMING);
    cr_assert_eq(atomic_load(&end.count), 0);
    kill_and_restart();
    atomic_store(&stock.again[TERCET_CONFIRM], 0);
    AWAIT(atomic_load(&end.count) == 1);
    cr_assert_eq(end.result.code, 0, "%s", end.result.text);
    cr_assert_eq(end.result.state, TERCET_CONFIRMED);
    cr_assert_eq(tercet_await(world.client, "awaited", TERCET_WAIT_RESOLVED, 0, NULL), 0,
                 "one that is over");
    cr_assert_eq(atomic_load(&decision.count), 1);
    tercet_transaction_free(transaction);
    close_all();
}

static size_t count_parked(void)
{
    Tercet__V1__ListRequest request = TERCET__V1__LIST_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    request.parked = true;
    cr_assert_eq(world_call(&tercet__v1__admin__descriptor, "List", &request.base, &reply),
                 CRPC_OK);
    size_t count = ((const Tercet__V1__ListResponse *)reply)->n_transactions;
    crpc_message_free(reply);
    return count;
}

Test(recovery, what_is_parked_is_parked_after_a_kill)
{
    static const char *const options[] = {"--park-after-failures", "2", NULL};
    struct tercet_result result;
    open_all(options);
    atomic_store(&money.again[TERCET_CONFIRM], FOR_EVER);
    cr_assert_eq(RUN("parked", TERCET_WAIT_DECIDED, &result, "stock", "money"), 0);
    WAIT_FOR(world_is_parked("parked"));
    cr_assert_eq(world_statistics().parked_branches, 1);
    party_leave(&money);
    kill_and_restart();
    cr_assert(world_is_parked("parked"));
    cr_assert_eq(count_parked(), 1);
    cr_assert_eq(world_statistics().parked_branches, 1);
    atomic_store(&money.again[TERCET_CONFIRM], 0);
    party_come(&money);
    world_wait_state("parked", TERCET_CONFIRMED);
    cr_assert_eq(world_statistics().parked_branches, 0);
    cr_assert_eq(count_parked(), 0);
    close_all();
}

Test(recovery, a_try_that_was_told_as_done_stays_so)
{
    struct tercet_result result;
    open_all(NULL);
    struct tercet_transaction *transaction = begin_with_stock("told", 0);
    daemon_kill(&world.daemon); /* before the mark of the try is written, most likely */
    party_leave(&stock);
    world_restart();
    int rc = tercet_confirm(transaction, TERCET_WAIT_DECIDED, &result);
    cr_assert(rc == 0 || rc == TERCET_UNKNOWN, "%s: %s", tercet_error_name(rc), result.text);
    party_come(&stock);
    rc = tercet_confirm(transaction, TERCET_WAIT_RESOLVED, &result);
    cr_assert_eq(rc, 0, "%s: %s", tercet_error_name(rc), result.text);
    cr_assert_eq(done(&stock, TERCET_TRY), 1);
    cr_assert_eq(done(&stock, TERCET_CONFIRM), 1);
    tercet_transaction_free(transaction);
    close_all();
}

/* Nothing that was told may be otherwise afterwards, however soon the kill comes. */
Test(recovery, every_decision_that_was_told_is_there_after_the_kill)
{
    char gid[32];
    struct tercet_result result;
    open_all(NULL);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 10; i++) {
            snprintf(gid, sizeof(gid), "told-%d-%d", round, i);
            atomic_store(&money.refuses, i % 3 == 0);
            int rc = RUN(gid, TERCET_WAIT_DECIDED, &result, "stock", "money");
            cr_assert_eq(rc, i % 3 == 0 ? TERCET_REFUSED : 0, "%s: %s", tercet_error_name(rc),
                         result.text);
        }
        kill_and_restart();
        for (int i = 0; i < 10; i++) {
            snprintf(gid, sizeof(gid), "told-%d-%d", round, i);
            world_wait_state(gid, i % 3 == 0 ? TERCET_CANCELLED : TERCET_CONFIRMED);
        }
    }
    cr_assert_eq(done(&money, TERCET_CONFIRM), 60);
    cr_assert_eq(done(&stock, TERCET_CONFIRM), 60);
    cr_assert_eq(done(&stock, TERCET_CANCEL), done(&stock, TERCET_TRY) - 60);
    close_all();
}

/* -- What is over ------------------------------------------------------------------------------ */

Test(recovery, resolved_transactions_are_kept_and_then_dropped)
{
    static const char *const options[] = {"--retention", "2s", NULL};
    struct tercet_result result;
    open_all(options);
    cr_assert_eq(RUN("over", TERCET_WAIT_RESOLVED, &result, "stock", "money"), 0);
    kill_and_restart();
    cr_assert_eq(tercet_get(world.client, "over", &result), 0, "%s", result.text);
    cr_assert_eq(result.state, TERCET_CONFIRMED);
    cr_assert_eq(result.branch_count, 2);
    WAIT_FOR(tercet_get(world.client, "over", &result) == TERCET_NOT_FOUND);
    WAIT_FOR(world_statistics().resolved_records == 0);
    close_all();
}

/* Participants refuse what is at or below the highest mark that they were told: numbers must not go
 * back, not even when nothing is left of those that were given. */
Test(recovery, numbers_go_on_when_nothing_is_left)
{
    static const char *const options[] = {"--retention", "1s", NULL};
    struct tercet_result first, second;
    open_all(options);
    for (int i = 0; i < 20; i++)
        cr_assert_eq(RUN(NULL, TERCET_WAIT_RESOLVED, &first, "stock"), 0);
    WAIT_FOR(world_statistics().resolved_records == 0);
    kill_and_restart();
    cr_assert_eq(RUN(NULL, TERCET_WAIT_RESOLVED, &second, "stock"), 0, "%s", second.text);
    cr_assert_gt(second.number, first.number);
    close_all();
}

static void expect_replies(const Tercet__V1__Transaction *transaction)
{
    cr_assert_not_null(transaction);
    cr_assert_eq(transaction->state, TERCET__V1__STATE__CONFIRMED);
    cr_assert_eq(transaction->n_branches, 2);
    for (size_t i = 0; i < 2; i++) {
        cr_assert_eq(transaction->branches[i]->reply.len, 6);
        cr_assert_eq(memcmp(transaction->branches[i]->reply.data, "re:abc", 6), 0);
    }
}

Test(recovery, a_run_repeated_after_a_restart_gets_the_replies_again)
{
    Tercet__V1__RunRequest run = TERCET__V1__RUN_REQUEST__INIT;
    Tercet__V1__Branch branches[2] = {TERCET__V1__BRANCH__INIT, TERCET__V1__BRANCH__INIT},
                       *list[] = {&branches[0], &branches[1]};
    enum crpc_code code;
    branches[0].action = "stock/do";
    branches[1].action = "money/do";
    branches[0].payload = branches[1].payload = (ProtobufCBinaryData){3, (uint8_t *)"abc"};
    run.gid = "replies";
    run.branches = list;
    run.n_branches = 2;
    run.wait = TERCET__V1__WAIT__WAIT_RESOLVED;
    open_all(NULL);
    for (int i = 0; i < 3; i++) {
        Tercet__V1__Transaction *transaction = world_ask("Run", &run.base, &code);
        expect_replies(transaction);
        crpc_message_free(&transaction->base);
        if (i == 1)
            kill_and_restart();
    }
    cr_assert_eq(done(&stock, TERCET_TRY), 1);
    close_all();
}

/* -- Participants that go and come ------------------------------------------------------------- */

Test(recovery, branches_of_a_participant_that_is_away_wait_and_go_when_it_is_back)
{
    struct tercet_result result;
    char gid[32];
    open_all(NULL);
    atomic_store(&money.again[TERCET_CONFIRM], FOR_EVER);
    for (int i = 0; i < 50; i++) {
        snprintf(gid, sizeof(gid), "waiting-%d", i);
        cr_assert_eq(RUN(gid, TERCET_WAIT_DECIDED, &result, "stock", "money"), 0);
    }
    party_leave(&money);
    AWAIT(done(&stock, TERCET_CONFIRM) == 50);
    WAIT_FOR(world_participant("money").waiting == 50);
    atomic_store(&money.again[TERCET_CONFIRM], 0);
    party_come(&money);
    AWAIT(done(&money, TERCET_CONFIRM) == 50);
    cr_assert_eq(RUN(NULL, TERCET_WAIT_RESOLVED, &result, "money"), 0, "and it serves new ones");
    close_all();
}

static void take_target(char target[128])
{
    Tercet__V1__ListParticipantsRequest request = TERCET__V1__LIST_PARTICIPANTS_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    cr_assert_eq(
        world_call(&tercet__v1__admin__descriptor, "ListParticipants", &request.base, &reply),
        CRPC_OK);
    const Tercet__V1__ListParticipantsResponse *list =
        (const Tercet__V1__ListParticipantsResponse *)reply;
    cr_assert_eq(list->n_participants, 1);
    snprintf(target, 128, "%s", list->participants[0]->target);
    crpc_message_free(reply);
}

/* A call that does not bring the token of the registration. */
static enum crpc_code forge(const char *target)
{
    struct crpc_channel *channel = NULL;
    struct crpc_call_options options = {.size = sizeof(options), .timeout_ms = WAIT_MS};
    struct crpc_result result = {0};
    ProtobufCMessage *reply = NULL;
    Tercet__V1__Call call = TERCET__V1__CALL__INIT;
    call.kind = TERCET__V1__KIND__CANCEL;
    call.gid = (char *)"forged";
    call.branch = 1;
    call.action = (char *)"stock/do";
    call.number = 1;
    call.low_water = (uint64_t)time(NULL) << 20;
    cr_assert_eq(crpc_channel_new(&channel, world.loop, target, NULL), 0);
    int rc = crpc_unary(&reply, channel, &tercet__v1__participant__descriptor, "Execute",
                        &call.base, &options, &result);
    cr_assert(rc == 0 || rc == CRPC_ESTATUS);
    enum crpc_code code = result.code;
    crpc_message_free(reply);
    crpc_result_clear(&result);
    crpc_channel_free(channel);
    return code;
}

/* A forged low-water mark would shut out all later tries, after a restart too. */
Test(recovery, a_registered_participant_takes_calls_of_its_coordinator_alone)
{
    struct tercet_result result;
    char target[128];
    world_open(NULL);
    party_init(&stock, "stock");
    party_listen(&stock);
    take_target(target);
    cr_assert_eq(forge(target), CRPC_UNAUTHENTICATED);
    cr_assert_eq(RUN("before", TERCET_WAIT_RESOLVED, &result, "stock"), 0);
    kill_and_restart(); /* the token is in the store */
    cr_assert_eq(forge(target), CRPC_UNAUTHENTICATED);
    cr_assert_eq(RUN("after", TERCET_WAIT_RESOLVED, &result, "stock"), 0);
    cr_assert_eq(result.state, TERCET_CONFIRMED);
    party_close(&stock);
    world_close();
}

Test(recovery, two_instances_share_the_load)
{
    struct tercet_result result;
    struct party second;
    char gid[32];
    open_all(NULL);
    party_join(&second, &stock);
    atomic_store(&stock.is_held, true);
    atomic_store(&second.is_held, true);
    for (int i = 0; i < 20; i++) {
        snprintf(gid, sizeof(gid), "shared-%d", i);
        cr_assert_eq(RUN(gid, TERCET_WAIT_NOT, &result, "stock"), 0);
    }
    AWAIT(atomic_load(&stock.entered[TERCET_TRY]) + atomic_load(&second.entered[TERCET_TRY]) > 0);
    WAIT_FOR(world_participant("stock").calls == 20);
    party_release(&stock);
    party_release(&second);
    for (int i = 0; i < 20; i++) {
        snprintf(gid, sizeof(gid), "shared-%d", i);
        world_wait_state(gid, TERCET_CONFIRMED);
    }
    cr_assert_gt(done(&stock, TERCET_TRY), 0);
    cr_assert_gt(done(&second, TERCET_TRY), 0);
    cr_assert_eq(done(&stock, TERCET_TRY) + done(&second, TERCET_TRY), 20);
    cr_assert_eq(done(&stock, TERCET_CONFIRM) + done(&second, TERCET_CONFIRM), 20);
    party_close(&second);
    close_all();
}

Test(recovery, the_others_take_over_what_a_dead_instance_had_under_way)
{
    struct tercet_result result;
    struct puppet puppet;
    open_all(NULL);
    party_leave(&stock);
    puppet_attach(&puppet, "stock", 100);
    cr_assert_eq(RUN("orphan", TERCET_WAIT_NOT, &result, "stock", "money"), 0);
    Tercet__V1__AttachResponse *message = puppet_calls(&puppet);
    cr_assert_eq(message->n_calls, 1);
    crpc_message_free(&message->base);
    party_come(&stock);
    puppet_die(&puppet);
    world_wait_state("orphan", TERCET_CONFIRMED);
    cr_assert_eq(done(&stock, TERCET_TRY), 1);
    cr_assert_gt(atomic_load(&stock.attempt[TERCET_TRY]), 1,
                 "it was told that this is not the first time");
    close_all();
}
