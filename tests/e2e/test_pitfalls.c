/* SPDX-License-Identifier: Apache-2.0
 *
 * Ways in which TCC coordinators have gone wrong, each as a test that would have caught the fault;
 * numbers as in README.md. Those of registration, decision and memory; test_pitfalls_load.c has
 * those of retries, limits and doors.
 */
#include "fixture.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(pitfalls, .timeout = 400);

static struct tercet_transaction *begin(const struct tercet_begin_options *options)
{
    struct tercet_transaction *transaction = NULL;
    cr_assert_eq(tercet_begin(&transaction, world.client, options), 0);
    return transaction;
}

static int try_at(struct tercet_transaction *transaction, const char *name)
{
    const struct tercet_branch branch = branch_of(name);
    return tercet_try(transaction, &branch, NULL);
}

/* -- Registration ------------------------------------------------------------------------------ */

/* Whoever attaches is answered in a turn of the owner's: what was on its way before, and was not
 * held back, has left by then. */
static void let_a_turn_pass(void)
{
    struct party late;
    party_open(&late, "late");
    party_close(&late);
}

/* The disk takes for ever with the registration: no try may have left, and nobody may have been
 * told. */
Test(pitfalls, pitfall_01_no_try_before_a_durable_registration)
{
    const struct tercet_branch branches[] = {branch_of("stock"), branch_of("money")};
    struct tercet_begin_options options = options_of("registering", 0);
    struct told waiting = {.count = 0};
    options.wait = TERCET_WAIT_NOT;
    open_all(NULL);
    world_arm("commit.before:2:60000"); /* the first is the start's */
    WAIT_FOR(world_participant("stock").n_instances + world_participant("money").n_instances == 2);
    cr_assert_eq(tercet_run_start(world.client, branches, 2, &options, on_told, &waiting), 0);
    world_await_failpoint("commit.before");
    let_a_turn_pass();
    cr_assert_eq(atomic_load(&stock.entered[TERCET_TRY]) + atomic_load(&money.entered[TERCET_TRY]),
                 0);
    cr_assert_eq(atomic_load(&waiting.count), 0, "told that it is durable");
    kill_and_restart();
    AWAIT(atomic_load(&waiting.count) == 1);
    cr_assert_eq(waiting.result.code, 0, "the client asks again by itself: %s",
                 waiting.result.text);
    world_wait_state("registering", TERCET_CONFIRMED);
    cr_assert_eq(atomic_load(&stock.done[TERCET_TRY]), 1);
    close_all();
}

struct enlister {
    struct tercet_transaction *transaction;
    int accepted;
    pthread_barrier_t *start;
};

static void *enlist_until_decided(void *ctx)
{
    struct enlister *enlister = ctx;
    int rc = 0;
    pthread_barrier_wait(enlister->start);
    while (rc == 0 && enlister->accepted < 200) {
        const struct tercet_branch branch = branch_of("stock");
        rc = tercet_enlist(enlister->transaction, &branch, NULL, NULL);
        enlister->accepted += rc == 0;
    }
    cr_assert(rc == 0 || rc == TERCET_DECIDED, "%s", tercet_error_name(rc));
    return NULL;
}

static uint32_t count_branches(const char *gid)
{
    struct tercet_result result;
    cr_assert_eq(tercet_get(world.client, gid, &result), 0);
    return result.branch_count;
}

/* Whoever was told that his branch is in finds it in, and ended; nobody gets in after the
 * decision. */
