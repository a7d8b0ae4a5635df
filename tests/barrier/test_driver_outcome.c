/* SPDX-License-Identifier: Apache-2.0
 *
 * What becomes of calls whose database carries them out at the commit only, and tells then what
 * came of each.
 */
#include <stdlib.h>
#include <string.h>

#include "pool.h"
#include "scarce.h"
#include "scripted.h"

#define TRIES_MAX 6

/* What the driver says of the first calls that it is asked about; as asked of those after. */
static struct tercet_barrier_outcome told[16];
static int told_count, asked_count, expected_count;
static bool is_memory_short; /* for what is done with the next outcome */

static int take_expected(void *state, const struct tercet_barrier_key *keys, size_t count)
{
    (void)state;
    for (size_t i = 0; i < count; i++)
        cr_assert_str_eq(keys[i].gid, "g");
    expected_count += (int)count;
    return 0;
}

static void tell_outcome(void *state, const struct tercet_barrier_key *key,
                         struct tercet_barrier_outcome *outcome)
{
    (void)state;
    (void)key;
    if (asked_count < told_count)
        *outcome = told[asked_count];
    asked_count++;
    if (is_memory_short)
        scarce_fail_at(1);
}

static enum tercet_barrier_failure tell_failure(void *state)
{
    (void)state;
    return script.failure;
}

static void open_late(void)
{
    struct tercet_barrier_driver driver = scripted_driver;
    driver.expect = take_expected;
    driver.outcome = tell_outcome;
    driver.failure = tell_failure;
    scripted_open(&driver, NULL);
}

static void close_late(void)
{
    scarce_fail_at(0);
    scripted_close();
}

TestSuite(outcome, .init = open_late, .fini = close_late, .timeout = 60);

static void tell(enum tercet_barrier_verdict verdict, enum tercet_barrier_state to,
                 const char *text)
{
    told[told_count++] = (struct tercet_barrier_outcome){
        .verdict = verdict, .to = to, .text = text, .text_size = strlen(text)};
}

static struct tercet_barrier_call late_call(enum tercet_kind kind)
{
    struct tercet_barrier_call call = call_of(kind, reply_hook);
    call.gid = "g";
    return call;
}

static void expect_answer(struct tercet_barrier_call *call, int result, const char *reply,
                          const char *reason)
{
    cr_expect_eq(call->result, result, "%d", call->result);
    cr_expect_eq(call->reply_size, reply != NULL ? strlen(reply) : 0);
    cr_expect(reply == NULL || memcmp(call->reply, reply, call->reply_size) == 0);
    cr_expect_eq(call->reason != NULL, reason != NULL);
    cr_expect(reason == NULL || strcmp(call->reason, reason) == 0, "%s", call->reason);
    free(call->reply);
    free(call->reason);
}

