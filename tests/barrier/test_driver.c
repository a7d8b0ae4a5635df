/* SPDX-License-Identifier: Apache-2.0
 *
 * What a driver is asked, and in which order: the promise that <tercet/sys/barrier.h> gives to
 * those who write one.
 */
#include "scripted.h"

#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static void open_barrier(void)
{
    scripted_open(&scripted_driver, NULL);
}

TestSuite(driver, .init = open_barrier, .fini = scripted_close, .timeout = 60);

/* -- One call ---------------------------------------------------------------------------------- */

Test(driver, a_first_try)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, reply_hook);
    cr_expect_eq(run_one(&call), 0);
    cr_expect_eq(call.reply_size, 7);
    expect_asked("begin mark_read savepoint insert reply_save release commit");
    free(call.reply);
}

Test(driver, a_try_again)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    script.inserts = false;
    script.row = TERCET_BARRIER_TRIED;
    cr_expect_eq(run_one(&call), 0);
    expect_asked("begin mark_read savepoint insert release read commit");
}

Test(driver, a_hook_that_fails_leaves_no_savepoint)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, fail_hook);
    cr_expect_eq(run_one(&call), TERCET_AGAIN);
    expect_asked("begin mark_read savepoint insert rollback_to release commit");
}

Test(driver, a_confirm)
{
    struct tercet_barrier_call call = call_of(TERCET_CONFIRM, NULL);
    cr_expect_eq(run_one(&call), 0);
    expect_asked("begin mark_read savepoint move release commit");
}

Test(driver, a_confirm_again)
{
    struct tercet_barrier_call call = call_of(TERCET_CONFIRM, NULL);
    script.moves = false;
    script.row = TERCET_BARRIER_CONFIRMED;
    cr_expect_eq(run_one(&call), 0);
    expect_asked("begin mark_read savepoint move release read commit");
}

Test(driver, a_cancel_of_nothing)
{
    struct tercet_barrier_call call = call_of(TERCET_CANCEL, NULL);
    cr_expect_eq(run_one(&call), 0);
    expect_asked("begin mark_read insert commit");
}

Test(driver, work_that_cannot_be_committed_has_no_reply)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, reply_hook);
    script.release_result = TERCET_INVALID;
    cr_expect_eq(run_one(&call), TERCET_STORE);
    cr_expect_null(call.reply);
    cr_expect_eq(call.reply_size, 0);
    cr_expect_eq(script.log_count, 1);
    expect_asked("begin mark_read savepoint insert reply_save release rollback_to release commit");
}

/* -- The mark ---------------------------------------------------------------------------------- */

Test(driver, the_mark_is_raised_only_when_it_is_higher)
{
    struct tercet_barrier_call call = call_of(TERCET_CONFIRM, NULL);
    script.mark = 1;
    call.low_water = 1;
    cr_expect_eq(run_one(&call), 0);
    expect_asked("begin mark_read savepoint move release collect commit");
    script.asked[0] = '\0';
    call.low_water = 2;
    cr_expect_eq(run_one(&call), 0);
    expect_asked("begin mark_read savepoint move release mark_raise collect commit");
}

/* -- What is not asked ------------------------------------------------------------------------- */

Test(driver, nothing_for_calls_that_are_all_invalid)
{
    struct tercet_barrier_call calls[] = {call_of(TERCET_TRY, NULL), call_of(TERCET_CANCEL, NULL)};
    calls[0].branch = 0;
    calls[1].gid = "";
    tercet_barrier_run(scripted_barrier, calls, 2);
    cr_expect_eq(calls[0].result, TERCET_INVALID);
    cr_expect_eq(calls[1].result, TERCET_INVALID);
    expect_asked("");
}

