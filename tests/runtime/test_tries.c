/* SPDX-License-Identifier: Apache-2.0
 *
 * How each try of a plan ended, and own tries that are kept count of.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(tries, .timeout = 200);

static struct fake fake;

#define PLAN_COUNT 3

static const struct tercet_branch plan[PLAN_COUNT] = {
    {.action = "flight/book"}, {.action = "hotel/book"}, {.action = "car/rent"}};

static struct tercet_tried tries[PLAN_COUNT];

static int run_plan(struct blocking *blocking)
{
    return tercet_run_tried(blocking->client, plan, PLAN_COUNT, NULL, tries, &blocking->result);
}

/* Answers with the plan's branches in these states. */
static void answer_plan(const struct fake_event *event, Tercet__V1__State state,
                        const Tercet__V1__TryState states[PLAN_COUNT])
{
    static const char *const replies[] = {"seat 7", "room 12", "a blue one"};
    Tercet__V1__SessionResponse response = TERCET__V1__SESSION_RESPONSE__INIT;
    Tercet__V1__Transaction transaction = TERCET__V1__TRANSACTION__INIT;
    Tercet__V1__BranchStatus branches[PLAN_COUNT];
    Tercet__V1__BranchStatus *pointers[PLAN_COUNT];
    for (uint32_t i = 0; i < PLAN_COUNT; i++) {
        tercet__v1__branch_status__init(&branches[i]);
        pointers[PLAN_COUNT - 1 - i] = &branches[i]; /* their numbers count, not their order */
        branches[i].number = i + 1;
        branches[i].try_state = states[i];
        if (states[i] == TERCET__V1__TRY_STATE__TRY_DONE)
            branches[i].reply =
                (ProtobufCBinaryData){strlen(replies[i]), (uint8_t *)(uintptr_t)replies[i]};
        if (states[i] == TERCET__V1__TRY_STATE__TRY_REFUSED)
            branches[i].reason = (char *)(uintptr_t) "fully booked";
        if (states[i] == TERCET__V1__TRY_STATE__TRY_NOT_KNOWN)
            branches[i].last_error = (char *)(uintptr_t) "the disk said no";
    }
    transaction.state = state;
    transaction.branches = pointers;
    transaction.n_branches = PLAN_COUNT;
    response.response_case = TERCET__V1__SESSION_RESPONSE__RESPONSE_TRANSACTION;
    response.transaction = &transaction;
    fake_answer(event, &response);
}

static void expect_reply(const struct tercet_tried *tried, uint32_t number, const char *reply)
{
    cr_expect_eq(tried->code, 0);
    cr_expect_eq(tried->branch.number, number);
    cr_expect_eq(tried->reply.size, strlen(reply));
    cr_expect_eq(memcmp(tried->reply.data, reply, strlen(reply)), 0);
    cr_expect_str_eq(tried->text, "");
}

static void clear_tries(void)
{
    for (size_t i = 0; i < PLAN_COUNT; i++)
        tercet_tried_clear(&tries[i]);
}

Test(tries, a_confirmed_plan_has_all_replies)
{
    static const Tercet__V1__TryState states[] = {TERCET__V1__TRY_STATE__TRY_DONE,
                                                  TERCET__V1__TRY_STATE__TRY_DONE,
                                                  TERCET__V1__TRY_STATE__TRY_DONE};
    fake_start(&fake);
    struct blocking blocking = {.client = client_open(&fake, 0)};
    blocking_start(&blocking, run_plan);
    answer_plan(fake_next(&fake, FAKE_REQUEST), TERCET__V1__STATE__CONFIRMED, states);
    cr_assert_eq(blocking_join(&blocking), 0);
    expect_reply(&tries[0], 1, "seat 7");
    expect_reply(&tries[1], 2, "room 12");
    expect_reply(&tries[2], 3, "a blue one");
    clear_tries();
    tercet_client_close(blocking.client);
    fake_stop(&fake);
}

Test(tries, a_cancelled_plan_says_who_did_what)
{
    static const Tercet__V1__TryState states[] = {TERCET__V1__TRY_STATE__TRY_REFUSED,
                                                  TERCET__V1__TRY_STATE__TRY_NOT_KNOWN,
                                                  TERCET__V1__TRY_STATE__TRY_WAITING};
    fake_start(&fake);
    struct blocking blocking = {.client = client_open(&fake, 0)};
    blocking_start(&blocking, run_plan);
    answer_plan(fake_next(&fake, FAKE_REQUEST), TERCET__V1__STATE__CANCELLED, states);
    cr_assert_eq(blocking_join(&blocking), TERCET_REFUSED);
    cr_expect_eq(tries[0].code, TERCET_REFUSED);
    cr_expect_str_eq(tries[0].text, "fully booked");
    cr_expect_eq(tries[1].code, TERCET_UNKNOWN);
    cr_expect_str_eq(tries[1].text, "the disk said no");
    cr_expect_eq(tries[2].code, TERCET_DECIDED);
    cr_expect_eq(tries[2].reply.size, 0);
    clear_tries();
    tercet_client_close(blocking.client);
    fake_stop(&fake);
}

