/* SPDX-License-Identifier: Apache-2.0
 *
 * The three forms of a transaction, and how each may end.
 */
#include "fixture.h"

TestSuite(forms, .timeout = 400);

static void expect_done(struct party *party, int tries, int confirms, int cancels)
{
    cr_expect_eq(atomic_load(&party->done[TERCET_TRY]), tries, "%s: %d tries", party->name,
                 atomic_load(&party->done[TERCET_TRY]));
    cr_expect_eq(atomic_load(&party->done[TERCET_CONFIRM]), confirms, "%s: %d confirms",
                 party->name, atomic_load(&party->done[TERCET_CONFIRM]));
    cr_expect_eq(atomic_load(&party->done[TERCET_CANCEL]), cancels, "%s: %d cancels", party->name,
                 atomic_load(&party->done[TERCET_CANCEL]));
}

/* -- Run --------------------------------------------------------------------------------------- */

Test(forms, run_confirms_every_branch)
{
    struct tercet_result result;
    open_all(NULL);
    cr_assert_eq(RUN("order:1", TERCET_WAIT_RESOLVED, &result, "stock", "money"), 0, "%s",
                 result.text);
    cr_assert_str_eq(result.gid.text, "order:1");
    cr_assert_eq(result.state, TERCET_CONFIRMED);
    cr_assert_eq(result.cause, TERCET_CAUSE_ALL_TRIED);
    cr_assert_eq(result.branch_count, 2);
    cr_assert_gt(result.number, 0);
    expect_done(&stock, 1, 1, 0);
    expect_done(&money, 1, 1, 0);
    cr_assert_str_eq(stock.gid, "order:1");
    cr_assert_str_eq(stock.payload, "data");
    close_all();
}

Test(forms, run_is_refused_with_the_participants_words)
{
    struct tercet_result result;
    open_all(NULL);
    atomic_store(&money.refuses, true);
    cr_assert_eq(RUN(NULL, TERCET_WAIT_RESOLVED, &result, "stock", "money"), TERCET_REFUSED);
    cr_assert_str_eq(result.text, "sold out");
    cr_assert_eq(result.state, TERCET_CANCELLED);
    cr_assert_eq(result.cause, TERCET_CAUSE_REFUSED);
    cr_assert_eq(
        atomic_load(&stock.done[TERCET_CONFIRM]) + atomic_load(&money.done[TERCET_CONFIRM]), 0);
    cr_assert_eq(atomic_load(&stock.done[TERCET_TRY]), atomic_load(&stock.done[TERCET_CANCEL]),
                 "what was tried is cancelled");
    cr_assert_eq(atomic_load(&money.done[TERCET_CANCEL]), 0, "the refused one is empty");
    close_all();
}

Test(forms, an_ordered_run_tries_one_after_another)
{
    const struct tercet_branch branches[] = {branch_of("stock"), branch_of("money")};
    struct tercet_begin_options options = options_of(NULL, 0);
    struct tercet_result result;
    options.is_ordered = true;
    options.wait = TERCET_WAIT_NOT;
    open_all(NULL);
    atomic_store(&stock.is_held, true);
    cr_assert_eq(tercet_run(world.client, branches, 2, &options, &result), 0);
    cr_assert_eq(result.state, TERCET_TRYING, "durable, no more");
    AWAIT(atomic_load(&stock.entered[TERCET_TRY]) == 1);
    cr_assert_eq(atomic_load(&money.entered[TERCET_TRY]), 0);
    cr_assert_eq(world_participant("money").calls + world_participant("money").waiting, 0);
    party_release(&stock);
    world_wait_state(result.gid.text, TERCET_CONFIRMED);
    expect_done(&money, 1, 1, 0);

    atomic_store(&stock.refuses, true);
    options.wait = TERCET_WAIT_RESOLVED;
    cr_assert_eq(tercet_run(world.client, branches, 2, &options, &result), TERCET_REFUSED);
    expect_done(&money, 1, 1, 0); /* its try was never called, its cancel found nothing */
    close_all();
}

Test(forms, a_try_without_an_answer_in_time_is_unknown_and_cancels)
{
    struct tercet_branch branches[] = {branch_of("stock"), branch_of("nobody")};
    struct tercet_result result;
    branches[1].try_timeout_ms = 100;
    open_all(NULL);
    cr_assert_eq(tercet_run(world.client, branches, 2, NULL, &result), TERCET_REFUSED);
    cr_assert_eq(result.cause, TERCET_CAUSE_TRY_UNKNOWN, "%s", tercet_cause_text(result.cause));
    AWAIT(atomic_load(&stock.done[TERCET_CANCEL]) == atomic_load(&stock.done[TERCET_TRY]));
    world_wait_state(result.gid.text, TERCET_CANCELLED);
    struct party nobody;
    party_open(&nobody, "nobody"); /* who was never asked is told nothing */
    cr_assert_eq(RUN("after", TERCET_WAIT_RESOLVED, &result, "nobody"), 0);
    expect_done(&nobody, 1, 1, 0);
    party_close(&nobody);
    close_all();
}