Test(outcome, each_verdict_is_an_answer)
{
    static const struct {
        enum tercet_kind kind;
        enum tercet_barrier_verdict verdict;
        enum tercet_barrier_state to;
        int result;
        const char *reply, *reason;
    } cases[] = {
        {TERCET_TRY, TERCET_BARRIER_AS_ASKED, TERCET_BARRIER_TRIED, 0, "seat 17", NULL},
        {TERCET_TRY, TERCET_BARRIER_REPLIED, TERCET_BARRIER_TRIED, 0, "text", NULL},
        {TERCET_TRY, TERCET_BARRIER_REFUSED, TERCET_BARRIER_TRIED, TERCET_REFUSED, NULL, "text"},
        {TERCET_TRY, TERCET_BARRIER_FAILED, TERCET_BARRIER_TRIED, TERCET_STORE, NULL, "text"},
        {TERCET_TRY, TERCET_BARRIER_LATE, TERCET_BARRIER_TRIED, TERCET_REFUSED, NULL, NULL},
        {TERCET_CONFIRM, TERCET_BARRIER_REFUSED, TERCET_BARRIER_CONFIRMED, TERCET_AGAIN, NULL,
         "text"},
        {TERCET_CANCEL, TERCET_BARRIER_FAILED, TERCET_BARRIER_CANCELLED, TERCET_STORE, NULL,
         "text"},
        {TERCET_CONFIRM, TERCET_BARRIER_REPLIED, TERCET_BARRIER_TRIED, 0, NULL, NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tercet_barrier_call call = late_call(cases[i].kind);
        script.inserts = cases[i].kind == TERCET_TRY;
        told_count = asked_count = 0;
        tell(cases[i].verdict, cases[i].to, "text");
        tercet_barrier_run(scripted_barrier, &call, 1);
        expect_answer(&call, cases[i].result, cases[i].reply, cases[i].reason);
    }
    cr_expect_not_null(strstr(script.logged, "failed: text"), "%s", script.logged);
}

Test(outcome, what_failed_needs_no_log)
{
    struct tercet_barrier_call call = late_call(TERCET_TRY);
    tell(TERCET_BARRIER_FAILED, TERCET_BARRIER_TRIED, "text");
    scripted_barrier->on_log = NULL;
    tercet_barrier_run(scripted_barrier, &call, 1);
    expect_answer(&call, TERCET_STORE, NULL, "text");
}

/* A reply that cannot be given is in the row, for who asks again; a reason can be left out. */
Test(outcome, memory_that_is_short)
{
    struct tercet_barrier_call call = late_call(TERCET_TRY);
    is_memory_short = true;
    tell(TERCET_BARRIER_REPLIED, TERCET_BARRIER_TRIED, "text");
    tell(TERCET_BARRIER_REFUSED, TERCET_BARRIER_TRIED, "text");
    tercet_barrier_run(scripted_barrier, &call, 1);
    expect_answer(&call, TERCET_STORE, NULL, NULL);
    call = late_call(TERCET_TRY);
    tercet_barrier_run(scripted_barrier, &call, 1);
    expect_answer(&call, TERCET_REFUSED, NULL, NULL);
    is_memory_short = false;
}

/* Who met with another is run again, alone; and so is an answer that was built on what did not come
 * about. A call that is none is not asked about. */
Test(outcome, who_met_with_others_is_run_again)
{
    struct tercet_barrier_call calls[4];
    for (int i = 0; i < 4; i++)
        calls[i] = late_call(TERCET_TRY);
    calls[3].branch = 0;
    tell(TERCET_BARRIER_MET, TERCET_BARRIER_TRIED, "");
    tell(TERCET_BARRIER_REFUSED, TERCET_BARRIER_CONFIRMED, "");
    tell(TERCET_BARRIER_AS_ASKED, TERCET_BARRIER_NONE, "");
    tell(TERCET_BARRIER_MET, TERCET_BARRIER_TRIED, "");
    tercet_barrier_run(scripted_barrier, calls, 4);
    for (int i = 0; i < 3; i++)
        expect_answer(&calls[i], 0, "seat 17", NULL);
    cr_expect_eq(calls[3].result, TERCET_INVALID);
    cr_expect_eq(asked_count, 3 + 2 + 1);
    cr_expect_eq(expected_count, 3 + 2 + 1);
}

Test(outcome, who_meets_with_others_for_ever_is_asked_again_later)
{
    struct tercet_barrier_call call = late_call(TERCET_TRY);
    for (int i = 0; i < 1 + TRIES_MAX; i++)
        tell(TERCET_BARRIER_MET, TERCET_BARRIER_TRIED, "");
    tercet_barrier_run(scripted_barrier, &call, 1);
    expect_answer(&call, TERCET_STORE, NULL, NULL);
    cr_expect_eq(asked_count, 1 + TRIES_MAX);
}

static int fail_second_commit(void *state)
{
    (void)state;
    return ++script.log_count == 1 ? 0 : TERCET_STORE;
}

/* The first commit leaves it undone, and the next ones fail. */
static void check_failing_repeats(enum tercet_barrier_failure failure)
{
    struct tercet_barrier_call call = late_call(TERCET_TRY);
    script.failure = failure;
    script.log_count = told_count = asked_count = 0;
    tell(TERCET_BARRIER_MET, TERCET_BARRIER_TRIED, "");
    scripted_barrier->driver.commit = fail_second_commit;
    scripted_barrier->on_log = NULL;
    tercet_barrier_run(scripted_barrier, &call, 1);
    expect_answer(&call, TERCET_STORE, NULL, NULL);
}

Test(outcome, a_repetition_may_fail)
{
    check_failing_repeats(TERCET_BARRIER_LOST);
    check_failing_repeats(TERCET_BARRIER_CONFLICT);
}
