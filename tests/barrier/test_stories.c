/* SPDX-License-Identifier: Apache-2.0
 *
 * What networks do to a branch, and what must come of it: invariants S5, S6 and S7, and the faults
 * others had.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

EACH_DRIVER(barrier_stories, s5_no_confirm_without_try)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    cr_assert_eq(bench_ask_part(&part, TERCET_CONFIRM), TERCET_BROKEN);
    cr_assert_eq(bench_rows(bench), 0);
    cr_assert_eq(bench_effects(bench, NULL, 0), 0);
    part.result = TERCET_REFUSED;
    cr_assert_eq(bench_ask_part(&part, TERCET_TRY), TERCET_REFUSED);
    cr_assert_eq(bench_ask_part(&part, TERCET_CONFIRM), TERCET_BROKEN);
    part.result = 0;
    cr_assert_eq(bench_ask_part(&part, TERCET_CANCEL), 0);
    cr_assert_eq(bench_ask_part(&part, TERCET_CONFIRM), TERCET_BROKEN);
    cr_assert_eq(bench_effects(bench, NULL, 0), 0);
    bench_close(bench);
}

/* All sequences of five calls: no effect twice, never both ends, no end without a try. */
EACH_DRIVER(barrier_stories, s6_exactly_once_effects)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    for (int sequence = 0; sequence < 3 * 3 * 3 * 3 * 3; sequence++) {
        char gid[16];
        snprintf(gid, sizeof(gid), "gid-%d", sequence);
        for (int step = 0, rest = sequence; step < 5; step++, rest /= 3) {
            struct tercet_barrier_call call =
                bench_call(&part, (enum tercet_kind)(TERCET_TRY + rest % 3));
            call.gid = gid;
            bench_ask(bench, call);
        }
        int tries = bench_effects(bench, gid, TERCET_TRY);
        int confirms = bench_effects(bench, gid, TERCET_CONFIRM);
        int cancels = bench_effects(bench, gid, TERCET_CANCEL);
        cr_assert_leq(tries, 1, "sequence %d", sequence);
        cr_assert_leq(confirms + cancels, tries, "sequence %d", sequence);
    }
    cr_assert_gt(bench_effects(bench, NULL, TERCET_CONFIRM), 0);
    cr_assert_gt(bench_effects(bench, NULL, TERCET_CANCEL), 0);
    bench_close(bench);
}

/* In Seata's fence, rejecting one late try deletes the record that rejects the next: hence ten. */
EACH_DRIVER(barrier_stories, s7_no_late_try_after_an_empty_cancel)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    cr_assert_eq(bench_ask_part(&part, TERCET_CANCEL), 0);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(bench_ask_part(&part, TERCET_TRY), TERCET_REFUSED);
    cr_assert_eq(part.runs, 0);
    cr_assert_eq(bench_effects(bench, NULL, 0), 0);
    cr_assert_eq(bench_ask_part(&part, TERCET_CANCEL), 0);
    cr_assert_eq(bench_rows(bench), 1);
    bench_close(bench);
}

EACH_DRIVER(barrier_stories, s7_no_late_try_after_a_cancel)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    cr_assert_eq(bench_ask_part(&part, TERCET_TRY), 0);
    cr_assert_eq(bench_ask_part(&part, TERCET_CANCEL), 0);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(bench_ask_part(&part, TERCET_TRY), TERCET_REFUSED);
    cr_assert_eq(bench_effects(bench, NULL, TERCET_TRY), 1);
    cr_assert_eq(bench_effects(bench, NULL, TERCET_CANCEL), 1);
    bench_close(bench);
}

/* Seata again: a try delivered twice deletes the live row. */
EACH_DRIVER(barrier_stories, a_repeated_try_leaves_the_row_alone)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench, .reply = "seat 17"};
    cr_assert_eq(bench_ask_part(&part, TERCET_TRY), 0);
    cr_assert_eq(bench_ask_part(&part, TERCET_TRY), 0);
    cr_assert_eq(bench_ask_part(&part, TERCET_CONFIRM), 0);
    part.reply = "another seat";
    struct tercet_barrier_call late = bench_call(&part, TERCET_TRY);
    tercet_barrier_run(bench->barrier, &late, 1);
    cr_assert_eq(late.result, 0);
    cr_assert_eq(late.reply_size, 7);
    cr_assert_eq(memcmp(late.reply, "seat 17", 7), 0);
    free(late.reply);
    cr_assert_eq(part.runs, 2);
    cr_assert_eq(bench_effects(bench, NULL, TERCET_TRY), 1);
    bench_close(bench);
}

EACH_DRIVER(barrier_stories, a_refused_try_leaves_nothing_and_its_cancel_is_empty)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench, .result = TERCET_REFUSED, .reply = "dropped"};
    struct tercet_barrier_call call = bench_call(&part, TERCET_TRY);
    tercet_barrier_run(bench->barrier, &call, 1);
    cr_assert_eq(call.result, TERCET_REFUSED);
    cr_assert_null(call.reply);
    cr_assert_eq(bench_rows(bench), 0);
    part.result = 0;
    cr_assert_eq(bench_ask_part(&part, TERCET_CANCEL), 0);
    cr_assert_eq(part.runs, 1);
    cr_assert_eq(bench_rows(bench), 1);
    cr_assert_eq(bench_ask_part(&part, TERCET_TRY), TERCET_REFUSED);
    cr_assert_eq(part.runs, 1);
    cr_assert_eq(bench_effects(bench, NULL, 0), 0);
    bench_close(bench);
}