Test(forms, a_run_waits_for_what_it_was_told_to)
{
    struct tercet_result result;
    open_all(NULL);
    atomic_store(&stock.again[TERCET_CONFIRM], FOR_EVER);
    cr_assert_eq(RUN("decided", TERCET_WAIT_DECIDED, &result, "stock", "money"), 0);
    cr_assert_eq(result.state, TERCET_CONFIRMING);
    AWAIT(atomic_load(&money.done[TERCET_CONFIRM]) == 1);
    atomic_store(&stock.again[TERCET_CONFIRM], 3);
    cr_assert_eq(RUN("decided", TERCET_WAIT_RESOLVED, &result, "stock", "money"), 0,
                 "the same again, with another wait");
    cr_assert_eq(result.state, TERCET_CONFIRMED);
    expect_done(&stock, 1, 1, 0);
    expect_done(&money, 1, 1, 0);
    close_all();
}

Test(forms, metadata_reaches_every_hook)
{
    const struct tercet_branch branch = branch_of("stock");
    const struct tercet_metadata metadata[] = {{"traceparent", "00-11-22-01"}, {"tenant", "acme"}};
    struct tercet_begin_options options = options_of(NULL, 0);
    options.metadata = metadata;
    options.metadata_count = 2;
    options.wait = TERCET_WAIT_RESOLVED;
    open_all(NULL);
    atomic_store(&stock.again[TERCET_CONFIRM], FOR_EVER);
    options.wait = TERCET_WAIT_DECIDED;
    struct tercet_result result;
    cr_assert_eq(tercet_run(world.client, &branch, 1, &options, &result), 0);
    cr_assert_str_eq(stock.metadata, "traceparent=00-11-22-01;tenant=acme;");
    daemon_kill(&world.daemon);
    stock.metadata[0] = stock.payload[0] = '\0';
    atomic_store(&stock.again[TERCET_CONFIRM], 0);
    world_restart();
    world_wait_state(result.gid.text, TERCET_CONFIRMED);
    cr_assert_str_eq(stock.metadata, "traceparent=00-11-22-01;tenant=acme;",
                     "also after a restart");
    close_all();
}

/* -- Step by step ------------------------------------------------------------------------------ */

static struct tercet_transaction *begin(const struct tercet_begin_options *options)
{
    struct tercet_transaction *transaction = NULL;
    cr_assert_eq(tercet_begin(&transaction, world.client, options), 0);
    return transaction;
}

static int try_at(struct tercet_transaction *transaction, const char *name,
                  struct tercet_tried *tried)
{
    const struct tercet_branch branch = branch_of(name);
    return tercet_try(transaction, &branch, tried);
}

Test(forms, step_by_step_replies_come_back_and_confirm_ends_it)
{
    struct tercet_tried tried;
    struct tercet_result result;
    open_all(NULL);
    struct tercet_transaction *transaction = begin(NULL);
    cr_assert_eq(world_state(tercet_transaction_gid(transaction)->text), 0,
                 "begin goes with the first try");
    cr_assert_eq(try_at(transaction, "stock", &tried), 0);
    cr_assert_eq(tried.branch.number, 1);
    cr_assert_eq(tried.reply.size, 7);
    cr_assert_eq(memcmp(tried.reply.data, "re:data", 7), 0);
    tercet_tried_clear(&tried);
    cr_assert_eq(world_state(tercet_transaction_gid(transaction)->text), TERCET_TRYING);
    cr_assert_eq(try_at(transaction, "money", NULL), 0);
    cr_assert_eq(tercet_confirm(transaction, TERCET_WAIT_RESOLVED, &result), 0, "%s", result.text);
    cr_assert_eq(result.state, TERCET_CONFIRMED);
    cr_assert_eq(result.cause, TERCET_CAUSE_INITIATOR);
    expect_done(&stock, 1, 1, 0);
    expect_done(&money, 1, 1, 0);
    tercet_transaction_free(transaction);
    close_all();
}

Test(forms, step_by_step_cancel_keeps_its_reason)
{
    struct tercet_result result;
    open_all(NULL);
    struct tercet_transaction *transaction = begin(NULL);
    cr_assert_eq(try_at(transaction, "stock", NULL), 0);
    cr_assert_eq(tercet_cancel(transaction, TERCET_WAIT_RESOLVED, "the buyer went away", &result),
                 0);
    cr_assert_eq(result.state, TERCET_CANCELLED);
    expect_done(&stock, 1, 0, 1);
    cr_assert_eq(try_at(transaction, "money", NULL), TERCET_DECIDED);
    cr_assert_eq(tercet_get(world.client, tercet_transaction_gid(transaction)->text, &result), 0);
    cr_assert_str_eq(result.text, "the buyer went away");
    expect_done(&money, 0, 0, 0);
    tercet_transaction_free(transaction);
    close_all();
}