Test(pitfalls, pitfall_02_registration_races_the_decision)
{
    open_all(NULL);
    for (int round = 0; round < 20; round++) {
        struct enlister enlisters[3];
        pthread_barrier_t start;
        pthread_t threads[3];
        int accepted = 1;
        struct tercet_transaction *transaction = begin(NULL);
        cr_assert_eq(try_at(transaction, "money"), 0);
        pthread_barrier_init(&start, NULL, 4);
        for (int i = 0; i < 3; i++) {
            enlisters[i] = (struct enlister){.transaction = transaction, .start = &start};
            pthread_create(&threads[i], NULL, enlist_until_decided, &enlisters[i]);
        }
        pthread_barrier_wait(&start);
        WAIT_FOR(round % 2 == 0 || count_branches(tercet_transaction_gid(transaction)->text) > 5);
        cr_assert_eq(tercet_cancel(transaction, TERCET_WAIT_DECIDED, NULL, NULL), 0);
        for (int i = 0; i < 3; i++) {
            pthread_join(threads[i], NULL);
            accepted += enlisters[i].accepted;
        }
        pthread_barrier_destroy(&start);
        struct tercet_result result =
            world_wait_state(tercet_transaction_gid(transaction)->text, TERCET_CANCELLED);
        cr_assert_eq((int)result.branch_count, accepted, "told %d, there are %u", accepted,
                     result.branch_count);
        tercet_transaction_free(transaction);
    }
    close_all();
}

Test(pitfalls, pitfall_03_a_second_branch_with_the_same_number_is_not_dropped_silently)
{
    Tercet__V1__BeginRequest first = TERCET__V1__BEGIN_REQUEST__INIT;
    Tercet__V1__EnlistRequest enlist = TERCET__V1__ENLIST_REQUEST__INIT;
    Tercet__V1__Branch branch = TERCET__V1__BRANCH__INIT;
    static const struct {
        char *action;
        size_t size;
        enum crpc_code code;
    } cases[] = {{"stock/do", 1, CRPC_OK},
                 {"stock/do", 1, CRPC_OK},
                 {"stock/do", 2, CRPC_ALREADY_EXISTS},
                 {"stock/other", 1, CRPC_ALREADY_EXISTS},
                 {"money/do", 1, CRPC_ALREADY_EXISTS}};
    open_all(NULL);
    enlist.gid = "same-number";
    enlist.branch = &branch;
    enlist.begin = &first;
    branch.number = 1;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum crpc_code code;
        branch.action = cases[i].action;
        branch.payload = (ProtobufCBinaryData){cases[i].size, (uint8_t *)"xy"};
        Tercet__V1__Transaction *transaction = world_ask("Enlist", &enlist.base, &code);
        cr_assert_eq(code, cases[i].code, "case %zu: %s", i, crpc_code_name((int)code));
        if (transaction != NULL)
            crpc_message_free(&transaction->base);
    }
    close_all();
}

Test(pitfalls, pitfall_04_ids_are_checked_and_do_not_run_into_each_other)
{
    static const char *const gids[] = {"order1", "order10", "order1.1", "order11", "order"};
    struct tercet_result result;
    enum crpc_code code;
    open_all(NULL);
    atomic_store(&stock.again[TERCET_CONFIRM], FOR_EVER);
    for (size_t i = 0; i < 5; i++)
        cr_assert_eq(RUN(gids[i], TERCET_WAIT_DECIDED, &result, "stock", i == 0 ? "money" : NULL),
                     0);
    for (int time = 0; time < 2; time++) {
        for (size_t i = 0; i < 5; i++) {
            cr_assert_eq(tercet_get(world.client, gids[i], &result), 0);
            cr_assert_str_eq(result.gid.text, gids[i]);
            cr_assert_eq(result.branch_count, i == 0 ? 2 : 1, "%s", gids[i]);
        }
        kill_and_restart();
    }
    Tercet__V1__RunRequest run = TERCET__V1__RUN_REQUEST__INIT;
    run.gid = "no-branches";
    cr_assert_null(world_ask("Run", &run.base, &code), "an empty transaction must not succeed");
    cr_assert_eq(code, CRPC_INVALID_ARGUMENT);
    run.gid = "not/valid";
    cr_assert_null(world_ask("Run", &run.base, &code));
    cr_assert_eq(code, CRPC_INVALID_ARGUMENT);
    close_all();
}

