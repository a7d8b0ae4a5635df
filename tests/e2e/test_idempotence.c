/* SPDX-License-Identifier: Apache-2.0
 *
 * Every call twice: the second finds what the first has made; and with other content it is told so.
 * And decisions that race.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

TestSuite(idempotence, .timeout = 500);

/* Asks twice and expects the same OK; returns the transaction's number. */
static uint64_t twice(const char *method, const ProtobufCMessage *request)
{
    uint64_t numbers[2] = {0};
    for (int i = 0; i < 2; i++) {
        enum crpc_code code;
        Tercet__V1__Transaction *transaction = world_ask(method, request, &code);
        cr_assert_eq(code, CRPC_OK, "%s, time %d: %s", method, i + 1, crpc_code_name((int)code));
        numbers[i] = transaction->number;
        crpc_message_free(&transaction->base);
    }
    cr_assert_eq(numbers[0], numbers[1], "%s", method);
    return numbers[0];
}

static void refused(const char *method, const ProtobufCMessage *request, enum crpc_code expected)
{
    enum crpc_code code;
    Tercet__V1__Transaction *transaction = world_ask(method, request, &code);
    cr_assert_eq(code, expected, "%s: %s", method, crpc_code_name((int)code));
    if (transaction != NULL)
        crpc_message_free(&transaction->base);
}

static enum crpc_code ask_try(const Tercet__V1__TryRequest *request, Tercet__V1__TryState *outcome)
{
    ProtobufCMessage *reply = NULL;
    enum crpc_code code =
        world_call(&tercet__v1__coordinator__descriptor, "Try", &request->base, &reply);
    *outcome = reply != NULL ? ((const Tercet__V1__TryResponse *)reply)->outcome
                             : TERCET__V1__TRY_STATE__TRY_STATE_UNSPECIFIED;
    crpc_message_free(reply);
    return code;
}

/* -- Step by step ------------------------------------------------------------------------------ */

Test(idempotence, begin)
{
    Tercet__V1__BeginRequest begin = TERCET__V1__BEGIN_REQUEST__INIT;
    Tercet__V1__Options options = TERCET__V1__OPTIONS__INIT;
    open_stock(NULL);
    begin.gid = "twice";
    begin.options = &options;
    options.deadline_ms = 50000;
    twice("Begin", &begin.base);
    options.deadline_ms = 50001;
    refused("Begin", &begin.base, CRPC_ALREADY_EXISTS);
    close_all();
}

static void init_branch(Tercet__V1__Branch *branch, uint32_t number, const char *payload)
{
    tercet__v1__branch__init(branch);
    branch->number = number;
    branch->action = "stock/do";
    branch->payload = (ProtobufCBinaryData){strlen(payload), (uint8_t *)(uintptr_t)payload};
}

Test(idempotence, enlist)
{
    Tercet__V1__BeginRequest begin = TERCET__V1__BEGIN_REQUEST__INIT;
    Tercet__V1__EnlistRequest enlist = TERCET__V1__ENLIST_REQUEST__INIT;
    Tercet__V1__Branch branch;
    open_stock(NULL);
    init_branch(&branch, 7, "a");
    enlist.gid = "twice";
    enlist.branch = &branch;
    refused("Enlist", &enlist.base, CRPC_NOT_FOUND);
    enlist.begin = &begin;
    twice("Enlist", &enlist.base);
    enlist.begin = NULL;
    twice("Enlist", &enlist.base);
    init_branch(&branch, 7, "b");
    refused("Enlist", &enlist.base, CRPC_ALREADY_EXISTS);
    Tercet__V1__Transaction *transaction = world_show("twice");
    cr_assert_eq(transaction->n_branches, 1);
    cr_assert_eq(transaction->branches[0]->number, 7);
    crpc_message_free(&transaction->base);
    close_all();
}