Test(forms, a_refused_try_cancels_unless_it_is_kept)
{
    struct tercet_begin_options options = options_of(NULL, 0);
    struct tercet_tried tried;
    struct tercet_result result;
    open_all(NULL);
    atomic_store(&money.refuses, true);
    struct tercet_transaction *first = begin(NULL);
    cr_assert_eq(try_at(first, "stock", NULL), 0);
    cr_assert_eq(try_at(first, "money", &tried), TERCET_REFUSED);
    cr_assert_str_eq(tried.text, "sold out");
    tercet_tried_clear(&tried);
    cr_assert_eq(tercet_confirm(first, TERCET_WAIT_DECIDED, &result), TERCET_DECIDED);
    world_wait_state(tercet_transaction_gid(first)->text, TERCET_CANCELLED);
    expect_done(&stock, 1, 0, 1);

    options.keeps_on_refusal = true;
    struct tercet_transaction *second = begin(&options);
    cr_assert_eq(try_at(second, "money", NULL), TERCET_REFUSED);
    cr_assert_eq(world_state(tercet_transaction_gid(second)->text), TERCET_TRYING);
    cr_assert_eq(try_at(second, "stock", NULL), 0, "somewhere else instead");
    cr_assert_eq(tercet_confirm(second, TERCET_WAIT_RESOLVED, &result), 0);
    cr_assert_eq(result.state, TERCET_CONFIRMED, "without the one that refused");
    expect_done(&stock, 2, 1, 1);
    expect_done(&money, 0, 0, 0);
    tercet_transaction_free(first);
    tercet_transaction_free(second);
    close_all();
}

/* -- Own calls --------------------------------------------------------------------------------- */

/* The initiator calls the participant itself: its try goes through the same barrier as the
 * coordinator's confirm. */
static int own_try(struct party *party, const struct tercet_result *result,
                   struct tercet_branch_id branch)
{
    return tercet_barrier_guard(party->barrier, TERCET_TRY, result->gid.text, branch,
                                result->number, party_own_hook, party, NULL);
}

Test(forms, own_calls_are_confirmed_by_the_coordinator)
{
    const struct tercet_branch branch = branch_of("stock");
    struct tercet_branch_id id;
    struct tercet_result result;
    open_all(NULL);
    struct tercet_transaction *transaction = begin(NULL);
    cr_assert_eq(tercet_enlist(transaction, &branch, &id, &result), 0, "%s", result.text);
    cr_assert_eq(id.number, 1);
    cr_assert_gt(result.number, 0);
    expect_done(&stock, 0, 0, 0);
    cr_assert_eq(own_try(&stock, &result, id), 0);
    cr_assert_eq(own_try(&stock, &result, id), 0, "twice is once");
    cr_assert_eq(tercet_confirm(transaction, TERCET_WAIT_RESOLVED, &result), 0, "%s", result.text);
    expect_done(&stock, 1, 1, 0);
    cr_assert_eq(own_try(&stock, &result, id), 0, "a repeat much later gets the same answer");
    expect_done(&stock, 1, 1, 0);
    tercet_transaction_free(transaction);
    close_all();
}

Test(forms, own_calls_that_come_after_the_cancel_are_refused)
{
    const struct tercet_branch branch = branch_of("stock");
    struct tercet_branch_id id;
    struct tercet_result enlisted, result;
    open_all(NULL);
    struct tercet_transaction *transaction = begin(NULL);
    cr_assert_eq(tercet_enlist(transaction, &branch, &id, &enlisted), 0);
    cr_assert_eq(tercet_cancel(transaction, TERCET_WAIT_RESOLVED, NULL, &result), 0);
    cr_assert_eq(own_try(&stock, &enlisted, id), TERCET_REFUSED);
    expect_done(&stock, 0, 0, 0);
    tercet_transaction_free(transaction);
    close_all();
}

/* -- Deadlines --------------------------------------------------------------------------------- */

Test(forms, the_deadline_cancels_although_nobody_asks)
{
    struct tercet_begin_options options = options_of("late:1", 1500);
    struct tercet_result result;
    open_all(NULL);
    struct tercet_transaction *transaction = begin(&options);
    cr_assert_eq(try_at(transaction, "stock", NULL), 0);
    AWAIT(atomic_load(&stock.done[TERCET_CANCEL]) == 1);
    result = world_wait_state("late:1", TERCET_CANCELLED);
    cr_assert_eq(result.cause, TERCET_CAUSE_DEADLINE);
    cr_assert_eq(tercet_confirm(transaction, TERCET_WAIT_DECIDED, &result), TERCET_DECIDED);
    cr_assert_eq(result.cause, TERCET_CAUSE_DEADLINE);
    tercet_transaction_free(transaction);
    close_all();
}

Test(forms, the_deadline_cancels_after_a_restart)
{
    struct tercet_begin_options options = options_of("late:2", 1500);
    open_all(NULL);
    struct tercet_transaction *transaction = begin(&options);
    cr_assert_eq(try_at(transaction, "stock", NULL), 0);
    kill_and_restart();
    AWAIT(atomic_load(&stock.done[TERCET_CANCEL]) == 1);
    struct tercet_result result = world_wait_state("late:2", TERCET_CANCELLED);
    cr_assert_eq(result.cause, TERCET_CAUSE_DEADLINE);
    tercet_transaction_free(transaction);
    close_all();
}
