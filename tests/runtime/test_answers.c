/* SPDX-License-Identifier: Apache-2.0
 *
 * What the coordinator's answers become: codes, texts, and when the client asks again.
 */
#include "fixture.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(answers, .timeout = 200);

static struct fake fake;
static struct results results = RESULTS_INIT;

static const struct fake_event *start_run(struct tercet_client *client, enum tercet_wait wait)
{
    struct tercet_begin_options options = {.size = sizeof(options), .wait = wait};
    cr_assert_eq(tercet_run_start(client, &branch_example, 1, &options, on_result, &results), 0);
    return fake_next(&fake, FAKE_REQUEST);
}

static struct tercet_client *open_client(void)
{
    fake_start(&fake);
    return client_open(&fake, 0);
}

static void close_both(struct tercet_client *client)
{
    tercet_client_close(client);
    fake_stop(&fake);
}

static void answer_cancelled(const struct fake_event *event, Tercet__V1__Cause cause,
                             const char *reason)
{
    Tercet__V1__SessionResponse response = TERCET__V1__SESSION_RESPONSE__INIT;
    Tercet__V1__Transaction transaction = TERCET__V1__TRANSACTION__INIT;
    transaction.gid = event->request->run->gid;
    transaction.state = TERCET__V1__STATE__CANCELLING;
    transaction.cause = cause;
    transaction.reason = (char *)(uintptr_t)reason;
    transaction.parked = true;
    response.response_case = TERCET__V1__SESSION_RESPONSE__RESPONSE_TRANSACTION;
    response.transaction = &transaction;
    fake_answer(event, &response);
}

Test(answers, a_cancelled_run_is_refused_with_the_reason)
{
    struct tercet_client *client = open_client();
    answer_cancelled(start_run(client, TERCET_WAIT_DECIDED), TERCET__V1__CAUSE__REFUSED,
                     "sold out");
    struct tercet_result result = results_wait(&results, 1);
    cr_assert_eq(result.code, TERCET_REFUSED);
    cr_assert_eq(result.state, TERCET_CANCELLING);
    cr_assert_eq(result.cause, TERCET_CAUSE_REFUSED);
    cr_assert(result.parked);
    cr_assert_str_eq(result.text, "sold out");
    answer_cancelled(start_run(client, TERCET_WAIT_DECIDED), TERCET__V1__CAUSE__DEADLINE, "");
    cr_assert_str_eq(results_wait(&results, 2).text, tercet_cause_text(TERCET_CAUSE_DEADLINE));
    close_both(client);
}

Test(answers, a_durable_plan_is_enough_without_waiting)
{
    struct tercet_client *client = open_client();
    fake_answer_state(start_run(client, TERCET_WAIT_NOT), CRPC_OK, TERCET__V1__STATE__TRYING);
    struct tercet_result result = results_wait(&results, 1);
    cr_assert_eq(result.code, 0);
    cr_assert_eq(result.state, TERCET_TRYING);
    close_both(client);
}

Test(answers, an_undecided_run_is_asked_for_again)
{
    struct tercet_client *client = open_client();
    const struct fake_event *event = start_run(client, TERCET_WAIT_DECIDED);
    fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__TRYING);
    event = fake_next(&fake, FAKE_REQUEST);
    fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__CONFIRMING);
    cr_assert_eq(results_wait(&results, 1).code, 0);
    close_both(client);
}

Test(answers, not_now_and_faults_are_asked_again)
{
    const enum crpc_code codes[] = {CRPC_UNAVAILABLE, CRPC_INTERNAL, CRPC_UNKNOWN,
                                    CRPC_DEADLINE_EXCEEDED};
    struct tercet_client *client = open_client();
    const struct fake_event *event = start_run(client, TERCET_WAIT_DECIDED);
    uint64_t id = event->request->id;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        fake_answer_code(event, codes[i], "not now");
        event = fake_next(&fake, FAKE_REQUEST);
        cr_assert_eq(event->request->id, id);
    }
    fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__CONFIRMING);
    cr_assert_eq(results_wait(&results, 1).code, 0);
    cr_assert_eq(results_count(&results), 1);
    close_both(client);
}

Test(answers, codes_become_errors)
{
    static const struct {
        enum crpc_code code;
        int error;
    } pairs[] = {
        {CRPC_INVALID_ARGUMENT, TERCET_INVALID},     {CRPC_ALREADY_EXISTS, TERCET_EXISTS},
        {CRPC_RESOURCE_EXHAUSTED, TERCET_EXHAUSTED}, {CRPC_PERMISSION_DENIED, TERCET_DENIED},
        {CRPC_UNAUTHENTICATED, TERCET_DENIED},       {CRPC_NOT_FOUND, TERCET_NOT_FOUND},
        {CRPC_FAILED_PRECONDITION, TERCET_DECIDED},
    };
    struct tercet_client *client = open_client();
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        fake_answer_code(start_run(client, TERCET_WAIT_DECIDED), pairs[i].code,
                         "the coordinator's words");
        struct tercet_result result = results_wait(&results, (unsigned)i + 1);
        cr_expect_eq(result.code, pairs[i].error, "%s", crpc_code_name((int)pairs[i].code));
        cr_expect_str_eq(result.text, "the coordinator's words");
    }
    close_both(client);
}

