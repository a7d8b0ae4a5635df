/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of barrier.h, cell by cell: 3 calls x 4 states, under every driver.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

enum state { NONE, TRIED, CONFIRMED, CANCELLED };

struct cell {
    enum tercet_kind call;
    enum state before;
    int result;
    int runs; /* of the hook */
    enum state after;
};

static const struct cell cells[] = {
    {TERCET_TRY, NONE, 0, 1, TRIED},
    {TERCET_TRY, TRIED, 0, 0, TRIED},
    {TERCET_TRY, CONFIRMED, 0, 0, CONFIRMED},
    {TERCET_TRY, CANCELLED, TERCET_REFUSED, 0, CANCELLED},
    {TERCET_CONFIRM, NONE, TERCET_BROKEN, 0, NONE},
    {TERCET_CONFIRM, TRIED, 0, 1, CONFIRMED},
    {TERCET_CONFIRM, CONFIRMED, 0, 0, CONFIRMED},
    {TERCET_CONFIRM, CANCELLED, TERCET_BROKEN, 0, CANCELLED},
    {TERCET_CANCEL, NONE, 0, 0, CANCELLED},
    {TERCET_CANCEL, TRIED, 0, 1, CANCELLED},
    {TERCET_CANCEL, CONFIRMED, TERCET_BROKEN, 0, CONFIRMED},
    {TERCET_CANCEL, CANCELLED, 0, 0, CANCELLED},
};

static void bring_to(struct part *part, enum state state, bool was_tried)
{
    if (state == NONE)
        return;
    if (state != CANCELLED || was_tried)
        cr_assert_eq(bench_ask_part(part, TERCET_TRY), 0);
    if (state == CONFIRMED)
        cr_assert_eq(bench_ask_part(part, TERCET_CONFIRM), 0);
    if (state == CANCELLED)
        cr_assert_eq(bench_ask_part(part, TERCET_CANCEL), 0);
    part->runs = 0;
}

/* Looks from outside: a row says its state by how it answers a confirm. */
static enum state look(struct part *part)
{
    if (bench_rows(part->bench) == 0)
        return NONE;
    part->runs = 0;
    if (bench_ask_part(part, TERCET_CONFIRM) == TERCET_BROKEN)
        return CANCELLED;
    return part->runs == 1 ? TRIED : CONFIRMED;
}

static void check_cell(enum bench_driver driver, const struct cell *cell, bool was_tried)
{
    struct bench *bench = bench_open(driver, NULL);
    struct part part = {.bench = bench, .reply = "seat 17"};
    bring_to(&part, cell->before, was_tried);
    struct tercet_barrier_call call = bench_call(&part, cell->call);
    part.reply = cell->call == TERCET_TRY && cell->before != NONE ? "another seat" : "seat 17";
    tercet_barrier_run(bench->barrier, &call, 1);
    cr_assert_eq(call.result, cell->result);
    cr_assert_eq(part.runs, cell->runs);
    if (cell->call == TERCET_TRY && cell->result == 0) {
        cr_assert_eq(call.reply_size, 7);
        cr_assert_eq(memcmp(call.reply, "seat 17", 7), 0);
    } else {
        cr_assert_null(call.reply);
        cr_assert_eq(call.reply_size, 0);
    }
    free(call.reply);
    cr_assert_eq(look(&part), cell->after);
    bench_close(bench);
}

EACH_DRIVER(barrier_table, every_cell)
{
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
        check_cell(*driver, &cells[i], false);
        check_cell(*driver, &cells[i], true);
    }
}

EACH_DRIVER(barrier_table, every_cell_without_hooks)
{
    for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
        struct bench *bench = bench_open(*driver, NULL);
        struct part part = {.bench = bench};
        bring_to(&part, cells[i].before, true);
        struct tercet_barrier_call call = bench_call(&part, cells[i].call);
        call.hook = NULL;
        cr_assert_eq(bench_ask(bench, call), cells[i].result);
        cr_assert_eq(look(&part), cells[i].after);
        bench_close(bench);
    }
}

/* Cells keep to themselves: another branch, another gid, and a gid that begins alike are other rows
 * (dtm's boltdb keys "order1" and "order10" ran into each other). */
EACH_DRIVER(barrier_table, rows_are_apart)
{
    static const struct {
        const char *gid;
        uint32_t branch;
    } keys[] = {{"order1", 1},  {"order1", 10}, {"order1", 11},
                {"order10", 1}, {"order11", 1}, {"Order1", 1}};
    static const char *const replies[] = {"a", "b", "c", "d", "e", "f"};
    struct bench *bench = bench_open(*driver, NULL);
    struct part part = {.bench = bench};
    for (size_t i = 0; i < 12; i++) {
        struct tercet_barrier_call call = bench_call(&part, TERCET_TRY);
        call.gid = keys[i % 6].gid;
        call.branch = keys[i % 6].branch;
        part.reply = i < 6 ? replies[i] : "another";
        tercet_barrier_run(bench->barrier, &call, 1);
        cr_assert_eq(call.result, 0);
        cr_assert_eq(memcmp(call.reply, replies[i % 6], 1), 0);
        free(call.reply);
        cr_assert_eq(bench_rows(bench), i < 6 ? i + 1 : 6);
    }
    cr_assert_eq(part.runs, 6);
    bench_close(bench);
}
