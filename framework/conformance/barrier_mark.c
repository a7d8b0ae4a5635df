/* SPDX-License-Identifier: Apache-2.0
 *
 * Collecting without clocks: the mark, what it refuses, what it deletes and what it never does.
 */
#include <stdio.h>
#include <stdlib.h>

#include "stage.h"

/* Runs a call of branch 1 of the transaction with this number. */
static int ask(struct part *part, enum tercet_kind kind, uint64_t number, uint64_t low_water)
{
    struct tercet_barrier_call call = stage_call(part, kind);
    char gid[32];
    snprintf(gid, sizeof(gid), "n-%llu", (unsigned long long)number);
    call.gid = gid;
    call.number = number;
    call.low_water = low_water;
    return stage_ask(part->stage, call);
}

/* Raises the mark with a call whose own number is above it. */
static void raise_mark(struct part *part, uint64_t mark)
{
    CHECK_EQ(ask(part, TERCET_CANCEL, mark + 1000000, mark), 0);
}

static void live(struct part *part, uint64_t number, enum tercet_kind end)
{
    CHECK_EQ(ask(part, TERCET_TRY, number, 0), 0);
    CHECK_EQ(ask(part, end, number, 0), 0);
}

static void only_rises(struct stage *stage)
{
    struct part part = {.stage = stage};
    raise_mark(&part, 7);
    CHECK_EQ(stage_mark(stage), 7);
    raise_mark(&part, 5);
    CHECK_EQ(stage_mark(stage), 7);
    raise_mark(&part, 9);
    CHECK_EQ(stage_mark(stage), 9);
}

static void s7_a_late_try_is_refused_after_its_row_is_gone(struct stage *stage)
{
    struct part part = {.stage = stage};
    CHECK_EQ(ask(&part, TERCET_CANCEL, 3, 0), 0);
    live(&part, 4, TERCET_CONFIRM);
    raise_mark(&part, 4);
    CHECK_THAT(stage_rows(stage) == 1, "only the one that raised the mark");
    part.runs = 0;
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(ask(&part, TERCET_TRY, 3, 0), TERCET_REFUSED);
        CHECK_EQ(ask(&part, TERCET_TRY, 4, 4), TERCET_REFUSED);
    }
    CHECK_EQ(part.runs, 0);
    CHECK_EQ(stage_rows(stage), 1);
    CHECK_THAT(ask(&part, TERCET_TRY, 5, 4) == 0, "above the mark");
    CHECK_EQ(part.runs, 1);
}

static void late_ends_are_done_and_leave_no_row(struct stage *stage)
{
    struct part part = {.stage = stage};
    live(&part, 3, TERCET_CONFIRM);
    live(&part, 4, TERCET_CANCEL);
    raise_mark(&part, 4);
    part.runs = 0;
    for (uint64_t number = 1; number <= 4; number++) {
        CHECK_EQ(ask(&part, TERCET_CONFIRM, number, 4), 0);
        CHECK_EQ(ask(&part, TERCET_CANCEL, number, 0), 0);
    }
    CHECK_EQ(part.runs, 0);
    CHECK_EQ(stage_rows(stage), 1);
    CHECK_THAT(ask(&part, TERCET_CONFIRM, 5, 4) == TERCET_BROKEN, "above the mark");
}

/* The call that brings the mark is judged by it, too. */
static void holds_for_the_call_that_brings_it(struct stage *stage)
{
    struct part part = {.stage = stage};
    CHECK_EQ(ask(&part, TERCET_TRY, 3, 3), TERCET_REFUSED);
    CHECK_EQ(stage_mark(stage), 3);
    CHECK_EQ(ask(&part, TERCET_CONFIRM, 5, 5), 0);
    CHECK_EQ(ask(&part, TERCET_CANCEL, 6, 6), 0);
    CHECK_EQ(part.runs, 0);
    CHECK_EQ(stage_rows(stage), 0);
    CHECK_EQ(stage_mark(stage), 6);
}

/* Within a batch it holds from the call that brings it on, and one that fails has brought it all
 * the same. */
static void in_a_batch_it_holds_from_its_call_on(struct stage *stage)
{
    struct part part = {.stage = stage}, failing = {.stage = stage, .result = TERCET_AGAIN};
    struct tercet_barrier_call calls[3] = {stage_call(&part, TERCET_TRY),
                                           stage_call(&failing, TERCET_TRY),
                                           stage_call(&part, TERCET_TRY)};
    for (uint32_t i = 0; i < 3; i++) {
        calls[i].branch = i + 1;
        calls[i].number = 3;
    }
    calls[1].number = 20;
    calls[1].low_water = 10;
    tercet_barrier_run(stage->barrier, calls, 3);
    CHECK_EQ(calls[0].result, 0);
    CHECK_EQ(calls[1].result, TERCET_AGAIN);
    CHECK_EQ(calls[2].result, TERCET_REFUSED);
    CHECK_EQ(stage_mark(stage), 10);
}