Test(idempotence, try_is_called_once)
{
    Tercet__V1__BeginRequest begin = TERCET__V1__BEGIN_REQUEST__INIT;
    Tercet__V1__TryRequest request = TERCET__V1__TRY_REQUEST__INIT;
    Tercet__V1__TryState outcome;
    Tercet__V1__Branch branch;
    open_stock(NULL);
    init_branch(&branch, 1, "a");
    request.gid = "twice";
    request.branch = &branch;
    request.begin = &begin;
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(ask_try(&request, &outcome), CRPC_OK);
        cr_assert_eq(outcome, TERCET__V1__TRY_STATE__TRY_DONE);
    }
    cr_assert_eq(atomic_load(&stock.entered[TERCET_TRY]), 1);
    init_branch(&branch, 1, "b");
    cr_assert_eq(ask_try(&request, &outcome), CRPC_ALREADY_EXISTS);
    cr_assert_eq(atomic_load(&stock.entered[TERCET_TRY]), 1);
    close_all();
}

Test(idempotence, decisions)
{
    Tercet__V1__BeginRequest begin = TERCET__V1__BEGIN_REQUEST__INIT;
    Tercet__V1__TryRequest request = TERCET__V1__TRY_REQUEST__INIT;
    Tercet__V1__ConfirmRequest confirm = TERCET__V1__CONFIRM_REQUEST__INIT;
    Tercet__V1__CancelRequest cancel = TERCET__V1__CANCEL_REQUEST__INIT;
    Tercet__V1__TryState outcome;
    Tercet__V1__Branch branch;
    open_stock(NULL);
    init_branch(&branch, 1, "a");
    request.branch = &branch;
    request.begin = &begin;
    for (int is_confirm = 0; is_confirm < 2; is_confirm++) {
        char *gid = is_confirm ? "confirmed" : "cancelled";
        request.gid = confirm.gid = cancel.gid = gid;
        cr_assert_eq(ask_try(&request, &outcome), CRPC_OK);
        twice(is_confirm ? "Confirm" : "Cancel", is_confirm ? &confirm.base : &cancel.base);
        refused(is_confirm ? "Cancel" : "Confirm", is_confirm ? &cancel.base : &confirm.base,
                CRPC_FAILED_PRECONDITION);
        world_wait_state(gid, is_confirm ? TERCET_CONFIRMED : TERCET_CANCELLED);
        twice(is_confirm ? "Confirm" : "Cancel", is_confirm ? &confirm.base : &cancel.base);
        refused(is_confirm ? "Cancel" : "Confirm", is_confirm ? &cancel.base : &confirm.base,
                CRPC_FAILED_PRECONDITION);
    }
    cr_assert_eq(atomic_load(&stock.entered[TERCET_CONFIRM]), 1);
    cr_assert_eq(atomic_load(&stock.entered[TERCET_CANCEL]), 1);
    close_all();
}

/* -- Run --------------------------------------------------------------------------------------- */

Test(idempotence, run)
{
    Tercet__V1__RunRequest run = TERCET__V1__RUN_REQUEST__INIT;
    Tercet__V1__BeginRequest begin = TERCET__V1__BEGIN_REQUEST__INIT;
    Tercet__V1__Branch branch, *list[] = {&branch};
    open_stock(NULL);
    init_branch(&branch, 1, "a");
    run.gid = "twice";
    run.branches = list;
    run.n_branches = 1;
    for (int time = 0; time < 2; time++) { /* unresolved perhaps, and resolved for sure */
        init_branch(&branch, 1, "a");
        twice("Run", &run.base);
        init_branch(&branch, 1, "b");
        refused("Run", &run.base, CRPC_ALREADY_EXISTS);
        begin.gid = "twice";
        refused("Begin", &begin.base, CRPC_ALREADY_EXISTS);
        world_wait_state("twice", TERCET_CONFIRMED);
    }
    cr_assert_eq(atomic_load(&stock.entered[TERCET_TRY]), 1);
    cr_assert_eq(atomic_load(&stock.entered[TERCET_CONFIRM]), 1);
    close_all();
}

