/* SPDX-License-Identifier: Apache-2.0
 *
 * Collecting without clocks: the mark, what it refuses, what it deletes and what it never does.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

/* Runs a call of branch 1 of the transaction with this number. */
static int ask(struct part *part, enum tercet_kind kind, uint64_t number, uint64_t low_water)
{
    struct tercet_barrier_call call = bench_call(part, kind);
    char gid[32];
    snprintf(gid, sizeof(gid), "n-%llu", (unsigned long long)number);
    call.gid = gid;
    call.number = number;
    call.low_water = low_water;
    return bench_ask(part->bench, call);
}

/* Raises the mark with a call whose own number is above it. */
static void raise_mark(struct part *part, uint64_t mark)
{
    cr_assert_eq(ask(part, TERCET_CANCEL, mark + 1000000, mark), 0);
}

static void live(struct part *part, uint64_t number, enum tercet_kind end)
{
    cr_assert_eq(ask(part, TERCET_TRY, number, 0), 0);
    cr_assert_eq(ask(part, end, number, 0), 0);
}

EACH_DRIVER(barrier_mark, only_rises)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    raise_mark(&part, 7);
    cr_assert_eq(bench_mark(bench), 7);
    raise_mark(&part, 5);
    cr_assert_eq(bench_mark(bench), 7);
    raise_mark(&part, 9);
    cr_assert_eq(bench_mark(bench), 9);
    bench_close(bench);
}

EACH_DRIVER(barrier_mark, s7_a_late_try_is_refused_after_its_row_is_gone)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    cr_assert_eq(ask(&part, TERCET_CANCEL, 3, 0), 0);
    live(&part, 4, TERCET_CONFIRM);
    raise_mark(&part, 4);
    cr_assert_eq(bench_rows(bench), 1, "only the one that raised the mark");
    part.runs = 0;
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(ask(&part, TERCET_TRY, 3, 0), TERCET_REFUSED);
        cr_assert_eq(ask(&part, TERCET_TRY, 4, 4), TERCET_REFUSED);
    }
    cr_assert_eq(part.runs, 0);
    cr_assert_eq(bench_rows(bench), 1);
    cr_assert_eq(ask(&part, TERCET_TRY, 5, 4), 0, "above the mark");
    cr_assert_eq(part.runs, 1);
    bench_close(bench);
}

EACH_DRIVER(barrier_mark, late_ends_are_done_and_leave_no_row)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    live(&part, 3, TERCET_CONFIRM);
    live(&part, 4, TERCET_CANCEL);
    raise_mark(&part, 4);
    part.runs = 0;
    for (uint64_t number = 1; number <= 4; number++) {
        cr_assert_eq(ask(&part, TERCET_CONFIRM, number, 4), 0);
        cr_assert_eq(ask(&part, TERCET_CANCEL, number, 0), 0);
    }
    cr_assert_eq(part.runs, 0);
    cr_assert_eq(bench_rows(bench), 1);
    cr_assert_eq(ask(&part, TERCET_CONFIRM, 5, 4), TERCET_BROKEN, "above the mark");
    bench_close(bench);
}

/* The call that brings the mark is judged by it, too. */
EACH_DRIVER(barrier_mark, holds_for_the_call_that_brings_it)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    cr_assert_eq(ask(&part, TERCET_TRY, 3, 3), TERCET_REFUSED);
    cr_assert_eq(bench_mark(bench), 3);
    cr_assert_eq(ask(&part, TERCET_CONFIRM, 5, 5), 0);
    cr_assert_eq(ask(&part, TERCET_CANCEL, 6, 6), 0);
    cr_assert_eq(part.runs, 0);
    cr_assert_eq(bench_rows(bench), 0);
    cr_assert_eq(bench_mark(bench), 6);
    bench_close(bench);
}

/* Within a batch it holds from the call that brings it on, and one that fails has brought it all
 * the same. */
