/* SPDX-License-Identifier: Apache-2.0
 *
 * Many calls at once: order, isolation, calls that want to be alone, calls that are not valid.
 */
#include <stdlib.h>
#include <string.h>

#include "stage.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void run(struct stage *stage, struct tercet_barrier_call *calls, size_t count)
{
    tercet_barrier_run(stage->barrier, calls, count);
    for (size_t i = 0; i < count; i++)
        free(calls[i].reply);
}

static void a_whole_life_in_one_batch(struct stage *stage)
{
    struct part part = {.stage = stage, .reply = "seat 17"};
    struct tercet_barrier_call calls[] = {
        stage_call(&part, TERCET_CONFIRM), stage_call(&part, TERCET_TRY),
        stage_call(&part, TERCET_TRY),     stage_call(&part, TERCET_CONFIRM),
        stage_call(&part, TERCET_CONFIRM), stage_call(&part, TERCET_CANCEL),
    };
    static const int results[] = {TERCET_BROKEN, 0, 0, 0, 0, TERCET_BROKEN};
    tercet_barrier_run(stage->barrier, calls, COUNT(calls));
    for (size_t i = 0; i < COUNT(calls); i++)
        CHECK_THAT(calls[i].result == results[i], "call %zu: %d", i, calls[i].result);
    CHECK(stage_has_reply(&calls[1], "seat 17"));
    CHECK(stage_has_reply(&calls[2], "seat 17"));
    CHECK(calls[1].reply != calls[2].reply);
    free(calls[1].reply);
    free(calls[2].reply);
    CHECK_EQ(part.runs, 2);
    CHECK_EQ(stage_effects(stage, NULL, 0), 2);
}

static void a_late_try_in_the_same_batch_is_refused(struct stage *stage)
{
    struct part part = {.stage = stage};
    struct tercet_barrier_call calls[] = {stage_call(&part, TERCET_CANCEL),
                                          stage_call(&part, TERCET_TRY),
                                          stage_call(&part, TERCET_CANCEL)};
    run(stage, calls, COUNT(calls));
    CHECK_EQ(calls[0].result, 0);
    CHECK_EQ(calls[1].result, TERCET_REFUSED);
    CHECK_EQ(calls[2].result, 0);
    CHECK_EQ(part.runs, 0);
}

/* Nine tries; the fifth's hook fails, the seventh's refuses. A driver that foresees changes runs
 * the batch again. */
static void a_failing_hook_rolls_back_alone(struct stage *stage)
{
    struct part parts[9];
    struct tercet_barrier_call calls[COUNT(parts)];
    for (size_t i = 0; i < COUNT(parts); i++) {
        parts[i] = (struct part){.stage = stage,
                                 .result = i == 4   ? TERCET_AGAIN
                                           : i == 6 ? TERCET_REFUSED
                                                    : 0};
        calls[i] = stage_call(&parts[i], TERCET_TRY);
        calls[i].branch = (uint32_t)i + 1;
    }
    run(stage, calls, COUNT(calls));
    for (size_t i = 0; i < COUNT(parts); i++) {
        CHECK_THAT(parts[i].runs == 1 || parts[i].runs == 2, "%d runs", parts[i].runs);
        CHECK_EQ(calls[i].result, parts[i].result);
    }
    CHECK_EQ(stage_rows(stage), 7);
    CHECK_EQ(stage_effects(stage, NULL, 0), 7);
    for (size_t i = 0; i < COUNT(parts); i++)
        parts[i].result = 0;
    run(stage, calls, COUNT(calls));
    CHECK_EQ(stage_rows(stage), 9);
    CHECK_EQ(stage_effects(stage, NULL, 0), 9);
}

struct order {
    int next;
    int seen[4];
};

static int note_order(struct tercet_barrier_call *call, tercet_db db, void *ctx)
{
    struct order *order = ctx;
    (void)db;
    order->seen[order->next++] = (int)call->branch;
    return 0;
}

static void calls_alone_keep_their_place(struct stage *stage)
{
    struct part part = {.stage = stage};
    struct order order = {.next = 0};
    struct tercet_barrier_call calls[4];
    for (size_t i = 0; i < COUNT(calls); i++) {
        calls[i] = stage_call(&part, TERCET_TRY);
        calls[i].branch = (uint32_t)i + 1;
        calls[i].alone = i == 1 || i == 2;
        calls[i].hook = note_order;
        calls[i].ctx = &order;
    }
    run(stage, calls, COUNT(calls));
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(calls[i].result, 0);
        CHECK_EQ(order.seen[i], i + 1);
    }
    CHECK_EQ(stage_rows(stage), 4);
}

static void invalid_calls_are_told_and_the_others_go_on(struct stage *stage)
{
    static char long_gid[TERCET_GID_MAX + 2];
    memset(long_gid, 'x', sizeof(long_gid) - 1);
    struct part part = {.stage = stage};
    struct tercet_barrier_call calls[11];
    for (size_t i = 0; i < COUNT(calls); i++)
        calls[i] = stage_call(&part, TERCET_TRY);
    calls[0].gid = NULL;
    calls[1].gid = "";
    calls[2].gid = "a b";
    calls[3].gid = long_gid;
    calls[4].branch = 0;
    calls[5].branch = TERCET_BRANCHES_MAX + 1;
    calls[6].number = (uint64_t)INT64_MAX + 1;
    calls[7].low_water = UINT64_MAX;
    calls[8].kind = (enum tercet_kind)0;
    calls[9].kind = (enum tercet_kind)4;
    run(stage, calls, COUNT(calls));
    for (size_t i = 0; i < COUNT(calls) - 1; i++)
        CHECK_THAT(calls[i].result == TERCET_INVALID, "call %zu", i);
    CHECK_EQ(calls[10].result, 0);
    CHECK_EQ(part.runs, 1);
    CHECK_EQ(stage_mark(stage), 0);
    run(stage, calls, 10);
    run(stage, calls, 0);
    CHECK_EQ(stage_rows(stage), 1);
}

static int answer(tercet_db db, void *ctx)
{
    (void)db;
    return *(int *)ctx;
}

static void local_passes_the_code_on(struct stage *stage)
{
    static int codes[] = {0, TERCET_NOT_FOUND, 5};
    for (size_t i = 0; i < COUNT(codes); i++)
        CHECK_EQ(tercet_barrier_local(stage->barrier, answer, &codes[i]), codes[i]);
}

const struct stage_case barrier_batches_cases[] = {
    {"a_whole_life_in_one_batch", a_whole_life_in_one_batch},
    {"a_late_try_in_the_same_batch_is_refused", a_late_try_in_the_same_batch_is_refused},
    {"a_failing_hook_rolls_back_alone", a_failing_hook_rolls_back_alone},
    {"calls_alone_keep_their_place", calls_alone_keep_their_place},
    {"invalid_calls_are_told_and_the_others_go_on", invalid_calls_are_told_and_the_others_go_on},
    {"local_passes_the_code_on", local_passes_the_code_on},
    {NULL, NULL},
};
