/* SPDX-License-Identifier: Apache-2.0
 *
 * What cannot be served ends all the same: services that nobody serves, branches that were never
 * sent, confirms that leave out what was refused, and branches that a person settles at once.
 */
#include "fixture.h"

#include <stdio.h>

TestSuite(ends, .timeout = 400);

static const struct tercet_branch *plan_of(const char *other)
{
    static struct tercet_branch branches[2];
    branches[0] = branch_of("stock");
    branches[1] = branch_of(other);
    return branches;
}

/* Begins a run of stock and the other service, and does not wait for it. */
static void run_with(const char *gid, const char *other, uint32_t deadline_ms)
{
    struct tercet_begin_options options = options_of(gid, deadline_ms);
    struct tercet_result result;
    options.wait = TERCET_WAIT_NOT;
    cr_assert_eq(tercet_run(world.client, plan_of(other), 2, &options, &result), 0, "%s",
                 result.text);
}

static Tercet__V1__Owed owed(const char *gid, size_t index)
{
    Tercet__V1__Transaction *transaction = world_show(gid);
    cr_assert(transaction != NULL && index < transaction->n_branches);
    Tercet__V1__Owed found = transaction->branches[index]->owed;
    crpc_message_free(&transaction->base);
    return found;
}

static uint64_t number_of(const char *gid)
{
    Tercet__V1__Transaction *transaction = world_show(gid);
    cr_assert_not_null(transaction);
    uint64_t number = transaction->number;
    crpc_message_free(&transaction->base);
    return number;
}

/* It ends at its deadline, and holds back nobody's low-water mark. */
Test(ends, a_misspelt_service_ends_with_the_decision)
{
    open_all(NULL);
    run_with("misspelt", "stcok", 400);
    struct tercet_result result = world_wait_state("misspelt", TERCET_CANCELLED);
    cr_assert_eq(result.cause, TERCET_CAUSE_DEADLINE);
    cr_assert_eq(owed("misspelt", 0), TERCET__V1__OWED__OWED_CANCEL);
    cr_assert_eq(owed("misspelt", 1), TERCET__V1__OWED__OWED_NOTHING);
    cr_assert_eq(atomic_load(&stock.done[TERCET_CANCEL]), 1);
    cr_assert_geq(world_statistics().low_water, number_of("misspelt"));
    close_all();
}

/* Nobody was called, and the store says so: a restart need not call either. */
Test(ends, a_misspelt_service_ends_after_a_crash_too)
{
    open_all(NULL);
    run_with("misspelt", "stcok", 400);
    kill_and_restart();
    world_wait_state("misspelt", TERCET_CANCELLED);
    cr_assert_eq(owed("misspelt", 1), TERCET__V1__OWED__OWED_NOTHING);
    close_all();
}

/* Who is there and was never called, since he was paused, owes nothing, and is not called later. */
Test(ends, a_paused_service_is_not_called_for_what_has_ended)
{
    Tercet__V1__PauseRequest pause = TERCET__V1__PAUSE_REQUEST__INIT;
    open_all(NULL);
    pause.service = "money";
    pause.paused = true;
    cr_assert_eq(world_call(&tercet__v1__admin__descriptor, "Pause", &pause.base, NULL), CRPC_OK);
    run_with("paused", "money", 400);
    world_wait_state("paused", TERCET_CANCELLED);
    cr_assert_eq(world_participant("money").waiting, 0);
    pause.paused = false;
    cr_assert_eq(world_call(&tercet__v1__admin__descriptor, "Pause", &pause.base, NULL), CRPC_OK);
    cr_assert_eq(RUN("next", TERCET_WAIT_RESOLVED, NULL, "money"), 0);
    cr_assert_eq(atomic_load(&money.entered[TERCET_TRY]), 1, "the next transaction's");
    cr_assert_eq(atomic_load(&money.entered[TERCET_CANCEL]), 0);
    close_all();
}

