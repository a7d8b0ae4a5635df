/* SPDX-License-Identifier: Apache-2.0
 *
 * What a driver is asked that changes many rows in one go, before they are asked for one by one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"
#include "scripted.h"

#define CALLS_MAX 100

static struct {
    char changes[4096]; /* "branch:from>to", in the order of one foresee, a | after each */
    int count, result, forgo_result;
    bool refuses_reply; /* once: what a hook has done cannot be committed */
} foreseen;

static int take_foresee(void *state, const struct tercet_barrier_change *changes, size_t count)
{
    (void)state;
    foreseen.count++;
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(foreseen.changes);
        snprintf(foreseen.changes + used, sizeof(foreseen.changes) - used, "%u:%d>%d ",
                 changes[i].key.branch, changes[i].from, changes[i].to);
    }
    strcat(foreseen.changes, "|");
    return foreseen.result;
}

static int take_forgo(void *state)
{
    (void)state;
    scripted_note("forgo");
    return foreseen.forgo_result;
}

static int refuse_reply(void *state, const struct tercet_barrier_key *key,
                        struct tercet_bytes reply)
{
    (void)state;
    (void)key;
    (void)reply;
    bool refuses = foreseen.refuses_reply;
    foreseen.refuses_reply = false;
    return refuses ? TERCET_INVALID : 0;
}

static void open_foreseeing(void)
{
    struct tercet_barrier_driver driver = scripted_driver;
    driver.foresee = take_foresee;
    driver.forgo = take_forgo;
    driver.reply_save = refuse_reply;
    memset(&foreseen, 0, sizeof(foreseen));
    scripted_open(&driver, NULL);
}

TestSuite(foresee, .init = open_foreseeing, .fini = scripted_close, .timeout = 60);

static void set_calls(struct tercet_barrier_call *calls, size_t count, enum tercet_kind kind)
{
    for (size_t i = 0; i < count; i++) {
        calls[i] = call_of(kind, NULL);
        calls[i].branch = (uint32_t)i + 1;
    }
}

static void run(struct tercet_barrier_call *calls, size_t count)
{
    script.asked[0] = foreseen.changes[0] = '\0';
    foreseen.count = 0;
    tercet_barrier_run(scripted_barrier, calls, count);
}

Test(foresee, each_kind_of_call_has_its_changes_and_no_savepoint)
{
    struct tercet_barrier_call calls[5];
    set_calls(calls, 5, TERCET_TRY);
    calls[0].gid = NULL;
    calls[1].branch = calls[0].branch;
    calls[2].kind = TERCET_CONFIRM;
    calls[3].kind = TERCET_CANCEL;
    calls[4].gid = "";
    run(calls, 5);
    cr_expect_str_eq(foreseen.changes, "1:0>2 3:2>3 4:0>4 4:2>4 |");
    expect_asked("begin mark_read insert move insert commit");
    cr_expect_eq(calls[0].result, TERCET_INVALID);
    cr_expect_eq(calls[4].result, TERCET_INVALID);
}

/* Below the mark no row may come into being. Marks count from the call on that brings them. */
Test(foresee, what_has_ended_is_only_moved)
{
    struct tercet_barrier_call calls[4];
    set_calls(calls, 4, TERCET_CANCEL);
    calls[1].low_water = calls[1].number;
    calls[2].kind = TERCET_CONFIRM;
    calls[3].kind = TERCET_TRY;
    run(calls, 4);
    cr_expect_str_eq(foreseen.changes, "1:0>4 1:2>4 2:2>4 3:2>3 |");
    cr_expect_eq(calls[3].result, TERCET_REFUSED);
    script.mark = 5;
    set_calls(calls, 4, TERCET_TRY);
    run(calls, 4);
    cr_expect_eq(foreseen.count, 0, "there is nothing to change");
}

Test(foresee, a_call_alone_needs_nothing_foreseen)
{
    struct tercet_barrier_call call = call_of(TERCET_TRY, NULL);
    cr_expect_eq(run_one(&call), 0);
    cr_expect_eq(foreseen.count, 0);
}

Test(foresee, a_branch_that_comes_twice_is_foreseen_once_at_a_time)
{
    struct tercet_barrier_call calls[3];
    set_calls(calls, 3, TERCET_TRY);
    calls[1].gid = "h";
    calls[1].branch = 1;
    calls[2] = call_of(TERCET_CONFIRM, NULL);
    run(calls, 3);
    cr_expect_str_eq(foreseen.changes, "1:0>2 1:0>2 |1:2>3 |");
}