Test(driver, nothing_past_the_last_call)
{
    struct tercet_barrier_call calls[] = {call_of(TERCET_TRY, NULL), call_of(TERCET_TRY, NULL),
                                          call_of(TERCET_TRY, NULL), call_of(TERCET_TRY, fail_hook),
                                          call_of(TERCET_TRY, fail_hook)};
    calls[1].alone = true;
    tercet_barrier_run(scripted_barrier, calls, 3);
    cr_expect_eq(calls[3].result, 0);
    expect_asked("begin mark_read savepoint insert release commit begin mark_read savepoint insert "
                 "release commit "
                 "begin mark_read savepoint insert release commit");
}

/* -- What goes in ------------------------------------------------------------------------------ */

Test(driver, the_largest_numbers_are_taken)
{
    struct tercet_barrier_call call = call_of(TERCET_CONFIRM, NULL);
    call.branch = TERCET_BRANCHES_MAX;
    call.number = INT64_MAX;
    call.low_water = INT64_MAX;
    cr_expect_eq(run_one(&call), 0);
    call.branch++;
    cr_expect_eq(run_one(&call), TERCET_INVALID);
}

Test(driver, what_the_answer_held_before_does_not_count)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    call.reply_size = 7;
    cr_expect_eq(run_one(&call), 0);
    cr_expect_eq(call.reply_size, 0);
}

static int reply_of_nothing(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)db;
    (void)ctx;
    call->reply_size = 1;
    return 0;
}

Test(driver, a_reply_that_is_not_there_is_invalid)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, reply_of_nothing);
    cr_expect_eq(run_one(&call), TERCET_INVALID);
    cr_expect_eq(call.reply_size, 0);
}

Test(driver, options_of_another_size)
{
    struct tercet_barrier *other = NULL;
    struct tercet_barrier_options options = {.size = sizeof(options.size), .on_log = scripted_log};
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    cr_assert_eq(tercet_barrier_new(&other, &scripted_driver, &script, &options), 0);
    script.commit_result = TERCET_STORE;
    tercet_barrier_run(other, &call, 1);
    cr_expect_eq(call.result, TERCET_STORE);
    cr_expect_eq(script.log_count, 0, "a field past the size was read");
    tercet_barrier_close(other);
    options.size = sizeof(options.size) - 1;
    cr_expect_eq(tercet_barrier_new(&other, &scripted_driver, &script, &options), TERCET_INVALID);
}

/* -- What is logged ---------------------------------------------------------------------------- */

Test(driver, a_long_error_is_logged_whole)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    memset(script.error, 'e', sizeof(script.error) - 1);
    script.commit_result = TERCET_STORE;
    cr_expect_eq(run_one(&call), TERCET_STORE);
    cr_expect_not_null(strstr(script.logged, script.error), "%s", script.logged);
    expect_asked("begin mark_read savepoint insert release commit rollback");
}

/* -- The application's own --------------------------------------------------------------------- */

static int own_work(tercet_db db, void *ctx)
{
    (void)db;
    return *(const int *)ctx;
}

static int own_work_that_ends_it(tercet_db db, void *ctx)
{
    (void)db;
    (void)ctx;
    script.is_closed = true;
    return 0;
}

Test(driver, local_work_is_committed_and_not_rolled_back)
{
    int code = 0;
    cr_expect_eq(tercet_barrier_local(scripted_barrier, own_work, &code), 0);
    expect_asked("begin mark_read commit");
    cr_expect_eq(script.log_count, 0);
}

Test(driver, local_work_that_fails_is_rolled_back)
{
    int code = TERCET_REFUSED;
    cr_expect_eq(tercet_barrier_local(scripted_barrier, own_work, &code), TERCET_REFUSED);
    expect_asked("begin mark_read rollback");
    cr_expect_eq(script.log_count, 0);
}

Test(driver, local_work_that_ends_its_transaction_is_not_committed)
{
    cr_expect_eq(tercet_barrier_local(scripted_barrier, own_work_that_ends_it, NULL), TERCET_STORE);
    expect_asked("begin mark_read rollback");
    cr_expect_eq(script.log_count, 1);
}

/* -- What is left behind ----------------------------------------------------------------------- */

#define ROUNDS 4000
#define LARGE 1000 /* bytes of each reply: one that is left behind in every round is 4 MB */
#define LEFT_MAX (256 * 1024)