/* A try that was sent, and not answered, may have been done: its cancel waits, over a crash. */
Test(ends, who_was_sent_a_try_is_cancelled)
{
    struct puppet puppet;
    struct party later;
    open_all(NULL);
    puppet_attach(&puppet, "silent", 10);
    run_with("sent", "silent", 400);
    crpc_message_free(&puppet_calls(&puppet)->base);
    world_wait_state("sent", TERCET_CANCELLING);
    puppet_die(&puppet);
    kill_and_restart();
    world_wait_state("sent", TERCET_CANCELLING);
    cr_assert_eq(owed("sent", 1), TERCET__V1__OWED__OWED_CANCEL);
    party_open(&later, "silent");
    world_wait_state("sent", TERCET_CANCELLED);
    party_close(&later);
    close_all();
}

/* A try that was held back for want of a participant goes when one comes, also after a crash. */
Test(ends, a_try_that_was_held_back_is_done_later)
{
    struct party late;
    open_all(NULL);
    run_with("held", "late", 60000);
    kill_and_restart();
    cr_assert_eq(world_state("held"), TERCET_TRYING);
    party_open(&late, "late");
    world_wait_state("held", TERCET_CONFIRMED);
    cr_assert_eq(atomic_load(&late.done[TERCET_CONFIRM]), 1);
    party_close(&late);
    close_all();
}

/* Force vouches for what nobody knows, not for what was certainly never tried. */
Test(ends, force_does_not_confirm_what_was_never_sent)
{
    struct tercet_begin_options options = options_of("forced", 0);
    struct tercet_branch misspelt = branch_of("stcok");
    struct tercet_transaction *transaction = NULL;
    struct tercet_result result;
    open_all(NULL);
    cr_assert_eq(tercet_begin(&transaction, world.client, &options), 0);
    cr_assert_eq(tercet_try_start(transaction, &misspelt, NULL, NULL), 0);
    WAIT_FOR(world_participant("stcok").waiting == 1);
    cr_assert_eq(tercet_confirm_force(transaction, TERCET_WAIT_DECIDED, &result), TERCET_NOT_READY);
    cr_assert(strstr(result.text, "was never sent") != NULL, "%s", result.text);
    cr_assert_eq(tercet_cancel(transaction, TERCET_WAIT_RESOLVED, NULL, NULL), 0);
    cr_assert_eq(world_state("forced"), TERCET_CANCELLED);
    tercet_transaction_free(transaction);
    close_all();
}

/* With force a confirm that keeps refusals leaves out what is not done. */
Test(ends, a_forced_confirm_leaves_out_what_is_not_done)
{
    struct tercet_begin_options options = options_of("part", 0);
    struct tercet_branch good = branch_of("stock"), misspelt = branch_of("stcok");
    struct tercet_transaction *transaction = NULL;
    open_all(NULL);
    options.keeps_on_refusal = true;
    cr_assert_eq(tercet_begin(&transaction, world.client, &options), 0);
    cr_assert_eq(tercet_try(transaction, &good, NULL), 0);
    cr_assert_eq(tercet_try_start(transaction, &misspelt, NULL, NULL), 0);
    WAIT_FOR(world_participant("stcok").waiting == 1);
    cr_assert_eq(tercet_confirm(transaction, TERCET_WAIT_DECIDED, NULL), TERCET_NOT_READY,
                 "it may still be done");
    cr_assert_eq(tercet_confirm_force(transaction, TERCET_WAIT_RESOLVED, NULL), 0);
    cr_assert_eq(world_state("part"), TERCET_CONFIRMED);
    cr_assert_eq(atomic_load(&stock.done[TERCET_CONFIRM]), 1);
    cr_assert_eq(owed("part", 0), TERCET__V1__OWED__OWED_CONFIRM);
    cr_assert_eq(owed("part", 1), TERCET__V1__OWED__OWED_NOTHING);
    tercet_transaction_free(transaction);
    close_all();
}

static enum crpc_code settle(const char *gid, uint32_t branch, bool now)
{
    Tercet__V1__SettleRequest request = TERCET__V1__SETTLE_REQUEST__INIT;
    request.gid = (char *)(uintptr_t)gid;
    request.branch = branch;
    request.reason = "put right by hand";
    request.now = now;
    return world_call(&tercet__v1__admin__descriptor, "Settle", &request.base, NULL);
}

