/* SPDX-License-Identifier: Apache-2.0
 *
 * Step by step: begin rides, branches are counted, decisions are told apart.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(transaction, .timeout = 200);

static struct fake fake;
static struct results results = RESULTS_INIT;

static struct tercet_transaction *begin(struct tercet_client **client)
{
    struct tercet_transaction *transaction = NULL;
    struct tercet_begin_options options = {
        .size = sizeof(options), .gid = "order:1", .deadline_ms = 5000};
    fake_start(&fake);
    *client = client_open(&fake, 0);
    cr_assert_eq(tercet_begin(&transaction, *client, &options), 0);
    cr_assert_str_eq(tercet_transaction_gid(transaction)->text, "order:1");
    return transaction;
}

static void end(struct tercet_transaction *transaction, struct tercet_client *client)
{
    tercet_transaction_free(transaction);
    tercet_client_close(client);
    fake_stop(&fake);
}

static const struct fake_event *start_try(struct tercet_transaction *transaction)
{
    cr_assert_eq(tercet_try_start(transaction, &branch_example, on_tried, &results), 0);
    return fake_next(&fake, FAKE_REQUEST);
}

Test(transaction, begin_rides_until_it_is_acknowledged)
{
    struct tercet_client *client;
    struct tercet_transaction *transaction = begin(&client);
    const struct fake_event *first = start_try(transaction), *second = start_try(transaction);
    cr_assert_eq(first->request->request_case, TERCET__V1__SESSION_REQUEST__REQUEST_TRY_BRANCH);
    cr_assert_str_eq(first->request->try_branch->gid, "order:1");
    cr_assert_eq(first->request->try_branch->begin->options->deadline_ms, 5000);
    cr_assert_not_null(second->request->try_branch->begin);
    cr_assert_eq(first->request->try_branch->branch->number, 1);
    cr_assert_eq(second->request->try_branch->branch->number, 2);
    fake_answer_tried(second, TERCET__V1__TRY_STATE__TRY_DONE, TERCET__V1__STATE__TRYING, "");
    results_wait(&results, 1);
    cr_assert_eq(results.last_tried.branch.number, 2);
    cr_assert_null(start_try(transaction)->request->try_branch->begin);
    end(transaction, client);
    cr_assert_eq(results_count(&results), 3);
}

static int try_blocking(struct blocking *blocking)
{
    return tercet_try(blocking->transaction, &branch_example, &blocking->tried);
}

static int try_with(struct tercet_transaction *transaction, struct tercet_tried *tried,
                    Tercet__V1__TryState outcome, Tercet__V1__State state, const char *text)
{
    struct blocking blocking = {.transaction = transaction};
    blocking_start(&blocking, try_blocking);
    fake_answer_tried(fake_next(&fake, FAKE_REQUEST), outcome, state, text);
    int rc = blocking_join(&blocking);
    *tried = blocking.tried;
    cr_assert_eq(tried->code, rc);
    return rc;
}

Test(transaction, outcomes_of_a_try)
{
    struct tercet_client *client;
    struct tercet_tried tried;
    struct tercet_transaction *transaction = begin(&client);
    cr_assert_eq(try_with(transaction, &tried, TERCET__V1__TRY_STATE__TRY_DONE,
                          TERCET__V1__STATE__TRYING, "seat 7"),
                 0);
    cr_assert_eq(tried.branch.number, 1);
    cr_assert_eq(tried.reply.size, 6);
    cr_assert_eq(memcmp(tried.reply.data, "seat 7", 6), 0);
    tercet_tried_clear(&tried);
    cr_assert_null(tried.reply.data);
    cr_assert_eq(try_with(transaction, &tried, TERCET__V1__TRY_STATE__TRY_REFUSED,
                          TERCET__V1__STATE__CANCELLING, "sold out"),
                 TERCET_REFUSED);
    cr_assert_str_eq(tried.text, "sold out");
    cr_assert_eq(try_with(transaction, &tried, TERCET__V1__TRY_STATE__TRY_NOT_KNOWN,
                          TERCET__V1__STATE__CANCELLING, ""),
                 TERCET_UNKNOWN);
    cr_assert_eq(try_with(transaction, &tried, TERCET__V1__TRY_STATE__TRY_CALLING,
                          TERCET__V1__STATE__CANCELLED, ""),
                 TERCET_DECIDED);
    end(transaction, client);
}

Test(transaction, a_lost_try_is_asked_for_again_as_the_same_branch)
{
    struct tercet_client *client;
    struct tercet_transaction *transaction = begin(&client);
    const struct fake_event *event = start_try(transaction);
    fake_drop(event->stream);
    event = fake_next(&fake, FAKE_REQUEST);
    cr_assert_eq(event->request->try_branch->branch->number, 1);
    cr_assert_not_null(event->request->try_branch->begin);
    fake_answer_tried(event, TERCET__V1__TRY_STATE__TRY_DONE, TERCET__V1__STATE__TRYING, "");
    results_wait(&results, 1);
    cr_assert_eq(results.last_tried.code, 0);
    end(transaction, client);
}

Test(transaction, may_be_freed_while_a_try_is_open)
{
    struct tercet_client *client;
    struct tercet_transaction *transaction = begin(&client);
    const struct fake_event *event = start_try(transaction);
    tercet_transaction_free(transaction);
    fake_answer_tried(event, TERCET__V1__TRY_STATE__TRY_DONE, TERCET__V1__STATE__TRYING, "");
    results_wait(&results, 1);
    end(NULL, client);
}

static int enlist_blocking(struct blocking *blocking)
{
    return tercet_enlist(blocking->transaction, &branch_example, &blocking->branch_id,
                         &blocking->result);
}

Test(transaction, enlisting_tells_branch_and_number)
{
    struct tercet_client *client;
    struct blocking blocking = {.transaction = begin(&client)};
    blocking_start(&blocking, enlist_blocking);
    const struct fake_event *event = fake_next(&fake, FAKE_REQUEST);
    cr_assert_eq(event->request->enlist->branch->number, 1);
    cr_assert_not_null(event->request->enlist->begin);
    fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__TRYING);
    cr_assert_eq(blocking_join(&blocking), 0);
    cr_assert_eq(blocking.branch_id.number, 1);
    cr_assert_eq(blocking.result.number, 42);
    blocking_start(&blocking, enlist_blocking);
    fake_answer_state(fake_next(&fake, FAKE_REQUEST), CRPC_OK, TERCET__V1__STATE__CANCELLED);
    cr_assert_eq(blocking_join(&blocking), TERCET_DECIDED);
    end(blocking.transaction, client);
}

/* Decisions */