Test(answers, a_limit_says_nothing_of_an_earlier_ask)
{
    struct tercet_client *client = open_client();
    const struct fake_event *event = start_run(client, TERCET_WAIT_DECIDED);
    fake_drop(event->stream); /* perhaps it was taken */
    fake_answer_code(fake_next(&fake, FAKE_REQUEST), CRPC_RESOURCE_EXHAUSTED, "full");
    fake_answer_code(fake_next(&fake, FAKE_REQUEST), CRPC_PERMISSION_DENIED, "no");
    fake_answer_state(fake_next(&fake, FAKE_REQUEST), CRPC_OK, TERCET__V1__STATE__CONFIRMED);
    cr_assert_eq(results_wait(&results, 1).code, 0);
    close_both(client);
}

Test(answers, a_session_that_is_turned_away_is_denied)
{
    fake_start(&fake);
    fake_refuse(&fake, CRPC_UNAUTHENTICATED);
    struct tercet_client *client = client_open(&fake, 0);
    cr_assert_eq(tercet_run_start(client, &branch_example, 1, NULL, on_result, &results), 0);
    struct tercet_result result = results_wait(&results, 1);
    cr_assert_eq(result.code, TERCET_DENIED);
    cr_assert_str_eq(result.text, "turned away by the test");
    close_both(client);
}

Test(answers, a_denial_says_nothing_of_what_an_earlier_session_took)
{
    struct tercet_client *client = open_client();
    const struct fake_event *event = start_run(client, TERCET_WAIT_DECIDED);
    fake_refuse(&fake, CRPC_UNAUTHENTICATED);
    fake_drop(event->stream);
    struct fake_event *end;
    do
        end = fake_next(&fake, FAKE_END); /* of the dropped one, then of one turned away */
    while (end->stream == event->stream);
    fake_refuse(&fake, CRPC_OK);
    event = fake_next(&fake, FAKE_REQUEST);
    cr_assert_eq(results_count(&results), 0);
    fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__CONFIRMED);
    cr_assert_eq(results_wait(&results, 1).code, 0);
    close_both(client);
}

static int get_blocking(struct blocking *blocking)
{
    return tercet_get(blocking->client, "order:1", &blocking->result);
}

Test(answers, get_tells_the_state)
{
    fake_start(&fake);
    struct blocking blocking = {.client = client_open(&fake, 0)};
    blocking_start(&blocking, get_blocking);
    const struct fake_event *event = fake_next(&fake, FAKE_REQUEST);
    cr_assert_str_eq(event->request->get->gid, "order:1");
    fake_answer_state(event, CRPC_OK, TERCET__V1__STATE__TRYING);
    cr_assert_eq(blocking_join(&blocking), 0);
    cr_assert_eq(blocking.result.state, TERCET_TRYING);
    blocking_start(&blocking, get_blocking);
    fake_answer_code(fake_next(&fake, FAKE_REQUEST), CRPC_NOT_FOUND, "");
    cr_assert_eq(blocking_join(&blocking), TERCET_NOT_FOUND);
    cr_assert_str_eq(blocking.result.text, tercet_strerror(TERCET_NOT_FOUND));
    close_both(blocking.client);
}

/* -- Await ------------------------------------------------------------------------------------- */

static int await_end(struct blocking *blocking)
{
    return tercet_await(blocking->client, "order:1", TERCET_WAIT_RESOLVED, 0, &blocking->result);
}

static int await_decision(struct blocking *blocking)
{
    return tercet_await(blocking->client, "order:1", TERCET_WAIT_DECIDED, 0, &blocking->result);
}

static const struct fake_event *next_await(Tercet__V1__Wait wait)
{
    const struct fake_event *event = fake_next(&fake, FAKE_REQUEST);
    cr_assert_eq(event->request->request_case, TERCET__V1__SESSION_REQUEST__REQUEST_AWAIT_STATE);
    cr_assert_str_eq(event->request->await_state->gid, "order:1");
    cr_assert_eq(event->request->await_state->wait, wait);
    return event;
}