/* -- Races ------------------------------------------------------------------------------------- */

#define RACES 200

/* Several who decide one transaction at once; the deadline is another. */
struct race {
    struct tercet_transaction *transaction;
    pthread_barrier_t start;
};

struct racer {
    struct race *race;
    bool confirms;
    int code;
    struct tercet_result result;
};

static void *decide(void *ctx)
{
    struct racer *racer = ctx;
    pthread_barrier_wait(&racer->race->start);
    if (racer->confirms)
        racer->code = tercet_confirm(racer->race->transaction, TERCET_WAIT_DECIDED, &racer->result);
    else
        racer->code =
            tercet_cancel(racer->race->transaction, TERCET_WAIT_DECIDED, NULL, &racer->result);
    return NULL;
}

static bool is_confirmed(enum tercet_state state)
{
    return state == TERCET_CONFIRMING || state == TERCET_CONFIRMED;
}

static void expect_told(const struct racer *racer, bool was_confirmed, int round)
{
    int expected = racer->confirms == was_confirmed ? 0 : TERCET_DECIDED;
    cr_assert_eq(racer->code, expected, "round %d, %s: %s: %s", round,
                 racer->confirms ? "confirm" : "cancel", tercet_error_name(racer->code),
                 racer->result.text);
    cr_assert_eq(is_confirmed(racer->result.state), was_confirmed, "round %d: told %s", round,
                 tercet_state_name(racer->result.state));
}

/* Begins, tries, and lets four decide; returns who won, as the coordinator tells it afterwards. */
static bool run_race(uint32_t deadline_ms, int round, enum tercet_cause *cause)
{
    struct tercet_begin_options options = options_of(NULL, deadline_ms);
    struct tercet_branch branch = branch_of("stock");
    struct racer racers[4];
    pthread_t threads[4];
    struct race race;
    cr_assert_eq(tercet_begin(&race.transaction, world.client, &options), 0);
    tercet_try(race.transaction, &branch, NULL); /* the deadline may be faster */
    pthread_barrier_init(&race.start, NULL, 4);
    for (int i = 0; i < 4; i++) {
        racers[i] = (struct racer){.race = &race, .confirms = i % 2 == 0};
        cr_assert_eq(pthread_create(&threads[i], NULL, decide, &racers[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&race.start);
    struct tercet_result result;
    cr_assert_eq(tercet_get(world.client, tercet_transaction_gid(race.transaction)->text, &result),
                 0);
    for (int i = 0; i < 4; i++)
        expect_told(&racers[i], is_confirmed(result.state), round);
    tercet_transaction_free(race.transaction);
    *cause = result.cause;
    return is_confirmed(result.state);
}

/* The deadline is set to what a try takes, so that it comes in the middle of it all; it moves until
 * it does. */
Test(idempotence, pitfall_11_confirm_cancel_and_deadline_race_and_all_are_told_the_same_winner)
{
    int confirmed = 0, cancelled = 0, expired = 0;
    uint32_t deadline_ms = 1;
    enum tercet_cause cause;
    open_stock(NULL);
    for (int round = 0; round < RACES; round++) {
        bool was_confirmed = run_race(deadline_ms, round, &cause);
        confirmed += was_confirmed;
        expired += cause == TERCET_CAUSE_DEADLINE;
        cancelled += !was_confirmed && cause == TERCET_CAUSE_INITIATOR;
        if (cause == TERCET_CAUSE_DEADLINE)
            deadline_ms++;
        else if (deadline_ms > 1)
            deadline_ms--;
    }
    cr_assert_gt(confirmed, 0);
    cr_assert_gt(cancelled, 0);
    cr_assert_gt(expired, 0);
    AWAIT(atomic_load(&stock.done[TERCET_CONFIRM]) == confirmed);
    AWAIT(atomic_load(&stock.done[TERCET_CONFIRM]) + atomic_load(&stock.done[TERCET_CANCEL]) ==
          atomic_load(&stock.done[TERCET_TRY]));
    close_all();
}
