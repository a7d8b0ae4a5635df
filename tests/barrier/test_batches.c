/* SPDX-License-Identifier: Apache-2.0
 *
 * Many calls at once: order, isolation, calls that want to be alone, calls that are not valid.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void run(struct bench *bench, struct tercet_barrier_call *calls, size_t count)
{
    tercet_barrier_run(bench->barrier, calls, count);
    for (size_t i = 0; i < count; i++)
        free(calls[i].reply);
}

EACH_DRIVER(barrier_batches, a_whole_life_in_one_batch)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench, .reply = "seat 17"};
    struct tercet_barrier_call calls[] = {
        bench_call(&part, TERCET_CONFIRM), bench_call(&part, TERCET_TRY),
        bench_call(&part, TERCET_TRY),     bench_call(&part, TERCET_CONFIRM),
        bench_call(&part, TERCET_CONFIRM), bench_call(&part, TERCET_CANCEL),
    };
    static const int results[] = {TERCET_BROKEN, 0, 0, 0, 0, TERCET_BROKEN};
    tercet_barrier_run(bench->barrier, calls, COUNT(calls));
    for (size_t i = 0; i < COUNT(calls); i++)
        cr_assert_eq(calls[i].result, results[i], "call %zu: %d", i, calls[i].result);
    cr_assert_eq(memcmp(calls[1].reply, "seat 17", 7), 0);
    cr_assert_eq(memcmp(calls[2].reply, "seat 17", 7), 0);
    cr_assert_neq(calls[1].reply, calls[2].reply);
    free(calls[1].reply);
    free(calls[2].reply);
    cr_assert_eq(part.runs, 2);
    cr_assert_eq(bench_effects(bench, NULL, 0), 2);
    bench_close(bench);
}

EACH_DRIVER(barrier_batches, a_late_try_in_the_same_batch_is_refused)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    struct tercet_barrier_call calls[] = {bench_call(&part, TERCET_CANCEL),
                                          bench_call(&part, TERCET_TRY),
                                          bench_call(&part, TERCET_CANCEL)};
    run(bench, calls, COUNT(calls));
    cr_assert_eq(calls[0].result, 0);
    cr_assert_eq(calls[1].result, TERCET_REFUSED);
    cr_assert_eq(calls[2].result, 0);
    cr_assert_eq(part.runs, 0);
    bench_close(bench);
}

/* Nine tries; the fifth's hook fails, the seventh's refuses. */
EACH_DRIVER(barrier_batches, a_failing_hook_rolls_back_alone)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part parts[9];
    struct tercet_barrier_call calls[COUNT(parts)];
    for (size_t i = 0; i < COUNT(parts); i++) {
        parts[i] = (struct part){.bench = bench,
                                 .result = i == 4   ? TERCET_AGAIN
                                           : i == 6 ? TERCET_REFUSED
                                                    : 0};
        calls[i] = bench_call(&parts[i], TERCET_TRY);
        calls[i].branch = (uint32_t)i + 1;
    }
    run(bench, calls, COUNT(calls));
    for (size_t i = 0; i < COUNT(parts); i++) {
        cr_assert_eq(parts[i].runs, 1);
        cr_assert_eq(calls[i].result, parts[i].result);
    }
    cr_assert_eq(bench_rows(bench), 7);
    cr_assert_eq(bench_effects(bench, NULL, 0), 7);
    for (size_t i = 0; i < COUNT(parts); i++)
        parts[i].result = 0;
    run(bench, calls, COUNT(calls));
    cr_assert_eq(bench_rows(bench), 9);
    cr_assert_eq(bench_effects(bench, NULL, 0), 9);
    bench_close(bench);
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

EACH_DRIVER(barrier_batches, calls_alone_keep_their_place)
{
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    struct order order = {.next = 0};
    struct tercet_barrier_call calls[4];
    for (size_t i = 0; i < COUNT(calls); i++) {
        calls[i] = bench_call(&part, TERCET_TRY);
        calls[i].branch = (uint32_t)i + 1;
        calls[i].alone = i == 1 || i == 2;
        calls[i].hook = note_order;
        calls[i].ctx = &order;
    }
    run(bench, calls, COUNT(calls));
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(calls[i].result, 0);
        cr_assert_eq(order.seen[i], i + 1);
    }
    cr_assert_eq(bench_rows(bench), 4);
    bench_close(bench);
}

EACH_DRIVER(barrier_batches, invalid_calls_are_told_and_the_others_go_on)
{
    static char long_gid[TERCET_GID_MAX + 2];
    memset(long_gid, 'x', sizeof(long_gid) - 1);
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    struct tercet_barrier_call calls[11];
    for (size_t i = 0; i < COUNT(calls); i++)
        calls[i] = bench_call(&part, TERCET_TRY);
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
    run(bench, calls, COUNT(calls));
    for (size_t i = 0; i < COUNT(calls) - 1; i++)
        cr_assert_eq(calls[i].result, TERCET_INVALID, "call %zu", i);
    cr_assert_eq(calls[10].result, 0);
    cr_assert_eq(part.runs, 1);
    cr_assert_eq(bench_mark(bench), 0);
    run(bench, calls, 10);
    run(bench, calls, 0);
    cr_assert_eq(bench_rows(bench), 1);
    bench_close(bench);
}

static int answer(tercet_db db, void *ctx)
{
    (void)db;
    return *(int *)ctx;
}

EACH_DRIVER(barrier_batches, local_passes_the_code_on)
{
    static int codes[] = {0, TERCET_NOT_FOUND, 5};
    struct bench *bench = bench_open(*driver, NULL);
    for (size_t i = 0; i < COUNT(codes); i++)
        cr_assert_eq(tercet_barrier_local(bench->barrier, answer, &codes[i]), codes[i]);
    bench_close(bench);
}

Test(barrier_batches, options)
{
    struct tercet_barrier_options options = {.size = 0, .collect_rows_max = 7};
    struct tercet_barrier *barrier = NULL;
    char text[TERCET_TEXT_MAX];
    cr_assert_eq(tercet_barrier_memory_open(&barrier, &options), TERCET_INVALID);
    cr_assert_eq(tercet_barrier_sqlite_open(&barrier, "/tmp/never-made.db", &options, text),
                 TERCET_INVALID);
    cr_assert_not_null(strstr(text, "size"));
    cr_assert_null(barrier);
    options.size = offsetof(struct tercet_barrier_options, setup_sql);
    options.setup_sql = "an older caller has no such field";
    cr_assert_eq(tercet_barrier_memory_open(&barrier, &options), 0);
    tercet_barrier_close(barrier);
    tercet_barrier_close(NULL);
}