Test(foresee, many_calls_are_foreseen_in_parts)
{
    struct tercet_barrier_call calls[CALLS_MAX];
    set_calls(calls, CALLS_MAX, TERCET_CONFIRM);
    run(calls, CALLS_MAX);
    cr_expect_eq(foreseen.count, 2);
    cr_expect_not_null(strstr(foreseen.changes, "64:2>3 |65:2>3"), "%s", foreseen.changes);
    foreseen.result = TERCET_STORE;
    run(calls, CALLS_MAX);
    cr_expect_eq(calls[0].result, TERCET_STORE);
    expect_asked("begin mark_read rollback");
}

/* The others' work is done again, and each has its own answer. */
Test(foresee, work_that_is_undone_brings_savepoints)
{
    struct tercet_barrier_call calls[3];
    set_calls(calls, 3, TERCET_TRY);
    calls[0].hook = reply_hook;
    calls[1].hook = fail_hook;
    run(calls, 3);
    expect_asked("begin mark_read insert insert rollback begin mark_read savepoint insert release "
                 "savepoint insert rollback_to release savepoint insert release commit");
    cr_expect_eq(calls[0].result, 0);
    cr_expect_eq(calls[0].reply_size, 7);
    cr_expect_eq(calls[1].result, TERCET_AGAIN);
    cr_expect_eq(calls[2].result, 0);
    cr_expect_eq(script.log_count, 0);
    free(calls[0].reply);
}

/* What a hook has done and cannot be committed is told of once. */
Test(foresee, work_that_cannot_be_committed)
{
    struct tercet_barrier_call calls[2];
    set_calls(calls, 2, TERCET_TRY);
    calls[0].hook = reply_hook;
    foreseen.refuses_reply = true;
    run(calls, 2);
    cr_expect_eq(script.log_count, 0);
    cr_expect_eq(calls[0].result, 0, "it could be, with a savepoint");
    free(calls[0].reply);
    cr_expect_not_null(strstr(script.asked, "rollback begin"), "%s", script.asked);
}

/* One of two is undone each time: soon nothing is foreseen any more, until all go well again. */
Test(foresee, nothing_is_foreseen_while_much_is_undone)
{
    struct tercet_barrier_call calls[2];
    set_calls(calls, 2, TERCET_TRY);
    calls[0].hook = fail_hook;
    int foreseen_batches = 0, batches = 0;
    for (int i = 0; i < 100; i++) {
        run(calls, 2);
        foreseen_batches += foreseen.count;
    }
    cr_expect_lt(foreseen_batches, 10, "%d", foreseen_batches);
    calls[0].hook = NULL;
    for (; batches < 1000 && foreseen.count == 0; batches++)
        run(calls, 2);
    cr_expect_lt(batches, 100, "%d", batches);
    cr_expect_gt(batches, 2, "%d", batches);
}

/* The time of a batch is over: what was changed for the rest is taken back. */
Test(foresee, what_is_not_begun_is_forgone)
{
    struct tercet_barrier_call calls[3];
    set_calls(calls, 3, TERCET_CONFIRM);
    cr_expect_eq(tercet_barrier_run_for(scripted_barrier, calls, 3, 0), 1);
    expect_asked("begin mark_read move forgo commit");
    script.asked[0] = '\0';
    foreseen.forgo_result = TERCET_STORE;
    cr_expect_eq(tercet_barrier_run_for(scripted_barrier, calls, 3, 0), 1);
    cr_expect_eq(calls[0].result, TERCET_STORE);
    expect_asked("begin mark_read move forgo rollback");
    script.asked[0] = '\0';
    cr_expect_eq(tercet_barrier_run_for(scripted_barrier, calls, 1, 0), 1);
    cr_expect_null(strstr(script.asked, "forgo"));
}

/* A driver whose answer to a move is no, and which then finds the row as it was before it: it has
 * changed twice meanwhile, and nothing is known. */
Test(foresee, a_row_that_is_back_where_it_was_is_asked_for_again)
{
    struct tercet_barrier_call call = call_of(TERCET_CONFIRM, NULL);
    script.moves = false;
    script.row = TERCET_BARRIER_TRIED;
    cr_expect_eq(run_one(&call), TERCET_AGAIN);
    cr_expect_eq(call.broken, 0);
    call.kind = TERCET_CANCEL;
    script.inserts = false;
    cr_expect_eq(run_one(&call), TERCET_AGAIN);
}