/* Work that nobody confirmed or cancelled is kept, however high the mark: a person may still end
 * it. */
static void a_row_in_state_tried_is_kept_and_answers(struct stage *stage)
{
    struct part part = {.stage = stage};
    CHECK_EQ(ask(&part, TERCET_TRY, 3, 0), 0);
    CHECK_EQ(ask(&part, TERCET_TRY, 4, 0), 0);
    raise_mark(&part, 10);
    raise_mark(&part, 11);
    CHECK_EQ(stage_rows(stage), 4);
    part.runs = 0;
    CHECK_EQ(ask(&part, TERCET_TRY, 3, 0), TERCET_REFUSED);
    CHECK_EQ(part.runs, 0);
    CHECK_EQ(ask(&part, TERCET_CONFIRM, 3, 0), 0);
    CHECK_EQ(ask(&part, TERCET_CANCEL, 4, 0), 0);
    CHECK_EQ(part.runs, 2);
    raise_mark(&part, 12);
    CHECK_THAT(stage_rows(stage) == 3, "now they are gone");
}

/* Of ten cancelled transactions those numbered up to `last` are gone: a confirm of the others is
 * told of the cancel. */
static void check_collected(struct part *part, uint64_t last)
{
    struct tercet_barrier_call calls[10];
    char gids[10][16];
    for (uint64_t i = 0; i < 10; i++) {
        calls[i] = stage_call(part, TERCET_CONFIRM);
        snprintf(gids[i], sizeof(gids[i]), "n-%d", (int)i + 1);
        calls[i].gid = gids[i];
        calls[i].number = i + 1;
    }
    tercet_barrier_run(part->stage->barrier, calls, 10);
    for (uint64_t i = 0; i < 10; i++)
        CHECK_EQ(calls[i].result, calls[i].number <= last ? 0 : TERCET_BROKEN);
}

static void collects_a_bounded_count_lowest_first(struct stage *stage)
{
    struct tercet_barrier_options options = {.size = sizeof(options), .collect_rows_max = 4};
    stage_reopen(stage, &options);
    struct part part = {.stage = stage};
    static const uint64_t numbers[] = {7, 2, 9, 4, 1, 10, 3, 8, 6, 5};
    for (size_t i = 0; i < 10; i++)
        live(&part, numbers[i], TERCET_CANCEL);
    raise_mark(&part, 9);
    CHECK_EQ(stage_rows(stage), 1 + 10 - 4);
    check_collected(&part, 4);
    CHECK_THAT(stage_rows(stage) == 1 + 10 - 8, "any batch goes on, this one wrote nothing else");
    CHECK_EQ(ask(&part, TERCET_TRY, 1, 0), TERCET_REFUSED);
    CHECK_EQ(ask(&part, TERCET_TRY, 1, 0), TERCET_REFUSED);
    CHECK_THAT(stage_rows(stage) == 2, "10 is above the mark");
    CHECK_THAT(ask(&part, TERCET_CONFIRM, 10, 0) == TERCET_BROKEN, "its row answers: cancelled");
}

static void one_batch_of_many_transactions_collects_once(struct stage *stage)
{
    struct tercet_barrier_options options = {.size = sizeof(options), .collect_rows_max = 2};
    stage_reopen(stage, &options);
    struct part part = {.stage = stage};
    struct tercet_barrier_call calls[3];
    for (uint64_t number = 1; number <= 6; number++)
        live(&part, number, TERCET_CONFIRM);
    for (int i = 0; i < 3; i++) {
        calls[i] = stage_call(&part, TERCET_CANCEL);
        calls[i].number = 1;
        calls[i].low_water = 6;
        calls[i].alone = true;
    }
    tercet_barrier_run(stage->barrier, calls, 3);
    /* Where the mark is stored after the batch, a cancel of nothing leaves a row until then. */
    CHECK_EQ(stage_rows(stage), stage_stores_apart(stage) ? 5 : 4);
}

static void rows_without_a_number_are_never_collected(struct stage *stage)
{
    struct part part = {.stage = stage};
    live(&part, 0, TERCET_CANCEL);
    raise_mark(&part, 1000);
    raise_mark(&part, 2000);
    CHECK_EQ(stage_rows(stage), 3);
    CHECK_EQ(ask(&part, TERCET_TRY, 0, 2000), TERCET_REFUSED);
    CHECK_EQ(ask(&part, TERCET_CONFIRM, 0, 2000), TERCET_BROKEN);
    CHECK_EQ(ask(&part, TERCET_CANCEL, 0, 2000), 0);
    CHECK_EQ(stage_effects(stage, "n-0", TERCET_TRY), 1);
}