static int run_nothing(struct blocking *blocking)
{
    const struct tercet_branch bad[PLAN_COUNT] = {{.action = "no action"}};
    return tercet_run_tried(blocking->client, bad, PLAN_COUNT, NULL, tries, &blocking->result);
}

Test(tries, a_plan_that_fails_fills_all_in)
{
    fake_start(&fake);
    struct blocking blocking = {.client = client_open(&fake, 0)};
    memset(tries, 0xff, sizeof(tries));
    cr_assert_eq(run_nothing(&blocking), TERCET_INVALID);
    for (uint32_t i = 0; i < PLAN_COUNT; i++) {
        cr_expect_eq(tries[i].code, TERCET_INVALID);
        cr_expect_eq(tries[i].branch.number, i + 1);
        cr_expect_str_eq(tries[i].text, blocking.result.text);
    }
    clear_tries();
    blocking_start(&blocking, run_plan);
    fake_answer_code(fake_next(&fake, FAKE_REQUEST), CRPC_RESOURCE_EXHAUSTED, "full");
    cr_assert_eq(blocking_join(&blocking), TERCET_EXHAUSTED);
    cr_expect_eq(tries[2].code, TERCET_EXHAUSTED);
    cr_expect_str_eq(tries[2].text, "full");
    clear_tries();
    tercet_client_close(blocking.client);
    fake_stop(&fake);
}

/* -- Own tries --------------------------------------------------------------------------------- */

static int enlist(struct blocking *blocking)
{
    return tercet_enlist(blocking->transaction, &branch_example, &blocking->branch_id,
                         &blocking->result);
}

static void enlist_branch(struct blocking *blocking)
{
    blocking_start(blocking, enlist);
    fake_answer_state(fake_next(&fake, FAKE_REQUEST), CRPC_OK, TERCET__V1__STATE__TRYING);
    cr_assert_eq(blocking_join(blocking), 0);
}

static int confirm(struct blocking *blocking)
{
    return tercet_confirm(blocking->transaction, TERCET_WAIT_DECIDED, &blocking->result);
}

static void open_counting(struct blocking *blocking, bool reports)
{
    struct tercet_begin_options options = {.size = sizeof(options), .reports_own_tries = reports};
    blocking->client = client_open(&fake, 0);
    cr_assert_eq(tercet_begin(&blocking->transaction, blocking->client, &options), 0);
    enlist_branch(blocking);
}

static void confirm_well(struct blocking *blocking)
{
    blocking_start(blocking, confirm);
    fake_answer_state(fake_next(&fake, FAKE_REQUEST), CRPC_OK, TERCET__V1__STATE__CONFIRMED);
    cr_assert_eq(blocking_join(blocking), 0);
    tercet_transaction_free(blocking->transaction);
    tercet_client_close(blocking->client);
    fake_stop(&fake);
}

Test(tries, a_confirm_waits_for_reported_own_tries)
{
    struct blocking blocking = {.client = NULL};
    fake_start(&fake);
    open_counting(&blocking, true);
    cr_assert_eq(confirm(&blocking), TERCET_NOT_READY);
    cr_assert(strstr(blocking.result.text, "tercet_own_tried") != NULL, "%s", blocking.result.text);
    cr_assert_eq(tercet_own_tried(blocking.transaction, blocking.branch_id, TERCET_REFUSED), 0);
    cr_assert_eq(confirm(&blocking), TERCET_NOT_READY);
    cr_assert_eq(tercet_own_tried(blocking.transaction, blocking.branch_id, 0), 0);
    struct tercet_branch_id other = {.number = 2};
    cr_assert_eq(tercet_own_tried(blocking.transaction, other, 0), TERCET_INVALID);
    other.number = TERCET_BRANCHES_MAX + 1;
    cr_assert_eq(tercet_own_tried(blocking.transaction, other, 0), TERCET_INVALID);
    confirm_well(&blocking);
}

Test(tries, without_the_option_a_confirm_vouches)
{
    struct blocking blocking = {.client = NULL};
    fake_start(&fake);
    open_counting(&blocking, false);
    cr_assert_eq(tercet_own_tried(blocking.transaction, blocking.branch_id, 0), TERCET_INVALID);
    confirm_well(&blocking);
}
