/* SPDX-License-Identifier: Apache-2.0
 *
 * The reasons: why a try was given up, why a transaction was cancelled, what a branch waits for;
 * told to the initiator, to who looks, and still known when it is over.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>

TestSuite(why, .timeout = 400);

/* Runs one branch, "stock/do" or as named, whose try may take so long. */
static int run_for(const char *gid, const char *name, uint32_t try_timeout_ms,
                   struct tercet_result *result, struct tercet_tried *tried)
{
    struct tercet_begin_options options = options_of(gid, 0);
    struct tercet_branch branch = branch_of(name);
    branch.try_timeout_ms = try_timeout_ms;
    return tercet_run_tried(world.client, &branch, 1, &options, tried, result);
}

static void expect_part(const char *text, const char *part)
{
    cr_expect_not_null(strstr(text, part), "\"%s\" says nothing of \"%s\"", text, part);
}

static unsigned tries_in(const char *text)
{
    unsigned count = 0;
    cr_assert_eq(sscanf(text, "branch 1 stock/do: %u tries failed, last: the disk said no", &count),
                 1, "%s", text);
    return count;
}

/* -- Tries that fail --------------------------------------------------------------------------- */

static void expect_failed_tries(const char *gid, unsigned count)
{
    Tercet__V1__Transaction *transaction = world_show(gid);
    const Tercet__V1__BranchStatus *branch = transaction->branches[0];
    cr_assert_eq(tries_in(transaction->reason), count);
    cr_assert_not_null(branch->try_failures);
    cr_expect_eq(branch->try_failures->count, count);
    cr_expect_str_eq(branch->try_failures->last_error, "the disk said no");
    cr_expect_neq(branch->try_failures->last_instance[0], '\0');
    cr_expect_geq(branch->try_failures->last_ms, transaction->created_ms);
    cr_expect_str_eq(branch->last_error, "the disk said no");
    crpc_message_free(&transaction->base);
}

Test(why, a_tries_failures_survive_the_decision)
{
    struct tercet_result result;
    struct tercet_tried tried;
    open_stock(NULL);
    atomic_store(&stock.again[TERCET_TRY], FOR_EVER);
    cr_assert_eq(run_for("g", "stock", 400, &result, &tried), TERCET_REFUSED);
    cr_assert_eq(result.cause, TERCET_CAUSE_TRY_UNKNOWN);
    unsigned count = tries_in(result.text);
    cr_assert_gt(count, 1);
    cr_expect_eq(tried.code, TERCET_UNKNOWN);
    cr_expect_str_eq(tried.text, "the disk said no");
    tercet_tried_clear(&tried);
    world_wait_state("g", TERCET_CANCELLED);
    expect_failed_tries("g", count);
    kill_and_restart();
    expect_failed_tries("g", count);
    close_all();
}

static bool check_view(const struct tercet_transaction_view *view, void *ctx)
{
    const struct tercet_branch_view *branch = view->branches[0];
    *(bool *)ctx = true;
    cr_expect_gt(branch->try_failures, 1);
    cr_expect_str_eq(branch->try_error, "the disk said no");
    cr_expect_neq(branch->try_instance[0], '\0');
    cr_expect_eq(branch->end_failures, 0);
    cr_expect_str_eq(branch->end_error, "");
    cr_expect_neq(branch->waits_for[0], '\0');
    return true;
}

/* In C, of one that is not over. */
Test(why, operators_programs_see_it_too)
{
    struct tercet_begin_options options = options_of("g", 600000);
    struct tercet_branch branch = branch_of("stock");
    struct tercet_result result;
    struct tercet_admin *admin;
    bool is_seen = false;
    branch.try_timeout_ms = 600000;
    options.wait = TERCET_WAIT_NOT;
    open_stock(NULL);
    atomic_store(&stock.again[TERCET_TRY], FOR_EVER);
    cr_assert_eq(tercet_admin_open(&admin, world.daemon.address, NULL, NULL), 0);
    cr_assert_eq(tercet_run(world.client, &branch, 1, &options, &result), 0);
    AWAIT(atomic_load(&stock.entered[TERCET_TRY]) > 2); /* the second has been answered by then */
    cr_assert_eq(tercet_admin_show(admin, "g", check_view, &is_seen, NULL), 0);
    cr_assert(is_seen);
    tercet_admin_close(admin);
    close_all();
}

/* The deadline is another cause, and the same reason. Cancelled but not resolved, and killed. */
Test(why, the_deadline_names_the_branch_that_failed)
{
    struct tercet_begin_options options = options_of("g", 400);
    struct tercet_branch branch = branch_of("stock");
    struct tercet_result result;
    branch.try_timeout_ms = 60000;
    open_stock(NULL);
    atomic_store(&stock.again[TERCET_TRY], FOR_EVER);
    atomic_store(&stock.again[TERCET_CANCEL], FOR_EVER);
    cr_assert_eq(tercet_run(world.client, &branch, 1, &options, &result), TERCET_REFUSED);
    cr_assert_eq(result.cause, TERCET_CAUSE_DEADLINE);
    unsigned count = tries_in(result.text);
    kill_and_restart();
    Tercet__V1__Transaction *transaction = world_show("g");
    cr_expect_eq(tries_in(transaction->reason), count);
    cr_expect_eq(transaction->branches[0]->try_failures->count, count);
    crpc_message_free(&transaction->base);
    atomic_store(&stock.again[TERCET_CANCEL], 0);
    world_wait_state("g", TERCET_CANCELLED);
    expect_failed_tries("g", count);
    close_all();
}