/* -- Decision ---------------------------------------------------------------------------------- */

Test(pitfalls, pitfall_05_a_second_submit_does_not_end_what_is_unconfirmed)
{
    struct tercet_result result;
    open_all(NULL);
    atomic_store(&money.again[TERCET_CONFIRM], FOR_EVER);
    struct tercet_transaction *transaction = begin(NULL);
    cr_assert_eq(try_at(transaction, "stock"), 0);
    cr_assert_eq(try_at(transaction, "money"), 0);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(tercet_confirm(transaction, TERCET_WAIT_DECIDED, &result), 0);
        cr_assert_eq(result.state, TERCET_CONFIRMING);
        cr_assert_eq(result.branch_count, 2);
    }
    atomic_store(&money.again[TERCET_CONFIRM], 0);
    cr_assert_eq(tercet_confirm(transaction, TERCET_WAIT_RESOLVED, &result), 0);
    cr_assert_eq(atomic_load(&money.done[TERCET_CONFIRM]), 1);
    tercet_transaction_free(transaction);
    close_all();
}

/* The coordinator is stopped, not dead: the answer to Confirm does not come within the client's
 * patience. */
Test(pitfalls, pitfall_06_a_timeout_never_becomes_a_cancel)
{
    struct tercet_begin_options options = options_of("silence", 0);
    struct tercet_result result;
    open_all(NULL);
    options.timeout_ms = 2000;
    struct tercet_transaction *transaction = begin(&options);
    cr_assert_eq(try_at(transaction, "stock"), 0);
    process_freeze(&world.daemon.process);
    cr_assert_eq(tercet_confirm(transaction, TERCET_WAIT_DECIDED, &result), TERCET_UNKNOWN);
    cr_assert_eq(result.state, 0, "nothing is known, and nothing is claimed");
    tercet_transaction_free(transaction);
    kill(world.daemon.process.pid, SIGCONT);
    result = world_wait_state("silence", TERCET_CONFIRMED);
    cr_assert_eq(atomic_load(&stock.done[TERCET_CANCEL]), 0);
    close_all();
}

/* A try is under way at an instance that hangs; its cancel goes through another, on the same
 * database; then the try arrives there. */
Test(pitfalls, pitfall_07_a_try_that_comes_after_its_cancel_is_refused)
{
    const struct tercet_begin_options options = options_of("overtaken", 1500);
    struct tercet_branch branch = branch_of("stock");
    struct puppet puppet;
    open_all(NULL);
    party_leave(&stock);
    puppet_attach(&puppet, "stock", 1);
    struct tercet_transaction *transaction = begin(&options);
    cr_assert_eq(tercet_try_start(transaction, &branch, NULL, NULL), 0);
    Tercet__V1__AttachResponse *late = puppet_calls(&puppet);
    party_come(&stock);
    struct tercet_result result = world_wait_state("overtaken", TERCET_CANCELLED);
    cr_assert_eq(result.cause, TERCET_CAUSE_DEADLINE);
    struct tercet_branch_id id = {late->calls[0]->branch};
    for (int i = 0; i < 3; i++)
        cr_assert_eq(tercet_barrier_guard(stock.barrier, TERCET_TRY, late->calls[0]->gid, id,
                                          late->calls[0]->number, party_own_hook, &stock, NULL),
                     TERCET_REFUSED);
    cr_assert_eq(atomic_load(&stock.entered[TERCET_TRY]), 0);
    cr_assert_eq(atomic_load(&stock.entered[TERCET_CANCEL]), 0, "an empty cancel runs no hook");
    crpc_message_free(&late->base);
    puppet_die(&puppet);
    tercet_transaction_free(transaction);
    close_all();
}

/* One branch is done, one refused, one was called and never answered, one is an own call that
 * nobody knows of: all are cancelled. */