static int fail_with_a_reply(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    (void)db;
    (void)ctx;
    call->reply = calloc(1, LARGE);
    call->reply_size = LARGE;
    return TERCET_AGAIN;
}

static void fail_once(void)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, fail_with_a_reply);
    script.inserts = true;
    cr_assert_eq(run_one(&call), TERCET_AGAIN);
}

static void ask_again(enum tercet_kind kind, enum tercet_barrier_state row, int result)
{
    struct tercet_barrier_call call = call_of(kind, NULL);
    script.inserts = script.moves = false;
    script.row = row;
    script.row_reply_size = LARGE;
    cr_assert_eq(run_one(&call), result);
}

static void open_and_close(void)
{
    struct tercet_barrier *other = NULL;
    cr_assert_eq(tercet_barrier_new(&other, &scripted_driver, &script, NULL), 0);
    tercet_barrier_close(other);
}

/* LeakSanitizer sees it, too; this is for those who build without. */
Test(driver, nothing_is_left_behind)
{
    size_t before = mallinfo2().uordblks;
    for (int i = 0; i < ROUNDS; i++) {
        open_and_close();
        fail_once();
        ask_again(TERCET_TRY, TERCET_BARRIER_CANCELLED, TERCET_REFUSED);
        ask_again(TERCET_CONFIRM, TERCET_BARRIER_CONFIRMED, 0);
    }
    cr_expect_lt(mallinfo2().uordblks, before + LEFT_MAX);
}

/* -- What a hook must not ---------------------------------------------------------------------- */

static int hook_that_asks_its_own_barrier(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    struct tercet_barrier_call another = call_of(TERCET_TRY, NULL);
    (void)call;
    (void)db;
    (void)ctx;
    return run_one(&another);
}

Test(driver, a_hook_that_asks_its_own_barrier_is_told, .signal = SIGABRT)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, hook_that_asks_its_own_barrier);
    run_one(&call);
}

/* -- Time, and tables of another size ---------------------------------------------------------- */

Test(driver, no_call_begins_when_the_time_is_over)
{
    struct tercet_barrier_call calls[3];
    for (int i = 0; i < 3; i++)
        calls[i] = call_of(TERCET_CONFIRM, NULL);
    cr_expect_eq(tercet_barrier_run_for(scripted_barrier, calls, 3, 0), 1);
    cr_expect_eq(tercet_barrier_run_for(scripted_barrier, calls, 3, 60000), 3);
    for (int i = 0; i < 3; i++)
        calls[i].alone = true;
    cr_expect_eq(tercet_barrier_run_for(scripted_barrier, calls, 3, 0), 1);
    cr_expect_eq(tercet_barrier_run_for(scripted_barrier, calls, 3, 60000), 3);
}

Test(driver, a_table_may_be_as_old_as_the_first)
{
    struct tercet_barrier_driver table = scripted_driver;
    const struct tercet_barrier_options too_many = {.size = sizeof(too_many),
                                                    .connections_max = 257};
    struct tercet_barrier *other = NULL;
    table.size = offsetof(struct tercet_barrier_driver, connect);
    cr_expect_eq(tercet_barrier_new(&other, &table, &script, NULL), 0);
    cr_expect_eq(tercet_barrier_connections(other), 1);
    tercet_barrier_close(other);
    cr_expect_eq(tercet_barrier_new(&other, &scripted_driver, &script, &too_many), TERCET_INVALID);
    table.size--;
    cr_expect_eq(tercet_barrier_new(&other, &table, &script, NULL), TERCET_INVALID);
}

Test(driver, each_broken_promise_has_a_text)
{
    static const int broken[] = {TERCET_BROKEN_NO_TRY, TERCET_BROKEN_CANCELLED,
                                 TERCET_BROKEN_CONFIRMED};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        cr_expect_str_neq(tercet_broken_text(broken[i]), tercet_strerror(TERCET_BROKEN));
    cr_expect_str_eq(tercet_broken_text(-1), tercet_strerror(TERCET_BROKEN));
}