/* A branch that is tried step by step tells at once, and while it is undecided. */
Test(why, a_single_try_tells_why_it_is_not_known)
{
    struct tercet_begin_options options = options_of("g", 0);
    struct tercet_branch branch = branch_of("stock");
    struct tercet_transaction *transaction;
    struct tercet_result result;
    struct tercet_tried tried;
    options.keeps_on_refusal = true;
    branch.try_timeout_ms = 300;
    open_stock(NULL);
    atomic_store(&stock.again[TERCET_TRY], FOR_EVER);
    cr_assert_eq(tercet_begin(&transaction, world.client, &options), 0);
    cr_assert_eq(tercet_try(transaction, &branch, &tried), TERCET_UNKNOWN);
    cr_expect_str_eq(tried.text, "the disk said no");
    tercet_tried_clear(&tried);
    cr_assert_eq(tercet_confirm(transaction, TERCET_WAIT_DECIDED, &result), TERCET_NOT_READY);
    expect_part(result.text, "branch 1, stock/do");
    expect_part(result.text, "last: the disk said no");
    tercet_transaction_free(transaction);
    close_all();
}

Test(why, a_refusal_is_known_by_who_gave_it)
{
    struct tercet_result result;
    open_stock(NULL);
    atomic_store(&stock.refuses, true);
    cr_assert_eq(RUN("g", TERCET_WAIT_RESOLVED, &result, "stock"), TERCET_REFUSED);
    Tercet__V1__Transaction *transaction = world_show("g");
    cr_assert_str_eq(transaction->reason, "sold out");
    cr_assert_not_null(transaction->branches[0]->try_failures);
    cr_expect_eq(transaction->branches[0]->try_failures->count, 0);
    cr_expect_neq(transaction->branches[0]->try_failures->answered_by[0], '\0');
    crpc_message_free(&transaction->base);
    close_all();
}

/* -- Tries that get no answer ------------------------------------------------------------------ */

Test(why, no_answer_is_said_where_none_came)
{
    struct tercet_result result;
    struct tercet_tried tried;
    open_stock(NULL);
    atomic_store(&stock.is_held, true);
    cr_assert_eq(run_for("g", "stock", 300, &result, &tried), TERCET_REFUSED);
    expect_part(result.text, "branch 1 stock/do: no answer from instance \"");
    expect_part(tried.text, "no answer from instance \"");
    tercet_tried_clear(&tried);
    party_release(&stock);
    world_wait_state("g", TERCET_CANCELLED);
    Tercet__V1__Transaction *transaction = world_show("g");
    cr_expect_eq(transaction->branches[0]->try_failures->count, 1);
    crpc_message_free(&transaction->base);
    close_all();
}

Test(why, what_nobody_serves_was_not_called)
{
    struct tercet_result result;
    struct tercet_tried tried;
    open_stock(NULL);
    cr_assert_eq(run_for("g", "stcok", 200, &result, &tried), TERCET_REFUSED);
    expect_part(result.text,
                "branch 1 stcok/do: no answer, because it was not called: nobody serves stcok");
    expect_part(tried.text, "nobody serves stcok");
    tercet_tried_clear(&tried);
    close_all();
}

/* The decision takes the call out of its queue: what it waited for there is known all the same. */
Test(why, the_deadline_says_what_was_not_called)
{
    struct tercet_begin_options options = options_of("g", 200);
    struct tercet_branch branches[] = {branch_of("stcok"), branch_of("nobody")};
    struct tercet_result result;
    branches[0].try_timeout_ms = branches[1].try_timeout_ms = 60000;
    open_stock(NULL);
    cr_assert_eq(tercet_run(world.client, branches, 2, &options, &result), TERCET_REFUSED);
    cr_assert_eq(result.cause, TERCET_CAUSE_DEADLINE);
    expect_part(result.text,
                "branch 1 stcok/do (and 1 more): no answer, because it was not called: "
                "nobody serves stcok");
    close_all();
}

Test(why, a_deadline_that_nobody_met_says_so)
{
    struct tercet_begin_options options = options_of("g", 1500);
    struct tercet_branch branch = branch_of("stock");
    struct tercet_transaction *transaction;
    open_stock(NULL);
    cr_assert_eq(tercet_begin(&transaction, world.client, &options), 0);
    cr_assert_eq(tercet_try(transaction, &branch, NULL), 0);
    struct tercet_result result = world_wait_state("g", TERCET_CANCELLED);
    cr_expect_str_eq(result.text, "nobody asked to confirm or cancel before the deadline");
    tercet_transaction_free(transaction);
    close_all();
}