static void acknowledge_try(struct tercet_transaction *transaction)
{
    fake_answer_tried(start_try(transaction), TERCET__V1__TRY_STATE__TRY_DONE,
                      TERCET__V1__STATE__TRYING, "");
    results_wait(&results, 1);
}

static const struct fake_event *start_confirm(struct tercet_transaction *transaction)
{
    cr_assert_eq(tercet_confirm_start(transaction, TERCET_WAIT_DECIDED, on_result, &results), 0);
    return fake_next(&fake, FAKE_REQUEST);
}

Test(transaction, confirm_and_its_conflicts)
{
    struct tercet_client *client;
    struct tercet_transaction *transaction = begin(&client);
    acknowledge_try(transaction);
    const struct fake_event *event = start_confirm(transaction);
    cr_assert_eq(event->request->request_case, TERCET__V1__SESSION_REQUEST__REQUEST_CONFIRM);
    cr_assert_not(event->request->confirm->force);
    fake_answer_state(event, CRPC_FAILED_PRECONDITION, TERCET__V1__STATE__TRYING);
    cr_assert_eq(results_wait(&results, 2).code, TERCET_NOT_READY);
    fake_answer_state(start_confirm(transaction), CRPC_FAILED_PRECONDITION,
                      TERCET__V1__STATE__CANCELLED);
    struct tercet_result result = results_wait(&results, 3);
    cr_assert_eq(result.code, TERCET_DECIDED);
    cr_assert_eq(result.state, TERCET_CANCELLED);
    fake_answer_state(start_confirm(transaction), CRPC_OK, TERCET__V1__STATE__CONFIRMING);
    cr_assert_eq(results_wait(&results, 4).code, 0);
    end(transaction, client);
}

static int force_blocking(struct blocking *blocking)
{
    return tercet_confirm_force(blocking->transaction, TERCET_WAIT_RESOLVED, &blocking->result);
}

static int cancel_blocking(struct blocking *blocking)
{
    return tercet_cancel(blocking->transaction, TERCET_WAIT_DECIDED, "changed my mind",
                         &blocking->result);
}

Test(transaction, decisions_carry_what_was_asked)
{
    struct tercet_client *client;
    struct blocking blocking = {.transaction = begin(&client)};
    acknowledge_try(blocking.transaction);
    blocking_start(&blocking, force_blocking);
    const struct fake_event *event = fake_next(&fake, FAKE_REQUEST);
    cr_assert(event->request->confirm->force);
    cr_assert_eq(event->request->confirm->wait, TERCET__V1__WAIT__WAIT_RESOLVED);
    fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__CONFIRMED);
    cr_assert_eq(blocking_join(&blocking), 0);
    blocking_start(&blocking, cancel_blocking);
    event = fake_next(&fake, FAKE_REQUEST);
    cr_assert_str_eq(event->request->cancel->reason, "changed my mind");
    fake_answer_state(event, CRPC_FAILED_PRECONDITION, TERCET__V1__STATE__CONFIRMED);
    cr_assert_eq(blocking_join(&blocking), TERCET_DECIDED);
    cr_assert_eq(blocking.result.state, TERCET_CONFIRMED);
    end(blocking.transaction, client);
}