Test(pitfalls, pitfall_08_every_enlisted_branch_is_cancelled)
{
    struct tercet_begin_options options = options_of("all", 0);
    struct tercet_branch silent = branch_of("silent"), own = branch_of("own");
    struct puppet puppet, own_puppet;
    uint32_t cancels = 0;
    options.keeps_on_refusal = true;
    open_all(NULL);
    puppet_attach(&puppet, "silent", 10);
    puppet_attach(&own_puppet, "own", 10);
    atomic_store(&money.refuses, true);
    struct tercet_transaction *transaction = begin(&options);
    cr_assert_eq(try_at(transaction, "stock"), 0);
    cr_assert_eq(try_at(transaction, "money"), TERCET_REFUSED);
    cr_assert_eq(tercet_try_start(transaction, &silent, NULL, NULL), 0);
    crpc_message_free(&puppet_calls(&puppet)->base);
    cr_assert_eq(tercet_enlist(transaction, &own, NULL, NULL), 0);
    cr_assert_eq(tercet_cancel(transaction, TERCET_WAIT_DECIDED, NULL, NULL), 0);
    struct puppet *puppets[] = {&puppet, &own_puppet};
    for (int i = 0; i < 2; i++) {
        Tercet__V1__AttachResponse *message = puppet_calls(puppets[i]);
        cancels += message->n_calls == 1 && message->calls[0]->kind == TERCET__V1__KIND__CANCEL;
        puppet_answer(puppets[i], message->calls[0]->id, TERCET__V1__OUTCOME__DONE);
        crpc_message_free(&message->base);
    }
    cr_assert_eq(cancels, 2);
    world_wait_state("all", TERCET_CANCELLED);
    cr_assert_eq(atomic_load(&stock.done[TERCET_CANCEL]), 1);
    puppet_die(&puppet);
    puppet_die(&own_puppet);
    tercet_transaction_free(transaction);
    close_all();
}

Test(pitfalls, pitfall_09_what_is_over_is_remembered_and_unknown_is_not_cancelled)
{
    struct tercet_result result;
    open_all(NULL);
    cr_assert_eq(RUN("known", TERCET_WAIT_RESOLVED, &result, "stock"), 0);
    kill_and_restart();
    cr_assert_eq(world_state("known"), TERCET_CONFIRMED);
    cr_assert_eq(tercet_get(world.client, "never-heard-of", &result), TERCET_NOT_FOUND);
    cr_assert_eq(result.state, 0, "no state is told of what is not known");
    close_all();
}

/* The initiator dies between try and confirm; so does the coordinator. */
Test(pitfalls, pitfall_10_who_dies_while_trying_holds_nothing_for_ever)
{
    const struct tercet_begin_options options = options_of("orphan", 1500);
    struct tercet_client *mortal = NULL;
    struct tercet_transaction *transaction = NULL;
    struct tercet_branch branch = branch_of("stock");
    open_all(NULL);
    cr_assert_eq(tercet_client_open(&mortal, world.daemon.address, NULL, NULL), 0);
    cr_assert_eq(tercet_begin(&transaction, mortal, &options), 0);
    cr_assert_eq(tercet_try(transaction, &branch, NULL), 0);
    tercet_transaction_free(transaction);
    tercet_client_close(mortal);
    kill_and_restart();
    AWAIT(atomic_load(&stock.done[TERCET_CANCEL]) == 1);
    struct tercet_result result = world_wait_state("orphan", TERCET_CANCELLED);
    cr_assert_eq(result.cause, TERCET_CAUSE_DEADLINE);
    close_all();
}

/* -- Memory ------------------------------------------------------------------------------------ */