/* No waiting for the parking; the transaction must be decided all the same. */
Test(ends, a_branch_is_settled_at_once)
{
    struct puppet puppet;
    open_all(NULL);
    puppet_attach(&puppet, "silent", 10);
    run_with("hangs", "silent", 400);
    cr_assert_eq(settle("hangs", 2, true), CRPC_FAILED_PRECONDITION, "it is not decided");
    crpc_message_free(&puppet_calls(&puppet)->base);
    world_wait_state("hangs", TERCET_CANCELLING);
    cr_assert_eq(settle("hangs", 2, false), CRPC_FAILED_PRECONDITION, "it is not parked");
    cr_assert_eq(settle("hangs", 2, true), CRPC_OK);
    world_wait_state("hangs", TERCET_CANCELLED);
    kill_and_restart();
    Tercet__V1__Transaction *transaction = world_show("hangs");
    cr_assert_not_null(transaction);
    cr_assert(transaction->branches[1]->settled);
    cr_assert_str_eq(transaction->branches[1]->reason, "put right by hand");
    crpc_message_free(&transaction->base);
    puppet_die(&puppet);
    close_all();
}

/* One who misspells names, for ever new ones, is told so, shuts nobody out, and can go on when the
 * first have ended. */
Test(ends, misspelt_names_shut_nobody_out)
{
    char name[32], gid[32];
    struct party late;
    struct tercet_result result = {.code = 0};
    int taken = 0;
    open_all(NULL);
    for (; taken < 5000 && result.code == 0; taken += result.code == 0) {
        struct tercet_begin_options options = options_of(gid, 60000);
        struct tercet_branch branch;
        snprintf(name, sizeof(name), "misspelt-%d", taken);
        snprintf(gid, sizeof(gid), "gid-%d", taken);
        options.wait = TERCET_WAIT_NOT;
        branch = branch_of(name);
        result.code = tercet_run(world.client, &branch, 1, &options, &result);
    }
    cr_assert_eq(taken, 256);
    cr_assert_eq(result.code, TERCET_EXHAUSTED);
    cr_assert(strstr(result.text, "is it spelt right?") != NULL, "%s", result.text);
    cr_assert_eq(RUN("served", TERCET_WAIT_RESOLVED, NULL, "stock"), 0);
    party_open(&late, "late");
    cr_assert_eq(RUN("new", TERCET_WAIT_RESOLVED, NULL, "late"), 0);
    Tercet__V1__CancelRequest cancel = TERCET__V1__CANCEL_REQUEST__INIT;
    cancel.gid = "gid-0";
    cr_assert_eq(world_call(&tercet__v1__coordinator__descriptor, "Cancel", &cancel.base, NULL),
                 CRPC_OK);
    run_with("again", "stcok", 400);
    world_wait_state("again", TERCET_CANCELLED);
    party_close(&late);
    close_all();
}

static size_t count_branches(const char *gid)
{
    Tercet__V1__Transaction *transaction = world_show(gid);
    size_t count = transaction != NULL ? transaction->n_branches : 0;
    crpc_message_free((ProtobufCMessage *)transaction);
    return count;
}

/* Ordered: the first has refused, so the second has no turn and gets none. A restart does not know
 * that it was never sent, and must not wait for it all the same. */
Test(ends, a_try_without_a_turn_is_not_waited_for_after_a_restart)
{
    struct tercet_begin_options options = options_of("ordered", FOR_EVER);
    struct tercet_branch first = branch_of("stock"), second = branch_of("money");
    struct tercet_transaction *transaction = NULL;
    struct tercet_result result;
    open_all(NULL);
    options.is_ordered = options.keeps_on_refusal = true;
    atomic_store(&stock.refuses, true);
    cr_assert_eq(tercet_begin(&transaction, world.client, &options), 0);
    cr_assert_eq(tercet_try(transaction, &first, NULL), TERCET_REFUSED);
    cr_assert_eq(tercet_try_start(transaction, &second, NULL, NULL), 0);
    WAIT_FOR(count_branches("ordered") == 2);
    kill_and_restart();
    cr_assert_eq(tercet_confirm(transaction, TERCET_WAIT_DECIDED, &result), TERCET_NOT_READY, "%s",
                 result.text);
    cr_assert_eq(tercet_confirm_force(transaction, TERCET_WAIT_RESOLVED, &result), 0, "%s",
                 result.text);
    cr_assert_eq(atomic_load(&money.done[TERCET_CONFIRM]), 0);
    tercet_transaction_free(transaction);
    close_all();
}