Test(transaction, a_confirm_of_nothing_begins_first)
{
    struct tercet_client *client;
    struct tercet_transaction *transaction = begin(&client);
    const struct fake_event *event = start_confirm(transaction);
    cr_assert_eq(event->request->request_case, TERCET__V1__SESSION_REQUEST__REQUEST_BEGIN);
    cr_assert_str_eq(event->request->begin->gid, "order:1");
    cr_assert_eq(fake_count(&fake, FAKE_REQUEST), 0);
    fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__TRYING);
    event = fake_next(&fake, FAKE_REQUEST);
    cr_assert_eq(event->request->request_case, TERCET__V1__SESSION_REQUEST__REQUEST_CONFIRM);
    fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__CONFIRMED);
    cr_assert_eq(results_wait(&results, 1).code, 0);
    end(transaction, client);
    cr_assert_eq(results_count(&results), 1);
}

Test(transaction, a_begin_that_fails_ends_the_decision)
{
    struct tercet_client *client;
    struct tercet_transaction *transaction = begin(&client);
    fake_answer_code(start_confirm(transaction), CRPC_RESOURCE_EXHAUSTED, "full");
    struct tercet_result result = results_wait(&results, 1);
    cr_assert_eq(result.code, TERCET_EXHAUSTED);
    cr_assert_str_eq(result.text, "full");
    cr_assert_str_eq(result.gid.text, "order:1");
    start_confirm(transaction); /* open when the client closes */
    end(transaction, client);
    cr_assert_eq(results_count(&results), 2);
    cr_assert_eq(results.last.code, TERCET_UNKNOWN);
}

Test(transaction, a_cancel_overtakes_a_try_on_its_way)
{
    struct tercet_client *client;
    struct tercet_transaction *transaction = begin(&client);
    start_try(transaction);
    cr_assert_eq(tercet_cancel_start(transaction, TERCET_WAIT_DECIDED, NULL, on_result, &results),
                 0);
    const struct fake_event *event = fake_next(&fake, FAKE_REQUEST);
    cr_assert_eq(event->request->request_case, TERCET__V1__SESSION_REQUEST__REQUEST_BEGIN);
    fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__TRYING);
    event = fake_next(&fake, FAKE_REQUEST);
    cr_assert_eq(event->request->request_case, TERCET__V1__SESSION_REQUEST__REQUEST_CANCEL);
    fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__CANCELLING);
    cr_assert_eq(results_wait(&results, 1).code, 0);
    end(transaction, client);
}

Test(transaction, a_cancel_of_nothing_is_answered_here)
{
    struct tercet_client *client;
    struct tercet_result result;
    struct tercet_transaction *transaction = begin(&client);
    cr_assert_eq(tercet_cancel(transaction, TERCET_WAIT_RESOLVED, NULL, &result), 0);
    cr_assert_eq(result.state, TERCET_CANCELLED);
    cr_assert_eq(tercet_cancel(transaction, TERCET_WAIT_RESOLVED, NULL, &result), 0);
    cr_assert_eq(tercet_try(transaction, &branch_example, NULL), TERCET_DECIDED);
    cr_assert_eq(tercet_enlist(transaction, &branch_example, NULL, &result), TERCET_DECIDED);
    cr_assert_eq(tercet_confirm(transaction, TERCET_WAIT_DECIDED, &result), TERCET_DECIDED);
    cr_assert_str_eq(result.text, tercet_strerror(TERCET_DECIDED));
    end(transaction, client);
    cr_assert_eq(fake_message_count(&fake), 0);
}

Test(transaction, checks_before_it_sends)
{
    static char long_reason[TERCET_TEXT_MAX + 2];
    struct tercet_client *client;
    struct tercet_tried tried;
    struct tercet_result result;
    const struct tercet_branch branch = {.action = "reserve"};
    struct tercet_transaction *transaction = begin(&client);
    memset(long_reason, 'x', sizeof(long_reason) - 1);
    cr_assert_eq(tercet_try(transaction, &branch, &tried), TERCET_INVALID);
    cr_assert_not_null(strstr(tried.text, "service/name"));
    cr_assert_eq(tercet_cancel(transaction, TERCET_WAIT_DECIDED, long_reason, &result),
                 TERCET_INVALID);
    cr_assert_eq(tercet_cancel(transaction, TERCET_WAIT_DECIDED, "\xff", &result), TERCET_INVALID);
    cr_assert_eq(tercet_confirm(transaction, TERCET_WAIT_NOT, &result), TERCET_INVALID);
    end(transaction, client);
    cr_assert_eq(fake_message_count(&fake), 0);
}

Test(transaction, has_a_limit_of_branches)
{
    struct tercet_client *client;
    struct tercet_tried tried;
    struct tercet_transaction *transaction = begin(&client);
    for (int i = 0; i < TERCET_BRANCHES_MAX; i++)
        cr_assert_eq(tercet_try_start(transaction, &branch_example, on_tried, &results), 0);
    cr_assert_eq(tercet_try(transaction, &branch_example, &tried), TERCET_EXHAUSTED);
    cr_assert_not_null(strstr(tried.text, "1024"));
    end(transaction, client);
    cr_assert_eq(results_count(&results), TERCET_BRANCHES_MAX);
}