EACH_DRIVER(barrier_mark, in_a_batch_it_holds_from_its_call_on)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench}, failing = {.bench = bench, .result = TERCET_AGAIN};
    struct tercet_barrier_call calls[3] = {bench_call(&part, TERCET_TRY),
                                           bench_call(&failing, TERCET_TRY),
                                           bench_call(&part, TERCET_TRY)};
    for (uint32_t i = 0; i < 3; i++) {
        calls[i].branch = i + 1;
        calls[i].number = 3;
    }
    calls[1].number = 20;
    calls[1].low_water = 10;
    tercet_barrier_run(bench->barrier, calls, 3);
    cr_assert_eq(calls[0].result, 0);
    cr_assert_eq(calls[1].result, TERCET_AGAIN);
    cr_assert_eq(calls[2].result, TERCET_REFUSED);
    cr_assert_eq(bench_mark(bench), 10);
    bench_close(bench);
}

/* Work that nobody confirmed or cancelled is kept, however high the mark: a person may still end
 * it. */
EACH_DRIVER(barrier_mark, a_row_in_state_tried_is_kept_and_answers)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    cr_assert_eq(ask(&part, TERCET_TRY, 3, 0), 0);
    cr_assert_eq(ask(&part, TERCET_TRY, 4, 0), 0);
    raise_mark(&part, 10);
    raise_mark(&part, 11);
    cr_assert_eq(bench_rows(bench), 4);
    part.runs = 0;
    cr_assert_eq(ask(&part, TERCET_TRY, 3, 0), TERCET_REFUSED);
    cr_assert_eq(part.runs, 0);
    cr_assert_eq(ask(&part, TERCET_CONFIRM, 3, 0), 0);
    cr_assert_eq(ask(&part, TERCET_CANCEL, 4, 0), 0);
    cr_assert_eq(part.runs, 2);
    raise_mark(&part, 12);
    cr_assert_eq(bench_rows(bench), 3, "now they are gone");
    bench_close(bench);
}

/* Of ten cancelled transactions those numbered up to `last` are gone: a confirm of the others is
 * told of the cancel. */
static void check_collected(struct part *part, uint64_t last)
{
    struct tercet_barrier_call calls[10];
    char gids[10][16];
    for (uint64_t i = 0; i < 10; i++) {
        calls[i] = bench_call(part, TERCET_CONFIRM);
        snprintf(gids[i], sizeof(gids[i]), "n-%d", (int)i + 1);
        calls[i].gid = gids[i];
        calls[i].number = i + 1;
    }
    tercet_barrier_run(part->bench->barrier, calls, 10);
    for (uint64_t i = 0; i < 10; i++)
        cr_assert_eq(calls[i].result, calls[i].number <= last ? 0 : TERCET_BROKEN);
}

EACH_DRIVER(barrier_mark, collects_a_bounded_count_lowest_first)
{
    struct tercet_barrier_options options = {.size = sizeof(options), .collect_rows_max = 4};
    struct bench *bench = bench_open(*driver, &options);
    struct part part = {.bench = bench};
    static const uint64_t numbers[] = {7, 2, 9, 4, 1, 10, 3, 8, 6, 5};
    for (size_t i = 0; i < 10; i++)
        live(&part, numbers[i], TERCET_CANCEL);
    raise_mark(&part, 9);
    cr_assert_eq(bench_rows(bench), 1 + 10 - 4);
    check_collected(&part, 4);
    cr_assert_eq(bench_rows(bench), 1 + 10 - 8, "any batch goes on, this one wrote nothing else");
    cr_assert_eq(ask(&part, TERCET_TRY, 1, 0), TERCET_REFUSED);
    cr_assert_eq(ask(&part, TERCET_TRY, 1, 0), TERCET_REFUSED);
    cr_assert_eq(bench_rows(bench), 2, "10 is above the mark");
    cr_assert_eq(ask(&part, TERCET_CONFIRM, 10, 0), TERCET_BROKEN, "its row answers: cancelled");
    bench_close(bench);
}

EACH_DRIVER(barrier_mark, one_batch_of_many_transactions_collects_once)
{
    struct tercet_barrier_options options = {.size = sizeof(options), .collect_rows_max = 2};
    struct bench *bench = bench_open(*driver, &options);
    struct part part = {.bench = bench};
    struct tercet_barrier_call calls[3];
    for (uint64_t number = 1; number <= 6; number++)
        live(&part, number, TERCET_CONFIRM);
    for (int i = 0; i < 3; i++) {
        calls[i] = bench_call(&part, TERCET_CANCEL);
        calls[i].number = 1;
        calls[i].low_water = 6;
        calls[i].alone = true;
    }
    tercet_barrier_run(bench->barrier, calls, 3);
    /* Where the mark is stored after the batch, a cancel of nothing leaves a row until then. */
    cr_assert_eq(bench_rows(bench), bench_server(*driver) != NULL ? 5 : 4);
    bench_close(bench);
}