Test(pitfalls, pitfall_17_what_is_told_or_called_was_synced_before)
{
    struct tercet_result result;
    open_all(NULL);
    atomic_store(&stock.is_held, true);
    uint64_t before = world_statistics().commits_total;
    cr_assert_eq(RUN("synced", TERCET_WAIT_NOT, &result, "stock"), 0);
    AWAIT(atomic_load(&stock.entered[TERCET_TRY]) == 1);
    uint64_t at_try = world_statistics().commits_total;
    cr_assert_gt(at_try, before, "the branch is on disk before its try is called");
    atomic_store(&stock.again[TERCET_CONFIRM], FOR_EVER);
    party_release(&stock);
    world_wait_state("synced", TERCET_CONFIRMING);
    cr_assert_gt(world_statistics().commits_total, at_try, "so is the decision before it is told");
    close_all();
}

/* The disk takes for ever with the decision: no confirm may have left, and nobody may have been
 * told. */
Test(pitfalls, pitfall_17_no_decision_is_acted_on_before_it_is_durable)
{
    const struct tercet_branch branch = branch_of("stock");
    struct told waiting = {.count = 0};
    open_all(NULL);
    world_arm("commit.before:3:60000"); /* after the start's and the enlistment's */
    WAIT_FOR(world_participant("stock").n_instances == 1);
    cr_assert_eq(tercet_run_start(world.client, &branch, 1, NULL, on_told, &waiting), 0);
    world_await_failpoint("commit.before");
    let_a_turn_pass();
    cr_assert_eq(atomic_load(&stock.done[TERCET_TRY]), 1);
    cr_assert_eq(atomic_load(&stock.entered[TERCET_CONFIRM]), 0);
    cr_assert_eq(atomic_load(&waiting.count), 0, "told of the decision");
    kill_and_restart();
    AWAIT(atomic_load(&waiting.count) == 1);
    cr_assert_eq(waiting.result.code, 0, "%s", waiting.result.text);
    world_wait_state(waiting.result.gid.text, TERCET_CONFIRMED);
    close_all();
}

Test(pitfalls, pitfall_18_the_payload_survives_a_restart)
{
    struct tercet_result result;
    open_all(NULL);
    atomic_store(&stock.is_held, true);
    cr_assert_eq(RUN("payload", TERCET_WAIT_NOT, &result, "stock"), 0);
    AWAIT(atomic_load(&stock.entered[TERCET_TRY]) == 1);
    daemon_kill(&world.daemon);
    /* the held one comes to nothing: the try is called anew */
    atomic_store(&stock.again[TERCET_TRY], 1);
    party_release(&stock);
    party_leave(&stock);
    stock.payload[0] = '\0';
    world_restart();
    party_come(&stock);
    world_wait_state("payload", TERCET_CONFIRMED);
    cr_assert_str_eq(stock.payload, "data");
    close_all();
}

/* Moves from one port to another while its confirm waits. */
Test(pitfalls, pitfall_19_names_are_resolved_when_called)
{
    struct tercet_result result;
    struct party moving;
    open_all(NULL);
    party_init(&moving, "moving");
    party_listen(&moving);
    atomic_store(&moving.again[TERCET_CONFIRM], FOR_EVER);
    cr_assert_eq(RUN("moved", TERCET_WAIT_DECIDED, &result, "moving", "stock"), 0);
    AWAIT(atomic_load(&moving.entered[TERCET_CONFIRM]) > 0);
    party_leave(&moving);
    atomic_store(&moving.again[TERCET_CONFIRM], 0);
    party_listen(&moving);
    world_wait_state("moved", TERCET_CONFIRMED);
    cr_assert_eq(atomic_load(&moving.done[TERCET_CONFIRM]), 1);
    kill_and_restart();
    cr_assert_eq(RUN("after", TERCET_WAIT_RESOLVED, &result, "moving"), 0,
                 "the new target is durable");
    party_close(&moving);
    close_all();
}