/* A long run in which the mark follows at a distance: the rows stay few, and every late message is
 * answered rightly. */
static void rows_stay_few_over_a_long_run(struct stage *stage)
{
    struct part part = {.stage = stage};
    uint64_t transactions = 300;
    for (uint64_t number = 1; number <= transactions; number++) {
        uint64_t low_water = number > 20 ? number - 20 : 0;
        CHECK_EQ(ask(&part, TERCET_TRY, number, low_water), 0);
        CHECK_EQ(ask(&part, number % 3 == 0 ? TERCET_CANCEL : TERCET_CONFIRM, number, low_water),
                 0);
        uint64_t late = 1 + number * 7919 % number;
        int rc = ask(&part, TERCET_TRY, late, 0);
        CHECK_EQ(rc, late <= low_water || late % 3 == 0 ? TERCET_REFUSED : 0);
        CHECK(stage_rows(stage) <= 22);
    }
    CHECK_EQ(part.runs, (int)transactions * 2);
}

/* -- Whose marks ------------------------------------------------------------------------------- */

static int ask_as(struct part *part, uint64_t source, enum tercet_kind kind, uint64_t number,
                  uint64_t low_water)
{
    struct tercet_barrier_call call = stage_call(part, kind);
    char gid[48];
    snprintf(gid, sizeof(gid), "s-%d-%d", (int)source, (int)number);
    call.gid = gid;
    call.source = source;
    call.number = number;
    call.low_water = low_water;
    return stage_ask(part->stage, call);
}

/* The mark of one coordinator neither shuts out another's tries nor takes its rows, and the other's
 * marks do nothing here. After the process has begun anew, too. */
static void another_coordinator_is_told_apart(struct stage *stage)
{
    struct part part = {.stage = stage};
    CHECK_EQ(ask_as(&part, 7, TERCET_CANCEL, 1000, 900), 0);
    if (stage->suite->is_lasting)
        stage_reopen(stage, NULL);
    CHECK_THAT(ask_as(&part, 8, TERCET_TRY, 5, 3) == 0, "not cancelled already");
    CHECK_THAT(ask_as(&part, 8, TERCET_TRY, 5, 5000) == 0, "its row answers");
    CHECK_EQ(stage_mark(stage), 900);
    CHECK_EQ(ask_as(&part, 8, TERCET_CONFIRM, 5, 5000), 0);
    CHECK_EQ(ask_as(&part, 8, TERCET_CONFIRM, 6, 5000), TERCET_BROKEN);
    CHECK_EQ(ask_as(&part, 7, TERCET_TRY, 899, 0), TERCET_REFUSED);
    CHECK_THAT(ask_as(&part, 0, TERCET_TRY, 898, 0) == TERCET_REFUSED, "an older coordinator");
    CHECK_EQ(ask_as(&part, 7, TERCET_CANCEL, 2000, 1000), 0);
    CHECK_THAT(stage_rows(stage) == 2, "8's is kept");
}

static void one_that_is_far_ahead_is_not_taken(struct stage *stage)
{
    struct part part = {.stage = stage};
    CHECK_EQ(ask(&part, TERCET_CANCEL, 5, (uint64_t)1 << 62), 0);
    CHECK_EQ(stage_mark(stage), 0);
    CHECK_EQ(ask(&part, TERCET_TRY, 6, 0), 0);
}

const struct stage_case barrier_mark_cases[] = {
    {"only_rises", only_rises},
    {"s7_a_late_try_is_refused_after_its_row_is_gone",
     s7_a_late_try_is_refused_after_its_row_is_gone},
    {"late_ends_are_done_and_leave_no_row", late_ends_are_done_and_leave_no_row},
    {"holds_for_the_call_that_brings_it", holds_for_the_call_that_brings_it},
    {"in_a_batch_it_holds_from_its_call_on", in_a_batch_it_holds_from_its_call_on},
    {"a_row_in_state_tried_is_kept_and_answers", a_row_in_state_tried_is_kept_and_answers},
    {"collects_a_bounded_count_lowest_first", collects_a_bounded_count_lowest_first},
    {"one_batch_of_many_transactions_collects_once", one_batch_of_many_transactions_collects_once},
    {"rows_without_a_number_are_never_collected", rows_without_a_number_are_never_collected},
    {"rows_stay_few_over_a_long_run", rows_stay_few_over_a_long_run},
    {"another_coordinator_is_told_apart", another_coordinator_is_told_apart},
    {"one_that_is_far_ahead_is_not_taken", one_that_is_far_ahead_is_not_taken},
    {NULL, NULL},
};