EACH_DRIVER(barrier_mark, rows_without_a_number_are_never_collected)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    live(&part, 0, TERCET_CANCEL);
    raise_mark(&part, 1000);
    raise_mark(&part, 2000);
    cr_assert_eq(bench_rows(bench), 3);
    cr_assert_eq(ask(&part, TERCET_TRY, 0, 2000), TERCET_REFUSED);
    cr_assert_eq(ask(&part, TERCET_CONFIRM, 0, 2000), TERCET_BROKEN);
    cr_assert_eq(ask(&part, TERCET_CANCEL, 0, 2000), 0);
    cr_assert_eq(bench_effects(bench, "n-0", TERCET_TRY), 1);
    bench_close(bench);
}

/* A long run in which the mark follows at a distance: the rows stay few, and every late message is
 * answered rightly. */
EACH_DRIVER(barrier_mark, rows_stay_few_over_a_long_run)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    uint64_t transactions = *driver == BENCH_MEMORY ? 5000 : 300;
    for (uint64_t number = 1; number <= transactions; number++) {
        uint64_t low_water = number > 20 ? number - 20 : 0;
        cr_assert_eq(ask(&part, TERCET_TRY, number, low_water), 0);
        cr_assert_eq(
            ask(&part, number % 3 == 0 ? TERCET_CANCEL : TERCET_CONFIRM, number, low_water), 0);
        uint64_t late = 1 + number * 7919 % number;
        int result = ask(&part, TERCET_TRY, late, 0);
        cr_assert_eq(result, late <= low_water || late % 3 == 0 ? TERCET_REFUSED : 0);
        cr_assert_leq(bench_rows(bench), 22);
    }
    cr_assert_eq(part.runs, (int)transactions * 2);
    bench_close(bench);
}

/* -- Whose marks ------------------------------------------------------------------------------- */

static int ask_as(struct part *part, uint64_t source, enum tercet_kind kind, uint64_t number,
                  uint64_t low_water)
{
    struct tercet_barrier_call call = bench_call(part, kind);
    char gid[48];
    snprintf(gid, sizeof(gid), "s-%d-%d", (int)source, (int)number);
    call.gid = gid;
    call.source = source;
    call.number = number;
    call.low_water = low_water;
    return bench_ask(part->bench, call);
}

/* The mark of one coordinator neither shuts out another's tries nor takes its rows, and the other's
 * marks do nothing here. After the process has begun anew, too. */
EACH_DRIVER(barrier_mark, another_coordinator_is_told_apart)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    cr_assert_eq(ask_as(&part, 7, TERCET_CANCEL, 1000, 900), 0);
    if (*driver != BENCH_MEMORY)
        bench_reopen(bench);
    cr_assert_eq(ask_as(&part, 8, TERCET_TRY, 5, 3), 0, "not cancelled already");
    cr_assert_eq(ask_as(&part, 8, TERCET_TRY, 5, 5000), 0, "its row answers");
    cr_assert_eq(bench_mark(bench), 900);
    cr_assert_eq(ask_as(&part, 8, TERCET_CONFIRM, 5, 5000), 0);
    cr_assert_eq(ask_as(&part, 8, TERCET_CONFIRM, 6, 5000), TERCET_BROKEN);
    cr_assert_eq(ask_as(&part, 7, TERCET_TRY, 899, 0), TERCET_REFUSED);
    cr_assert_eq(ask_as(&part, 0, TERCET_TRY, 898, 0), TERCET_REFUSED, "an older coordinator");
    cr_assert_eq(ask_as(&part, 7, TERCET_CANCEL, 2000, 1000), 0);
    cr_assert_eq(bench_rows(bench), 2, "8's is kept");
    bench_close(bench);
}

EACH_DRIVER(barrier_mark, one_that_is_far_ahead_is_not_taken)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    cr_assert_eq(ask(&part, TERCET_CANCEL, 5, (uint64_t)1 << 62), 0);
    cr_assert_eq(bench_mark(bench), 0);
    cr_assert_eq(ask(&part, TERCET_TRY, 6, 0), 0);
    bench_close(bench);
}