EACH_DRIVER(barrier_stories, a_refused_try_may_be_asked_again)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench, .result = TERCET_REFUSED};
    cr_assert_eq(bench_ask_part(&part, TERCET_TRY), TERCET_REFUSED);
    part.result = 0;
    cr_assert_eq(bench_ask_part(&part, TERCET_TRY), 0);
    cr_assert_eq(part.runs, 2);
    cr_assert_eq(bench_effects(bench, NULL, TERCET_TRY), 1);
    bench_close(bench);
}

static void check_failing_hook(struct part *part, enum tercet_kind kind, int returned, int expected)
{
    int effects = bench_effects(part->bench, NULL, 0);
    uint64_t rows = bench_rows(part->bench);
    part->result = returned;
    for (int i = 0; i < 3; i++) {
        part->runs = 0;
        cr_assert_eq(bench_ask_part(part, kind), expected);
        cr_assert_eq(part->runs, 1, "the hook is asked each time");
    }
    part->result = 0;
    cr_assert_eq(bench_effects(part->bench, NULL, 0), effects);
    cr_assert_eq(bench_rows(part->bench), rows);
}

EACH_DRIVER(barrier_stories, a_hook_that_fails_is_asked_again)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    check_failing_hook(&part, TERCET_TRY, TERCET_AGAIN, TERCET_AGAIN);
    check_failing_hook(&part, TERCET_TRY, TERCET_UNAVAILABLE, TERCET_UNAVAILABLE);
    check_failing_hook(&part, TERCET_TRY, 7, TERCET_AGAIN);
    cr_assert_eq(bench_ask_part(&part, TERCET_TRY), 0);
    check_failing_hook(&part, TERCET_CONFIRM, TERCET_AGAIN, TERCET_AGAIN);
    check_failing_hook(&part, TERCET_CONFIRM, 1, TERCET_AGAIN);
    cr_assert_eq(bench_ask_part(&part, TERCET_CONFIRM), 0);
    cr_assert_eq(bench_effects(bench, NULL, 0), 2);
    bench_close(bench);
}

EACH_DRIVER(barrier_stories, confirm_and_cancel_cannot_refuse)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    cr_assert_eq(bench_ask_part(&part, TERCET_TRY), 0);
    check_failing_hook(&part, TERCET_CONFIRM, TERCET_REFUSED, TERCET_AGAIN);
    check_failing_hook(&part, TERCET_CANCEL, TERCET_REFUSED, TERCET_AGAIN);
    cr_assert_eq(bench_ask_part(&part, TERCET_CANCEL), 0);
    cr_assert_eq(bench_effects(bench, NULL, TERCET_CANCEL), 1);
    bench_close(bench);
}

static int reply_of_size(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    const size_t *size = ctx;
    (void)db;
    call->reply = calloc(1, *size + 1);
    memset(call->reply, 'r', *size);
    call->reply_size = *size;
    return 0;
}

EACH_DRIVER(barrier_stories, replies_up_to_the_limit)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    size_t size = TERCET_REPLY_MAX + 1;
    struct tercet_barrier_call call = bench_call(&part, TERCET_TRY);
    call.hook = reply_of_size;
    call.ctx = &size;
    tercet_barrier_run(bench->barrier, &call, 1);
    cr_assert_eq(call.result, TERCET_INVALID);
    cr_assert_null(call.reply);
    cr_assert_eq(bench_rows(bench), 0);
    size = TERCET_REPLY_MAX;
    for (int i = 0; i < 2; i++) {
        tercet_barrier_run(bench->barrier, &call, 1);
        cr_assert_eq(call.result, 0);
        cr_assert_eq(call.reply_size, TERCET_REPLY_MAX);
        cr_assert_eq(((char *)call.reply)[TERCET_REPLY_MAX - 1], 'r');
        free(call.reply);
        size = 1;
    }
    bench_close(bench);
}

EACH_DRIVER(barrier_stories, empty_replies_are_null_and_only_tries_have_any)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench, .reply = ""};
    for (int kind = TERCET_TRY; kind <= TERCET_CONFIRM; kind++) {
        struct tercet_barrier_call call = bench_call(&part, (enum tercet_kind)kind);
        tercet_barrier_run(bench->barrier, &call, 1);
        cr_assert_eq(call.result, 0);
        cr_assert_null(call.reply);
        cr_assert_eq(call.reply_size, 0);
        part.reply = "a confirm has none";
    }
    bench_close(bench);
}

/* Kept with the rows; another database has another. */
EACH_DRIVER(barrier_stories, a_database_has_an_identity)
{
    struct bench *bench = bench_open(*driver, NULL), *other = bench_open(*driver, NULL);
    char first[TERCET_BARRIER_IDENTITY_MAX + 1] = "x", again[sizeof(first)], others[sizeof(first)];
    cr_assert_eq(tercet_barrier_identity(bench->barrier, first), 0);
    bench_reopen(bench);
    cr_assert_eq(tercet_barrier_identity(bench->barrier, again), 0);
    cr_assert_eq(tercet_barrier_identity(other->barrier, others), 0);
    cr_assert_str_eq(again, first);
    cr_assert_eq(strlen(first), *driver == BENCH_MEMORY ? 0 : TERCET_BARRIER_IDENTITY_MAX);
    cr_assert(*driver == BENCH_MEMORY || strcmp(first, others) != 0);
    bench_close(bench);
    bench_close(other);
}