Test(answers, await_ends_when_what_it_waits_for_has_come)
{
    fake_start(&fake);
    struct blocking blocking = {.client = client_open(&fake, 0)};
    blocking_start(&blocking, await_decision);
    fake_answer_state(next_await(TERCET__V1__WAIT__WAIT_DECIDED), CRPC_OK,
                      TERCET__V1__STATE__TRYING);
    fake_answer_state(next_await(TERCET__V1__WAIT__WAIT_DECIDED), CRPC_OK,
                      TERCET__V1__STATE__CANCELLING);
    cr_assert_eq(blocking_join(&blocking), 0);
    cr_assert_eq(blocking.result.state, TERCET_CANCELLING);
    cr_assert_neq(blocking.result.text[0], '\0', "why it was cancelled");
    blocking_start(&blocking, await_end);
    fake_answer_state(next_await(TERCET__V1__WAIT__WAIT_RESOLVED), CRPC_OK,
                      TERCET__V1__STATE__CONFIRMING);
    fake_answer_state(next_await(TERCET__V1__WAIT__WAIT_RESOLVED), CRPC_OK,
                      TERCET__V1__STATE__CONFIRMED);
    cr_assert_eq(blocking_join(&blocking), 0);
    cr_assert_eq(blocking.result.state, TERCET_CONFIRMED);
    cr_assert_str_eq(blocking.result.text, "");
    blocking_start(&blocking, await_end);
    fake_answer_code(next_await(TERCET__V1__WAIT__WAIT_RESOLVED), CRPC_NOT_FOUND, "");
    cr_assert_eq(blocking_join(&blocking), TERCET_NOT_FOUND);
    close_both(blocking.client);
}

Test(answers, await_goes_on_over_the_next_session)
{
    fake_start(&fake);
    struct blocking blocking = {.client = client_open(&fake, 0)};
    blocking_start(&blocking, await_end);
    fake_drop(next_await(TERCET__V1__WAIT__WAIT_RESOLVED)->stream);
    fake_answer_state(next_await(TERCET__V1__WAIT__WAIT_RESOLVED), CRPC_OK,
                      TERCET__V1__STATE__CANCELLED);
    cr_assert_eq(blocking_join(&blocking), 0);
    cr_assert_eq(blocking.result.state, TERCET_CANCELLED);
    close_both(blocking.client);
}

Test(answers, await_calls_back_once_also_when_patience_is_over)
{
    struct tercet_client *client = open_client();
    cr_assert_eq(
        tercet_await_start(client, "order:1", TERCET_WAIT_RESOLVED, 0, on_result, &results), 0);
    fake_answer_state(next_await(TERCET__V1__WAIT__WAIT_RESOLVED), CRPC_OK,
                      TERCET__V1__STATE__CONFIRMED);
    cr_assert_eq(results_wait(&results, 1).state, TERCET_CONFIRMED);
    cr_assert_eq(
        tercet_await_start(client, "order:1", TERCET_WAIT_RESOLVED, 1, on_result, &results), 0);
    const struct fake_event *late = next_await(TERCET__V1__WAIT__WAIT_RESOLVED);
    cr_assert_eq(late->request->await_state->timeout_ms, 1,
                 "so that the coordinator can forget it, too");
    cr_assert_eq(results_wait(&results, 2).code, TERCET_UNKNOWN);
    fake_answer_state(late, CRPC_OK, TERCET__V1__STATE__CONFIRMED);
    struct blocking blocking = {.client = client};
    blocking_start(&blocking, get_blocking);
    fake_answer_state(fake_next(&fake, FAKE_REQUEST), CRPC_OK, TERCET__V1__STATE__CONFIRMED);
    cr_assert_eq(blocking_join(&blocking), 0, "what was sent before this has been read");
    cr_assert_eq(results_count(&results), 2);
    close_both(client);
}

Test(answers, await_names_what_is_wrong)
{
    static const struct {
        const char *gid;
        int wait;
        int64_t timeout_ms;
        const char *words;
    } cases[] = {
        {NULL, TERCET_WAIT_DECIDED, 0, "gid"},
        {"has space", TERCET_WAIT_DECIDED, 0, "gid"},
        {"order:1", TERCET_WAIT_NOT, 0, "WAIT_RESOLVED"},
        {"order:1", -1, 0, "WAIT_RESOLVED"},
        {"order:1", TERCET_WAIT_DECIDED, -1, "30 days"},
        {"order:1", TERCET_WAIT_DECIDED, INT64_MAX, "30 days"},
    };
    struct tercet_client *client = open_client();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tercet_result result;
        enum tercet_wait wait = (enum tercet_wait)cases[i].wait;
        cr_expect_eq(tercet_await(client, cases[i].gid, wait, cases[i].timeout_ms, &result),
                     TERCET_INVALID);
        cr_expect_not_null(strstr(result.text, cases[i].words), "%s", result.text);
        cr_expect_eq(tercet_await_start(client, cases[i].gid, wait, cases[i].timeout_ms, on_result,
                                        &results),
                     TERCET_INVALID);
    }
    close_both(client);
    cr_assert_eq(fake_message_count(&fake), 0);
    cr_assert_eq(results_count(&results), 0);
}