/* The rows of what is over go by the coordinator's mark; a try below it is refused all the same. */
Test(pitfalls, pitfall_20_barrier_rows_go_by_the_mark_and_no_late_try_gets_in)
{
    struct tercet_result result, first;
    uint64_t rows = 0, mark = 0;
    open_all(NULL);
    cr_assert_eq(RUN("first", TERCET_WAIT_RESOLVED, &first, "stock"), 0);
    for (int i = 0; i < 100; i++)
        cr_assert_eq(RUN(NULL, TERCET_WAIT_RESOLVED, &result, "stock"), 0);
    cr_assert_eq(tercet_barrier_stats(stock.barrier, &rows, &mark), 0);
    cr_assert_lt(rows, 10, "%d rows are left of 101 transactions", (int)rows);
    cr_assert_geq(mark, first.number);
    int rc = tercet_barrier_guard(stock.barrier, TERCET_TRY, "first", (struct tercet_branch_id){2},
                                  first.number, party_own_hook, &stock, NULL);
    cr_assert_eq(rc, TERCET_REFUSED);
    close_all();
}

/* -- Promises ---------------------------------------------------------------------------------- */

Test(pitfalls, pitfall_26_a_confirm_without_a_try_parks_at_once_and_is_no_success)
{
    struct tercet_branch branch = branch_of("stock");
    struct tercet_result result;
    open_all(NULL);
    struct tercet_transaction *transaction = begin(NULL);
    cr_assert_eq(tercet_enlist(transaction, &branch, NULL, &result), 0);
    cr_assert_eq(tercet_confirm(transaction, TERCET_WAIT_DECIDED, &result), 0,
                 "an own call: nobody can know");
    WAIT_FOR(world_is_parked(result.gid.text));
    Tercet__V1__Transaction *transaction_now = world_show(result.gid.text);
    cr_assert(transaction_now->branches[0]->broken);
    cr_assert_eq(transaction_now->branches[0]->attempts, 1, "at once, not after many");
    cr_assert_eq(transaction_now->state, TERCET__V1__STATE__CONFIRMING);
    cr_assert_eq(atomic_load(&stock.entered[TERCET_CONFIRM]), 0);
    crpc_message_free(&transaction_now->base);
    tercet_transaction_free(transaction);
    close_all();
}

Test(pitfalls, pitfall_27_a_branch_whose_try_failed_is_never_confirmed)
{
    struct tercet_begin_options options = options_of("failed", 0);
    struct tercet_branch silent = branch_of("silent");
    struct puppet puppet;
    struct tercet_result result;
    open_all(NULL);
    options.keeps_on_refusal = true;
    atomic_store(&money.refuses, true);
    struct tercet_transaction *transaction = begin(&options);
    cr_assert_eq(try_at(transaction, "stock"), 0);
    cr_assert_eq(try_at(transaction, "money"), TERCET_REFUSED);
    puppet_attach(&puppet, "silent", 10);
    cr_assert_eq(tercet_try_start(transaction, &silent, NULL, NULL), 0);
    Tercet__V1__AttachResponse *message = puppet_calls(&puppet);
    cr_assert_eq(tercet_confirm(transaction, TERCET_WAIT_DECIDED, &result), TERCET_NOT_READY);
    cr_assert_eq(world_state("failed"), TERCET_TRYING);
    cr_assert_eq(atomic_load(&stock.entered[TERCET_CONFIRM]), 0);
    puppet_answer(&puppet, message->calls[0]->id, TERCET__V1__OUTCOME__REFUSAL);
    crpc_message_free(&message->base);
    WAIT_FOR(tercet_confirm(transaction, TERCET_WAIT_DECIDED, &result) == 0);
    message = puppet_calls(&puppet);
    cr_assert_eq(message->calls[0]->kind, TERCET__V1__KIND__CANCEL);
    puppet_answer(&puppet, message->calls[0]->id, TERCET__V1__OUTCOME__DONE);
    crpc_message_free(&message->base);
    world_wait_state("failed", TERCET_CONFIRMED);
    cr_assert_eq(atomic_load(&stock.done[TERCET_CONFIRM]), 1);
    cr_assert_eq(atomic_load(&money.entered[TERCET_CONFIRM]), 0);
    puppet_die(&puppet);
    tercet_transaction_free(transaction);
    close_all();
}
